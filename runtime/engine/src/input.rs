//! What a reader hands to a partition: stretches of a source with the partition's
//! own records decoded, and the watermark's advances between all of its records.

use std::sync::Arc;

use bytes::Bytes;
use millstream_core::exchange::Place;
use millstream_core::exchange::merge::Anchor;
use millstream_core::ids::{SourceId, WATERMARK_MAX, WATERMARK_MIN};
use millstream_log::HeaderMap;
use millstream_sandbox::codec::Columns;

/// A stretch of a source that was scanned for all partitions.
#[derive(Debug, Default)]
pub struct Scan {
    /// The highest event time before the stretch, milliseconds.
    pub event_time_before: i64,
    /// Each record that raised the highest event time, as (sequence, event time); both ascend.
    pub advances: Vec<(u64, i64)>,
    /// The stretch ends with this sequence, whichever record is there.
    pub through: u64,
    /// The last record scanned so far; 0: none.
    pub last_sequence: u64,
    /// Its broker time, nanoseconds since 1970 UTC.
    pub last_time_ns: i64,
    /// When the stream was created, nanoseconds since 1970 UTC.
    pub stream_created_ns: i64,
    /// The input ends here: the watermark goes to +infinity behind the stretch.
    pub end_of_input: bool,
    /// Behind the stretch the input is idle and holds the operator's watermark back no longer, until its next stretch.
    pub idle: bool,
}

/// Where a record came from, for dead letters and positions.
#[derive(Clone, Debug)]
pub struct Origin {
    /// Sequence in the source.
    pub sequence: u64,
    /// The broker's time, nanoseconds since 1970 UTC.
    pub time_ns: i64,
    /// The subject; empty where there is none.
    pub subject: Bytes,
    /// How often it was tried before (redriven dead letters).
    pub attempts: u32,
    /// The payload as it came.
    pub payload: Bytes,
    /// The headers as they came, if there were any.
    pub headers: Option<Arc<HeaderMap>>,
}

/// A record that could not be decoded into the declared fields.
#[derive(Clone, Debug)]
pub struct Undecodable {
    /// It stands before this own record of the chunk.
    pub before: usize,
    /// Where it came from.
    pub origin: Origin,
    /// Why, without any of the payload.
    pub cause: String,
}

/// What a chunk says beyond if its source is another stage.
#[derive(Debug)]
pub struct MergedChunk {
    /// Where the merge stood before the stretch.
    pub from: Arc<Anchor>,
    /// Where it stood behind the stretch.
    pub through: Arc<Anchor>,
    /// Upstream partition of each own record, and the place behind it.
    pub places: Vec<(u16, Place)>,
    /// The same of each undecodable record.
    pub undecodable: Vec<(u16, Place)>,
}

/// A stretch of a source as one partition sees it.
#[derive(Debug)]
pub struct Chunk {
    /// Which source of the stage.
    pub source: SourceId,
    /// Index of the UDF's declared input.
    pub input: u32,
    /// What was scanned.
    pub scan: Arc<Scan>,
    /// The partition's own records, decoded.
    pub records: Columns,
    /// Hash of each record's key.
    pub hashes: Vec<u64>,
    /// Origin of each record.
    pub origins: Vec<Origin>,
    /// Records that could not be decoded; in order.
    pub undecodable: Vec<Undecodable>,
    /// If the source is another stage: the sequences are numbers of its merged input.
    pub merged: Option<MergedChunk>,
}

/// The bound of a source whose advances are watermarks already: another stage.
pub const BOUND_OF_WATERMARKS_MS: i64 = -1;

/// The watermark that a highest event time stands for, after the rule of bounded out-of-orderness.
pub fn watermark_of(max_event_time: i64, bound_ms: i64) -> i64 {
    if max_event_time == WATERMARK_MIN || max_event_time == WATERMARK_MAX {
        max_event_time
    } else {
        max_event_time.saturating_sub(bound_ms).saturating_sub(1)
    }
}
