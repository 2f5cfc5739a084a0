//! The partitions of one pipeline on several workers, moved under load: some are let go of first, some are taken from a worker
//! that does not know it yet; some go on where somebody stood by, some where nothing is.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::join_all;
use millstream_engine::spec::PipelineSpec;
use millstream_engine::worker::{Assigned, Share, Worker};
use millstream_tests::broker::Broker;
use millstream_tests::job::Job;
use millstream_tests::manifest::sandbox;
use millstream_tests::progress::{PATIENCE, Progress};
use millstream_tests::{golden, load, node, workspace};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::kills::{compiled, seed};

/// Assignments in one run.
const ROUNDS: usize = 12;
/// Workers.
const WORKERS: usize = 3;
/// Time between checkpoints, milliseconds: partitions are restored from them, and the log is trimmed.
const CHECKPOINT_INTERVAL_MS: u64 = 200;
/// Payments of a made-up input.
const PAYMENTS: usize = 8_000;

/// Some worker for each partition, and for some of them one that stands by.
fn shuffled(spec: &PipelineSpec, random: &mut StdRng) -> Vec<Share> {
    let mut shares = vec![Share::default(); WORKERS];
    for stage in &spec.stages {
        for partition in 0..stage.partitions {
            let (owner, other) = (random.random_range(0..WORKERS), random.random_range(0..WORKERS));
            let part = |share: &mut Assigned| {
                share.entry(stage.name.clone()).or_default().insert(partition);
            };
            part(&mut shares[owner].runs);
            if other != owner {
                part(&mut shares[other].follows);
            }
        }
    }
    shares
}

/// Has each worker run its partitions; until all do.
async fn assign(workers: &[Worker], spec: &PipelineSpec, shares: &[Share], random: &mut StdRng) {
    if random.random_bool(0.5) {
        for (worker, mine) in workers.iter().zip(shares) {
            worker.release(&spec.name, &mine.runs).await.expect("it lets go");
        }
    }
    let first = random.random_range(0..WORKERS);
    for number in (0..WORKERS).map(|number| (first + number) % WORKERS) {
        let (worker, mine) = (&workers[number], &shares[number]);
        let done = match mine.is_empty() {
            true => worker.stop(&spec.name, false).await,
            false => worker.apply_part(spec.clone(), mine).await.map(drop),
        };
        done.unwrap_or_else(|why| panic!("worker {number}: {why}"));
    }
    // A worker may be fenced while the one before it had not let go yet.
    for (worker, mine) in workers.iter().zip(shares).filter(|(_, mine)| !mine.is_empty()) {
        while worker.held(&spec.name) != mine.runs || is_fenced(worker, spec).await {
            worker.apply_part(spec.clone(), mine).await.expect("it runs its partitions");
            tokio::task::yield_now().await;
        }
    }
}

async fn is_fenced(worker: &Worker, spec: &PipelineSpec) -> bool {
    worker.status(&spec.name).await.is_some_and(|status| status.fenced)
}

async fn moved(job: &Job, spec: PipelineSpec, seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    let spec = PipelineSpec { checkpoint_interval_ms: CHECKPOINT_INTERVAL_MS, ..spec };
    let broker = Broker::start().await;
    job.make_streams(&broker).await;
    let (mut workers, mut folders) = (Vec::new(), Vec::new());
    for _ in 0..WORKERS {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let worker = node::worker(broker.connection().await, folder.path()).await;
        workers.push(worker.expect("a worker"));
        folders.push(folder);
    }
    let progress = Arc::<Progress>::default();
    for round in 0..ROUNDS {
        let shares = shuffled(&spec, &mut random);
        tokio::join!(
            assign(&workers, &spec, &shares, &mut random),
            job.feed(&broker, job.part(round, ROUNDS), &progress),
        );
    }
    let complete = broker.until(|| async { job.is_complete(&broker).await.then_some(()) });
    // What is missing is said below.
    let _ = tokio::time::timeout(PATIENCE, complete).await;
    for worker in &workers {
        if let Some(status) = worker.status(&spec.name).await {
            assert_eq!(status.reason, None);
        }
    }
    let drained = join_all(workers.iter().map(|worker| worker.stop(&spec.name, true)));
    let drained = tokio::time::timeout(PATIENCE, drained).await.expect("they drain in time");
    drained.into_iter().for_each(|drained| drained.expect("it drains"));
    job.assert_exact(&broker, "behind moves").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partitions_of_two_stages_move_between_workers_under_load() {
    let (sandbox, seed) = (sandbox(compiled()), seed(53));
    let manifest = workspace().join("tests/pipelines/two-stages.yaml");
    let inputs = BTreeMap::from([("input".to_owned(), golden("input_disorder"))]);
    let job = Job::new(&sandbox, manifest, &inputs, Some(&golden("tumbling")));
    moved(&job, job.pipeline(&sandbox, None), seed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partitions_of_a_join_move_between_workers_under_load() {
    let (sandbox, seed) = (sandbox(compiled()), seed(59));
    let inputs = load::settlements(seed, PAYMENTS);
    let manifest = workspace().join("examples/payment-settlement/pipeline.yaml");
    let job = Job::new(&sandbox, manifest, &inputs, None);
    moved(&job, job.pipeline(&sandbox, None), seed).await;
}
