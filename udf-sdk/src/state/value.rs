//! At most one value per key.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::items::{Items, Migrate, Migrates};
use super::{Now, Opening, StateField};
use crate::describe::StateKind;
use crate::frame::{Stored, Written, is_present, push_presence};

/// At most one `T` per key. It arrives with the batch, is decoded when it is first looked at, is
/// carried from record to record, and is written back once at the end if it was changed.
///
/// `T` is stored with postcard, which is compact and knows no field names: adding, removing or
/// reordering fields makes another type, and so another version of the state. At most 1 MiB.
pub struct Value<T> {
    stored: Stored,
    slots: Vec<Slot<T>>,
    /// Keys in the order of their first change.
    changed: Vec<u32>,
    key: u32,
    items: Items<T>,
    /// When the value of each key expires; empty if values do not expire by event time.
    expiries: Vec<i64>,
}

struct Slot<T> {
    held: Held<T>,
    changed: bool,
}

enum Held<T> {
    /// Not decoded yet.
    Stored,
    Decoded(Option<T>),
}

impl<T: Serialize + DeserializeOwned> Value<T> {
    /// The value.
    #[inline]
    pub fn get(&mut self) -> Option<&T> {
        self.load().as_ref()
    }

    /// Whether there is a value.
    #[inline]
    pub fn is_set(&mut self) -> bool {
        self.load().is_some()
    }

    /// The value, to be changed in place. Counts as a change even if nothing is changed, and so
    /// prolongs its life if the state has a TTL.
    #[inline]
    pub fn get_mut(&mut self) -> Option<&mut T> {
        if self.load().is_none() {
            return None;
        }
        self.load_for_change().as_mut()
    }

    /// The value, to be changed in place; `make()` if there is none. Counts as a change.
    #[inline]
    pub fn get_or_insert_with(&mut self, make: impl FnOnce() -> T) -> &mut T {
        self.load_for_change().get_or_insert_with(make)
    }

    /// The value, to be changed in place; the default if there is none. Counts as a change.
    #[inline]
    pub fn get_or_default(&mut self) -> &mut T
    where
        T: Default,
    {
        self.get_or_insert_with(T::default)
    }

    /// Sets the value.
    #[inline]
    pub fn set(&mut self, value: T) {
        *self.load_for_change() = Some(value);
    }

    /// Removes the value and returns it.
    #[inline]
    pub fn take(&mut self) -> Option<T> {
        if self.load().is_none() {
            return None;
        }
        self.load_for_change().take()
    }

    /// Removes the value.
    #[inline]
    pub fn clear(&mut self) {
        self.take();
    }

    #[inline]
    fn load(&mut self) -> &mut Option<T> {
        let key = self.key as usize;
        let slot = &mut self.slots[key];
        if let Held::Stored = slot.held {
            let value = is_present(&self.stored.present, key).then(|| {
                let (expiry, rest) = self.items.split(self.stored.items.get(key));
                if let Some(place) = self.expiries.get_mut(key) {
                    *place = expiry;
                }
                self.items.read(rest)
            });
            slot.held = Held::Decoded(value);
        }
        match &mut slot.held {
            Held::Decoded(value) => {
                if let Some(&expiry) = self.expiries.get(key)
                    && self.items.is_past(expiry)
                {
                    *value = None;
                }
                value
            }
            Held::Stored => unreachable!("it was decoded above"),
        }
    }

    #[inline]
    fn load_for_change(&mut self) -> &mut Option<T> {
        let key = self.key;
        let slot = &mut self.slots[key as usize];
        if !slot.changed {
            slot.changed = true;
            self.changed.push(key);
        }
        if self.expiries.is_empty() {
            return self.load();
        }
        // What has expired does not come back by a new time.
        self.load();
        self.expiries[key as usize] = self.items.expiry();
        match &mut self.slots[key as usize].held {
            Held::Decoded(value) => value,
            Held::Stored => unreachable!("it was decoded above"),
        }
    }
}

impl<T> Migrates for Value<T> {
    type Item = T;

    fn migrated_by(mut self, migrate: Migrate<T>) -> Self {
        self.items.migrated_by(migrate);
        self
    }
}

impl<T: Serialize + DeserializeOwned> StateField for Value<T> {
    const KIND: StateKind = StateKind::Value;

    fn open(opening: &mut Opening) -> Self {
        opening.next_index();
        let stored = opening.next_value();
        let slots =
            (0..opening.keys).map(|_| Slot { held: Held::Stored, changed: false }).collect();
        let items = Items::new(opening.layout);
        let expiries = if items.expire() { vec![i64::MAX; opening.keys] } else { Vec::new() };
        Self { stored, slots, changed: Vec::new(), key: 0, items, expiries }
    }

    #[inline]
    fn set_now(&mut self, now: Now) {
        self.items.at(now);
    }

    #[inline]
    fn select(&mut self, key: u32) {
        self.key = key;
    }

    fn close(self, written: &mut Vec<Written>) {
        let mut out = Written::default();
        out.keys.reserve(self.changed.len());
        out.items.ends.reserve(self.changed.len());
        // What was stored is a good guess of what will be.
        out.items.data.reserve(self.stored.items.data.len());
        out.present.reserve(self.changed.len().div_ceil(8));
        for &key in &self.changed {
            let Held::Decoded(value) = &self.slots[key as usize].held else { continue };
            // Set and removed within the batch: nothing was stored, so there is nothing to delete.
            if value.is_none() && !is_present(&self.stored.present, key as usize) {
                continue;
            }
            push_presence(&mut out.present, out.keys.len(), value.is_some());
            out.keys.push(key);
            if let Some(value) = value {
                let expiry = self.expiries.get(key as usize).copied().unwrap_or(i64::MAX);
                self.items.write(expiry, value, &mut out.items.data);
            }
            out.items.ends.push(out.items.data.len() as u32);
        }
        written.push(out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Blob;
    use crate::state::Layout;

    fn plain() -> Items<u32> {
        Items::new(Layout::PLAIN)
    }

    fn stored(items: &[Option<u32>]) -> Stored {
        let (mut present, mut blob) = (Vec::new(), Blob::default());
        for (i, item) in items.iter().enumerate() {
            push_presence(&mut present, i, item.is_some());
            blob.push(&item.map(|n| plain().written(&n)).unwrap_or_default());
        }
        Stored { present, items: blob }
    }

    fn close(value: Value<u32>) -> Vec<(u32, Option<u32>)> {
        let mut written = Vec::new();
        value.close(&mut written);
        let out = written.pop().expect("one state");
        (0..out.keys.len())
            .map(|i| {
                (out.keys[i], is_present(&out.present, i).then(|| plain().read(out.items.get(i))))
            })
            .collect()
    }

    #[test]
    fn only_changes_are_written_once_in_order_of_change() {
        let mut opening = Opening::new(4, vec![stored(&[Some(1), None, Some(3), None])]);
        let mut value = Value::<u32>::open(&mut opening);
        value.select(2);
        assert_eq!(value.get(), Some(&3));
        *value.get_or_default() += 1;
        value.select(0);
        assert_eq!(value.get(), Some(&1));
        value.select(2);
        assert_eq!(value.take(), Some(4));
        assert_eq!(value.take(), None);
        value.select(1);
        assert!(!value.is_set());
        value.set(7);
        value.select(3);
        value.set(8);
        value.clear();
        assert_eq!(close(value), [(2, None), (1, Some(7))]);
    }

    #[test]
    fn looking_is_no_change() {
        let mut opening = Opening::new(2, vec![stored(&[None, Some(1)])]);
        let mut value = Value::<u32>::open(&mut opening);
        assert_eq!(value.get_mut(), None);
        assert_eq!(value.take(), None);
        value.select(1);
        assert_eq!(value.get(), Some(&1));
        assert_eq!(close(value), []);
    }

    #[test]
    fn a_value_is_seen_until_it_expires_and_prolonged_by_writes_only() {
        let layout = Layout { name: "v", version: 1, event_ttl_ms: Some(10) };
        let mut timed = Items::new(layout);
        timed.at(Now { event_time: 100, watermark: 0 });
        let mut stored = Stored::default();
        push_presence(&mut stored.present, 0, true);
        stored.items.push(&timed.written(&1u32));
        let mut opening = Opening::new(1, vec![stored]);
        let mut value = Value::<u32>::open(opening.lay_out(layout));
        let at = |event_time, watermark| Now { event_time, watermark };
        value.set_now(at(105, 109));
        assert_eq!(value.get(), Some(&1));
        assert_eq!(value.changed, [0; 0]);
        value.set_now(at(104, 109));
        *value.get_or_default() += 1;
        value.set_now(at(120, 113));
        assert_eq!(value.get(), Some(&2));
        value.set_now(at(120, 114));
        assert_eq!(value.get(), None);
        assert_eq!(value.get_mut(), None);
        assert_eq!(value.take(), None);
        assert_eq!(*value.get_or_default(), 0, "what has expired does not come back");
        value.set(7);
        // Too late to be seen, but not to be written.
        value.set_now(at(104, 114));
        value.set(8);
        assert_eq!(value.get(), None);
        value.set_now(at(121, 114));
        value.set(9);
        let mut written = Vec::new();
        value.close(&mut written);
        assert_eq!(written[0].items.get(0), [&131i64.to_le_bytes()[..], &[1, 9]].concat());
    }

    #[test]
    #[should_panic(expected = "is not a u32")]
    fn bytes_of_another_type_panic() {
        let mut value = Value::<u32>::open(&mut Opening::new(
            1,
            vec![Stored { present: vec![], items: Blob { ends: vec![2], data: vec![1, 0x80] } }],
        ));
        value.get();
    }
}
