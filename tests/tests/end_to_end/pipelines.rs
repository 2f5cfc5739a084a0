//! What operators meet: swaps under load, poison, a damaged database, a source that lost records.

use std::sync::Arc;
use std::time::Duration;

use millstream_engine::spec::{OnError, PipelineSpec};
use millstream_engine::status::Phase;
use millstream_sandbox::{Limits, Sandbox};
use millstream_tests::fraud::fraud;
use millstream_tests::golden_job::{CLOSER, CLOSER_SCORE, GoldenJob, broker, worker};
use millstream_tests::{damage_databases, shipped_module, sorted_lines};
use rustix::process::Signal;

/// How long an answer may take that waits for nothing.
const PATIENCE: Duration = Duration::from_secs(10);

/// The same module under another digest: with one more custom section.
fn another_version(spec: &PipelineSpec, number: u8) -> PipelineSpec {
    let mut bytes = shipped_module("card-fraud");
    bytes.extend_from_slice(&[0, 3, 1, b'v', number]);
    let sandbox = Sandbox::new(Limits::default(), None).unwrap();
    let mut spec = spec.clone();
    spec.stages[0].module = Arc::new(sandbox.compile(&bytes).unwrap()).into();
    spec
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn modules_are_swapped_under_load_without_loss() {
    let broker = broker().await;
    let data = tempfile::tempdir().unwrap();
    let worker = worker(&broker, data.path()).await;
    let spec = fraud(0, 4);
    worker.apply(spec.clone()).await.unwrap();
    let job = GoldenJob::fraud("input_inorder", "fraud");
    let load = broker.publish_lines("tx", &job.records);
    let swaps = async {
        for number in 0..5 {
            let next = another_version(&spec, number);
            let digest = next.stages[0].module.digest();
            let pause = worker.apply(next).await.unwrap();
            assert!(pause.is_some(), "it was swapped, not started anew");
            let status = worker.status("fraud").await.unwrap();
            let expected: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
            assert!(status.stages[0].partitions.iter().all(|p| p.module == expected));
        }
    };
    tokio::join!(load, swaps);
    broker.read("RESULTS", job.outputs()).await;
    worker.stop("fraud", true).await.unwrap();
    job.is_exact(&broker).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn poison_becomes_a_dead_letter_and_the_rest_goes_on() {
    let broker = broker().await;
    let data = tempfile::tempdir().unwrap();
    let worker = worker(&broker, data.path()).await;
    worker.apply(fraud(0, 4)).await.unwrap();
    broker
        .publish_lines(
            "tx",
            format!("{CLOSER}\nnot json\n{{\"account_id\":\"a\",\"ts\":1}}").as_bytes(),
        )
        .await;
    let letters = broker.read_records("MILLSTREAM_DLQ", 2).await;
    let causes: Vec<_> = letters.iter().map(|l| l.headers["Millstream-Cause"].as_str()).collect();
    assert!(causes.iter().any(|c| c.starts_with("undecodable: ")), "{causes:?}");
    let mut payloads: Vec<_> =
        letters.iter().map(|l| String::from_utf8_lossy(&l.payload)).collect();
    payloads.sort();
    assert_eq!(payloads, ["not json", "{\"account_id\":\"a\",\"ts\":1}"]);
    let first = letters.iter().find(|l| l.payload == "not json").unwrap();
    assert_eq!(first.headers["Millstream-Sequence"], "2");
    assert_eq!(first.headers["Millstream-Source"], "TRANSACTIONS");
    assert_eq!(first.headers["Millstream-Attempts"], "1");
    assert_eq!(sorted_lines(&broker.read("RESULTS", 1).await), [CLOSER_SCORE]);
    worker.stop("fraud", true).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stage_that_must_not_skip_stops_before_poison_and_says_where() {
    let broker = broker().await;
    let data = tempfile::tempdir().unwrap();
    let worker = worker(&broker, data.path()).await;
    let mut spec = fraud(0, 1);
    spec.stages[0].on_error = OnError::Stop;
    worker.apply(spec).await.unwrap();
    broker.publish_lines("tx", format!("{CLOSER}\nnot json").as_bytes()).await;
    let reason = broker.until(|| async { worker.status("fraud").await.unwrap().reason }).await;
    assert!(reason.contains("record 2 of `transactions`"), "{reason}");
    assert_eq!(broker.count("RESULTS").await, 1, "what came before it is published");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_local_database_is_rebuilt() {
    let broker = broker().await;
    let data = tempfile::tempdir().unwrap();
    let first = worker(&broker, data.path()).await;
    first.apply(fraud(0, 2)).await.unwrap();
    let job = GoldenJob::fraud("input_inorder", "fraud");
    let (first_half, rest) = job.halves();
    broker.publish_lines("tx", first_half).await;
    broker.read("RESULTS", 9_000).await;
    first.checkpoint("fraud").await.unwrap();
    first.stop("fraud", true).await.unwrap();
    drop(first);
    let damaged = damage_databases(data.path());
    assert!(damaged >= 4, "there were databases to damage: {damaged}");
    let second = worker(&broker, data.path()).await;
    second.apply(fraud(0, 2)).await.unwrap();
    broker.publish_lines("tx", rest).await;
    broker.read("RESULTS", job.outputs()).await;
    second.stop("fraud", true).await.unwrap();
    job.is_exact(&broker).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_that_lost_records_stops_the_pipeline() {
    let broker = broker().await;
    let data = tempfile::tempdir().unwrap();
    let worker = worker(&broker, data.path()).await;
    worker.apply(fraud(0, 2)).await.unwrap();
    broker.publish_lines("tx", CLOSER.as_bytes()).await;
    broker.read("RESULTS", 1).await;
    worker.stop("fraud", true).await.unwrap();
    for _ in 0..9 {
        broker.publish_lines("tx", CLOSER.as_bytes()).await;
    }
    broker.purge("TRANSACTIONS", 8).await;
    worker.apply(fraud(0, 2)).await.unwrap();
    let reason = broker.until(|| async { worker.status("fraud").await.unwrap().reason }).await;
    assert!(reason.contains("lost sequences 2 to 7"), "{reason}");
    assert_eq!(worker.status("fraud").await.unwrap().phase, Phase::Failed);
    assert_eq!(broker.count("RESULTS").await, 1, "nothing behind the gap was processed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pipeline_can_be_looked_at_while_it_is_being_stopped() {
    let broker = broker().await;
    let data = tempfile::tempdir().unwrap();
    let worker = worker(&broker, data.path()).await;
    worker.apply(fraud(0, 2)).await.unwrap();
    broker.publish_lines("tx", &GoldenJob::fraud("input_inorder", "fraud").records).await;
    broker.read("RESULTS", 1_000).await;
    // The server stands still, and with it the last commits.
    broker.signal(Signal::STOP);
    let mut stop = std::pin::pin!(worker.stop("fraud", false));
    assert!(futures::poll!(stop.as_mut()).is_pending());
    let status = tokio::time::timeout(PATIENCE, worker.status("fraud")).await;
    assert!(status.expect("it waits for nobody").is_some());
    let metrics = tokio::time::timeout(PATIENCE, worker.metrics_text()).await;
    assert!(metrics.expect("they wait for nobody").contains("pipeline=\"fraud\""));
    broker.signal(Signal::CONT);
    stop.await.unwrap();
    assert!(worker.status("fraud").await.is_none());
}
