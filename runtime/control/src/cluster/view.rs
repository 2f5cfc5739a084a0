//! Which nodes are there, as one of them sees it.
//!
//! Clocks are never compared between nodes: a node is gone when its lease has not changed for the expiry, by the
//! monotonic clock of who looks. Who sees nothing at all, not even its own lease change, declares nobody gone.
//!
//! A process that dies need not be waited for so long: the broker knows at once that its connection is gone, and says so to
//! whoever asks the node something. That is no proof of anything, but nothing here needs one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::future::join_all;
use millstream_log::connect::Connection;
use millstream_log::kv::{Kv, KvChange, KvEvent};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::membership::{DRAIN_PREFIX, Member, NODE_PREFIX};
use crate::api::access::Identity;
use crate::api::local::Held;
use crate::client::Client;
use crate::errors;
use crate::lease::LeaseOptions;

/// Wait before a watch that ended is opened again.
const WATCH_AGAIN_AFTER: Duration = Duration::from_millis(500);
/// So often in a row must the broker say that a node is not connected.
const MISSES: u32 = 3;

/// A node that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// What its lease says; `refreshes` is 0, so that a refresh is no change of the view.
    pub member: Member,
    /// Whether it gives its partitions away.
    pub draining: bool,
}

/// The nodes that are there, by identity.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// All that were there have been read once.
    pub is_current: bool,
    /// By identity.
    pub nodes: BTreeMap<String, Peer>,
    /// Identities of those that are not there although their leases have not expired: they are not connected.
    pub absent: BTreeSet<String>,
}

/// A node's lease as last seen.
struct Seen {
    member: Member,
    since: Instant,
}

struct Viewer {
    me: String,
    expiry: Duration,
    seen: BTreeMap<String, Seen>,
    draining: BTreeMap<String, ()>,
    /// How often in a row the broker said that a node is not connected.
    misses: BTreeMap<String, u32>,
    view: watch::Sender<View>,
    is_current: bool,
}

/// Looks at the bucket of leases, and asks the nodes, for as long as the handle lives. `me` is the identity of the node
/// that looks.
pub fn start(
    bucket: Arc<dyn Kv>,
    connection: Connection,
    me: String,
    options: LeaseOptions,
) -> (watch::Receiver<View>, AbortOnDropHandle<()>) {
    let (view, seen) = watch::channel(View::default());
    let viewer = Viewer {
        me,
        expiry: options.expiry,
        seen: BTreeMap::new(),
        draining: BTreeMap::new(),
        misses: BTreeMap::new(),
        view,
        is_current: false,
    };
    let (probed, answers) = watch::channel(Probed::new());
    let probing = probe(connection, seen.clone(), viewer.me.clone(), options, probed);
    let task = async move {
        tokio::select! {
            () = viewer.run(bucket, answers) => {}
            () = probing => {}
        }
    };
    (seen, AbortOnDropHandle::new(tokio::spawn(task)))
}

/// Identities of the nodes that were asked, and whether they are connected.
type Probed = BTreeMap<String, bool>;

/// Asks all other nodes again and again whether they are connected. Says nothing while this node itself has no answers:
/// after a broker's failover all connect again, one after the other.
async fn probe(
    connection: Connection,
    view: watch::Receiver<View>,
    me: String,
    options: LeaseOptions,
    probed: watch::Sender<Probed>,
) {
    let mut silent = Instant::now();
    loop {
        tokio::time::sleep(options.look).await;
        let asked: Vec<String> = {
            let view = view.borrow();
            let known = view.nodes.keys().chain(&view.absent);
            known.filter(|identity| **identity != me).cloned().collect()
        };
        let connected = join_all(asked.iter().map(|identity| {
            let client = Client::of_node(connection.clone(), options.look, identity);
            async move {
                let answer = client.call(&Identity {}).await.map(drop);
                // A node of an older version knows another question only.
                let answer = match answer {
                    Err(problems) if problems.has(errors::NO_NODE) => {
                        client.call(&Held {}).await.map(drop)
                    }
                    answer => answer,
                };
                match answer {
                    Err(problems) if problems.has(errors::NO_NODE) => Some(false),
                    Err(problems) if problems.has(errors::NO_NATS) => None,
                    // One that is too busy to answer is connected.
                    _ => Some(true),
                }
            }
        }))
        .await;
        if connected.contains(&None) {
            silent = Instant::now();
        }
        if silent.elapsed() >= options.refresh {
            let found = asked.into_iter().zip(connected.into_iter().flatten());
            probed.send_replace(found.collect());
        }
    }
}

impl Viewer {
    async fn run(mut self, bucket: Arc<dyn Kv>, mut probed: watch::Receiver<Probed>) {
        loop {
            match bucket.watch("").await {
                Ok(mut events) => {
                    // What a watch that was opened again does not mention was deleted in between.
                    let mut present = Some(Vec::new());
                    loop {
                        let event = tokio::select! {
                            event = events.next() => event,
                            Ok(()) = probed.changed() => {
                                self.probed(&probed.borrow_and_update());
                                self.tell();
                                continue;
                            }
                        };
                        let Some(event) = event else { break };
                        match event {
                            Ok(KvEvent::Change(change)) => {
                                present.iter_mut().for_each(|p| p.push(change.key().to_owned()));
                                self.changed(&change);
                            }
                            Ok(KvEvent::Current) => {
                                self.current(&present.take().unwrap_or_default())
                            }
                            Err(error) => {
                                tracing::warn!(%error, "the leases cannot be watched");
                                break;
                            }
                        }
                        self.tell();
                    }
                }
                Err(error) => tracing::warn!(%error, "the leases cannot be watched"),
            }
            tokio::time::sleep(WATCH_AGAIN_AFTER).await;
        }
    }

    fn changed(&mut self, change: &KvChange) {
        if let Some(identity) = change.key().strip_prefix(DRAIN_PREFIX) {
            match change {
                KvChange::Put(_) => self.draining.insert(identity.to_owned(), ()),
                KvChange::Deleted { .. } => self.draining.remove(identity),
            };
        }
        let Some(identity) = change.key().strip_prefix(NODE_PREFIX) else { return };
        let KvChange::Put(entry) = change else {
            self.seen.remove(identity);
            return;
        };
        match serde_json::from_slice::<Member>(&entry.value) {
            Ok(member) => {
                let member = Member { refreshes: 0, ..member };
                self.seen.insert(identity.to_owned(), Seen { member, since: Instant::now() });
            }
            Err(error) => tracing::warn!(%identity, %error, "a node's lease cannot be read"),
        }
    }

    fn current(&mut self, present: &[String]) {
        let is_there = |prefix: &str, identity: &String| {
            present.iter().any(|key| key.strip_prefix(prefix) == Some(identity))
        };
        self.seen.retain(|identity, _| is_there(NODE_PREFIX, identity));
        self.draining.retain(|identity, ()| is_there(DRAIN_PREFIX, identity));
        self.is_current = true;
    }

    fn probed(&mut self, probed: &Probed) {
        let misses = |(identity, &connected): (&String, &bool)| {
            let before = self.misses.get(identity).copied().unwrap_or_default();
            (identity.clone(), if connected { 0 } else { before.saturating_add(1) })
        };
        self.misses = probed.iter().map(misses).collect();
    }

    /// The leases of all come over one watch: what is older than the newest of ours by the expiry has not changed.
    fn tell(&self) {
        let Some(now) = self.seen.get(&self.me).map(|own| own.since) else { return };
        let is_there = |seen: &Seen| now.saturating_duration_since(seen.since) < self.expiry;
        let (mut nodes, mut absent) = (BTreeMap::new(), BTreeSet::new());
        for (identity, seen) in self.seen.iter().filter(|(_, seen)| is_there(seen)) {
            if self.misses.get(identity).is_some_and(|misses| *misses >= MISSES) {
                absent.insert(identity.clone());
                continue;
            }
            let draining = self.draining.contains_key(identity);
            nodes.insert(identity.clone(), Peer { member: seen.member.clone(), draining });
        }
        let view = View { is_current: self.is_current, nodes, absent };
        self.view.send_if_modified(|present| {
            let is_new = *present != view;
            *present = view;
            is_new
        });
    }
}
