//! Streams whose records vanish once they are acknowledged, read by owners that are killed under load: also between a commit and
//! its acknowledgements, so that records come again that must not count again.

use std::time::Duration;

use async_nats::jetstream::stream::RetentionPolicy;
use millstream_engine::crash::{CrashPoint, Step};
use millstream_engine::ingest;
use millstream_engine::spec::PipelineSpec;
use millstream_tests::broker::Broker;
use millstream_tests::fraud::{SOURCE, fraud};
use millstream_tests::golden_job::{GoldenJob, worker};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::kills::seed;
use crate::owner::Owner;

/// Owners that are killed.
const KILLS: usize = 12;
/// How long something may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// A part is published in so many steps, one in this time: commits come between them.
const STEPS: usize = 8;
const PACE: Duration = Duration::from_millis(50);
/// The last commit behind which a doomed owner dies: a part makes more than so many.
const DOOMED_COMMIT_MAX: usize = 8;

async fn in_time<T>(what: &str, wanted: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, wanted).await.unwrap_or_else(|_| panic!("not in time: {what}"))
}

fn pipeline() -> PipelineSpec {
    let mut pipeline = fraud(0, 4);
    ingest::insert([SOURCE], &mut pipeline);
    pipeline
}

async fn load(broker: &Broker, records: &[u8]) {
    let lines: Vec<&[u8]> = records.split_inclusive(|b| *b == b'\n').collect();
    let mut pace = tokio::time::interval(PACE);
    for some in lines.chunks(lines.len().div_ceil(STEPS)) {
        pace.tick().await;
        broker.publish_lines("tx", &some.concat()).await;
    }
}

async fn killed(retention: RetentionPolicy, seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    let job = GoldenJob::fraud("input_inorder", "fraud");
    let broker = Broker::start().await;
    broker.stream_with("TRANSACTIONS", &["tx"], retention).await;
    broker.stream("RESULTS", &["fraud"]).await;
    let data = tempfile::tempdir().unwrap();
    let (mut parts, mut published) = (job.parts(KILLS + 1).into_iter(), 0);
    for kill in 0..KILLS {
        let part = parts.next().expect("one per kill");
        let lines = part.iter().filter(|b| **b == b'\n').count();
        let dies_behind = (kill % 2 == 0).then(|| random.random_range(1..=DOOMED_COMMIT_MAX));
        let crash = dies_behind.map(|count| (CrashPoint::After(Step::AppendCommit), count));
        let owner = Owner::start_consuming(&broker, data.path(), crash);
        // Without a consumer nobody is interested.
        let is_read = || async { (broker.consumers("TRANSACTIONS").await > 0).then_some(()) };
        in_time("a consumer", broker.until(is_read)).await;
        // Every record gives at least one output.
        let target = published + random.random_range(1..=lines as u64);
        eprintln!("kill {kill}: behind commit {dies_behind:?}, or {target} outputs");
        let dies = async {
            if crash.is_some() {
                in_time("its death", owner.died()).await;
                return;
            }
            let is_there = || async { (broker.count("RESULTS").await >= target).then_some(()) };
            in_time("outputs", broker.until(is_there)).await;
            owner.kill();
        };
        tokio::join!(dies, load(&broker, &part));
        published += lines as u64;
    }
    let last = worker(&broker, data.path()).await;
    last.apply(pipeline()).await.unwrap();
    broker.publish_lines("tx", &parts.next().expect("one is left")).await;
    in_time("all outputs", broker.read("RESULTS", job.outputs())).await;
    let is_empty = || async { (broker.count("TRANSACTIONS").await == 0).then_some(()) };
    in_time("all acknowledgements", broker.until(is_empty)).await;
    last.stop("fraud", true).await.unwrap();
    job.is_exact(&broker).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_over_a_work_queue_lose_and_double_nothing() {
    killed(RetentionPolicy::WorkQueue, seed(53)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_over_an_interest_stream_lose_and_double_nothing() {
    killed(RetentionPolicy::Interest, seed(59)).await;
}
