//! The cache of lists, maps and timers by element.
//!
//! A *group* is one list or map of one key (a list's head is the element with the empty entry key), or all
//! timers of the partition. A group is *complete* when the cache alone knows all of it: because it was
//! cleared, because all of it was read, or because there is no database.

use std::collections::BTreeMap;
use std::sync::Arc;

use hashbrown::HashTable;
use millstream_core::ids::key_hash;

use crate::dirty::{Dirt, Unit};
use crate::expiry::NEVER;
use crate::layout;
use crate::ledger::{Change, Ledger};
use crate::slab::Slab;

/// A cached list head, list item, map entry or timer.
pub(crate) struct Element {
    pub group: u32,
    pub entry: Arc<[u8]>,
    /// `None`: known not to exist.
    pub value: Option<Box<[u8]>>,
    /// From this time of its group's clock on it is absent.
    pub expiry: i64,
    pub dirt: Dirt,
    pub referenced: bool,
}

/// Memory of an element beside entry and value: itself, the counted allocation of its entry key, its place in the tree.
const ELEMENT_BYTES: usize = size_of::<Element>() + 16 + 32;

impl Element {
    pub fn bytes(&self) -> usize {
        ELEMENT_BYTES + self.entry.len() + self.value.as_ref().map_or(0, |value| value.len())
    }

    /// The value, unless it is absent at `now` of its group's clock.
    pub fn live(&self, now: i64) -> Option<&[u8]> {
        if self.expiry <= now { None } else { self.value.as_deref() }
    }

    /// What the database should hold for it.
    pub fn change(&self, group: &Group) -> Change {
        let key = [&group.prefix, &self.entry[..]].concat();
        match &self.value {
            None => Change::Delete { key },
            Some(value) => Change::Put { key, value: encode(value, self.expiry, group.event_time) },
        }
    }
}

/// A list or map of one key, or all timers.
pub(crate) struct Group {
    /// What its rows in the database start with.
    pub prefix: Box<[u8]>,
    /// Its elements expire by the watermark.
    pub event_time: bool,
    /// Its cached elements by entry key.
    pub entries: BTreeMap<Arc<[u8]>, u32>,
    /// A clear that the database has not seen: what it holds of the group is void. Implies `complete`.
    pub clear: Dirt,
    /// The commit that must be acknowledged before a clear that was set aside, and all behind it, reaches the database:
    /// until then nothing of the group may go there or leave the cache.
    pub aside: u64,
    /// What is not cached does not exist.
    pub complete: bool,
    pub referenced: bool,
}

/// Memory of a group beside its prefix and elements.
const GROUP_BYTES: usize = size_of::<Group>() + 8;
/// What a pending clear counts for.
const CLEAR_BYTES: usize = 64;

impl Group {
    fn bytes(&self) -> usize {
        GROUP_BYTES + self.prefix.len()
    }

    /// Whether its elements are timers, which are not worth caching once persisted.
    pub fn is_timers(&self) -> bool {
        *self.prefix == [layout::TIMERS]
    }
}

/// What a database row of an element begins with.
mod mark {
    /// The value follows, and stays for ever.
    pub const STAYS: u8 = 0;
    /// Processing time of its expiry (i64 LE), and the value.
    pub const PROCESSING_TIME: u8 = 1;
    /// The value, whose own first 8 bytes are the event time of its expiry.
    pub const EVENT_TIME_WITHIN: u8 = 2;
    /// Event time of its expiry (i64 LE), and the value: a list's head.
    pub const EVENT_TIME: u8 = 3;
}

/// A database row of an element, which [`decode`] reads.
pub(crate) fn encode(value: &[u8], expiry: i64, event_time: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(9 + value.len());
    let within = event_time && value.starts_with(&expiry.to_le_bytes());
    out.push(match (event_time, within) {
        (true, true) => mark::EVENT_TIME_WITHIN,
        (true, false) => mark::EVENT_TIME,
        (false, _) if expiry == NEVER => mark::STAYS,
        (false, _) => mark::PROCESSING_TIME,
    });
    if matches!(out[0], mark::PROCESSING_TIME | mark::EVENT_TIME) {
        out.extend_from_slice(&expiry.to_le_bytes());
    }
    out.extend_from_slice(value);
    out
}

/// An element as the database holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stored<'r> {
    pub value: &'r [u8],
    pub expiry: i64,
    /// Whether it expires by the watermark.
    pub event_time: bool,
}

/// Reads a row that [`encode`] wrote. `None` when it is malformed.
pub(crate) fn decode(row: &[u8]) -> Option<Stored<'_>> {
    let (&first, rest) = row.split_first()?;
    let event_time = matches!(first, mark::EVENT_TIME_WITHIN | mark::EVENT_TIME);
    let (value, expiry) = match first {
        mark::STAYS => (rest, NEVER),
        mark::PROCESSING_TIME | mark::EVENT_TIME => {
            let (expiry, value) = rest.split_first_chunk::<8>()?;
            (value, i64::from_le_bytes(*expiry))
        }
        mark::EVENT_TIME_WITHIN => (rest, i64::from_le_bytes(*rest.first_chunk()?)),
        _ => return None,
    };
    Some(Stored { value, expiry, event_time })
}

/// How to take back one write.
enum Undo {
    /// `complete`: whether the group was.
    Put {
        group: u32,
        entry: Arc<[u8]>,
        before: Option<Element>,
        complete: bool,
    },
    Clear {
        group: u32,
        clear: Dirt,
        complete: bool,
        elements: Vec<Element>,
    },
}

/// The cached groups.
pub(crate) struct Groups {
    table: HashTable<u32>,
    pub groups: Slab<Group>,
    pub elements: Slab<Element>,
    /// Memory of all groups and elements.
    pub bytes: usize,
    /// Writes of the running call, while it may still be dropped.
    undo: Option<Vec<Undo>>,
}

impl Groups {
    pub fn new() -> Self {
        Self {
            table: HashTable::new(),
            groups: Slab::default(),
            elements: Slab::default(),
            bytes: 0,
            undo: None,
        }
    }

    pub fn find(&mut self, prefix: &[u8]) -> Option<u32> {
        let id = self.peek(prefix)?;
        self.groups[id].referenced = true;
        Some(id)
    }

    /// As [`find`](Self::find), without counting as a use.
    pub fn peek(&self, prefix: &[u8]) -> Option<u32> {
        self.table.find(key_hash(prefix), |&g| *self.groups[g].prefix == *prefix).copied()
    }

    /// A group that is new expires by the watermark if `event_time` says so.
    pub fn find_or_add(&mut self, prefix: &[u8], event_time: bool, complete: bool) -> u32 {
        if let Some(id) = self.find(prefix) {
            return id;
        }
        let group = Group {
            prefix: prefix.into(),
            event_time,
            entries: BTreeMap::new(),
            clear: Dirt::CLEAN,
            aside: 0,
            complete,
            referenced: true,
        };
        self.bytes += group.bytes();
        let id = self.groups.insert(group);
        let groups = &self.groups;
        self.table.insert_unique(key_hash(prefix), id, |&g| key_hash(&groups[g].prefix));
        id
    }

    /// The cached element, present or known absent.
    pub fn lookup(&mut self, group: u32, entry: &[u8]) -> Option<u32> {
        let id = *self.groups[group].entries.get(entry)?;
        self.elements[id].referenced = true;
        Some(id)
    }

    /// Caches what the database holds.
    pub fn cache(&mut self, group: u32, entry: &[u8], value: Option<(&[u8], i64)>) -> u32 {
        self.insert(Element {
            group,
            entry: entry.into(),
            value: value.map(|(value, _)| value.into()),
            expiry: value.map_or(NEVER, |(_, expiry)| expiry),
            dirt: Dirt::CLEAN,
            referenced: true,
        })
    }

    fn insert(&mut self, element: Element) -> u32 {
        self.bytes += element.bytes();
        let (group, entry) = (element.group, element.entry.clone());
        let id = self.elements.insert(element);
        self.groups[group].entries.insert(entry, id);
        id
    }

    /// Takes an element out of the cache; the group's `complete` is the caller's concern.
    pub fn remove(&mut self, id: u32) -> Element {
        let element = self.elements.remove(id);
        self.bytes -= element.bytes();
        self.groups[element.group].entries.remove(&element.entry);
        element
    }

    /// Sets or removes an element on behalf of the running commit. `vanish`: see
    /// [`Slots::set`](crate::slots::Slots::set).
    pub fn put(
        &mut self,
        group: u32,
        entry: &[u8],
        value: Option<&[u8]>,
        expiry: i64,
        ledger: &mut Ledger,
        vanish: bool,
    ) {
        self.set_group_aside(group, ledger);
        let id = match self.lookup(group, entry) {
            Some(id) => id,
            None if value.is_none() && self.groups[group].complete => return,
            None => {
                let id = self.cache(group, entry, None);
                self.log_put(id, true);
                return self.write(id, value, expiry, ledger, vanish);
            }
        };
        self.log_put(id, false);
        self.write(id, value, expiry, ledger, vanish);
    }

    fn write(
        &mut self,
        id: u32,
        value: Option<&[u8]>,
        expiry: i64,
        ledger: &mut Ledger,
        vanish: bool,
    ) {
        let element = &mut self.elements[id];
        if ledger.needs_before_image(element.dirt) {
            ledger.set_aside(element.dirt, element.change(&self.groups[element.group]));
            ledger.mark_anew(&mut element.dirt, Unit::Element(id));
        }
        let before = element.bytes();
        match (&mut element.value, value) {
            (Some(old), Some(new)) if old.len() == new.len() => old.copy_from_slice(new),
            (old, new) => *old = new.map(Into::into),
        }
        element.expiry = expiry;
        let after = element.bytes();
        if element.dirt.is_dirty() {
            ledger.dirty_bytes = ledger.dirty_bytes + after - before;
        }
        self.bytes = self.bytes + after - before;
        ledger.mark(&mut element.dirt, Unit::Element(id), after);
        if vanish && value.is_none() {
            ledger.dirty_bytes -= after;
            self.remove(id);
        }
    }

    /// Removes all elements on behalf of the running commit.
    pub fn clear(&mut self, group: u32, ledger: &mut Ledger, vanish: bool) {
        self.set_group_aside(group, ledger);
        let before = (self.groups[group].clear, self.groups[group].complete);
        let mut oldest = if before.0.is_dirty() { before.0.oldest } else { ledger.current };
        let ids: Vec<u32> = self.groups[group].entries.values().copied().collect();
        let mut elements = Vec::new();
        for id in ids {
            let element = self.remove(id);
            if element.dirt.is_dirty() {
                ledger.dirty_bytes -= element.bytes();
                if ledger.needs_before_image(element.dirt) {
                    ledger.set_aside(element.dirt, element.change(&self.groups[group]));
                } else {
                    // The clear stands for the writes it voids.
                    oldest = oldest.min(element.dirt.oldest);
                }
            }
            if self.undo.is_some() {
                elements.push(element);
            }
        }
        let it = &mut self.groups[group];
        it.complete = true;
        // Setting an element aside may just have ended the time when nothing was on its way to a database.
        if !vanish || !ledger.before_images.is_empty() {
            if !it.clear.is_dirty() {
                ledger.dirty_bytes += CLEAR_BYTES;
            }
            it.clear = Dirt { newest: ledger.current, oldest };
            ledger.queue.push(oldest, Unit::Clear(group));
        }
        if let Some(undo) = &mut self.undo {
            undo.push(Undo::Clear { group, clear: before.0, complete: before.1, elements });
        }
    }

    /// Sets a pending clear aside, with all that was written behind it: the clear must not reach
    /// the database later than those.
    fn set_group_aside(&mut self, group: u32, ledger: &mut Ledger) {
        let it = &mut self.groups[group];
        if !ledger.needs_before_image(it.clear) {
            return;
        }
        let dirty = || {
            it.entries
                .values()
                .map(|&id| &self.elements[id])
                .filter(|element| element.dirt.is_dirty())
        };
        let newest = dirty().map(|element| element.dirt.newest).fold(it.clear.newest, u64::max);
        if newest >= ledger.current {
            return;
        }
        let whole = Dirt { newest, oldest: it.clear.oldest };
        ledger.set_aside(whole, Change::Clear { prefix: it.prefix.to_vec() });
        for element in dirty() {
            ledger.set_aside(Dirt { newest, oldest: element.dirt.oldest }, element.change(it));
        }
        it.clear = Dirt::CLEAN;
        it.aside = newest;
        ledger.dirty_bytes -= CLEAR_BYTES;
    }

    /// Makes an element that has expired one that the database is to forget: its writes are no news any more.
    pub fn erase(&mut self, id: u32, ledger: &mut Ledger) {
        let element = &mut self.elements[id];
        let before = element.bytes();
        element.value = None;
        element.expiry = NEVER;
        let after = element.bytes();
        if element.dirt.is_dirty() {
            ledger.dirty_bytes = ledger.dirty_bytes + after - before;
        }
        self.bytes = self.bytes + after - before;
    }

    /// Declares that the database holds what the element holds.
    pub fn mark_clean(&mut self, id: u32, ledger: &mut Ledger) {
        let element = &mut self.elements[id];
        ledger.dirty_bytes -= element.bytes();
        element.dirt = Dirt::CLEAN;
        let group = &mut self.groups[element.group];
        if group.is_timers() {
            group.complete = false;
            self.remove(id);
        }
    }

    /// Declares that the database has seen the group's clear.
    pub fn mark_cleared(&mut self, group: u32, ledger: &mut Ledger) {
        ledger.dirty_bytes -= CLEAR_BYTES;
        self.groups[group].clear = Dirt::CLEAN;
    }

    /// Drops a group without elements and pending clear.
    pub fn remove_group(&mut self, id: u32) {
        let hash = key_hash(&self.groups[id].prefix);
        if let Ok(entry) = self.table.find_entry(hash, |&g| g == id) {
            entry.remove();
        }
        self.bytes -= self.groups.remove(id).bytes();
    }

    /// Starts to remember how to take back writes.
    pub fn begin_call(&mut self) {
        self.undo = Some(Vec::new());
    }

    /// Forgets how.
    pub fn keep_call(&mut self) {
        self.undo = None;
    }

    /// Takes back all writes since [`begin_call`](Self::begin_call).
    pub fn drop_call(&mut self, ledger: &mut Ledger) {
        for undo in self.undo.take().into_iter().flatten().rev() {
            match undo {
                Undo::Put { group, entry, before, complete } => {
                    if let Some(&id) = self.groups[group].entries.get(&entry) {
                        self.forget(id, ledger);
                    }
                    match before {
                        Some(element) => self.bring_back(element, ledger),
                        // A scan may since have completed the group around the element that is gone now.
                        None => self.groups[group].complete = complete,
                    }
                }
                Undo::Clear { group, clear, complete, elements } => {
                    let it = &mut self.groups[group];
                    ledger.dirty_bytes += if clear.is_dirty() { CLEAR_BYTES } else { 0 };
                    ledger.dirty_bytes -= if it.clear.is_dirty() { CLEAR_BYTES } else { 0 };
                    it.clear = clear;
                    it.complete = complete;
                    if clear.is_dirty() {
                        ledger.queue.push(clear.oldest, Unit::Clear(group));
                    }
                    for element in elements {
                        self.bring_back(element, ledger);
                    }
                }
            }
        }
    }

    fn log_put(&mut self, id: u32, new: bool) {
        let Some(undo) = &mut self.undo else { return };
        let element = &self.elements[id];
        let before = (!new).then(|| Element {
            group: element.group,
            entry: element.entry.clone(),
            value: element.value.clone(),
            expiry: element.expiry,
            dirt: element.dirt,
            referenced: true,
        });
        let complete = self.groups[element.group].complete;
        undo.push(Undo::Put {
            group: element.group,
            entry: element.entry.clone(),
            before,
            complete,
        });
    }

    fn forget(&mut self, id: u32, ledger: &mut Ledger) {
        let element = self.remove(id);
        if element.dirt.is_dirty() {
            ledger.dirty_bytes -= element.bytes();
        }
    }

    fn bring_back(&mut self, element: Element, ledger: &mut Ledger) {
        let (dirt, bytes) = (element.dirt, element.bytes());
        let id = self.insert(element);
        if dirt.is_dirty() {
            ledger.dirty_bytes += bytes;
            ledger.queue.push(dirt.oldest, Unit::Element(id));
        }
    }
}
