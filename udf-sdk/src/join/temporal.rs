//! The state of a temporal join: records that wait, and the versions of a table's row.

use std::collections::VecDeque;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::ordered::Waiting;
use crate::describe::{self, StateKind};
use crate::fires::{Fires, FiresBy, Moment};
use crate::frame::Written;
use crate::state::{Map, Opening, StateField};

/// How a [`TemporalJoin`] joins: `#[join(field = AsOf)]` gives each record the version that was valid at its event
/// time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AsOf;

/// A record with the version that was valid at its event time. Times are milliseconds since 1970 UTC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Versioned<L, V> {
    /// The record.
    pub record: L,
    /// The version; nothing if there was none yet, or none any more.
    pub version: Option<V>,
    /// Since when it was valid.
    pub since: Option<i64>,
}

/// Records of one input joined with a table whose changes are another, as a field of a
/// [`States`](macro@crate::States) struct: each gets the version of the key's row that was valid at its event time. See
/// [the module](super).
///
/// It is kept in three states: the records that wait under the field's own name and in `NAME_records`, and the versions
/// as map entries in `NAME_versions`. A record and a version are at most 1 MiB. Of the versions that the watermark has reached
/// only the last is kept; it stays until there is another.
pub struct TemporalJoin<L, V> {
    waiting: Waiting<L>,
    /// By the time from which they are valid. Nothing: the row was removed.
    versions: Map<i64, Option<V>>,
    set_up: bool,
    moment: Moment,
    fired: VecDeque<Versioned<L, V>>,
    timers: Vec<(FiresBy, i64)>,
}

impl<L, V> TemporalJoin<L, V>
where
    L: Serialize + DeserializeOwned,
    V: Clone + Serialize + DeserializeOwned,
{
    /// A record, to be given out with its version when the watermark has reached its event time. Gives it back if it is
    /// late.
    ///
    /// In a handler of a timer the event time is that timer's, so there a record is late. Panics in a state that no UDF
    /// drives, such as in a test's `with_state`.
    #[must_use = "a late record is lost unless it is emitted or counted"]
    pub fn push(&mut self, record: L) -> Option<L> {
        let time = self.time();
        if time <= self.moment.late_by() {
            return Some(record);
        }
        self.waiting.push(time, &record);
        self.timers.push((FiresBy::Main, time));
        None
    }

    /// The row is this from the event time of the record at hand on. Of two versions of the same time the one that comes
    /// last counts. Gives it back if it is late.
    #[must_use = "a late version is lost unless it is emitted or counted"]
    pub fn set(&mut self, version: V) -> Option<V> {
        self.change(Some(version)).flatten()
    }

    /// There is no row from the event time of the record at hand on. Says whether that is late, and so ignored.
    #[must_use = "a late removal is lost unless it is emitted or counted"]
    pub fn remove(&mut self) -> bool {
        self.change(None).is_some()
    }

    fn change(&mut self, version: Option<V>) -> Option<Option<V>> {
        let time = self.time();
        if time <= self.moment.late_by() {
            return Some(version);
        }
        self.versions.insert(&time, &version);
        self.timers.push((FiresBy::Beside, time));
        None
    }

    /// How many records of the key wait, and how many versions are kept.
    pub fn kept(&mut self) -> (u32, usize) {
        (self.waiting.count(), self.versions.iter().count())
    }

    fn time(&self) -> i64 {
        assert!(self.set_up, "{}", super::NOT_DRIVEN);
        self.moment.event_time
    }

    /// The records of this time get their version.
    fn on_records(&mut self, time: i64) {
        let records = self.waiting.take(time);
        if records.is_empty() {
            return;
        }
        let valid = self.versions.iter().take_while(|(since, _)| *since <= time).last();
        let (since, version) = match valid {
            Some((since, Some(version))) => (Some(since), Some(version)),
            _ => (None, None),
        };
        self.fired.extend(records.into_iter().map(|record| Versioned {
            record,
            version: version.clone(),
            since,
        }));
    }

    /// The watermark has reached a version: those before it are of no use any more.
    fn on_version(&mut self, time: i64) {
        let reached: Vec<_> =
            self.versions.iter().take_while(|(since, _)| *since <= time).collect();
        let last = reached.len().saturating_sub(1);
        for (i, (since, version)) in reached.into_iter().enumerate() {
            // That a row was removed is the same as none.
            if i < last || version.is_none() {
                self.versions.remove(&since);
            }
        }
    }
}

impl<L, V> Fires for TemporalJoin<L, V>
where
    L: Serialize + DeserializeOwned,
    V: Clone + Serialize + DeserializeOwned,
{
    type Setup = AsOf;
    type Fired = Versioned<L, V>;

    #[inline]
    fn is_set_up(&self) -> bool {
        self.set_up
    }

    fn set_up(&mut self, _: AsOf) {
        self.set_up = true;
    }

    #[inline]
    fn at(&mut self, moment: Moment) {
        self.moment = moment;
    }

    fn on_timer(&mut self, timer: FiresBy, time: i64) {
        // A version counts from its own time on: records of that time get it, and its timer fires behind theirs.
        match timer {
            FiresBy::Main => self.on_records(time),
            FiresBy::Beside => self.on_version(time),
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

impl<L, V> StateField for TemporalJoin<L, V>
where
    L: Serialize + DeserializeOwned,
    V: Clone + Serialize + DeserializeOwned,
{
    const KIND: StateKind = StateKind::Value;
    const FIRING: usize = 1;

    fn declare(named: describe::State, states: &mut Vec<describe::State>) {
        let versions = describe::State {
            name: format!("{}_versions", named.name),
            kind: StateKind::Map,
            ..named.clone()
        };
        Waiting::<L>::declare(named, states);
        states.push(versions);
    }

    fn open(opening: &mut Opening) -> Self {
        Self {
            waiting: Waiting::open(opening),
            versions: StateField::open(opening),
            set_up: false,
            moment: Moment::default(),
            fired: VecDeque::new(),
            timers: Vec::new(),
        }
    }

    #[inline]
    fn select(&mut self, key: u32) {
        self.waiting.select(key);
        self.versions.select(key);
    }

    fn close(self, written: &mut Vec<Written>) {
        self.waiting.close(written);
    }
}
