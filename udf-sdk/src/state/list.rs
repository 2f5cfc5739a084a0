//! A sequence per key.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::items::{Items, Migrate, Migrates};
use super::{Now, Opening, StateField};
use crate::describe::StateKind;
use crate::frame::Written;
use crate::host;

/// Items fetched by one call to the host.
const PAGE: u32 = 100;

/// A sequence of `T` per key. Each item is an element of its own, of at most 1 MiB: appending to
/// a long list costs no more than to a short one. Nothing is cached; every method calls the host.
///
/// Items that have expired are not counted: those behind them move up. If they expire by event time, [`len`](Self::len),
/// [`get`](Self::get) and [`set`](Self::set) read the list from the front to find what has not; keep such a list
/// short, or use a [`Map`](super::Map).
pub struct List<T> {
    state: u32,
    key: u32,
    items: Items<T>,
}

impl<T: Serialize + DeserializeOwned> List<T> {
    /// Number of items.
    pub fn len(&self) -> u64 {
        if self.items.expire() {
            return self.live().count() as u64;
        }
        host::list_length(self.state, self.key)
    }

    /// Whether there is no item.
    pub fn is_empty(&self) -> bool {
        if self.items.expire() {
            return self.live().next().is_none();
        }
        host::list_length(self.state, self.key) == 0
    }

    /// The item at an index, if the list is that long.
    pub fn get(&self, index: u64) -> Option<T> {
        if self.items.expire() {
            let (_, element) = self.live().nth(usize::try_from(index).ok()?)?;
            return Some(self.items.read(self.items.live(&element)?));
        }
        let found = host::list_read(self.state, self.key, index, 1);
        found.first().map(|element| self.items.read(element))
    }

    /// Appends an item.
    pub fn push(&mut self, item: &T) {
        host::list_append(self.state, self.key, &self.items.written(item));
    }

    /// Replaces the item at an index. Panics if the list is not that long.
    pub fn set(&mut self, index: u64, item: &T) {
        let at = if self.items.expire() {
            let found = usize::try_from(index).ok().and_then(|index| self.live().nth(index));
            match found {
                Some((at, _)) => at,
                None => panic!("item {index} of a list of {} was set", self.len()),
            }
        } else {
            index
        };
        host::list_set(self.state, self.key, at, &self.items.written(item));
    }

    /// Removes all items.
    pub fn clear(&mut self) {
        host::list_clear(self.state, self.key);
    }

    /// The items, fetched by the hundred.
    pub fn iter(&self) -> impl Iterator<Item = T> {
        self.live().filter_map(|(_, element)| Some(self.items.read(self.items.live(&element)?)))
    }

    /// The elements that have not expired, with the host's index: it still counts some that have.
    fn live(&self) -> impl Iterator<Item = (u64, Vec<u8>)> {
        let (state, key) = (self.state, self.key);
        let mut next = Some(0);
        std::iter::from_fn(move || {
            let start = next?;
            let page = host::list_read(state, key, start, PAGE);
            next = (page.len() == PAGE as usize).then_some(start + u64::from(PAGE));
            Some((start..).zip(page))
        })
        .flatten()
        .filter(|(_, element)| self.items.live(element).is_some())
    }
}

impl<T> Migrates for List<T> {
    type Item = T;

    fn migrated_by(mut self, migrate: Migrate<T>) -> Self {
        self.items.migrated_by(migrate);
        self
    }
}

impl<T: Serialize + DeserializeOwned> StateField for List<T> {
    const KIND: StateKind = StateKind::List;

    fn open(opening: &mut Opening) -> Self {
        Self { state: opening.next_index(), key: 0, items: Items::new(opening.layout) }
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
