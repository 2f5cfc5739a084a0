//! Records of a key in the order of event time.

use std::collections::VecDeque;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::describe::{self, StateKind};
use crate::fires::{Fires, FiresBy, Moment};
use crate::frame::Written;
use crate::state::{Map, Opening, StateField, Value};

/// How [`Ordered`] gives records out: `#[join(field = ByEventTime)]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByEventTime;

/// Records that wait until the watermark has reached their event time, as a field of a
/// [`States`](macro@crate::States) struct. The handler with `#[join(field = ByEventTime)]` then gets each, in the order of event
/// time, and of arrival where that is equal. `ctx.time()` is its event time.
///
/// By then all inputs have sent what they had for that time, broadcast ones too: what the handler looks up in a
/// [`BroadcastTable`](crate::BroadcastTable) does not depend on how the inputs' records came among each other. See
/// [the module](super).
///
/// It is kept in two states: a count under the field's own name, and the records as map entries in `NAME_records`.
/// A record is at most 1 MiB.
pub struct Ordered<E> {
    waiting: Waiting<E>,
    set_up: bool,
    moment: Moment,
    fired: VecDeque<E>,
    timers: Vec<(FiresBy, i64)>,
}

/// The records that wait.
pub(super) struct Waiting<E> {
    held: Value<Held>,
    records: Map<(i64, u32), E>,
}

/// What is kept of a key.
#[derive(Default, Serialize, Deserialize)]
struct Held {
    /// Number of the next record.
    next: u32,
    count: u32,
}

impl<E: Serialize + DeserializeOwned> Waiting<E> {
    /// Keeps a record of this time.
    pub fn push(&mut self, time: i64, record: &E) {
        let held = self.held.get_or_default();
        self.records.insert(&(time, held.next), record);
        held.next = held.next.wrapping_add(1);
        held.count += 1;
    }

    /// Takes the records of this time. Earlier ones were refused by the handler, and are dropped.
    pub fn take(&mut self, time: i64) -> Vec<E> {
        let due = self.records.iter().take_while(|((of, _), _)| *of <= time);
        let due: Vec<_> = due.collect();
        for (entry, _) in &due {
            self.records.remove(entry);
        }
        let held = self.held.get_or_default();
        held.count -= due.len() as u32;
        if held.count == 0 {
            self.held.clear();
        }
        due.into_iter().filter(|((of, _), _)| *of == time).map(|(_, record)| record).collect()
    }

    /// How many records wait.
    pub fn count(&mut self) -> u32 {
        self.held.get().map_or(0, |held| held.count)
    }

    /// Adds the declarations.
    pub fn declare(named: describe::State, states: &mut Vec<describe::State>) {
        let records = describe::State {
            name: format!("{}_records", named.name),
            kind: StateKind::Map,
            ..named.clone()
        };
        states.extend([named, records]);
    }

    pub fn open(opening: &mut Opening) -> Self {
        Self { held: StateField::open(opening), records: StateField::open(opening) }
    }

    #[inline]
    pub fn select(&mut self, key: u32) {
        self.held.select(key);
        self.records.select(key);
    }

    pub fn close(self, written: &mut Vec<Written>) {
        self.held.close(written);
    }
}

impl<E: Serialize + DeserializeOwned> Ordered<E> {
    /// A record that came, to be given out when the watermark has reached its event time. Gives it back if it is late.
    ///
    /// In a handler of a timer the event time is that timer's, so there a record is late. Panics in a state that no UDF
    /// drives, such as in a test's `with_state`.
    #[must_use = "a late record is lost unless it is emitted or counted"]
    pub fn push(&mut self, record: E) -> Option<E> {
        assert!(self.set_up, "{}", super::NOT_DRIVEN);
        let time = self.moment.event_time;
        if time <= self.moment.late_by() {
            return Some(record);
        }
        self.waiting.push(time, &record);
        self.timers.push((FiresBy::Main, time));
        None
    }

    /// How many records of the key wait.
    pub fn waiting(&mut self) -> u32 {
        self.waiting.count()
    }
}

impl<E: Serialize + DeserializeOwned> Fires for Ordered<E> {
    type Setup = ByEventTime;
    type Fired = E;

    #[inline]
    fn is_set_up(&self) -> bool {
        self.set_up
    }

    fn set_up(&mut self, _: ByEventTime) {
        self.set_up = true;
    }

    #[inline]
    fn at(&mut self, moment: Moment) {
        self.moment = moment;
    }

    fn on_timer(&mut self, _: FiresBy, time: i64) {
        self.fired.extend(self.waiting.take(time));
    }

    #[inline]
    fn next_fired(&mut self) -> Option<E> {
        self.fired.pop_front()
    }

    #[inline]
    fn new_timers(&mut self) -> std::vec::Drain<'_, (FiresBy, i64)> {
        self.timers.drain(..)
    }
}

impl<E: Serialize + DeserializeOwned> StateField for Ordered<E> {
    const KIND: StateKind = StateKind::Value;
    const FIRING: usize = 1;

    fn declare(named: describe::State, states: &mut Vec<describe::State>) {
        Waiting::<E>::declare(named, states);
    }

    fn open(opening: &mut Opening) -> Self {
        Self {
            waiting: Waiting::open(opening),
            set_up: false,
            moment: Moment::default(),
            fired: VecDeque::new(),
            timers: Vec::new(),
        }
    }

    #[inline]
    fn select(&mut self, key: u32) {
        self.waiting.select(key);
    }

    fn close(self, written: &mut Vec<Written>) {
        self.waiting.close(written);
    }
}
