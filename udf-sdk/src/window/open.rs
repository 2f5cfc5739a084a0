//! The open windows of a key: those that the watermark has not reached the end of. They are one `value`
//! state, which comes along with the batch, and says whether there are others at all.

use serde::{Deserialize, Serialize};

use super::aggregate::Contents;
use super::layout::{Trigger, next_multiple};
use super::span::Span;
use crate::fires::{FiresBy, Moment};

/// The open windows of a key, by start.
#[derive(Serialize, Deserialize)]
#[serde(bound = "C: Contents")]
pub struct Open<C> {
    pub slots: Vec<Slot<C>>,
    /// Whether windows past their end may be kept.
    pub past: bool,
}

impl<C> Default for Open<C> {
    fn default() -> Self {
        Self { slots: Vec::new(), past: false }
    }
}

/// An open window.
#[derive(Serialize, Deserialize)]
#[serde(bound = "C: Contents")]
pub struct Slot<C> {
    pub span: Span,
    /// Nothing after a firing that discarded it.
    pub contents: Option<C>,
    /// How long before its end the pending timer is. A session's timer stays where it is while the session grows,
    /// and moves when it fires: that is rarer.
    timer_before: u64,
    /// Since the last firing, if there is a trigger and a record came.
    pub early: Option<Early>,
}

/// What a window's trigger remembers.
#[derive(Clone, Copy, Default, Serialize, Deserialize)]
pub struct Early {
    pub records: u32,
    /// Pending early timers.
    pub event_time: Option<i64>,
    pub processing_time: Option<i64>,
}

impl<C> Slot<C> {
    /// A new window, whose timer is to be set for its last millisecond.
    pub fn new(span: Span) -> Self {
        Self { span, contents: None, timer_before: 0, early: None }
    }

    /// The time of its pending timer.
    pub fn timer(&self) -> i64 {
        self.span.last().saturating_sub_unsigned(self.timer_before)
    }

    /// The window grows or its timer moves.
    pub fn set_span(&mut self, span: Span, timer: i64) {
        self.span = span;
        self.timer_before = span.last().abs_diff(timer);
    }
}

impl Early {
    /// Of two windows that became one. A timer that is dropped here fires and finds nothing to do.
    pub fn merge(self, other: Self) -> Self {
        let earlier = |a: Option<i64>, b: Option<i64>| a.into_iter().chain(b).min();
        Self {
            records: self.records.saturating_add(other.records),
            event_time: earlier(self.event_time, other.event_time),
            processing_time: earlier(self.processing_time, other.processing_time),
        }
    }

    /// A record came: whether the window, whose last millisecond is `last`, fires now. Otherwise the timers it needs are
    /// pending or added to `timers`.
    pub fn record(
        &mut self,
        trigger: &Trigger,
        last: i64,
        moment: &Moment,
        timers: &mut Vec<(FiresBy, i64)>,
    ) -> bool {
        self.records = self.records.saturating_add(1);
        if trigger.records.is_some_and(|count| self.records >= count) {
            return true;
        }
        // One that is past was refused by the handler.
        let pending = |timer: Option<i64>, reached| timer.is_some_and(|time| time > reached);
        if let Some(interval) = trigger.event_time_ms
            && !pending(self.event_time, moment.watermark)
        {
            let time = next_multiple(interval, moment.event_time.max(moment.watermark));
            if time < last {
                self.event_time = Some(time);
                push_once(timers, (FiresBy::Main, time));
            }
        }
        if let Some(interval) = trigger.processing_time_ms
            && !pending(self.processing_time, moment.processing_time)
        {
            let time = next_multiple(interval, moment.processing_time);
            self.processing_time = Some(time);
            push_once(timers, (FiresBy::Beside, time));
        }
        false
    }
}

/// All windows of a record share the timers of their trigger.
fn push_once(timers: &mut Vec<(FiresBy, i64)>, timer: (FiresBy, i64)) {
    if !timers.contains(&timer) {
        timers.push(timer);
    }
}
