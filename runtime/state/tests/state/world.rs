//! A partition's owner, its log, and the model of its state.

use millstream_core::udf::Limit;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use millstream_core::description::StateKind;
use millstream_core::ids::{CommitHash, CommitNumber, LogPoint, Sequence, key_hash};
use millstream_state::{KeyedState, LocalState, Shared, SlotId, StateError};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::model::{Bytes, Commit, Model, Op, STATES, TIMERS, Ttl, specs};

/// Few keys, so that histories meet; with bytes that could confuse the layout.
pub const KEYS: [&[u8]; 9] = [
    b"",
    b"a",
    b"a\0",
    b"a\0\x01",
    b"a\xff",
    b"b",
    b"bb",
    b"\0",
    b"a rather long key, longer than any inline buffer",
];

/// Where commit `number` lies in the log.
pub fn point(number: u64) -> LogPoint {
    if number == 0 {
        return LogPoint::default();
    }
    let hash = *blake3::hash(&number.to_le_bytes()).as_bytes();
    LogPoint {
        number: CommitNumber(number),
        hash: CommitHash(hash),
        sequence: Sequence(number * 3 + 1),
    }
}

pub struct World {
    pub rng: ChaCha8Rng,
    pub state: KeyedState,
    /// All published commits.
    pub log: Vec<Commit>,
    /// How many of them are acknowledged.
    pub acknowledged: usize,
    /// The model after each commit from `acknowledged` on.
    snapshots: Vec<Model>,
    pub model: Model,
    /// The running commit.
    running: Option<Commit>,
    version: usize,
    /// Where commits are written when they are published.
    pub sink: Option<std::fs::File>,
}

impl World {
    /// A new partition, or one found in `dir` with the log it has so far.
    pub fn open(
        seed: u64,
        dir: &Path,
        shared: &Arc<Shared>,
        log: Vec<Commit>,
    ) -> Result<Self, StateError> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let version = rng.random_range(0..3);
        let (states, timers, _) = specs(version);
        let (state, local) = KeyedState::open(dir, &states, &timers, shared)?;
        let mut world = Self {
            rng,
            state,
            acknowledged: log.len(),
            log,
            snapshots: Vec::new(),
            model: Model::default(),
            running: None,
            version,
            sink: None,
        };
        world.redo(local)?;
        Ok(world)
    }

    /// Brings state and model to the end of the log.
    fn redo(&mut self, local: Option<LocalState>) -> Result<(), StateError> {
        let (mut from, mut newest) = (0, 0);
        if let Some(local) = local {
            (from, newest) = (local.redo_from.number.0, local.newest.number.0);
            assert_eq!(local.redo_from, point(from));
            assert_eq!(local.newest, point(newest));
        }
        assert!(
            from <= newest && newest <= self.log.len() as u64,
            "{from} {newest} {}",
            self.log.len()
        );
        for commit in std::mem::take(&mut self.log) {
            self.model.now = commit.time;
            commit.ops.iter().for_each(|op| self.model.apply(op));
            self.model.watermark = commit.watermark;
            if commit.number > from {
                self.declare(commit.version)?;
                self.state.begin(CommitNumber(commit.number), commit.time);
                // The watermark is still that of the commit before.
                for op in &commit.ops {
                    self.write(op)?;
                }
                self.state.set_watermark(commit.watermark);
                self.state.reach(commit.watermark);
                self.state.acknowledged(point(commit.number));
                self.disturb(10)?;
            }
            self.log.push(commit);
        }
        // As before each call of the guest.
        self.state.set_watermark(self.model.watermark);
        self.snapshots = vec![self.model.clone()];
        Ok(())
    }

    fn declare(&mut self, version: usize) -> Result<(), StateError> {
        if version != self.version {
            self.version = version;
            let (states, timers, _) = specs(version);
            self.state.declare(&states, &timers)?;
        }
        Ok(())
    }

    /// Persists, trims and cleans now and then: one time in `rarity` each.
    fn disturb(&mut self, rarity: u32) -> Result<(), StateError> {
        if self.rng.random_ratio(1, rarity) {
            let budget = self.rng.random_range(0..2000);
            let progress = self.state.persist(budget)?;
            assert!(progress.redo_from.number <= progress.acknowledged.number);
        }
        if self.rng.random_ratio(1, rarity) {
            self.state.trim()?;
        }
        if self.rng.random_ratio(1, rarity) {
            let share = if self.rng.random() { 2000 } else { self.rng.random_range(0..20) };
            self.state.clean(share)?;
        }
        Ok(())
    }

    /// Starts the next commit unless one is running.
    pub fn begin(&mut self) -> Result<(), StateError> {
        if self.running.is_some() {
            return Ok(());
        }
        let time = self.model.now.max(0) + self.rng.random_range(0..8);
        if self.rng.random_ratio(1, 20) {
            let version = self.rng.random_range(0..3);
            self.declare(version)?;
        }
        let number = self.log.len() as u64 + 1;
        self.state.begin(CommitNumber(number), time);
        self.model.now = time;
        let (watermark, version) = (self.model.watermark, self.version);
        self.running = Some(Commit { number, time, watermark, version, ops: Vec::new() });
        Ok(())
    }

    /// Moves the watermark on, between two calls of the guest.
    pub fn advance(&mut self) -> Result<(), StateError> {
        self.begin()?;
        let watermark = self.model.watermark + self.rng.random_range(0..12);
        self.model.watermark = watermark;
        self.state.set_watermark(watermark);
        self.running.as_mut().unwrap().watermark = watermark;
        self.state.reach(watermark);
        Ok(())
    }

    /// Performs a random operation of the running commit.
    pub fn operate(&mut self) -> Result<(), StateError> {
        self.begin()?;
        let op = self.random_op()?;
        self.perform(op)
    }

    /// Performs an operation of the running commit.
    pub fn perform(&mut self, op: Op) -> Result<(), StateError> {
        self.write(&op)?;
        self.model.apply(&op);
        self.running.as_mut().unwrap().ops.push(op);
        Ok(())
    }

    /// Takes back operations of the running commit, which the state has already taken back.
    pub fn truncate(&mut self, ops: usize, model: Model) {
        self.running.as_mut().unwrap().ops.truncate(ops);
        self.model = model;
    }

    /// The number of operations of the running commit.
    pub fn operations(&self) -> usize {
        self.running.as_ref().map_or(0, |commit| commit.ops.len())
    }

    fn bytes(&mut self) -> Bytes {
        let length = if self.rng.random_ratio(1, 8) { 300 } else { 12 };
        let length = self.rng.random_range(0..length);
        (0..length).map(|_| self.rng.random()).collect()
    }

    fn key(&mut self) -> Bytes {
        // The first keys are hot: hardly a commit goes by without them.
        let i = self.rng.random_range(0..KEYS.len());
        KEYS[if self.rng.random_ratio(1, 2) { i % 2 } else { i }].to_vec()
    }

    pub fn random_op(&mut self) -> Result<Op, StateError> {
        let key = self.key();
        let state = self.rng.random_range(0..STATES.len());
        if self.rng.random_ratio(1, 7) {
            let timer = self.rng.random_range(0..TIMERS.len());
            let time = self.rng.random_range(-3..6);
            return Ok(Op::Timer { timer, key, time, set: self.rng.random_ratio(3, 5) });
        }
        let mut value = self.bytes();
        if let Ttl::EventTime(ttl) = STATES[state].2 {
            // Out of order, and now and then too late to be seen at all.
            let event_time = self.model.watermark + self.rng.random_range(-70..20);
            let expiry = event_time + ttl as i64;
            value.splice(..0, expiry.to_le_bytes());
        }
        let write = self.rng.random_ratio(3, 4);
        Ok(match STATES[state].1 {
            StateKind::Value => Op::Value { state, key, value: write.then_some(value) },
            _ if self.rng.random_ratio(1, 12) => Op::Clear { state, key },
            StateKind::Map => {
                let entry = vec![b'e'; self.rng.random_range(0..4)];
                let entry =
                    if self.rng.random_ratio(1, 3) { vec![self.rng.random()] } else { entry };
                Op::Entry { state, key, entry, value: write.then_some(value) }
            }
            StateKind::List => {
                let (_, _, places) = specs(self.version);
                let length = self.model.items(state, &key).len() as u64;
                let index = if write { length } else { self.rng.random_range(0..=length) };
                let position = self.state.list_write(places[state], &key, index, &value)?.unwrap();
                assert_eq!(self.state.list_write(places[state], &key, length + 2, &value)?, None);
                Op::Item { state, key, position, value }
            }
        })
    }

    /// Writes an operation into the state.
    fn write(&mut self, op: &Op) -> Result<(), StateError> {
        let (_, _, places) = specs(self.version);
        match op {
            Op::Value { state, key, value } => {
                let slot = self.slot(key)?;
                let index = self.state.value_index(places[*state]).unwrap();
                self.state.set_value(slot, index, value.as_deref());
            }
            Op::Entry { state, key, entry, value } => {
                self.state.map_write(places[*state], key, entry, value.as_deref())?
            }
            Op::Item { state, key, position, value } => {
                self.state.list_redo(places[*state], key, *position, value)?
            }
            Op::Clear { state, key } => match STATES[*state].1 {
                StateKind::List => self.state.list_clear(places[*state], key)?,
                _ => self.state.map_clear(places[*state], key)?,
            },
            Op::Timer { timer, key, time, set: true } => {
                self.state.set_timer(*timer as u16, key, *time)
            }
            Op::Timer { timer, key, time, set: false } => {
                self.state.delete_timer(*timer as u16, key, *time)
            }
        }
        Ok(())
    }

    fn slot(&mut self, key: &[u8]) -> Result<SlotId, StateError> {
        let mut slots = Vec::new();
        self.state.slots([(key_hash(key), key)], &mut slots)?;
        Ok(slots[0])
    }

    /// Publishes the running commit.
    pub fn publish(&mut self) {
        let Some(commit) = self.running.take() else { return };
        if let Some(sink) = &mut self.sink {
            let mut line = serde_json::to_vec(&commit).unwrap();
            line.push(b'\n');
            sink.write_all(&line).unwrap();
        }
        self.log.push(commit);
        self.snapshots.push(self.model.clone());
    }

    /// Acknowledges the oldest published commit that is not.
    pub fn acknowledge(&mut self) {
        if self.acknowledged < self.log.len() {
            self.acknowledged += 1;
            self.snapshots.remove(0);
            self.state.acknowledged(point(self.acknowledged as u64));
        }
    }

    /// One random step of the owner.
    pub fn step(&mut self) -> Result<(), StateError> {
        match self.rng.random_range(0..11) {
            0..6 => self.operate()?,
            10 => self.advance()?,
            6..8 => {
                // One commit is in flight while the next is computed.
                if self.acknowledged == self.log.len() {
                    self.publish();
                }
            }
            _ => self.acknowledge(),
        }
        self.disturb(12)
    }

    /// Everything the state says agrees with the model.
    pub fn compare(&mut self) -> Result<(), StateError> {
        let (_, _, places) = specs(self.version);
        let all: Vec<_> = KEYS.iter().map(|key| (key_hash(key), *key)).collect();
        let mut slots = Vec::new();
        self.state.slots(all, &mut slots)?;
        for (key, slot) in KEYS.iter().zip(slots) {
            for (state, (name, kind, _)) in STATES.iter().enumerate() {
                let place = places[state];
                let context = format!("{name} of {key:?}");
                match kind {
                    StateKind::Value => {
                        let index = self.state.value_index(place).unwrap();
                        let value = self.state.value(slot, index);
                        assert_eq!(
                            value,
                            self.model.value(state, key).map(|v| &v[..]),
                            "{context}"
                        );
                    }
                    StateKind::Map => {
                        let wanted = self.model.entries(state, key);
                        let skip = self.rng.random_range(0..4usize);
                        let after = wanted.get(skip).map(|(entry, _)| entry.clone());
                        let tail: Vec<_> = wanted.iter().skip(skip + 1).take(2).cloned().collect();
                        if let Some(after) = after {
                            let found =
                                self.state.map_scan(place, key, Some(&after), Limit::items(2))?;
                            assert_eq!(found, tail, "{context} after {after:?}");
                            let value = self.state.map_get(place, key, &after)?;
                            assert_eq!(value, Some(&wanted[skip].1[..]), "{context} at {after:?}");
                        }
                        assert_eq!(
                            self.state.map_scan(place, key, None, Limit::items(1000))?,
                            wanted,
                            "{context}"
                        );
                        assert_eq!(self.state.map_get(place, key, b"no such entry")?, None);
                    }
                    StateKind::List => {
                        let wanted = self.model.items(state, key);
                        assert_eq!(
                            self.state.list_length(place, key)?,
                            wanted.len() as u64,
                            "{context}"
                        );
                        assert_eq!(
                            self.state.list_read(place, key, 0, Limit::items(1000))?,
                            wanted,
                            "{context}"
                        );
                        let part: Vec<_> = wanted.iter().skip(1).take(2).cloned().collect();
                        assert_eq!(
                            self.state.list_read(place, key, 1, Limit::items(2))?,
                            part,
                            "{context}"
                        );
                    }
                }
            }
        }
        let mut timers = std::collections::BTreeSet::new();
        self.state.timers(|timer, key, time| {
            assert!(timers.insert((usize::from(timer), time, key.to_vec())));
        })?;
        assert_eq!(timers, self.model.timers);
        let keys: Vec<Bytes> = self.model.keys().into_iter().collect();
        assert_eq!(self.state.keys(b"", None, 100)?, keys);
        let after: Vec<Bytes> = keys
            .iter()
            .filter(|key| key.starts_with(b"a") && key[..] > b"a\0"[..])
            .take(2)
            .cloned()
            .collect();
        assert_eq!(self.state.keys(b"a", Some(b"a\0"), 2)?, after);
        Ok(())
    }

    /// Ends this ownership. The log that the next owner finds may lack what was published and not acknowledged.
    pub fn crash(mut self) -> Vec<Commit> {
        let kept = self.rng.random_range(self.acknowledged..=self.log.len());
        self.log.truncate(kept);
        self.state.abandon();
        self.log
    }

    /// A seed for what follows this world.
    pub fn next_seed(&mut self) -> u64 {
        self.rng.next_u64()
    }
}
