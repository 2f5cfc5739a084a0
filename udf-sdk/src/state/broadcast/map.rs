//! A broadcast map.

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::rc::Rc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::cache;
use crate::describe::{self, StateKind};
use crate::frame::Written;
use crate::host;
use crate::state::{MapKey, Opening, StateField, decode, encode};

/// Entries that are read at a time.
const PAGE: u32 = 256;

/// Entries that are kept decoded, at most; those behind are read each time.
const HELD_MAX: usize = 65_536;

/// The index of a key in the imports, which does not count here.
const NO_KEY: u32 = 0;

/// `K` to `V` per partition, which handlers of broadcast inputs write and all others read: a field of the struct that
/// `#[udf(broadcast = ...)]` names.
///
/// Each entry is stored by itself. What was read is kept decoded until a broadcast record changes something. A value is at
/// most 1 MiB, and an entry's key 1 KiB.
pub struct BroadcastMap<K, V> {
    state: u32,
    /// Nothing while it may be written.
    epoch: Option<u64>,
    of: PhantomData<fn() -> (K, V)>,
}

/// All entries of a map, in the order of their keys.
type Entries<K, V> = Rc<Vec<(K, Rc<V>)>>;

/// What was read of a map.
struct Held<K, V> {
    entries: BTreeMap<Vec<u8>, Option<Rc<V>>>,
    all: Option<Entries<K, V>>,
}

impl<K, V> Default for Held<K, V> {
    fn default() -> Self {
        Self { entries: BTreeMap::new(), all: None }
    }
}

impl<K, V> BroadcastMap<K, V>
where
    K: MapKey + 'static,
    V: Serialize + DeserializeOwned + 'static,
{
    /// The value of an entry.
    pub fn get(&self, entry: &K::Borrowed) -> Option<Rc<V>> {
        let entry = K::encode(entry);
        let Some(epoch) = self.epoch else { return self.read(&entry) };
        cache::with(epoch, self.state, |held: &mut Held<K, V>| {
            if let Some(value) = held.entries.get(&entry) {
                return value.clone();
            }
            let value = self.read(&entry);
            if held.entries.len() < HELD_MAX {
                held.entries.insert(entry, value.clone());
            }
            value
        })
    }

    /// All entries in the order of their keys. They are decoded all together, so the map should be one that fits the memory.
    pub fn all(&self) -> Rc<Vec<(K, Rc<V>)>> {
        let Some(epoch) = self.epoch else { return self.read_all() };
        cache::with(epoch, self.state, |held: &mut Held<K, V>| {
            held.all.get_or_insert_with(|| self.read_all()).clone()
        })
    }

    /// Sets an entry.
    pub fn insert(&mut self, entry: &K::Borrowed, value: &V) {
        host::map_put(self.state, NO_KEY, &K::encode(entry), &encode(value));
    }

    /// Removes an entry, if there is one.
    pub fn remove(&mut self, entry: &K::Borrowed) {
        host::map_delete(self.state, NO_KEY, &K::encode(entry));
    }

    /// Removes all entries.
    pub fn clear(&mut self) {
        host::map_clear(self.state, NO_KEY);
    }

    /// An entry of one's own, past what is kept decoded.
    pub(crate) fn load(&self, entry: &K::Borrowed) -> Option<V> {
        host::map_get(self.state, NO_KEY, &K::encode(entry)).map(|bytes| decode(&bytes))
    }

    fn read(&self, entry: &[u8]) -> Option<Rc<V>> {
        host::map_get(self.state, NO_KEY, entry).map(|bytes| Rc::new(decode(&bytes)))
    }

    fn read_all(&self) -> Rc<Vec<(K, Rc<V>)>> {
        let mut all = Vec::new();
        let mut after: Option<Vec<u8>> = None;
        loop {
            let page = host::map_scan(self.state, NO_KEY, after.as_deref(), PAGE);
            let is_last = page.len() < PAGE as usize;
            all.extend(page.iter().map(|(key, value)| (K::decode(key), Rc::new(decode(value)))));
            match page.into_iter().next_back() {
                Some((last, _)) if !is_last => after = Some(last),
                _ => return Rc::new(all),
            }
        }
    }
}

impl<K, V> StateField for BroadcastMap<K, V>
where
    K: MapKey + 'static,
    V: Serialize + DeserializeOwned + 'static,
{
    const KIND: StateKind = StateKind::Map;
    const BROADCAST: bool = true;

    fn declare(named: describe::State, states: &mut Vec<describe::State>) {
        states.push(describe::State { broadcast: true, ..named });
    }

    fn open(opening: &mut Opening) -> Self {
        Self { state: opening.next_index(), epoch: opening.epoch(), of: PhantomData }
    }

    #[inline]
    fn select(&mut self, _: u32) {}

    fn close(self, _: &mut Vec<Written>) {}
}
