//! How an interval join is laid out, and what it gives.

use std::ops::RangeInclusive;
use std::time::Duration;

/// Which records an [`IntervalJoin`](super::IntervalJoin) joins: those with
/// `left.time + lower <= right.time <= left.time + upper`, in milliseconds of event time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval {
    pub(super) lower: i64,
    pub(super) upper: i64,
    pub(super) left_alone: bool,
    pub(super) right_alone: bool,
}

/// The longest a bound may be: times stay far from the ends of an `i64`.
const BOUND_MS_MAX: i64 = 1 << 60;

impl Interval {
    /// Both bounds belong to the interval; a negative one lies before the left record.
    ///
    /// Panics if no time lies between them, or a bound is beyond 2^60 ms.
    pub const fn ms(lower: i64, upper: i64) -> Self {
        assert!(lower <= upper, "the lower bound of an interval is above its upper bound");
        assert!(
            lower >= -BOUND_MS_MAX && upper <= BOUND_MS_MAX,
            "a bound of an interval is at most 2^60 ms"
        );
        Self { lower, upper, left_alone: false, right_alone: false }
    }

    /// The right record comes at the time of the left one or up to so much later. Panics as [`Self::ms`] does.
    pub const fn within(time: Duration) -> Self {
        let ms = time.as_millis();
        assert!(ms <= BOUND_MS_MAX as u128, "a bound of an interval is at most 2^60 ms");
        Self::ms(0, ms as i64)
    }

    /// The same without the lower bound itself. Panics if nothing is left.
    pub const fn lower_exclusive(self) -> Self {
        Self { lower: Self::ms(self.lower + 1, self.upper).lower, ..self }
    }

    /// The same without the upper bound itself. Panics if nothing is left.
    pub const fn upper_exclusive(self) -> Self {
        Self { upper: Self::ms(self.lower, self.upper - 1).upper, ..self }
    }

    /// Also gives each left record that has found no right one when the watermark has passed its interval.
    pub const fn left_outer(self) -> Self {
        Self { left_alone: true, ..self }
    }

    /// Also gives each right record that has found no left one when the watermark has passed its interval.
    pub const fn right_outer(self) -> Self {
        Self { right_alone: true, ..self }
    }

    /// Right times for a left record of this time.
    pub(super) const fn rights(self, left: i64) -> RangeInclusive<i64> {
        left.saturating_add(self.lower)..=left.saturating_add(self.upper)
    }

    /// Left times for a right record of this time.
    pub(super) const fn lefts(self, right: i64) -> RangeInclusive<i64> {
        right.saturating_sub(self.upper)..=right.saturating_sub(self.lower)
    }

    /// How long behind its own time a left record can still find a right one.
    pub(super) const fn left_waits(self) -> i64 {
        if self.upper > 0 { self.upper } else { 0 }
    }

    /// How long behind its own time a right record can still find a left one.
    pub(super) const fn right_waits(self) -> i64 {
        if self.lower < 0 { -self.lower } else { 0 }
    }
}

/// What an [`IntervalJoin`](super::IntervalJoin) gives. Times are milliseconds since 1970 UTC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Joined<L, R> {
    /// Two records that belong together.
    Pair {
        /// The left record.
        left: L,
        /// Its event time.
        left_time: i64,
        /// The right record.
        right: R,
        /// Its event time.
        right_time: i64,
    },
    /// A left record without a right one, with [`Interval::left_outer`].
    Left {
        /// The left record.
        left: L,
        /// Its event time.
        left_time: i64,
    },
    /// A right record without a left one, with [`Interval::right_outer`].
    Right {
        /// The right record.
        right: R,
        /// Its event time.
        right_time: i64,
    },
}
