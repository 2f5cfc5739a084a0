//! What is kept per key: records that wait for the watermark or belong to a partial match, and the partial
//! matches.
//!
//! A record is written once, when it comes, and removed once, when neither is true any more. Those that wait come
//! behind all that were taken, since what was taken is not past the watermark and what waits is.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::WORK_PER_CALL;
use super::builder::Pattern;
use super::matched::Found;
use super::matches::Matches;
use super::queue::RecordId;
use super::run::{Kept, Run};
use crate::context::{Context, TimerContext};
use crate::describe::{State, StateKind};
use crate::error::Result;
use crate::frame::Written;
use crate::state::{Map, Opening, StateField, Value};
use crate::timer::{EventTime, Timer};

/// The state of a [`Pattern`] over records of type `E`: a field of a [`States`](macro@crate::States) struct.
///
/// It is kept in three states: the records under the field's own name, `NAME_schedule` and `NAME_matches`. With
/// other stages the partial matches mean something else, and with another `E` the records: raise
/// `#[state(version = 2)]` with either. Conditions, `within` and what comes after a match may change freely. A record
/// is at most 1 MiB.
pub struct PatternState<E> {
    /// By event time and order of arrival.
    records: Map<(i64, u32), E>,
    schedule: Value<Schedule>,
    matches: Value<Matches>,
}

/// What records that come need to know.
#[derive(Default, PartialEq, Serialize, Deserialize)]
struct Schedule {
    /// Number of the next record that comes, counted while some wait.
    arrivals: u32,
    /// The pending timer: when the first record that waits is handled, or the first sequence times out.
    timer: Option<i64>,
}

impl<E: Serialize + DeserializeOwned> Kept<E> for Map<(i64, u32), E> {
    fn kept(&self, id: RecordId) -> E {
        self.get(&(id.0, id.1)).unwrap_or_else(|| {
            panic!("record {} of event time {} is named by a sequence and not kept", id.1, id.0)
        })
    }
}

impl<E: Serialize + DeserializeOwned> PatternState<E> {
    /// Takes in the record at hand. It is handled when the watermark reaches its event time, by
    /// [`Self::advance`] in the handler of `timer`. If the watermark has reached it already, the record is
    /// late: it is given back, and the pattern will not see it.
    #[must_use = "a late record is given back"]
    pub fn accept(
        &mut self,
        record: E,
        timer: Timer<EventTime>,
        ctx: &mut Context<'_>,
    ) -> Option<E> {
        let time = ctx.event_time();
        if time <= ctx.input_watermark() {
            return Some(record);
        }
        let schedule = self.schedule.get_or_default();
        self.records.insert(&(time, schedule.arrivals), &record);
        schedule.arrivals += 1;
        if schedule.timer.is_none_or(|pending| time < pending) {
            if let Some(pending) = schedule.timer.replace(time) {
                ctx.delete_timer(timer, pending);
            }
            ctx.set_timer(timer, time);
        }
        None
    }

    /// Handles the records that the watermark has reached, in the order of event time and arrival, and then ends
    /// the sequences whose time the watermark has reached. Gives what that found, in order.
    ///
    /// Is called by the handler of `timer`, which is for this state alone.
    ///
    /// # Errors
    /// The kept partial matches are of another pattern.
    pub fn advance(
        &mut self,
        pattern: &Pattern<E>,
        timer: Timer<EventTime>,
        ctx: &mut TimerContext<'_>,
    ) -> Result<Vec<Found<E>>> {
        let watermark = ctx.watermark();
        let before = self.matches.get().cloned();
        let matches = match &before {
            None => Matches::new(pattern.shape, pattern.graph.start),
            Some(matches) => {
                crate::ensure!(
                    matches.shape == pattern.shape,
                    "the kept partial matches are of another pattern: raise the version of the state with the pattern"
                );
                matches.clone()
            }
        };
        let mut unneeded = matches.records();
        let mut run = Run::new(pattern, matches, &self.records);

        // No record has the time `i64::MIN`: the watermark has reached it from the beginning.
        let last_taken = unneeded.last().map_or((i64::MIN, 0), |id| (id.0, id.1));
        let mut waiting = self.records.iter_after(&last_taken);
        let mut work = 0;
        let mut next = None;
        let mut handled = None;
        for ((time, number), record) in &mut waiting {
            if time > watermark || work > WORK_PER_CALL {
                next = Some(time);
                break;
            }
            if handled != Some(time) {
                run.advance_time(time);
                handled = Some(time);
            }
            work += run.matches.sequences() + 1;
            unneeded.insert(RecordId(time, number));
            run.handle(RecordId(time, number), record);
        }
        drop(waiting);
        // What is left for another call comes before the watermark.
        if next.is_none_or(|next| next > watermark) {
            run.advance_time(watermark);
        }

        let deadline = run.deadline();
        let Run { mut matches, found, .. } = run;
        matches.compact();
        let needed = matches.records();
        self.remove(unneeded.difference(&needed));
        let matches = Some(matches).filter(|matches| !matches.is_empty());
        if matches != before {
            match matches {
                Some(matches) => self.matches.set(matches),
                None => self.matches.clear(),
            }
        }
        self.reschedule(next, deadline, timer, ctx);
        Ok(found)
    }

    /// Whether the key keeps nothing: no record waits, and no sequence is open.
    pub fn is_empty(&mut self) -> bool {
        !self.schedule.is_set() && !self.matches.is_set()
    }

    fn remove<'i>(&mut self, ids: impl Iterator<Item = &'i RecordId>) {
        ids.for_each(|RecordId(time, number)| self.records.remove(&(*time, *number)));
    }

    /// Sets the timer for the next record that waits, or the next sequence that times out.
    fn reschedule(
        &mut self,
        next: Option<i64>,
        deadline: Option<i64>,
        timer: Timer<EventTime>,
        ctx: &mut TimerContext<'_>,
    ) {
        let Schedule { arrivals, timer: pending } = self.schedule.take().unwrap_or_default();
        // One that fires a moment too early does no harm, but should not fire again.
        if let Some(pending) = pending
            && pending != ctx.time()
        {
            ctx.delete_timer(timer, pending);
        }
        let due = [next, deadline].into_iter().flatten().min();
        let Some(due) = due else { return };
        ctx.set_timer(timer, due);
        let arrivals = if next.is_some() { arrivals } else { 0 };
        self.schedule.set(Schedule { arrivals, timer: Some(due) });
    }
}

impl<E: Serialize + DeserializeOwned> StateField for PatternState<E> {
    const KIND: StateKind = StateKind::Map;

    fn declare(named: State, states: &mut Vec<State>) {
        let name = &named.name;
        assert!(
            named.ttl_ms.is_none(),
            "`{name}` is the state of a pattern: what it keeps ends by `within`, not by a TTL"
        );
        let value = |part: &str| State {
            name: format!("{name}_{part}"),
            kind: StateKind::Value,
            ..named.clone()
        };
        let parts = [value("schedule"), value("matches")];
        states.push(named);
        states.extend(parts);
    }

    fn open(opening: &mut Opening) -> Self {
        Self {
            records: Map::open(opening),
            schedule: Value::open(opening),
            matches: Value::open(opening),
        }
    }

    #[inline]
    fn select(&mut self, key: u32) {
        self.records.select(key);
        self.schedule.select(key);
        self.matches.select(key);
    }

    fn close(self, written: &mut Vec<Written>) {
        self.records.close(written);
        self.schedule.close(written);
        self.matches.close(written);
    }
}
