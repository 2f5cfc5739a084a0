//! From the tail of the log to [`Phase::Running`].

use super::{Action, EMPTY_READS_MAX, Operator, Partition, Phase, Replay, Stopped, retry_ms};
use crate::append::{AfterRefusal, LastRecord, after_refusal};
use crate::commit::{CommitKind, hash_of};
use crate::exchange::Exchange;
use crate::ids::{CommitNumber, Generation, LogPoint, Sequence};
use crate::incident::Incident;
use crate::recovery::{BEFORE_FIRST, Chain, LocalState, StoredRecord, decode, is_point, read_from};
use crate::slice::OutputPoint;

impl<O: Operator> Partition<O> {
    pub(super) fn on_tail(
        &mut self,
        now_ms: i64,
        tail: Option<StoredRecord>,
        out: &mut Vec<Action>,
    ) -> Result<(), Stopped> {
        match &self.phase {
            Phase::ReadingTail => self.take_over(now_ms, tail, out),
            _ if self.in_flight.as_ref().is_some_and(|in_flight| in_flight.refused) => {
                self.after_refusal(now_ms, tail, out)
            }
            _ => Ok(()),
        }
    }

    /// Appends a takeover behind the tail. It repeats what the tail says of the partition.
    fn take_over(
        &mut self,
        now_ms: i64,
        tail: Option<StoredRecord>,
        out: &mut Vec<Action>,
    ) -> Result<(), Stopped> {
        self.generation = Generation(1);
        if let Some(tail) = tail {
            let record = decode(&tail, self.config.pipeline).map_err(Stopped::Incident)?;
            if record.slice.seal.is_some_and(|seal| seal.holds_at(self.recorded)) {
                return Err(Stopped::Fenced { by: record.header.generation });
            }
            let point = LogPoint {
                number: record.header.number,
                hash: hash_of(&tail.message),
                sequence: tail.sequence,
            };
            self.generation = Generation(record.header.generation.0 + 1);
            self.cursors.adopt(&record.egress, point);
            self.last.point = point;
            self.last.processing_time = record.slice.processing_time;
            self.last.watermark = record.slice.watermark;
            self.last.positions = record.slice.positions;
            self.last.upstream = record.slice.upstream;
            self.last.exchange = record.slice.exchange.as_ref().map(Exchange::repeated);
        }
        let slice = self.repeated();
        self.phase = Phase::TakingOver;
        self.send(now_ms, CommitKind::Takeover, slice, out)
    }

    /// An append was refused, and this is the last record.
    fn after_refusal(
        &mut self,
        now_ms: i64,
        tail: Option<StoredRecord>,
        out: &mut Vec<Action>,
    ) -> Result<(), Stopped> {
        let Some(in_flight) = &mut self.in_flight else { return Ok(()) };
        in_flight.refused = false;
        let last = match &tail {
            Some(tail) => {
                let record = decode(tail, self.config.pipeline).map_err(Stopped::Incident)?;
                Some(LastRecord {
                    sequence: tail.sequence,
                    hash: hash_of(&tail.message),
                    generation: record.header.generation,
                    kind: record.header.kind,
                })
            }
            None => None,
        };
        let attempt = in_flight.attempt;
        match (after_refusal(&attempt, last.as_ref()), last) {
            (AfterRefusal::Landed(sequence), _) => self.landed(sequence, out),
            (AfterRefusal::Retry, _) => {
                self.send_again(out);
                Ok(())
            }
            (AfterRefusal::Moved, _) => {
                self.in_flight = None;
                self.take_over(now_ms, tail, out)
            }
            (AfterRefusal::Fenced { by }, _) => Err(Stopped::Fenced { by }),
            (AfterRefusal::Foreign, Some(last)) => Err(Stopped::Incident(Incident::ForeignWrite {
                sequence: last.sequence,
                found: last.generation,
                own: attempt.generation,
            })),
            (AfterRefusal::Foreign | AfterRefusal::Vanished, _) => {
                Err(Stopped::Incident(Incident::LogVanished { expected: attempt.expected }))
            }
        }
    }

    /// The takeover is in the log: from here on nobody else writes.
    pub(super) fn taken_over(&mut self, out: &mut Vec<Action>) -> Result<(), Stopped> {
        out.push(Action::TakenOver {
            point: self.last.point,
            generation: self.generation,
            cursors: self.cursors.current(),
            confirmed_at_ms: self.confirmed_at_ms,
        });
        self.check_local(out)
    }

    /// Looks at what the operator's database says of itself.
    fn check_local(&mut self, out: &mut Vec<Action>) -> Result<(), Stopped> {
        let Some(local) = self.operator.local() else {
            return self.replay(BEFORE_FIRST, out);
        };
        // The takeover is ours and nobody's effect.
        if local.is_below(CommitNumber(self.last.point.number.0 - 1)) {
            self.phase = Phase::Checking { local, open: local.points().collect() };
            self.check_next_point(out)
        } else {
            self.reject_local(local, out)
        }
    }

    fn check_next_point(&mut self, out: &mut Vec<Action>) -> Result<(), Stopped> {
        let Phase::Checking { local, open } = &self.phase else { return Ok(()) };
        match open.front() {
            Some(point) => {
                out.push(Action::ReadRecord { sequence: point.sequence });
                Ok(())
            }
            None => self.replay(local.redo_from, out),
        }
    }

    pub(super) fn on_record(
        &mut self,
        found: Option<StoredRecord>,
        out: &mut Vec<Action>,
    ) -> Result<(), Stopped> {
        let Phase::Checking { local, open } = &mut self.phase else { return Ok(()) };
        let Some(point) = open.pop_front() else { return Ok(()) };
        if is_point(&point, found.as_ref()) {
            self.check_next_point(out)
        } else {
            let local = *local;
            self.reject_local(local, out)
        }
    }

    /// The database is of another history than the log.
    fn reject_local(&mut self, local: LocalState, out: &mut Vec<Action>) -> Result<(), Stopped> {
        if self.restored.is_some() {
            let (redo_from, newest) = (local.redo_from.number, local.newest.number);
            self.restore(Incident::CheckpointNotInLog { redo_from, newest }, out);
            return Ok(());
        }
        self.operator.wipe();
        out.push(Action::Wiped { local });
        self.replay(BEFORE_FIRST, out)
    }

    fn replay(&mut self, redo_from: LogPoint, out: &mut Vec<Action>) -> Result<(), Stopped> {
        let chain = Chain::new(self.config.pipeline);
        let from = read_from(&redo_from, &self.cursors.current());
        self.phase =
            Phase::Replaying(Replay { chain, redo_from, from, empty_reads: 0, started: false });
        out.push(Action::ReadRecords { from, delay_ms: 0 });
        Ok(())
    }

    pub(super) fn on_records(
        &mut self,
        records: &[StoredRecord],
        out: &mut Vec<Action>,
    ) -> Result<(), Stopped> {
        let last = self.last.point.number;
        let Phase::Replaying(replay) = &mut self.phase else { return Ok(()) };
        if records.is_empty() {
            // The takeover must still come. A replica that is behind does not have it yet.
            replay.empty_reads += 1;
            if replay.empty_reads > EMPTY_READS_MAX {
                return Err(Stopped::Incident(Incident::RecordsMissing { number: last }));
            }
            out.push(Action::ReadRecords {
                from: replay.from,
                delay_ms: retry_ms(replay.empty_reads),
            });
            return Ok(());
        }
        replay.empty_reads = 0;
        for stored in records {
            if !self.replay_record(stored, out)? {
                return Ok(());
            }
        }
        // However far the sinks are behind: what they lack is bounded by the earlier owner's own limit.
        if let Phase::Replaying(replay) = &self.phase {
            out.push(Action::ReadRecords { from: replay.from, delay_ms: 0 });
        }
        Ok(())
    }

    /// Applies one record; false when replay is over or something else must come first.
    fn replay_record(
        &mut self,
        stored: &StoredRecord,
        out: &mut Vec<Action>,
    ) -> Result<bool, Stopped> {
        let Phase::Replaying(replay) = &mut self.phase else { return Ok(false) };
        let (record, point) = match replay.chain.accept(stored) {
            Ok(accepted) => accepted,
            // Trimmed under a reader that had started below the oldest checkpoint.
            Err(Incident::OutOfOrder { expected, found, .. }) if found > expected => {
                self.restore(Incident::NoCheckpoint { first: found }, out);
                return Ok(false);
            }
            Err(incident) => return Err(Stopped::Incident(incident)),
        };
        replay.from = Sequence(point.sequence.0 + 1);
        let redo_from = replay.redo_from;
        if !replay.started {
            replay.started = true;
            if point.number > redo_from.number.max(CommitNumber(1)) {
                self.restore(Incident::NoCheckpoint { first: point.number }, out);
                return Ok(false);
            }
            self.check_outputs(point.number).map_err(Stopped::Incident)?;
        }
        for known in [redo_from, self.last.point] {
            if known.number == point.number && known.hash != point.hash {
                return Err(Stopped::Incident(Incident::ChainBroken {
                    number: point.number,
                    sequence: point.sequence,
                    expected: known.hash,
                    found: point.hash,
                }));
            }
        }
        if point.number > redo_from.number {
            self.operator.redo(&record, point).map_err(Stopped::Incident)?;
        }
        let oldest = self.cursors.oldest().map_or(CommitNumber(u64::MAX), |oldest| oldest.commit);
        if point.number >= oldest {
            self.hand_out(point, record.slice.outputs.freeze(), None, out);
        }
        if point.number < self.last.point.number {
            return Ok(true);
        }
        self.phase = Phase::Running;
        self.begin_next();
        self.input = true;
        out.push(Action::Running {
            positions: self.last.positions.clone(),
            upstream: self.last.upstream.clone(),
        });
        Ok(false)
    }

    /// Whether the log reaches back far enough for every sink.
    fn check_outputs(&self, first: CommitNumber) -> Result<(), Incident> {
        for cursor in self.cursors.current() {
            let OutputPoint { commit, .. } = cursor.through;
            let needed = CommitNumber(commit.0 + 1);
            if first > needed {
                return Err(Incident::OutputsTrimmed { sink: cursor.sink, needed, first });
            }
        }
        Ok(())
    }

    /// The log no longer has the beginning, so the state must come from a checkpoint; `missing` if there is none. While one is being
    /// restored, a former owner may store others and the log be trimmed up to those: then there is a newer one.
    fn restore(&mut self, missing: Incident, out: &mut Vec<Action>) {
        self.operator.wipe();
        self.phase = Phase::Restoring(missing);
        out.push(Action::Restore);
    }

    pub(super) fn on_restored(
        &mut self,
        found: bool,
        out: &mut Vec<Action>,
    ) -> Result<(), Stopped> {
        let Phase::Restoring(missing) = &self.phase else { return Ok(()) };
        let local = self.operator.local().unwrap_or_default();
        let number = |local: &LocalState| local.redo_from.number;
        let is_newer = self.restored.is_none_or(|before| number(&before) < number(&local));
        if !found || !is_newer {
            return Err(Stopped::Incident(missing.clone()));
        }
        self.restored = Some(local);
        self.check_local(out)
    }
}
