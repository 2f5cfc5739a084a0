//! Looking into the state, for `state get` and `state ls`. Sees what the running commit sees; costs
//! time on the partition's thread, so callers keep limits small.

use millstream_core::udf::Limit;
use std::collections::BTreeSet;

use millstream_core::description::{EXPIRY_BYTES, StateKind, TimeDomain};

use crate::error::StateError;
use crate::expiry::NEVER;
use crate::keyed::KeyedState;
use crate::layout;
use crate::row::{self, Column};

/// An element of a state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// What the guest wrote, without the time that items of event-time states begin with.
    pub bytes: Vec<u8>,
    /// When it expires, milliseconds since 1970 UTC; `None` if it stays.
    pub expires_at_ms: Option<i64>,
}

/// What one state holds for a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyContent {
    /// A value state's value.
    Value(Item),
    /// The first items of a list, and its length.
    List {
        /// From the first on, as many as asked for.
        items: Vec<Item>,
        /// Of the whole list.
        length: u64,
    },
    /// The first entries of a map.
    Map {
        /// Entry key and value, in the order of their keys, as many as asked for.
        entries: Vec<(Vec<u8>, Item)>,
        /// Whether there are more.
        more: bool,
    },
}

/// A state that holds something for a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspected {
    /// The state's name.
    pub state: String,
    /// The clock that its items expire by; `None` if they stay.
    pub expires_by: Option<TimeDomain>,
    /// What it holds.
    pub content: KeyContent,
}

impl KeyedState {
    /// What all declared states hold for `key`, in the order of declaration; at most `limit` items or entries of each.
    /// Values of keys that are not cached are read past the cache.
    pub fn inspect(&mut self, key: &[u8], limit: usize) -> Result<Vec<Inspected>, StateError> {
        let mut found = Vec::new();
        for state in 0..self.states.len() {
            if let Some(content) = self.content(state as u16, key, limit)? {
                let state = &self.states[state];
                let expires_by = match (state.event_time, state.ttl_ms) {
                    (true, _) => Some(TimeDomain::EventTime),
                    (false, Some(_)) => Some(TimeDomain::ProcessingTime),
                    (false, None) => None,
                };
                found.push(Inspected { state: state.name.clone(), expires_by, content });
            }
        }
        Ok(found)
    }

    fn content(
        &mut self,
        state: u16,
        key: &[u8],
        limit: usize,
    ) -> Result<Option<KeyContent>, StateError> {
        Ok(match self.states[usize::from(state)].kind {
            StateKind::Value => self.peek_value(state, key)?.map(KeyContent::Value),
            StateKind::List => {
                let length = self.list_length(state, key)?;
                let items = self.list_elements(state, key, 0, Limit::items(limit))?;
                let items =
                    items.into_iter().map(|(bytes, expiry)| self.item(state, bytes, expiry));
                let items = items.collect();
                (length > 0).then_some(KeyContent::List { items, length })
            }
            StateKind::Map => {
                let mut found =
                    self.map_scan(state, key, None, Limit::items(limit.saturating_add(1)))?;
                let more = found.len() > limit;
                found.truncate(limit);
                let mut entries = Vec::with_capacity(found.len());
                for (entry, bytes) in found {
                    // The scan selected the map.
                    let id = self.element(&entry)?;
                    let expiry = id.map_or(NEVER, |id| self.groups.elements[id].expiry);
                    entries.push((entry, self.item(state, bytes, expiry)));
                }
                (!entries.is_empty()).then_some(KeyContent::Map { entries, more })
            }
        })
    }

    /// An element as people see it.
    fn item(&self, state: u16, mut bytes: Vec<u8>, expiry: i64) -> Item {
        if self.states[usize::from(state)].event_time {
            bytes.drain(..bytes.len().min(EXPIRY_BYTES));
        }
        Item { bytes, expires_at_ms: (expiry != NEVER).then_some(expiry) }
    }

    fn peek_value(&self, state: u16, key: &[u8]) -> Result<Option<Item>, StateError> {
        let spec = &self.states[usize::from(state)];
        let column = Column { index: usize::from(spec.id), event_time: spec.event_time };
        let found = |cells: &[u8]| {
            let value = row::get(cells, 0, column, self.ledger.now)?.to_vec();
            let expiry = row::expiry(cells, column).unwrap_or(NEVER);
            Some(self.item(state, value, expiry))
        };
        if let Some(slot) = self.slots.find(key) {
            return Ok(found(self.slots.get(slot).row.cells()));
        }
        let Some(db) = &self.db else { return Ok(None) };
        let row = db.get(&[&[layout::VALUES], key].concat())?;
        Ok(row.and_then(|row| found(&row)))
    }

    /// At most `limit` keys that start with `prefix` and for which a declared state holds something, in byte order, behind
    /// `after` if given. Looks at every cached key.
    pub fn keys(
        &mut self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Vec<u8>>, StateError> {
        let mut found = Vec::new();
        let mut after = after.map(<[u8]>::to_vec);
        while found.len() < limit {
            // Some candidates hold nothing any more, so this may take several rounds.
            let candidates = self.candidates(prefix, after.as_deref(), limit - found.len())?;
            let Some(last) = candidates.last() else { break };
            after = Some(last.clone());
            for key in candidates {
                if !self.inspect(&key, 1)?.is_empty() {
                    found.push(key);
                }
            }
        }
        Ok(found)
    }

    /// The first `limit` keys in cache or database behind `after`.
    fn candidates(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Vec<u8>>, StateError> {
        let wanted = |key: &[u8]| key.starts_with(prefix) && after.is_none_or(|after| key > after);
        let mut keys: BTreeSet<Vec<u8>> = BTreeSet::new();
        let mut offer = |key: &[u8]| {
            let full = keys.len() == limit;
            if full && keys.last().is_some_and(|last| key >= &last[..]) {
                return;
            }
            if keys.insert(key.to_vec()) && full {
                keys.pop_last();
            }
        };
        self.slots.iter().map(|slot| slot.row.key()).filter(|key| wanted(key)).for_each(&mut offer);
        for group in self.groups.groups.iter() {
            if let Some(key) = group_key(&group.prefix)
                && wanted(&key)
            {
                offer(&key);
            }
        }
        let mut stored = 0;
        self.stored_keys(layout::VALUES, prefix, after, |key| {
            offer(key);
            stored += 1;
            stored < limit
        })?;
        stored = 0;
        self.stored_keys(layout::ELEMENTS, prefix, after, |key| {
            offer(key);
            stored += 1;
            stored < limit
        })?;
        Ok(keys.into_iter().collect())
    }

    /// Visits the keys in one part of the database that start with `prefix`, behind `after`, until told to stop.
    fn stored_keys(
        &self,
        part: u8,
        prefix: &[u8],
        after: Option<&[u8]>,
        mut visit: impl FnMut(&[u8]) -> bool,
    ) -> Result<(), StateError> {
        let Some(db) = &self.db else { return Ok(()) };
        let mut rows = db.iterate(&[part]);
        let row_key = |key: &[u8], whole: bool| {
            let mut out = vec![part];
            if part == layout::VALUES {
                out.extend_from_slice(key);
            } else {
                layout::escape(&mut out, key);
                if !whole {
                    // Without the end mark it is a prefix of longer keys too.
                    out.truncate(out.len() - 2);
                }
            }
            out
        };
        match after {
            Some(after) if after > prefix => rows.seek(row_key(after, true)),
            _ => rows.seek(row_key(prefix, false)),
        }
        while let Some(row) = rows.key() {
            let key = if part == layout::VALUES { Some(row[1..].to_vec()) } else { group_key(row) };
            let key = key.ok_or_else(|| db.damaged("a list or map row has a malformed key"))?;
            if !key.starts_with(prefix) {
                break;
            }
            if after.is_none_or(|after| &key[..] > after) && !visit(&key) {
                break;
            }
            // On to the next key, past all elements of this one.
            let mut next = row_key(&key, true);
            if part == layout::VALUES {
                next.push(0);
            } else {
                next = layout::successor(&next);
            }
            rows.seek(next);
        }
        db.check(&rows)
    }
}

/// The key in the row key or prefix of a list or map; `None` for timers.
fn group_key(row: &[u8]) -> Option<Vec<u8>> {
    let (&part, rest) = row.split_first()?;
    if part != layout::ELEMENTS {
        return None;
    }
    layout::unescape(rest).map(|(key, _)| key)
}
