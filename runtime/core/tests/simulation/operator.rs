//! The operator of the simulation: a keyed count with a list, timers and dead
//! letters, above a database that keeps only what was flushed. What it tells the stages
//! that read it, and how it keeps its place in those that it reads, is in [`crate::exchange`].

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use millstream_core::commit::{CommitRecord, decode_header_of, hash_of};
use millstream_core::delta::DeltaOp;
use millstream_core::exchange::merge::Anchor;
use millstream_core::exchange::{
    ADVANCE_BYTES_MAX, CAUSE_BYTES_MAX, Cause, Ordering, Place, Standing, UPSTREAM_BYTES_MAX,
};
use millstream_core::ids::{CommitNumber, LogPoint, SourceId, WATERMARK_MIN};
use millstream_core::incident::Incident;
use millstream_core::outputs::DEAD_LETTER;
use millstream_core::partition::{Computed, Halt, Operator};
use millstream_core::recovery::{LocalState, StoredRecord};
use millstream_core::slice::{Call, CallKind, Failure, FailureCause, Run, Slice, SourcePosition};
use millstream_core::timers::{Timer, TimerQueue};
use millstream_core::watermark::Generator;
use millstream_core::wire::{Reader, put_varint};

use crate::faults::Bug;
use crate::reference::{self, BOUND_MS, KeyState, LIFE_MS};
use crate::rng::Rng;
use crate::servers::source::Record;
use crate::topology::{From, Job, Topology, window_fires};

/// What one record or timer adds to a slice at most.
const INPUT_BYTES_MAX: usize = 400 + CAUSE_BYTES_MAX + ADVANCE_BYTES_MAX;

/// State of a key, element by element.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    value: Option<Vec<u8>>,
    list: BTreeMap<u64, Vec<u8>>,
    pub timers: BTreeSet<i64>,
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
    Record {
        position: SourcePosition,
        record: Record,
        own: bool,
    },
    Scanned(SourcePosition),
    /// An output of another stage, out of a stretch that begins at `from`; `behind` is its place there.
    Output {
        source: usize,
        number: u64,
        from: Arc<Anchor>,
        partition: u16,
        behind: Place,
        record: Record,
    },
    /// The watermark of another stage.
    Advance {
        source: usize,
        number: u64,
        watermark: i64,
    },
    /// A stretch of another stage's outputs ends.
    Through {
        source: usize,
        through: Arc<Anchor>,
    },
}

/// What a lane's operator is.
#[derive(Clone, Debug)]
pub struct Role {
    pub job: Job,
    inputs: Vec<From>,
    /// Per input, if it is another stage, the number of its partitions.
    upstream: Vec<Option<u16>>,
    /// If other stages read it, what orders its causes.
    feeding: Option<Ordering>,
    /// Whether it tells of the watermark's advances.
    tells_advances: bool,
}

impl Role {
    pub fn of(topology: &Topology, lane: u16) -> Self {
        let (stage, partition) = topology.at(lane);
        let spec = &topology.stages[stage];
        let upstream = |input: &From| match input {
            From::Source => None,
            From::Stage { stage, .. } => Some(topology.stages[*stage].partitions),
        };
        Self {
            job: spec.job,
            inputs: spec.inputs.clone(),
            upstream: spec.inputs.iter().map(upstream).collect(),
            feeding: topology.feeds(stage).then(|| topology.ordering(stage)),
            tells_advances: partition == 0,
        }
    }
}

#[derive(Debug)]
pub struct CountOperator {
    role: Role,
    pub queue: VecDeque<Input>,
    /// The database as this process sees it; what a crash leaves is in the world.
    pub database: Database,
    cache: BTreeMap<Vec<u8>, Cached>,
    timers: TimerQueue,
    generator: Generator,
    /// One per input.
    positions: Vec<SourcePosition>,
    /// Per input, if it is another stage, how far its outputs are applied.
    standings: Vec<Option<Standing>>,
    /// All timers up to here have fired.
    watermark: i64,
    acknowledged: LogPoint,
    /// The newest record of the log whose effects are there since the database was opened.
    applied: Option<LogPoint>,
    points: BTreeMap<CommitNumber, LogPoint>,
    rng: Rng,
    bug: Option<Bug>,
    pub wiped: u32,
}

impl CountOperator {
    pub fn open(role: Role, database: Database, rng: Rng, bug: Option<Bug>) -> Self {
        let mut operator = Self {
            role,
            queue: VecDeque::new(),
            database: Database::default(),
            cache: BTreeMap::new(),
            timers: TimerQueue::default(),
            generator: Generator::resume(BOUND_MS, WATERMARK_MIN),
            positions: Vec::new(),
            standings: Vec::new(),
            watermark: WATERMARK_MIN,
            acknowledged: LogPoint::default(),
            applied: None,
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
        let inputs = 0..self.role.inputs.len() as u16;
        self.positions = inputs.map(|input| SourcePosition::unread(SourceId(input))).collect();
        self.standings = self.role.upstream.iter().map(|p| p.map(Standing::unread)).collect();
        self.generator = Generator::resume(BOUND_MS, WATERMARK_MIN);
        self.watermark = WATERMARK_MIN;
        for (key, entry) in &database.entries {
            entry.timers.iter().for_each(|&time| {
                self.timers.set(time, key, 0);
            });
            self.cache.insert(key.clone(), Cached { entry: entry.clone(), ..Cached::default() });
        }
        self.acknowledged = database.local.redo_from;
        self.applied = None;
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

    /// A planted bug: says that it has applied a record that it has not seen.
    pub fn claim(&mut self, stored: &StoredRecord) {
        let header = decode_header_of(&stored.message).unwrap();
        let (number, hash) = (header.number, hash_of(&stored.message));
        self.applied = Some(LogPoint { number, hash, sequence: stored.sequence });
    }

    /// All entries, those included that the database lacks.
    pub fn entries(&self) -> BTreeMap<Vec<u8>, Entry> {
        self.cache.iter().map(|(key, cached)| (key.clone(), cached.entry.clone())).collect()
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

    pub fn positions(&self) -> &[SourcePosition] {
        &self.positions
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

    /// Applies a record of an input; its outputs have this cause.
    fn apply(&mut self, number: CommitNumber, slice: &mut Slice, record: &Record, cause: Cause) {
        count_input(slice, CallKind::Process);
        match self.role.job {
            Job::Count => self.count(number, slice, record, cause),
            Job::Window => self.window(number, slice, record, cause),
        }
    }

    fn count(&mut self, number: CommitNumber, slice: &mut Slice, record: &Record, cause: Cause) {
        let (key, time) = (&record.key[..], record.event_time);
        if reference::is_poison(record.amount) {
            let input = slice.calls.iter().map(|call| call.count).sum::<u32>() - 1;
            let message = "poison".to_owned();
            slice.failures.push(Failure { input, cause: FailureCause::Failed, message });
            slice.outputs.push(DEAD_LETTER, key, time, &reference::dead_letter(record));
            return;
        }
        let entry = self.cache.get(key).map(|cached| cached.entry.clone()).unwrap_or_default();
        let (count, sum) = self.add(number, slice, &entry, record);
        let mut item = Vec::new();
        put_varint(&mut item, record.amount);
        let index = entry.list.len() as u64;
        self.push(number, slice, &DeltaOp::ListItem { state: 1, key, index, value: &item });
        if reference::sets_timer(record.amount) {
            for &time in &entry.timers {
                self.push(number, slice, &DeltaOp::Timer { timer: 0, key, time, set: false });
            }
            let time = time + LIFE_MS;
            self.push(number, slice, &DeltaOp::Timer { timer: 0, key, time, set: true });
        }
        let result = reference::result(count, sum, self.watermark);
        self.emit(slice, reference::RESULT, key, time, &result, cause);
    }

    fn window(&mut self, number: CommitNumber, slice: &mut Slice, record: &Record, cause: Cause) {
        let key = &record.key[..];
        let entry = self.cache.get(key).map(|cached| cached.entry.clone()).unwrap_or_default();
        self.add(number, slice, &entry, record);
        let time = window_fires(record.event_time);
        self.push(number, slice, &DeltaOp::Timer { timer: 0, key, time, set: true });
        let seen = reference::seen(record);
        self.emit(slice, reference::RESULT, key, record.event_time, &seen, cause);
    }

    /// Counts and sums.
    fn add(
        &mut self,
        number: CommitNumber,
        slice: &mut Slice,
        entry: &Entry,
        record: &Record,
    ) -> (u64, u64) {
        let (count, sum) = entry.value.as_deref().map_or((0, 0), decode_value);
        let (count, sum) = (count + 1, sum + record.amount);
        let value = &encode_value(count, sum)[..];
        let op = DeltaOp::Value { state: 0, key: &record.key, value: Some(value) };
        self.push(number, slice, &op);
        (count, sum)
    }

    fn emit(
        &self,
        slice: &mut Slice,
        output: u8,
        key: &[u8],
        time: i64,
        payload: &[u8],
        cause: Cause,
    ) {
        slice.outputs.push(output, key, time, payload);
        if let Some(exchange) = &mut slice.exchange {
            exchange.caused(slice.outputs.count() - 1, cause);
        }
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
        let order = self.order();
        let cause = self.role.feeding.map_or(Cause::Arrival, |by| by.of_timer(order, time, 0));
        let payload = reference::expired(time, count, sum);
        self.emit(slice, reference::EXPIRED, key, time, &payload, cause);
    }

    /// With [`Ordering::Sequence`]: the order of what happens now.
    fn order(&self) -> i64 {
        self.positions[0].sequence.0 as i64
    }

    /// What caused the outputs of a record of an input.
    fn cause_of(&self, source: usize, number: u64) -> Cause {
        match self.role.feeding {
            Some(Ordering::Sequence) if source == 0 => Cause::Record { order: number as i64 },
            _ => Cause::Arrival,
        }
    }

    /// The least watermark of the inputs.
    fn reached(&self) -> i64 {
        let of = |(position, input): (&SourcePosition, &From)| match input {
            From::Source => Generator::resume(BOUND_MS, position.max_event_time).watermark(),
            From::Stage { .. } => position.max_event_time,
        };
        self.positions.iter().zip(&self.role.inputs).map(of).min().unwrap_or(WATERMARK_MIN)
    }

    /// The watermark of the only input advanced.
    fn tell_advance(&self, slice: &mut Slice, source: usize, watermark: i64) {
        let tells = self.role.tells_advances && source == 0;
        let order = self.order();
        if let Some(exchange) = slice.exchange.as_mut().filter(|_| tells) {
            exchange.advances.push((order, watermark));
        }
    }

    /// The source was scanned up to here.
    fn scan(&mut self, position: SourcePosition) {
        let max_event_time = self.generator.max_event_time();
        self.positions[0] = SourcePosition { max_event_time, ..position };
    }

    /// Takes one input; whether it was a record of this lane.
    fn take(&mut self, number: CommitNumber, slice: &mut Slice, input: Input) -> bool {
        match input {
            Input::Scanned(position) => self.scan(position),
            Input::Record { position, record, own } => {
                let advance = self.generator.observe(record.event_time);
                self.scan(position);
                if let Some(watermark) = advance {
                    self.tell_advance(slice, 0, watermark);
                }
                if own {
                    let cause = self.cause_of(0, position.sequence.0);
                    self.apply(number, slice, &record, cause);
                    count_run(slice, 0);
                }
                return own;
            }
            Input::Output { source, number: at, from, partition, behind, record } => {
                let cause = self.cause_of(source, at);
                self.apply(number, slice, &record, cause);
                count_run(slice, source);
                self.positions[source].sequence.0 = at;
                if let Some(standing) = &mut self.standings[source] {
                    standing.apply(&from, partition, behind);
                }
                return true;
            }
            Input::Advance { source, number, watermark } => {
                let position = &mut self.positions[source];
                position.sequence.0 = position.sequence.0.max(number);
                position.max_event_time = position.max_event_time.max(watermark);
                self.tell_advance(slice, source, watermark);
            }
            Input::Through { source, through } => {
                let position = &mut self.positions[source];
                position.sequence.0 = position.sequence.0.max(through.number);
                if let Some(standing) = &mut self.standings[source] {
                    standing.finish(&through);
                }
            }
        }
        false
    }

    /// Takes over how far a commit of the log was.
    fn redo_positions(&mut self, slice: &Slice) {
        self.watermark = slice.watermark;
        for position in &slice.positions {
            self.positions[usize::from(position.source.0)] = *position;
        }
        if self.role.inputs[0] == From::Source {
            if self.bug == Some(Bug::WatermarkForgotten) {
                self.positions[0].max_event_time = WATERMARK_MIN;
            }
            self.generator = Generator::resume(BOUND_MS, self.positions[0].max_event_time);
        }
        for (source, standing) in self.standings.iter_mut().enumerate() {
            let Some(partitions) = self.role.upstream[source] else { continue };
            let id = SourceId(source as u16);
            let recorded = Standing::recorded(id, partitions, &slice.positions, &slice.upstream);
            if self.bug != Some(Bug::StandingForgotten)
                && let Some(recorded) = recorded
            {
                *standing = Some(recorded);
            }
        }
    }

    /// The next timer that is due. If there is none the watermark is what the inputs have come to.
    fn settle(&mut self) -> Option<&Timer> {
        let reached = self.reached();
        let due = self.timers.next_due(reached.max(self.watermark));
        if due.is_none() {
            self.watermark = if self.bug == Some(Bug::WatermarkForgotten) {
                reached
            } else {
                self.watermark.max(reached)
            };
        }
        due
    }

    /// Works off timers and inputs.
    fn work(&mut self, number: CommitNumber, bytes_max: usize, slice: &mut Slice) -> Computed {
        let partitions: usize = self.role.upstream.iter().flatten().map(|&p| usize::from(p)).sum();
        let reserve = INPUT_BYTES_MAX + partitions * UPSTREAM_BYTES_MAX;
        let batch = 1 + self.rng.below(8);
        let mut inputs = 0;
        while inputs < batch {
            if slice.encoded_bytes_max() + reserve > bytes_max {
                return Computed::Full;
            }
            if let Some(timer) = self.settle().cloned() {
                inputs += 1;
                self.fire(number, slice, timer.time, timer.key());
                continue;
            }
            let Some(input) = self.queue.pop_front() else { break };
            inputs += u64::from(self.take(number, slice, input));
        }
        if inputs > 0 { Computed::Some } else { Computed::Nothing }
    }

    /// Completes the slice with positions and, for the stages that read this one, how far it is.
    fn close(&mut self, slice: &mut Slice) {
        let settled = self.settle().is_none() || self.bug == Some(Bug::FrontierAhead);
        slice.watermark = self.watermark;
        if let (Some(ordering), Some(exchange)) = (self.role.feeding, &mut slice.exchange) {
            exchange.fit(slice.outputs.count());
            exchange.frontier = ordering.frontier(self.order(), settled, self.watermark);
        }
        slice.upstream.clear();
        for (standing, position) in self.standings.iter().zip(&mut self.positions) {
            if let Some(standing) = standing {
                standing.record(position, &mut slice.upstream);
            }
        }
        slice.positions.clone_from(&self.positions);
    }
}

impl Operator for CountOperator {
    fn local(&self) -> Option<LocalState> {
        let applied = self.applied.map(|point| LocalState { redo_from: point, newest: point });
        let is_any = self.database.local.newest.number > CommitNumber(0);
        applied.or_else(|| is_any.then_some(self.database.local))
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
        self.applied = Some(point);
        self.points.insert(point.number, point);
        self.redo_positions(&record.slice);
        Ok(())
    }

    fn compute(
        &mut self,
        number: CommitNumber,
        bytes_max: usize,
        slice: &mut Slice,
    ) -> Result<Computed, Halt> {
        if self.role.feeding.is_some() {
            slice.exchange.get_or_insert_default();
        }
        let computed = self.work(number, bytes_max, slice);
        self.close(slice);
        Ok(computed)
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

fn count_run(slice: &mut Slice, source: usize) {
    let source = SourceId(source as u16);
    match slice.runs.last_mut() {
        Some(run) if run.source == source => run.count += 1,
        _ => slice.runs.push(Run { source, count: 1 }),
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
