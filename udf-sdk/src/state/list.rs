//! A sequence per key.

use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Opening, StateField, decode, encode};
use crate::describe::StateKind;
use crate::frame::Written;
use crate::host;

/// Items fetched by one call to the host.
const PAGE: u32 = 100;

/// A sequence of `T` per key. Each item is an element of its own, of at most 1 MiB: appending to
/// a long list costs no more than to a short one. Nothing is cached; every method calls the host.
pub struct List<T> {
    state: u32,
    key: u32,
    items: PhantomData<fn() -> T>,
}

impl<T: Serialize + DeserializeOwned> List<T> {
    /// Number of items.
    pub fn len(&self) -> u64 {
        host::list_length(self.state, self.key)
    }

    /// Whether there is no item.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The item at an index, if the list is that long.
    pub fn get(&self, index: u64) -> Option<T> {
        host::list_read(self.state, self.key, index, 1).first().map(|bytes| decode(bytes))
    }

    /// Appends an item.
    pub fn push(&mut self, item: &T) {
        host::list_append(self.state, self.key, &encode(item));
    }

    /// Replaces the item at an index. Panics if the list is not that long.
    pub fn set(&mut self, index: u64, item: &T) {
        host::list_set(self.state, self.key, index, &encode(item));
    }

    /// Removes all items.
    pub fn clear(&mut self) {
        host::list_clear(self.state, self.key);
    }

    /// The items, fetched by the hundred.
    pub fn iter(&self) -> impl Iterator<Item = T> {
        let (state, key) = (self.state, self.key);
        let mut next = Some(0);
        std::iter::from_fn(move || {
            let start = next?;
            let page = host::list_read(state, key, start, PAGE);
            next = (page.len() == PAGE as usize).then_some(start + u64::from(PAGE));
            Some(page)
        })
        .flatten()
        .map(|bytes| decode(&bytes))
    }
}

impl<T: Serialize + DeserializeOwned> StateField for List<T> {
    const KIND: StateKind = StateKind::List;

    fn open(opening: &mut Opening) -> Self {
        Self { state: opening.next_index(), key: 0, items: PhantomData }
    }

    #[inline]
    fn select(&mut self, key: u32) {
        self.key = key;
    }

    fn close(self, _: &mut Vec<Written>) {}
}
