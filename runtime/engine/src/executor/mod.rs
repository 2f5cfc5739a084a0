//! The operator of one partition: takes chunks, calls the UDF, keeps state and
//! timers, and says what it did as a slice.
//!
//! Architecture invariant: what a slice does to a key depends on nothing but the
//! key's own records, its timers and the watermark's advances between them: not
//! on how records are cut into chunks, calls or slices, nor on the other keys of the
//! partition. Calls are cut where a timer is due; a call that turns out to have set a
//! timer that was due inside it is made again, shorter.

mod batch;
mod call;
mod effects;
mod exchange;
mod inspect;
mod size;
mod view;

use std::collections::VecDeque;
use std::ops::AddAssign;
use std::sync::Arc;

use millstream_core::delta::DeltaOp;
use millstream_core::description::{Capability, Description, StateKind, TimeDomain};
use millstream_core::exchange::{Ordering, Standing};
use millstream_core::ids::{CommitNumber, SourceId, WATERMARK_MAX, WATERMARK_MIN, key_hash};
use millstream_core::partition::{Computed, Halt};
use millstream_core::slice::{Run, Slice, SourcePosition};
use millstream_core::timers::TimerQueue;
use millstream_core::udf::Udf;
use millstream_sandbox::codec::Encoder;
use millstream_state::{KeyedState, StateError};

pub(crate) use self::batch::mix;
use self::batch::{BatchBuffers, ValueState};
use self::size::CallSize;
use crate::input::{Chunk, watermark_of};
use crate::spec::OnError;

/// Records of one turn at most: some milliseconds.
const TURN_RECORDS_MAX: usize = 2_048;

/// A source as the operator sees it.
#[derive(Clone, Debug)]
pub struct OperatorSource {
    /// Name in the manifest.
    pub name: String,
    /// Bound of out-of-orderness, milliseconds.
    pub bound_ms: i64,
    /// Whether it takes part in the operator's watermark (redriven dead letters do not).
    pub timed: bool,
    /// If it is another stage: its number of partitions.
    pub upstream: Option<u16>,
}

/// What an operator whose outputs other stages read tells them.
#[derive(Clone, Copy, Debug)]
pub struct Feeding {
    /// What orders its causes.
    pub ordering: Ordering,
    /// Whether it tells where the watermark advanced; one of the partitions does.
    pub tells_advances: bool,
}

/// What an [`Executor`] is made from.
pub struct ExecutorOptions {
    /// The running UDF.
    pub udf: Box<dyn Udf + Send>,
    /// What it says of itself.
    pub description: Arc<Description>,
    /// SHA-256 of the module, hexadecimal, for dead letters.
    pub module: String,
    /// Per declared output whether somebody wants it.
    pub wanted: Vec<bool>,
    /// What to do with poison.
    pub on_error: OnError,
    /// The stage's sources, in the order of [`SourceId`].
    pub sources: Vec<OperatorSource>,
    /// Whether slices carry the state's delta. Without a log nobody reads it.
    pub keep_delta: bool,
    /// If other stages read it.
    pub feeding: Option<Feeding>,
    /// Whether it is the stage's first partition, whose outputs and dead letters of broadcast records count.
    pub first: bool,
}

/// What replaces the UDF of a running operator.
pub struct Swap {
    /// The running UDF.
    pub udf: Box<dyn Udf + Send>,
    /// What it says of itself.
    pub description: Arc<Description>,
    /// SHA-256 of the module.
    pub digest: [u8; 32],
    /// The same, hexadecimal.
    pub module: String,
    /// Per declared output whether somebody wants it.
    pub wanted: Vec<bool>,
    /// What to do with poison.
    pub on_error: OnError,
}

/// Totals since the partition was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Records taken from the sources.
    pub records: u64,
    /// Timers fired.
    pub timers: u64,
    /// Outputs emitted to wanted outputs.
    pub outputs: u64,
    /// Records and timers that failed.
    pub dead_letters: u64,
    /// Calls of the UDF.
    pub calls: u64,
    /// Fuel that they used.
    pub fuel: u64,
}

impl AddAssign for Totals {
    fn add_assign(&mut self, other: Self) {
        self.records += other.records;
        self.timers += other.timers;
        self.outputs += other.outputs;
        self.dead_letters += other.dead_letters;
        self.calls += other.calls;
        self.fuel += other.fuel;
    }
}

/// The operator of one partition.
pub struct Executor {
    options: ExecutorOptions,
    encoders: Vec<Encoder>,
    /// The declared `value` states.
    value_states: Vec<ValueState>,
    wants_seeds: bool,
    state: KeyedState,
    event_timers: TimerQueue,
    clock_timers: TimerQueue,
    positions: Vec<SourcePosition>,
    /// Per source how far it is, if it is another stage.
    upstream: Vec<Option<Standing>>,
    /// All timers up to here have fired.
    watermark: i64,
    processing_time: i64,
    /// Raised whenever broadcast states may have changed: the UDF keeps what it has read of them.
    broadcast_epoch: u64,
    queue: VecDeque<Chunk>,
    /// Next own record, undecodable record and advance of the first chunk.
    at: At,
    call_size: CallSize,
    /// Set when a call did not fit what is left of the slice.
    full: bool,
    buffers: BatchBuffers,
    totals: Totals,
}

#[derive(Clone, Copy, Debug, Default)]
struct At {
    record: usize,
    undecodable: usize,
    advance: usize,
    /// Advances that the slices tell of.
    told: usize,
}

/// What bounds a turn.
struct Room {
    bytes_max: usize,
    records: usize,
}

impl Executor {
    /// An operator over `state`, whose timers are loaded. It has not read anything yet.
    pub fn new(options: ExecutorOptions, state: KeyedState) -> Result<Self, StateError> {
        let (encoders, value_states, wants_seeds) = derived(&options.description);
        let positions = start_positions(options.sources.len());
        let upstream = start_upstream(&options.sources);
        let mut executor = Self {
            encoders,
            value_states,
            wants_seeds,
            state,
            event_timers: TimerQueue::default(),
            clock_timers: TimerQueue::default(),
            positions,
            upstream,
            watermark: WATERMARK_MIN,
            processing_time: i64::MIN,
            broadcast_epoch: 0,
            queue: VecDeque::new(),
            at: At::default(),
            call_size: CallSize::new(),
            full: false,
            buffers: BatchBuffers::default(),
            totals: Totals::default(),
            options,
        };
        executor.load_timers()?;
        Ok(executor)
    }

    /// Replaces the UDF at a commit boundary. On an error nothing has changed. Chunks decoded for other
    /// inputs than the new module's must not come any more.
    pub fn swap(&mut self, swap: Swap) -> Result<(), StateError> {
        self.state.declare(&swap.description.states, &swap.description.timers)?;
        (self.encoders, self.value_states, self.wants_seeds) = derived(&swap.description);
        if swap.description.inputs != self.options.description.inputs {
            self.clear_queue();
        }
        self.totals.fuel += self.options.udf.fuel_used();
        self.options.udf = swap.udf;
        self.options.description = swap.description;
        self.options.module = swap.module;
        self.options.wanted = swap.wanted;
        self.options.on_error = swap.on_error;
        self.call_size = CallSize::new();
        self.broadcast_epoch += 1;
        self.load_timers()
    }

    fn load_timers(&mut self) -> Result<(), StateError> {
        self.event_timers.clear();
        self.clock_timers.clear();
        let (events, clock) = (&mut self.event_timers, &mut self.clock_timers);
        let specs = &self.options.description.timers;
        self.state.timers(|timer, key, time| {
            match specs.get(usize::from(timer)).map(|spec| spec.domain) {
                Some(TimeDomain::EventTime) => events.set(time, key, timer),
                Some(TimeDomain::ProcessingTime) => clock.set(time, key, timer),
                None => false,
            };
        })
    }

    fn is_event_timer(&self, timer: u16) -> bool {
        let spec = self.options.description.timers.get(usize::from(timer));
        spec.is_some_and(|spec| spec.domain == TimeDomain::EventTime)
    }

    /// Sets or deletes a timer in the queue of its domain.
    fn change_timer(&mut self, timer: u16, key: &[u8], time: i64, set: bool) {
        let Some(spec) = self.options.description.timers.get(usize::from(timer)) else { return };
        let queue = match spec.domain {
            TimeDomain::EventTime => &mut self.event_timers,
            TimeDomain::ProcessingTime => &mut self.clock_timers,
        };
        if set {
            queue.set(time, key, timer)
        } else {
            queue.delete(time, key, timer)
        };
    }

    /// What it was made from.
    pub fn options(&self) -> &ExecutorOptions {
        &self.options
    }

    /// Goes on over another state, with nothing read yet.
    pub fn replace_state(&mut self, state: KeyedState) -> Result<(), StateError> {
        self.state = state;
        self.clear_queue();
        self.positions = start_positions(self.options.sources.len());
        self.upstream = start_upstream(&self.options.sources);
        self.watermark = WATERMARK_MIN;
        self.processing_time = i64::MIN;
        self.broadcast_epoch += 1;
        self.load_timers()
    }

    /// Hands over the next stretch of a source.
    pub fn push(&mut self, chunk: Chunk) {
        self.queue.push_back(chunk);
    }

    /// Forgets what was handed over and not yet applied.
    pub fn clear_queue(&mut self) {
        self.queue.clear();
        self.at = At::default();
    }

    /// Records that wait in the queue.
    pub fn queued(&self) -> usize {
        self.queue.iter().map(|c| c.records.len()).sum::<usize>() - self.at.record
    }

    /// When the next processing-time timer is due, milliseconds since 1970 UTC.
    pub fn next_processing_timer(&self) -> Option<i64> {
        self.clock_timers.first().map(|t| t.time)
    }

    /// What the positions say the watermark is.
    fn combined_watermark(&self) -> i64 {
        let timed =
            self.positions.iter().zip(&self.options.sources).filter(|(p, s)| s.timed && !p.idle);
        timed
            .map(|(p, s)| watermark_of(p.max_event_time, s.bound_ms))
            .min()
            .unwrap_or(self.watermark)
    }

    /// The positions reached.
    pub fn positions(&self) -> &[SourcePosition] {
        &self.positions
    }

    /// The watermark up to which all timers have fired, milliseconds.
    pub fn watermark(&self) -> i64 {
        self.watermark
    }

    /// Totals since the partition was opened.
    pub fn totals(&self) -> Totals {
        Totals { fuel: self.totals.fuel + self.options.udf.fuel_used(), ..self.totals }
    }

    /// The keyed state.
    pub fn state(&mut self) -> &mut KeyedState {
        &mut self.state
    }

    /// Gives the keyed state back.
    pub fn into_state(self) -> KeyedState {
        self.state
    }

    /// Takes over what a commit of the log did, without running anything.
    pub fn redo(&mut self, number: CommitNumber, slice: &Slice) -> Result<(), StateError> {
        self.processing_time = self.processing_time.max(slice.processing_time);
        self.state.begin(number, self.processing_time);
        self.broadcast_epoch += 1;
        for op in &slice.delta {
            if let DeltaOp::Timer { timer, key, time, set } = op {
                self.change_timer(timer, key, time, set);
            }
            redo_op(&mut self.state, &op)?;
        }
        self.watermark = slice.watermark;
        self.state.set_watermark(self.watermark);
        self.state.reach(self.watermark);
        for position in &slice.positions {
            if let Some(own) = self.positions.get_mut(position.source.0 as usize) {
                *own = *position;
            }
        }
        self.redo_upstream(slice);
        Ok(())
    }

    /// Goes on with commit `number`: applies due timers and queued input on top of `slice`, keeping
    /// its encoded size at `bytes_max` or below. `slice.processing_time` is the clock.
    pub fn compute(
        &mut self,
        number: CommitNumber,
        bytes_max: usize,
        slice: &mut Slice,
    ) -> Result<Computed, Halt> {
        self.processing_time = self.processing_time.max(slice.processing_time);
        slice.processing_time = self.processing_time;
        self.state.begin(number, self.processing_time);
        self.full = false;
        let done = (slice.calls.len(), slice.failures.len());
        let (outputs, dead_letters) = (slice.outputs.count(), self.totals.dead_letters);
        let mut room = Room { bytes_max, records: TURN_RECORDS_MAX };
        if self.options.feeding.is_some() {
            slice.exchange.get_or_insert_default();
        }
        let result = self.fill(slice, &mut room);
        slice.watermark = self.watermark;
        self.close_exchange(slice);
        self.state.reach(self.watermark);
        self.totals.outputs +=
            u64::from(slice.outputs.count() - outputs) - (self.totals.dead_letters - dead_letters);
        result?;
        Ok(match (slice.calls.len(), slice.failures.len()) == done {
            _ if self.full => Computed::Full,
            true => Computed::Nothing,
            false => Computed::Some,
        })
    }

    fn fill(&mut self, slice: &mut Slice, room: &mut Room) -> Result<(), Halt> {
        self.fire(slice, room, TimeDomain::ProcessingTime, self.processing_time)?;
        loop {
            self.settle(slice, room)?;
            if self.full || room.records == 0 {
                break;
            }
            let Some(chunk) = self.queue.front() else { break };
            if chunk.merged.is_none()
                && chunk.scan.through <= self.positions[chunk.source.0 as usize].sequence.0
                && !chunk.scan.end_of_input
                && !chunk.scan.idle
            {
                self.pop();
                continue;
            }
            if self.tells_too_much(slice, room) {
                self.full = true;
                break;
            }
            self.step(slice, room)?;
        }
        Ok(())
    }

    /// Fires what the positions' watermark makes due and has not fired: an advance belongs to the record that
    /// caused it, so it may have been committed with that record and its timers left for now.
    fn settle(&mut self, slice: &mut Slice, room: &mut Room) -> Result<(), Halt> {
        let reached = self.combined_watermark();
        if !self.full && reached > self.watermark {
            self.fire(slice, room, TimeDomain::EventTime, reached)?;
            if !self.full {
                self.watermark = reached;
            }
        }
        Ok(())
    }

    /// The next thing in the first chunk: timers, an undecodable record, a call, or its end.
    fn step(&mut self, slice: &mut Slice, room: &mut Room) -> Result<(), Halt> {
        self.skip_known();
        let chunk = self.queue.front().expect("step runs with a chunk");
        let source = chunk.source.0 as usize;
        self.positions[source].idle = false;
        let next_record = chunk.origins.get(self.at.record).map_or(u64::MAX, |o| o.sequence);
        let next_bad =
            chunk.undecodable.get(self.at.undecodable).map_or(u64::MAX, |u| u.origin.sequence);
        let next = next_record.min(next_bad);

        // Advances before the next record: one by one where timers are due, else all at once.
        let due = self.due_advance(source);
        let chunk = self.queue.front().expect("the queue did not change");
        if let Some(advance) = due
            && chunk.scan.advances[advance].0 < next
        {
            return self.advance(slice, room, advance);
        }
        self.pass_advances(slice, source, next);
        let chunk = self.queue.front().expect("the queue did not change");
        if next == u64::MAX {
            return self.finish_chunk(slice, room);
        }
        if next_bad < next_record {
            return self.bury_undecodable(slice, room);
        }
        let until = due.map_or(u64::MAX, |advance| chunk.scan.advances[advance].0).min(next_bad);
        let take = chunk.origins[self.at.record..]
            .iter()
            .take(self.call_size.records().min(room.records))
            .take_while(|o| o.sequence <= until)
            .count();
        let taken = self.process(slice, room, take)?;
        if taken > 0 {
            self.take_records(slice, room, taken);
        }
        Ok(())
    }

    /// Skips what the position has already behind it (the reader serves several partitions).
    fn skip_known(&mut self) {
        let chunk = self.queue.front().expect("skip runs with a chunk");
        // The reader of another stage's outputs passes on only what the partition lacks.
        if chunk.merged.is_some() {
            return;
        }
        let known = self.positions[chunk.source.0 as usize].sequence.0;
        let at = &mut self.at;
        at.record += chunk.origins[at.record..].partition_point(|o| o.sequence <= known);
        at.undecodable +=
            chunk.undecodable[at.undecodable..].partition_point(|u| u.origin.sequence <= known);
        // An advance belongs to the record that caused it: it is known with that record's position.
        let max = self.positions[chunk.source.0 as usize].max_event_time;
        at.advance +=
            chunk.scan.advances[at.advance..].partition_point(|a| a.0 <= known && a.1 <= max);
    }

    /// The first advance of the first chunk that makes the earliest event-time timer due.
    fn due_advance(&mut self, source: usize) -> Option<usize> {
        let time = self.event_timers.first()?.time;
        self.first_reaching(source, self.at.advance, time)
    }

    /// The first advance from `from` on after which the operator's watermark is at or past `time`.
    fn first_reaching(&self, source: usize, from: usize, time: i64) -> Option<usize> {
        let spec = &self.options.sources[source];
        if !spec.timed || time > self.others_watermark(source) {
            return None;
        }
        let advances = &self.queue.front()?.scan.advances;
        let index =
            from + advances[from..].partition_point(|a| watermark_of(a.1, spec.bound_ms) < time);
        (index < advances.len()).then_some(index)
    }

    /// The least watermark of the sources that take part, without `source`.
    fn others_watermark(&self, source: usize) -> i64 {
        let others = self.positions.iter().zip(&self.options.sources).enumerate();
        others
            .filter(|(i, (p, s))| *i != source && s.timed && !p.idle)
            .map(|(_, (p, s))| watermark_of(p.max_event_time, s.bound_ms))
            .min()
            .unwrap_or(WATERMARK_MAX)
    }

    /// Fires what advance number `advance` of the first chunk makes due.
    fn advance(&mut self, slice: &mut Slice, room: &mut Room, advance: usize) -> Result<(), Halt> {
        self.position_at_advance(advance);
        self.tell_advances(slice, advance + 1);
        self.at.advance = advance + 1;
        self.settle(slice, room)
    }

    /// Moves the position to the record that caused an advance.
    fn position_at_advance(&mut self, advance: usize) {
        let chunk = self.queue.front().expect("an advance belongs to a chunk");
        let (sequence, event_time) = chunk.scan.advances[advance];
        let position = &mut self.positions[chunk.source.0 as usize];
        position.max_event_time = position.max_event_time.max(event_time);
        position.sequence.0 = position.sequence.0.max(sequence);
    }

    fn finish_chunk(&mut self, slice: &mut Slice, room: &mut Room) -> Result<(), Halt> {
        let chunk = self.queue.front().expect("a chunk is being finished");
        let (scan, source) = (Arc::clone(&chunk.scan), chunk.source.0 as usize);
        let position = &mut self.positions[source];
        position.sequence.0 = position.sequence.0.max(scan.through);
        if let Some(merged) = &chunk.merged {
            if let Some(standing) = &mut self.upstream[source] {
                standing.finish(&merged.through);
            }
        } else {
            if scan.last_sequence > position.last_sequence.0 {
                position.last_sequence.0 = scan.last_sequence;
                position.last_time_ns = scan.last_time_ns;
            }
            position.stream_created_ns = scan.stream_created_ns;
        }
        self.positions[source].idle = scan.idle;
        if scan.end_of_input {
            self.end_input(slice, source);
        }
        if scan.end_of_input || scan.idle {
            self.settle(slice, room)?;
            if self.full {
                return Ok(());
            }
        }
        self.pop();
        Ok(())
    }

    fn pop(&mut self) {
        self.queue.pop_front();
        self.at = At::default();
    }

    /// Books `count` records of the first chunk as done.
    fn take_records(&mut self, slice: &mut Slice, room: &mut Room, count: usize) {
        self.take_merged(count);
        let chunk = self.queue.front().expect("records belong to a chunk");
        let source = chunk.source;
        let last = &chunk.origins[self.at.record + count - 1];
        let sequence = last.sequence;
        let position = &mut self.positions[source.0 as usize];
        position.sequence.0 = sequence;
        if chunk.merged.is_none() {
            if sequence > position.last_sequence.0 {
                position.last_sequence.0 = sequence;
                position.last_time_ns = last.time_ns;
            }
            position.stream_created_ns = chunk.scan.stream_created_ns;
        }
        self.at.record += count;
        room.records -= count.min(room.records);
        self.totals.records += count as u64;
        add_run(slice, source, count as u32);
        self.pass_advances(slice, source.0 as usize, sequence.saturating_add(1));
    }

    /// Applies the advances of the first chunk before the sequence `next`. The position takes all of
    /// them; one that makes timers due is left for [`Self::advance`], so that they fire before anything else.
    fn pass_advances(&mut self, slice: &mut Slice, source: usize, next: u64) {
        let due = self.due_advance(source).unwrap_or(usize::MAX);
        let chunk = self.queue.front().expect("advances belong to a chunk");
        let passed = self.at.advance
            + chunk.scan.advances[self.at.advance..].partition_point(|a| a.0 < next);
        if passed == self.at.advance {
            return;
        }
        let quiet = passed.min(due);
        if quiet > self.at.advance {
            self.position_at_advance(quiet - 1);
            self.watermark = self.watermark.max(self.combined_watermark());
            self.tell_advances(slice, quiet);
            self.at.advance = quiet;
        }
        if passed > quiet {
            // The position of a record includes the advance that the record caused.
            self.tell_advances(slice, passed);
            self.position_at_advance(passed - 1);
        }
    }

    /// A record that could not be decoded becomes a dead letter.
    fn bury_undecodable(&mut self, slice: &mut Slice, room: &mut Room) -> Result<(), Halt> {
        let chunk = self.queue.front().expect("an undecodable record belongs to a chunk");
        let record = chunk.undecodable[self.at.undecodable].clone();
        let source = chunk.source;
        let failure = call::Failed {
            cause: millstream_core::slice::FailureCause::Undecodable,
            message: record.cause,
        };
        self.bury(slice, room, source, &record.origin, &[], 0, &failure)?;
        if self.full {
            return Ok(());
        }
        let position = &mut self.positions[source.0 as usize];
        position.sequence.0 = record.origin.sequence;
        self.bury_merged();
        self.at.undecodable += 1;
        room.records -= 1;
        self.totals.records += 1;
        add_run(slice, source, 1);
        self.pass_advances(slice, source.0 as usize, record.origin.sequence.saturating_add(1));
        Ok(())
    }
}

fn start_positions(sources: usize) -> Vec<SourcePosition> {
    (0..sources).map(|source| SourcePosition::unread(SourceId(source as u16))).collect()
}

fn start_upstream(sources: &[OperatorSource]) -> Vec<Option<Standing>> {
    sources.iter().map(|source| source.upstream.map(Standing::unread)).collect()
}

fn add_run(slice: &mut Slice, source: SourceId, count: u32) {
    match slice.runs.last_mut() {
        Some(run) if run.source == source => run.count += count,
        _ => slice.runs.push(Run { source, count }),
    }
}

fn derived(description: &Description) -> (Vec<Encoder>, Vec<ValueState>, bool) {
    let encoders = description.outputs.iter().map(Encoder::new).collect();
    let values = description
        .states
        .iter()
        .enumerate()
        .filter(|(_, s)| s.kind == StateKind::Value)
        .map(|(i, state)| ValueState { index: i as u16, broadcast: state.broadcast })
        .collect();
    (encoders, values, description.capabilities.contains(&Capability::Random))
}

/// Applies one operation to the keyed state.
fn redo_op(state: &mut KeyedState, op: &DeltaOp<'_>) -> Result<(), StateError> {
    match *op {
        DeltaOp::Value { state: index, key, value } => {
            let mut slot = Vec::with_capacity(1);
            state.slots([(key_hash(key), key)], &mut slot)?;
            if let Some(index) = state.value_index(index) {
                state.set_value(slot[0], index, value);
            }
        }
        DeltaOp::MapEntry { state: index, key, entry, value } => {
            state.map_write(index, key, entry, value)?
        }
        DeltaOp::MapClear { state: index, key } => state.map_clear(index, key)?,
        DeltaOp::ListItem { state: index, key, index: position, value } => {
            state.list_redo(index, key, position, value)?
        }
        DeltaOp::ListClear { state: index, key } => state.list_clear(index, key)?,
        DeltaOp::Timer { timer, key, time, set: true } => state.set_timer(timer, key, time),
        DeltaOp::Timer { timer, key, time, set: false } => state.delete_timer(timer, key, time),
    }
    Ok(())
}
