//! Writing acknowledged state to the database, oldest first, in bounded steps.

use millstream_core::ids::LogPoint;

use crate::database::{Batch, Database};
use crate::dirty::Unit;
use crate::error::StateError;
use crate::keyed::KeyedState;
use crate::ledger::Change;
use crate::positions::LocalState;

/// A batch is written when it has grown to this.
const BATCH_BYTES: usize = 512 << 10;
/// Units that cannot be written yet and are passed over in one call.
const PASSED_OVER_MAX: usize = 16 << 10;

/// What a step of persisting did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Bytes given to the database.
    pub written_bytes: usize,
    /// Memory that is still not in the database, acknowledged or not.
    pub dirty_bytes: usize,
    /// The last commit all of whose effects are in the database.
    pub redo_from: LogPoint,
    /// The newest acknowledged commit.
    pub acknowledged: LogPoint,
    /// Nothing was left that may be written now.
    pub done: bool,
    /// The database is behind with its flushes and compactions and was spared: come back later.
    pub stalled: bool,
}

impl KeyedState {
    /// Writes acknowledged state to the database, what has waited longest first, until about `budget_bytes` are written.
    /// Makes the database if there is something to write.
    ///
    /// May be called at any time between calls of the guest, also while a commit is in flight and the next slice
    /// is being computed. What an unacknowledged commit wrote last is passed over; the next commit that overwrites it
    /// leaves its old content to a later call. So keys that every commit writes hold `redo_from` back
    /// by two calls at most, provided that commits go on or are acknowledged between them. Does not wait for a
    /// database that is behind.
    pub fn persist(&mut self, budget_bytes: usize) -> Result<Progress, StateError> {
        self.check()?;
        let stalled = self.db.as_ref().is_some_and(|db| db.is_stalled());
        let mut written = 0;
        let done = !stalled && self.persist_counted(budget_bytes, &mut written)?;
        Ok(Progress {
            written_bytes: written,
            dirty_bytes: self.ledger.dirty_bytes,
            redo_from: self.redo_from(),
            acknowledged: self.ledger.acknowledged_point(),
            done,
            stalled,
        })
    }

    /// Persists everything acknowledged and records where the database then stands, however long it takes.
    pub(crate) fn persist_all(&mut self) -> Result<(), StateError> {
        self.check()?;
        self.persist_counted(usize::MAX, &mut 0)?;
        self.write(&mut Batch::default()).inspect_err(|_| self.failed = true)
    }

    fn persist_counted(&mut self, budget: usize, written: &mut usize) -> Result<bool, StateError> {
        let done = self.persist_steps(budget, written).inspect_err(|_| self.failed = true)?;
        self.counts.persisted_bytes += *written as u64;
        Ok(done)
    }

    /// The last commit all of whose effects are in the database (or that had none); number 0 before the first.
    pub fn redo_from(&mut self) -> LogPoint {
        let (slots, groups) = (&self.slots, &self.groups);
        self.ledger.redo_from(|oldest, unit| {
            let dirt = match unit {
                Unit::Slot(i) => slots.live(i).map(|slot| slot.dirt),
                Unit::Element(i) => groups.elements.get(i).map(|element| element.dirt),
                Unit::Clear(i) => groups.groups.get(i).map(|group| group.clear),
            };
            dirt.is_some_and(|dirt| dirt.oldest == oldest)
        })
    }

    pub(crate) fn check(&self) -> Result<(), StateError> {
        if self.failed { Err(StateError::Failed { dir: self.dir.clone() }) } else { Ok(()) }
    }

    /// The database, made now if there is none.
    pub(crate) fn database(&mut self) -> Result<&Database, StateError> {
        if self.db.is_none() {
            let shared = self.account.shared().clone();
            self.db = Some(Database::open(&self.dir, &shared, self.ledger.horizon())?.into());
        }
        Ok(self.db.as_ref().expect("opened above"))
    }

    fn persist_steps(&mut self, budget: usize, written: &mut usize) -> Result<bool, StateError> {
        let mut batch = Batch::default();
        let mut passed_over = Vec::new();
        *written += self.add_before_images(&mut batch)?;
        let mut done = true;
        while let Some((oldest, unit)) = self.ledger.queue.peek() {
            if oldest > self.ledger.acknowledged || passed_over.len() >= PASSED_OVER_MAX {
                break;
            }
            if *written >= budget {
                done = false;
                break;
            }
            self.ledger.queue.pop();
            match self.add_unit(&mut batch, oldest, unit)? {
                Added::Written(bytes) => *written += bytes,
                Added::NotYet => passed_over.push((oldest, unit)),
                Added::Stale => {}
            }
            if batch.bytes() >= BATCH_BYTES {
                self.requeue(&mut passed_over);
                self.write(&mut batch)?;
            }
        }
        self.requeue(&mut passed_over);
        if !batch.is_empty() {
            self.write(&mut batch)?;
        }
        Ok(done)
    }

    /// Puts back units that could not be written and has them set aside when they are next overwritten.
    fn requeue(&mut self, passed_over: &mut Vec<(u64, Unit)>) {
        for (oldest, unit) in passed_over.drain(..) {
            self.ledger.raise_threshold(oldest);
            self.ledger.queue.push(oldest, unit);
        }
    }

    /// Adds everything set aside whose commit is acknowledged, in the order in which it was set aside.
    pub(crate) fn add_before_images(&mut self, batch: &mut Batch) -> Result<usize, StateError> {
        let acknowledged = self.ledger.acknowledged;
        if !self.ledger.before_images.iter().any(|image| image.newest <= acknowledged) {
            return Ok(0);
        }
        self.database()?;
        let mut bytes = 0;
        let mut images = std::mem::take(&mut self.ledger.before_images);
        for image in images.extract_if(.., |image| image.newest <= acknowledged) {
            bytes += image.change.bytes();
            self.add(batch, &image.change)?;
        }
        self.ledger.before_images = images;
        Ok(bytes)
    }

    fn add(&self, batch: &mut Batch, change: &Change) -> Result<(), StateError> {
        let db = self.db.as_ref().expect("there is a database when something is written");
        batch.add(db, change)
    }

    /// Adds a unit and marks it clean, if it is still dirty since `oldest` and acknowledged.
    pub(crate) fn add_unit(
        &mut self,
        batch: &mut Batch,
        oldest: u64,
        unit: Unit,
    ) -> Result<Added, StateError> {
        let acknowledged = self.ledger.acknowledged;
        let (dirt, change) = match unit {
            Unit::Slot(i) => match self.slots.live(i) {
                Some(slot) if slot.dirt.oldest == oldest => (slot.dirt, slot.change()),
                _ => return Ok(Added::Stale),
            },
            Unit::Element(i) => match self.groups.elements.get(i) {
                Some(element) if element.dirt.oldest == oldest => {
                    let group = element.group;
                    if self.groups.groups[group].aside > acknowledged {
                        return Ok(Added::NotYet);
                    }
                    let change = element.change(&self.groups.groups[group]);
                    let dirt = element.dirt;
                    if dirt.newest <= acknowledged {
                        // The clear came before the element was written, so it is acknowledged too.
                        self.add_clear(batch, group)?;
                    }
                    (dirt, change)
                }
                _ => return Ok(Added::Stale),
            },
            Unit::Clear(i) => match self.groups.groups.get(i) {
                Some(group) if group.clear.oldest == oldest => {
                    if group.clear.newest > acknowledged {
                        return Ok(Added::NotYet);
                    }
                    return Ok(Added::Written(self.add_clear(batch, i)?));
                }
                _ => return Ok(Added::Stale),
            },
        };
        if dirt.newest > acknowledged {
            return Ok(Added::NotYet);
        }
        self.database()?;
        self.add(batch, &change)?;
        match unit {
            Unit::Slot(i) => self.slots.mark_clean(i, &mut self.ledger),
            Unit::Element(i) => self.groups.mark_clean(i, &mut self.ledger),
            Unit::Clear(_) => {}
        }
        Ok(Added::Written(change.bytes()))
    }

    /// Adds a group's pending clear, if there is one.
    fn add_clear(&mut self, batch: &mut Batch, group: u32) -> Result<usize, StateError> {
        if !self.groups.groups[group].clear.is_dirty() {
            return Ok(0);
        }
        self.database()?;
        let change = Change::Clear { prefix: self.groups.groups[group].prefix.to_vec() };
        self.add(batch, &change)?;
        self.groups.mark_cleared(group, &mut self.ledger);
        Ok(change.bytes())
    }

    /// Writes a batch together with where the database then stands.
    pub(crate) fn write(&mut self, batch: &mut Batch) -> Result<(), StateError> {
        let acknowledged = self.ledger.acknowledged_point();
        if acknowledged.number > self.newest.number {
            self.newest = acknowledged;
        }
        let times = self.ledger.horizon().times();
        let positions = LocalState {
            redo_from: self.redo_from(),
            newest: self.newest,
            processing_time: times.processing,
            watermark: times.watermark,
        };
        let catalogue = self.catalogue_changed.then(|| self.catalogue.encode());
        batch.write(self.database()?, &positions, catalogue.as_deref())?;
        self.catalogue_changed = false;
        Ok(())
    }
}

/// What became of a unit taken from the queue.
pub(crate) enum Added {
    /// It is in the batch; bytes.
    Written(usize),
    /// An unacknowledged commit wrote it last.
    NotYet,
    /// It was written or dropped before.
    Stale,
}
