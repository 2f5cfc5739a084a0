//! The pattern job of the goldens, over files and through JetStream: what Apache Flink's CEP library found.

use millstream_engine::spec::PipelineSpec;
use millstream_tests::files::{ROOMY_CACHE_BYTES, check_over_files};
use millstream_tests::fraud::on_fraud_streams;
use millstream_tests::golden_job::GoldenJob;

/// Watermark bound of the goldens.
const BOUND_MS: i64 = 5_000;

/// Outputs of the first half of the input, at least.
const FIRST_HALF_AT_LEAST: usize = 300;

fn pattern(partitions: u16) -> PipelineSpec {
    on_fraud_streams("pattern", "small-then-large", "{}", BOUND_MS, partitions)
}

/// The closer moves the watermark past all others, and waits itself.
fn job() -> GoldenJob {
    GoldenJob::new("input_disorder", "pattern")
}

#[test]
fn patterns_over_files_equal_flink_at_1_and_8_partitions() {
    for partitions in [1, 8] {
        let spec = pattern(partitions);
        check_over_files(&spec, "input_inorder", "pattern_inorder", ROOMY_CACHE_BYTES);
        check_over_files(&spec, "input_disorder", "pattern", ROOMY_CACHE_BYTES);
    }
}

#[test]
fn patterns_equal_flink_when_state_does_not_fit_the_cache() {
    check_over_files(&pattern(4), "input_disorder", "pattern", 64 << 10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn patterns_through_jetstream_equal_flink_at_1_partition() {
    job().check(pattern(1)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn patterns_through_jetstream_equal_flink_at_8_partitions() {
    job().check(pattern(8)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partial_matches_survive_a_worker_that_ends_and_an_empty_folder() {
    job().check_restored(pattern(4), FIRST_HALF_AT_LEAST, true).await;
}
