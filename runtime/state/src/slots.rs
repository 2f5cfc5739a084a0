//! The cache of value states: a hash table of slots, one per key.

use std::hint::black_box;

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use millstream_core::ids::key_hash;

use crate::dirty::{Dirt, Unit};
use crate::layout;
use crate::ledger::{Change, Ledger};
use crate::row::KeyedRow;
use crate::slab::Slab;

/// Place of a key in the cache. Valid until the next [`trim`](crate::KeyedState::trim).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SlotId(pub(crate) u32);

impl SlotId {
    /// Its place in the cache: small and dense, so that callers can keep a table by slot.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// A cached key.
pub(crate) struct Slot {
    pub row: KeyedRow,
    pub dirt: Dirt,
    /// Used since the clock's hand last passed.
    pub referenced: bool,
}

/// Memory of a slot beside its row: itself, and its place in a table that is 7/16 to 7/8 full.
const SLOT_BYTES: usize = size_of::<Slot>() + 8;

impl Slot {
    /// Memory it takes, bytes.
    #[inline]
    pub fn bytes(&self) -> usize {
        SLOT_BYTES + self.row.capacity()
    }

    /// What the database should hold for it.
    pub fn change(&self) -> Change {
        let key = [&[layout::VALUES], self.row.key()].concat();
        match self.row.cells() {
            [] => Change::Delete { key },
            cells => Change::Put { key, value: cells.to_vec() },
        }
    }
}

/// The cached keys.
#[derive(Default)]
pub(crate) struct Slots {
    table: HashTable<u32>,
    slots: Slab<Slot>,
    /// Memory of all slots.
    pub bytes: usize,
}

/// The table takes its tag from a hash's upper bits, of which keys of one partition share some.
#[inline]
fn spread(hash: u64) -> u64 {
    hash.rotate_left(32)
}

/// Keys whose slots are brought into the processor's cache together.
pub(crate) const LOOKAHEAD: usize = 32;
/// A cache smaller than this is taken to be in the processor's own.
const WARM_BYTES: usize = 1 << 20;
/// As far as a row's first touch brings it in.
const LINE: usize = 64;

impl Slots {
    /// Touches the memory of at most [`LOOKAHEAD`] keys' slots. A lookup is a chain of dependent misses; here
    /// those of different keys overlap, which makes the lookups that follow several times faster in a large cache.
    pub fn warm(&self, keys: &[(u64, &[u8])]) {
        if self.bytes < WARM_BYTES {
            return;
        }
        let mut likely = [0; LOOKAHEAD];
        for (likely, (hash, _)) in likely.iter_mut().zip(keys) {
            // Without looking at the key, which would wait for the slot.
            *likely = self.table.find(spread(*hash), |_| true).copied().unwrap_or(u32::MAX);
        }
        let rows =
            || likely[..keys.len()].iter().filter_map(|&i| self.slots.get(i)).map(|slot| &slot.row);
        rows().for_each(|row| {
            black_box(row.capacity());
        });
        rows().for_each(|row| {
            black_box((row.byte(0), row.byte(LINE)));
        });
    }

    /// The slot of a key and whether it is new (and empty).
    #[inline]
    pub fn find_or_add(&mut self, hash: u64, key: &[u8]) -> (u32, bool) {
        let slots = &mut self.slots;
        if let Some(&slot) = self.table.find(spread(hash), |&i| slots[i].row.key() == key) {
            slots[slot].referenced = true;
            return (slot, false);
        }
        (self.add(hash, key), true)
    }

    #[cold]
    fn add(&mut self, hash: u64, key: &[u8]) -> u32 {
        let slot = Slot { row: KeyedRow::new(key), dirt: Dirt::CLEAN, referenced: true };
        self.bytes += slot.bytes();
        let id = self.slots.insert(slot);
        let slots = &self.slots;
        let entry =
            self.table.entry(spread(hash), |_| false, |&i| spread(key_hash(slots[i].row.key())));
        if let Entry::Vacant(vacant) = entry {
            vacant.insert(id);
        }
        id
    }

    /// The slot of a key, if cached.
    pub fn find(&self, key: &[u8]) -> Option<u32> {
        self.table.find(spread(key_hash(key)), |&i| self.slots[i].row.key() == key).copied()
    }

    /// Drops a slot, whatever it holds.
    pub fn remove(&mut self, slot: u32) {
        let hash = spread(key_hash(self.slots[slot].row.key()));
        if let Ok(entry) = self.table.find_entry(hash, |&i| i == slot) {
            entry.remove();
        }
        self.bytes -= self.slots.remove(slot).bytes();
    }

    /// Fills a new slot with what the database holds.
    pub fn load(&mut self, slot: u32, cells: &[u8]) {
        let slot = &mut self.slots[slot];
        self.bytes -= slot.bytes();
        slot.row.load(cells);
        self.bytes += slot.bytes();
    }

    /// Sets or removes a column's value on behalf of the running commit. With `vanish` there is no
    /// database and nothing on its way to one, so a row without values needs no trace.
    #[inline]
    pub fn set(
        &mut self,
        id: u32,
        column: usize,
        value: Option<&[u8]>,
        expiry: i64,
        ledger: &mut Ledger,
        vanish: bool,
    ) {
        let slot = &mut self.slots[id];
        if ledger.needs_before_image(slot.dirt) {
            ledger.set_aside(slot.dirt, slot.change());
            ledger.mark_anew(&mut slot.dirt, Unit::Slot(id));
        }
        let before = slot.bytes();
        slot.row.set(column, value, expiry);
        let after = slot.bytes();
        if slot.dirt.is_dirty() {
            ledger.dirty_bytes = ledger.dirty_bytes + after - before;
        }
        self.bytes = self.bytes + after - before;
        ledger.mark(&mut slot.dirt, Unit::Slot(id), after);
        if vanish && slot.row.cells().is_empty() {
            ledger.dirty_bytes -= after;
            slot.dirt = Dirt::CLEAN;
        }
    }

    /// Declares that the database holds what the slot holds.
    pub fn mark_clean(&mut self, id: u32, ledger: &mut Ledger) {
        let slot = &mut self.slots[id];
        ledger.dirty_bytes -= slot.bytes();
        slot.dirt = Dirt::CLEAN;
    }

    #[inline]
    pub fn get(&self, id: u32) -> &Slot {
        &self.slots[id]
    }

    #[inline]
    pub fn get_mut(&mut self, id: u32) -> &mut Slot {
        &mut self.slots[id]
    }

    /// The slot, if that index is in use.
    pub fn live(&self, id: u32) -> Option<&Slot> {
        self.slots.get(id)
    }

    /// One more than the largest index ever used.
    pub fn bound(&self) -> usize {
        self.slots.bound()
    }

    /// Number of cached keys.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    pub fn iter(&self) -> impl Iterator<Item = &Slot> {
        self.slots.iter()
    }
}
