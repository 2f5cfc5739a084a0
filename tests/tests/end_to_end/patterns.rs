//! The pattern job of the goldens, over files and through JetStream: what Apache Flink's CEP library found.

use std::io::{Cursor, Write};
use std::sync::{Arc, Mutex};

use millstream_engine::local::{LocalOptions, run};
use millstream_engine::spec::PipelineSpec;
use millstream_engine::status::Phase;
use millstream_engine::worker::Worker;
use millstream_sandbox::{Limits, Sandbox};
use millstream_state::{Budgets, Shared};
use millstream_tests::broker::Broker;
use millstream_tests::fraud::fraud;
use millstream_tests::{golden, shipped_module, sorted_lines};

use crate::jetstream::CLOSER;

/// Watermark bound of the goldens.
const BOUND_MS: i64 = 5_000;

/// The fraud job's source and sink, with a pattern between them.
fn pattern(partitions: u16) -> PipelineSpec {
    let mut spec = fraud(BOUND_MS, partitions);
    let sandbox = Sandbox::new(Limits::default(), None).unwrap();
    let module = Arc::new(sandbox.compile(&shipped_module("small-then-large")).unwrap());
    spec.name = "pattern".into();
    let stage = &mut spec.stages[0];
    stage.name = "pattern".into();
    stage.outputs = vec![vec![0]; module.description().outputs.len()];
    stage.module = module;
    spec.sinks[0].subject = "pattern".into();
    spec
}

/// A writer that a test looks into afterwards.
#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn check_files(input: &str, expected: &str, partitions: u16, cache_bytes: usize) {
    let folder = tempfile::tempdir().unwrap();
    let output = Sink::default();
    let options = LocalOptions {
        data: folder.path().to_owned(),
        shared: Shared::new(Budgets { cache_bytes, ..Budgets::default() }),
        threads: 2,
        dead_letters: None,
    };
    let input = Box::new(Cursor::new(golden(input)));
    let stats = run(&pattern(partitions), vec![input], Box::new(output.clone()), options).unwrap();
    assert_eq!(stats.dead_letters, 0, "{:?}", stats.first_dead_letter);
    let (found, expected) = (output.0.lock().unwrap().clone(), golden(expected));
    assert_eq!(sorted_lines(&found), sorted_lines(&expected), "{partitions} partitions");
}

#[test]
fn patterns_over_files_equal_flink_at_1_and_8_partitions() {
    for partitions in [1, 8] {
        check_files("input_inorder", "pattern_inorder", partitions, 64 << 20);
        check_files("input_disorder", "pattern", partitions, 64 << 20);
    }
}

#[test]
fn patterns_equal_flink_when_state_does_not_fit_the_cache() {
    check_files("input_disorder", "pattern", 4, 64 << 10);
}

async fn broker() -> Broker {
    let broker = Broker::start().await;
    broker.stream("TRANSACTIONS", &["tx"]).await;
    broker.stream("RESULTS", &["pattern"]).await;
    broker
}

async fn worker(broker: &Broker, data: &std::path::Path) -> Worker {
    let shared = Shared::new(Budgets::default());
    Worker::start(broker.connection().await, data, shared, 1).await.unwrap()
}

async fn check_jetstream(partitions: u16) {
    let broker = broker().await;
    let mut records = golden("input_disorder");
    // It moves the watermark past all others, and waits itself.
    records.extend_from_slice(CLOSER.as_bytes());
    broker.publish_lines("tx", &records).await;
    let data = tempfile::tempdir().unwrap();
    let worker = worker(&broker, data.path()).await;
    worker.apply(pattern(partitions)).await.unwrap();
    let expected = golden("pattern");
    let expected = sorted_lines(&expected);
    let found = broker.read("RESULTS", expected.len()).await;
    assert_eq!(worker.status("pattern").await.unwrap().phase, Phase::Running);
    worker.stop("pattern", true).await.unwrap();
    assert_eq!(broker.count("RESULTS").await, expected.len() as u64, "each output is there once");
    assert_eq!(sorted_lines(&found), expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn patterns_through_jetstream_equal_flink_at_1_partition() {
    check_jetstream(1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn patterns_through_jetstream_equal_flink_at_8_partitions() {
    check_jetstream(8).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partial_matches_survive_a_worker_that_ends_and_an_empty_folder() {
    let broker = broker().await;
    let records = golden("input_disorder");
    let half = records.len() / 2;
    let half = half + records[half..].iter().position(|byte| *byte == b'\n').unwrap() + 1;
    broker.publish_lines("tx", &records[..half]).await;
    let first = tempfile::tempdir().unwrap();
    let one = worker(&broker, first.path()).await;
    one.apply(pattern(4)).await.unwrap();
    broker.read("RESULTS", 300).await;
    assert_eq!(one.checkpoint("pattern").await.unwrap().len(), 4);
    one.stop("pattern", true).await.unwrap();
    drop(first);

    let mut rest = records[half..].to_vec();
    rest.extend_from_slice(CLOSER.as_bytes());
    broker.publish_lines("tx", &rest).await;
    let second = tempfile::tempdir().unwrap();
    let two = worker(&broker, second.path()).await;
    two.apply(pattern(4)).await.unwrap();
    let expected = golden("pattern");
    let expected = sorted_lines(&expected);
    let found = broker.read("RESULTS", expected.len()).await;
    two.stop("pattern", true).await.unwrap();
    assert_eq!(broker.count("RESULTS").await, expected.len() as u64);
    assert_eq!(sorted_lines(&found), expected);
}
