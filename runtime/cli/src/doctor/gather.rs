//! Reads the facts: from the server, from the runtime, from the file system. Decides nothing.

use std::path::Path;
use std::time::Duration;

use async_nats::jetstream::account::Account;
use async_nats::jetstream::stream::{DiscardPolicy, Info, RetentionPolicy};
use futures::TryStreamExt;
use millstream_control::api::access::WhoAmI;
use millstream_control::api::node;
use millstream_control::api::pipelines::{Describe, List};
use millstream_control::api::status::Phase;
use millstream_control::errors;
use millstream_control::manifest::Manifest;
use millstream_log::connect::Connection;

use super::facts::{DiskFacts, EndFacts, Retention, RuntimeFacts, ServerFacts, StreamFacts, Usage};
use crate::connection::Remote;
use crate::failure::Failure;

/// What every log stream's name begins with.
const LOG_PREFIX: &str = "MILLSTREAM_LOG_";

/// The server and the account.
pub async fn server(connection: &Connection) -> Result<ServerFacts, Failure> {
    let info = connection.client().server_info();
    let account = connection.jetstream().query_account().await.map_err(|error| {
        Failure::coded(errors::STORAGE, "JetStream does not tell the account's limits")
            .because(&error)
    })?;
    let Account { memory, storage, streams, consumers, limits, .. } = account;
    let limit = |value: Option<i64>| value.and_then(|value| u64::try_from(value).ok());
    Ok(ServerFacts {
        version: info.version,
        clustered: info.cluster.is_some(),
        payload_bytes_max: info.max_payload as u64,
        storage: Usage { used: storage, limit: limit(limits.max_storage) },
        memory: Usage { used: memory, limit: limit(limits.max_memory) },
        streams: Usage { used: streams as u64, limit: limit(limits.max_streams) },
        consumers: Usage { used: consumers as u64, limit: limit(limits.max_consumers) },
        stream_bytes_required: limits.max_bytes_required,
    })
}

/// All streams of the account.
pub async fn streams(connection: &Connection) -> Result<Vec<StreamFacts>, Failure> {
    let listed: Result<Vec<Info>, _> = connection.jetstream().streams().try_collect().await;
    let mut streams: Vec<_> = listed
        .map_err(|error| {
            Failure::coded(errors::STORAGE, "JetStream does not list the account's streams")
                .because(&error)
        })?
        .iter()
        .map(stream)
        .collect();
    streams.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(streams)
}

/// Whether a stream is a pipeline's log.
pub fn is_log(stream: &StreamFacts) -> bool {
    stream.name.starts_with(LOG_PREFIX)
}

fn stream(info: &Info) -> StreamFacts {
    let config = &info.config;
    let limit = |value: i64| u64::try_from(value).ok().filter(|value| *value > 0);
    StreamFacts {
        name: config.name.clone(),
        replicas: config.num_replicas,
        retention: match config.retention {
            RetentionPolicy::Limits => Retention::Limits,
            RetentionPolicy::Interest => Retention::Interest,
            RetentionPolicy::WorkQueue => Retention::WorkQueue,
        },
        discard_new: config.discard == DiscardPolicy::New,
        age_max: config.max_age,
        limits_messages: limit(config.max_messages).is_some()
            || limit(config.max_messages_per_subject).is_some(),
        bytes: Usage { used: info.state.bytes, limit: limit(config.max_bytes) },
        duplicate_window: config.duplicate_window,
        allows_atomic: config.allow_atomic_publish,
        has_leader: info.cluster.as_ref().is_none_or(|cluster| cluster.leader.is_some()),
        replicas_behind: info.cluster.as_ref().map_or(0, |cluster| {
            cluster.replicas.iter().filter(|peer| peer.offline || !peer.current).count()
        }),
    }
}

/// The runtime, its pipelines and what they read and write.
pub async fn runtime(remote: &Remote, streams: &[StreamFacts]) -> Result<RuntimeFacts, Failure> {
    let node = match remote.call(&node::Info {}).await {
        Ok(node) => node,
        Err(failure) => {
            let reason = failure.reports.into_iter().next().map(|report| report.message);
            let answer = Some(Err(reason.unwrap_or_default()));
            return Ok(RuntimeFacts { answer, ..RuntimeFacts::default() });
        }
    };
    let mut facts = RuntimeFacts { answer: Some(Ok(node.version)), ..RuntimeFacts::default() };
    facts.open = remote.call(&WhoAmI::default()).await.ok().map(|me| me.open);
    for info in remote.call(&List {}).await?.pipelines {
        facts.pipelines += 1;
        if let Some(status) = info.status.filter(|status| status.phase == Phase::Failed) {
            let reason = status.reason.unwrap_or_else(|| "failed".to_owned());
            facts.failed.push((info.name.clone(), reason));
        }
        let described = remote.call(&Describe { pipeline: info.name }).await?;
        let manifest = crate::manifest::stored(&described)?;
        ends(remote.connection(), &manifest, streams, &mut facts).await?;
    }
    Ok(facts)
}

async fn ends(
    connection: &Connection,
    manifest: &Manifest,
    streams: &[StreamFacts],
    facts: &mut RuntimeFacts,
) -> Result<(), Failure> {
    let find = |name: &str| streams.iter().find(|stream| stream.name == name).cloned();
    for (name, source) in &manifest.sources {
        facts.sources.push(EndFacts {
            name: format!("{}/{name}", manifest.name),
            wanted: source.stream.clone(),
            stream: find(&source.stream),
            transactional: false,
        });
    }
    for (name, sink) in &manifest.sinks {
        if let Some(stream) = &sink.stream {
            facts.sinks.push(EndFacts {
                name: format!("{}/{name}", manifest.name),
                wanted: stream.clone(),
                stream: find(stream),
                transactional: true,
            });
            continue;
        }
        let subject = sink.subject.replace("{key}", "*");
        // Whoever captures the subject; an error here means: nobody does.
        let captured = connection.jetstream().stream_by_subject(&subject).await.ok();
        facts.sinks.push(EndFacts {
            name: format!("{}/{name}", manifest.name),
            wanted: subject,
            stream: captured.as_deref().and_then(find),
            transactional: false,
        });
    }
    Ok(())
}

/// The file system of the data folder.
pub fn disk(folder: &Path) -> DiskFacts {
    let space = rustix::fs::statvfs(folder).map_err(|error| error.to_string()).map(|space| {
        (
            space.f_bavail.saturating_mul(space.f_frsize),
            space.f_blocks.saturating_mul(space.f_frsize),
        )
    });
    let writable = tempfile::tempfile_in(folder).map(drop).map_err(|error| error.to_string());
    DiskFacts { folder: folder.display().to_string(), space, writable }
}

/// How long the doctor waits for a runtime before it says that there is none.
pub const RUNTIME_TIMEOUT: Duration = Duration::from_secs(3);
