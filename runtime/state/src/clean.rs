//! Dropping what has expired and nobody reads any more, a bounded share at a time.
//!
//! What is read is found expired there and then, and compactions drop what they come past. That leaves what lies in
//! memory, or in tables that no compaction touches for long. So a hand goes round the cache, and another
//! through the database. Both go by the clocks of the newest acknowledged commit.

use crate::database::Batch;
use crate::dirty::Dirt;
use crate::error::StateError;
use crate::groups::decode;
use crate::keyed::KeyedState;
use crate::ledger::Change;
use crate::row::Left;
use crate::{layout, row};

/// Rows of the database looked at in one go: what it takes to find the place is shared by many.
const ROWS: usize = 1024;

/// Where the cleaning stands.
#[derive(Default)]
pub(crate) struct Cleaning {
    slot: usize,
    element: usize,
    /// The row to go on from; empty: from the first.
    row: Vec<u8>,
    /// Rows of the database that may be looked at.
    owed: usize,
    /// Buffer kept between calls.
    expired: Vec<Change>,
}

/// The next place of a hand on a circle of `bound` places.
fn advance(hand: &mut usize, bound: usize) -> u32 {
    if *hand >= bound {
        *hand = 0;
    }
    *hand += 1;
    (*hand - 1) as u32
}

impl KeyedState {
    /// Looks at about `share` keys, elements and database rows each, and drops of them what had expired when the newest
    /// acknowledged commit was made. To be called now and then between slices; slot ids end here. Costs
    /// nothing while no state has ever had a TTL.
    pub fn clean(&mut self, share: usize) -> Result<(), StateError> {
        self.check()?;
        if !self.catalogue.has_ttl() {
            return Ok(());
        }
        for _ in 0..share.min(self.slots.bound()) {
            let id = advance(&mut self.cleaning.slot, self.slots.bound());
            self.clean_slot(id);
        }
        for _ in 0..share.min(self.groups.elements.bound()) {
            let id = advance(&mut self.cleaning.element, self.groups.elements.bound());
            self.clean_element(id);
        }
        self.cleaning.owed = (self.cleaning.owed + share).min(2 * ROWS);
        if self.db.is_some() && self.cleaning.owed >= ROWS {
            self.cleaning.owed -= ROWS;
            self.clean_rows().inspect_err(|_| self.failed = true)?;
        }
        Ok(())
    }

    /// Whether only acknowledged commits have written it.
    fn is_acknowledged(&self, dirt: Dirt) -> bool {
        !dirt.is_dirty() || dirt.newest <= self.ledger.acknowledged
    }

    fn clean_slot(&mut self, id: u32) {
        let Some(slot) = self.slots.live(id) else { return };
        let (dirt, cells) = (slot.dirt, slot.row.cells());
        if cells.is_empty() || !self.is_acknowledged(dirt) {
            return;
        }
        let left = match row::left(cells, self.ledger.horizon()) {
            Left::All => return,
            Left::Nothing => Vec::new(),
            Left::Cells(cells) => cells,
        };
        self.counts.expired += 1;
        let vanish = self.vanishes();
        if left.is_empty() && (vanish || !dirt.is_dirty()) {
            if dirt.is_dirty() {
                self.slots.mark_clean(id, &mut self.ledger);
            }
            // A row of it in the database is found there.
            self.slots.remove(id);
            return;
        }
        let before = self.slots.get(id).bytes();
        self.slots.load(id, &left);
        if dirt.is_dirty() {
            let after = self.slots.get(id).bytes();
            self.ledger.dirty_bytes = self.ledger.dirty_bytes + after - before;
        }
    }

    fn clean_element(&mut self, id: u32) {
        let Some(element) = self.groups.elements.get(id) else { return };
        let group = &self.groups.groups[element.group];
        let now = self.ledger.horizon().times().of(group.event_time);
        let is_expired = element.value.is_some() && element.expiry <= now && !group.is_timers();
        let is_held = group.aside > self.ledger.acknowledged || !self.is_acknowledged(element.dirt);
        if !is_expired || is_held {
            return;
        }
        self.counts.expired += 1;
        let (dirt, of) = (element.dirt, element.group);
        if dirt.is_dirty() && !self.vanishes() {
            self.groups.erase(id, &mut self.ledger);
            return;
        }
        if dirt.is_dirty() {
            self.groups.mark_clean(id, &mut self.ledger);
        }
        self.groups.remove(id);
        let group = &self.groups.groups[of];
        if group.entries.is_empty() && !group.clear.is_dirty() && self.db.is_none() {
            self.groups.remove_group(of);
        }
    }

    /// Goes through the next rows of the database.
    fn clean_rows(&mut self) -> Result<(), StateError> {
        let Some(db) = self.db.clone() else { return Ok(()) };
        if db.is_stalled() {
            return Ok(());
        }
        let horizon = self.ledger.horizon().clone();
        let expired = &mut self.cleaning.expired;
        let from = std::mem::take(&mut self.cleaning.row);
        let mut rows = db.iterate_all();
        rows.seek(if from.is_empty() { &[layout::VALUES][..] } else { &from });
        for _ in 0..ROWS {
            let Some((key, value)) = rows.item() else { break };
            match key.first() {
                Some(&layout::VALUES) => match row::left(value, &horizon) {
                    Left::All => {}
                    Left::Nothing => expired.push(Change::Delete { key: key.to_vec() }),
                    Left::Cells(value) => expired.push(Change::Put { key: key.to_vec(), value }),
                },
                Some(&layout::ELEMENTS) => {
                    let stored = decode(value);
                    if stored.is_some_and(|s| s.expiry <= horizon.times().of(s.event_time)) {
                        expired.push(Change::Delete { key: key.to_vec() });
                    }
                }
                // Timers come last and expire by firing.
                _ => break,
            }
            rows.next();
        }
        match rows.key() {
            Some(key) if key[0] < layout::TIMERS => self.cleaning.row = key.to_vec(),
            _ => {}
        }
        db.check(&rows)?;
        drop(rows);
        let mut batch = Batch::default();
        self.counts.expired += self.cleaning.expired.len() as u64;
        for change in self.cleaning.expired.drain(..) {
            batch.add(&db, &change)?;
        }
        if !batch.is_empty() {
            self.write(&mut batch)?;
        }
        Ok(())
    }
}
