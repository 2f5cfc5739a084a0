//! Keeping the cache within its budget: a second chance for what was used since the clock's hand last passed.

use crate::database::Batch;
use crate::dirty::{Dirt, Unit};
use crate::error::StateError;
use crate::keyed::KeyedState;
use crate::persist::Added;

/// Where the clock's hands stand.
#[derive(Default)]
pub(crate) struct Hands {
    slot: usize,
    element: usize,
    group: usize,
}

/// Bytes of dirty victims that are written together.
const VICTIM_BYTES: usize = 256 << 10;

/// Groups looked at beside one per evicted element.
const GROUPS_LOOKED_AT: u64 = 64;

/// Moves a hand over a circle of `bound` places.
fn advance(hand: &mut usize, bound: usize) -> u32 {
    if *hand >= bound {
        *hand = 0;
    }
    *hand += 1;
    (*hand - 1) as u32
}

impl KeyedState {
    /// Memory of the cache, bytes.
    pub(crate) fn cached_bytes(&self) -> usize {
        self.slots.bytes + self.groups.bytes + self.ledger.queue.len() * 16
    }

    /// Drops what was used least recently if the caches of the process exceed their budget and this one exceeds its
    /// share. What is not in the database is written first, if it is acknowledged, and stays otherwise.
    /// Slot ids end here. To be called after each slice, and from time to time on partitions
    /// that are idle, whose memory others may need.
    pub fn trim(&mut self) -> Result<(), StateError> {
        self.check()?;
        let bytes = self.cached_bytes();
        let excess = self.account.report(bytes);
        if excess == 0 {
            return Ok(());
        }
        self.evict(excess).inspect_err(|_| self.failed = true)?;
        self.account.report(self.cached_bytes());
        Ok(())
    }

    fn evict(&mut self, excess: usize) -> Result<(), StateError> {
        let mut batch = Batch::default();
        // Older content of the victims must reach the database before they do.
        self.add_before_images(&mut batch)?;
        let slots = self.slots.bytes as u128;
        let all = slots + self.groups.bytes as u128;
        let from_slots = (excess as u128 * slots / all.max(1)) as usize;
        self.evict_slots(&mut batch, from_slots)?;
        let before = self.counts.evictions;
        self.evict_elements(&mut batch, excess - from_slots)?;
        self.evict_groups(self.counts.evictions - before + GROUPS_LOOKED_AT);
        if !batch.is_empty() {
            self.write(&mut batch)?;
        }
        Ok(())
    }

    fn evict_slots(&mut self, batch: &mut Batch, excess: usize) -> Result<(), StateError> {
        let wanted = self.slots.bytes.saturating_sub(excess);
        let bound = self.slots.bound();
        // Two rounds: in the first everything may have a second chance.
        for _ in 0..2 * bound {
            if self.slots.bytes <= wanted {
                break;
            }
            let id = advance(&mut self.hands.slot, bound);
            let Some(slot) = self.slots.live(id) else { continue };
            let (dirt, referenced) = (slot.dirt, slot.referenced);
            if referenced {
                self.slots.get_mut(id).referenced = false;
            } else if self.is_evictable(batch, dirt, Unit::Slot(id))? {
                self.slots.remove(id);
                self.counts.evictions += 1;
            }
        }
        Ok(())
    }

    fn evict_elements(&mut self, batch: &mut Batch, excess: usize) -> Result<(), StateError> {
        let wanted = self.groups.bytes.saturating_sub(excess);
        let bound = self.groups.elements.bound();
        for _ in 0..2 * bound {
            if self.groups.bytes <= wanted {
                break;
            }
            let id = advance(&mut self.hands.element, bound);
            let Some(element) = self.groups.elements.get(id) else { continue };
            let (dirt, referenced) = (element.dirt, element.referenced);
            if referenced {
                self.groups.elements[id].referenced = false;
            } else if self.is_evictable(batch, dirt, Unit::Element(id))? {
                self.counts.evictions += 1;
                // A timer is gone once it is written.
                if self.groups.elements.get(id).is_some() {
                    let element = self.groups.remove(id);
                    if element.value.is_some() {
                        self.groups.groups[element.group].complete = false;
                    }
                }
            }
        }
        Ok(())
    }

    /// Drops groups of which nothing is cached, looking at `steps` of them.
    fn evict_groups(&mut self, steps: u64) {
        let bound = self.groups.groups.bound();
        for _ in 0..steps.min(bound as u64) {
            let id = advance(&mut self.hands.group, bound);
            let Some(group) = self.groups.groups.get(id) else { continue };
            let is_held = group.clear.is_dirty() || group.aside > self.ledger.acknowledged;
            if is_held || !group.entries.is_empty() {
                continue;
            }
            if group.referenced {
                self.groups.groups[id].referenced = false;
            } else {
                self.groups.remove_group(id);
            }
        }
    }

    /// Whether the unit may be dropped; one that is dirty and acknowledged is added to the batch for it.
    fn is_evictable(
        &mut self,
        batch: &mut Batch,
        dirt: Dirt,
        unit: Unit,
    ) -> Result<bool, StateError> {
        if !dirt.is_dirty() {
            return Ok(true);
        }
        let Added::Written(bytes) = self.add_unit(batch, dirt.oldest, unit)? else {
            return Ok(false);
        };
        self.counts.persisted_bytes += bytes as u64;
        if batch.bytes() >= VICTIM_BYTES {
            self.write(batch)?;
        }
        Ok(true)
    }
}
