//! Sources: existing JetStream streams, read from a position.
//!
//! [`Source`] yields batches of [`Delivery`] in stream order. Whatever happens to
//! the connection, the consumer or the server, the next delivery is the next record
//! of the filter after the last one delivered: a consumer whose deliveries have a
//! hole is thrown away and made anew (`design.md`, section 2). What cannot be
//! repaired (records that the stream dropped, a stream that was created anew or
//! rolled back) is reported and never papered over.
//!
//! [`SourceReader`] is the JetStream one, [`crate::memory::MemorySource`] its double.

#[cfg(test)]
mod conformance;
mod consumer;
mod demand;
mod jetstream;
mod queue;
mod reply;

use async_nats::{HeaderMap, Subject};
use bytes::Bytes;
use futures::future::BoxFuture;
use millstream_core::ids::Sequence;

pub use demand::ReadAhead;
pub use jetstream::{SourceOptions, SourceReader};
pub use queue::{Consume, UNACKNOWLEDGED_MAX, do_overlap, forget_consumers, is_consumed, takers};

/// One record as delivered.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Its sequence in the stream.
    pub sequence: Sequence,
    /// Its number among this reader's deliveries; 1 is the first, every further one the previous plus one. Counted
    /// on over consumers: one whose own numbers have a hole was replaced before anybody saw that.
    pub consumer_sequence: u64,
    /// When the broker stored it: nanoseconds since the epoch.
    pub time_ns: i64,
    /// Its subject.
    pub subject: Subject,
    /// Its headers, if it has any.
    pub headers: Option<HeaderMap>,
    /// Its payload.
    pub payload: Bytes,
}

/// What a call of [`Source::next`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceEvent {
    /// Deliveries were appended to the buffer (at least one).
    Records {
        /// Records of the filter behind the last of them, as the broker counted at that delivery.
        pending: u64,
    },
    /// Nothing is pending: every record of the filter up to `through` was delivered. Sent once after
    /// the reader has caught up and again when `through` has moved; `through` counts the records of other subjects
    /// as well, so it is a position to commit for a quiet filter.
    CaughtUp {
        /// The sequence scanned.
        through: Sequence,
    },
    /// The stream no longer holds `from` through `through`, which were not delivered; the next delivery
    /// comes from behind them. (The range counts all subjects: whether the filter lost anything
    /// cannot be known.) Going on means to accept that.
    Gap {
        /// First sequence not there.
        from: Sequence,
        /// Last sequence not there.
        through: Sequence,
    },
}

/// Where to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartAt {
    /// Behind this sequence: what a commit recorded as the position. A first sequence behind it is a gap.
    After(Sequence),
    /// With the oldest record that there is.
    Beginning,
    /// With the first record stored from now on.
    New,
    /// With the first record stored at this time or later: nanoseconds since the epoch.
    Time(i64),
}

/// What a source stream is and holds now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamFacts {
    /// Its name.
    pub stream: String,
    /// When it was created: nanoseconds since the epoch. A different one is a different stream.
    pub created_ns: i64,
    /// Oldest sequence kept; `last` + 1 when the stream is empty.
    pub first: Sequence,
    /// Newest sequence.
    pub last: Sequence,
    /// Records kept.
    pub records: u64,
    /// Bytes kept.
    pub bytes: u64,
    /// Oldest age the stream keeps, in nanoseconds; `None`: no limit.
    pub age_ns_max: Option<i64>,
}

/// Why a source cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// There is no such stream.
    #[error("stream {stream} does not exist")]
    Missing {
        /// Its name.
        stream: String,
    },
    /// Its messages vanish when acknowledged, so a position means nothing.
    #[error(
        "stream {stream} has retention {retention}; only streams with retention limits can be read by position, and when the pipeline was created it was not there"
    )]
    Retention {
        /// Its name.
        stream: String,
        /// `workqueue` or `interest`.
        retention: &'static str,
    },
    /// It is a work queue, and others take the same records from it.
    #[error(
        "stream {stream} is a work queue, and another consumer takes the same records: it has {}",
        .consumers.join(", ")
    )]
    Taken {
        /// Its name.
        stream: String,
        /// All its consumers.
        consumers: Vec<String>,
    },
    /// It was deleted and created again under the same name.
    #[error(
        "stream {stream} was created at {found_ns} ns, but the position belongs to one created at {expected_ns} ns"
    )]
    Recreated {
        /// Its name.
        stream: String,
        /// Creation time that the position belongs to.
        expected_ns: i64,
        /// Creation time found.
        found_ns: i64,
    },
    /// It ends before the position: it was restored from an older backup, or lost its tail.
    #[error("stream {stream} ends at {last}, but {position} was already read")]
    RolledBack {
        /// Its name.
        stream: String,
        /// Position already read.
        position: u64,
        /// Last sequence found.
        last: u64,
    },
    /// A filter is not a valid subject filter, or several filters overlap.
    #[error("the filters {filters:?} of stream {stream} are refused: {description}")]
    Filter {
        /// Its name.
        stream: String,
        /// The filters.
        filters: Vec<String>,
        /// What the server said.
        description: String,
    },
    /// A delivery cannot be understood: not sent by a JetStream consumer of ours.
    #[error("stream {stream} delivered a message with the reply subject {reply:?}")]
    Reply {
        /// Its name.
        stream: String,
        /// The reply subject.
        reply: String,
    },
    /// The connection is closed for good, or no answer came in time again and again.
    #[error("stream {stream} cannot be read: {description}")]
    Unreachable {
        /// Its name.
        stream: String,
        /// The last failure.
        description: String,
    },
    /// The broker answered with an error.
    #[error("stream {stream}: {request}: {description} (code {code})")]
    Broker {
        /// Its name.
        stream: String,
        /// What was asked.
        request: &'static str,
        /// The JetStream error code, or 0.
        code: u64,
        /// What the server said.
        description: String,
    },
}

/// A reader of one stream.
pub trait Source: Send {
    /// Waits for the next event. Deliveries are appended to `batch`, in stream order. Cancel-safe: a call
    /// dropped before it finishes has taken nothing. Not calling is backpressure: what the reader holds
    /// meanwhile is bounded. After [`SourceError::Unreachable`] it may be called again.
    fn next<'a>(
        &'a mut self,
        batch: &'a mut Vec<Delivery>,
    ) -> BoxFuture<'a, Result<SourceEvent, SourceError>>;

    /// The stream's identity and state now.
    fn facts(&self) -> BoxFuture<'_, Result<StreamFacts, SourceError>>;

    /// The broker's time of a record, `None` when it is no longer there. Together with the
    /// sequence it proves that a position belongs to this stream.
    fn time_of(&self, sequence: Sequence) -> BoxFuture<'_, Result<Option<i64>, SourceError>>;

    /// Begins anew behind `position`, with a new consumer; deliveries are numbered from 1 again.
    fn restart(&mut self, position: Sequence);

    /// Sequence of the last record delivered, or where the reader began.
    fn position(&self) -> Sequence;

    /// Consumers made anew so far because of a hole, a lost connection or a missed heartbeat.
    fn restarts(&self) -> u64;
}
