//! A slice: what one turn of a partition computed, not yet in the log.

use crate::commit::{HEADER_BYTES, SECTION_OVERHEAD_MAX, SECTIONS};
use crate::delta::DeltaWriter;
use crate::exchange::{Exchange, UPSTREAM_BYTES_MAX, UpstreamPosition};
use crate::ids::{Sequence, SourceId, WATERMARK_MIN};
use crate::outputs::OutputWriter;
use crate::seal::Seal;

/// How far a source was read, with what proves later that it still is the same stream.
///
/// If the source is another stage of the pipeline, `sequence` is the number of the last element of the merged input,
/// `last_sequence` and `last_time_ns` are the number and the order of its anchor ([`crate::exchange::merge::Anchor`]),
/// `max_event_time` is the watermark, and [`Slice::upstream`] says more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourcePosition {
    /// Which source.
    pub source: SourceId,
    /// The stream was scanned up to here, whichever partitions its records belong to.
    pub sequence: Sequence,
    /// The last record that was seen, at most `sequence`; 0: none yet.
    pub last_sequence: Sequence,
    /// The broker's time of that record, nanoseconds since 1970 UTC.
    pub last_time_ns: i64,
    /// When the stream was created, nanoseconds since 1970 UTC.
    pub stream_created_ns: i64,
    /// The highest event time up to `sequence`, milliseconds; the watermark generator goes on from it.
    pub max_event_time: i64,
    /// Whether the source was idle, so that it does not hold the watermark back.
    pub idle: bool,
}

impl SourcePosition {
    /// Nothing was read yet.
    pub fn unread(source: SourceId) -> Self {
        Self {
            source,
            sequence: Sequence(0),
            last_sequence: Sequence(0),
            last_time_ns: 0,
            stream_created_ns: 0,
            max_event_time: WATERMARK_MIN,
            idle: false,
        }
    }
}

/// Encoded size of a [`SourcePosition`], at most.
pub const POSITION_BYTES_MAX: usize = 3 + 5 * 10 + 1;

/// Consecutive input records of one source, in the order they were applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// Which source.
    pub source: SourceId,
    /// How many records.
    pub count: u32,
}

/// Encoded size of a [`Run`], at most.
pub const RUN_BYTES_MAX: usize = 3 + 5;

/// What the operator was called for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallKind {
    /// Records.
    Process,
    /// Timers that were due.
    OnTimer,
}

/// One call: it took the next `count` records or timers of the slice. Re-execution makes the same calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// For what.
    pub kind: CallKind,
    /// How many records or timers.
    pub count: u32,
}

/// Encoded size of a [`Call`], at most.
pub const CALL_BYTES_MAX: usize = 1 + 5;

/// Why a record or timer has no effects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureCause {
    /// The guest said so.
    Failed,
    /// The guest trapped or ran out of fuel or memory.
    Trapped,
    /// The payload could not be decoded into the declared fields.
    Undecodable,
    /// Its own outputs and state changes exceed the size of a commit.
    Oversize,
}

/// A record or timer that failed and was set apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Place among all records and timers of the slice, in the order of the calls.
    pub input: u32,
    /// Why.
    pub cause: FailureCause,
    /// In words; cut to [`FAILURE_MESSAGE_BYTES_MAX`].
    pub message: String,
}

/// The longest message of a [`Failure`], bytes.
pub const FAILURE_MESSAGE_BYTES_MAX: usize = 2048;

/// What an operator computed from its input: everything a commit says except who says it.
///
/// `processing_time`, `watermark` and `positions` are absolute and complete, so that any record
/// of the log says alone where the partition stood.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Slice {
    /// Milliseconds since 1970 UTC; never regresses.
    pub processing_time: i64,
    /// The operator's watermark, milliseconds; never regresses.
    pub watermark: i64,
    /// One per source, in the order of [`SourceId`].
    pub positions: Vec<SourcePosition>,
    /// Which inputs were applied, in order.
    pub runs: Vec<Run>,
    /// How the operator was called.
    pub calls: Vec<Call>,
    /// What failed.
    pub failures: Vec<Failure>,
    /// What became of the state.
    pub delta: DeltaWriter,
    /// What was emitted.
    pub outputs: OutputWriter,
    /// What stages that read this one must know of it; none if there are none.
    pub exchange: Option<Exchange>,
    /// How far the outputs of other stages are applied; one per partition of each upstream stage.
    pub upstream: Vec<UpstreamPosition>,
    /// In a takeover by nobody: what the log ends for. No operator computes one.
    pub seal: Option<Seal>,
}

impl Slice {
    /// An upper bound of the encoded record without its egress cursors. An operator cuts its slice
    /// so that this stays below the limit it was given.
    pub fn encoded_bytes_max(&self) -> usize {
        let failures: usize = self.failures.iter().map(|f| 5 + 1 + 10 + f.message.len()).sum();
        HEADER_BYTES
            + SECTIONS * SECTION_OVERHEAD_MAX
            + 20
            + 5 * 4
            + self.positions.len() * POSITION_BYTES_MAX
            + self.runs.len() * RUN_BYTES_MAX
            + self.calls.len() * CALL_BYTES_MAX
            + failures
            + self.delta.len()
            + self.outputs.len()
            + self.exchange.as_ref().map_or(0, Exchange::encoded_bytes_max)
            + self.upstream.len() * UPSTREAM_BYTES_MAX
    }

    /// Removes everything and keeps the buffers.
    pub fn clear(&mut self) {
        self.processing_time = 0;
        self.watermark = 0;
        self.positions.clear();
        self.runs.clear();
        self.calls.clear();
        self.failures.clear();
        self.delta.clear();
        self.outputs.clear();
        self.exchange = None;
        self.upstream.clear();
        self.seal = None;
    }

    /// The position in `source`.
    pub fn position(&self, source: SourceId) -> Option<&SourcePosition> {
        self.positions.iter().find(|position| position.source == source)
    }
}

/// How far the outputs of a partition are: commits in order, and within a commit the number of
/// outputs that are done, counted over all sinks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OutputPoint {
    /// Which commit.
    pub commit: crate::ids::CommitNumber,
    /// How many of its outputs, from the first.
    pub count: u32,
}

/// How far a sink has a partition's outputs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EgressCursor {
    /// Which sink of the pipeline.
    pub sink: u16,
    /// All outputs for this sink up to here are acknowledged by it.
    pub through: OutputPoint,
    /// From where on the log must be read for those behind `through`: the sequence of the commit if
    /// some of its outputs are missing, or the one behind it.
    pub read_from: Sequence,
    /// No output behind `through` lies in the sink's stream at or below this sequence. Of a transactional sink it is the sequence of
    /// the cursor record.
    pub sink_sequence: Sequence,
}

/// Encoded size of an [`EgressCursor`], at most.
pub const CURSOR_BYTES_MAX: usize = 3 + 10 + 5 + 10 + 10;
