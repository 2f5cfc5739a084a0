//! Which nodes are there, as one of them sees it.
//!
//! Clocks are never compared between nodes: a node is gone when its lease has not changed for the expiry, by the
//! monotonic clock of who looks. Who sees nothing at all, not even its own lease change, declares nobody gone.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use millstream_log::kv::{Kv, KvChange, KvEvent};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::membership::{DRAIN_PREFIX, Member, NODE_PREFIX};
use crate::lease::LeaseOptions;

/// Wait before a watch that ended is opened again.
const WATCH_AGAIN_AFTER: Duration = Duration::from_millis(500);

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
    view: watch::Sender<View>,
    is_current: bool,
}

/// Looks at the bucket of leases for as long as the handle lives. `me` is the identity of the node that looks.
pub fn start(
    bucket: Arc<dyn Kv>,
    me: String,
    options: LeaseOptions,
) -> (watch::Receiver<View>, AbortOnDropHandle<()>) {
    let (view, seen) = watch::channel(View::default());
    let viewer = Viewer {
        me,
        expiry: options.expiry,
        seen: BTreeMap::new(),
        draining: BTreeMap::new(),
        view,
        is_current: false,
    };
    (seen, AbortOnDropHandle::new(tokio::spawn(viewer.run(bucket))))
}

impl Viewer {
    async fn run(mut self, bucket: Arc<dyn Kv>) {
        loop {
            match bucket.watch("").await {
                Ok(mut events) => {
                    // What a watch that was opened again does not mention was deleted in between.
                    let mut present = Some(Vec::new());
                    while let Some(event) = events.next().await {
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

    /// The leases of all come over one watch: what is older than the newest of ours by the expiry has not changed.
    fn tell(&self) {
        let Some(now) = self.seen.get(&self.me).map(|own| own.since) else { return };
        let is_there = |seen: &Seen| now.saturating_duration_since(seen.since) < self.expiry;
        let nodes = self.seen.iter().filter(|(_, seen)| is_there(seen)).map(|(identity, seen)| {
            let draining = self.draining.contains_key(identity);
            (identity.clone(), Peer { member: seen.member.clone(), draining })
        });
        let view = View { is_current: self.is_current, nodes: nodes.collect() };
        self.view.send_if_modified(|present| {
            let is_new = *present != view;
            *present = view;
            is_new
        });
    }
}
