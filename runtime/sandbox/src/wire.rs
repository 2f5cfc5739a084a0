//! The contract's records as wasmtime lowers and lifts them.
//!
//! What goes to the guest borrows: a column is one copy, straight from the engine's buffer into
//! the guest's memory. What comes back is copied once into vectors, which then move into
//! the core's types.

use millstream_core::columns as plain;
use wasmtime::component::{ComponentType, Lift, Lower};

#[derive(ComponentType, Lower)]
#[component(record)]
pub(crate) struct BlobRef<'a> {
    ends: &'a [u32],
    data: &'a [u8],
}

#[derive(ComponentType, Lower)]
#[component(variant)]
pub(crate) enum ValuesRef<'a> {
    #[component(name = "booleans")]
    Booleans(&'a [u8]),
    #[component(name = "integers")]
    Integers(&'a [i64]),
    #[component(name = "floats")]
    Floats(&'a [f64]),
    #[component(name = "blobs")]
    Blobs(BlobRef<'a>),
}

/// A column to lower.
#[derive(ComponentType, Lower)]
#[component(record)]
pub(crate) struct ColumnRef<'a> {
    present: &'a [u8],
    values: ValuesRef<'a>,
}

/// A state's values to lower.
#[derive(ComponentType, Lower)]
#[component(record)]
pub(crate) struct StoredRef<'a> {
    present: &'a [u8],
    items: BlobRef<'a>,
}

/// A batch to lower.
#[derive(ComponentType, Lower)]
#[component(record)]
pub(crate) struct BatchRef<'a> {
    input: u32,
    keys: BlobRef<'a>,
    #[component(name = "key-of")]
    key_of: &'a [u32],
    columns: &'a [ColumnRef<'a>],
    values: &'a [StoredRef<'a>],
    #[component(name = "event-times")]
    event_times: &'a [i64],
    watermarks: &'a [i64],
    #[component(name = "input-watermarks")]
    input_watermarks: &'a [i64],
    seeds: &'a [u64],
    #[component(name = "processing-time")]
    processing_time: i64,
    #[component(name = "broadcast-epoch")]
    broadcast_epoch: u64,
}

/// Timers to lower.
#[derive(ComponentType, Lower)]
#[component(record)]
pub(crate) struct TimerBatchRef<'a> {
    keys: BlobRef<'a>,
    #[component(name = "key-of")]
    key_of: &'a [u32],
    timers: &'a [u32],
    times: &'a [i64],
    values: &'a [StoredRef<'a>],
    watermark: i64,
    seeds: &'a [u64],
    #[component(name = "processing-time")]
    processing_time: i64,
    #[component(name = "broadcast-epoch")]
    broadcast_epoch: u64,
}

fn blob(blob: &plain::Blob) -> BlobRef<'_> {
    BlobRef { ends: &blob.ends, data: &blob.data }
}

/// Columns to lower.
pub(crate) fn columns(columns: &[plain::Column]) -> Vec<ColumnRef<'_>> {
    let lowered = columns.iter().map(|column| ColumnRef {
        present: &column.present.0,
        values: match &column.values {
            plain::Values::Booleans(v) => ValuesRef::Booleans(v),
            plain::Values::Integers(v) => ValuesRef::Integers(v),
            plain::Values::Floats(v) => ValuesRef::Floats(v),
            plain::Values::Blobs(v) => ValuesRef::Blobs(blob(v)),
        },
    });
    lowered.collect()
}

/// State values to lower.
pub(crate) fn stored(values: &[plain::Stored]) -> Vec<StoredRef<'_>> {
    values.iter().map(|v| StoredRef { present: &v.present.0, items: blob(&v.items) }).collect()
}

/// A batch to lower, with its columns and values from above.
pub(crate) fn batch<'a>(
    batch: &'a plain::Batch,
    columns: &'a [ColumnRef<'a>],
    values: &'a [StoredRef<'a>],
) -> BatchRef<'a> {
    BatchRef {
        input: batch.input,
        keys: blob(&batch.keys),
        key_of: &batch.key_of,
        columns,
        values,
        event_times: &batch.event_times,
        watermarks: &batch.watermarks,
        input_watermarks: &batch.input_watermarks,
        seeds: &batch.seeds,
        processing_time: batch.processing_time,
        broadcast_epoch: batch.broadcast_epoch,
    }
}

/// Timers to lower, with their values from above.
pub(crate) fn timer_batch<'a>(
    batch: &'a plain::TimerBatch,
    values: &'a [StoredRef<'a>],
) -> TimerBatchRef<'a> {
    TimerBatchRef {
        keys: blob(&batch.keys),
        key_of: &batch.key_of,
        timers: &batch.timers,
        times: &batch.times,
        values,
        watermark: batch.watermark,
        seeds: &batch.seeds,
        processing_time: batch.processing_time,
        broadcast_epoch: batch.broadcast_epoch,
    }
}

#[derive(ComponentType, Lift)]
#[component(record)]
pub(crate) struct Blob {
    ends: Vec<u32>,
    data: Vec<u8>,
}

#[derive(ComponentType, Lift)]
#[component(variant)]
pub(crate) enum Values {
    #[component(name = "booleans")]
    Booleans(Vec<u8>),
    #[component(name = "integers")]
    Integers(Vec<i64>),
    #[component(name = "floats")]
    Floats(Vec<f64>),
    #[component(name = "blobs")]
    Blobs(Blob),
}

#[derive(ComponentType, Lift)]
#[component(record)]
pub(crate) struct Column {
    present: Vec<u8>,
    values: Values,
}

#[derive(ComponentType, Lift)]
#[component(record)]
pub(crate) struct Emitted {
    causes: Vec<u32>,
    columns: Vec<Column>,
}

#[derive(ComponentType, Lift)]
#[component(record)]
pub(crate) struct Written {
    keys: Vec<u32>,
    present: Vec<u8>,
    items: Blob,
}

#[derive(ComponentType, Lift)]
#[component(record)]
pub(crate) struct TimerChanges {
    causes: Vec<u32>,
    timers: Vec<u32>,
    times: Vec<i64>,
    present: Vec<u8>,
}

/// What a call returns, not yet checked.
#[derive(ComponentType, Lift)]
#[component(record)]
pub(crate) struct Effects {
    emitted: Vec<Emitted>,
    written: Vec<Written>,
    #[component(name = "timer-changes")]
    timer_changes: TimerChanges,
}

/// What a guest refuses.
#[derive(ComponentType, Lift)]
#[component(record)]
pub(crate) struct Failure {
    pub index: u32,
    pub message: String,
}

impl From<Blob> for plain::Blob {
    fn from(blob: Blob) -> Self {
        Self { ends: blob.ends, data: blob.data }
    }
}

impl From<Column> for plain::Column {
    fn from(column: Column) -> Self {
        let values = match column.values {
            Values::Booleans(v) => plain::Values::Booleans(v),
            Values::Integers(v) => plain::Values::Integers(v),
            Values::Floats(v) => plain::Values::Floats(v),
            Values::Blobs(v) => plain::Values::Blobs(v.into()),
        };
        Self { present: plain::Presence(column.present), values }
    }
}

impl From<Effects> for plain::Effects {
    fn from(effects: Effects) -> Self {
        let emitted = effects.emitted.into_iter().map(|e| plain::Emitted {
            causes: e.causes,
            columns: e.columns.into_iter().map(Into::into).collect(),
        });
        let written = effects.written.into_iter().map(|w| plain::Written {
            keys: w.keys,
            present: plain::Presence(w.present),
            items: w.items.into(),
        });
        let timers = effects.timer_changes;
        Self {
            emitted: emitted.collect(),
            written: written.collect(),
            timer_changes: plain::TimerChanges {
                causes: timers.causes,
                timers: timers.timers,
                times: timers.times,
                present: plain::Presence(timers.present),
            },
        }
    }
}
