//! Keyed state of the harness: in memory, with TTL, and with a running call that can be dropped.

use std::collections::{BTreeMap, HashMap};

use crate::describe::{State, StateKind, TimeDomain};
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

/// What a call is about, and so which states it may touch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Touches {
    /// States of keys; broadcast ones are read.
    Keys,
    /// Broadcast states only.
    Broadcast,
}

/// The key that broadcast states are kept under.
const BROADCAST_KEY: &[u8] = b"";

/// All state.
#[derive(Default)]
pub struct Store {
    states: Vec<State>,
    values: HashMap<(usize, Vec<u8>), Element>,
    collections: HashMap<(u32, Vec<u8>), Collection>,
    /// Collections as the running call sees them.
    running: HashMap<(u32, Vec<u8>), Collection>,
    /// Distinct keys of the running call; none outside of calls.
    keys: Option<Vec<Vec<u8>>>,
    /// What the running call may touch.
    touches: Option<Touches>,
    /// Processing time of the running call.
    now: i64,
    /// The watermark at its start.
    watermark: i64,
}

impl Store {
    pub fn new(states: Vec<State>) -> Self {
        Self { states, ..Self::default() }
    }

    /// Starts a call for these keys and gives the values of each `value` state.
    pub fn begin(
        &mut self,
        keys: Vec<Vec<u8>>,
        touches: Touches,
        now: i64,
        watermark: i64,
    ) -> Vec<Stored> {
        self.now = now;
        self.watermark = watermark;
        self.touches = Some(touches);
        let broadcast = [BROADCAST_KEY.to_vec()];
        let mut all = Vec::new();
        for (index, state) in
            self.states.iter().enumerate().filter(|(_, s)| s.kind == StateKind::Value)
        {
            let mut stored = Stored { present: Vec::new(), items: Blob::default() };
            let of: &[Vec<u8>] = match touches {
                _ if state.broadcast => &broadcast,
                Touches::Keys => &keys,
                Touches::Broadcast => &[],
            };
            for (i, key) in of.iter().enumerate() {
                let value = self.values.get(&(index, key.clone()));
                let value = value.filter(|element| lives(state, element, now, watermark));
                push_presence(&mut stored.present, i, value.is_some());
                stored.items.push(value.map_or(&[], |(bytes, _)| bytes));
            }
            all.push(stored);
        }
        self.keys = Some(keys);
        all
    }

    /// Goes on with the states of another UDF, as a host does at a swap. Panics with what it would refuse: states that are
    /// missing, of another kind or clock, or of a schema version that is not read.
    pub fn declare(&mut self, states: Vec<State>) {
        let place = |old: &State| {
            let Some(place) = states.iter().position(|new| new.name == old.name) else {
                panic!("the state `{}` is no longer declared", old.name);
            };
            let new = &states[place];
            assert!(new.kind == old.kind, "state `{}` is of another kind", old.name);
            let by_event_time =
                |state: &State| state.ttl_ms.is_some() && state.ttl_domain == TimeDomain::EventTime;
            assert!(
                by_event_time(new) == by_event_time(old),
                "state `{}` expires by another clock",
                old.name
            );
            let may_hold = old.reads.iter().chain([&old.schema_version]);
            for version in may_hold {
                assert!(
                    new.schema_version == *version || new.reads.contains(version),
                    "state `{}` may hold elements of version {version}, which version {} does not read",
                    old.name,
                    new.schema_version
                );
            }
            place
        };
        let places: Vec<usize> = self.states.iter().map(place).collect();
        let values = std::mem::take(&mut self.values);
        self.values =
            values.into_iter().map(|((state, key), v)| ((places[state], key), v)).collect();
        let collections = std::mem::take(&mut self.collections);
        self.collections = collections
            .into_iter()
            .map(|((state, key), c)| ((places[state as usize] as u32, key), c))
            .collect();
        self.states = states;
    }

    /// Ends the call: its writes count.
    pub fn commit(&mut self, written: &[Written]) {
        let keys = self.keys.take().unwrap_or_default();
        self.collections.extend(self.running.drain());
        let values = self.states.iter().enumerate().filter(|(_, s)| s.kind == StateKind::Value);
        for ((state, declared), written) in values.zip(written) {
            for (i, &key) in written.keys.iter().enumerate() {
                check_write(declared, self.touches);
                let key = if declared.broadcast {
                    BROADCAST_KEY.to_vec()
                } else {
                    keys[key as usize].clone()
                };
                let at = (state, key);
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

    /// The list or map of a key of the running call, to be written. Panics as the host traps.
    pub fn written(&mut self, state: u32, key: u32, kind: StateKind) -> &mut Collection {
        if let Some(declared) = self.states.get(state as usize) {
            check_write(declared, self.touches);
        }
        self.collection(state, key, kind)
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
        let key = if declared.broadcast {
            BROADCAST_KEY.to_vec()
        } else {
            assert!(
                self.touches == Some(Touches::Keys),
                "state `{}` belongs to a key, and a broadcast record has none",
                declared.name
            );
            keys.get(key as usize)
                .unwrap_or_else(|| panic!("key {key} is not in the batch"))
                .clone()
        };
        let at = (state, key);
        let (collections, now, watermark) = (&self.collections, self.now, self.watermark);
        self.running.entry(at.clone()).or_insert_with(|| {
            let mut collection = collections.get(&at).cloned().unwrap_or_default();
            collection.items.retain(|item| lives(declared, item, now, watermark));
            collection.entries.retain(|_, entry| lives(declared, entry, now, watermark));
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

fn check_write(declared: &State, touches: Option<Touches>) {
    assert!(
        declared.broadcast == (touches == Some(Touches::Broadcast)),
        "state `{}` was written from {}",
        declared.name,
        if declared.broadcast { "a keyed record or a timer" } else { "a broadcast record" }
    );
}

/// Whether an element is seen by a call at these times.
fn lives(state: &State, (bytes, written): &Element, now: i64, watermark: i64) -> bool {
    let Some(ttl_ms) = state.ttl_ms else { return true };
    match state.ttl_domain {
        TimeDomain::ProcessingTime => i128::from(*written) + i128::from(ttl_ms) > i128::from(now),
        TimeDomain::EventTime => match bytes.first_chunk() {
            Some(expiry) => i64::from_le_bytes(*expiry) > watermark,
            None => panic!("an element of state `{}` has no time of expiry", state.name),
        },
    }
}
