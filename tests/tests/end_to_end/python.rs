//! The guest in Python, `examples/python`: the results of Apache Flink, over files and through kills.
//!
//! Its component takes Python to build (`cargo xtask build --python`), which nothing else here does. So these tests are
//! ignored unless they are asked for; `cargo xtask test` does so where it could build the component.

use std::collections::BTreeMap;
use std::path::PathBuf;

use millstream_engine::spec::PipelineSpec;
use millstream_tests::files::{ROOMY_CACHE_BYTES, check_over_files};
use millstream_tests::job::Job;
use millstream_tests::manifest::{pipeline, sandbox};
use millstream_tests::{golden, workspace};

use crate::kills::{compiled, killed, seed};

/// Kills of the worker.
const KILLS: usize = 6;

fn manifest() -> PathBuf {
    workspace().join("examples/python/pipeline.yaml")
}

fn fraud(bound_ms: i64, partitions: u16) -> PipelineSpec {
    let mut spec = pipeline(&sandbox(compiled()), &manifest(), Some(partitions));
    spec.sources[0].watermark.bound_ms = bound_ms;
    spec
}

#[test]
#[ignore = "needs the component of `cargo xtask build --python`"]
fn a_guest_in_python_equals_flink_at_1_and_8_partitions() {
    for partitions in [1, 8] {
        check_over_files(&fraud(0, partitions), "input_inorder", "fraud", ROOMY_CACHE_BYTES);
        let spec = fraud(5_000, partitions);
        check_over_files(&spec, "input_disorder", "fraud_disorder", ROOMY_CACHE_BYTES);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs the component of `cargo xtask build --python`"]
async fn kills_of_a_guest_in_python_lose_and_double_nothing() {
    let (sandbox, seed) = (sandbox(compiled()), seed(53));
    let inputs = BTreeMap::from([("input".to_owned(), golden("input_disorder"))]);
    let job = Job::new(&sandbox, manifest(), &inputs, Some(&golden("fraud_disorder")));
    killed(&sandbox, &[job], Some(3), KILLS, seed).await;
}
