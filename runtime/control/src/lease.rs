//! Which node coordinates the cluster of an account: one lease in a key-value bucket.
//!
//! The lease decides who *tries*. Who *may* write is decided by the commit log alone, so that a node that was
//! stopped and wakes up cannot do harm, whatever this module believes.
//!
//! Clocks are never compared between nodes: a contender takes the lease when it has seen no change of it for
//! the expiry, on its own monotonic clock. One that is started again where the holder ran (same
//! [`Contender::identity`]) need not wait: it takes the lease when it looks for the first time; nor need others when the
//! holder is not connected any more ([`View::absent`]).

use std::sync::Arc;
use std::time::Duration;

use millstream_core::ids::Incarnation;
use millstream_log::kv::{Kv, KvError, Revision};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::cluster::view::View;

/// Key of the lease.
pub const OWNER_KEY: &str = "owner";

/// What the key holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Name of the node.
    pub node: String,
    /// Number of the node's data folder, hexadecimal.
    #[serde(default)]
    pub identity: String,
    /// Random number of this start of the node, hexadecimal.
    pub incarnation: String,
    /// Counts refreshes, so that every one is a change that contenders see.
    pub refreshes: u64,
}

/// How the lease is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseOptions {
    /// Time between refreshes.
    pub refresh: Duration,
    /// A lease that did not change for so long is taken over. Longer than a broker's failover.
    pub expiry: Duration,
    /// How often a contender looks.
    pub look: Duration,
}

impl Default for LeaseOptions {
    /// Refreshed every 5 s, taken over after 15 s, looked at every second.
    fn default() -> Self {
        LeaseOptions {
            refresh: Duration::from_secs(5),
            expiry: Duration::from_secs(15),
            look: Duration::from_secs(1),
        }
    }
}

/// Who contends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contender {
    /// Name of the node, for people.
    pub node: String,
    /// The same at every start on one data folder, which only one process at a time uses.
    pub identity: Incarnation,
    /// Random number of this start.
    pub incarnation: Incarnation,
}

/// Whether this node is the owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ownership {
    /// Another node is, or nobody yet. The name of the holder, if there is one.
    Contending(Option<String>),
    /// This node is.
    Holding,
    /// This node was, and has not been able to refresh for the expiry: it starts nothing new.
    Doubtful,
}

/// Follows the lease.
#[derive(Clone, Debug)]
pub struct LeaseHandle {
    ownership: watch::Receiver<Ownership>,
    refreshed: watch::Receiver<Instant>,
    expiry: Duration,
}

impl LeaseHandle {
    /// The present ownership.
    pub fn ownership(&self) -> Ownership {
        self.ownership.borrow().clone()
    }

    /// Whether this node is to do what only the owner does. A process that has slept for the expiry is not, before it has found
    /// out who is.
    pub fn holds(&self) -> bool {
        match self.ownership() {
            Ownership::Holding => self.refreshed.borrow().elapsed() < self.expiry,
            Ownership::Doubtful => true,
            Ownership::Contending(_) => false,
        }
    }

    /// Waits until `wanted` holds. None if the lease's task ended first.
    pub async fn until(&mut self, wanted: impl FnMut(&Ownership) -> bool) -> Option<Ownership> {
        self.ownership.wait_for(wanted).await.ok().map(|ownership| ownership.clone())
    }
}

/// Contends for the lease and keeps it.
pub struct Lease {
    bucket: Arc<dyn Kv>,
    me: Holder,
    options: LeaseOptions,
    ownership: watch::Sender<Ownership>,
    /// When the newest refresh was sent that is known to have been stored.
    refreshed: watch::Sender<Instant>,
    view: watch::Receiver<View>,
    seen: Option<Seen>,
    /// Whether it has not looked yet: only then may the holder be the process before this one. Later the same
    /// identity means that somebody copied the folder, and both must not take the lease from each other for ever.
    first: bool,
}

/// The lease as last seen, and since when it is so.
#[derive(Clone, Copy)]
struct Seen {
    at: Revision,
    since: Instant,
}

impl Lease {
    /// Starts contending until `stop`; then the lease is given back, so that another node need not wait.
    /// The task ends with its handle.
    pub fn start(
        bucket: Arc<dyn Kv>,
        contender: &Contender,
        options: LeaseOptions,
        view: watch::Receiver<View>,
        stop: CancellationToken,
    ) -> (LeaseHandle, AbortOnDropHandle<()>) {
        let (ownership, seen) = watch::channel(Ownership::Contending(None));
        let (refreshed, refreshes) = watch::channel(Instant::now());
        let handle = LeaseHandle { ownership: seen, refreshed: refreshes, expiry: options.expiry };
        let me = Holder {
            node: contender.node.clone(),
            identity: format!("{:032x}", contender.identity.0),
            incarnation: format!("{:032x}", contender.incarnation.0),
            refreshes: 0,
        };
        let (seen, first) = (None, true);
        let lease = Lease { bucket, me, options, ownership, refreshed, view, seen, first };
        (handle, AbortOnDropHandle::new(tokio::spawn(lease.run(stop))))
    }

    async fn run(mut self, stop: CancellationToken) {
        let mut held: Option<Revision> = None;
        loop {
            let sent = Instant::now();
            match held {
                None => {
                    held = self.contend().await;
                    if held.is_some() {
                        self.refreshed.send_replace(sent);
                        tracing::info!(node = %self.me.node, "this node coordinates the cluster");
                        self.set(Ownership::Holding);
                    }
                }
                Some(at) => match self.refresh(at).await {
                    Refreshed::At(at) => {
                        held = Some(at);
                        self.refreshed.send_replace(sent);
                        self.set(Ownership::Holding);
                    }
                    Refreshed::Unknown => {
                        if self.refreshed.borrow().elapsed() >= self.options.expiry {
                            self.set(Ownership::Doubtful);
                        }
                    }
                    Refreshed::Lost(holder) => {
                        tracing::warn!(node = %self.me.node, ?holder, "another node coordinates the cluster now");
                        held = None;
                        self.seen = None;
                        self.set(Ownership::Contending(holder));
                    }
                },
            }
            let pause = if held.is_some() { self.options.refresh } else { self.options.look };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = stop.cancelled() => break,
            }
        }
        if let Some(at) = held {
            self.release(at).await;
        }
    }

    fn set(&self, ownership: Ownership) {
        self.ownership.send_if_modified(|present| {
            let is_new = *present != ownership;
            *present = ownership;
            is_new
        });
    }

    /// Looks at the lease, and takes it when it is free or has not changed for the expiry.
    async fn contend(&mut self) -> Option<Revision> {
        let entry = match self.bucket.get(OWNER_KEY).await {
            Ok(entry) => entry,
            Err(error) => {
                // What cannot be seen may have changed: the watch over it begins anew.
                tracing::warn!(%error, "the lease cannot be read");
                self.seen = None;
                return None;
            }
        };
        let first = std::mem::replace(&mut self.first, false);
        let Some(entry) = entry else {
            return self.take(None).await;
        };
        let seen = match self.seen {
            Some(seen) if seen.at == entry.revision => seen,
            _ => Seen { at: entry.revision, since: Instant::now() },
        };
        self.seen = Some(seen);
        let holder: Option<Holder> = serde_json::from_slice(&entry.value).ok();
        if holder.as_ref().is_some_and(|holder| holder.incarnation == self.me.incarnation) {
            // An answer of ours was lost.
            return Some(entry.revision);
        }
        if first && holder.as_ref().is_some_and(|holder| holder.identity == self.me.identity) {
            tracing::info!(node = %self.me.node, "the holder was this node's former process");
            return self.take(Some(entry.revision)).await;
        }
        let is_absent = |holder: &Holder| self.view.borrow().absent.contains(&holder.identity);
        if seen.since.elapsed() >= self.options.expiry || holder.as_ref().is_some_and(is_absent) {
            tracing::warn!(holder = ?holder.as_ref().map(|h| &h.node), "the holder is gone; taking its lease over");
            return self.take(Some(entry.revision)).await;
        }
        self.set(Ownership::Contending(holder.map(|holder| holder.node)));
        None
    }

    async fn take(&mut self, expected: Option<Revision>) -> Option<Revision> {
        let value = self.value();
        let taken = match expected {
            Some(expected) => self.bucket.update(OWNER_KEY, value.into(), expected, None).await,
            None => self.bucket.create(OWNER_KEY, value.into(), None).await,
        };
        // A refusal means that another node was faster; an unknown answer shows at the next look.
        taken.inspect_err(|error| tracing::debug!(%error, "the lease was not taken")).ok()
    }

    async fn refresh(&mut self, at: Revision) -> Refreshed {
        self.me.refreshes += 1;
        match self.bucket.update(OWNER_KEY, self.value().into(), at, None).await {
            Ok(at) => Refreshed::At(at),
            Err(KvError::Conflict { .. }) => self.who_holds().await,
            Err(error) => {
                tracing::warn!(%error, "the lease could not be refreshed");
                Refreshed::Unknown
            }
        }
    }

    /// After a conflict: another node's lease, or a refresh of ours whose answer was lost.
    async fn who_holds(&self) -> Refreshed {
        match self.bucket.get(OWNER_KEY).await {
            Ok(Some(entry)) => match serde_json::from_slice::<Holder>(&entry.value) {
                Ok(holder) if holder.incarnation == self.me.incarnation => {
                    Refreshed::At(entry.revision)
                }
                Ok(holder) => Refreshed::Lost(Some(holder.node)),
                Err(_) => Refreshed::Lost(None),
            },
            Ok(None) => Refreshed::Lost(None),
            Err(_) => Refreshed::Unknown,
        }
    }

    async fn release(&self, at: Revision) {
        if let Err(error) = self.bucket.delete(OWNER_KEY, Some(at)).await {
            tracing::debug!(%error, "the lease was not given back; it will expire");
        }
    }

    fn value(&self) -> Vec<u8> {
        // Plain texts and a number: serialising cannot fail.
        serde_json::to_vec(&self.me).unwrap_or_default()
    }
}

enum Refreshed {
    At(Revision),
    Lost(Option<String>),
    Unknown,
}
