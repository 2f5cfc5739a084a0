//! What the doctor reads before it judges: plain data, so that every judgement can be tested without a server.

use std::time::Duration;

/// What the server and the account say.
#[derive(Clone, Debug, Default)]
pub struct ServerFacts {
    /// As the server writes it: `2.15.1`.
    pub version: String,
    /// Whether the server is part of a cluster.
    pub clustered: bool,
    /// Largest message, bytes.
    pub payload_bytes_max: u64,
    /// File storage of the account.
    pub storage: Usage,
    /// Memory storage of the account.
    pub memory: Usage,
    /// Streams of the account.
    pub streams: Usage,
    /// Consumers of the account.
    pub consumers: Usage,
    /// Whether every stream of the account must have a `max_bytes`.
    pub stream_bytes_required: bool,
}

/// Something used and its limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Used now.
    pub used: u64,
    /// The limit; none: the account sets none.
    pub limit: Option<u64>,
}

/// How a stream keeps its messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retention {
    /// Until a limit is reached.
    Limits,
    /// While a consumer is interested.
    Interest,
    /// Until one consumer has acknowledged.
    WorkQueue,
}

/// A stream, as far as the doctor cares.
#[derive(Clone, Debug)]
pub struct StreamFacts {
    /// Its name.
    pub name: String,
    /// Copies.
    pub replicas: usize,
    /// How it keeps messages.
    pub retention: Retention,
    /// Whether a full stream refuses new messages instead of dropping old ones.
    pub discard_new: bool,
    /// Oldest age kept; zero: no limit.
    pub age_max: Duration,
    /// Whether it limits its number of messages, in all or per subject.
    pub limits_messages: bool,
    /// Bytes stored and the limit.
    pub bytes: Usage,
    /// How long message ids are remembered.
    pub duplicate_window: Duration,
    /// Whether it takes atomic batches.
    pub allows_atomic: bool,
    /// Whether a leader is elected; always true outside of clusters.
    pub has_leader: bool,
    /// Replicas that are offline or behind.
    pub replicas_behind: usize,
}

/// A stream that a pipeline reads or writes.
#[derive(Clone, Debug)]
pub struct EndFacts {
    /// `pipeline/source` or `pipeline/sink`.
    pub name: String,
    /// The stream's name, or the subject of a sink.
    pub wanted: String,
    /// The stream, if there is one.
    pub stream: Option<StreamFacts>,
    /// Whether it is a transactional sink.
    pub transactional: bool,
}

/// What the runtime and its pipelines say.
#[derive(Clone, Debug, Default)]
pub struct RuntimeFacts {
    /// Version of the runtime that answers, or why none does.
    pub answer: Option<Result<String, String>>,
    /// Whether nothing is granted, so that everybody may do everything; none: it does not say.
    pub open: Option<bool>,
    /// Pipelines that failed, with their reasons.
    pub failed: Vec<(String, String)>,
    /// Number of pipelines.
    pub pipelines: usize,
    /// Streams that are read.
    pub sources: Vec<EndFacts>,
    /// Streams that are written.
    pub sinks: Vec<EndFacts>,
}

/// The file system of the data folder.
#[derive(Clone, Debug)]
pub struct DiskFacts {
    /// The folder.
    pub folder: String,
    /// Bytes free for us, and in all; or why they are not known.
    pub space: Result<(u64, u64), String>,
    /// Whether a file can be made there, or why not.
    pub writable: Result<(), String>,
}
