//! What is remembered of the records that passed.

use std::collections::BTreeSet;

use millstream_udf::MapKey;
use millstream_udf::prelude::*;

use crate::config::Lengths;

/// Event times that are remembered of one identity, at most. They are at least `within` apart.
const TIMES_MAX: usize = 64;
/// Identities that one timer forgets, at most; the rest is for the next.
const FORGOTTEN_MAX: usize = 500;
/// Timers per `within`: a key's records share them.
const TIMERS_PER_WITHIN: i64 = 16;

/// The state of a key.
#[derive(States)]
pub struct Seen {
    /// Without `by`: event times of the records that passed, ascending.
    times: Value<Vec<i64>>,
    /// With `by`: the same per identity.
    passed: Map<String, Vec<i64>>,
    /// When which identity has something to be forgotten.
    due: Map<Due, ()>,
}

/// When an identity has something to be forgotten, in the order of time.
#[derive(Debug, PartialEq, Eq)]
pub struct Due {
    time: i64,
    identity: String,
}

impl MapKey for Due {
    type Borrowed = Self;

    fn encode(due: &Self) -> Vec<u8> {
        let mut bytes = i64::encode(&due.time);
        bytes.extend_from_slice(due.identity.as_bytes());
        bytes
    }

    fn decode(bytes: &[u8]) -> Self {
        let (time, identity) = bytes.split_at(size_of::<i64>());
        Self { time: i64::decode(time), identity: String::decode(identity) }
    }
}

impl Lengths {
    /// When a record that passed may be forgotten: no record that is still judged can be its duplicate then. Rounded up, so
    /// that many records share a timer.
    fn forget_at(self, time: i64) -> i64 {
        let step = (self.within / TIMERS_PER_WITHIN).max(1);
        let earliest = time.saturating_add(self.within).saturating_add(self.lateness);
        earliest.saturating_add((-earliest.rem_euclid(step)).rem_euclid(step))
    }

    /// Adds a time to those of an identity unless one of them is near. The times that may be forgotten go.
    fn add(self, times: &mut Vec<i64>, time: i64, watermark: i64) -> Result<bool> {
        if times.iter().any(|seen| seen.abs_diff(time) < self.within.unsigned_abs()) {
            return Ok(false);
        }
        times.retain(|seen| self.forget_at(*seen) > watermark);
        ensure!(
            times.len() < TIMES_MAX,
            "{TIMES_MAX} records like this one are {} ms or more apart; no more are remembered",
            self.within
        );
        let at = times.partition_point(|seen| *seen < time);
        times.insert(at, time);
        Ok(true)
    }
}

impl Seen {
    /// Whether a record is the first of its kind; when that is to be forgotten, if it is.
    pub fn pass(
        &mut self,
        identity: Option<String>,
        time: i64,
        watermark: i64,
        lengths: Lengths,
    ) -> Result<Option<i64>> {
        let forget_at = lengths.forget_at(time);
        let first = match identity {
            None => {
                let near = |seen: &i64| seen.abs_diff(time) < lengths.within.unsigned_abs();
                // A look does not count as a change; most duplicates end here.
                !self.times.get().is_some_and(|times| times.iter().any(near))
                    && lengths.add(self.times.get_or_default(), time, watermark)?
            }
            Some(identity) => {
                let mut times = self.passed.get(&identity).unwrap_or_default();
                let first = lengths.add(&mut times, time, watermark)?;
                if first {
                    self.passed.insert(&identity, &times);
                    self.due.insert(&Due { time: forget_at, identity }, &());
                }
                first
            }
        };
        Ok(first.then_some(forget_at))
    }

    /// Forgets what is due; gives the times at which there is more to be forgotten. Those are set already unless there is
    /// more than one timer may do, or `within` was another when they were set.
    pub fn forget(&mut self, now: i64, lengths: Lengths) -> BTreeSet<i64> {
        let mut next = BTreeSet::new();
        let prune = |times: &mut Vec<i64>| {
            times.retain(|seen| lengths.forget_at(*seen) > now);
            times.first().map(|earliest| lengths.forget_at(*earliest))
        };
        if let Some(times) = self.times.get_mut() {
            match prune(times) {
                Some(time) => drop(next.insert(time)),
                None => self.times.clear(),
            }
        }
        let due = self.due.iter().map(|(due, ())| due).take_while(|due| due.time <= now);
        let due: Vec<_> = due.take(FORGOTTEN_MAX).collect();
        if due.len() == FORGOTTEN_MAX {
            next.insert(now.saturating_add(1));
        }
        for due in due {
            self.due.remove(&due);
            let identity = due.identity;
            let mut times = self.passed.get(&identity).unwrap_or_default();
            match prune(&mut times) {
                Some(time) => {
                    self.passed.insert(&identity, &times);
                    self.due.insert(&Due { time, identity }, &());
                    next.insert(time);
                }
                None => self.passed.remove(&identity),
            }
        }
        next
    }

    /// Number of identities that are remembered.
    #[cfg(test)]
    pub fn remembered(&mut self) -> usize {
        self.passed.iter().count() + self.due.iter().count() + usize::from(self.times.is_set())
    }
}
