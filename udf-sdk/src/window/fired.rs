//! What comes of a record in its windows, and of a window that fires.

/// A window that fires, with its result. Times are milliseconds since 1970 UTC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fired<R> {
    /// Start of the window; `i64::MIN` for the global one.
    pub start: i64,
    /// End of the window: its first millisecond behind it. `i64::MAX` for the global one.
    pub end: i64,
    /// When it fires.
    pub timing: Timing,
    /// The [`Aggregate`](super::Aggregate)'s result, or all elements.
    pub result: R,
}

/// When a window fires.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Timing {
    /// Before its end, by its trigger.
    Early,
    /// When the watermark has reached its end.
    OnTime,
    /// Behind its end, because a late record came within the allowed lateness.
    Late,
}

/// What has become of a record.
#[must_use = "a late record is dropped without a trace unless it is emitted or counted"]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Added {
    /// A window has taken it.
    Kept,
    /// All of its windows were dropped before it came.
    Late,
}

impl Added {
    /// Whether no window has taken the record.
    pub fn is_late(self) -> bool {
        self == Self::Late
    }
}
