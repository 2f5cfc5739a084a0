//! A node's own lease: a key that changes for as long as the node lives.

use std::sync::Arc;

use millstream_log::kv::{Kv, KvError, Revision};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::access::PublicKey;
use crate::lease::LeaseOptions;

/// What keys of nodes' leases begin with; the node's identity follows.
pub const NODE_PREFIX: &str = "node.";
/// What keys of draining nodes begin with; the node's identity follows. The value means nothing.
pub const DRAIN_PREFIX: &str = "drain.";

/// A node as its lease describes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Name of the node, for people.
    pub node: String,
    /// Number of the node's data folder, hexadecimal. Nodes are told apart by it.
    pub identity: String,
    /// Random number of this start of the node, hexadecimal.
    pub incarnation: String,
    /// Its share of the partitions, relative to the others'.
    pub weight: u32,
    /// Version of the runtime.
    pub version: String,
    /// Public key with which it signs what it asks other nodes; none: of an older version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<PublicKey>,
    /// Counts refreshes, so that every one is a change that others see.
    pub refreshes: u64,
}

/// Whether a node is in the cluster, as it sees itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Not yet.
    Joining,
    /// It is.
    Member,
    /// It has not been able to refresh its lease for the expiry: others may have its partitions.
    Doubtful,
    /// Another process has its identity: a copy of its folder runs. That one is in the cluster.
    Replaced,
}

/// The lease of one node.
struct Membership {
    bucket: Arc<dyn Kv>,
    me: Member,
    options: LeaseOptions,
    standing: watch::Sender<Standing>,
}

/// Joins, and stays until `stop`; then the lease is given back. The task ends with its handle.
pub fn start(
    bucket: Arc<dyn Kv>,
    me: Member,
    options: LeaseOptions,
    stop: CancellationToken,
) -> (watch::Receiver<Standing>, AbortOnDropHandle<()>) {
    let (standing, seen) = watch::channel(Standing::Joining);
    let membership = Membership { bucket, me, options, standing };
    (seen, AbortOnDropHandle::new(tokio::spawn(membership.run(stop))))
}

impl Membership {
    fn key(&self) -> String {
        format!("{NODE_PREFIX}{}", self.me.identity)
    }

    async fn run(mut self, stop: CancellationToken) {
        let mut held: Option<Revision> = None;
        let mut refreshed = Instant::now();
        loop {
            self.me.refreshes += 1;
            let written = match held {
                // Whoever had the folder before does not run any more: it is locked.
                None if *self.standing.borrow() == Standing::Joining => {
                    self.bucket.put(&self.key(), self.value().into()).await
                }
                None => self.bucket.create(&self.key(), self.value().into(), None).await,
                Some(at) => self.bucket.update(&self.key(), self.value().into(), at, None).await,
            };
            match written {
                Ok(at) => {
                    (held, refreshed) = (Some(at), Instant::now());
                    self.set(Standing::Member);
                }
                Err(KvError::Conflict { .. } | KvError::Exists { .. }) => {
                    held = self.mine().await;
                }
                Err(error) => {
                    tracing::warn!(%error, "the node's lease could not be refreshed");
                    if refreshed.elapsed() >= self.options.expiry
                        && *self.standing.borrow() == Standing::Member
                    {
                        self.set(Standing::Doubtful);
                    }
                }
            }
            let is_member = *self.standing.borrow() == Standing::Member;
            let pause = if is_member { self.options.refresh } else { self.options.look };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = stop.cancelled() => break,
            }
        }
        if held.is_some()
            && let Err(error) = self.bucket.delete(&self.key(), held).await
        {
            tracing::debug!(%error, "the node's lease was not given back; it will expire");
        }
    }

    /// After a conflict: the revision of the lease if it is ours, since an answer was lost.
    async fn mine(&self) -> Option<Revision> {
        let entry = self.bucket.get(&self.key()).await.ok().flatten()?;
        let holder: Option<Member> = serde_json::from_slice(&entry.value).ok();
        if holder.is_some_and(|holder| holder.incarnation == self.me.incarnation) {
            return Some(entry.revision);
        }
        if *self.standing.borrow() != Standing::Replaced {
            tracing::error!(node = %self.me.node, "another node has this one's identity: a copy of its data folder runs");
        }
        self.set(Standing::Replaced);
        None
    }

    fn set(&self, standing: Standing) {
        self.standing.send_if_modified(|present| std::mem::replace(present, standing) != standing);
    }

    fn value(&self) -> Vec<u8> {
        // Plain texts and numbers: serialising cannot fail.
        serde_json::to_vec(&self.me).unwrap_or_default()
    }
}
