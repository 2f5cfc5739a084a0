//! The same goldens through a real JetStream.

use millstream_tests::fraud::fraud;
use millstream_tests::golden_job::GoldenJob;

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
async fn fraud_out_of_order_equals_flink_at_8_partitions() {
    GoldenJob::fraud("input_disorder", "fraud_disorder").check(fraud(5_000, 8)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn state_survives_a_worker_that_ends_and_an_empty_folder() {
    let job = GoldenJob::fraud("input_inorder", "fraud");
    job.check_restored(fraud(0, 4), FIRST_HALF_AT_LEAST, true).await;
}
