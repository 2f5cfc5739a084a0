//! The goldens that a real Apache Flink computed, over files.

use millstream_tests::files::{ROOMY_CACHE_BYTES, check_over_files};
use millstream_tests::fraud::fraud;

#[test]
fn fraud_in_order_equals_flink_at_1_and_8_partitions() {
    for partitions in [1, 8] {
        check_over_files(&fraud(0, partitions), "input_inorder", "fraud", ROOMY_CACHE_BYTES);
    }
}

#[test]
fn fraud_out_of_order_equals_flink_at_1_and_8_partitions() {
    for partitions in [1, 8] {
        let spec = fraud(5_000, partitions);
        check_over_files(&spec, "input_disorder", "fraud_disorder", ROOMY_CACHE_BYTES);
    }
}

#[test]
fn fraud_equals_flink_when_state_does_not_fit_the_cache() {
    check_over_files(&fraud(5_000, 4), "input_disorder", "fraud_disorder", 64 << 10);
}
