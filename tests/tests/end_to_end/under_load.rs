//! Kills under load: pipelines of several stages, a join, and broadcast rules, whose results must be those of files.

use std::collections::BTreeMap;
use std::path::PathBuf;

use millstream_tests::job::Job;
use millstream_tests::manifest::sandbox;
use millstream_tests::{golden, load, workspace};

use crate::kills::{compiled, killed, seed};

/// Kills of the worker in one run.
const KILLS: usize = 12;

/// Payments of a made-up input.
const PAYMENTS: usize = 8_000;

fn stages(name: &str) -> PathBuf {
    workspace().join("tests/pipelines").join(name).with_extension("yaml")
}

fn example(name: &str) -> PathBuf {
    workspace().join("examples").join(name)
}

fn only(input: Vec<u8>) -> BTreeMap<String, Vec<u8>> {
    BTreeMap::from([("input".to_owned(), input)])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_between_the_stages_of_a_pipeline_lose_and_double_nothing() {
    let (sandbox, seed) = (sandbox(compiled()), seed(41));
    let read = |file: &str| std::fs::read(example("card-score").join(file)).expect("a file");
    let jobs = [
        Job::new(
            &sandbox,
            stages("two-stages"),
            &only(golden("input_disorder")),
            Some(&golden("tumbling")),
        ),
        Job::new(
            &sandbox,
            example("card-score").join("pipeline.yaml"),
            &only(read("input.ndjson")),
            Some(&read("expected.ndjson")),
        ),
    ];
    killed(&sandbox, &jobs, None, KILLS, seed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_in_a_join_lose_and_double_nothing() {
    let (sandbox, seed) = (sandbox(compiled()), seed(43));
    let inputs = load::settlements(seed, PAYMENTS);
    let manifest = example("payment-settlement").join("pipeline.yaml");
    let job = Job::new(&sandbox, manifest, &inputs, None);
    job.assert_gives(&["settled", "overdue", "unknown", "late"]);
    killed(&sandbox, &[job], None, KILLS, seed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_while_rules_are_broadcast_lose_and_double_nothing() {
    let (sandbox, seed) = (sandbox(compiled()), seed(47));
    let inputs = load::rules(seed, PAYMENTS);
    let manifest = example("live-rules").join("pipeline.yaml");
    let job = Job::new(&sandbox, manifest, &inputs, None);
    job.assert_gives(&["alert", "late_payment", "late_rule"]);
    killed(&sandbox, &[job], None, KILLS, seed).await;
}
