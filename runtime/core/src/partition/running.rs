//! Committing: one append in flight, the next slice growing behind it.

use bytes::Bytes;

use super::{
    Action, Computed, Halt, InFlight, Next, Operator, Partition, Phase, Stopped, retry_ms,
};
use crate::append::{AppendReply, Attempt};
use crate::commit::{CommitHeader, CommitKind, encode};
use crate::exchange::Exchange;
use crate::ids::{CommitNumber, LogPoint, Sequence};
use crate::incident::Incident;
use crate::outputs::Outputs;
use crate::slice::{CURSOR_BYTES_MAX, OutputPoint, Slice};

impl<O: Operator> Partition<O> {
    /// Sends what is ready and computes once.
    pub(super) fn turn(&mut self, now_ms: i64, out: &mut Vec<Action>) -> Result<(), Stopped> {
        if matches!(self.phase, Phase::Running) {
            self.seal_if_ready(now_ms, out)?;
            self.compute(now_ms)?;
        }
        if matches!(self.phase, Phase::Running | Phase::Draining(_)) {
            self.seal_if_ready(now_ms, out)?;
        }
        self.finish_confirming(now_ms, out)?;
        self.finish_drain()
    }

    /// An incident stands if this owner can still commit.
    pub(super) fn confirm(&mut self, incident: Incident) {
        match self.phase {
            Phase::Running | Phase::Draining(_) => {}
            Phase::Confirming { .. } => return,
            _ => self.begin_next(),
        }
        self.phase = Phase::Confirming { incident, sent: false };
    }

    fn finish_confirming(&mut self, now_ms: i64, out: &mut Vec<Action>) -> Result<(), Stopped> {
        match &mut self.phase {
            Phase::Confirming { incident, sent: true } if self.in_flight.is_none() => {
                Err(Stopped::Incident(incident.clone()))
            }
            // What is in flight was sent before, so it proves nothing.
            Phase::Confirming { sent, .. } if self.in_flight.is_none() => {
                *sent = true;
                self.seal(now_ms, out)
            }
            _ => Ok(()),
        }
    }

    fn compute(&mut self, now_ms: i64) -> Result<(), Stopped> {
        if !self.may_compute() {
            return Ok(());
        }
        if !self.next.work {
            self.next.slice.processing_time = self.next.slice.processing_time.max(now_ms);
        }
        let ahead = u64::from(self.in_flight.is_some());
        let number = CommitNumber(self.last.point.number.0 + 1 + ahead);
        let bytes_max = self.config.commit_bytes_max - self.config.sinks.len() * CURSOR_BYTES_MAX;
        match self.operator.compute(number, bytes_max, &mut self.next.slice) {
            Ok(Computed::Nothing) => self.input = false,
            Ok(Computed::Some) => self.next.work = true,
            Ok(Computed::Full) => {
                self.next.work = true;
                self.next.full = true;
            }
            Err(halt @ Halt::Fault(_)) => return Err(Stopped::Halted(halt)),
            Err(halt @ Halt::Poison(_)) => {
                // What comes before the poison is good, and must not be computed again.
                self.next.work = true;
                self.phase = Phase::Draining(Stopped::Halted(halt));
            }
        }
        Ok(())
    }

    fn seal_if_ready(&mut self, now_ms: i64, out: &mut Vec<Action>) -> Result<(), Stopped> {
        if self.in_flight.is_some() || !(self.next.work || self.wants_empty(now_ms)) {
            return Ok(());
        }
        self.seal(now_ms, out)
    }

    /// Sends what is computed.
    fn seal(&mut self, now_ms: i64, out: &mut Vec<Action>) -> Result<(), Stopped> {
        self.anchor = false;
        let mut following = std::mem::take(&mut self.spare);
        let computed = &self.next.slice;
        following.processing_time = computed.processing_time;
        following.watermark = computed.watermark;
        following.positions.clone_from(&computed.positions);
        following.upstream.clone_from(&computed.upstream);
        following.exchange = computed.exchange.as_ref().map(Exchange::repeated);
        let next = Next { slice: following, ..Next::default() };
        let slice = std::mem::replace(&mut self.next, next).slice;
        self.send(now_ms, CommitKind::Commit, slice, out)
    }

    /// Whether a commit without any work is due.
    fn wants_empty(&self, now_ms: i64) -> bool {
        self.anchor
            || self.wake_at().is_some_and(|at| at <= now_ms)
            || (matches!(self.phase, Phase::Draining(_))
                && self.cursors.backlog_bytes() == 0
                && !self.is_recorded())
    }

    /// Makes a record of `slice` behind the last one and sends it.
    pub(super) fn send(
        &mut self,
        now_ms: i64,
        kind: CommitKind,
        slice: Slice,
        out: &mut Vec<Action>,
    ) -> Result<(), Stopped> {
        let header = CommitHeader {
            kind,
            generation: self.generation,
            owner: self.config.owner,
            pipeline: self.config.pipeline,
            number: CommitNumber(self.last.point.number.0 + 1),
            prev_hash: self.last.point.hash,
            module: self.config.module,
        };
        let message = &mut self.encoded;
        let cursors = self.cursors.current();
        let hash = encode(&header, &slice, &cursors, self.config.compression, message);
        if message.len() > self.config.commit_bytes_max {
            let (bytes, limit) = (message.len(), self.config.commit_bytes_max);
            return Err(Stopped::Incident(Incident::CommitTooLarge { bytes, limit }));
        }
        self.cursors.recorded();
        let expected = self.last.point.sequence;
        let message = Bytes::copy_from_slice(message);
        out.push(Action::Append { message: message.clone(), expected, delay_ms: 0 });
        self.in_flight = Some(InFlight {
            attempt: Attempt { kind, generation: self.generation, hash, expected },
            number: header.number,
            message,
            slice,
            sinks_need: cursors.iter().map(|cursor| cursor.read_from).min(),
            first_sent_at_ms: now_ms,
            retries: 0,
            refused: false,
        });
        Ok(())
    }

    pub(super) fn send_again(&mut self, out: &mut Vec<Action>) {
        let Some(in_flight) = &mut self.in_flight else { return };
        let delay_ms = retry_ms(in_flight.retries);
        in_flight.retries += 1;
        let message = in_flight.message.clone();
        out.push(Action::Append { message, expected: in_flight.attempt.expected, delay_ms });
    }

    pub(super) fn on_append(
        &mut self,
        reply: AppendReply,
        out: &mut Vec<Action>,
    ) -> Result<(), Stopped> {
        let Some(in_flight) = &mut self.in_flight else { return Ok(()) };
        match reply {
            AppendReply::Acknowledged(sequence) => return self.landed(sequence, out),
            AppendReply::Unknown | AppendReply::Full => self.send_again(out),
            AppendReply::Refused => {
                in_flight.refused = true;
                out.push(Action::ReadTail);
            }
        }
        Ok(())
    }

    /// The record in flight is in the log.
    pub(super) fn landed(
        &mut self,
        sequence: Sequence,
        out: &mut Vec<Action>,
    ) -> Result<(), Stopped> {
        let Some(in_flight) = self.in_flight.take() else { return Ok(()) };
        let InFlight { attempt, number, mut slice, sinks_need, first_sent_at_ms, .. } = in_flight;
        let point = LogPoint { number, hash: attempt.hash, sequence };
        self.confirmed_at_ms = self.confirmed_at_ms.max(first_sent_at_ms);
        self.last.point = point;
        self.last.processing_time = slice.processing_time;
        self.last.watermark = slice.watermark;
        self.last.positions.clone_from(&slice.positions);
        self.last.upstream.clone_from(&slice.upstream);
        self.last.exchange = slice.exchange.as_ref().map(Exchange::repeated);
        self.last.sinks_need = sinks_need;
        if attempt.kind == CommitKind::Takeover {
            return self.taken_over(out);
        }
        self.operator.acknowledged(point);
        let outputs = std::mem::take(&mut slice.outputs).freeze();
        self.hand_out(point, outputs, slice.exchange.take(), out);
        slice.clear();
        self.spare = slice;
        Ok(())
    }

    pub(super) fn hand_out(
        &mut self,
        point: LogPoint,
        outputs: Outputs,
        exchange: Option<Exchange>,
        out: &mut Vec<Action>,
    ) {
        let end = OutputPoint { commit: point.number, count: outputs.count() };
        self.cursors.handed_out(end, outputs.len());
        let confirmed_at_ms = self.confirmed_at_ms;
        out.push(Action::Committed { point, outputs, exchange, confirmed_at_ms });
    }

    /// Begins the first slice behind the takeover.
    pub(super) fn begin_next(&mut self) {
        let slice = self.repeated();
        self.next = Next { slice, ..Next::default() };
    }

    pub(super) fn on_drain(&mut self) -> Result<(), Stopped> {
        match self.phase {
            Phase::Running => self.phase = Phase::Draining(Stopped::Drained),
            Phase::Draining(_) | Phase::Confirming { .. } | Phase::Stopped => {}
            // Nothing was computed yet; what the sinks lack is the next owner's to publish.
            _ => return Err(Stopped::Drained),
        }
        Ok(())
    }

    fn finish_drain(&mut self) -> Result<(), Stopped> {
        match &self.phase {
            Phase::Draining(stopped) if self.is_settled() && self.is_recorded() => {
                Err(stopped.clone())
            }
            _ => Ok(()),
        }
    }
}
