//! Keyed state of the harness: in memory, with TTL, and with a running call that can be dropped.

use std::collections::{BTreeMap, HashMap};

use crate::describe::{State, StateKind};
use crate::frame::{Blob, Stored, Written, is_present, push_presence};

/// An element and the processing time of its last write.
type Element = (Vec<u8>, i64);

/// A list or a map of one key.
#[derive(Clone, Default)]
pub struct Collection {
    /// Items of a list.
    pub items: Vec<Element>,
    /// Entries of a map.
    pub entries: BTreeMap<Vec<u8>, Element>,
}

/// All keyed state.
#[derive(Default)]
pub struct Store {
    states: Vec<State>,
    values: HashMap<(usize, Vec<u8>), Element>,
    collections: HashMap<(u32, Vec<u8>), Collection>,
    /// Collections as the running call sees them.
    running: HashMap<(u32, Vec<u8>), Collection>,
    /// Distinct keys of the running call; none outside of calls.
    keys: Option<Vec<Vec<u8>>>,
    /// Processing time of the running call.
    now: i64,
}

impl Store {
    pub fn new(states: Vec<State>) -> Self {
        Self { states, ..Self::default() }
    }

    /// Starts a call for these keys and gives the values of each `value` state.
    pub fn begin(&mut self, keys: Vec<Vec<u8>>, now: i64) -> Vec<Stored> {
        self.now = now;
        let mut all = Vec::new();
        for (index, state) in
            self.states.iter().enumerate().filter(|(_, s)| s.kind == StateKind::Value)
        {
            let mut stored = Stored { present: Vec::new(), items: Blob::default() };
            for (i, key) in keys.iter().enumerate() {
                let value =
                    self.values.get(&(index, key.clone())).filter(|(_, at)| lives(state, *at, now));
                push_presence(&mut stored.present, i, value.is_some());
                stored.items.push(value.map_or(&[], |(bytes, _)| bytes));
            }
            all.push(stored);
        }
        self.keys = Some(keys);
        all
    }

    /// Ends the call: its writes count.
    pub fn commit(&mut self, written: &[Written]) {
        let keys = self.keys.take().unwrap_or_default();
        self.collections.extend(self.running.drain());
        let values = self.states.iter().enumerate().filter(|(_, s)| s.kind == StateKind::Value);
        for ((state, _), written) in values.zip(written) {
            for (i, &key) in written.keys.iter().enumerate() {
                let at = (state, keys[key as usize].clone());
                if is_present(&written.present, i) {
                    self.values.insert(at, (written.items.get(i).to_vec(), self.now));
                } else {
                    self.values.remove(&at);
                }
            }
        }
    }

    /// Ends the call: nothing of it counts.
    pub fn drop_call(&mut self) {
        self.running.clear();
        self.keys = None;
    }

    /// The list or map of a key of the running call. Panics as the host traps.
    pub fn collection(&mut self, state: u32, key: u32, kind: StateKind) -> &mut Collection {
        let Some(keys) = &self.keys else { panic!("state was used outside of a call") };
        let declared = self
            .states
            .get(state as usize)
            .unwrap_or_else(|| panic!("state {state} is not declared"));
        assert!(
            declared.kind == kind,
            "state `{}` is a {:?}, not a {kind:?}",
            declared.name,
            declared.kind
        );
        let key = keys.get(key as usize).unwrap_or_else(|| panic!("key {key} is not in the batch"));
        let at = (state, key.clone());
        let (collections, now) = (&self.collections, self.now);
        self.running.entry(at.clone()).or_insert_with(|| {
            let mut collection = collections.get(&at).cloned().unwrap_or_default();
            collection.items.retain(|(_, written)| lives(declared, *written, now));
            collection.entries.retain(|_, (_, written)| lives(declared, *written, now));
            collection
        })
    }

    /// Elements of a key.
    pub fn count(&self, key: &[u8]) -> usize {
        let values = self.values.keys().filter(|(_, of)| of == key).count();
        let collections = self.collections.iter().filter(|((_, of), _)| of == key);
        values + collections.map(|(_, c)| c.items.len() + c.entries.len()).sum::<usize>()
    }

    /// Processing time of the running call.
    pub fn now(&self) -> i64 {
        self.now
    }
}

fn lives(state: &State, written: i64, now: i64) -> bool {
    state.ttl_ms.is_none_or(|ttl| i128::from(written) + i128::from(ttl) > i128::from(now))
}
