//! Formats that were written before: the JetStream store and the folder of a node, as an earlier build left them, and this
//! build goes on with them: logs, checkpoints, records of pipelines and modules, leases, assignments, the local database.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use async_nats::jetstream::consumer::pull;
use futures::StreamExt;
use millstream_log::server::{NatsServer, ServerOptions};

use crate::millstream::{Millstream, root};
use crate::served::Served;

/// Folder of the store of the server within what was kept.
const STORE: &str = "jetstream";
/// Folder of the node.
const NODE: &str = "state";
/// How long outputs may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// Keys of the records.
const KEYS: u64 = 8;
/// Event time of record 0, milliseconds: the beginning of a minute.
const BEGIN_MS: u64 = 1_700_000_040_000;
/// Records that the earlier build processed before its checkpoint, and all.
const BEFORE: (u64, u64) = (150, 200);
/// Records when this build is done.
const AFTER: u64 = 400;

/// State of a value kind with time to live, windows with timers and lists, two stages with an exchange between them.
const PIPELINE: &str = "name: numbers
sources:
  commands: { stream: COMMANDS, event-time: { pointer: /ts }, watermark: { bound: 0s } }
stages:
  once:
    module: { file: dedup.wasm }
    partitions: 2
    inputs:
      commands: { key: { pointer: /id } }
    config: { by: 'n', within: 1h }
    outputs:
      output: echoes
  count:
    module: { file: aggregate.wasm }
    partitions: 3
    inputs:
      once.output: { key: { pointer: /id } }
    config: { window: 1m, fields: { numbers: count, least: { min: n } } }
    outputs:
      output: totals
sinks:
  echoes: { subject: echoes }
  totals: { subject: totals }
";

fn fixtures() -> PathBuf {
    root().join("runtime/cli/tests/it/data/upgrade")
}

/// Publishes each number twice: the second time is a repetition.
fn publish(served: &Served, numbers: std::ops::Range<u64>) {
    let line = |n: u64| {
        let (id, ts) = (n % KEYS, BEGIN_MS + 1_000 * n);
        format!("{{\"id\":{id},\"n\":{n},\"ts\":{ts}}}\n").repeat(2)
    };
    served.millstream.file("in.ndjson", &numbers.map(line).collect::<String>());
    served.call(&["publish", "commands.x", "--input", "in.ndjson"]).ok();
}

async fn until_echoed(served: &Served, numbers: u64) {
    let begun = Instant::now();
    loop {
        let found = served.messages("ECHOES").await;
        assert!(found <= numbers, "{found} of {numbers}");
        if found == numbers {
            return;
        }
        let described = || served.call(&["describe", "numbers"]);
        assert!(begun.elapsed() < PATIENCE, "{found} of {numbers}: {:?}", described());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// All records of a stream, as JSON.
async fn records(served: &Served, stream: &str) -> Vec<serde_json::Value> {
    let count = served.messages(stream).await;
    let stream = served.connection.jetstream().get_stream(stream).await.expect("the stream");
    let consumer = stream.create_consumer(pull::OrderedConfig::default()).await;
    let messages = consumer.expect("a consumer").messages().await.expect("messages");
    let records = messages.take(count as usize).map(|message| {
        serde_json::from_slice(&message.expect("it is read").payload).expect("JSON")
    });
    records.collect().await
}

/// A server on what was kept, and a runtime's folder beside it.
async fn unpacked(fixture: &Path) -> Served {
    let millstream = Millstream::new();
    let folder = millstream.folder.path().to_owned();
    let mut tar = Command::new("tar");
    tar.arg("-xzf").arg(fixture).arg("-C").arg(&folder);
    assert!(tar.status().expect("tar starts").success(), "{}", fixture.display());
    let options = ServerOptions { folder: Some(folder), ..ServerOptions::default() };
    let server = NatsServer::start(options).await.expect("a nats-server");
    let connection = server.connect().await.expect("a connection");
    Served { millstream, server, connection }
}

async fn goes_on(served: Served) {
    let run = served.serve();
    // Again what was processed before, then what is new.
    publish(&served, 0..AFTER);
    until_echoed(&served, AFTER).await;
    served.call(&["stop", "numbers", "--drain", "--wait", "--timeout", "60s"]).ok();
    let mut of_key: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    for record in records(&served, "ECHOES").await {
        let number = |field: &str| record[field].as_u64().expect("a number");
        of_key.entry(number("id")).or_default().push(number("n"));
    }
    for key in 0..KEYS {
        let expected: Vec<u64> = (0..AFTER).filter(|number| number % KEYS == key).collect();
        assert_eq!(of_key[&key], expected, "key {key}");
    }
    // Every minute that is over, for every key.
    let totals = records(&served, "TOTALS").await;
    let mut found: Vec<(u64, u64)> = totals
        .iter()
        .map(|total| {
            let number = |field: &str| total[field].as_u64().expect("a number");
            (number("least"), number("numbers"))
        })
        .collect();
    found.sort_unstable();
    let mut expected = Vec::new();
    for minute in 0..AFTER / 60 {
        for key in 0..KEYS {
            let of_key = (60 * minute..60 * (minute + 1)).filter(|number| number % KEYS == key);
            expected.push((of_key.clone().min().expect("some"), of_key.count() as u64));
        }
    }
    expected.sort_unstable();
    assert_eq!(found, expected);
    run.end();
}

fn all() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(fixtures()).expect("the fixtures");
    let mut found: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    found.sort();
    assert!(!found.is_empty());
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_earlier_builds_left_goes_on_in_the_nodes_folder() {
    for fixture in all() {
        eprintln!("{}", fixture.display());
        goes_on(unpacked(&fixture).await).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_earlier_builds_left_goes_on_from_checkpoints_and_log() {
    for fixture in all() {
        eprintln!("{}", fixture.display());
        let served = unpacked(&fixture).await;
        let node = served.millstream.folder.path().join(NODE);
        std::fs::remove_dir_all(node).expect("the node's folder");
        goes_on(served).await;
    }
}

/// Writes what this build leaves, under its version: `MILLSTREAM_VERSION=0.1.0 cargo nextest run --release --workspace
/// --run-ignored only -E 'test(keeps_what_this_build_leaves)'`. To be done once at every release, with modules that were built
/// with `RUSTFLAGS=--remap-path-prefix=...` for the folders of cargo and of the sources: what is kept is published.
#[ignore = "writes a fixture"]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keeps_what_this_build_leaves() {
    let version = std::env::var("MILLSTREAM_VERSION").expect("MILLSTREAM_VERSION");
    let millstream = Millstream::new();
    let folder = millstream.folder.path().to_owned();
    let options = ServerOptions { folder: Some(folder.clone()), ..ServerOptions::default() };
    let server = NatsServer::start(options).await.expect("a nats-server");
    let connection = server.connect().await.expect("a connection");
    let mut served = Served { millstream, server, connection };
    for (stream, subject) in
        [("COMMANDS", "commands.>"), ("ECHOES", "echoes"), ("TOTALS", "totals")]
    {
        served.stream(stream, subject).await;
    }
    let run = served.serve();
    for module in ["dedup.wasm", "aggregate.wasm"] {
        let built = root().join("udfs/dist").join(module);
        std::fs::copy(built, folder.join(module)).expect("a module; `cargo xtask build` makes it");
    }
    served.millstream.file("p.yaml", PIPELINE);
    served.call(&["apply", "-f", "p.yaml"]).ok();
    publish(&served, 0..BEFORE.0);
    until_echoed(&served, BEFORE.0).await;
    served.call(&["checkpoint", "now", "numbers"]).ok();
    publish(&served, BEFORE.0..BEFORE.1);
    until_echoed(&served, BEFORE.1).await;
    run.kill9();
    served.server.stop().await;
    std::fs::create_dir_all(fixtures()).expect("the folder of fixtures");
    let mut tar = Command::new("tar");
    tar.args(["--owner=0", "--group=0", "-czf"]);
    tar.arg(fixtures().join(format!("{version}.tar.gz"))).arg("-C").arg(&folder);
    assert!(tar.args([STORE, NODE]).status().expect("tar starts").success());
}
