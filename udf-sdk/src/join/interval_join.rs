//! The state of an interval join: both inputs' records of a key, for as long as they may find each other.

use std::collections::VecDeque;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::half::{Half, Kept, Records};
use super::interval::{Interval, Joined};
use crate::describe::{self, StateKind};
use crate::fires::{Fires, FiresBy, Moment};
use crate::frame::Written;
use crate::state::{Opening, StateField, Value};

/// Records of two inputs that lie in an interval of each other, as a field of a [`States`](macro@crate::States) struct.
/// `#[join(field = Interval::...)]` on a function of the UDF makes it the handler of what is joined. See
/// [the module](super).
///
/// It is kept in three states: counts under the field's own name, and the records as map entries in `NAME_left` and
/// `NAME_right`. A record is at most 1 MiB.
pub struct IntervalJoin<L, R> {
    held: Value<Held>,
    left: Records<L>,
    right: Records<R>,
    setup: Option<Interval>,
    moment: Moment,
    joined: VecDeque<Joined<L, R>>,
    timers: Vec<(FiresBy, i64)>,
}

/// What is kept of a key. With the batch comes whether there is anything to look for.
#[derive(Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
struct Held {
    /// Number of the next record.
    next: u32,
    left: u32,
    right: u32,
}

impl Held {
    fn number(&mut self) -> u32 {
        let number = self.next;
        self.next = number.wrapping_add(1);
        number
    }
}

impl<L, R> IntervalJoin<L, R>
where
    L: Clone + Serialize + DeserializeOwned,
    R: Clone + Serialize + DeserializeOwned,
{
    /// A record of the left input: it meets others when the watermark has reached its event time. Gives it back if it is
    /// late.
    ///
    /// In a handler of a timer the event time is that timer's, so there a record is late. Panics in a state that no UDF
    /// drives, such as in a test's `with_state`.
    #[must_use = "a late record is lost unless it is emitted or counted"]
    pub fn left(&mut self, record: L) -> Option<L> {
        let (interval, time) = (self.interval(), self.moment.event_time);
        if time <= self.moment.late_by() {
            return Some(record);
        }
        let held = self.held.get_or_default();
        held.left += 1;
        self.left.insert(&(time, held.number()), &Kept { found: false, record });
        self.timers.push((FiresBy::Main, time));
        if interval.left_waits() > 0 {
            self.timers.push((FiresBy::Beside, time.saturating_add(interval.left_waits())));
        }
        None
    }

    /// As [`Self::left`], of the right input.
    #[must_use = "a late record is lost unless it is emitted or counted"]
    pub fn right(&mut self, record: R) -> Option<R> {
        let (interval, time) = (self.interval(), self.moment.event_time);
        if time <= self.moment.late_by() {
            return Some(record);
        }
        let held = self.held.get_or_default();
        held.right += 1;
        self.right.insert(&(time, held.number()), &Kept { found: false, record });
        self.timers.push((FiresBy::Beside, time));
        if interval.right_waits() > 0 {
            self.timers.push((FiresBy::Main, time.saturating_add(interval.right_waits())));
        }
        None
    }

    /// How many records of the key are kept: left and right.
    pub fn kept(&mut self) -> (u32, u32) {
        self.held.get().map_or((0, 0), |held| (held.left, held.right))
    }

    fn interval(&self) -> Interval {
        match self.setup {
            Some(interval) => interval,
            None => {
                panic!("{}", super::NOT_DRIVEN)
            }
        }
    }

    /// Records meet in the order of event time, at equal times the left ones first, and each meets those before it.
    /// So a left record meets right ones of its own time, and not the other way round. The field's first timer is
    /// for left records that come and right ones that go, the second for right ones that come and left ones
    /// that go: then whoever comes at a time still meets those that go at it.
    fn on_event_time(&mut self, interval: Interval, timer: FiresBy, time: i64) {
        let Some(mut held) = self.held.get().copied() else { return };
        let before = held;
        let mut left = Half {
            records: &mut self.left,
            count: &mut held.left,
            waits: interval.left_waits(),
            alone: interval.left_alone,
        };
        let mut right = Half {
            records: &mut self.right,
            count: &mut held.right,
            waits: interval.right_waits(),
            alone: interval.right_alone,
        };
        let joined = &mut self.joined;
        match timer {
            FiresBy::Main => {
                let (from, to) = interval.rights(time).into_inner();
                left.meet(time, &mut right, from..=to.min(time), |left, met| {
                    joined.push_back(match met {
                        Some((right_time, right)) => {
                            Joined::Pair { left, left_time: time, right, right_time }
                        }
                        None => Joined::Left { left, left_time: time },
                    })
                });
                right.expire(time, |right_time, right| {
                    joined.push_back(Joined::Right { right, right_time })
                });
            }
            FiresBy::Beside => {
                let (from, to) = interval.lefts(time).into_inner();
                right.meet(time, &mut left, from..=to.min(time.saturating_sub(1)), |right, met| {
                    joined.push_back(match met {
                        Some((left_time, left)) => {
                            Joined::Pair { left, left_time, right, right_time: time }
                        }
                        None => Joined::Right { right, right_time: time },
                    })
                });
                left.expire(time, |left_time, left| {
                    joined.push_back(Joined::Left { left, left_time })
                });
            }
        }
        if held.left == 0 && held.right == 0 {
            self.held.clear();
        } else if held != before {
            self.held.set(held);
        }
    }
}

impl<L, R> Fires for IntervalJoin<L, R>
where
    L: Clone + Serialize + DeserializeOwned,
    R: Clone + Serialize + DeserializeOwned,
{
    type Setup = Interval;
    type Fired = Joined<L, R>;

    #[inline]
    fn is_set_up(&self) -> bool {
        self.setup.is_some()
    }

    fn set_up(&mut self, interval: Interval) {
        self.setup = Some(interval);
    }

    #[inline]
    fn at(&mut self, moment: Moment) {
        self.moment = moment;
    }

    fn on_timer(&mut self, timer: FiresBy, time: i64) {
        if let Some(interval) = self.setup {
            self.on_event_time(interval, timer, time);
        }
    }

    #[inline]
    fn next_fired(&mut self) -> Option<Self::Fired> {
        self.joined.pop_front()
    }

    #[inline]
    fn new_timers(&mut self) -> std::vec::Drain<'_, (FiresBy, i64)> {
        self.timers.drain(..)
    }
}

impl<L, R> StateField for IntervalJoin<L, R>
where
    L: Clone + Serialize + DeserializeOwned,
    R: Clone + Serialize + DeserializeOwned,
{
    const KIND: StateKind = StateKind::Value;
    const FIRING: usize = 1;

    fn declare(named: describe::State, states: &mut Vec<describe::State>) {
        let records = |side: &str| describe::State {
            name: format!("{}_{side}", named.name),
            kind: StateKind::Map,
            ..named.clone()
        };
        let sides = [records("left"), records("right")];
        states.push(named);
        states.extend(sides);
    }

    fn open(opening: &mut Opening) -> Self {
        Self {
            held: StateField::open(opening),
            left: StateField::open(opening),
            right: StateField::open(opening),
            setup: None,
            moment: Moment::default(),
            joined: VecDeque::new(),
            timers: Vec::new(),
        }
    }

    #[inline]
    fn select(&mut self, key: u32) {
        self.held.select(key);
        self.left.select(key);
        self.right.select(key);
    }

    fn close(self, written: &mut Vec<Written>) {
        self.held.close(written);
    }
}
