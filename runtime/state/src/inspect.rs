//! Looking into the state, for `state get` and `state ls`. Sees what the running commit sees; costs
//! time on the partition's thread, so callers keep limits small.

use std::collections::BTreeSet;

use millstream_core::description::StateKind;

use crate::error::StateError;
use crate::keyed::KeyedState;
use crate::layout;
use crate::maps::Entries;
use crate::slots::SlotId;

/// What one state holds for a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyContent {
    /// A value state's value.
    Value(Vec<u8>),
    /// The first items of a list, and its length.
    List {
        /// From the first on, as many as asked for.
        items: Vec<Vec<u8>>,
        /// Of the whole list.
        length: u64,
    },
    /// The first entries of a map.
    Map {
        /// In the order of their keys, as many as asked for.
        entries: Entries,
        /// Whether there are more.
        more: bool,
    },
}

/// A state that holds something for a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspected {
    /// The state's name.
    pub state: String,
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
                found.push(Inspected { state: self.states[state].name.clone(), content });
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
                let items = self.list_read(state, key, 0, limit)?;
                (length > 0).then_some(KeyContent::List { items, length })
            }
            StateKind::Map => {
                let mut entries = self.map_scan(state, key, None, limit + 1)?;
                let more = entries.len() > limit;
                let any = !entries.is_empty();
                entries.truncate(limit);
                any.then_some(KeyContent::Map { entries, more })
            }
        })
    }

    fn peek_value(&self, state: u16, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        if let Some(slot) = self.slots.find(key) {
            let index = self.value_index(state).expect("the caller asks for value states only");
            return Ok(self.value(SlotId(slot), index).map(<[u8]>::to_vec));
        }
        let Some(db) = &self.db else { return Ok(None) };
        let row = db.get(&[&[layout::VALUES], key].concat())?;
        let column = usize::from(self.states[usize::from(state)].id);
        Ok(row
            .and_then(|row| crate::row::get(&row, 0, column, self.ledger.now).map(<[u8]>::to_vec)))
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
