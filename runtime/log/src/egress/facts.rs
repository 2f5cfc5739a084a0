//! Which stream takes a subject, and whether it can be a sink.

use std::time::Duration;

use async_nats::jetstream::stream::{Config, Info};
use millstream_core::ids::Sequence;
use serde::{Deserialize, Serialize};

use super::{SinkError, SinkFacts};
use crate::api::{self, ApiError, code};
use crate::connect::Connection;

#[derive(Serialize)]
struct NamesRequest<'a> {
    subject: &'a str,
}

#[derive(Deserialize)]
struct NamesReply {
    // `null` when there are none.
    #[serde(default)]
    streams: Option<Vec<String>>,
}

/// The stream that captures a subject (or all subjects of a filter with wildcards).
pub async fn stream_of_subject(
    connection: &Connection,
    subject: &str,
) -> Result<String, SinkError> {
    let reply: NamesReply = api::call(connection, "STREAM.NAMES", &NamesRequest { subject })
        .await
        .map_err(|error| sink_error(subject, "look up the stream", error))?;
    let mut streams = reply.streams.unwrap_or_default();
    match (streams.pop(), streams.is_empty()) {
        (Some(stream), true) => Ok(stream),
        (Some(stream), false) => {
            streams.push(stream);
            Err(SinkError::SeveralStreams {
                subject: subject.to_owned(),
                streams: streams.join(", "),
            })
        }
        (None, _) => Err(SinkError::NoStream { subject: subject.to_owned() }),
    }
}

/// Makes a stream for a sink that says `create: true`: on file, without limits. Nothing happens when
/// the same one is there.
pub async fn create_sink_stream(
    connection: &Connection,
    stream: &str,
    subjects: &[String],
    replicas: usize,
    duplicate_window: Duration,
) -> Result<(), SinkError> {
    let config = Config {
        name: stream.to_owned(),
        subjects: subjects.to_vec(),
        num_replicas: replicas,
        duplicate_window,
        ..Config::default()
    };
    let created = api::create_stream(connection, &config).await;
    created.map(|_| ()).map_err(|error| sink_error(stream, "create the stream", error))
}

/// What the stream is; refuses one that cannot be a deduplicated sink.
pub(super) async fn facts(connection: &Connection, stream: &str) -> Result<SinkFacts, SinkError> {
    let info = api::stream_info(connection, stream)
        .await
        .map_err(|error| sink_error(stream, "get the state", error))?;
    if info.config.duplicate_window.is_zero() {
        return Err(SinkError::NoWindow { stream: info.config.name });
    }
    facts_of(connection, &info)
}

/// What the stream is; refuses one that cannot be a sink of any kind.
pub(super) fn facts_of(connection: &Connection, info: &Info) -> Result<SinkFacts, SinkError> {
    let config = &info.config;
    let stream = config.name.clone();
    if let Some(retention) = api::unusable_retention(config.retention) {
        return Err(SinkError::Retention { stream, retention });
    }
    if config.no_ack {
        return Err(SinkError::NoAck { stream });
    }
    let payload_bytes_max = connection.payload_bytes_max();
    let message_bytes_max = usize::try_from(config.max_message_size)
        .ok()
        .filter(|bytes| *bytes > 0)
        .unwrap_or(payload_bytes_max);
    Ok(SinkFacts {
        stream,
        created_ns: api::nanoseconds(info.created),
        duplicate_window_ns: i64::try_from(config.duplicate_window.as_nanos()).unwrap_or(i64::MAX),
        message_bytes_max: message_bytes_max.min(payload_bytes_max),
        allows_batches: config.allow_batch_publish,
        last: Sequence(info.state.last_sequence),
    })
}

/// What a failed call means for a sink.
pub(super) fn sink_error(sink: &str, request: &'static str, error: ApiError) -> SinkError {
    match error {
        ApiError::Server { code: code::STREAM_NOT_FOUND, .. } => {
            SinkError::NoStream { subject: sink.to_owned() }
        }
        ApiError::Server { code, description } => {
            SinkError::Broker { sink: sink.to_owned(), request, code, description }
        }
        error => SinkError::Unreachable { description: error.description() },
    }
}
