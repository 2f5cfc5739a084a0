//! Several nodes as processes of their own, under load: restarted one after the other, killed, paused past the lease, drained.
//! Every output must come once, and those of a key in their order.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use async_nats::jetstream::consumer::pull;
use futures::StreamExt;
use rustix::process::Signal;

use crate::millstream::root;
use crate::served::{Run, Served};

/// Keys of the load.
const KEYS: u64 = 32;
/// Pause between two records: a load that lasts for as long as the test.
const PACE: Duration = Duration::from_millis(2);
/// How long a cluster may take to have all partitions running.
const PATIENCE: Duration = Duration::from_secs(90);

/// Two stages with different keys; the second one lets every number pass once, and so has state.
const PIPELINE: &str = "name: numbers
sources:
  commands: { stream: COMMANDS }
stages:
  spread:
    module: { file: UDFS/filter.wasm }
    partitions: 3
    inputs:
      commands: { key: { pointer: /region } }
    config: { where: 'true' }
  once:
    module: { file: UDFS/dedup.wasm }
    partitions: 3
    inputs:
      spread.output: { key: { pointer: /id } }
    config: { by: 'n', within: 1h }
    outputs:
      output: echoes
sinks:
  echoes: { subject: echoes }
";

/// Publishes each number twice until it is told to stop.
struct Load {
    stop: Arc<AtomicBool>,
    published: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Load {
    fn start(served: &Served) -> Self {
        let (stop, published) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let (jetstream, told, count) =
            (served.connection.jetstream().clone(), Arc::clone(&stop), Arc::clone(&published));
        let handle = tokio::runtime::Handle::current();
        let thread = std::thread::spawn(move || {
            handle.block_on(async move {
                let mut number = 0u64;
                while !told.load(Ordering::Relaxed) {
                    let record = format!(
                        r#"{{"id":{},"region":{},"n":{number}}}"#,
                        number % KEYS,
                        number % 7
                    );
                    for _ in 0..2 {
                        let sent = jetstream.publish("commands.x", record.clone().into()).await;
                        sent.expect("it is sent").await.expect("it is stored");
                    }
                    number += 1;
                    count.store(number, Ordering::Relaxed);
                    tokio::time::sleep(PACE).await;
                }
            });
        });
        Self { stop, published, thread: Some(thread) }
    }

    /// Ends it; how many numbers there are.
    fn end(mut self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().expect("it runs").join().expect("it publishes");
        self.published.load(Ordering::Relaxed)
    }
}

async fn cluster(names: &[&str], pipeline: &str) -> (Served, Vec<Run>) {
    let served = Served::start().await;
    let nodes = names.iter().map(|name| node(&served, name)).collect();
    served.until("a node answers", || (served.call(&["info"]).code == 0).then_some(()));
    let text = pipeline.replace("UDFS", &root().join("udfs/dist").display().to_string());
    served.millstream.file("p.yaml", &text);
    served.call(&["apply", "-f", "p.yaml"]).ok();
    (served, nodes)
}

fn node(served: &Served, name: &str) -> Run {
    let mut run = served.launch_node(name);
    run.until_it_serves();
    run
}

/// Waits until so many nodes run all six partitions, each its share.
fn until_shared(served: &Served, nodes: usize) {
    until_all_shared(served, nodes, 6);
}

/// The same for so many partitions.
fn until_all_shared(served: &Served, nodes: usize, partitions: u64) {
    let begun = Instant::now();
    loop {
        let called = served.call(&["node", "ls", "-o", "json"]);
        let listed: serde_json::Value = serde_json::from_str(&called.stdout).unwrap_or_default();
        let running: Vec<u64> = listed
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|node| node["running"].as_u64())
            .filter(|running| *running > 0)
            .collect();
        let ready = served.call(&["get", "numbers", "-o", "json"]);
        let is_running = ready.stdout.contains(r#""phase": "running""#)
            || ready.stdout.contains(r#""phase":"running""#);
        if running.len() == nodes && running.iter().sum::<u64>() == partitions && is_running {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "not shared by {nodes}: {called:?}\n{ready:?}");
    }
}

/// Waits for all outputs, and checks that each is there once and those of a key are in order.
async fn assert_exact(served: &Served, numbers: u64) {
    let begun = Instant::now();
    while served.messages("ECHOES").await < numbers {
        let described = || served.call(&["describe", "numbers"]);
        assert!(
            begun.elapsed() < PATIENCE,
            "{} of {numbers} outputs: {:?}",
            served.messages("ECHOES").await,
            described()
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // What is not wanted would have come when all nodes have processed and published everything.
    served.call(&["stop", "numbers", "--drain", "--wait", "--timeout", "60s"]).ok();
    assert_eq!(served.messages("ECHOES").await, numbers, "each output is there once");
    let stream = served.connection.jetstream().get_stream("ECHOES").await.expect("the stream");
    let config = pull::OrderedConfig::default();
    let mut found = stream
        .create_consumer(config)
        .await
        .expect("a consumer")
        .messages()
        .await
        .expect("messages");
    let mut of_key: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    for _ in 0..numbers {
        let message = found.next().await.expect("it is there").expect("it is read");
        let record: serde_json::Value = serde_json::from_slice(&message.payload).expect("JSON");
        let number = |field: &str| record[field].as_u64().expect("a number");
        of_key.entry(number("id")).or_default().push(number("n"));
    }
    for (key, found) in of_key {
        let expected: Vec<u64> = (0..numbers).filter(|number| number % KEYS == key).collect();
        assert_eq!(found, expected, "key {key}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_restart_of_all_nodes_under_load_loses_and_doubles_nothing() {
    let names = ["a", "b", "c"];
    let (served, nodes) = cluster(&names, PIPELINE).await;
    until_shared(&served, 3);
    let load = Load::start(&served);
    let mut nodes: Vec<Option<Run>> = nodes.into_iter().map(Some).collect();
    for (name, place) in names.iter().zip(&mut nodes) {
        place.take().expect("it runs").end();
        until_shared(&served, 2);
        *place = Some(node(&served, name));
        until_shared(&served, 3);
    }
    let numbers = load.end();
    assert_exact(&served, numbers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_killed_and_one_that_sleeps_past_its_lease_lose_and_double_nothing() {
    let (served, mut nodes) = cluster(&["a", "b", "c"], PIPELINE).await;
    until_shared(&served, 3);
    let load = Load::start(&served);
    // The coordinator is one of them: the first has been there before the others.
    nodes.remove(0).kill9();
    let killed = Instant::now();
    until_shared(&served, 2);
    eprintln!("all partitions ran again {:?} after the kill", killed.elapsed());
    nodes[0].signal(Signal::STOP);
    // It does not answer at first, and its lease expires.
    until_shared(&served, 1);
    nodes[0].signal(Signal::CONT);
    until_shared(&served, 2);
    let numbers = load.end();
    assert_exact(&served, numbers).await;
}

/// Of a node, by stage and number: the partitions that it runs, and those for which it stands by, ready to go on.
fn placed(served: &Served, node: &str) -> [BTreeSet<(String, u64)>; 2] {
    let called = served.call(&["node", "describe", node, "-o", "json"]);
    let described: serde_json::Value = serde_json::from_str(&called.stdout).unwrap_or_default();
    let places = |list: &str, is_so: &str| {
        let entries = described[list].as_array().cloned().unwrap_or_default();
        let here = entries.iter().filter(|entry| entry[is_so] == true);
        let place = |entry: &serde_json::Value| {
            let stage = entry["stage"].as_str().expect("a stage").to_owned();
            (stage, entry["partition"].as_u64().expect("a number"))
        };
        here.map(place).collect()
    };
    [places("partitions", "running"), places("standbys", "ready")]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partitions_of_a_node_that_is_killed_go_on_where_somebody_stood_by() {
    let names = ["a", "b", "c"];
    let with_standbys = PIPELINE.replace("    inputs:", "    standbys: 1\n    inputs:");
    let (served, nodes) = cluster(&names, &with_standbys).await;
    let load = Load::start(&served);
    let mut nodes: BTreeMap<&'static str, Run> = names.into_iter().zip(nodes).collect();
    // The coordinator as well: the first has been there before the others.
    for victim in ["b", "a"] {
        let left = nodes.len();
        until_shared(&served, left);
        let placed_at = |name: &&'static str| (*name, placed(&served, name));
        let before: BTreeMap<&'static str, _> = served.until("all standbys are ready", || {
            let before: BTreeMap<&'static str, _> = nodes.keys().map(placed_at).collect();
            (before.values().map(|[_, standbys]| standbys.len()).sum::<usize>() == 6)
                .then_some(before)
        });
        nodes.remove(victim).expect("it runs").kill9();
        let killed = Instant::now();
        until_shared(&served, left - 1);
        eprintln!("all partitions ran again {:?} after the kill of {victim}", killed.elapsed());
        let mut taken_over = 0;
        for (name, [runs, _]) in nodes.keys().map(placed_at) {
            let [_, stood_by] = &before[name];
            let came = runs.intersection(&before[victim][0]);
            taken_over += came.filter(|place| stood_by.contains(place)).count();
        }
        // The last node has stood by for all; of three, one may have stood by for more than its share.
        let least = if left == 2 { before[victim][0].len() } else { 1 };
        assert!(taken_over >= least, "{taken_over} of {before:?} at {victim}");
    }
    let numbers = load.end();
    assert_exact(&served, numbers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pipeline_on_several_nodes_is_saved_and_rescaled_under_load() {
    let (served, _nodes) = cluster(&["a", "b", "c"], PIPELINE).await;
    until_shared(&served, 3);
    let load = Load::start(&served);
    served.call(&["savepoint", "create", "numbers", "--name", "kept"]).ok();
    until_shared(&served, 3);
    for (partitions, all) in [("5", 10), ("2", 4)] {
        let rescale = ["rescale", "numbers", "--partitions", partitions, "--wait"];
        served.call(&[&rescale[..], &["--timeout", "90s"]].concat()).ok();
        until_all_shared(&served, 3, all);
    }
    let numbers = load.end();
    assert_exact(&served, numbers).await;
    let kept = served.call(&["savepoint", "ls", "-o", "name"]).ok().stdout;
    assert_eq!(kept, "kept\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_is_drained_and_resumed_under_load() {
    let (served, _nodes) = cluster(&["a", "b"], PIPELINE).await;
    until_shared(&served, 2);
    let load = Load::start(&served);
    served.call(&["node", "drain", "a", "--timeout", "60s"]).ok();
    let listed = served.call(&["node", "ls"]).ok().stdout;
    assert!(listed.contains("drained"), "{listed}");
    let described = served.call(&["node", "describe", "b"]).ok().stdout;
    assert!(described.contains("numbers"), "{described}");
    until_shared(&served, 1);
    served.call(&["node", "resume", "a"]).ok();
    until_shared(&served, 2);
    served.call(&["node", "describe", "nobody"]).failed(4, &["MS1411"]);
    let numbers = load.end();
    assert_exact(&served, numbers).await;
}
