//! Entries per key.

use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{MapKey, Opening, StateField, decode, encode};
use crate::describe::StateKind;
use crate::frame::Written;
use crate::host;

/// Entries fetched by the first call to the host. Often only the first few are wanted; each further call fetches
/// twice as many.
const PAGE: u32 = 8;
/// Entries fetched by one call to the host, at most.
const PAGE_MAX: u32 = 128;

/// Entries from `K` to `V` per key of the stream, in the order of `K`. Each entry is an element of its own,
/// of at most 1 MiB with an entry key of at most 1 KiB. Nothing is cached; every method calls the
/// host.
pub struct Map<K, V> {
    state: u32,
    key: u32,
    entries: PhantomData<fn() -> (K, V)>,
}

impl<K: MapKey, V: Serialize + DeserializeOwned> Map<K, V> {
    /// The value of an entry.
    pub fn get(&self, entry: &K::Borrowed) -> Option<V> {
        host::map_get(self.state, self.key, &K::encode(entry)).map(|bytes| decode(&bytes))
    }

    /// Whether there is an entry.
    pub fn contains(&self, entry: &K::Borrowed) -> bool {
        host::map_get(self.state, self.key, &K::encode(entry)).is_some()
    }

    /// Sets an entry.
    pub fn insert(&mut self, entry: &K::Borrowed, value: &V) {
        host::map_put(self.state, self.key, &K::encode(entry), &encode(value));
    }

    /// Removes an entry, if there is one.
    pub fn remove(&mut self, entry: &K::Borrowed) {
        host::map_delete(self.state, self.key, &K::encode(entry));
    }

    /// Removes all entries.
    pub fn clear(&mut self) {
        host::map_clear(self.state, self.key);
    }

    /// The entry whose key comes first.
    pub fn first(&self) -> Option<(K, V)> {
        let page = host::map_scan(self.state, self.key, None, 1);
        page.first().map(|(entry, value)| (K::decode(entry), decode(value)))
    }

    /// The entries in the order of their keys, fetched page by page.
    pub fn iter(&self) -> impl Iterator<Item = (K, V)> {
        self.pages(None)
    }

    /// The entries behind `entry`, in the order of their keys.
    pub fn iter_after(&self, entry: &K::Borrowed) -> impl Iterator<Item = (K, V)> + use<K, V> {
        self.pages(Some(K::encode(entry)))
    }

    fn pages(&self, after: Option<Vec<u8>>) -> impl Iterator<Item = (K, V)> + use<K, V> {
        let (state, key) = (self.state, self.key);
        let mut next = Some(after);
        let mut wanted = PAGE;
        std::iter::from_fn(move || {
            let after = next.take()?;
            let page = host::map_scan(state, key, after.as_deref(), wanted);
            if page.len() == wanted as usize {
                next = page.last().map(|(entry, _)| Some(entry.clone()));
                wanted = (2 * wanted).min(PAGE_MAX);
            }
            Some(page)
        })
        .flatten()
        .map(|(entry, value)| (K::decode(&entry), decode(&value)))
    }
}

impl<K: MapKey, V: Serialize + DeserializeOwned> StateField for Map<K, V> {
    const KIND: StateKind = StateKind::Map;

    fn open(opening: &mut Opening) -> Self {
        Self { state: opening.next_index(), key: 0, entries: PhantomData }
    }

    #[inline]
    fn select(&mut self, key: u32) {
        self.key = key;
    }

    fn close(self, _: &mut Vec<Written>) {}
}
