//! Watermarks: how far event time has surely come.
//!
//! A source's watermark is a function of its log's prefix, one for all keys: after
//! every record whose event time exceeds the maximum so far it becomes that maximum
//! minus the bound minus 1 ms. The reader computes it once per scanned chunk, and
//! all partitions share the [`Advances`]. So what fires when depends neither on how
//! many partitions there are nor on where they run.

use crate::ids::WATERMARK_MIN;

/// The watermark of one source with bounded out-of-orderness.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Generator {
    bound_ms: i64,
    max_event_time: i64,
}

impl Generator {
    /// Goes on from the maximum in a committed position ([`WATERMARK_MIN`]: no record yet).
    pub fn resume(bound_ms: i64, max_event_time: i64) -> Self {
        Self { bound_ms, max_event_time }
    }

    /// Takes a record's event time; the new watermark if it advanced.
    #[inline]
    pub fn observe(&mut self, event_time: i64) -> Option<i64> {
        if event_time <= self.max_event_time {
            return None;
        }
        let before = self.watermark();
        self.max_event_time = event_time;
        let after = self.watermark();
        (after > before).then_some(after)
    }

    /// The highest event time so far, milliseconds.
    pub fn max_event_time(&self) -> i64 {
        self.max_event_time
    }

    /// The watermark, milliseconds.
    pub fn watermark(&self) -> i64 {
        if self.max_event_time == WATERMARK_MIN {
            return WATERMARK_MIN;
        }
        self.max_event_time.saturating_sub(self.bound_ms).saturating_sub(1)
    }
}

/// The advances within a scanned chunk of a source: after which record the watermark became what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advances {
    initial: i64,
    /// Index of the record in the chunk; ascends.
    records: Vec<u32>,
    /// The watermark behind that record; ascends.
    watermarks: Vec<i64>,
}

impl Advances {
    /// A chunk that begins at the watermark `initial`.
    pub fn new(initial: i64) -> Self {
        Self { initial, records: Vec::new(), watermarks: Vec::new() }
    }

    /// Record `index` raised the watermark. Indexes and watermarks must ascend.
    #[inline]
    pub fn push(&mut self, index: u32, watermark: i64) {
        debug_assert!(
            self.records.last().is_none_or(|&last| last < index) && self.last() < watermark
        );
        self.records.push(index);
        self.watermarks.push(watermark);
    }

    /// Number of advances.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether the watermark did not advance.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Advance `i`: index of its record, watermark behind it. Panics when out of range.
    pub fn get(&self, i: usize) -> (u32, i64) {
        (self.records[i], self.watermarks[i])
    }

    /// The watermark before the chunk.
    pub fn initial(&self) -> i64 {
        self.initial
    }

    /// The watermark behind the chunk.
    pub fn last(&self) -> i64 {
        self.watermarks.last().copied().unwrap_or(self.initial)
    }

    /// The first advance that reaches `time`.
    pub fn first_reaching(&self, time: i64) -> Option<usize> {
        let at = self.watermarks.partition_point(|&watermark| watermark < time);
        (at < self.watermarks.len()).then_some(at)
    }

    /// The watermark before record `index` is read.
    pub fn before(&self, index: u32) -> i64 {
        match self.records.partition_point(|&record| record < index) {
            0 => self.initial,
            at => self.watermarks[at - 1],
        }
    }
}

/// The watermark of an operator: the minimum over its inputs that are not idle. It never regresses:
/// an input that wakes up with a lower watermark holds the operator's where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Combined {
    inputs: Vec<(i64, bool)>,
    watermark: i64,
}

impl Combined {
    /// Goes on from a committed watermark, with (watermark, idle) per input.
    pub fn resume(inputs: Vec<(i64, bool)>, watermark: i64) -> Self {
        let mut combined = Self { inputs, watermark };
        combined.recompute();
        combined
    }

    /// An input advanced; the operator's new watermark if it did too. Panics when `input` is out of range.
    pub fn advance(&mut self, input: usize, watermark: i64) -> Option<i64> {
        let (current, idle) = &mut self.inputs[input];
        *current = watermark.max(*current);
        *idle = false;
        self.recompute()
    }

    /// An input became idle or active; the operator's new watermark if it advanced. Panics when
    /// `input` is out of range.
    pub fn set_idle(&mut self, input: usize, idle: bool) -> Option<i64> {
        self.inputs[input].1 = idle;
        self.recompute()
    }

    /// The operator's watermark.
    pub fn watermark(&self) -> i64 {
        self.watermark
    }

    fn recompute(&mut self) -> Option<i64> {
        // When all are idle nothing is known, so nothing moves.
        let least =
            self.inputs.iter().filter(|(_, idle)| !idle).map(|&(watermark, _)| watermark).min()?;
        if least <= self.watermark {
            return None;
        }
        self.watermark = least;
        Some(least)
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_resumed_generator_goes_on_as_if_it_had_not_stopped(times in vec(-50i64..50, 1..60), stop: prop::sample::Index) {
            let mut whole = Generator::resume(5, WATERMARK_MIN);
            let expected: Vec<_> = times.iter().map(|&time| whole.observe(time)).collect();
            let (before, after) = times.split_at(stop.index(times.len()));
            let mut first = Generator::resume(5, WATERMARK_MIN);
            let mut found: Vec<_> = before.iter().map(|&time| first.observe(time)).collect();
            let mut second = Generator::resume(5, first.max_event_time());
            found.extend(after.iter().map(|&time| second.observe(time)));
            prop_assert_eq!(found, expected);
        }

        #[test]
        fn advances_answer_as_a_scan_would(times in vec(0i64..200, 1..60), time in -10i64..220) {
            let mut generator = Generator::resume(5, WATERMARK_MIN);
            let mut advances = Advances::new(generator.watermark());
            let mut before = Vec::new();
            for (index, &time) in times.iter().enumerate() {
                before.push(generator.watermark());
                if let Some(watermark) = generator.observe(time) {
                    advances.push(index as u32, watermark);
                }
            }
            for (index, &watermark) in before.iter().enumerate() {
                prop_assert_eq!(advances.before(index as u32), watermark);
            }
            let scanned = (0..advances.len()).find(|&i| advances.get(i).1 >= time);
            prop_assert_eq!(advances.first_reaching(time), scanned);
            prop_assert_eq!(advances.last(), generator.watermark());
        }
    }

    #[test]
    fn extremes_do_not_wrap() {
        let mut generator = Generator::resume(10, WATERMARK_MIN);
        assert_eq!(generator.observe(i64::MIN + 3), None);
        assert_eq!(generator.watermark(), i64::MIN);
        assert_eq!(generator.observe(i64::MAX), Some(i64::MAX - 11));
    }

    #[test]
    fn the_slowest_active_input_counts() {
        let mut combined = Combined::resume(vec![(WATERMARK_MIN, false); 2], WATERMARK_MIN);
        assert_eq!(combined.advance(0, 10), None);
        assert_eq!(combined.advance(1, 7), Some(7));
        assert_eq!(combined.set_idle(1, true), Some(10));
        assert_eq!(combined.advance(1, 8), None, "it never regresses");
        assert_eq!(combined.watermark(), 10);
        assert_eq!(combined.set_idle(0, true), None);
        assert_eq!(combined.set_idle(1, true), None);
        assert_eq!(combined.advance(0, 12), Some(12));
    }
}
