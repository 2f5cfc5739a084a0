//! How windows are laid out: [`Window`], [`Trigger`], and the windows of an event time.

use std::time::Duration;

use super::span::Span;

/// Windows that one record may belong to: the contract allows 100 outputs and as many changes of timers per record, and
/// it may open or fire all of its windows.
pub const WINDOWS_PER_RECORD_MAX: i64 = 96;

/// How the windows of a key are laid out, when they fire, and how long they are kept. All of it is in
/// event time unless it says otherwise.
///
/// It is made in code, or read from the stage's configuration: it is `Deserialize`, with durations as in
/// manifests.
///
/// ```
/// use millstream_udf::window::{Trigger, Window};
/// use std::time::Duration;
///
/// let in_code = Window::sliding(Duration::from_secs(600), Duration::from_secs(60))
///     .allowed_lateness(Duration::from_secs(30))
///     .early(Trigger::records(100));
/// let configured: Window = serde_json::from_str(
///     r#"{"sliding": {"size": "10m", "slide": "1m"}, "allowed_lateness": "30s", "early": {"records": 100}}"#,
/// )
/// .unwrap();
/// assert_eq!(in_code, configured);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    pub(super) kind: Kind,
    pub(super) allowed_lateness_ms: i64,
    pub(super) early: Option<Trigger>,
    pub(super) discarding: bool,
}

/// The kinds of windows; lengths in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Starts every `slide_ms` from `offset_ms` on. Tumbling ones are as long as the slide.
    Fixed {
        size_ms: i64,
        slide_ms: i64,
        offset_ms: i64,
    },
    Session {
        gap_ms: i64,
    },
    Global,
}

/// When a window fires before its end: at a number of records, or at intervals of event time or processing
/// time, whichever comes first.
///
/// An interval's firings are at its multiples since 1970 UTC, and only if a record has come since the last
/// firing: unlike with Flink's continuous triggers, no result is repeated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trigger {
    pub(super) records: Option<u32>,
    pub(super) event_time_ms: Option<i64>,
    pub(super) processing_time_ms: Option<i64>,
}

/// A length in whole milliseconds. Panics below `min` ms and above 2^62 ms, where sums could overflow.
#[track_caller]
const fn ms(length: Duration, min: i64, message: &str) -> i64 {
    let ms = length.as_millis();
    assert!(ms >= min as u128 && ms <= 1 << 62, "{}", message);
    ms as i64
}

impl Window {
    const fn of(kind: Kind) -> Self {
        Self { kind, allowed_lateness_ms: 0, early: None, discarding: false }
    }

    /// Windows `[k * size, (k + 1) * size)` since 1970 UTC. Panics for a size below 1 ms.
    #[track_caller]
    pub const fn tumbling(size: Duration) -> Self {
        let size_ms = ms(size, 1, "a window is at least 1 ms long");
        Self::of(Kind::Fixed { size_ms, slide_ms: size_ms, offset_ms: 0 })
    }

    /// Windows of this size that start at each multiple of `slide` since 1970 UTC, so that a record belongs to
    /// `size / slide` of them. Panics for lengths below 1 ms, a slide above the size, and
    /// more than [`WINDOWS_PER_RECORD_MAX`] windows per record.
    #[track_caller]
    pub const fn sliding(size: Duration, slide: Duration) -> Self {
        let size_ms = ms(size, 1, "a window is at least 1 ms long");
        let slide_ms = ms(slide, 1, "windows slide by 1 ms at least");
        assert!(slide_ms <= size_ms, "windows slide by their size at most");
        assert!(
            (size_ms - 1) / slide_ms < WINDOWS_PER_RECORD_MAX,
            "a record may belong to 96 windows at most"
        );
        Self::of(Kind::Fixed { size_ms, slide_ms, offset_ms: 0 })
    }

    /// Sessions: a record opens `[time, time + gap)`, and windows of a key that overlap or touch merge. Panics
    /// for a gap below 1 ms.
    #[track_caller]
    pub const fn session(gap: Duration) -> Self {
        Self::of(Kind::Session { gap_ms: ms(gap, 1, "a gap is at least 1 ms long") })
    }

    /// One window for all time, which fires by `trigger` alone, and not at the end of the input. Panics
    /// for a trigger that never fires.
    #[track_caller]
    pub const fn global(trigger: Trigger) -> Self {
        Self::of(Kind::Global).early(trigger)
    }

    /// Shifts tumbling and sliding windows: with a size of a day and an offset of 16 hours they start
    /// when the day does at UTC+8. Panics for other windows.
    #[track_caller]
    pub const fn offset(self, offset: Duration) -> Self {
        let Kind::Fixed { size_ms, slide_ms, .. } = self.kind else {
            panic!("only tumbling and sliding windows have an offset")
        };
        let offset_ms = ms(offset, 0, "an offset is not that long");
        Self { kind: Kind::Fixed { size_ms, slide_ms, offset_ms }, ..self }
    }

    /// How long after its end a window still takes records: it then fires again with each, with the result so far.
    /// It is dropped when the watermark reaches its end + this - 1 ms.
    #[track_caller]
    pub const fn allowed_lateness(self, lateness: Duration) -> Self {
        Self { allowed_lateness_ms: ms(lateness, 0, "lateness is not that long"), ..self }
    }

    /// Fires before the end, too. Panics for a trigger that never fires.
    #[track_caller]
    pub const fn early(self, trigger: Trigger) -> Self {
        assert!(trigger.fires(), "this trigger never fires");
        Self { early: Some(trigger), ..self }
    }

    /// Each firing gives what came since the last one, and not all since the window's start. A window
    /// without anything new does not fire.
    pub const fn discarding(self) -> Self {
        Self { discarding: true, ..self }
    }

    /// The watermark at which a window is dropped: one whose time has come takes no record any more.
    pub(super) fn cleanup(&self, span: Span) -> i64 {
        if span == Span::GLOBAL {
            return i64::MAX;
        }
        span.last().saturating_add(self.allowed_lateness_ms)
    }
}

impl Trigger {
    const NEVER: Self = Self { records: None, event_time_ms: None, processing_time_ms: None };

    const fn fires(&self) -> bool {
        self.records.is_some() || self.event_time_ms.is_some() || self.processing_time_ms.is_some()
    }

    /// At so many records since the last firing. Panics for 0.
    #[track_caller]
    pub const fn records(count: u32) -> Self {
        assert!(count > 0, "a window fires at 1 record or more");
        Self { records: Some(count), ..Self::NEVER }
    }

    /// At each multiple of this interval that the watermark reaches. Panics below 1 ms.
    #[track_caller]
    pub const fn event_time(interval: Duration) -> Self {
        let interval = ms(interval, 1, "an interval is at least 1 ms long");
        Self { event_time_ms: Some(interval), ..Self::NEVER }
    }

    /// At each multiple of this interval of processing time. Panics below 1 ms.
    #[track_caller]
    pub const fn processing_time(interval: Duration) -> Self {
        let interval = ms(interval, 1, "an interval is at least 1 ms long");
        Self { processing_time_ms: Some(interval), ..Self::NEVER }
    }

    /// Whichever of the two comes first; where both say something of the same kind, what `self` says.
    pub const fn or(self, other: Self) -> Self {
        const fn first<T: Copy>(one: Option<T>, other: Option<T>) -> Option<T> {
            match one {
                Some(_) => one,
                None => other,
            }
        }
        Self {
            records: first(self.records, other.records),
            event_time_ms: first(self.event_time_ms, other.event_time_ms),
            processing_time_ms: first(self.processing_time_ms, other.processing_time_ms),
        }
    }
}

/// The windows of fixed length that an event time belongs to, the earliest first. Those that do not fit into 64 bits
/// are cut at the ends of time.
pub(super) fn fixed(
    size_ms: i64,
    slide_ms: i64,
    offset_ms: i64,
    time: i64,
) -> impl Iterator<Item = Span> {
    let (time, size, slide) = (i128::from(time), i128::from(size_ms), i128::from(slide_ms));
    // How long before `time` the last one starts; the first starts less than the size before it.
    let before = (time - i128::from(offset_ms)).rem_euclid(slide);
    let (last, count) = (time - before, (size - before + slide - 1).div_euclid(slide));
    let clamp = |t: i128| t.clamp(i64::MIN.into(), i64::MAX.into()) as i64;
    (0..count).rev().map(move |i| {
        let start = last - i * slide;
        Span { start: clamp(start), end: clamp(start + size) }
    })
}

/// The first multiple of an interval behind `time`.
pub(super) fn next_multiple(interval_ms: i64, time: i64) -> i64 {
    time.saturating_sub(time.rem_euclid(interval_ms)).saturating_add(interval_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn starts(size: i64, slide: i64, offset: i64, time: i64) -> Vec<i64> {
        fixed(size, slide, offset, time).map(|span| span.start).collect()
    }

    #[test]
    fn windows_of_a_time() {
        assert_eq!(starts(60, 60, 0, 119), [60]);
        assert_eq!(starts(60, 60, 0, 120), [120]);
        assert_eq!(starts(60, 60, 0, -1), [-60]);
        assert_eq!(starts(60, 60, 10, 9), [-50]);
        assert_eq!(starts(60, 60, 130, 9), [-50]);
        assert_eq!(starts(60, 20, 0, 59), [0, 20, 40]);
        assert_eq!(starts(60, 20, 0, 60), [20, 40, 60]);
        assert_eq!(starts(50, 20, 0, 45), [0, 20, 40]);
        assert_eq!(starts(50, 20, 0, 55), [20, 40]);
    }

    #[test]
    fn the_ends_of_time() {
        let first: Vec<_> = fixed(60, 60, 0, i64::MIN).collect();
        assert_eq!((first.len(), first[0].start), (1, i64::MIN));
        let last: Vec<_> = fixed(60, 60, 0, i64::MAX).collect();
        assert_eq!((last.len(), last[0].end), (1, i64::MAX));
        assert_eq!(next_multiple(60, i64::MAX), i64::MAX);
        assert_eq!(next_multiple(60, -61), -60);
        assert_eq!(next_multiple(60, 60), 120);
    }

    #[test]
    #[should_panic(expected = "at least 1 ms")]
    fn no_length() {
        Window::tumbling(Duration::from_micros(999));
    }

    #[test]
    #[should_panic(expected = "96 windows")]
    fn too_many() {
        Window::sliding(Duration::from_secs(97), Duration::from_secs(1));
    }

    #[test]
    fn the_most() {
        let window = Window::sliding(Duration::from_secs(96), Duration::from_secs(1));
        let Kind::Fixed { size_ms, slide_ms, offset_ms } = window.kind else { panic!() };
        assert_eq!(fixed(size_ms, slide_ms, offset_ms, 5_000_000).count(), 96);
    }
}
