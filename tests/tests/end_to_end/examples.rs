//! Every pipeline of `examples/` through JetStream in three ways, with one expected file: straight through; with
//! checkpoints, and kills while it is fed; restored by another number of workers with other numbers of threads.

use std::sync::Arc;

use futures::future::join_all;
use millstream_sandbox::Sandbox;
use millstream_tests::broker::Broker;
use millstream_tests::examples::{self, IN_ORDER_OF_ARRIVAL};
use millstream_tests::job::Job;
use millstream_tests::manifest::sandbox;
use millstream_tests::node::Node;
use millstream_tests::progress::Progress;

use crate::kills::{compiled, finish, killed, seed};

/// Tests that share the examples among them: each compiles its own modules only.
const GROUPS: usize = 4;

/// Kills of the worker of a group.
const KILLS: usize = 6;

/// How many workers share the pipelines of a group in turn. Each begins with an empty folder.
const WORKERS: [usize; 3] = [1, 3, 2];

/// Partitions of every stage: with kills and when restored. Straight through there are as many as the manifests say.
const PARTITIONS: (u16, u16) = (3, 5);

fn jobs(sandbox: &Sandbox, group: usize) -> Vec<Job> {
    let examples = examples::all().into_iter().skip(group).step_by(GROUPS);
    let jobs = examples.map(|example| {
        let job = Job::new(sandbox, example.manifest, &example.inputs, Some(&example.expected));
        match IN_ORDER_OF_ARRIVAL.contains(&&example.name[..]) {
            true => job.in_order_of_arrival(),
            false => job,
        }
    });
    jobs.collect()
}

async fn straight(sandbox: &Sandbox, jobs: &[Job]) {
    let (broker, progress) = (Broker::start().await, Arc::<Progress>::default());
    join_all(jobs.iter().map(|job| job.make_streams(&broker))).await;
    let pipelines = jobs.iter().map(|job| job.pipeline(sandbox, None)).collect();
    let node = Node::start(&broker, 1, pipelines, &progress).await;
    join_all(jobs.iter().map(|job| job.feed(&broker, 0..job.len(), &progress))).await;
    finish(&broker, jobs, vec![node], "straight through").await;
}

/// Each pipeline goes from worker to worker, and begins there with its checkpoint.
async fn restored(sandbox: &Sandbox, jobs: &[Job]) {
    let (broker, progress) = (Broker::start().await, Arc::<Progress>::default());
    join_all(jobs.iter().map(|job| job.make_streams(&broker))).await;
    let mut nodes = Vec::new();
    for (phase, workers) in WORKERS.into_iter().enumerate() {
        join_all(nodes.drain(..).map(Node::stop)).await;
        for worker in 0..workers {
            let own = jobs.iter().skip(worker).step_by(workers);
            let pipelines = own.map(|job| job.pipeline(sandbox, Some(PARTITIONS.1)));
            nodes.push(Node::start(&broker, workers, pipelines.collect(), &progress).await);
        }
        let part = |job: &Job| job.part(phase, WORKERS.len());
        join_all(jobs.iter().map(|job| job.feed(&broker, part(job), &progress))).await;
        for job in jobs {
            job.until_committed(part(job).end, &progress).await;
        }
        join_all(nodes.iter().map(Node::checkpoint)).await;
    }
    finish(&broker, jobs, nodes, "restored").await;
}

async fn three_ways(group: usize) {
    let sandbox = sandbox(compiled());
    let jobs = jobs(&sandbox, group);
    straight(&sandbox, &jobs).await;
    killed(&sandbox, &jobs, Some(PARTITIONS.0), KILLS, seed(31 + group as u64)).await;
    restored(&sandbox, &jobs).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn examples_give_the_same_straight_with_kills_and_restored_0() {
    three_ways(0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn examples_give_the_same_straight_with_kills_and_restored_1() {
    three_ways(1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn examples_give_the_same_straight_with_kills_and_restored_2() {
    three_ways(2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn examples_give_the_same_straight_with_kills_and_restored_3() {
    three_ways(3).await;
}
