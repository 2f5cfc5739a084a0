//! The state as plain maps: what every history must amount to.

use std::collections::{BTreeMap, BTreeSet};

use millstream_core::description::{StateKind, StateSpec, TimeDomain, TimerSpec};
use serde::{Deserialize, Serialize};

pub type Bytes = Vec<u8>;

/// Whether and by which clock the items of a state expire, milliseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Ttl {
    None,
    ProcessingTime(u64),
    EventTime(u64),
}

/// Name, kind and TTL of the states that the tests use. Operations name them by their place here.
pub const STATES: [(&str, StateKind, Ttl); 9] = [
    ("balance", StateKind::Value, Ttl::None),
    ("tags", StateKind::Map, Ttl::None),
    ("session", StateKind::Value, Ttl::ProcessingTime(40)),
    ("recent", StateKind::List, Ttl::ProcessingTime(40)),
    ("seen", StateKind::Map, Ttl::ProcessingTime(40)),
    ("history", StateKind::List, Ttl::None),
    ("score", StateKind::Value, Ttl::EventTime(60)),
    ("clicks", StateKind::List, Ttl::EventTime(60)),
    ("devices", StateKind::Map, Ttl::EventTime(60)),
];
pub const TIMERS: [&str; 2] = ["remind", "expire"];

/// One operation, as a log would hold it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Op {
    Value { state: usize, key: Bytes, value: Option<Bytes> },
    Entry { state: usize, key: Bytes, entry: Bytes, value: Option<Bytes> },
    Item { state: usize, key: Bytes, position: u64, value: Bytes },
    Clear { state: usize, key: Bytes },
    Timer { timer: usize, key: Bytes, time: i64, set: bool },
}

/// A commit, as a log would hold it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Commit {
    pub number: u64,
    pub time: i64,
    /// The watermark in the end.
    pub watermark: i64,
    /// Which of the declarations of [`specs`] its module made.
    pub version: usize,
    pub ops: Vec<Op>,
}

/// What the module of a version declares: the same states in another order. Returns the
/// place of each of [`STATES`] too.
pub fn specs(version: usize) -> (Vec<StateSpec>, Vec<TimerSpec>, Vec<u16>) {
    let order: Vec<usize> = (0..STATES.len()).map(|i| (i + version) % STATES.len()).collect();
    let states = order
        .iter()
        .map(|&i| {
            let (name, kind, ttl) = STATES[i];
            let (ttl_ms, ttl_domain) = match ttl {
                Ttl::None => (None, TimeDomain::ProcessingTime),
                Ttl::ProcessingTime(ms) => (Some(ms), TimeDomain::ProcessingTime),
                Ttl::EventTime(ms) => (Some(ms), TimeDomain::EventTime),
            };
            StateSpec { ttl_ms, ttl_domain, ..StateSpec::new(name, kind) }
        })
        .collect();
    let timers = TIMERS
        .iter()
        .map(|name| TimerSpec { name: (*name).to_owned(), domain: TimeDomain::EventTime })
        .collect();
    let places =
        (0..STATES.len()).map(|i| order.iter().position(|&o| o == i).unwrap() as u16).collect();
    (states, timers, places)
}

/// Bytes and when they expire, by the clock of their state.
type Cell = (Bytes, i64);

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Model {
    pub now: i64,
    pub watermark: i64,
    values: BTreeMap<(usize, Bytes), Cell>,
    maps: BTreeMap<(usize, Bytes), BTreeMap<Bytes, Cell>>,
    /// Position and item.
    lists: BTreeMap<(usize, Bytes), BTreeMap<u64, Cell>>,
    pub timers: BTreeSet<(usize, i64, Bytes)>,
}

impl Model {
    pub fn apply(&mut self, op: &Op) {
        let cell = |state: usize, value: Bytes| -> Cell {
            let expiry = match STATES[state].2 {
                Ttl::None => i64::MAX,
                Ttl::ProcessingTime(ttl) => self.now + ttl as i64,
                Ttl::EventTime(_) => i64::from_le_bytes(*value.first_chunk().unwrap()),
            };
            (value, expiry)
        };
        match op.clone() {
            Op::Value { state, key, value: Some(value) } => {
                self.values.insert((state, key), cell(state, value));
            }
            Op::Value { state, key, value: None } => {
                self.values.remove(&(state, key));
            }
            Op::Entry { state, key, entry, value: Some(value) } => {
                let cell = cell(state, value);
                self.maps.entry((state, key)).or_default().insert(entry, cell);
            }
            Op::Entry { state, key, entry, value: None } => {
                self.maps.entry((state, key)).or_default().remove(&entry);
            }
            Op::Item { state, key, position, value } => {
                let cell = cell(state, value);
                self.lists.entry((state, key)).or_default().insert(position, cell);
            }
            Op::Clear { state, key } => {
                self.maps.remove(&(state, key.clone()));
                self.lists.remove(&(state, key));
            }
            Op::Timer { timer, key, time, set } => {
                if set {
                    self.timers.insert((timer, time, key));
                } else {
                    self.timers.remove(&(timer, time, key));
                }
            }
        }
    }

    fn live<'a>(&self, state: usize, cell: &'a Cell) -> Option<&'a Bytes> {
        let now = match STATES[state].2 {
            Ttl::None => return Some(&cell.0),
            Ttl::ProcessingTime(_) => self.now,
            Ttl::EventTime(_) => self.watermark,
        };
        (cell.1 > now).then_some(&cell.0)
    }

    pub fn value(&self, state: usize, key: &[u8]) -> Option<&Bytes> {
        self.values.get(&(state, key.to_vec())).and_then(|cell| self.live(state, cell))
    }

    pub fn entries(&self, state: usize, key: &[u8]) -> Vec<(Bytes, Bytes)> {
        let map = self.maps.get(&(state, key.to_vec()));
        map.into_iter()
            .flatten()
            .filter_map(|(entry, cell)| Some((entry.clone(), self.live(state, cell)?.clone())))
            .collect()
    }

    pub fn items(&self, state: usize, key: &[u8]) -> Vec<Bytes> {
        let list = self.lists.get(&(state, key.to_vec()));
        list.into_iter().flatten().filter_map(|(_, cell)| self.live(state, cell).cloned()).collect()
    }

    /// Keys of which any state holds something.
    pub fn keys(&self) -> BTreeSet<Bytes> {
        let all = self.values.keys().chain(self.maps.keys()).chain(self.lists.keys());
        all.filter(|(_, key)| {
            (0..STATES.len()).any(|state| {
                self.value(state, key).is_some()
                    || !self.entries(state, key).is_empty()
                    || !self.items(state, key).is_empty()
            })
        })
        .map(|(_, key)| key.clone())
        .collect()
    }
}
