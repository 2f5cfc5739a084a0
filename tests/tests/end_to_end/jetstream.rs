//! The same goldens through a real JetStream.

use millstream_engine::status::Phase;
use millstream_tests::fraud::fraud;
use millstream_tests::golden_job::{GoldenJob, broker, worker};

/// Outputs of the first half of the input, at least.
const FIRST_HALF_AT_LEAST: usize = 9_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fraud_in_order_equals_flink_at_1_partition() {
    GoldenJob::fraud("input_inorder", "fraud").check(fraud(0, 1)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fraud_in_order_equals_flink_at_8_partitions() {
    GoldenJob::fraud("input_inorder", "fraud").check(fraud(0, 8)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fraud_out_of_order_equals_flink_at_1_partition() {
    GoldenJob::fraud("input_disorder", "fraud_disorder").check(fraud(5_000, 1)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fraud_out_of_order_equals_flink_at_8_partitions() {
    GoldenJob::fraud("input_disorder", "fraud_disorder").check(fraud(5_000, 8)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn state_survives_a_worker_that_ends_and_an_empty_folder() {
    let job = GoldenJob::fraud("input_inorder", "fraud");
    job.check_restored(fraud(0, 4), FIRST_HALF_AT_LEAST, true).await;
}

/// What a checkpoint holds is trimmed from the log, and the next owner has neither a folder nor the log's beginning: it
/// must go on from the restored checkpoint.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_checkpoint_is_restored_when_the_log_is_trimmed() {
    let job = GoldenJob::fraud("input_inorder", "fraud");
    let (first_half, rest) = job.halves();
    let broker = broker().await;
    let first = tempfile::tempdir().unwrap();
    let one = worker(&broker, first.path()).await;
    one.apply(fraud(0, 4)).await.unwrap();
    broker.publish_lines("tx", first_half).await;
    broker.read("RESULTS", FIRST_HALF_AT_LEAST).await;
    assert_eq!(one.checkpoint("fraud").await.unwrap().len(), 4);
    let beginning = || broker.first_sequence("MILLSTREAM_LOG_fraud");
    broker.until(|| async { (beginning().await > 1).then_some(()) }).await;
    one.stop("fraud", true).await.unwrap();
    drop((one, first));

    broker.publish_lines("tx", rest).await;
    let second = tempfile::tempdir().unwrap();
    let two = worker(&broker, second.path()).await;
    two.apply(fraud(0, 4)).await.unwrap();
    broker.read("RESULTS", job.outputs()).await;
    assert_eq!(two.status("fraud").await.unwrap().phase, Phase::Running);
    two.stop("fraud", true).await.unwrap();
    job.is_exact(&broker).await;
}
