//! Jobs whose worker is killed again and again while they are fed, and what they give all the same.

use std::path::Path;
use std::sync::Arc;

use futures::future::join_all;
use millstream_sandbox::Sandbox;
use millstream_tests::broker::Broker;
use millstream_tests::job::Job;
use millstream_tests::node::Node;
use millstream_tests::progress::{CHECKPOINTS, Progress, STARTED};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::sync::watch;

use crate::owner::{JobSettings, Owner};

/// Time between checkpoints, milliseconds: kills meet them, and trimming as well.
const CHECKPOINT_INTERVAL_MS: u64 = 200;

/// Modules that tests have compiled, for all of them.
pub fn compiled() -> &'static Path {
    Path::new(concat!(env!("CARGO_TARGET_TMPDIR"), "/compiled"))
}

/// The seed of a test: `MILLSTREAM_SEED`, or its own. It is shown with a failed test.
pub fn seed(own: u64) -> u64 {
    let given = std::env::var("MILLSTREAM_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = given.unwrap_or(own);
    eprintln!("seed {seed}: repeat with MILLSTREAM_SEED={seed}");
    seed
}

/// When a process is killed.
#[derive(Debug)]
enum Moment {
    /// When so many pipelines have started.
    Started(u64),
    /// When the record of a job with this number is committed.
    Committed { job: usize, record: usize },
    /// When so many checkpoints of partitions are stored.
    Checkpointed(u64),
}

impl Moment {
    /// Some moment in a round: of every four the first and the third come in the middle of the input. All of them come,
    /// wherever the processes before were killed.
    fn random(random: &mut StdRng, round: usize, rounds: usize, jobs: &[Job]) -> Self {
        match round % 4 {
            1 => Moment::Checkpointed(random.random_range(1..=3)),
            3 => Moment::Started(random.random_range(0..=jobs.len() as u64)),
            _ => {
                let fed: Vec<_> = (0..jobs.len())
                    .map(|job| (job, jobs[job].part(round, rounds)))
                    .filter(|(_, part)| !part.is_empty())
                    .collect();
                let (job, part) = fed[random.random_range(0..fed.len())].clone();
                Moment::Committed { job, record: random.random_range(part) }
            }
        }
    }

    async fn until(&self, jobs: &[Job], progress: &Progress) {
        match *self {
            Moment::Started(count) => progress.until(STARTED, count).await,
            Moment::Checkpointed(count) => progress.until(CHECKPOINTS, count).await,
            Moment::Committed { job, record } => {
                let (name, position) = jobs[job].position(record);
                progress.until(&name, position).await;
            }
        }
    }
}

/// Runs jobs in one process after the other, each killed at some moment while a part of the input is fed, and the last
/// part in a worker that is not. Then all must be there once.
pub async fn killed(
    sandbox: &Sandbox,
    jobs: &[Job],
    partitions: Option<u16>,
    kills: usize,
    seed: u64,
) {
    let mut random = StdRng::seed_from_u64(seed);
    let broker = Broker::start().await;
    join_all(jobs.iter().map(|job| job.make_streams(&broker))).await;
    let (data, progress) = (tempfile::tempdir().expect("a folder"), Arc::<Progress>::default());
    let (parts, (fed, _)) = (kills + 1, watch::channel(0));
    let feed = async |job: &Job| {
        let mut wanted = fed.subscribe();
        for part in 0..parts {
            wanted.wait_for(|wanted| *wanted > part).await.expect("the sender is kept");
            job.feed(&broker, job.part(part, parts), &progress).await;
        }
    };
    let kill = async {
        for round in 0..kills {
            let settings = JobSettings {
                data: data.path(),
                compiled: compiled(),
                checkpoint_interval_ms: CHECKPOINT_INTERVAL_MS,
                partitions,
            };
            let moment = Moment::random(&mut random, round, parts, jobs);
            eprintln!("kill {round}: {moment:?}");
            progress.forget_process();
            let owner = Owner::of_jobs(&broker, jobs, &settings, &progress);
            fed.send_replace(round + 1);
            moment.until(jobs, &progress).await;
            owner.kill();
        }
        fed.send_replace(parts);
        let pipelines = jobs.iter().map(|job| job.pipeline(sandbox, partitions));
        Node::start(&broker, 2, pipelines.collect(), &progress).await
    };
    let (last, _) = tokio::join!(kill, join_all(jobs.iter().map(feed)));
    finish(&broker, jobs, vec![last], "behind kills").await;
}

/// Waits until all has come out, stops the workers, and checks that everything is there once.
pub async fn finish(broker: &Broker, jobs: &[Job], nodes: Vec<Node>, how: &str) {
    let complete = async {
        for job in jobs {
            broker.until(|| async { job.is_complete(broker).await.then_some(()) }).await;
        }
    };
    // What is missing is said below.
    let _ = tokio::time::timeout(millstream_tests::progress::PATIENCE, complete).await;
    join_all(nodes.into_iter().map(Node::stop)).await;
    for job in jobs {
        job.assert_exact(broker, how).await;
    }
}
