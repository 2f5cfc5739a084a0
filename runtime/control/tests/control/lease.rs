//! One owner at a time, and the next one after it.

use std::sync::Arc;

use millstream_control::cluster::view::View;
use millstream_control::lease::{Contender, Holder, Lease, LeaseOptions, OWNER_KEY, Ownership};
use millstream_control::registry::Stores;
use millstream_core::ids::Incarnation;
use millstream_log::server::{NatsServer, ServerOptions};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::support::{PATIENCE, QUICK_LEASE, connect};

/// A start of a node.
fn contender(node: &str, identity: u128, incarnation: u128) -> Contender {
    Contender {
        node: node.into(),
        identity: Incarnation(identity),
        incarnation: Incarnation(incarnation),
    }
}

/// The view of a node that sees no others.
fn nobody_seen() -> tokio::sync::watch::Receiver<View> {
    tokio::sync::watch::channel(View::default()).1
}

async fn until(handle: &mut millstream_control::lease::LeaseHandle, wanted: Ownership) {
    let waiting = handle.until(|ownership| *ownership == wanted);
    let found = tokio::time::timeout(PATIENCE, waiting).await;
    found.unwrap_or_else(|_| panic!("not {wanted:?} in time")).expect("the lease runs");
}

#[tokio::test]
async fn the_second_contender_waits_for_the_expiry_or_the_release() {
    let server = NatsServer::start(ServerOptions::default()).await.unwrap();
    let stores = Stores::open(&connect(&server).await.into(), 1).await.unwrap();
    let contend = |node: &str, number| {
        let stop = CancellationToken::new();
        let bucket = Arc::clone(&stores.leases);
        let (handle, task) = Lease::start(
            bucket,
            &contender(node, number, number),
            QUICK_LEASE,
            nobody_seen(),
            stop.clone(),
        );
        (handle, task, stop)
    };
    let (mut first, first_task, _first_stop) = contend("a", 1);
    until(&mut first, Ownership::Holding).await;
    let (mut second, second_task, second_stop) = contend("b", 2);
    until(&mut second, Ownership::Contending(Some("a".into()))).await;

    // A crash: nobody refreshes any more. Not before the expiry the other one takes over.
    let crashed = Instant::now();
    first_task.abort();
    until(&mut second, Ownership::Holding).await;
    let waited = crashed.elapsed();
    assert!(waited >= QUICK_LEASE.expiry - QUICK_LEASE.refresh, "taken over after {waited:?}");

    // A graceful end: the third one need not wait.
    let (mut third, third_task, third_stop) = contend("c", 3);
    until(&mut third, Ownership::Contending(Some("b".into()))).await;
    second_stop.cancel();
    second_task.await.unwrap();
    until(&mut third, Ownership::Holding).await;
    third_stop.cancel();
    third_task.await.unwrap();
    assert_eq!(stores.leases.get(OWNER_KEY).await.unwrap(), None);
}

#[tokio::test]
async fn the_same_node_started_again_need_not_wait() {
    let server = NatsServer::start(ServerOptions::default()).await.unwrap();
    let stores = Stores::open(&connect(&server).await.into(), 1).await.unwrap();
    // Nobody waits so long in a test: whoever holds the lease did not wait for its expiry.
    let long = LeaseOptions { expiry: PATIENCE * 10, ..QUICK_LEASE };
    let contend = |identity, incarnation| {
        let stop = CancellationToken::new();
        let bucket = Arc::clone(&stores.leases);
        Lease::start(bucket, &contender("a", identity, incarnation), long, nobody_seen(), stop)
    };
    let (mut first, first_task) = contend(1, 1);
    until(&mut first, Ownership::Holding).await;
    let (mut stranger, stranger_task) = contend(9, 9);
    until(&mut stranger, Ownership::Contending(Some("a".into()))).await;
    first_task.abort();
    let (mut second, _second_task) = contend(1, 2);
    until(&mut second, Ownership::Holding).await;
    // A copy of the folder is started: the one before notices, and does not take the lease back at once.
    let (mut copy, _copy_task) = contend(1, 3);
    until(&mut copy, Ownership::Holding).await;
    until(&mut second, Ownership::Contending(Some("a".into()))).await;
    let refreshed = |from: u64| {
        let stores = &stores;
        async move {
            loop {
                let entry = stores.leases.get(OWNER_KEY).await.unwrap().expect("it is held");
                let holder: Holder = serde_json::from_slice(&entry.value).unwrap();
                assert_eq!(holder.incarnation, format!("{:032x}", 3));
                if holder.refreshes >= from {
                    return;
                }
                tokio::task::yield_now().await;
            }
        }
    };
    tokio::time::timeout(PATIENCE, refreshed(5)).await.expect("it keeps the lease");
    assert_eq!(stranger.ownership(), Ownership::Contending(Some("a".into())));
    stranger_task.abort();
}

#[tokio::test]
async fn an_owner_that_was_replaced_notices() {
    let server = NatsServer::start(ServerOptions::default()).await.unwrap();
    let stores = Stores::open(&connect(&server).await.into(), 1).await.unwrap();
    let stop = CancellationToken::new();
    let bucket = Arc::clone(&stores.leases);
    let (mut lease, task) =
        Lease::start(bucket, &contender("a", 1, 1), QUICK_LEASE, nobody_seen(), stop.clone());
    until(&mut lease, Ownership::Holding).await;
    let usurper =
        Holder { node: "z".into(), identity: "9".into(), incarnation: "9".into(), refreshes: 0 };
    stores.leases.put(OWNER_KEY, serde_json::to_vec(&usurper).unwrap().into()).await.unwrap();
    until(&mut lease, Ownership::Contending(Some("z".into()))).await;
    // And takes the lease back when the other one is silent.
    until(&mut lease, Ownership::Holding).await;
    stop.cancel();
    task.await.unwrap();
}

#[tokio::test]
async fn an_owner_without_a_broker_doubts_and_recovers() {
    let mut server = NatsServer::start(ServerOptions::default()).await.unwrap();
    let stores = Stores::open(&connect(&server).await.into(), 1).await.unwrap();
    let stop = CancellationToken::new();
    let bucket = Arc::clone(&stores.leases);
    let (mut lease, task) =
        Lease::start(bucket, &contender("a", 1, 1), QUICK_LEASE, nobody_seen(), stop.clone());
    until(&mut lease, Ownership::Holding).await;
    server.kill9();
    until(&mut lease, Ownership::Doubtful).await;
    server.restart().await.unwrap();
    until(&mut lease, Ownership::Holding).await;
    stop.cancel();
    task.await.unwrap();
}
