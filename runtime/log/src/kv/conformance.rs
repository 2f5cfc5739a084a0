//! What every bucket must do, run against the double and a real server.

use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;

use super::{
    BucketOptions, JetStreamKv, Kv, KvChange, KvEntry, KvError, KvEvent, MemoryKv, Revision,
};
use crate::Name;
use crate::server::{NatsServer, ServerOptions};

fn value(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

fn shown(change: &KvChange) -> (String, Option<Bytes>, u64) {
    match change {
        KvChange::Put(KvEntry { key, value, revision, .. }) => {
            (key.clone(), Some(value.clone()), revision.0)
        }
        KvChange::Deleted { key, revision, .. } => (key.clone(), None, revision.0),
    }
}

fn put(key: &str, text: &'static str, revision: u64) -> (String, Option<Bytes>, u64) {
    (key.to_owned(), Some(value(text)), revision)
}

/// `history` of the bucket is 3.
async fn suite(kv: &dyn Kv) {
    assert_eq!(kv.get("a").await.unwrap(), None);
    assert_eq!(kv.keys("").await.unwrap(), [""; 0]);
    assert_eq!(kv.history("a").await.unwrap(), []);
    for bad in ["", ".a", "a.", "a..b", "a b", "a*", "a>"] {
        assert!(matches!(kv.put(bad, value("x")).await, Err(KvError::Key { .. })), "{bad:?}");
    }
    // Create, compare and swap, delete.
    assert_eq!(kv.create("a", value("1"), None).await.unwrap(), Revision(1));
    assert!(matches!(kv.create("a", value("x"), None).await, Err(KvError::Exists { .. })));
    assert_eq!(kv.update("a", value("2"), Revision(1), None).await.unwrap(), Revision(2));
    let conflict = kv.update("a", value("x"), Revision(1), None).await;
    assert!(matches!(conflict, Err(KvError::Conflict { expected: 1, .. })), "{conflict:?}");
    assert_eq!(kv.put("a", value("3")).await.unwrap(), Revision(3));
    assert_eq!(
        kv.get("a").await.unwrap().map(|entry| (entry.value, entry.revision)),
        Some((value("3"), Revision(3)))
    );
    assert!(matches!(kv.delete("a", Some(Revision(2))).await, Err(KvError::Conflict { .. })));
    kv.delete("a", Some(Revision(3))).await.unwrap();
    assert_eq!(kv.get("a").await.unwrap(), None);
    assert_eq!(kv.create("a", value("4"), None).await.unwrap(), Revision(5));
    let history: Vec<_> = kv.history("a").await.unwrap().iter().map(shown).collect();
    assert_eq!(history, [put("a", "3", 3), ("a".into(), None, 4), put("a", "4", 5)]);

    // Prefixes are texts.
    kv.put("node.b", value("b")).await.unwrap();
    kv.put("node.c", value("c")).await.unwrap();
    kv.put("nodes", value("n")).await.unwrap();
    kv.delete("node.c", None).await.unwrap();
    assert_eq!(kv.keys("node.").await.unwrap(), ["node.b"]);
    assert_eq!(kv.keys("").await.unwrap(), ["a", "node.b", "nodes"]);

    // A watch shows what is there, then what happens.
    let mut watch = kv.watch("node").await.unwrap();
    kv.put("node.d", value("d")).await.unwrap();
    kv.put("other", value("o")).await.unwrap();
    kv.delete("node.b", None).await.unwrap();
    kv.put("a", value("5")).await.unwrap();
    kv.put("node.d", value("d2")).await.unwrap();
    let mut seen = Vec::new();
    let mut current_after = None;
    while seen.last() != Some(&put("node.d", "d2", 14)) {
        match watch.next().await.unwrap().unwrap() {
            KvEvent::Change(change) => seen.push(shown(&change)),
            KvEvent::Current => current_after = Some(seen.len()),
        }
    }
    assert_eq!(current_after, Some(2));
    assert_eq!(seen[..2], [put("node.b", "b", 6), put("nodes", "n", 8)]);
    assert_eq!(
        seen[2..],
        [put("node.d", "d", 10), ("node.b".into(), None, 12), put("node.d", "d2", 14)]
    );
    let mut empty = kv.watch("nothing").await.unwrap();
    assert_eq!(empty.next().await.unwrap().unwrap(), KvEvent::Current);
}

fn options() -> BucketOptions {
    BucketOptions { history: 3, ..BucketOptions::default() }
}

#[tokio::test]
async fn memory() {
    suite(&MemoryKv::new("b", options())).await;
}

#[tokio::test]
async fn jetstream() {
    let server = NatsServer::start(ServerOptions::default()).await.unwrap();
    let connection = server.connect().await.unwrap();
    let bucket = Name::new("b").unwrap();
    let kv = JetStreamKv::open(&connection, &bucket, &options()).await.unwrap();
    suite(&kv).await;
    // Other clients see a bucket like any other.
    let theirs = connection.jetstream().get_key_value("b").await.unwrap();
    assert_eq!(theirs.get("a").await.unwrap(), Some(value("5")));
    theirs.put("theirs", value("t")).await.unwrap();
    assert_eq!(kv.get("theirs").await.unwrap().unwrap().value, value("t"));
    theirs.purge("theirs").await.unwrap();
    assert_eq!(kv.get("theirs").await.unwrap(), None);
    JetStreamKv::delete_bucket(&connection, &bucket).await.unwrap();
    JetStreamKv::delete_bucket(&connection, &bucket).await.unwrap();
}

/// A lease: created with a time to live, renewed by an update, gone when it is not renewed; watchers are told.
async fn lease(kv: &dyn Kv, pass: impl AsyncFn()) {
    let ttl = Some(Duration::from_secs(1));
    let created = kv.create("lease", value("me"), ttl).await.unwrap();
    let mut watch = kv.watch("lease").await.unwrap();
    assert!(matches!(watch.next().await.unwrap().unwrap(), KvEvent::Change(KvChange::Put(_))));
    assert_eq!(watch.next().await.unwrap().unwrap(), KvEvent::Current);
    let renewed = kv.update("lease", value("me"), created, ttl).await.unwrap();
    assert!(renewed > created);
    assert!(matches!(watch.next().await.unwrap().unwrap(), KvEvent::Change(KvChange::Put(_))));
    pass().await;
    assert!(matches!(
        watch.next().await.unwrap().unwrap(),
        KvEvent::Change(KvChange::Deleted { .. })
    ));
    assert_eq!(kv.get("lease").await.unwrap(), None);
    // Whoever lost it cannot renew it; anybody can take it.
    assert!(matches!(
        kv.update("lease", value("me"), renewed, ttl).await,
        Err(KvError::Conflict { .. })
    ));
    kv.create("lease", value("you"), ttl).await.unwrap();
}

#[tokio::test]
async fn leases_end() {
    let options = BucketOptions { value_ttl: true, ..BucketOptions::default() };
    let memory = MemoryKv::new("b", options.clone());
    lease(&memory, async || memory.set_time(1_000_000_000)).await;
    let server = NatsServer::start(ServerOptions::default()).await.unwrap();
    let connection = server.connect().await.unwrap();
    let kv = JetStreamKv::open(&connection, &Name::new("b").unwrap(), &options).await.unwrap();
    // The watch itself waits for the end.
    lease(&kv, async || ()).await;
    let without =
        JetStreamKv::open(&connection, &Name::new("c").unwrap(), &BucketOptions::default())
            .await
            .unwrap();
    let refused = without.create("x", value("x"), Some(Duration::from_secs(1))).await;
    assert!(matches!(refused, Err(KvError::NoTtl { .. })), "{refused:?}");
}

#[tokio::test]
async fn a_watch_goes_on_after_the_server_was_killed() {
    let mut server = NatsServer::start(ServerOptions::default()).await.unwrap();
    let connection = server.connect().await.unwrap();
    let kv = JetStreamKv::open(&connection, &Name::new("b").unwrap(), &BucketOptions::default())
        .await
        .unwrap();
    kv.put("a", value("1")).await.unwrap();
    kv.put("b", value("1")).await.unwrap();
    let mut watch = kv.watch("").await.unwrap();
    while watch.next().await.unwrap().unwrap() != KvEvent::Current {}
    server.kill9();
    server.restart().await.unwrap();
    // Through another connection, so that the watcher's own has to come back by itself.
    let connection = server.connect().await.unwrap();
    let other = JetStreamKv::open(&connection, &Name::new("b").unwrap(), &BucketOptions::default())
        .await
        .unwrap();
    other.put("a", value("2")).await.unwrap();
    other.delete("b", None).await.unwrap();
    let mut seen = Vec::new();
    while seen.len() < 2 {
        if let KvEvent::Change(change) = watch.next().await.unwrap().unwrap() {
            seen.push(shown(&change));
        }
    }
    assert_eq!(seen, [put("a", "2", 3), ("b".into(), None, 4)]);
}
