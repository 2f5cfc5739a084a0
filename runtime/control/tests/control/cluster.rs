//! Several nodes: each runs its share, and the others take it over.

use std::collections::BTreeSet;

use millstream_control::api::node::{Describe, Drain, List, NodeState, Resume};
use millstream_control::api::pipelines::{Delete, Get, Stop};
use millstream_control::api::status::Phase;
use millstream_control::errors;
use millstream_control::worker::Worker;

use crate::support::{Cluster, PATIENCE, RunningNode, guest, manifest};

/// A cluster of two nodes with the pipeline `p` of two partitions.
async fn two() -> (Cluster, RunningNode) {
    let cluster = Cluster::start().await;
    let module = cluster.push(guest(), false).await.unwrap().module;
    cluster.apply(&manifest("p", &format!("sha256:{}", module.digest))).await.unwrap();
    cluster.node.worker.called("resume p").await;
    let other = RunningNode::start(&cluster.server, "n2").await;
    (cluster, other)
}

/// Waits until the nodes have these numbers of partitions of `p`, and all partitions are somebody's.
async fn until_held(nodes: &[&RunningNode], wanted: &[usize]) {
    let held = || -> Vec<BTreeSet<u16>> {
        let of = |node: &&RunningNode| node.worker.held("p").remove("work").unwrap_or_default();
        nodes.iter().map(of).collect()
    };
    let reached = async {
        loop {
            let held = held();
            let counts: Vec<usize> = held.iter().map(BTreeSet::len).collect();
            let all: BTreeSet<u16> = held.into_iter().flatten().collect();
            if counts == wanted && all.len() == 2 {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    let found = tokio::time::timeout(PATIENCE, reached).await;
    found.unwrap_or_else(|_| panic!("not {wanted:?} in time: {:?}", held()));
}

#[tokio::test]
async fn a_node_that_joins_takes_its_share_and_one_that_dies_loses_it() {
    let (cluster, other) = two().await;
    until_held(&[&cluster.node, &other], &[1, 1]).await;
    let whole = cluster
        .until("p", |info| {
            let status = info.status.as_ref().unwrap();
            status.phase == Phase::Running && status.stages[0].partitions.len() == 2
        })
        .await;
    let numbers: Vec<u16> =
        whole.status.unwrap().stages[0].partitions.iter().map(|p| p.partition).collect();
    assert_eq!(numbers, [0, 1], "the status is put together from both nodes");

    other.crash().await;
    until_held(&[&cluster.node], &[2]).await;
    let third = RunningNode::start(&cluster.server, "n3").await;
    until_held(&[&cluster.node, &third], &[1, 1]).await;
    // The coordinator itself goes: the other node coordinates.
    cluster.node.crash().await;
    until_held(&[&third], &[2]).await;
    third.stop().await;
}

#[tokio::test]
async fn a_standby_is_another_node_and_becomes_the_owner() {
    let cluster = Cluster::start().await;
    let module = cluster.push(guest(), false).await.unwrap().module;
    let text = manifest("p", &format!("sha256:{}", module.digest));
    let text = text.replace("partitions: 2", "partitions: 2\n    standbys: 1");
    cluster.apply(&text).await.unwrap();
    let other = RunningNode::start(&cluster.server, "n2").await;
    until_held(&[&cluster.node, &other], &[1, 1]).await;
    let follows = |node: &RunningNode| node.worker.ready_all().remove("p").unwrap_or_default();
    let stands_by = async {
        while follows(&other) != cluster.node.worker.held("p") {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, stands_by).await.expect("it stands by for what it has not");
    let described = cluster.ask(&Describe { node: "n2".into() }).await;
    assert_eq!((described.partitions.len(), described.standbys.len()), (1, 1));
    assert!(described.standbys[0].ready);

    cluster.node.crash().await;
    until_held(&[&other], &[2]).await;
    assert!(follows(&other).is_empty(), "nobody stands by for itself");
    other.stop().await;
}

#[tokio::test]
async fn a_node_that_leaves_gives_its_partitions_back_first() {
    let (cluster, other) = two().await;
    until_held(&[&cluster.node, &other], &[1, 1]).await;
    let worker = other.stop().await;
    assert!(worker.calls().contains(&"stop p".to_owned()), "{:?}", worker.calls());
    until_held(&[&cluster.node], &[2]).await;
    cluster.node.stop().await;
}

#[tokio::test]
async fn a_drained_node_has_nothing_until_it_is_resumed() {
    let (cluster, other) = two().await;
    until_held(&[&cluster.node, &other], &[1, 1]).await;
    let drained = cluster.ask(&Drain { node: "n1".into() }).await;
    assert_eq!((drained.state, drained.coordinator), (NodeState::Draining, true));
    until_held(&[&cluster.node, &other], &[0, 2]).await;
    let listed = cluster.ask(&List {}).await.nodes;
    let listed: Vec<_> =
        listed.iter().map(|n| (n.node.as_str(), n.state, n.assigned, n.running)).collect();
    let expected = [("n1", NodeState::Draining, 0, Some(0)), ("n2", NodeState::Live, 2, Some(2))];
    assert_eq!(listed, expected);
    let described = cluster.ask(&Describe { node: "n2".into() }).await;
    let places: Vec<_> = described
        .partitions
        .iter()
        .map(|p| (p.pipeline.as_str(), p.stage.as_str(), p.partition, p.assigned, p.running))
        .collect();
    assert_eq!(places, [("p", "work", 0, true, true), ("p", "work", 1, true, true)]);

    cluster.ask(&Resume { node: drained.identity }).await;
    until_held(&[&cluster.node, &other], &[1, 1]).await;
    let unknown = cluster.refused(&Drain { node: "n7".into() }).await;
    assert_eq!(unknown.0[0].code, errors::NODE_UNKNOWN);
    other.stop().await;
    cluster.node.stop().await;
}

#[tokio::test]
async fn a_drain_and_a_deletion_are_done_when_all_nodes_are() {
    let (cluster, other) = two().await;
    until_held(&[&cluster.node, &other], &[1, 1]).await;
    other.worker.never_drain("p");
    cluster.ask(&Stop { pipeline: "p".into(), drain: true, by: "me".into() }).await;
    cluster.node.worker.called("stop p drain").await;
    other.worker.called("stop p drain").await;
    let info = cluster.ask(&Get { pipeline: "p".into() }).await;
    assert_ne!(info.status.unwrap().phase, Phase::Stopped, "one node still drains");

    cluster.ask(&Delete { pipeline: "p".into(), by: "me".into() }).await;
    other.worker.called("discard p").await;
    cluster.node.worker.called("delete p millstream").await;
    assert!(!other.worker.calls().contains(&"delete p millstream".to_owned()));
    other.stop().await;
    cluster.node.stop().await;
}
