//! Key-value buckets with revisions.
//!
//! Desired state, module tags and leases live here. Every change of something that others may
//! change too goes through [`Kv::create`] or [`Kv::update`], which compare and swap.
//!
//! [`JetStreamKv`] works on the same buckets as the `nats kv` commands;
//! [`MemoryKv`] is its double. One conformance suite runs on both.

#[cfg(test)]
mod conformance;
mod jetstream;
mod key;
mod memory;

use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::BoxStream;

pub use jetstream::JetStreamKv;
pub use memory::MemoryKv;

/// A revision of a bucket: grows with every change of any key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(pub u64);

/// A key's value at a revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KvEntry {
    /// The key.
    pub key: String,
    /// Its value.
    pub value: Bytes,
    /// When it was written, as a revision.
    pub revision: Revision,
    /// When it was written: nanoseconds since the epoch.
    pub time_ns: i64,
}

/// A change of a bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KvChange {
    /// A key got a value.
    Put(KvEntry),
    /// A key was deleted, or its time to live passed.
    Deleted {
        /// The key.
        key: String,
        /// The revision of the deletion.
        revision: Revision,
        /// When: nanoseconds since the epoch.
        time_ns: i64,
    },
}

impl KvChange {
    /// The key that changed.
    pub fn key(&self) -> &str {
        match self {
            KvChange::Put(entry) => &entry.key,
            KvChange::Deleted { key, .. } => key,
        }
    }

    /// The revision of the change.
    pub fn revision(&self) -> Revision {
        match self {
            KvChange::Put(entry) => entry.revision,
            KvChange::Deleted { revision, .. } => *revision,
        }
    }
}

/// What a watch yields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KvEvent {
    /// First the present value of every key that matches, in the order of revisions; then every change.
    Change(KvChange),
    /// All present values have been yielded; what follows happens after the watch began. Once.
    Current,
}

/// What a bucket is made with when it does not exist yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketOptions {
    /// Values kept per key, 1 to 64.
    pub history: u8,
    /// Time to live of every value; `None`: for ever.
    pub ttl: Option<Duration>,
    /// Whether single values may have a time to live (server 2.11). Their deletion is then seen by watchers.
    pub value_ttl: bool,
    /// Copies the broker keeps.
    pub replicas: usize,
}

impl Default for BucketOptions {
    /// One value per key, for ever, one copy.
    fn default() -> BucketOptions {
        BucketOptions { history: 1, ttl: None, value_ttl: false, replicas: 1 }
    }
}

/// Why a bucket could not be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum KvError {
    /// The key has a value already.
    #[error("key {key} exists in bucket {bucket}")]
    Exists {
        /// The bucket.
        bucket: String,
        /// The key.
        key: String,
    },
    /// Somebody else changed the key meanwhile.
    #[error("key {key} of bucket {bucket} is not at revision {expected}")]
    Conflict {
        /// The bucket.
        bucket: String,
        /// The key.
        key: String,
        /// The revision the change was based on.
        expected: u64,
    },
    /// Not a valid key: `[-/_=.a-zA-Z0-9]+`, no dot at the ends and no two in a row.
    #[error("{key:?} is not a valid key")]
    Key {
        /// The text.
        key: String,
    },
    /// The bucket was made without times to live for single values.
    #[error("bucket {bucket} takes no time to live for single values")]
    NoTtl {
        /// The bucket.
        bucket: String,
    },
    /// The change may or may not have happened: no answer in time, or the connection broke.
    #[error("no answer from bucket {bucket} to {request}")]
    Unknown {
        /// The bucket.
        bucket: String,
        /// What was asked.
        request: &'static str,
    },
    /// The broker answered with an error.
    #[error("bucket {bucket}: {request}: {description} (code {code})")]
    Broker {
        /// The bucket.
        bucket: String,
        /// What was asked.
        request: &'static str,
        /// The JetStream error code, or 0.
        code: u64,
        /// What the server said.
        description: String,
    },
}

/// A bucket.
pub trait Kv: Send + Sync {
    /// The key's value; `None` when it was never written or is deleted. As the bucket's leader has it.
    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<KvEntry>, KvError>>;

    /// Sets the key, whatever it was.
    fn put<'a>(&'a self, key: &'a str, value: Bytes) -> BoxFuture<'a, Result<Revision, KvError>>;

    /// Sets the key if it has no value ([`KvError::Exists`] otherwise). With `ttl` the value goes by itself.
    fn create<'a>(
        &'a self,
        key: &'a str,
        value: Bytes,
        ttl: Option<Duration>,
    ) -> BoxFuture<'a, Result<Revision, KvError>>;

    /// Sets the key if its last change was `expected` ([`KvError::Conflict`] otherwise). With `ttl` the value
    /// goes by itself: that long after this call, so a lease is renewed by updating it.
    fn update<'a>(
        &'a self,
        key: &'a str,
        value: Bytes,
        expected: Revision,
        ttl: Option<Duration>,
    ) -> BoxFuture<'a, Result<Revision, KvError>>;

    /// Deletes the key; with `expected` only if its last change was that one.
    fn delete<'a>(
        &'a self,
        key: &'a str,
        expected: Option<Revision>,
    ) -> BoxFuture<'a, Result<(), KvError>>;

    /// The keys that have a value and begin with `prefix` (a text, not a pattern), sorted.
    fn keys<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<Vec<String>, KvError>>;

    /// What is kept of the key's changes, oldest first.
    fn history<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Vec<KvChange>, KvError>>;

    /// Present values and then all changes of the keys that begin with `prefix`. Survives reconnects. An intermediate
    /// value may be missing if it was overwritten meanwhile; the last one never is.
    fn watch<'a>(
        &'a self,
        prefix: &'a str,
    ) -> BoxFuture<'a, Result<BoxStream<'static, Result<KvEvent, KvError>>, KvError>>;
}
