//! When what is kept expires: the two clocks, the time that an item of an event-time state begins with, and the
//! times up to which what has expired may really be dropped.
//!
//! Whether something is *seen* depends on the clocks of the running call. Whether it may be *dropped* depends on
//! those of the newest acknowledged commit: a redo from the log always comes past that one before anything is read.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use crate::catalogue::IDS_MAX;

/// The time from which on something counts as absent, if it never does.
pub(crate) const NEVER: i64 = i64::MAX;

/// What the two clocks show, milliseconds since 1970 UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Times {
    pub processing: i64,
    pub watermark: i64,
}

impl Times {
    /// Before all times: nothing has expired.
    pub const START: Self = Self { processing: i64::MIN, watermark: i64::MIN };

    /// The clock that a state's items expire by.
    #[inline]
    pub fn of(self, event_time: bool) -> i64 {
        if event_time { self.watermark } else { self.processing }
    }
}

/// When an item of an event-time state expires: its first 8 bytes, little-endian. The sandbox lets nothing shorter
/// pass; it would stay for ever.
#[inline]
pub(crate) fn event_expiry(item: &[u8]) -> i64 {
    item.first_chunk().map_or(NEVER, |bytes| i64::from_le_bytes(*bytes))
}

/// When something written at `now` expires by processing time.
#[inline]
pub(crate) fn processing_expiry(now: i64, ttl_ms: Option<u64>) -> i64 {
    // A time that saturates is one that never comes.
    ttl_ms.map_or(NEVER, |ttl| now.saturating_add_unsigned(ttl))
}

/// The clocks of the newest acknowledged commit, and which columns of value states follow which of them. Compactions
/// read it while the partition goes on.
pub(crate) struct Horizon {
    processing_time: AtomicI64,
    watermark: AtomicI64,
    /// One bit per column, set once and for ever: a state never changes its clock.
    event_time_columns: [AtomicU64; IDS_MAX / 64],
}

impl Horizon {
    /// Nothing may be dropped before the log has told the time.
    pub fn new() -> Self {
        Self {
            processing_time: AtomicI64::new(i64::MIN),
            watermark: AtomicI64::new(i64::MIN),
            event_time_columns: [const { AtomicU64::new(0) }; IDS_MAX / 64],
        }
    }

    /// A commit with these clocks is durable.
    pub fn advance(&self, times: Times) {
        self.processing_time.fetch_max(times.processing, Ordering::Relaxed);
        self.watermark.fetch_max(times.watermark, Ordering::Relaxed);
    }

    pub fn times(&self) -> Times {
        Times {
            processing: self.processing_time.load(Ordering::Relaxed),
            watermark: self.watermark.load(Ordering::Relaxed),
        }
    }

    /// Notes that the column's items begin with the event time at which they expire.
    pub fn follow_event_time(&self, column: usize) {
        self.event_time_columns[column / 64].fetch_or(1 << (column % 64), Ordering::Relaxed);
    }

    /// Whether the column's items begin with the event time at which they expire.
    pub fn follows_event_time(&self, column: usize) -> bool {
        let bits = self.event_time_columns.get(column / 64);
        bits.is_some_and(|bits| bits.load(Ordering::Relaxed) >> (column % 64) & 1 == 1)
    }
}
