//! What a handler may know and do beyond its record, its state and its outputs.

use std::ops::Range;
use std::str;

use crate::error::{Error, Result};
use crate::frame::{Batch, Blob, TimerBatch};
use crate::random::Random;
use crate::state::Now;
use crate::timer::{Changes, Clock, Timer};

/// The distinct keys of a call. They are usually text; that is checked once for all of them.
struct Keys {
    ends: Vec<u32>,
    data: Result<String, Vec<u8>>,
}

impl Keys {
    fn new(keys: Blob) -> Self {
        Self {
            ends: keys.ends,
            data: String::from_utf8(keys.data).map_err(|error| error.into_bytes()),
        }
    }

    #[inline]
    fn range(&self, key: u32) -> Range<usize> {
        let start = if key == 0 { 0 } else { self.ends[key as usize - 1] as usize };
        start..self.ends[key as usize] as usize
    }

    #[inline]
    fn bytes(&self, key: u32) -> &[u8] {
        let data = self.data.as_ref().map_or_else(Vec::as_slice, String::as_bytes);
        &data[self.range(key)]
    }

    #[inline]
    fn text(&self, key: u32) -> Result<&str> {
        if let Ok(data) = &self.data
            && let Some(text) = data.get(self.range(key))
        {
            return Ok(text);
        }
        // Some other key is not text, or two that are not make up text together.
        let bytes = self.bytes(key);
        str::from_utf8(bytes)
            .map_err(|_| Error::new(format_args!("the key of {} bytes is not text", bytes.len())))
    }
}

#[cold]
#[inline(never)]
fn no_seeds() -> ! {
    panic!("the host passed no seeds although the capability `random` was asked for")
}

fn random_at(seeds: &[u64], i: usize) -> Random {
    match seeds.get(i) {
        Some(&seed) => Random::from_seed(seed),
        None => no_seeds(),
    }
}

/// The key, the times and the timers of a record at hand. All times are milliseconds since 1970
/// UTC.
pub struct Context<'b> {
    records: &'b Records,
    index: usize,
    changes: Changes,
}

/// All of a batch but its columns and states.
#[doc(hidden)]
pub struct Records {
    keys: Keys,
    key_of: Vec<u32>,
    event_times: Vec<i64>,
    watermarks: Vec<i64>,
    input_watermarks: Vec<i64>,
    seeds: Vec<u64>,
    processing_time: i64,
    broadcast_epoch: u64,
}

impl Records {
    #[doc(hidden)]
    pub fn split(batch: Batch) -> (Self, Vec<crate::frame::Column>, Vec<crate::frame::Stored>) {
        let Batch {
            keys,
            key_of,
            columns,
            values,
            event_times,
            watermarks,
            input_watermarks,
            seeds,
            processing_time,
            broadcast_epoch,
            ..
        } = batch;
        let keys = Keys::new(keys);
        (
            Self {
                keys,
                key_of,
                event_times,
                watermarks,
                input_watermarks,
                seeds,
                processing_time,
                broadcast_epoch,
            },
            columns,
            values,
        )
    }

    #[doc(hidden)]
    pub fn count(&self) -> usize {
        self.key_of.len()
    }

    #[doc(hidden)]
    pub fn distinct_keys(&self) -> usize {
        self.keys.ends.len()
    }

    #[doc(hidden)]
    pub fn broadcast_epoch(&self) -> u64 {
        self.broadcast_epoch
    }
}

impl<'b> Context<'b> {
    #[doc(hidden)]
    pub fn new(records: &'b Records) -> Self {
        Self { records, index: 0, changes: Changes::default() }
    }

    #[doc(hidden)]
    #[inline]
    pub fn select(&mut self, index: usize) -> u32 {
        self.index = index;
        self.records.key_of[index]
    }

    #[doc(hidden)]
    pub fn random(&self) -> Random {
        random_at(&self.records.seeds, self.index)
    }

    /// The times that states go by.
    #[inline]
    pub(crate) fn now(&self) -> Now {
        Now { event_time: self.event_time(), watermark: self.watermark() }
    }

    #[doc(hidden)]
    pub fn close(self) -> crate::frame::TimerChanges {
        self.changes.0
    }

    /// The key of the record.
    #[inline]
    pub fn key(&self) -> &'b [u8] {
        let records = self.records;
        records.keys.bytes(records.key_of[self.index])
    }

    /// The key of the record as text; an error if it is not UTF-8.
    #[inline]
    pub fn key_text(&self) -> Result<&'b str> {
        let records = self.records;
        records.keys.text(records.key_of[self.index])
    }

    /// Event time of the record.
    #[inline]
    pub fn event_time(&self) -> i64 {
        self.records.event_times[self.index]
    }

    /// The operator's watermark before this record was read; `i64::MIN` before the first. All event-time timers up
    /// to it have fired. With several inputs it is the least of theirs, and depends on how their records arrive.
    #[inline]
    pub fn watermark(&self) -> i64 {
        self.records.watermarks[self.index]
    }

    /// The watermark of the record's own input before this record was read: of the source that it came from. A record
    /// whose event time is at or below it is late. It is at or past [`Self::watermark`], and depends on the
    /// records of that source alone.
    #[inline]
    pub fn input_watermark(&self) -> i64 {
        self.own_watermark().unwrap_or_else(|| self.watermark())
    }

    /// As [`Self::input_watermark`], if other sources make the operator's watermark too.
    #[inline]
    pub(crate) fn own_watermark(&self) -> Option<i64> {
        self.records.input_watermarks.get(self.index).copied()
    }

    /// Processing time of the whole batch; the same at a replay.
    #[inline]
    pub fn processing_time(&self) -> i64 {
        self.records.processing_time
    }

    /// Sets a timer of this key; nothing happens if it is pending.
    #[inline]
    pub fn set_timer<D: Clock>(&mut self, timer: Timer<D>, time: i64) {
        self.changes.add(self.index, timer, time, true);
    }

    /// Deletes a timer of this key; nothing happens if it is not pending.
    #[inline]
    pub fn delete_timer<D: Clock>(&mut self, timer: Timer<D>, time: i64) {
        self.changes.add(self.index, timer, time, false);
    }
}

/// The times of a record of a broadcast input, which has no key and sets no timers. All times are milliseconds since
/// 1970 UTC.
pub struct BroadcastContext<'b> {
    records: &'b Records,
    index: usize,
}

impl<'b> BroadcastContext<'b> {
    #[doc(hidden)]
    pub fn new(records: &'b Records) -> Self {
        Self { records, index: 0 }
    }

    #[doc(hidden)]
    #[inline]
    pub fn select(&mut self, index: usize) {
        self.index = index;
    }

    #[doc(hidden)]
    pub fn random(&self) -> Random {
        random_at(&self.records.seeds, self.index)
    }

    /// Event time of the record.
    #[inline]
    pub fn event_time(&self) -> i64 {
        self.records.event_times[self.index]
    }

    /// The operator's watermark before this record was read. It differs from partition to partition, so what is written
    /// or emitted should not depend on it.
    #[inline]
    pub fn watermark(&self) -> i64 {
        self.records.watermarks[self.index]
    }

    /// The watermark of the record's own input before this record was read, which is the same in every partition.
    #[inline]
    pub fn input_watermark(&self) -> i64 {
        self.records.input_watermarks.get(self.index).copied().unwrap_or_else(|| self.watermark())
    }

    /// Whether the record is late: the watermark of its input has reached its event time.
    #[inline]
    pub fn is_late(&self) -> bool {
        self.event_time() <= self.input_watermark()
    }

    /// Processing time of the whole batch; the same at a replay.
    #[inline]
    pub fn processing_time(&self) -> i64 {
        self.records.processing_time
    }
}

/// The key, the times and the timers of a timer that fires. All times are milliseconds since 1970
/// UTC.
pub struct TimerContext<'b> {
    timers: &'b Timers,
    index: usize,
    changes: Changes,
}

/// All of a timer batch but its states.
#[doc(hidden)]
pub struct Timers {
    keys: Keys,
    key_of: Vec<u32>,
    timers: Vec<u32>,
    times: Vec<i64>,
    seeds: Vec<u64>,
    watermark: i64,
    processing_time: i64,
    broadcast_epoch: u64,
}

impl Timers {
    #[doc(hidden)]
    pub fn split(batch: TimerBatch) -> (Self, Vec<crate::frame::Stored>) {
        let TimerBatch {
            keys,
            key_of,
            timers,
            times,
            values,
            watermark,
            seeds,
            processing_time,
            broadcast_epoch,
        } = batch;
        (
            Self {
                keys: Keys::new(keys),
                key_of,
                timers,
                times,
                seeds,
                watermark,
                processing_time,
                broadcast_epoch,
            },
            values,
        )
    }

    #[doc(hidden)]
    pub fn count(&self) -> usize {
        self.key_of.len()
    }

    #[doc(hidden)]
    pub fn distinct_keys(&self) -> usize {
        self.keys.ends.len()
    }

    #[doc(hidden)]
    pub fn broadcast_epoch(&self) -> u64 {
        self.broadcast_epoch
    }
}

impl<'b> TimerContext<'b> {
    #[doc(hidden)]
    pub fn new(timers: &'b Timers) -> Self {
        Self { timers, index: 0, changes: Changes::default() }
    }

    #[doc(hidden)]
    #[inline]
    pub fn select(&mut self, index: usize) -> u32 {
        self.index = index;
        self.timers.key_of[index]
    }

    /// Index of the declared timer.
    #[doc(hidden)]
    #[inline]
    pub fn timer(&self) -> u32 {
        self.timers.timers[self.index]
    }

    #[doc(hidden)]
    pub fn random(&self) -> Random {
        random_at(&self.timers.seeds, self.index)
    }

    /// The times that states go by.
    #[inline]
    pub(crate) fn now(&self) -> Now {
        Now { event_time: self.time(), watermark: self.watermark() }
    }

    #[doc(hidden)]
    pub fn close(self) -> crate::frame::TimerChanges {
        self.changes.0
    }

    /// The key that the timer was set for.
    #[inline]
    pub fn key(&self) -> &'b [u8] {
        let timers = self.timers;
        timers.keys.bytes(timers.key_of[self.index])
    }

    /// The key as text; an error if it is not UTF-8.
    #[inline]
    pub fn key_text(&self) -> Result<&'b str> {
        let timers = self.timers;
        timers.keys.text(timers.key_of[self.index])
    }

    /// The time that the timer was set for.
    #[inline]
    pub fn time(&self) -> i64 {
        self.timers.times[self.index]
    }

    /// The operator's watermark.
    #[inline]
    pub fn watermark(&self) -> i64 {
        self.timers.watermark
    }

    /// Processing time of the whole batch; the same at a replay.
    #[inline]
    pub fn processing_time(&self) -> i64 {
        self.timers.processing_time
    }

    /// Sets a timer of this key; one that is due already fires in this same advance.
    #[inline]
    pub fn set_timer<D: Clock>(&mut self, timer: Timer<D>, time: i64) {
        self.changes.add(self.index, timer, time, true);
    }

    /// Deletes a timer of this key; nothing happens if it is not pending.
    #[inline]
    pub fn delete_timer<D: Clock>(&mut self, timer: Timer<D>, time: i64) {
        self.changes.add(self.index, timer, time, false);
    }
}
