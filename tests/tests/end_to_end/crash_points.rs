//! An owner that dies before and after every durable step, one after the other, under load: the outputs are exact all the same.

use std::path::Path;
use std::time::Duration;

use millstream_engine::crash::{CrashPoint, Step};
use millstream_engine::status::{Phase, PipelineStatus};
use millstream_tests::broker::Broker;
use millstream_tests::damage_databases;
use millstream_tests::fraud::fraud;
use millstream_tests::golden_job::{GoldenJob, broker, worker};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::kills::seed;
use crate::owner::Owner;

/// How long an owner may take to reach its end.
const PATIENCE: Duration = Duration::from_secs(60);

/// A part's records are published in so many steps, one in this time: longer than from one checkpoint to the next.
const AT_A_PACE: usize = 8;
const PACE: Duration = Duration::from_millis(250);

/// Checkpoints that are kept of a partition.
const CHECKPOINTS_KEPT: usize = 3;

/// How often a step comes, at least, in the life of an owner that has some records to process.
fn times(step: Step) -> usize {
    match step {
        Step::AppendCommit | Step::PublishOutput | Step::PersistState => 4,
        // There are four partitions.
        Step::AppendTakeover | Step::TakeCheckpoint | Step::UploadFile | Step::RestoreFile => 4,
        Step::RemoveLeftovers | Step::OpenState => 4,
        _ => 1,
    }
}

/// Stores as many checkpoints of each partition as are kept: with the next one, the oldest is forgotten.
async fn store_checkpoints(broker: &Broker, data: &Path) {
    for _ in 0..CHECKPOINTS_KEPT {
        let worker = worker(broker, data).await;
        worker.apply(fraud(0, 4)).await.unwrap();
        let status = || worker.status("fraud");
        let is_running = |s: &PipelineStatus| s.phase == Phase::Running;
        let running = broker.until(|| async { status().await.filter(is_running) });
        if tokio::time::timeout(PATIENCE, running).await.is_err() {
            panic!("it does not run: {:?}", worker.status("fraud").await);
        }
        let stored = tokio::time::timeout(PATIENCE, worker.checkpoint("fraud")).await;
        assert_eq!(stored.expect("checkpoints are stored").unwrap().len(), 4);
        worker.stop("fraud", false).await.unwrap();
    }
}

/// Publishes records a few at a time, so that commits and checkpoints come between them.
async fn load(broker: &Broker, records: &[u8]) {
    let lines: Vec<&[u8]> = records.split_inclusive(|b| *b == b'\n').collect();
    let mut pace = tokio::time::interval(PACE);
    for some in lines.chunks(lines.len().div_ceil(AT_A_PACE)) {
        pace.tick().await;
        broker.publish_lines("tx", &some.concat()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_death_at_every_crash_point_loses_and_doubles_nothing() {
    let mut random = StdRng::seed_from_u64(seed(23));
    let job = GoldenJob::fraud("input_inorder", "fraud");
    let broker = broker().await;
    let data = tempfile::tempdir().unwrap();
    let points: Vec<CrashPoint> = CrashPoint::all().collect();
    let mut parts = job.parts(points.len() + 1).into_iter();
    for point in points {
        let (CrashPoint::Before(step) | CrashPoint::After(step)) = point;
        // Some steps come only when something is missing.
        match step {
            Step::RestoreFile | Step::EmptyFolder => {
                // Who died before it was emptied has made none.
                let removed = std::fs::remove_dir_all(data.path());
                assert!(removed.is_ok() || !data.path().exists(), "{removed:?}");
            }
            Step::ForgetCheckpoint | Step::ForgetManifest | Step::ForgetFile => {
                store_checkpoints(&broker, data.path()).await
            }
            Step::WipeState => assert!(damage_databases(data.path()) > 0, "{point}"),
            _ => {}
        }
        let count = random.random_range(1..=times(step));
        eprintln!("{point}@{count}");
        let owner = Owner::start_doomed(&broker, data.path(), point, count);
        let part = parts.next().expect("one per point");
        let died = tokio::time::timeout(PATIENCE, owner.died());
        tokio::join!(
            async { died.await.unwrap_or_else(|_| panic!("{point} is not reached {count} times")) },
            load(&broker, &part),
        );
    }
    broker.publish_lines("tx", &parts.next().expect("one is left")).await;
    let last = worker(&broker, data.path()).await;
    last.apply(fraud(0, 4)).await.unwrap();
    broker.read("RESULTS", job.outputs()).await;
    last.stop("fraud", true).await.unwrap();
    job.is_exact(&broker).await;
}
