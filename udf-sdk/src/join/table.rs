//! A versioned table in broadcast state.

use std::ops::Deref;
use std::rc::Rc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::context::BroadcastContext;
use crate::describe::{self, StateKind};
use crate::frame::Written;
use crate::state::{BroadcastMap, MapKey, Opening, StateField};

/// The versions of a row, by the time from which they are valid; nothing where it was removed.
type Versions<V> = Vec<(i64, Option<V>)>;

/// A version of a row of a [`BroadcastTable`].
pub struct Version<V> {
    row: Rc<Versions<V>>,
    at: usize,
}

impl<V> Version<V> {
    /// Of a row, the one that is valid at this time.
    fn valid(row: &Rc<Versions<V>>, time: i64) -> Option<Self> {
        let at = row.partition_point(|(since, _)| *since <= time).checked_sub(1)?;
        row[at].1.is_some().then(|| Self { row: row.clone(), at })
    }

    /// Since when it is valid, milliseconds since 1970 UTC.
    pub fn since(&self) -> i64 {
        self.row[self.at].0
    }
}

impl<V> Deref for Version<V> {
    type Target = V;

    fn deref(&self) -> &V {
        self.row[self.at].1.as_ref().expect("only a version that is there is handed out")
    }
}

/// A table that every partition has, whose rows have versions in event time: rules, rates, limits. A field of the struct that
/// `#[udf(broadcast = ...)]` names. Handlers of broadcast inputs change it; handlers of [`Ordered`](super::Ordered)
/// records look up what was valid at their time. See [the module](super).
///
/// A row's versions are one entry of a broadcast map, together at most 1 MiB. Of those that the watermark has reached
/// only the last is kept.
pub struct BroadcastTable<K, V>(BroadcastMap<K, Versions<V>>);

impl<K, V> BroadcastTable<K, V>
where
    K: MapKey + 'static,
    V: Serialize + DeserializeOwned + 'static,
{
    /// The row is this from the event time of the record at hand on. Of two versions of the same time the one that comes
    /// last counts. Gives it back if it is late: keyed records of its time may have been judged without it.
    #[must_use = "a late version is lost unless it is emitted or counted"]
    pub fn set(&mut self, row: &K::Borrowed, version: V, ctx: &BroadcastContext<'_>) -> Option<V> {
        if ctx.is_late() {
            return Some(version);
        }
        self.change(row, Some(version), ctx);
        None
    }

    /// There is no such row from the event time of the record at hand on. Says whether that is late, and so ignored.
    #[must_use = "a late removal is lost unless it is emitted or counted"]
    pub fn remove(&mut self, row: &K::Borrowed, ctx: &BroadcastContext<'_>) -> bool {
        if ctx.is_late() {
            return true;
        }
        self.change(row, None, ctx);
        false
    }

    /// The version of a row that is valid at this time, milliseconds since 1970 UTC.
    pub fn at(&self, row: &K::Borrowed, time: i64) -> Option<Version<V>> {
        Version::valid(&self.0.get(row)?, time)
    }

    /// All rows at this time, in the order of their keys. They are decoded all together, so the table should be one that
    /// fits the memory.
    pub fn all_at(&self, time: i64) -> impl Iterator<Item = (K, Version<V>)> + use<K, V>
    where
        K: Clone,
    {
        let all = self.0.all();
        (0..all.len()).filter_map(move |i| {
            let (row, versions) = &all[i];
            Version::valid(versions, time).map(|version| (row.clone(), version))
        })
    }

    fn change(&mut self, row: &K::Borrowed, version: Option<V>, ctx: &BroadcastContext<'_>) {
        let time = ctx.event_time();
        let mut versions: Versions<V> = self.0.load(row).unwrap_or_default();
        match versions.binary_search_by_key(&time, |(since, _)| *since) {
            Ok(at) => versions[at].1 = version,
            Err(at) => versions.insert(at, (time, version)),
        }
        // All keyed records up to the watermark have been judged.
        let reached = versions.partition_point(|(since, _)| *since <= ctx.watermark());
        versions.drain(..reached.saturating_sub(1));
        if versions
            .first()
            .is_some_and(|(since, version)| version.is_none() && *since <= ctx.watermark())
        {
            versions.remove(0);
        }
        if versions.is_empty() {
            self.0.remove(row);
        } else {
            self.0.insert(row, &versions);
        }
    }
}

impl<K, V> StateField for BroadcastTable<K, V>
where
    K: MapKey + 'static,
    V: Serialize + DeserializeOwned + 'static,
{
    const KIND: StateKind = StateKind::Map;
    const BROADCAST: bool = true;

    fn declare(named: describe::State, states: &mut Vec<describe::State>) {
        BroadcastMap::<K, Versions<V>>::declare(named, states);
    }

    fn open(opening: &mut Opening) -> Self {
        Self(StateField::open(opening))
    }

    #[inline]
    fn select(&mut self, _: u32) {}

    fn close(self, written: &mut Vec<Written>) {
        self.0.close(written);
    }
}
