//! One call of the UDF: made, made again shorter when it must be, and what becomes
//! of a record that fails.

use millstream_core::columns::TimerChanges;
use millstream_core::delta::{DeltaMark, DeltaOp};
use millstream_core::description::TimeDomain;
use millstream_core::ids::SourceId;
use millstream_core::outputs::{DEAD_LETTER, OutputMark};
use millstream_core::partition::Halt;
use millstream_core::slice::{Call, CallKind, Failure, FailureCause, Slice};
use millstream_core::timers::Timer;
use millstream_core::udf::Fault;

use super::batch::Facts;
use super::view::CallView;
use super::{Executor, Room};
use crate::dead_letter::{DeadLetter, kept_headers};
use crate::input::{Chunk, Origin, watermark_of};
use crate::spec::OnError;

/// Why a record or timer has no effects.
pub(super) struct Failed {
    pub cause: FailureCause,
    pub message: String,
}

/// Where a slice stood before a call.
#[derive(Clone, Copy)]
pub(super) struct Mark {
    delta: DeltaMark,
    outputs: OutputMark,
}

impl Mark {
    pub(super) fn of(slice: &Slice) -> Self {
        Self { delta: slice.delta.mark(), outputs: slice.outputs.mark() }
    }
}

impl Executor {
    /// Takes back what a call did.
    pub(super) fn rollback(&mut self, slice: &mut Slice, mark: Mark) {
        self.state.drop_call();
        slice.delta.rollback(mark.delta);
        slice.outputs.rollback(mark.outputs);
    }

    fn facts(&self, source: Option<usize>, watermark: i64, broadcast: bool) -> Facts {
        let spec = source.map(|s| &self.options.sources[s]);
        Facts {
            processing_time: self.processing_time,
            watermark,
            watermark_max: source.map_or(i64::MAX, |s| self.others_watermark(s)),
            own_watermark: source.and_then(|s| self.own_watermark(s)),
            watermark_before: self.watermark,
            bound_ms: spec.map_or(0, |s| s.bound_ms),
            timed: spec.is_some_and(|s| s.timed),
            wants_seeds: self.wants_seeds,
            broadcast,
            broadcast_epoch: self.broadcast_epoch,
        }
    }

    /// The watermark of a source by itself, if several make the operator's.
    fn own_watermark(&self, source: usize) -> Option<i64> {
        let sources = &self.options.sources;
        let shared = sources[source].timed && sources.iter().filter(|s| s.timed).count() > 1;
        let reached = self.positions[source].max_event_time;
        shared.then(|| watermark_of(reached, sources[source].bound_ms))
    }

    /// Whether the records of a chunk go to every partition.
    pub(super) fn is_broadcast(&self, chunk: &Chunk) -> bool {
        let inputs = &self.options.description.inputs;
        inputs.get(chunk.input as usize).is_some_and(|input| input.broadcast)
    }

    /// Processes the next `count` records of the first chunk, or fewer; returns how many are done. 0: the
    /// slice is full.
    pub(super) fn process(
        &mut self,
        slice: &mut Slice,
        room: &mut Room,
        mut count: usize,
    ) -> Result<usize, Halt> {
        let source = self.queue.front().map_or(0, |c| c.source.0 as usize);
        let broadcast = self.queue.front().is_some_and(|c| self.is_broadcast(c));
        loop {
            if broadcast {
                self.broadcast_epoch += 1;
            }
            let facts = self.facts(Some(source), self.watermark, broadcast);
            let chunk = self.queue.front().expect("records are processed from a chunk");
            self.buffers
                .records(
                    &mut self.state,
                    chunk,
                    self.at.record..self.at.record + count,
                    self.at.advance,
                    &facts,
                    &self.value_states,
                )
                .map_err(host)?;
            let mark = Mark::of(slice);
            self.state.begin_call();
            let mut view = CallView {
                state: &mut self.state,
                delta: &mut slice.delta,
                keys: &self.buffers.batch.keys,
                states: &self.options.description.states,
                error: None,
            };
            let answer = self.options.udf.process(&self.buffers.batch, &mut view);
            if let Some(error) = view.error {
                self.rollback(slice, mark);
                return Err(host(error));
            }
            self.totals.calls += 1;
            match answer {
                Ok(effects) => {
                    if let Some(shorter) = self.cut_by_timers(source, count, &effects.timer_changes)
                    {
                        self.rollback(slice, mark);
                        self.call_size.cut(shorter);
                        count = shorter;
                        continue;
                    }
                    self.stage_effects(slice, &effects, CallKind::Process);
                    if slice.encoded_bytes_max() > room.bytes_max {
                        self.rollback(slice, mark);
                        if !slice.calls.is_empty() || !slice.outputs.is_empty() {
                            self.full = true;
                            return Ok(0);
                        }
                        if count == 1 {
                            let failed = oversize(room.bytes_max);
                            return self.bury_record(slice, room, source, &failed);
                        }
                        count /= 2;
                        self.call_size.cut(count);
                        continue;
                    }
                    self.apply_effects(&effects, CallKind::Process);
                    self.state.keep_call();
                    slice.calls.push(Call { kind: CallKind::Process, count: count as u32 });
                    self.call_size.went_well();
                    return Ok(count);
                }
                Err(fault) => {
                    self.rollback(slice, mark);
                    match self.after_fault(fault, count)? {
                        Retry::Shorter(shorter) => count = shorter,
                        Retry::Bury(failed) => {
                            return self.bury_record(slice, room, source, &failed);
                        }
                    }
                }
            }
        }
    }

    /// What to do about a call over `count` records or timers that has no effects.
    fn after_fault(&mut self, fault: Fault, count: usize) -> Result<Retry, Halt> {
        match fault {
            Fault::Failed { index: 0, message } => {
                Ok(Retry::Bury(Failed { cause: FailureCause::Failed, message }))
            }
            // All before it are processed first; then it comes first itself.
            Fault::Failed { index, .. } => {
                Ok(Retry::Shorter((index as usize).min(count - 1).max(1)))
            }
            Fault::Trapped { message } if count == 1 => {
                self.call_size.blamed();
                Ok(Retry::Bury(Failed { cause: FailureCause::Trapped, message }))
            }
            Fault::Trapped { .. } => Ok(Retry::Shorter(self.call_size.trapped(count))),
            Fault::Host { message } => Err(Halt::Fault(message)),
        }
    }

    /// If the call set an event-time timer that was due before a later record of the batch: how many records
    /// come before that advance.
    fn cut_by_timers(&self, source: usize, count: usize, changes: &TimerChanges) -> Option<usize> {
        let last_watermark = *self.buffers.batch.watermarks.last()?;
        let chunk = self.queue.front()?;
        let origins = &chunk.origins[self.at.record..self.at.record + count];
        let timers = &self.options.description.timers;
        let mut cut = None;
        for i in 0..changes.causes.len() {
            let event_time = timers[changes.timers[i] as usize].domain == TimeDomain::EventTime;
            if !event_time || !changes.present.has(i) || changes.times[i] > last_watermark {
                continue;
            }
            let cause = &origins[changes.causes[i] as usize];
            let from = self.at.advance
                + chunk.scan.advances[self.at.advance..].partition_point(|a| a.0 < cause.sequence);
            let Some(due) = self.first_reaching(source, from, changes.times[i]) else { continue };
            let before = origins.partition_point(|o| o.sequence <= chunk.scan.advances[due].0);
            if before < count {
                cut = Some(cut.map_or(before, |c: usize| c.min(before)));
            }
        }
        cut
    }

    /// Fires all timers of the domain up to `reached`. Leaves some and sets `full` if the slice has no room.
    pub(super) fn fire(
        &mut self,
        slice: &mut Slice,
        room: &mut Room,
        domain: TimeDomain,
        reached: i64,
    ) -> Result<(), Halt> {
        loop {
            let limit = self.call_size.records();
            let queue = if domain == TimeDomain::EventTime {
                &self.event_timers
            } else {
                &self.clock_timers
            };
            let mut due: Vec<Timer> =
                queue.iter().take_while(|t| t.time <= reached).take(limit).cloned().collect();
            if due.is_empty() {
                return Ok(());
            }
            one_per_key(&mut due, self.options.feeding.is_some());
            let fired = self.fire_some(slice, room, domain, &due, reached)?;
            if fired == 0 {
                return Ok(());
            }
        }
    }

    /// Fires the first of `due`; returns how many. 0: the slice is full.
    fn fire_some(
        &mut self,
        slice: &mut Slice,
        room: &mut Room,
        domain: TimeDomain,
        due: &[Timer],
        reached: i64,
    ) -> Result<usize, Halt> {
        let watermark = if domain == TimeDomain::EventTime { reached } else { self.watermark };
        let mut count = due.len();
        loop {
            let facts = self.facts(None, watermark, false);
            self.buffers
                .timers(&mut self.state, &due[..count], &facts, &self.value_states)
                .map_err(host)?;
            let mark = Mark::of(slice);
            self.state.begin_call();
            let mut view = CallView {
                state: &mut self.state,
                delta: &mut slice.delta,
                keys: &self.buffers.timer_batch.keys,
                states: &self.options.description.states,
                error: None,
            };
            let answer = self.options.udf.on_timer(&self.buffers.timer_batch, &mut view);
            if let Some(error) = view.error {
                self.rollback(slice, mark);
                return Err(host(error));
            }
            self.totals.calls += 1;
            match answer {
                Ok(effects) => {
                    self.stage_fired(slice, &due[..count]);
                    self.stage_effects(slice, &effects, CallKind::OnTimer);
                    if slice.encoded_bytes_max() > room.bytes_max {
                        self.rollback(slice, mark);
                        if !slice.calls.is_empty() || !slice.outputs.is_empty() {
                            self.full = true;
                            return Ok(0);
                        }
                        if count == 1 {
                            let failed = oversize(room.bytes_max);
                            return self.bury_timer(slice, room, &due[0], &failed);
                        }
                        count /= 2;
                        continue;
                    }
                    self.apply_fired(&due[..count]);
                    self.apply_effects(&effects, CallKind::OnTimer);
                    self.state.keep_call();
                    slice.calls.push(Call { kind: CallKind::OnTimer, count: count as u32 });
                    self.totals.timers += count as u64;
                    self.call_size.went_well();
                    return Ok(count);
                }
                Err(fault) => {
                    self.rollback(slice, mark);
                    match self.after_fault(fault, count)? {
                        Retry::Shorter(shorter) => count = shorter,
                        Retry::Bury(failed) => {
                            return self.bury_timer(slice, room, &due[0], &failed);
                        }
                    }
                }
            }
        }
    }

    /// Timers that fired are no longer set.
    fn stage_fired(&mut self, slice: &mut Slice, fired: &[Timer]) {
        if !self.options.keep_delta {
            return;
        }
        for t in fired {
            slice.delta.push(&DeltaOp::Timer {
                timer: t.timer,
                key: t.key(),
                time: t.time,
                set: false,
            });
        }
    }

    fn apply_fired(&mut self, fired: &[Timer]) {
        for t in fired {
            self.change_timer(t.timer, t.key(), t.time, false);
            self.state.delete_timer(t.timer, t.key(), t.time);
        }
    }

    /// The first record of the chunk failed.
    fn bury_record(
        &mut self,
        slice: &mut Slice,
        room: &mut Room,
        source: usize,
        failed: &Failed,
    ) -> Result<usize, Halt> {
        let chunk = self.queue.front().expect("the record belongs to a chunk");
        if self.is_broadcast(chunk) && !self.options.first && self.options.on_error != OnError::Stop
        {
            // It fails in every partition; the first one writes the letter.
            note_failure(slice, failed);
            return Ok(1);
        }
        let origin = chunk.origins[self.at.record].clone();
        let key = chunk.records.keys.get(self.at.record).to_vec();
        let event_time = chunk.records.event_times[self.at.record];
        self.bury(slice, room, SourceId(source as u16), &origin, &key, event_time, failed)?;
        Ok(usize::from(!self.full))
    }

    /// The first timer failed: it becomes a dead letter without payload, and is not set any more.
    fn bury_timer(
        &mut self,
        slice: &mut Slice,
        room: &mut Room,
        timer: &Timer,
        failed: &Failed,
    ) -> Result<usize, Halt> {
        let name = &self.options.description.timers[timer.timer as usize].name;
        let letter = self.letter(failed, name.clone(), None);
        self.write_letter(slice, room, &letter, timer.key(), timer.time, &[], failed)?;
        if self.full {
            return Ok(0);
        }
        self.stage_fired(slice, std::slice::from_ref(timer));
        self.apply_fired(std::slice::from_ref(timer));
        Ok(1)
    }

    /// Makes a record a dead letter, or stops at it. Sets `full` when the slice has no room for it.
    #[allow(clippy::too_many_arguments)]
    pub(super) fn bury(
        &mut self,
        slice: &mut Slice,
        room: &Room,
        source: SourceId,
        origin: &Origin,
        key: &[u8],
        event_time: i64,
        failed: &Failed,
    ) -> Result<(), Halt> {
        let name = self.options.sources[source.0 as usize].name.clone();
        let letter = self.letter(failed, name, Some(origin));
        self.write_letter(slice, room, &letter, key, event_time, &origin.payload, failed)
    }

    fn letter(&self, failed: &Failed, source: String, origin: Option<&Origin>) -> DeadLetter {
        let kind = match failed.cause {
            FailureCause::Failed => "failed",
            FailureCause::Trapped => "trapped",
            FailureCause::Undecodable => "undecodable",
            FailureCause::Oversize => "oversize",
        };
        DeadLetter {
            kind: kind.to_owned(),
            cause: shortened(&failed.message),
            attempts: origin.map_or(0, |origin| origin.attempts) + 1,
            module: self.options.module.clone(),
            source,
            sequence: origin.map_or(0, |origin| origin.sequence),
            time_ns: origin.map_or(0, |origin| origin.time_ns),
            subject: origin
                .map(|origin| String::from_utf8_lossy(&origin.subject).into_owned())
                .unwrap_or_default(),
            headers: origin
                .and_then(|origin| origin.headers.as_deref())
                .map(kept_headers)
                .unwrap_or_default(),
        }
    }

    #[allow(clippy::too_many_arguments)]
    fn write_letter(
        &mut self,
        slice: &mut Slice,
        room: &Room,
        letter: &DeadLetter,
        key: &[u8],
        event_time: i64,
        payload: &[u8],
        failed: &Failed,
    ) -> Result<(), Halt> {
        if self.options.on_error == OnError::Stop {
            return Err(Halt::Poison(format!(
                "record {} of `{}` failed and the stage says `on-error: stop`: {}",
                letter.sequence, letter.source, letter.cause
            )));
        }
        let mark = slice.outputs.mark();
        slice.outputs.push_with(DEAD_LETTER, key, event_time, |out| letter.write(payload, out));
        if slice.encoded_bytes_max() > room.bytes_max {
            slice.outputs.rollback(mark);
            if !slice.calls.is_empty() || !slice.outputs.is_empty() {
                self.full = true;
                return Ok(());
            }
            // Payload and headers do not fit beside the cause: keep what says where the record lies.
            let letter = DeadLetter { headers: Vec::new(), ..letter.clone() };
            slice.outputs.push_with(DEAD_LETTER, key, event_time, |out| letter.write(&[], out));
        }
        note_failure(slice, failed);
        self.totals.dead_letters += 1;
        Ok(())
    }
}

/// Notes that the next record or timer of the slice failed.
fn note_failure(slice: &mut Slice, failed: &Failed) {
    let fired = slice.calls.iter().filter(|c| c.kind == CallKind::OnTimer);
    let input =
        slice.runs.iter().map(|r| r.count).sum::<u32>() + fired.map(|c| c.count).sum::<u32>();
    slice.failures.push(Failure {
        input,
        cause: failed.cause,
        message: shortened(&failed.message),
    });
}

enum Retry {
    Shorter(usize),
    Bury(Failed),
}

fn host(error: impl std::fmt::Display) -> Halt {
    Halt::Fault(error.to_string())
}

fn oversize(bytes_max: usize) -> Failed {
    Failed {
        cause: FailureCause::Oversize,
        message: format!(
            "the outputs and state changes of this one record exceed a commit of {bytes_max} bytes"
        ),
    }
}

/// Cuts a message to what a commit keeps of it, at a character.
fn shortened(message: &str) -> String {
    let mut end = message.len().min(millstream_core::slice::FAILURE_MESSAGE_BYTES_MAX);
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    message[..end].to_owned()
}

/// Leaves each key its first timer: what fires may delete or set the key's later ones. If other stages read what is
/// emitted, `in_order` also leaves out what is behind the first timer left out: they merge partitions by the times of timers.
fn one_per_key(due: &mut Vec<Timer>, in_order: bool) {
    let mut seen = std::collections::HashSet::new();
    if in_order {
        let count = due.iter().take_while(|t| seen.insert(t.key().to_vec())).count();
        due.truncate(count);
    } else {
        due.retain(|t| seen.insert(t.key().to_vec()));
    }
}

#[cfg(test)]
mod tests {
    use millstream_core::timers::TimerQueue;

    use super::one_per_key;

    #[test]
    fn a_call_has_one_timer_per_key_and_if_asked_leaves_none_out_between() {
        let mut queue = TimerQueue::default();
        for (time, key) in [(1, b"a"), (2, b"b"), (3, b"a"), (4, b"c")] {
            queue.set(time, key, 0);
        }
        let times = |in_order| {
            let mut due = queue.iter().cloned().collect();
            one_per_key(&mut due, in_order);
            due.iter().map(|timer| timer.time).collect::<Vec<_>>()
        };
        assert_eq!(times(false), [1, 2, 4]);
        assert_eq!(times(true), [1, 2]);
    }
}
