//! The audit trail on a real server: what it says, that nothing is done without it, and that nobody forks it.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::stream::Config;
use millstream_control::access::store::{ACCESS_BUCKET, AccessStore};
use millstream_control::access::{Role, SigningKey};
use millstream_control::api::access::GrantRequest;
use millstream_control::api::audit::{Head, List};
use millstream_control::api::pipelines::{Get, Pause};
use millstream_control::api::state;
use millstream_control::api::status::Phase;
use millstream_control::api::{Data, audit};
use millstream_control::audit::export::{self, Verified};
use millstream_control::audit::trail::{TRAIL_STREAM, TRAIL_SUBJECT, Writer};
use millstream_control::audit::{CommitPoint, Entry, Trail, What};
use millstream_control::client::{Client, Signer};
use millstream_control::errors;
use millstream_log::Name;
use millstream_log::connect::Connection;
use millstream_log::kv::{BucketOptions, JetStreamKv};
use millstream_log::server::{NatsServer, ServerOptions};

use crate::support::{Cluster, PATIENCE, RunningNode, connect, guest, manifest};

fn signer(seed: [u8; 32]) -> Arc<Signer> {
    Arc::new(Signer::new(SigningKey::user(seed), Box::new(|_| Ok(()))))
}

async fn entries(client: &Client) -> Vec<Entry> {
    let listed = client.call(&List { after: Some(0), limit: 1_000 }).await.unwrap().entries;
    listed.iter().map(|text| serde_json::from_str(text).unwrap()).collect()
}

/// The whole trail as a file.
async fn exported(client: &Client) -> Vec<u8> {
    let head = client.call(&Head::default()).await.unwrap();
    let limit = u32::try_from(head.head.last).unwrap();
    let listed = client.call(&List { after: Some(0), limit }).await.unwrap();
    let mut file = Vec::new();
    for line in listed.entries.iter().chain([&export::head_line(&head)]) {
        writeln!(file, "{line}").unwrap();
    }
    file
}

fn verified(file: &[u8]) -> Verified {
    export::verify(file, &BTreeSet::new()).unwrap()
}

/// What was asked, by whom, and what came of it.
fn story(entries: &[Entry]) -> Vec<String> {
    entries
        .iter()
        .filter_map(|entry| match &entry.what {
            What::Writer { .. } => Some("writer".to_owned()),
            What::Request(asked) | What::Denied(asked) => {
                let who = asked.user.as_deref().or(asked.claims.as_deref()).unwrap_or("?");
                let denied = matches!(entry.what, What::Denied(_));
                let verb = if denied { " denied" } else { "" };
                Some(format!("{who}: {}{verb}", asked.operation))
            }
            What::Outcome { done, code, .. } => {
                Some(code.map_or(format!("done {done}"), |code| code.to_string()))
            }
            What::Commits { .. } => None,
        })
        .collect()
}

#[tokio::test]
async fn what_is_done_is_in_the_trail_and_an_export_shows_what_was_changed() {
    let cluster = Cluster::start().await;
    let module = cluster.push(guest(), false).await.unwrap().module;
    cluster.apply(&manifest("p", &format!("sha256:{}", module.digest))).await.unwrap();
    cluster.node.worker.called("resume p").await;
    let grant = |seed, name: &str, role| GrantRequest {
        key: SigningKey::user([seed; 32]).public().to_string(),
        name: name.into(),
        roles: vec![role],
        by: "me@here".into(),
        ..GrantRequest::default()
    };
    cluster.ask(&grant(1, "ada", Role::Operator)).await;
    let client = |seed| cluster.client.clone().signed(signer([seed; 32]));
    let ada = client(1);
    ada.call(&grant(2, "vic", Role::Viewer)).await.unwrap();
    ada.call(&Pause { pipeline: "p".into(), by: "somebody else".into() }).await.unwrap();
    let missing = ada.call(&Pause { pipeline: "q".into(), by: String::new() }).await;
    assert_eq!(missing.unwrap_err().0[0].code, errors::PIPELINE_UNKNOWN);
    let get = state::Get { pipeline: "p".into(), stage: None, key: Data::from("secret-key") };
    assert_eq!(client(2).call(&get).await.unwrap_err().0[0].code, errors::NOT_ALLOWED);
    assert_eq!(client(9).call(&get).await.unwrap_err().0[0].code, errors::NOT_ALLOWED);
    // What shows how things are leaves no trace; nor do strangers.
    client(2).call(&Get { pipeline: "p".into() }).await.unwrap();

    let found = entries(&ada).await;
    let expected = [
        "writer",
        "me@here: module.push",
        "done true",
        "me@here: pipeline.apply",
        "done true",
        "me@here: access.grant",
        "done true",
        "ada: access.grant",
        "done true",
        "ada: pipeline.pause",
        "done true",
        "ada: pipeline.pause",
        "MS1310",
        "vic: state.get denied",
    ];
    assert_eq!(story(&found), expected);
    let file = exported(&ada).await;
    assert!(!String::from_utf8_lossy(&file).contains("secret-key"), "keys of state are not in it");
    let whole = verified(&file);
    assert!(whole.findings.is_empty(), "{whole:?}");
    let What::Writer { cluster: number, key } = &found[0].what else { panic!("{found:?}") };
    let head = whole.head.unwrap();
    assert_eq!((&head.key, &head.head.cluster), (key, number));
    let text = String::from_utf8(file).unwrap().replace("pipeline.apply", "pipeline.delete");
    let changed = verified(text.as_bytes()).findings;
    assert_eq!(changed.len(), 1, "{changed:?}");
    assert_eq!(changed[0].entry, Some(4));

    // Commits are pinned once each.
    let point = |partition, commit| CommitPoint {
        pipeline: "p".into(),
        incarnation: "7".into(),
        stage: "work".into(),
        partition,
        commit,
        sequence: commit + 1,
        hash: "ab".repeat(32),
    };
    let pinned = async |wanted: &[CommitPoint]| {
        let pinned = async {
            loop {
                let found = entries(&ada).await;
                let points = found.iter().filter_map(|entry| match &entry.what {
                    What::Commits { points } => Some(points.clone()),
                    _ => None,
                });
                let points: Vec<CommitPoint> = points.flatten().collect();
                if points.len() >= wanted.len() {
                    assert_eq!(points, wanted);
                    return;
                }
            }
        };
        tokio::time::timeout(PATIENCE, pinned).await.expect("they are pinned in time");
    };
    cluster.node.worker.commits(&[point(0, 5), point(1, 3)]);
    pinned(&[point(0, 5), point(1, 3)]).await;
    cluster.node.worker.commits(&[point(0, 5), point(1, 4)]);
    pinned(&[point(0, 5), point(1, 3), point(1, 4)]).await;
    assert!(verified(&exported(&ada).await).findings.is_empty());
    cluster.node.stop().await;
}

#[tokio::test]
async fn nothing_is_done_without_the_trail() {
    let cluster = Cluster::start().await;
    let module = cluster.push(guest(), false).await.unwrap().module;
    cluster.apply(&manifest("p", &format!("sha256:{}", module.digest))).await.unwrap();
    cluster.node.worker.called("resume p").await;
    let nats = connect(&cluster.server).await;
    let stream = nats.jetstream().get_stream(TRAIL_STREAM).await.unwrap();
    let config = stream.cached_info().config.clone();
    // Nobody can take an entry out of it, with whatever rights.
    assert!(stream.delete_message(1).await.is_err());
    assert!(stream.purge().await.is_err());
    let weaker = Config { deny_delete: false, deny_purge: false, ..config.clone() };
    assert!(nats.jetstream().update_stream(weaker).await.is_err());

    // A full trail.
    let full = Config { max_bytes: 1, ..config.clone() };
    nats.jetstream().update_stream(full).await.unwrap();
    let pause = Pause { pipeline: "p".into(), by: "me@here".into() };
    let refused = cluster.refused(&pause).await;
    assert_eq!(refused.0[0].code, errors::TRAIL_UNAVAILABLE, "{refused}");
    let info = cluster.ask(&Get { pipeline: "p".into() }).await;
    assert_eq!(
        (info.revision, info.desired),
        (1, millstream_control::api::pipelines::Desired::Running)
    );
    let get = state::Get { pipeline: "p".into(), stage: None, key: Data::from("k") };
    assert_eq!(cluster.refused(&get).await.0[0].code, errors::TRAIL_UNAVAILABLE);
    nats.jetstream().update_stream(config).await.unwrap();
    cluster.ask(&pause).await;
    cluster.until("p", |info| info.status.as_ref().unwrap().phase == Phase::Paused).await;
    assert!(verified(&exported(&cluster.client).await).findings.is_empty());

    // A trail that was removed is not begun anew behind everybody's back, by this node or the next one.
    nats.jetstream().delete_stream(TRAIL_STREAM).await.unwrap();
    assert_eq!(cluster.refused(&pause).await.0[0].code, errors::TRAIL_UNAVAILABLE);
    let Cluster { server, node, client } = cluster;
    node.stop().await;
    let other = RunningNode::start(&server, "n2").await;
    let refused = async {
        loop {
            match client.call(&pause).await {
                Err(problems) if problems.has(errors::NO_NODE) => tokio::task::yield_now().await,
                answer => return answer.unwrap_err(),
            }
        }
    };
    let refused = tokio::time::timeout(PATIENCE, refused).await.expect("the other node answers");
    assert_eq!(refused.0[0].code, errors::TRAIL_UNAVAILABLE);
    assert!(refused.0[0].message.contains("entries that were there are gone"), "{refused}");
    other.stop().await;
}

#[tokio::test]
async fn the_next_node_goes_on_where_the_last_one_stopped() {
    let cluster = Cluster::start().await;
    let module = cluster.push(guest(), false).await.unwrap().module;
    let other = RunningNode::start(&cluster.server, "n2").await;
    cluster.node.crash().await;
    // What is on its way when a node dies gets no answer.
    let client = Client::new(connect(&cluster.server).await, Duration::from_secs(1));
    let apply = async {
        let remove = millstream_control::api::modules::Remove {
            module: format!("sha256:{}", module.digest),
        };
        while client.call(&remove).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, apply).await.expect("the other node answers");
    let whole = verified(&exported(&client).await);
    assert!(whole.findings.is_empty(), "{whole:?}");
    let nodes: BTreeSet<String> =
        entries(&client).await.into_iter().map(|entry| entry.node).collect();
    assert_eq!(nodes, ["n1".to_owned(), "n2".to_owned()].into());
    let beyond = client.call(&audit::Head { after: 1_000 }).await.unwrap_err();
    assert_eq!(beyond.0[0].code, errors::NO_ENTRIES);
    other.stop().await;
}

async fn trail(connection: &Connection, node: u8) -> Arc<Trail> {
    let writer = Writer {
        node: format!("n{node}"),
        incarnation: node.to_string(),
        cluster: "c".into(),
        key: SigningKey::node([node; 32]),
    };
    let (name, options) = (Name::new(ACCESS_BUCKET).unwrap(), BucketOptions::default());
    let bucket = JetStreamKv::open(connection, &name, &options).await.unwrap();
    let store = AccessStore::new(Arc::new(bucket));
    Arc::new(Trail::open(connection, 1, writer, store).await.unwrap())
}

#[tokio::test]
async fn two_writers_do_not_fork_the_trail() {
    let server = NatsServer::start(ServerOptions::default()).await.unwrap();
    let connection = connect(&server).await;
    let (one, other) = (trail(&connection, 1).await, trail(&connection, 2).await);
    let writers = [&one, &other].map(|trail| {
        let trail = Arc::clone(trail);
        tokio::spawn(async move {
            for of in 0..50 {
                trail.append(What::Outcome { of, done: true, code: None }).await.unwrap();
            }
        })
    });
    for writer in writers {
        writer.await.unwrap();
    }
    let head = one.head(0).await.unwrap();
    let mut file = Vec::new();
    for entry in one.read(0, 1_000, usize::MAX).await.unwrap() {
        file.extend_from_slice(&entry);
        file.push(b'\n');
    }
    writeln!(file, "{}", export::head_line(&head)).unwrap();
    let found = verified(&file);
    assert!(found.findings.is_empty() && found.entries == 102, "{found:?}");

    // Whoever may publish there can add something, but not pass it off as an entry of a node.
    connection.client().publish(TRAIL_SUBJECT, "{\"number\":1}".into()).await.unwrap();
    connection.client().flush().await.unwrap();
    one.append(What::Outcome { of: 1, done: false, code: None }).await.unwrap();
    let head = other.head(0).await.unwrap();
    let mut file = Vec::new();
    for entry in other.read(0, 1_000, usize::MAX).await.unwrap() {
        file.extend_from_slice(&entry);
        file.push(b'\n');
    }
    writeln!(file, "{}", export::head_line(&head)).unwrap();
    let found = verified(&file);
    assert!(!found.findings.is_empty(), "{found:?}");
}
