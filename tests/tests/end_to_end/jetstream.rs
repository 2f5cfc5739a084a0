//! The same goldens through a real JetStream.

use std::sync::Arc;

use millstream_engine::status::Phase;
use millstream_engine::worker::Worker;
use millstream_state::{Budgets, Shared};
use millstream_tests::broker::Broker;
use millstream_tests::fraud::fraud;
use millstream_tests::{golden, sorted_lines};

/// A record far behind all others, so that everything pending fires as at the end of a file.
pub const CLOSER: &str = r#"{"txn_id":"closer","account_id":"closer","customer_id":"c","amount":10.00,"currency":"EUR","merchant_category":"x","country":"DE","ts":1800000000000}"#;

/// What the closer itself gives.
pub const CLOSER_SCORE: &str = r#"{"account_id":"closer","dt":-1,"n":1,"score":0.0,"ts":1800000000000,"txn_id":"closer","type":"score"}"#;

async fn check(input: &str, expected: &str, bound_ms: i64, partitions: u16) {
    let broker = Broker::start().await;
    broker.stream("TRANSACTIONS", &["tx"]).await;
    broker.stream("RESULTS", &["fraud"]).await;
    let mut records = golden(input);
    records.extend_from_slice(CLOSER.as_bytes());
    broker.publish_lines("tx", &records).await;

    let data = tempfile::tempdir().unwrap();
    let worker =
        Worker::start(broker.connection().await, data.path(), Shared::new(Budgets::default()), 1)
            .await
            .unwrap();
    worker.apply(fraud(bound_ms, partitions)).await.unwrap();
    let mut expected = golden(expected);
    expected.extend_from_slice(CLOSER_SCORE.as_bytes());
    let expected = sorted_lines(&expected);
    let found = broker.read("RESULTS", expected.len()).await;
    assert_eq!(worker.status("fraud").await.unwrap().phase, Phase::Running);
    worker.stop("fraud", true).await.unwrap();
    assert_eq!(broker.count("RESULTS").await, expected.len() as u64, "each output is there once");
    let found = sorted_lines(&found).into_iter().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(found, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fraud_in_order_equals_flink_at_1_partition() {
    check("input_inorder", "fraud", 0, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fraud_in_order_equals_flink_at_8_partitions() {
    check("input_inorder", "fraud", 0, 8).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fraud_out_of_order_equals_flink_at_8_partitions() {
    check("input_disorder", "fraud_disorder", 5_000, 8).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn state_survives_a_worker_that_ends_and_an_empty_folder() {
    let broker = Broker::start().await;
    broker.stream("TRANSACTIONS", &["tx"]).await;
    broker.stream("RESULTS", &["fraud"]).await;
    let records = golden("input_inorder");
    let half = records.len() / 2
        + records[records.len() / 2..].iter().position(|b| *b == b'\n').unwrap()
        + 1;
    let mut expected = golden("fraud");
    expected.extend_from_slice(CLOSER_SCORE.as_bytes());
    let expected = sorted_lines(&expected);

    broker.publish_lines("tx", &records[..half]).await;
    let first = tempfile::tempdir().unwrap();
    let worker =
        Worker::start(broker.connection().await, first.path(), Shared::new(Budgets::default()), 1)
            .await
            .unwrap();
    worker.apply(fraud(0, 4)).await.unwrap();
    broker.read("RESULTS", 9_000).await;
    let stored = worker.checkpoint("fraud").await.unwrap();
    assert_eq!(stored.len(), 4, "each partition stored a checkpoint");
    worker.stop("fraud", true).await.unwrap();
    drop(first);

    let mut rest = records[half..].to_vec();
    rest.extend_from_slice(CLOSER.as_bytes());
    broker.publish_lines("tx", &rest).await;
    let second = tempfile::tempdir().unwrap();
    let worker = Arc::new(
        Worker::start(broker.connection().await, second.path(), Shared::new(Budgets::default()), 1)
            .await
            .unwrap(),
    );
    worker.apply(fraud(0, 4)).await.unwrap();
    let found = broker.read("RESULTS", expected.len()).await;
    worker.stop("fraud", true).await.unwrap();
    let found = sorted_lines(&found).into_iter().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(found, expected);
}
