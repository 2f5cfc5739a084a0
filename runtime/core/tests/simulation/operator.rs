//! The operator of the simulation: a keyed count with a list, timers and dead
//! letters, above a database that keeps only what was flushed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use millstream_core::commit::CommitRecord;
use millstream_core::delta::DeltaOp;
use millstream_core::ids::{CommitNumber, LogPoint, Sequence, SourceId, WATERMARK_MIN};
use millstream_core::incident::Incident;
use millstream_core::outputs::DEAD_LETTER;
use millstream_core::partition::{Computed, Halt, Operator};
use millstream_core::recovery::LocalState;
use millstream_core::slice::{Call, CallKind, Failure, FailureCause, Run, Slice, SourcePosition};
use millstream_core::timers::TimerQueue;
use millstream_core::watermark::Generator;
use millstream_core::wire::{Reader, put_varint};

use crate::faults::Bug;
use crate::reference::{self, BOUND_MS, KeyState, LIFE_MS};
use crate::rng::Rng;
use crate::servers::source::Record;

/// What one record or timer adds to a slice at most.
const INPUT_BYTES_MAX: usize = 400;

/// State of a key, element by element.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    value: Option<Vec<u8>>,
    list: BTreeMap<u64, Vec<u8>>,
    timers: BTreeSet<i64>,
}

/// What a database holds, and what it says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Database {
    pub entries: BTreeMap<Vec<u8>, Entry>,
    pub local: LocalState,
}

#[derive(Clone, Debug, Default)]
struct Cached {
    entry: Entry,
    /// The first commit whose effect the database lacks.
    dirty_since: Option<CommitNumber>,
    /// The newest commit that changed it.
    newest: CommitNumber,
}

/// What the reader hands to the operator.
#[derive(Clone, Debug)]
pub enum Input {
    Record { position: SourcePosition, record: Record, own: bool },
    Scanned(SourcePosition),
}

#[derive(Debug)]
pub struct CountOperator {
    pub queue: VecDeque<Input>,
    /// The database as this process sees it; what a crash leaves is in the world.
    pub database: Database,
    cache: BTreeMap<Vec<u8>, Cached>,
    timers: TimerQueue,
    generator: Generator,
    acknowledged: LogPoint,
    points: BTreeMap<CommitNumber, LogPoint>,
    rng: Rng,
    bug: Option<Bug>,
    pub wiped: u32,
}

impl CountOperator {
    pub fn open(database: Database, rng: Rng, bug: Option<Bug>) -> Self {
        let mut operator = Self {
            queue: VecDeque::new(),
            database: Database::default(),
            cache: BTreeMap::new(),
            timers: TimerQueue::default(),
            generator: Generator::resume(BOUND_MS, WATERMARK_MIN),
            acknowledged: LogPoint::default(),
            points: BTreeMap::new(),
            rng,
            bug,
            wiped: 0,
        };
        operator.restore(database);
        operator
    }

    /// Uses a database, as found on the node or in a checkpoint.
    pub fn restore(&mut self, database: Database) {
        self.cache.clear();
        self.timers.clear();
        self.points.clear();
        for (key, entry) in &database.entries {
            entry.timers.iter().for_each(|&time| {
                self.timers.set(time, key, 0);
            });
            self.cache.insert(key.clone(), Cached { entry: entry.clone(), ..Cached::default() });
        }
        self.acknowledged = database.local.redo_from;
        self.points.insert(self.acknowledged.number, self.acknowledged);
        self.points.insert(database.local.newest.number, database.local.newest);
        self.database = database;
    }

    /// Writes some entries (or all that may be written) to the database, in one batch with what it
    /// says of itself.
    pub fn persist(&mut self, all: bool) {
        let unacknowledged = self.bug == Some(Bug::UnacknowledgedPersisted);
        for (key, cached) in &mut self.cache {
            let may = cached.newest <= self.acknowledged.number || unacknowledged;
            if cached.dirty_since.is_none() || !may || !(all || self.rng.chance(500)) {
                continue;
            }
            cached.dirty_since = None;
            self.database.entries.insert(key.clone(), cached.entry.clone());
            if let Some(&point) = self.points.get(&cached.newest)
                && point.number > self.database.local.newest.number
            {
                self.database.local.newest = point;
            }
        }
        let oldest_dirty = self.cache.values().filter_map(|cached| cached.dirty_since).min();
        let complete = match oldest_dirty {
            Some(oldest) => self.acknowledged.number.min(CommitNumber(oldest.0 - 1)),
            None => self.acknowledged.number,
        };
        if let Some(&point) = self.points.get(&complete)
            && point.number >= self.database.local.redo_from.number
        {
            self.database.local.redo_from = point;
            self.points = self.points.split_off(&complete);
        }
        let local = &mut self.database.local;
        if local.newest.number < local.redo_from.number {
            local.newest = local.redo_from;
        }
        if self.bug == Some(Bug::RedoFromTooNew) {
            local.redo_from = local.newest;
        }
    }

    /// The state, for comparison.
    pub fn state(&self) -> BTreeMap<Vec<u8>, KeyState> {
        let decode = |cached: &Cached| KeyState {
            value: cached.entry.value.as_deref().map(decode_value),
            list: cached
                .entry
                .list
                .values()
                .map(|item| Reader::new(item).varint().unwrap())
                .collect(),
            timers: cached.entry.timers.clone(),
        };
        let all = self.cache.iter().map(|(key, cached)| (key.clone(), decode(cached)));
        all.filter(|(_, state)| *state != KeyState::default()).collect()
    }

    pub fn timers_match(&self) -> bool {
        let of_entries = self.cache.values().map(|cached| cached.entry.timers.len()).sum::<usize>();
        of_entries == self.timers.len()
    }

    fn change(&mut self, number: CommitNumber, op: &DeltaOp<'_>) {
        let (DeltaOp::Value { key, .. }
        | DeltaOp::MapEntry { key, .. }
        | DeltaOp::MapClear { key, .. }
        | DeltaOp::ListItem { key, .. }
        | DeltaOp::ListClear { key, .. }
        | DeltaOp::Timer { key, .. }) = *op;
        let cached = self.cache.entry(key.to_vec()).or_default();
        cached.dirty_since.get_or_insert(number);
        cached.newest = cached.newest.max(number);
        let entry = &mut cached.entry;
        match *op {
            DeltaOp::Value { value, .. } => entry.value = value.map(<[u8]>::to_vec),
            DeltaOp::ListItem { index, value, .. } => {
                entry.list.insert(index, value.to_vec());
            }
            DeltaOp::ListClear { .. } => entry.list.clear(),
            DeltaOp::Timer { time, set: true, .. } => {
                entry.timers.insert(time);
                self.timers.set(time, key, 0);
            }
            DeltaOp::Timer { time, set: false, .. } => {
                entry.timers.remove(&time);
                self.timers.delete(time, key, 0);
            }
            DeltaOp::MapEntry { .. } | DeltaOp::MapClear { .. } => {
                unreachable!("the job has no map")
            }
        }
    }

    fn push(&mut self, number: CommitNumber, slice: &mut Slice, op: &DeltaOp<'_>) {
        slice.delta.push(op);
        self.change(number, op);
    }

    fn apply(
        &mut self,
        number: CommitNumber,
        slice: &mut Slice,
        sequence: Sequence,
        record: &Record,
    ) {
        let (key, time) = (&record.key[..], record.event_time);
        count_input(slice, CallKind::Process);
        if reference::is_poison(record.amount) {
            let input = slice.calls.iter().map(|call| call.count).sum::<u32>() - 1;
            let message = "poison".to_owned();
            slice.failures.push(Failure { input, cause: FailureCause::Failed, message });
            slice.outputs.push(DEAD_LETTER, key, time, &reference::dead_letter(sequence.0));
            return;
        }
        let entry = self.cache.get(key).map(|cached| cached.entry.clone()).unwrap_or_default();
        let (count, sum) = entry.value.as_deref().map_or((0, 0), decode_value);
        let (count, sum) = (count + 1, sum + record.amount);
        self.push(
            number,
            slice,
            &DeltaOp::Value { state: 0, key, value: Some(&encode_value(count, sum)) },
        );
        let mut item = Vec::new();
        put_varint(&mut item, record.amount);
        let index = entry.list.len() as u64;
        self.push(number, slice, &DeltaOp::ListItem { state: 1, key, index, value: &item });
        if reference::sets_timer(record.amount) {
            for &time in &entry.timers {
                self.push(number, slice, &DeltaOp::Timer { timer: 0, key, time, set: false });
            }
            self.push(
                number,
                slice,
                &DeltaOp::Timer { timer: 0, key, time: time + LIFE_MS, set: true },
            );
        }
        slice.outputs.push(reference::RESULT, key, time, &reference::result(count, sum));
    }

    fn fire(&mut self, number: CommitNumber, slice: &mut Slice, time: i64, key: &[u8]) {
        count_input(slice, CallKind::OnTimer);
        let value = self.cache.get(key).and_then(|cached| cached.entry.value.clone());
        let (count, sum) = value.as_deref().map_or((0, 0), decode_value);
        for op in [
            DeltaOp::Timer { timer: 0, key, time, set: false },
            DeltaOp::Value { state: 0, key, value: None },
            DeltaOp::ListClear { state: 1, key },
        ] {
            self.push(number, slice, &op);
        }
        slice.outputs.push(reference::EXPIRED, key, time, &reference::expired(time, count, sum));
    }

    /// The source was scanned up to here.
    fn advance(&mut self, slice: &mut Slice, position: SourcePosition) {
        let position =
            SourcePosition { max_event_time: self.generator.max_event_time(), ..position };
        slice.positions = vec![position];
        let watermark = self.generator.watermark();
        slice.watermark = if self.bug == Some(Bug::WatermarkForgotten) {
            watermark
        } else {
            slice.watermark.max(watermark)
        };
    }
}

impl Operator for CountOperator {
    fn local(&self) -> Option<LocalState> {
        (self.database.local.newest.number > CommitNumber(0)).then_some(self.database.local)
    }

    fn wipe(&mut self) {
        self.wiped += 1;
        self.restore(Database::default());
    }

    fn redo(&mut self, record: &CommitRecord, point: LogPoint) -> Result<(), Incident> {
        let skip = self.bug == Some(Bug::RedoSkips) && point.number.0.is_multiple_of(5);
        if !skip {
            for op in &record.slice.delta {
                self.change(point.number, &op);
            }
        }
        self.acknowledged = point;
        self.points.insert(point.number, point);
        let max = record
            .slice
            .position(SourceId(0))
            .map_or(WATERMARK_MIN, |position| position.max_event_time);
        let max = if self.bug == Some(Bug::WatermarkForgotten) { WATERMARK_MIN } else { max };
        self.generator = Generator::resume(BOUND_MS, max);
        Ok(())
    }

    fn compute(
        &mut self,
        number: CommitNumber,
        bytes_max: usize,
        slice: &mut Slice,
    ) -> Result<Computed, Halt> {
        let batch = 1 + self.rng.below(8);
        let mut inputs = 0;
        while inputs < batch {
            if slice.encoded_bytes_max() + INPUT_BYTES_MAX > bytes_max {
                return Ok(Computed::Full);
            }
            if let Some(timer) = self.timers.next_due(slice.watermark).cloned() {
                inputs += 1;
                self.fire(number, slice, timer.time, timer.key());
                continue;
            }
            match self.queue.pop_front() {
                None => break,
                Some(Input::Scanned(position)) => self.advance(slice, position),
                Some(Input::Record { position, record, own }) => {
                    if own {
                        inputs += 1;
                        self.apply(number, slice, position.sequence, &record);
                        count_run(slice);
                    }
                    self.generator.observe(record.event_time);
                    self.advance(slice, position);
                }
            }
        }
        Ok(if inputs > 0 { Computed::Some } else { Computed::Nothing })
    }

    fn acknowledged(&mut self, point: LogPoint) {
        self.acknowledged = point;
        self.points.insert(point.number, point);
    }
}

fn count_input(slice: &mut Slice, kind: CallKind) {
    match slice.calls.last_mut() {
        Some(call) if call.kind == kind => call.count += 1,
        _ => slice.calls.push(Call { kind, count: 1 }),
    }
}

fn count_run(slice: &mut Slice) {
    match slice.runs.last_mut() {
        Some(run) => run.count += 1,
        None => slice.runs.push(Run { source: SourceId(0), count: 1 }),
    }
}

fn encode_value(count: u64, sum: u64) -> Vec<u8> {
    let mut value = Vec::new();
    put_varint(&mut value, count);
    put_varint(&mut value, sum);
    value
}

fn decode_value(value: &[u8]) -> (u64, u64) {
    let mut reader = Reader::new(value);
    (reader.varint().unwrap(), reader.varint().unwrap())
}
