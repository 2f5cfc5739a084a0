//! The state of one partition: opening it, the running commit, and value states.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use millstream_core::description::{StateKind, StateSpec, TimerSpec};
use millstream_core::ids::{CommitNumber, LogPoint};

use crate::budget::{Account, Shared};
use crate::catalogue::{Catalogue, State};
use crate::checkpoint::HashCache;
use crate::database::{self, Database};
use crate::error::StateError;
use crate::expiry::{Times, event_expiry, processing_expiry};
use crate::groups::Groups;
use crate::layout;
use crate::ledger::Ledger;
use crate::metrics::Counts;
use crate::positions::LocalState;
use crate::row::{self, Column};
use crate::slots::{LOOKAHEAD, SlotId, Slots};

/// A declared value state: where it is in a row, and how long it lives by processing time.
#[derive(Clone, Copy)]
struct ValueState {
    column: Column,
    ttl_ms: Option<u64>,
}

/// The state of one partition: a write-back cache above a RocksDB database that is made when it is first
/// needed. Used by one thread at a time.
///
/// The owner's protocol, per slice:
/// 1. [`begin`](Self::begin) with the number of the commit that the slice will become;
/// 2. for each call of the guest [`set_watermark`](Self::set_watermark), [`slots`](Self::slots), reads and writes; in the end
///    [`reach`](Self::reach) with the commit's watermark;
/// 3. the commit record is published; meanwhile the next slice may begin;
/// 4. [`acknowledged`](Self::acknowledged) when it is durable;
/// 5. at any time between calls of the guest: [`persist`](Self::persist) and [`trim`](Self::trim).
///
/// A commit that is refused ends the ownership: [`abandon`](Self::abandon) the state. Nothing of an
/// unacknowledged commit ever reaches the database.
pub struct KeyedState {
    pub(crate) dir: PathBuf,
    pub(crate) account: Account,
    pub(crate) catalogue: Catalogue,
    /// The catalogue must go with the next batch.
    pub(crate) catalogue_changed: bool,
    pub(crate) states: Vec<State>,
    /// Ids of the declared timers.
    pub(crate) timers: Vec<u16>,
    values: Vec<ValueState>,
    pub(crate) ledger: Ledger,
    pub(crate) slots: Slots,
    pub(crate) groups: Groups,
    /// Shared with checkpoints that are being taken.
    pub(crate) db: Option<Arc<Database>>,
    /// The newest commit of which something may be in the database.
    pub(crate) newest: LogPoint,
    /// A write failed half-way: memory no longer knows what the database holds.
    pub(crate) failed: bool,
    pub(crate) hands: crate::evict::Hands,
    pub(crate) cleaning: crate::clean::Cleaning,
    pub(crate) hashes: HashCache,
    /// Held while a checkpoint uses the database.
    pub(crate) linking: Arc<Mutex<()>>,
    pub(crate) counts: Counts,
    /// The selected list or map, and whether it expires by the watermark.
    pub(crate) prefix: Vec<u8>,
    pub(crate) by_event_time: bool,
    /// Buffers kept between calls.
    pub(crate) key: Vec<u8>,
    missed: Vec<u32>,
}

impl KeyedState {
    /// Opens the state in `dir` with the states and timers the module declares, in its order. If there is a database in
    /// `dir`, says where it stands; the owner checks both points against the log, begins behind `redo_from`
    /// and redoes every commit at least up to `newest` before reading anything. Otherwise redo starts at the first
    /// commit; the folder is made when it is first needed.
    pub fn open(
        dir: &Path,
        states: &[StateSpec],
        timers: &[TimerSpec],
        shared: &Arc<Shared>,
    ) -> Result<(Self, Option<LocalState>), StateError> {
        let mut ledger = Ledger::new();
        let mut catalogue = Catalogue::new();
        let (mut db, mut local) = (None, None);
        if database::exists(dir) {
            // Nothing may be dropped as expired before the log has told the time.
            let opened = Database::open(dir, shared, ledger.horizon())?;
            if let Some((positions, known)) = opened.anchor()? {
                catalogue = Catalogue::decode(&known, dir)?;
                let times =
                    Times { processing: positions.processing_time, watermark: positions.watermark };
                ledger.resume(positions.redo_from, times);
                local = Some(positions);
            }
            db = Some(Arc::new(opened));
        }
        let mut state = Self {
            dir: dir.to_owned(),
            account: Account::new(shared),
            catalogue,
            catalogue_changed: local.is_none(),
            states: Vec::new(),
            timers: Vec::new(),
            values: Vec::new(),
            ledger,
            slots: Slots::default(),
            groups: Groups::new(),
            db,
            newest: local.map_or(LogPoint::default(), |local: LocalState| local.newest),
            failed: false,
            hands: crate::evict::Hands::default(),
            cleaning: crate::clean::Cleaning::default(),
            hashes: HashCache::default(),
            linking: Arc::default(),
            counts: Counts::default(),
            prefix: Vec::new(),
            by_event_time: false,
            key: Vec::new(),
            missed: Vec::new(),
        };
        state.declare(states, timers)?;
        Ok((state, local))
    }

    /// Switches to the states and timers of another module version, at a commit boundary. What goes by the same name
    /// goes on; what is no longer declared is kept but not reachable. A changed TTL holds for elements written from now on.
    /// Refuses a state of another kind or clock than before, and one that does not read a schema version that may be
    /// kept. On an error nothing has changed.
    pub fn declare(
        &mut self,
        states: &[StateSpec],
        timers: &[TimerSpec],
    ) -> Result<(), StateError> {
        let mut catalogue = self.catalogue.clone();
        let states = catalogue.states(states)?;
        let timers = catalogue.timers(timers)?;
        self.catalogue_changed |= catalogue != self.catalogue;
        self.catalogue = catalogue;
        for column in self.catalogue.event_time_columns() {
            self.ledger.horizon().follow_event_time(column);
        }
        let column =
            |state: &State| Column { index: usize::from(state.id), event_time: state.event_time };
        self.values = states
            .iter()
            .filter(|state| state.kind == StateKind::Value)
            .map(|state| ValueState { column: column(state), ttl_ms: state.ttl_ms })
            .collect();
        self.states = states;
        self.timers = timers;
        Ok(())
    }

    /// The place among the value states of declared state `state` (which counts all kinds); `None` if it is of
    /// another kind or not declared.
    pub fn value_index(&self, state: u16) -> Option<usize> {
        let state = usize::from(state);
        let is_value = |state: &State| state.kind == StateKind::Value;
        is_value(self.states.get(state)?)
            .then(|| self.states[..state].iter().filter(|s| is_value(s)).count())
    }

    /// All writes from now on belong to `commit`, made at `processing_time` (milliseconds since 1970 UTC;
    /// never less than that of the commit before). The same commit may begin again as long as it is
    /// not acknowledged. Redo passes the record's own time.
    ///
    /// Panics when a later commit has begun or this one was acknowledged.
    pub fn begin(&mut self, commit: CommitNumber, processing_time: i64) {
        self.ledger.begin(commit.0, processing_time);
    }

    /// The watermark at the start of the call that comes: what expires by event time at or before it is not seen. A redo
    /// passes that of the commit before the one that is redone.
    pub fn set_watermark(&mut self, watermark: i64) {
        self.ledger.now.watermark = watermark;
    }

    /// The running commit's watermark is at least this. Once the commit is acknowledged, what expires by event time at or
    /// before it may be dropped.
    pub fn reach(&mut self, watermark: i64) {
        self.ledger.reach(watermark);
    }

    /// The commit at `point`, and all before it, are durable in the log. Points that were reported before are ignored.
    pub fn acknowledged(&mut self, point: LogPoint) {
        self.ledger.acknowledge(point);
    }

    /// Finds the slots of `keys`, given with their [`key_hash`](millstream_core::ids::key_hash), and puts one id per key,
    /// in order, into `out` (emptied first). Keys that are not cached are fetched with one sorted multi-get.
    /// Ids stay valid until the next [`trim`](Self::trim). Keys may repeat.
    pub fn slots<'k>(
        &mut self,
        keys: impl IntoIterator<Item = (u64, &'k [u8])>,
        out: &mut Vec<SlotId>,
    ) -> Result<(), StateError> {
        out.clear();
        self.missed.clear();
        let mut keys = keys.into_iter();
        let mut ahead: [(u64, &[u8]); LOOKAHEAD] = [(0, &[]); LOOKAHEAD];
        loop {
            let mut count = 0;
            for (place, key) in ahead.iter_mut().zip(keys.by_ref()) {
                *place = key;
                count += 1;
            }
            self.slots.warm(&ahead[..count]);
            for &(hash, key) in &ahead[..count] {
                let (slot, new) = self.slots.find_or_add(hash, key);
                if new {
                    self.missed.push(slot);
                }
                out.push(SlotId(slot));
            }
            if count < LOOKAHEAD {
                break;
            }
        }
        self.counts.hits += (out.len() - self.missed.len()) as u64;
        self.counts.misses += self.missed.len() as u64;
        if !self.missed.is_empty() && self.db.is_some() && self.catalogue.has_values() {
            let fetched = self.fetch();
            if fetched.is_err() {
                // Empty slots would claim that the keys have no state.
                for slot in self.missed.drain(..) {
                    self.slots.remove(slot);
                }
                out.clear();
            }
            return fetched;
        }
        Ok(())
    }

    /// Loads the missed slots from the database.
    fn fetch(&mut self) -> Result<(), StateError> {
        let Some(db) = &self.db else { return Ok(()) };
        let slots = &mut self.slots;
        self.missed.sort_unstable_by(|&a, &b| slots.get(a).row.key().cmp(slots.get(b).row.key()));
        let buffer = &mut self.key;
        buffer.clear();
        let mut ends = Vec::with_capacity(self.missed.len());
        for &slot in &self.missed {
            buffer.push(layout::VALUES);
            buffer.extend_from_slice(slots.get(slot).row.key());
            ends.push(buffer.len());
        }
        let mut start = 0;
        let keys = ends.iter().map(|&end| &buffer[std::mem::replace(&mut start, end)..end]);
        for (&slot, answer) in self.missed.iter().zip(db.multi_get(keys)) {
            if let Some(cells) = answer? {
                if !row::is_well_formed(&cells) {
                    return Err(db.damaged("a row of value states is malformed"));
                }
                slots.load(slot, &cells);
            }
        }
        Ok(())
    }

    /// The value of the slot's key in value state `index` (counting value states only); `None` if there is none or
    /// it has expired.
    #[inline]
    pub fn value(&self, slot: SlotId, index: usize) -> Option<&[u8]> {
        self.slots.get(slot.0).row.get(self.values[index].column, self.ledger.now)
    }

    /// Sets (`Some`) or removes (`None`) the value of the slot's key in value state `index`.
    #[inline]
    pub fn set_value(&mut self, slot: SlotId, index: usize, value: Option<&[u8]>) {
        let ValueState { column, ttl_ms } = self.values[index];
        if value.is_none() && !self.slots.get(slot.0).row.holds(column.index) {
            return;
        }
        let expiry = processing_expiry(self.ledger.now.processing, ttl_ms);
        let vanish = self.vanishes();
        self.slots.set(slot.0, column.index, value, expiry, &mut self.ledger, vanish);
    }

    /// When an item of a list or map state expires that is written now, by the state's clock.
    pub(crate) fn expiry(&self, state: u16, item: &[u8]) -> i64 {
        let state = &self.states[usize::from(state)];
        if state.event_time {
            event_expiry(item)
        } else {
            processing_expiry(self.ledger.now.processing, state.ttl_ms)
        }
    }

    /// Whether there is neither a database nor anything set aside for one, so that what is removed leaves no trace.
    #[inline]
    pub(crate) fn vanishes(&self) -> bool {
        self.db.is_none() && self.ledger.before_images.is_empty()
    }

    /// Drops the state. The database keeps what was written to it, which is all acknowledged.
    pub fn abandon(self) {}
}

impl Drop for KeyedState {
    /// Waits for a checkpoint that is being linked, so that the folder is free afterwards.
    fn drop(&mut self) {
        self.db = None;
        drop(self.linking.lock().unwrap_or_else(PoisonError::into_inner));
    }
}
