//! The windows of a state: records go in, what fires goes to the handler.

use std::collections::VecDeque;

use super::aggregate::Contents;
use super::fired::{Added, Fired, Timing};
use super::layout::{Kind, Window, fixed};
use super::open::{Open, Slot};
use super::span::Span;
use crate::describe::{self, StateKind};
use crate::fires::{Fires, FiresBy, Moment};
use crate::frame::Written;
use crate::state::{Map, Opening, StateField, Value};

/// Windows of a key, as a field of a [`States`](macro@crate::States) struct. `#[window(field = ...)]` on a function of
/// the UDF says how they are laid out, and makes it the handler of what fires. See [the module](super).
///
/// `C` is what a window holds: an [`Aggregate`](super::Aggregate), or [`Elements<T>`](super::Elements).
///
/// Open windows are one `value` state, written once per batch and key. A window that is past its end and kept for late
/// records is a map entry of its own, so that a long allowed lateness does not make each write long.
pub struct Windows<C: Contents> {
    open: Value<Open<C>>,
    /// By last millisecond + 1, then start. Nothing: it fired and was discarded.
    past: Map<(i64, i64), Option<C>>,
    beside: C::Beside,
    setup: Option<Window>,
    moment: Moment,
    fired: VecDeque<Fired<C::Result>>,
    timers: Vec<(FiresBy, i64)>,
}

impl<C: Contents> Windows<C> {
    /// Adds a record to the windows that its event time belongs to. A window that fires by it reaches its handler
    /// when the handler of the record has returned.
    ///
    /// In a handler of a timer or a window the event time is that timer's, and windows that end at or before the watermark
    /// are past. So to add up windows to longer ones is for a stage of its own.
    ///
    /// Panics in a state that no UDF drives, such as in a test's `with_state`.
    pub fn add(&mut self, input: &C::Input<'_>) -> Added {
        let Some(window) = self.setup else {
            panic!("windows take records while a handler of their UDF runs, and at no other time")
        };
        let time = self.moment.event_time;
        let kept = match window.kind {
            Kind::Fixed { size_ms, slide_ms, offset_ms } => {
                let mut kept = false;
                self.drop_refused();
                for span in fixed(size_ms, slide_ms, offset_ms, time) {
                    kept |= self.add_to_fixed(&window, span, input);
                }
                kept
            }
            Kind::Session { gap_ms } => {
                let own = Span { start: time, end: time.saturating_add(gap_ms) };
                self.add_to_session(&window, own, input)
            }
            Kind::Global => {
                self.add_to_open(&window, Span::GLOBAL, input);
                true
            }
        };
        if kept { Added::Kept } else { Added::Late }
    }

    /// The windows of the key that have not reached their end, by start: bounds, and what they hold.
    pub fn open(&mut self) -> impl Iterator<Item = (i64, i64, &C)> {
        let slots = self.open.get().map_or(&[][..], |open| &open.slots);
        slots
            .iter()
            .filter_map(|slot| Some((slot.span.start, slot.span.end, slot.contents.as_ref()?)))
    }

    /// Whether the window takes the record.
    fn add_to_fixed(&mut self, window: &Window, span: Span, input: &C::Input<'_>) -> bool {
        if window.cleanup(span) <= self.moment.late_by() {
            return false;
        }
        if span.last() > self.moment.watermark {
            self.add_to_open(window, span, input);
        } else {
            let kept =
                if self.keeps_past() { self.past.get(&(span.end, span.start)) } else { None };
            self.add_to_past(window, span, kept.is_none(), kept.flatten(), input);
        }
        true
    }

    fn add_to_open(&mut self, window: &Window, span: Span, input: &C::Input<'_>) {
        let slots = &mut self.open.get_or_default().slots;
        let at = slots.partition_point(|slot| slot.span.start < span.start);
        let found = slots[at..].iter().take_while(|s| s.span.start == span.start);
        let at = match found.into_iter().position(|slot| slot.span == span) {
            Some(behind) => at + behind,
            None => {
                slots.insert(at, Slot::new(span));
                if span != Span::GLOBAL {
                    self.timers.push((FiresBy::Main, span.last()));
                }
                at
            }
        };
        self.add_to_slot(window, at, input);
    }

    /// Drops windows whose timer has passed without them: their handler refused what they fired.
    fn drop_refused(&mut self) {
        let through = self.moment.fired_through;
        let refused = |slot: &Slot<C>| slot.timer() <= through && slot.span != Span::GLOBAL;
        if !self.open.get().is_some_and(|open| open.slots.iter().any(refused)) {
            return;
        }
        let slots = &mut self.open.get_or_default().slots;
        for slot in slots.extract_if(.., |slot| refused(slot)) {
            if let Some(contents) = slot.contents {
                contents.discard(&mut self.beside);
            }
        }
        self.clear_if_empty();
    }

    /// Adds to an open window, which may fire early by it.
    fn add_to_slot(&mut self, window: &Window, at: usize, input: &C::Input<'_>) {
        let slot = &mut self.open.get_or_default().slots[at];
        let span = slot.span;
        let contents = slot.contents.get_or_insert_with(C::default);
        contents.add(input, span, &mut self.beside);
        let Some(trigger) = &window.early else { return };
        let early = slot.early.get_or_insert_default();
        let fires = early.record(trigger, span.last(), &self.moment, &mut self.timers);
        if fires {
            slot.early = None;
            fire(
                &mut self.fired,
                window,
                span,
                Timing::Early,
                &mut slot.contents,
                &mut self.beside,
            );
        }
    }

    /// Adds to a window that is past its end and kept for late records: it fires.
    fn add_to_past(
        &mut self,
        window: &Window,
        span: Span,
        new: bool,
        contents: Option<C>,
        input: &C::Input<'_>,
    ) {
        let mut contents = Some(contents.unwrap_or_default());
        if let Some(contents) = &mut contents {
            contents.add(input, span, &mut self.beside);
        }
        fire(&mut self.fired, window, span, Timing::Late, &mut contents, &mut self.beside);
        self.keep(span, &contents);
        if new {
            self.timers.push((FiresBy::Main, window.cleanup(span)));
        }
    }

    /// Whether sessions that only touch are one, as in Flink. With several sources they are not: one would have fired, or
    /// not yet, when a record comes that begins where it ends, as those of the other sources happened to come.
    fn touching_is_enough(&self) -> bool {
        self.moment.own_watermark.is_none()
    }

    /// Whether a session takes the record: it is one with all that it meets.
    fn add_to_session(&mut self, window: &Window, own: Span, input: &C::Input<'_>) -> bool {
        self.drop_refused();
        let watermark = self.moment.watermark;
        // An open session might take it after all, if one is still open: that depends on what of the other sources has come.
        let moment = Span { start: own.start, end: own.start.saturating_add(1) };
        if self.moment.own_watermark.is_some_and(|watermark| window.cleanup(moment) <= watermark) {
            return false;
        }
        let opens = own.last() > watermark || self.touches_open(own);
        let past = self.touching_past(window, own);
        if !opens && past.is_empty() && window.cleanup(own) <= watermark {
            return false;
        }
        // Those past their end come before the open ones, and both are in the order of time.
        let mut before: Option<(Span, Option<C>)> = None;
        for (span, contents) in past {
            self.past.remove(&(span.end, span.start));
            before = Some(match before {
                None => (span, contents),
                Some((earlier, first)) => {
                    (earlier.cover(span), merge(first, contents, &mut self.beside))
                }
            });
        }
        if opens {
            let at = self.merge_open(own, before);
            self.add_to_slot(window, at, input);
        } else {
            let (span, contents) = match before {
                Some((span, contents)) => (span.cover(own), contents),
                None => (own, None),
            };
            self.add_to_past(window, span, true, contents, input);
        }
        true
    }

    fn touches_open(&mut self, own: Span) -> bool {
        let enough = self.touching_is_enough();
        self.open
            .get()
            .is_some_and(|open| open.slots.iter().any(|slot| slot.span.meets(own, enough)))
    }

    /// The kept windows past their end that a session touches, in the order of time.
    fn touching_past(&mut self, window: &Window, own: Span) -> Vec<(Span, Option<C>)> {
        // They end at one behind the watermark at the latest.
        if own.start > self.moment.watermark.saturating_add(1) || !self.keeps_past() {
            return Vec::new();
        }
        let kept = self.past.iter_after(&(own.start.saturating_sub(1), i64::MAX));
        let spans = kept.map(|((end, start), contents)| (Span { start, end }, contents));
        spans
            .take_while(|(span, _)| span.touches(own))
            .filter(|(span, _)| span.meets(own, self.touching_is_enough()))
            .filter(|(span, _)| window.cleanup(*span) > self.moment.watermark)
            .collect()
    }

    /// Merges a new session with the open ones that it touches, and with one from before; the index of the result.
    fn merge_open(&mut self, own: Span, before: Option<(Span, Option<C>)>) -> usize {
        let enough = self.touching_is_enough();
        let slots = &mut self.open.get_or_default().slots;
        let own = before.as_ref().map_or(own, |(span, _)| span.cover(own));
        let Some(at) = slots.iter().position(|slot| slot.span.meets(own, enough)) else {
            let at = slots.partition_point(|slot| slot.span.start < own.start);
            let mut slot = Slot::new(own);
            slot.contents = before.and_then(|(_, contents)| contents);
            self.timers.push((FiresBy::Main, own.last()));
            slots.insert(at, slot);
            return at;
        };
        // Of their timers the first counts. The others will find nothing to do.
        let mut timer = slots[at].timer();
        let mut span = own.cover(slots[at].span);
        while slots.get(at + 1).is_some_and(|slot| slot.span.meets(span, enough)) {
            let later = slots.remove(at + 1);
            timer = timer.min(later.timer());
            span = span.cover(later.span);
            let slot = &mut slots[at];
            slot.contents = merge(slot.contents.take(), later.contents, &mut self.beside);
            slot.early = match (slot.early, later.early) {
                (Some(one), Some(other)) => Some(one.merge(other)),
                (one, other) => one.or(other),
            };
        }
        let slot = &mut slots[at];
        slot.set_span(span, timer);
        if let Some((_, contents)) = before {
            slot.contents = merge(contents, slot.contents.take(), &mut self.beside);
        }
        at
    }

    /// The event-time timer for `time`: windows fire, early or at their end, and kept ones are dropped.
    fn on_event_time(&mut self, window: &Window, time: i64) {
        let ends = |slot: &Slot<C>| slot.span != Span::GLOBAL && slot.timer() == time;
        let early = |slot: &Slot<C>| slot.early.is_some_and(|early| early.event_time == Some(time));
        let due = |slot: &Slot<C>| ends(slot) || early(slot);
        if self.open.get().is_some_and(|open| open.slots.iter().any(due)) {
            let mut slots = std::mem::take(&mut self.open.get_or_default().slots);
            let mut at = 0;
            while let Some(slot) = slots.get_mut(at) {
                let span = slot.span;
                if ends(slot) && span.last() <= time {
                    let contents = slots.remove(at).contents;
                    self.end(window, span, contents);
                    continue;
                }
                if ends(slot) {
                    // A session that has grown since the timer was set.
                    slot.set_span(span, span.last());
                    self.timers.push((FiresBy::Main, span.last()));
                }
                if early(slot) {
                    slot.early = None;
                    let contents = &mut slot.contents;
                    let beside = &mut self.beside;
                    fire(&mut self.fired, window, span, Timing::Early, contents, beside);
                }
                at += 1;
            }
            self.open.get_or_default().slots = slots;
        }
        if self.keeps_past() {
            self.drop_past(window);
        }
        self.clear_if_empty();
    }

    fn clear_if_empty(&mut self) {
        if self.open.get().is_some_and(|open| open.slots.is_empty() && !open.past) {
            self.open.clear();
        }
    }

    /// The watermark has reached the end of a window: it fires, and is kept for late records or dropped.
    fn end(&mut self, window: &Window, span: Span, mut contents: Option<C>) {
        let beside = &mut self.beside;
        fire(&mut self.fired, window, span, Timing::OnTime, &mut contents, beside);
        let cleanup = window.cleanup(span);
        if cleanup <= self.moment.watermark {
            if let Some(contents) = contents {
                contents.discard(beside);
            }
        } else if contents.is_some() || matches!(window.kind, Kind::Session { .. }) {
            // An empty session may still make two others one.
            self.keep(span, &contents);
            self.timers.push((FiresBy::Main, cleanup));
        }
    }

    fn keeps_past(&mut self) -> bool {
        self.open.get().is_some_and(|open| open.past)
    }

    /// Keeps a window that is past its end.
    fn keep(&mut self, span: Span, contents: &Option<C>) {
        self.past.insert(&(span.end, span.start), contents);
        if !self.keeps_past() {
            self.open.get_or_default().past = true;
        }
    }

    /// Drops the kept windows whose time has come. Those left have timers.
    fn drop_past(&mut self, window: &Window) {
        while let Some(((end, start), contents)) = self.past.first() {
            let cleanup = window.cleanup(Span { start, end });
            if cleanup > self.moment.watermark {
                // It may have been kept by a UDF with another allowed lateness.
                self.timers.push((FiresBy::Main, cleanup));
                return;
            }
            self.past.remove(&(end, start));
            if let Some(contents) = contents {
                contents.discard(&mut self.beside);
            }
        }
        self.open.get_or_default().past = false;
    }

    /// The processing-time timer for `time`: windows fire early.
    fn on_processing_time(&mut self, window: &Window, time: i64) {
        let due =
            |slot: &Slot<C>| slot.early.is_some_and(|early| early.processing_time == Some(time));
        if !self.open.get().is_some_and(|open| open.slots.iter().any(due)) {
            return;
        }
        for slot in self.open.get_or_default().slots.iter_mut().filter(|slot| due(slot)) {
            slot.early = None;
            let (span, contents) = (slot.span, &mut slot.contents);
            fire(&mut self.fired, window, span, Timing::Early, contents, &mut self.beside);
        }
    }
}

fn merge<C: Contents>(first: Option<C>, later: Option<C>, beside: &mut C::Beside) -> Option<C> {
    match (first, later) {
        (Some(mut first), Some(later)) => {
            first.merge(later, beside);
            Some(first)
        }
        (first, later) => first.or(later),
    }
}

/// Fires a window that holds something.
fn fire<C: Contents>(
    fired: &mut VecDeque<Fired<C::Result>>,
    window: &Window,
    span: Span,
    timing: Timing,
    contents: &mut Option<C>,
    beside: &mut C::Beside,
) {
    let Some(held) = contents else { return };
    let result = held.result(beside);
    fired.push_back(Fired { start: span.start, end: span.end, timing, result });
    if window.discarding
        && let Some(held) = contents.take()
    {
        held.discard(beside);
    }
}

impl<C: Contents> Fires for Windows<C> {
    type Setup = Window;
    type Fired = Fired<C::Result>;

    #[inline]
    fn is_set_up(&self) -> bool {
        self.setup.is_some()
    }

    fn set_up(&mut self, window: Window) {
        self.setup = Some(window);
    }

    #[inline]
    fn at(&mut self, moment: Moment) {
        self.moment = moment;
    }

    fn on_timer(&mut self, timer: FiresBy, time: i64) {
        let Some(window) = self.setup else { return };
        match timer {
            FiresBy::Main => self.on_event_time(&window, time),
            FiresBy::Beside => self.on_processing_time(&window, time),
        }
    }

    #[inline]
    fn next_fired(&mut self) -> Option<Self::Fired> {
        self.fired.pop_front()
    }

    #[inline]
    fn new_timers(&mut self) -> std::vec::Drain<'_, (FiresBy, i64)> {
        self.timers.drain(..)
    }
}

impl<C: Contents> StateField for Windows<C> {
    const KIND: StateKind = StateKind::Value;
    const FIRING: usize = 1;

    fn declare(named: describe::State, states: &mut Vec<describe::State>) {
        let past = describe::State {
            name: format!("{}_past", named.name),
            kind: StateKind::Map,
            ..named.clone()
        };
        states.extend([named.clone(), past]);
        C::declare(&named, states);
    }

    fn open(opening: &mut Opening) -> Self {
        Self {
            open: StateField::open(opening),
            past: StateField::open(opening),
            beside: C::open(opening),
            setup: None,
            moment: Moment::default(),
            fired: VecDeque::new(),
            timers: Vec::new(),
        }
    }

    #[inline]
    fn select(&mut self, key: u32) {
        self.open.select(key);
        self.past.select(key);
        C::select(&mut self.beside, key);
    }

    fn close(self, written: &mut Vec<Written>) {
        self.open.close(written);
    }
}
