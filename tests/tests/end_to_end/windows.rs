//! Windows: tumbling ones against a real Apache Flink, sessions against the reference model beside the goldens; over
//! files and through JetStream.

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

/// The configuration of a tumbling and of a session job, and the golden that each must equal.
const TUMBLING: (&str, &str) = (r#"{"type":"tumbling","window":{"tumbling":"1m"}}"#, "tumbling");
const SESSION: (&str, &str) = (r#"{"type":"session","window":{"session":"30s"}}"#, "session");

/// Outputs of the sessions' first half of the input, at least.
const FIRST_HALF_AT_LEAST: usize = 500;

/// The pipeline `windows`: the streams of the fraud job with another module.
fn windows(config: &str, partitions: u16) -> PipelineSpec {
    let sandbox = Sandbox::new(Limits::default(), None).unwrap();
    let module = Arc::new(sandbox.compile(&shipped_module("window-sums")).unwrap());
    let mut spec = fraud(5_000, partitions);
    spec.name = "windows".into();
    let stage = &mut spec.stages[0];
    stage.outputs = vec![vec![0]; module.description().outputs.len()];
    stage.module = module;
    stage.config = config.into();
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

fn over_files(spec: &PipelineSpec, input: &str, expected: &str, cache_bytes: usize) {
    let folder = tempfile::tempdir().unwrap();
    let output = Sink::default();
    let options = LocalOptions {
        data: folder.path().to_owned(),
        shared: Shared::new(Budgets { cache_bytes, ..Budgets::default() }),
        threads: 2,
        dead_letters: None,
    };
    let input = Box::new(Cursor::new(golden(input)));
    let stats = run(spec, vec![input], Box::new(output.clone()), options).unwrap();
    assert_eq!(stats.dead_letters, 0, "{:?}", stats.first_dead_letter);
    let found = output.0.lock().unwrap().clone();
    let expected = golden(expected);
    assert_eq!(sorted_lines(&found), sorted_lines(&expected));
}

#[test]
fn windows_over_files_equal_the_goldens_at_1_and_8_partitions() {
    for (config, expected) in [TUMBLING, SESSION] {
        for partitions in [1, 8] {
            over_files(&windows(config, partitions), "input_disorder", expected, 64 << 20);
        }
    }
    over_files(&windows(SESSION.0, 3), "input_inorder", "session_inorder", 64 << 20);
}

#[test]
fn windows_equal_the_goldens_when_state_does_not_fit_the_cache() {
    over_files(&windows(TUMBLING.0, 4), "input_disorder", TUMBLING.1, 16 << 10);
    over_files(&windows(SESSION.0, 4), "input_disorder", SESSION.1, 16 << 10);
}

/// Allowed lateness keeps windows in a map, and each late record fires: the last result of each window is the sum of
/// all its records, whatever the partitions.
#[test]
fn allowed_lateness_gives_the_same_at_any_number_of_partitions() {
    let config = r#"{"type":"tumbling","window":{"tumbling":"1m","allowed_lateness":"2m"}}"#;
    let results = [1, 8].map(|partitions| {
        let folder = tempfile::tempdir().unwrap();
        let output = Sink::default();
        let options = LocalOptions {
            data: folder.path().to_owned(),
            shared: Shared::new(Budgets::default()),
            threads: 2,
            dead_letters: None,
        };
        let input = Box::new(Cursor::new(golden("input_disorder")));
        run(&windows(config, partitions), vec![input], Box::new(output.clone()), options).unwrap();
        let found = output.0.lock().unwrap().clone();
        sorted_lines(&found).join("\n")
    });
    assert_eq!(results[0], results[1]);
    let strict = golden("tumbling");
    let late = |text: &str| text.lines().filter(|line| line.contains(r#""type":"late""#)).count();
    let strict = str::from_utf8(&strict).unwrap();
    assert!(late(&results[0]) < late(strict), "records that were late are not");
    let fired = results[0].lines().count() - late(&results[0]);
    assert!(fired > strict.lines().count() - late(strict), "windows fired again");
}

async fn through_jetstream((config, expected): (&str, &str), partitions: u16) {
    let broker = Broker::start().await;
    broker.stream("TRANSACTIONS", &["tx"]).await;
    broker.stream("RESULTS", &["fraud"]).await;
    let mut records = golden("input_disorder");
    records.extend_from_slice(CLOSER.as_bytes());
    broker.publish_lines("tx", &records).await;

    let data = tempfile::tempdir().unwrap();
    let shared = Shared::new(Budgets::default());
    let worker = Worker::start(broker.connection().await, data.path(), shared, 1).await.unwrap();
    worker.apply(windows(config, partitions)).await.unwrap();
    // The closer's own window stays open: a stream has no end.
    let expected = golden(expected);
    let expected = sorted_lines(&expected);
    let found = broker.read("RESULTS", expected.len()).await;
    assert_eq!(worker.status("windows").await.unwrap().phase, Phase::Running);
    worker.stop("windows", true).await.unwrap();
    assert_eq!(broker.count("RESULTS").await, expected.len() as u64, "each output is there once");
    assert_eq!(sorted_lines(&found), expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tumbling_windows_through_jetstream_equal_flink_at_1_partition() {
    through_jetstream(TUMBLING, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tumbling_windows_through_jetstream_equal_flink_at_8_partitions() {
    through_jetstream(TUMBLING, 8).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_through_jetstream_equal_the_model_at_1_partition() {
    through_jetstream(SESSION, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_through_jetstream_equal_the_model_at_8_partitions() {
    through_jetstream(SESSION, 8).await;
}

/// The owner ends, and another begins with an empty folder: open windows and their timers come out of the log.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn open_sessions_survive_a_worker() {
    let broker = Broker::start().await;
    broker.stream("TRANSACTIONS", &["tx"]).await;
    broker.stream("RESULTS", &["fraud"]).await;
    let mut records = golden("input_disorder");
    records.extend_from_slice(CLOSER.as_bytes());
    let middle = records.len() / 2;
    let half = middle + records[middle..].iter().position(|b| *b == b'\n').unwrap() + 1;

    let start = async |data: &std::path::Path| {
        let shared = Shared::new(Budgets::default());
        let worker = Worker::start(broker.connection().await, data, shared, 1).await.unwrap();
        worker.apply(windows(SESSION.0, 4)).await.unwrap();
        worker
    };
    broker.publish_lines("tx", &records[..half]).await;
    let first = tempfile::tempdir().unwrap();
    let worker = start(first.path()).await;
    broker.read("RESULTS", FIRST_HALF_AT_LEAST).await;
    worker.stop("windows", true).await.unwrap();
    drop((worker, first));

    broker.publish_lines("tx", &records[half..]).await;
    let second = tempfile::tempdir().unwrap();
    let worker = start(second.path()).await;
    let expected = golden(SESSION.1);
    let expected = sorted_lines(&expected);
    let found = broker.read("RESULTS", expected.len()).await;
    worker.stop("windows", true).await.unwrap();
    assert_eq!(broker.count("RESULTS").await, expected.len() as u64, "each output is there once");
    assert_eq!(sorted_lines(&found), expected);
}
