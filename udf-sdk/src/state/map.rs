//! Entries per key.

use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::items::{Items, Migrate, Migrates};
use super::{MapKey, Now, Opening, StateField};
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
    items: Items<V>,
    entries: PhantomData<fn() -> K>,
}

impl<K: MapKey, V: Serialize + DeserializeOwned> Map<K, V> {
    /// The value of an entry.
    pub fn get(&self, entry: &K::Borrowed) -> Option<V> {
        let element = host::map_get(self.state, self.key, &K::encode(entry))?;
        Some(self.items.read(self.items.live(&element)?))
    }

    /// Whether there is an entry.
    pub fn contains(&self, entry: &K::Borrowed) -> bool {
        let element = host::map_get(self.state, self.key, &K::encode(entry));
        element.is_some_and(|element| self.items.live(&element).is_some())
    }

    /// Sets an entry.
    pub fn insert(&mut self, entry: &K::Borrowed, value: &V) {
        host::map_put(self.state, self.key, &K::encode(entry), &self.items.written(value));
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
        // Most maps begin with an entry that has not expired.
        self.pages(None, 1).next()
    }

    /// The entries in the order of their keys, fetched page by page.
    pub fn iter(&self) -> impl Iterator<Item = (K, V)> {
        self.pages(None, PAGE)
    }

    /// The entries behind `entry`, in the order of their keys.
    pub fn iter_after(&self, entry: &K::Borrowed) -> impl Iterator<Item = (K, V)> + use<K, V> {
        self.pages(Some(K::encode(entry)), PAGE)
    }

    fn pages(
        &self,
        after: Option<Vec<u8>>,
        first: u32,
    ) -> impl Iterator<Item = (K, V)> + use<K, V> {
        let (state, key, items) = (self.state, self.key, self.items);
        let mut next = Some(after);
        let mut wanted = first;
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
        .filter_map(move |(entry, element)| {
            Some((K::decode(&entry), items.read(items.live(&element)?)))
        })
    }
}

impl<K: MapKey, V> Migrates for Map<K, V> {
    type Item = V;

    fn migrated_by(mut self, migrate: Migrate<V>) -> Self {
        self.items.migrated_by(migrate);
        self
    }
}

impl<K: MapKey, V: Serialize + DeserializeOwned> StateField for Map<K, V> {
    const KIND: StateKind = StateKind::Map;

    fn open(opening: &mut Opening) -> Self {
        let items = Items::new(opening.layout);
        Self { state: opening.next_index(), key: 0, items, entries: PhantomData }
    }

    #[inline]
    fn set_now(&mut self, now: Now) {
        self.items.at(now);
    }

    #[inline]
    fn select(&mut self, key: u32) {
        self.key = key;
    }

    fn close(self, _: &mut Vec<Written>) {}
}
