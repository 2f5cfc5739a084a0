//! Egress: what pipelines emit reaches their sink subjects in order and once.
//!
//! Every message carries a `Nats-Msg-Id` that the core derives from the commit, so that publishing it again
//! within the sink stream's `duplicate_window` does nothing. A [`Sink`] publishes in order, with a bounded number in
//! flight, and reports each message's outcome. Whether something lost may be sent again is the core's to decide.
//! After a crash the core asks a [`SinkReader`] for the ids behind its cursor.
//!
//! Order across a broken connection: a client that reconnects by itself would send what is still queued
//! in it, behind what got lost. [`JetStreamSink`] therefore has a [line](crate::line) of its own that never reconnects:
//! when it breaks, everything queued in it is gone and reported as unknown.
//!
//! A [`TransactionalSink`] instead publishes batches that the stream takes as a whole or not at all, each with a cursor record
//! that must follow the one before; nothing depends on time then. Only one batch is in flight.
//!
//! Measured (200 B payload, 2 shared cores, load 7; two runs in one process): publishing with ids costs the
//! server 7.8 us and the client 2.5 us a message (70-87 k/s), a fast-ingest batch (server 2.14) 7.2 and 2.1 us
//! (57-90 k/s). A fast batch needs `allow_batched` on the stream, acknowledges only every 500 messages and none of the rest until it
//! is closed; for a tenth of the CPU that is not worth a second protocol.

mod acks;
#[cfg(test)]
mod conformance;
mod created;
mod facts;
mod groups;
mod ids;
mod jetstream;
mod transactional;

use bytes::Bytes;
use futures::future::BoxFuture;
use millstream_core::ids::Sequence;

pub use created::{CreatedStream, cursor_subject, open_created_stream};
pub use facts::{create_sink_stream, stream_of_subject};
pub use ids::JetStreamSinkReader;
pub use jetstream::{JetStreamSink, SinkWindow};
pub use transactional::{BATCH_OUTPUTS_MAX, JetStreamTransactionalSink};

use crate::connect::ServerVersion;

/// One message for a sink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SinkMessage<'a> {
    /// The caller's number for it, returned in its [`SinkAck`].
    pub ticket: u64,
    /// Where to.
    pub subject: &'a str,
    /// Its `Nats-Msg-Id`: printable ASCII without spaces.
    pub id: &'a str,
    /// Further headers: name and value.
    pub headers: &'a [(Box<str>, Box<str>)],
    /// The payload.
    pub payload: &'a [u8],
}

/// What became of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SinkAck {
    /// The message's ticket.
    pub ticket: u64,
    /// What became of it.
    pub outcome: SinkOutcome,
}

/// What became of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SinkOutcome {
    /// The sink has it.
    Stored {
        /// Where.
        sequence: Sequence,
        /// Whether an earlier copy is what lies there.
        duplicate: bool,
    },
    /// The sink may have it or not: no answer in time, or the connection broke. All messages sent behind it
    /// and not acknowledged have the same outcome, in the order they were sent in: send them again in that order, before any other.
    Unknown,
    /// The sink refused it, or one of those sent just before or behind it, whose answers cannot be told apart: it
    /// may have this one or not.
    Refused {
        /// Whether sending it again may succeed (no leader now, an earlier copy in flight). Messages sent behind it may
        /// have been stored, so it comes late.
        passing: bool,
        /// The JetStream error code, or 0.
        code: u64,
        /// What the server said.
        description: String,
    },
}

/// What a sink stream is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SinkFacts {
    /// Its name.
    pub stream: String,
    /// When it was created: nanoseconds since the epoch.
    pub created_ns: i64,
    /// How long it remembers message ids, in nanoseconds.
    pub duplicate_window_ns: i64,
    /// Largest message: header and payload together, in bytes.
    pub message_bytes_max: usize,
    /// Whether it takes fast-ingest batches (server 2.14, `allow_batched`).
    pub allows_batches: bool,
    /// Newest sequence.
    pub last: Sequence,
}

/// Why a sink cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// No stream captures the subject.
    #[error(
        "no stream captures subject {subject}; create one, e.g. `nats stream add NAME --subjects {subject}`, or set `create: true`"
    )]
    NoStream {
        /// The subject.
        subject: String,
    },
    /// Messages of such a stream vanish when acknowledged, so a lost one cannot be told from a consumed one.
    #[error("sink stream {stream} has retention {retention}; a sink needs retention limits")]
    Retention {
        /// Its name.
        stream: String,
        /// `workqueue` or `interest`.
        retention: &'static str,
    },
    /// The stream remembers no message ids.
    #[error("sink stream {stream} has no duplicate window; a deduplicated sink needs one")]
    NoWindow {
        /// Its name.
        stream: String,
    },
    /// The stream acknowledges nothing.
    #[error("sink stream {stream} has no_ack = true; a sink must acknowledge")]
    NoAck {
        /// Its name.
        stream: String,
    },
    /// The stream is not what a transactional sink rests on.
    #[error(
        "stream {stream} has {setting}; a transactional sink needs {needed}: change the stream, or remove it and it is made"
    )]
    NotTransactional {
        /// Its name.
        stream: String,
        /// What it has.
        setting: String,
        /// What it needs.
        needed: String,
    },
    /// The server has no atomic batches.
    #[error("nats-server is {version}; a transactional sink needs {required}")]
    ServerTooOld {
        /// What there is.
        version: ServerVersion,
        /// What is needed.
        required: ServerVersion,
    },
    /// Larger than the stream or the server takes.
    #[error("a message of {bytes} bytes for {subject} exceeds the limit of {bytes_max}")]
    TooLarge {
        /// Where to.
        subject: String,
        /// Its size with headers.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
    /// A header or an id has characters that cannot be sent.
    #[error("header {name:?} for {subject} has a character that a header cannot hold")]
    Header {
        /// Where to.
        subject: String,
        /// The header.
        name: String,
    },
    /// A subject has characters that cannot be sent.
    #[error("{subject:?} is not a subject that can be published to")]
    Subject {
        /// The subject.
        subject: String,
    },
    /// Several streams capture subjects of the filter.
    #[error("the subject {subject} is captured by several streams: {streams}")]
    SeveralStreams {
        /// The subject, with wildcards.
        subject: String,
        /// Their names.
        streams: String,
    },
    /// The broker answered with an error.
    #[error("sink {sink}: {request}: {description} (code {code})")]
    Broker {
        /// The stream or subject.
        sink: String,
        /// What was asked.
        request: &'static str,
        /// The JetStream error code, or 0.
        code: u64,
        /// What the server said.
        description: String,
    },
    /// No connection could be had, or no answer came in time.
    #[error("the sink cannot be reached: {description}")]
    Unreachable {
        /// The last failure.
        description: String,
    },
}

/// An ordered publisher to the subjects of one sink stream. It sends every message once; what is lost is
/// the caller's to send again, since only the caller knows whether it still may.
pub trait Sink: Send {
    /// Connects if there is no connection. Cancel-safe.
    fn ready(&mut self) -> BoxFuture<'_, Result<(), SinkError>>;

    /// Takes a message behind all earlier ones; ask [`ready`](Sink::ready) and [`has_room`](Sink::has_room) first. It goes out
    /// when enough is gathered, at the latest with [`acknowledged`](Sink::acknowledged). An error means that the message was not taken.
    fn send(&mut self, message: &SinkMessage<'_>) -> Result<(), SinkError>;

    /// Whether the window has room for one more message.
    fn has_room(&self) -> bool;

    /// Messages taken whose outcome was not reported yet.
    fn in_flight(&self) -> usize;

    /// Waits until the outcome of some messages is known and appends it to `acks`. Pending for ever when nothing
    /// is in flight. Cancel-safe.
    fn acknowledged<'a>(&'a mut self, acks: &'a mut Vec<SinkAck>) -> BoxFuture<'a, ()>;

    /// The sink stream, as it was when the sink was opened.
    fn facts(&self) -> &SinkFacts;
}

/// What became of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BatchOutcome {
    /// The sink has all of it.
    Stored {
        /// Where its cursor record lies, behind the outputs.
        sequence: Sequence,
    },
    /// The sink has nothing of it: another cursor record is the last one, or one is on its way.
    NotLast,
    /// No answer in time, or the connection broke. The sink may have all of it or nothing, or come to have it.
    Unknown,
    /// The sink refused it.
    Refused {
        /// Whether sending it again may succeed.
        passing: bool,
        /// The JetStream error code, or 0.
        code: u64,
        /// What the server said.
        description: String,
    },
}

/// A publisher of batches to one stream. Each batch ends with a cursor record, and is taken as a whole or not at all.
pub trait TransactionalSink: Send {
    /// Connects if there is no connection, and begins an empty batch; one that was not committed is forgotten.
    fn begin(&mut self) -> BoxFuture<'_, Result<(), SinkError>>;

    /// Puts a message behind those of the batch, of which there are at most [`BATCH_OUTPUTS_MAX`]. An error means that it was not
    /// taken.
    fn add(&mut self, message: &SinkMessage<'_>) -> Result<(), SinkError>;

    /// Publishes the batch with `cursor` at its end, if `expected` is the sequence of the last cursor record (0: there is none).
    /// If the future is dropped, the outcome is unknown.
    fn commit<'a>(
        &'a mut self,
        cursor: &'a [u8],
        expected: Sequence,
    ) -> BoxFuture<'a, BatchOutcome>;

    /// The last cursor record, as the stream's leader has it, and its sequence.
    fn last_cursor(&mut self) -> BoxFuture<'_, Result<Option<(Sequence, Bytes)>, SinkError>>;

    /// The sink stream, as it was when the sink was opened.
    fn facts(&self) -> &SinkFacts;
}

/// What a sink stream holds behind a position.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SinkIds {
    /// Sequence and message id of every record that has one, in order.
    pub ids: Vec<(Sequence, Bytes)>,
    /// Records behind the position that the stream no longer holds: their ids are not known.
    pub gap: Option<(Sequence, Sequence)>,
    /// How far was read.
    pub through: Sequence,
}

/// Reads what a sink stream holds, for recovery.
pub trait SinkReader: Send + Sync {
    /// Message ids of all records behind `after`, through the stream's end at the time of the call.
    fn ids_after(&self, after: Sequence) -> BoxFuture<'_, Result<SinkIds, SinkError>>;
}
