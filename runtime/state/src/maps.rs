//! Map states, and what lists share with them: elements read through the cache.

use std::ops::Bound;

use millstream_core::udf::Limit;

use crate::error::StateError;
use crate::expiry::NEVER;
use crate::groups;
use crate::keyed::KeyedState;
use crate::layout;

/// Entries of a map as a scan returns them: entry key and value, in the order of the keys.
pub type Entries = Vec<(Vec<u8>, Vec<u8>)>;

impl KeyedState {
    /// The value of a map entry. `state` counts the declared states of all kinds, here and below; one that is not
    /// declared as a map is a bug of the caller and panics.
    pub fn map_get(
        &mut self,
        state: u16,
        key: &[u8],
        entry: &[u8],
    ) -> Result<Option<&[u8]>, StateError> {
        self.select(state, key);
        let now = self.now();
        Ok(match self.element(entry)? {
            Some(id) => self.groups.elements[id].live(now),
            None => None,
        })
    }

    /// Sets a map entry (`Some`) or removes it (`None`), which is no error when there is none.
    pub fn map_write(
        &mut self,
        state: u16,
        key: &[u8],
        entry: &[u8],
        value: Option<&[u8]>,
    ) -> Result<(), StateError> {
        let expiry = value.map_or(NEVER, |value| self.expiry(state, value));
        self.select(state, key);
        self.put_element(entry, value, expiry);
        Ok(())
    }

    /// The entries in the order of their keys, behind `after` if given, up to `limit`.
    pub fn map_scan(
        &mut self,
        state: u16,
        key: &[u8],
        after: Option<&[u8]>,
        limit: Limit,
    ) -> Result<Entries, StateError> {
        self.select(state, key);
        self.scan(after, limit)
    }

    /// Removes all entries of a map, without reading them.
    pub fn map_clear(&mut self, state: u16, key: &[u8]) -> Result<(), StateError> {
        self.select(state, key);
        self.clear_group();
        Ok(())
    }

    /// Makes a list or map the one that the functions below work on.
    pub(crate) fn select(&mut self, state: u16, key: &[u8]) {
        let state = &self.states[usize::from(state)];
        layout::group_prefix(&mut self.prefix, state.id, key);
        self.by_event_time = state.event_time;
    }

    /// What the clock of the selected group shows.
    pub(crate) fn now(&self) -> i64 {
        self.ledger.now.of(self.by_event_time)
    }

    /// The selected group's element, read from the database if need be; expired ones included.
    pub(crate) fn element(&mut self, entry: &[u8]) -> Result<Option<u32>, StateError> {
        let group = self.groups.find(&self.prefix);
        if let Some(group) = group {
            let cached = self.groups.lookup(group, entry);
            if cached.is_some() || self.groups.groups[group].complete {
                self.counts.hits += 1;
                return Ok(cached);
            }
        }
        self.counts.misses += 1;
        let Some(db) = &self.db else { return Ok(None) };
        self.key.clear();
        self.key.extend_from_slice(&self.prefix);
        self.key.extend_from_slice(entry);
        let row = db.get(&self.key)?;
        let value = match &row {
            Some(row) => {
                let stored = groups::decode(row);
                let stored = stored.ok_or_else(|| db.damaged("a list or map row is malformed"))?;
                Some((stored.value, stored.expiry))
            }
            None => None,
        };
        let group = self.groups.find_or_add(&self.prefix, self.by_event_time, false);
        Ok(Some(self.groups.cache(group, entry, value)))
    }

    /// Writes an element of the selected group.
    pub(crate) fn put_element(&mut self, entry: &[u8], value: Option<&[u8]>, expiry: i64) {
        let vanish = self.vanishes();
        let complete = self.db.is_none();
        let group = self.groups.find_or_add(&self.prefix, self.by_event_time, complete);
        self.groups.put(group, entry, value, expiry, &mut self.ledger, vanish);
    }

    /// Clears the selected group.
    pub(crate) fn clear_group(&mut self) {
        let vanish = self.vanishes();
        let complete = self.db.is_none();
        let group = self.groups.find_or_add(&self.prefix, self.by_event_time, complete);
        self.groups.clear(group, &mut self.ledger, vanish);
    }

    /// At most `limit` live elements of the selected group, behind `after` if given.
    pub(crate) fn scan(
        &mut self,
        after: Option<&[u8]>,
        limit: Limit,
    ) -> Result<Entries, StateError> {
        let now = self.now();
        let group = self.groups.find(&self.prefix);
        let complete = group.is_some_and(|group| self.groups.groups[group].complete);
        let (mut found, mut bytes) = (Entries::new(), 0);
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut cached = group
            .iter()
            .flat_map(|&group| {
                self.groups.groups[group].entries.range::<[u8], _>((from, Bound::Unbounded))
            })
            .peekable();
        let Some(db) = self.db.as_ref().filter(|_| !complete) else {
            for (entry, &id) in cached {
                if limit.is_reached(found.len(), bytes) {
                    break;
                }
                let element = &mut self.groups.elements[id];
                element.referenced = true;
                if let Some(value) = element.live(now) {
                    bytes += entry.len() + value.len();
                    found.push((entry.to_vec(), value.to_vec()));
                }
            }
            return Ok(found);
        };
        let mut rows = db.iterate(&self.prefix);
        rows.seek([&self.prefix[..], after.unwrap_or_default()].concat());
        // What the cache lacks, kept in case this turns out to be all of it.
        let mut uncached: Vec<(Vec<u8>, Vec<u8>, i64)> = Vec::new();
        let mut exhausted = false;
        while !limit.is_reached(found.len(), bytes) {
            let row = rows.item().map(|(key, row)| (&key[self.prefix.len()..], row));
            if let Some((entry, _)) = row
                && after == Some(entry)
            {
                rows.next();
                continue;
            }
            let next = cached.peek().map(|(entry, _)| &entry[..]);
            match (next, row) {
                (None, None) => {
                    exhausted = true;
                    break;
                }
                (Some(entry), row) if row.is_none_or(|(other, _)| entry <= other) => {
                    if row.is_some_and(|(other, _)| entry == other) {
                        rows.next();
                    }
                    let (entry, &id) = cached.next().expect("peeked");
                    if let Some(value) = self.groups.elements[id].live(now) {
                        bytes += entry.len() + value.len();
                        found.push((entry.to_vec(), value.to_vec()));
                    }
                }
                (_, Some((entry, row))) => {
                    let stored = groups::decode(row)
                        .ok_or_else(|| db.damaged("a list or map row is malformed"))?;
                    uncached.push((entry.to_vec(), stored.value.to_vec(), stored.expiry));
                    if stored.expiry > now {
                        bytes += entry.len() + stored.value.len();
                        found.push((entry.to_vec(), stored.value.to_vec()));
                    }
                    rows.next();
                }
                (Some(_), None) => {
                    unreachable!("the second case takes every cached entry without a row")
                }
            }
        }
        db.check(&rows)?;
        if exhausted && after.is_none() {
            let group = self.groups.find_or_add(&self.prefix, self.by_event_time, false);
            for (entry, value, expiry) in uncached {
                self.groups.cache(group, &entry, Some((&value, expiry)));
            }
            self.groups.groups[group].complete = true;
        }
        Ok(found)
    }

    /// List and map writes from here on can be taken back together with [`drop_call`](Self::drop_call): for a guest's call that
    /// may fail.
    pub fn begin_call(&mut self) {
        self.groups.begin_call();
    }

    /// Keeps the list and map writes since [`begin_call`](Self::begin_call).
    pub fn keep_call(&mut self) {
        self.groups.keep_call();
    }

    /// Takes back the list and map writes since [`begin_call`](Self::begin_call). Between the two,
    /// neither [`persist`](Self::persist) nor [`trim`](Self::trim) may be called, nor another commit begin.
    pub fn drop_call(&mut self) {
        self.groups.drop_call(&mut self.ledger);
    }
}
