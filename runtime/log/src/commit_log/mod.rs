//! The commit log: one stream per pipeline, one subject per partition.
//!
//! A partition appends with the sequence of its previous record as the expected one,
//! one append in flight. The broker refuses whoever is not the last writer; that
//! refusal is the fence the whole system rests on (`design.md`, section 1).
//!
//! [`CommitLog`] is what the engine and the simulation drive. [`JetStreamLog`] is the
//! real one, [`crate::memory::MemoryLog`] its double.

mod config;
#[cfg(test)]
mod conformance;
mod jetstream;
mod subject;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use millstream_core::ids::Sequence;

pub use config::LogOptions;
pub use jetstream::JetStreamLog;
pub(crate) use jetstream::log_error;
pub use subject::{PartitionSubject, stream_name, stream_subjects};

/// One record as it lies in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its sequence in the log stream (shared by all partitions of the pipeline).
    pub sequence: Sequence,
    /// When the broker stored it: nanoseconds since the epoch.
    pub time_ns: i64,
    /// The record.
    pub bytes: Bytes,
}

/// What became of an append.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Append {
    /// Stored, durably as far as the stream's replicas and `sync_interval` say.
    Appended {
        /// Where; the next append expects it.
        sequence: Sequence,
    },
    /// The broker answered, and did not store *this* transmission. An earlier transmission of
    /// the same bytes may have been stored: read the last record.
    Refused(Refusal),
    /// Nobody knows. Publish the identical bytes again with the same expected sequence.
    Unknown(UnknownCause),
}

/// Why the broker refused an append.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The subject's last sequence is not the expected one (10071).
    #[error("the last sequence is not the expected one (it is {actual:?})")]
    WrongLast {
        /// The subject's last sequence, where the server says it.
        actual: Option<Sequence>,
    },
    /// Refused because an earlier message is still being applied (10163, 10164). Says nothing about the
    /// last sequence: try again unless somebody else has written.
    #[error("an earlier message is still being applied (code {code})")]
    Busy {
        /// The JetStream error code.
        code: u64,
    },
    /// A limit of the stream or the account is reached: `max_bytes`, `max_msgs`, storage.
    #[error("the log is full: {description} (code {code})")]
    Full {
        /// The JetStream error code.
        code: u64,
        /// What the server said.
        description: String,
    },
    /// Larger than the server's `max_payload` or the stream's `max_msg_size`.
    #[error("a record of {bytes} bytes exceeds the limit of {bytes_max:?}")]
    TooLarge {
        /// The record's size.
        bytes: usize,
        /// The limit, where known.
        bytes_max: Option<usize>,
    },
    /// Anything else: the stream was deleted, sealed, reconfigured, or rights were taken away.
    #[error("{description} (code {code})")]
    Other {
        /// The JetStream error code, or 0.
        code: u64,
        /// What the server said.
        description: String,
    },
}

/// Why the outcome of an append is not known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnknownCause {
    /// No acknowledgement in time.
    #[error("no acknowledgement within {after_ms} ms")]
    TimedOut {
        /// How long was waited.
        after_ms: u64,
    },
    /// The connection broke while the acknowledgement was awaited, or was down.
    #[error("the connection was lost")]
    Disconnected,
    /// Nobody listens on the subject: no leader now, JetStream starting, or no such stream.
    #[error("no JetStream server answers for the log's subject")]
    NoResponders,
    /// The server reports a condition that passes: no leader, starting, out of resources, a failed write.
    #[error("{description} (code {code})")]
    Unavailable {
        /// The JetStream error code.
        code: u64,
        /// What the server said.
        description: String,
    },
}

/// What the log stream looks like now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogInfo {
    /// When the stream was created: nanoseconds since the epoch. A different one is a different log.
    pub created_ns: i64,
    /// Oldest record kept; 1 more than `last` when the log is empty.
    pub first: Sequence,
    /// Newest record.
    pub last: Sequence,
    /// Records kept.
    pub records: u64,
    /// Bytes kept, with the broker's overhead.
    pub bytes: u64,
    /// The stream's quota, when there is one.
    pub bytes_max: Option<u64>,
    /// Copies the broker keeps.
    pub replicas: usize,
    /// Largest record one append may carry, in bytes.
    pub record_bytes_max: usize,
}

/// Why the log could not be read, trimmed or opened.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The stream is not there.
    #[error("log stream {stream} does not exist")]
    Missing {
        /// Its name.
        stream: String,
    },
    /// The stream exists with a setting that breaks a guarantee.
    #[error("log stream {stream} has {setting} = {found}, but {expected} is required")]
    Setting {
        /// Its name.
        stream: String,
        /// The setting, as the `nats` CLI and the server call it.
        setting: &'static str,
        /// What it is.
        found: String,
        /// What it must be.
        expected: String,
    },
    /// Records that were asked for are gone or did not arrive.
    #[error(
        "log subject {subject} is not readable from {from} through {through}: {missing} is missing"
    )]
    Incomplete {
        /// The partition's subject.
        subject: String,
        /// First sequence asked for.
        from: u64,
        /// Last sequence asked for.
        through: u64,
        /// The sequence that is known to be there and was not delivered.
        missing: u64,
    },
    /// No answer in time.
    #[error("no answer to {request} within {after_ms} ms")]
    TimedOut {
        /// What was asked.
        request: &'static str,
        /// How long was waited.
        after_ms: u64,
    },
    /// The broker answered with an error.
    #[error("{request}: {description} (code {code})")]
    Broker {
        /// What was asked.
        request: &'static str,
        /// The JetStream error code, or 0.
        code: u64,
        /// What the server said.
        description: String,
    },
}

/// A pipeline's commit log.
pub trait CommitLog: Send + Sync {
    /// Publishes `bytes` on the partition's subject if its last sequence is `expected` (0: none yet).
    /// Once; nothing is retried here.
    fn append<'a>(
        &'a self,
        subject: &'a PartitionSubject,
        expected: Sequence,
        bytes: Bytes,
    ) -> BoxFuture<'a, Append>;

    /// The partition's last record, as its leader has it.
    fn last<'a>(
        &'a self,
        subject: &'a PartitionSubject,
    ) -> BoxFuture<'a, Result<Option<Entry>, LogError>>;

    /// The partition's records with `from <= sequence <= through`, in order. `through` must be the
    /// sequence of a record of this partition: the stream ends with it, or with [`LogError::Incomplete`].
    /// Records below the log's first sequence are silently not there: the commit chain shows that.
    fn read<'a>(
        &'a self,
        subject: &'a PartitionSubject,
        from: Sequence,
        through: Sequence,
    ) -> BoxStream<'a, Result<Entry, LogError>>;

    /// Removes all records of all partitions below `floor`, in small steps. Returns how many went.
    fn purge_below(&self, floor: Sequence) -> BoxFuture<'_, Result<u64, LogError>>;

    /// The stream's state.
    fn info(&self) -> BoxFuture<'_, Result<LogInfo, LogError>>;
}
