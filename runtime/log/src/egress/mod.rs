//! Egress: what pipelines emit reaches their sink subjects in order and once.
//!
//! Every message carries a `Nats-Msg-Id` that the engine derives from the commit, so
//! that publishing it again within the sink stream's `duplicate_window` does nothing.
//! [`Sink`] publishes in order with a bounded number in flight and reports the prefix
//! that is stored. When the connection breaks it publishes again from the first message not
//! acknowledged; it refuses to do so once the window has passed, and then the
//! engine reads the sink from its cursor ([`SinkReader`]) before it goes on.
//!
//! Order across a broken connection: a client that reconnects by itself may deliver late
//! messages before lost ones. The JetStream sink therefore has a connection of its own, which never
//! reconnects but is replaced.

use async_nats::Subject;
use bytes::Bytes;
use futures::future::BoxFuture;
use millstream_core::ids::Sequence;

/// Header that names the commit behind a message.
pub const CAUSE_HEADER: &str = "Millstream-Cause";

/// One message for a sink.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SinkMessage {
    /// Where to.
    pub subject: Subject,
    /// Its `Nats-Msg-Id`: printable ASCII without spaces.
    pub id: Bytes,
    /// The value of [`CAUSE_HEADER`]: printable ASCII; empty means no such header.
    pub cause: Bytes,
    /// Further headers: name and value.
    pub headers: Vec<(Box<str>, Box<str>)>,
    /// The payload.
    pub payload: Bytes,
}

/// What is known to be stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SinkProgress {
    /// Messages stored, counted from the first one given to this [`Sink`]: all before it are stored.
    pub acknowledged: u64,
    /// A sequence of the sink stream that all messages stored *after* this report lie behind: the cursor
    /// from which recovery reads the sink. 0 when nothing is known yet.
    pub sequence: Sequence,
    /// How many of them the sink had already: published by an earlier life.
    pub duplicates: u64,
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
    #[error(
        "sink stream {stream} has retention {retention}; a deduplicated sink needs retention limits"
    )]
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
    /// The first unacknowledged message was published so long ago that the stream may have forgotten its
    /// id: publishing again could double it. Read the sink from the cursor, then begin with a new [`Sink`].
    #[error(
        "a message has been unacknowledged for {elapsed_ms} ms; sink stream {stream} is only safe to publish again within {window_ms} ms"
    )]
    WindowPassed {
        /// The sink stream.
        stream: String,
        /// Time since it was first published.
        elapsed_ms: u64,
        /// The part of the duplicate window that is used.
        window_ms: u64,
    },
    /// The broker refused a message: the stream is full, sealed, gone, or rights were taken away.
    #[error("sink subject {subject}: {description} (code {code})")]
    Refused {
        /// Where to.
        subject: String,
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

/// An ordered publisher to the subjects of one sink stream.
pub trait Sink: Send {
    /// Takes a message. Waits only while the connection takes no more, not for acknowledgements: the caller
    /// asks [`has_room`](Sink::has_room) first. Cancel-safe once it was polled: the message is then taken.
    fn send(&mut self, message: SinkMessage) -> BoxFuture<'_, Result<(), SinkError>>;

    /// Whether the window has room for one more message.
    fn has_room(&self) -> bool;

    /// Messages taken and not yet known to be stored.
    fn in_flight(&self) -> usize;

    /// Waits until more messages are stored than the last report said; publishes again what got lost.
    /// Pending for ever when nothing is in flight. Cancel-safe.
    fn progress(&mut self) -> BoxFuture<'_, Result<SinkProgress, SinkError>>;

    /// The sink stream.
    fn facts(&self) -> &SinkFacts;
}

/// Reads what a sink stream holds, for recovery.
pub trait SinkReader: Send + Sync {
    /// Message ids of all records behind `after`, in order, through the stream's end at the time of the call.
    fn ids_after(
        &self,
        after: Sequence,
    ) -> BoxFuture<'_, Result<Vec<(Sequence, Bytes)>, SinkError>>;
}
