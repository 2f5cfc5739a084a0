//! Pipelines of several stages: what goes through an exchange gives what one stage gives, whatever the partitions of
//! both, over files and through JetStream, and across owners.

use millstream_engine::status::Phase;
use millstream_engine::worker::Worker;
use millstream_state::{Budgets, Shared};
use millstream_tests::broker::Broker;
use millstream_tests::files::{ROOMY_CACHE_BYTES, check_over_files};
use millstream_tests::golden_job::CLOSER;
use millstream_tests::stages::{Path, stages};
use millstream_tests::{golden, sorted_lines};

/// Configuration of the windows, how they are reached, and the golden.
type Job = (&'static str, Path, &'static str);

const TUMBLING: Job = (r#"{"type":"tumbling","window":{"tumbling":"1m"}}"#, Path::Two, "tumbling");
const CHAINED_TUMBLING: Job = (TUMBLING.0, Path::Chained, TUMBLING.2);
const CHAINED_SESSION: Job = (SESSION.0, Path::Chained, SESSION.2);
const SESSION: Job = (r#"{"type":"session","window":{"session":"30s"}}"#, Path::One, "session");

#[test]
fn two_stages_over_files_equal_one_at_any_number_of_partitions() {
    for (config, path, expected) in [TUMBLING, SESSION, CHAINED_TUMBLING, CHAINED_SESSION] {
        for partitions in [(1, 1), (4, 8), (8, 3)] {
            let spec = stages(config, path, partitions);
            check_over_files(&spec, "input_disorder", expected, ROOMY_CACHE_BYTES);
        }
    }
}

/// Through JetStream, by as many workers in turn, each with an empty folder.
async fn through_jetstream((config, path, expected): Job, partitions: (u16, u16), workers: usize) {
    let broker = Broker::start().await;
    broker.stream("TRANSACTIONS", &["tx"]).await;
    broker.stream("RESULTS", &["fraud"]).await;
    let mut records = golden("input_disorder");
    records.extend_from_slice(CLOSER.as_bytes());
    let lines: Vec<&[u8]> = records.split_inclusive(|b| *b == b'\n').collect();
    let expected = golden(expected);
    let expected = sorted_lines(&expected);
    let mut found = Vec::new();
    for (i, part) in lines.chunks(lines.len().div_ceil(workers)).enumerate() {
        broker.publish_lines("tx", &part.concat()).await;
        let data = tempfile::tempdir().unwrap();
        let shared = Shared::new(Budgets::default());
        let connection = broker.connection().await;
        let worker = Worker::start(connection, data.path(), shared, 1).await.unwrap();
        worker.apply(stages(config, path, partitions)).await.unwrap();
        if i + 1 == workers {
            // The closer's own window stays open: a stream has no end.
            found = broker.read("RESULTS", expected.len()).await;
            assert_eq!(worker.status("stages").await.unwrap().phase, Phase::Running);
        } else {
            broker.read("RESULTS", expected.len() * i / workers + 1).await;
        }
        worker.stop("stages", true).await.unwrap();
    }
    assert_eq!(broker.count("RESULTS").await, expected.len() as u64, "each output is there once");
    assert_eq!(sorted_lines(&found), expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_stages_through_jetstream_equal_one() {
    through_jetstream(TUMBLING, (4, 8), 1).await;
    through_jetstream(SESSION, (8, 2), 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_stages_go_on_with_another_worker_where_the_last_one_ended() {
    through_jetstream(TUMBLING, (4, 3), 5).await;
    through_jetstream(SESSION, (2, 4), 5).await;
    through_jetstream(CHAINED_SESSION, (4, 0), 5).await;
}
