//! The pipelines of `examples/` through JetStream with one expected file: straight through, and with checkpoints and
//! kills while they are fed.

use std::sync::Arc;

use futures::future::join_all;
use millstream_sandbox::Sandbox;
use millstream_tests::broker::Broker;
use millstream_tests::examples::{self, IN_ORDER_OF_ARRIVAL, NOT_KILLED};
use millstream_tests::job::Job;
use millstream_tests::manifest::sandbox;
use millstream_tests::node::Node;
use millstream_tests::progress::Progress;

use crate::kills::{compiled, finish, killed, seed};

/// Tests that share the examples among them: each compiles its own modules only.
const GROUPS: usize = 4;

/// Kills of the worker of a group.
const KILLS: usize = 6;

/// Partitions of every stage with kills. Straight through there are as many as the manifests say.
const PARTITIONS: u16 = 3;

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

async fn both_ways(group: usize) {
    let sandbox = sandbox(compiled());
    let jobs = jobs(&sandbox, group);
    straight(&sandbox, &jobs).await;
    let jobs: Vec<Job> =
        jobs.into_iter().filter(|job| !NOT_KILLED.contains(&&job.name[..])).collect();
    killed(&sandbox, &jobs, Some(PARTITIONS), KILLS, seed(31 + group as u64)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn examples_give_the_same_straight_through_and_with_kills_0() {
    both_ways(0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn examples_give_the_same_straight_through_and_with_kills_1() {
    both_ways(1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn examples_give_the_same_straight_through_and_with_kills_2() {
    both_ways(2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn examples_give_the_same_straight_through_and_with_kills_3() {
    both_ways(3).await;
}
