//! Figures for operators.

use crate::keyed::KeyedState;

/// Counted since the state was opened.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub hits: u64,
    pub misses: u64,
    pub persisted_bytes: u64,
    pub evictions: u64,
    pub expired: u64,
}

/// What a partition's state takes and does. Bytes are bytes of memory unless said otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StateMetrics {
    /// In the write-back cache.
    pub cached_bytes: u64,
    /// Of these, not in the database yet.
    pub dirty_bytes: u64,
    /// Keys whose value states are cached.
    pub cached_keys: u64,
    /// Cached list items, map entries and unpersisted timers.
    pub cached_elements: u64,
    /// Bytes of the database's files; 0 without one.
    pub database_bytes: u64,
    /// In the database's memtables.
    pub memtable_bytes: u64,
    /// Keys and elements found in the cache, since opening.
    pub hits: u64,
    /// Keys and elements that were not, since opening.
    pub misses: u64,
    /// Bytes written to the database, since opening.
    pub persisted_bytes: u64,
    /// Keys and elements dropped from the cache, since opening.
    pub evictions: u64,
    /// Keys, elements and database rows dropped because they had expired, without being read, since opening.
    pub expired: u64,
    /// Acknowledged commits that a redo would have to apply, at most.
    pub redo_commits: u64,
}

impl KeyedState {
    /// Memory that is not in the database yet, bytes. Costs nothing, unlike [`metrics`](Self::metrics).
    pub fn dirty_bytes(&self) -> usize {
        self.ledger.dirty_bytes
    }

    /// The figures now. Asks the database, so not for every slice.
    pub fn metrics(&mut self) -> StateMetrics {
        let (database_bytes, memtable_bytes) = self.db.as_ref().map_or((0, 0), |db| db.sizes());
        let redo_from = self.redo_from().number.0;
        StateMetrics {
            cached_bytes: self.cached_bytes() as u64,
            dirty_bytes: self.ledger.dirty_bytes as u64,
            cached_keys: self.slots.len() as u64,
            cached_elements: self.groups.elements.len() as u64,
            database_bytes,
            memtable_bytes,
            hits: self.counts.hits,
            misses: self.counts.misses,
            persisted_bytes: self.counts.persisted_bytes,
            evictions: self.counts.evictions,
            expired: self.counts.expired,
            redo_commits: self.ledger.acknowledged.saturating_sub(redo_from),
        }
    }
}
