//! Pending timers of the harness.

use std::collections::BTreeSet;

use crate::describe::{Description, TimeDomain};
use crate::frame::{TimerChanges, is_present};

/// A pending timer. Its order is the order of firing: (time, key, name).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pending {
    pub time: i64,
    pub key: Vec<u8>,
    pub name: String,
}

/// All pending timers, by clock.
#[derive(Default)]
pub struct Timers {
    event_time: BTreeSet<Pending>,
    processing_time: BTreeSet<Pending>,
}

impl Timers {
    pub fn of(&mut self, domain: TimeDomain) -> &mut BTreeSet<Pending> {
        match domain {
            TimeDomain::EventTime => &mut self.event_time,
            TimeDomain::ProcessingTime => &mut self.processing_time,
        }
    }

    /// Those of both clocks, in the order of time, key and name.
    pub fn all(&self) -> Vec<Pending> {
        let mut all: Vec<_> =
            self.event_time.iter().chain(&self.processing_time).cloned().collect();
        all.sort();
        all
    }

    /// Applies the changes of a call, whose cause `i` has the key `key_of(i)`.
    pub fn apply<'k>(
        &mut self,
        description: &Description,
        changes: &TimerChanges,
        key_of: impl Fn(usize) -> &'k [u8],
    ) {
        for i in 0..changes.causes.len() {
            let declared = &description.timers[changes.timers[i] as usize];
            let key = key_of(changes.causes[i] as usize).to_vec();
            let pending = Pending { time: changes.times[i], key, name: declared.name.clone() };
            let timers = self.of(declared.domain);
            if is_present(&changes.present, i) {
                timers.insert(pending);
            } else {
                timers.remove(&pending);
            }
        }
    }
}
