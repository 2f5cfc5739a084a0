//! What an operator tells the stages that read it, and how far it is in those that it reads.

use std::sync::Arc;

use millstream_core::exchange::merge::Anchor;
use millstream_core::exchange::{ADVANCE_BYTES_MAX, Cause, Ordering, Standing, UpstreamPosition};
use millstream_core::ids::{SourceId, WATERMARK_MAX};
use millstream_core::slice::{CallKind, Slice, SourcePosition};

use super::{Executor, Room};
use crate::input::watermark_of;

/// The input whose sequences order the causes of a stage that has no other.
const ONLY_INPUT: usize = 0;

impl Executor {
    /// With [`Ordering::Sequence`]: the order of what happens now.
    fn order(&self) -> i64 {
        let position = &self.positions[ONLY_INPUT];
        // The end of a stream is behind its last record; the end of a merged input has a number of its own.
        let ended = position.max_event_time == WATERMARK_MAX && self.upstream[ONLY_INPUT].is_none();
        position.sequence.0 as i64 + i64::from(ended)
    }

    /// What caused the outputs of record or timer `index` of the call at hand.
    pub(super) fn cause_of(&self, ordering: Ordering, kind: CallKind, index: usize) -> Cause {
        match kind {
            CallKind::Process => {
                let chunk = self.queue.front().expect("a call is made from a chunk");
                if ordering == Ordering::Sequence && usize::from(chunk.source.0) == ONLY_INPUT {
                    Cause::Record { order: chunk.origins[self.at.record + index].sequence as i64 }
                } else {
                    Cause::Arrival
                }
            }
            CallKind::OnTimer => {
                let batch = &self.buffers.timer_batch;
                let timer = batch.timers[index] as u16;
                if !self.is_event_timer(timer) {
                    return Cause::Arrival;
                }
                ordering.of_timer(self.order(), batch.times[index], timer)
            }
        }
    }

    /// Notes the advances of the first chunk up to `until` for the stages that read this one.
    pub(super) fn tell_advances(&mut self, slice: &mut Slice, until: usize) {
        let chunk = self.queue.front().expect("advances belong to a chunk");
        let source = usize::from(chunk.source.0);
        let told = self.at.told.max(self.at.advance);
        if !self.tells_advances(source) || until <= told {
            return;
        }
        let Some(exchange) = slice.exchange.as_mut() else { return };
        let bound_ms = self.options.sources[source].bound_ms;
        let passed = chunk.scan.advances[told..until].iter();
        exchange.advances.extend(
            passed.map(|&(sequence, time)| (sequence as i64, watermark_of(time, bound_ms))),
        );
        self.at.told = until;
    }

    fn tells_advances(&self, source: usize) -> bool {
        source == ONLY_INPUT && self.options.feeding.is_some_and(|f| f.tells_advances)
    }

    /// Whether the advances of the first chunk might make the slice too large. An empty slice has room for them.
    pub(super) fn tells_too_much(&self, slice: &Slice, room: &Room) -> bool {
        let Some(chunk) = self.queue.front() else { return false };
        let left = chunk.scan.advances.len() - self.at.advance;
        self.tells_advances(usize::from(chunk.source.0))
            && !slice.calls.is_empty()
            && slice.encoded_bytes_max() + left * ADVANCE_BYTES_MAX > room.bytes_max
    }

    /// The first chunk is the last of its stream.
    pub(super) fn end_input(&mut self, slice: &mut Slice, source: usize) {
        let first = self.positions[source].max_event_time != WATERMARK_MAX;
        self.positions[source].max_event_time = WATERMARK_MAX;
        let (order, tells) = (self.order(), self.tells_advances(source));
        if let Some(exchange) = slice.exchange.as_mut().filter(|_| tells && first) {
            exchange.advances.push((order, WATERMARK_MAX));
        }
    }

    /// Completes the slice with positions and, for the stages that read this one, how far it is.
    pub(super) fn close_exchange(&mut self, slice: &mut Slice) {
        if let (Some(feeding), Some(exchange)) = (self.options.feeding, &mut slice.exchange) {
            exchange.fit(slice.outputs.count());
            // Timers that the last record made due may be left.
            let settled = self.combined_watermark() <= self.watermark;
            exchange.frontier = feeding.ordering.frontier(self.order(), settled, self.watermark);
            let timed = self.positions.iter().zip(&self.options.sources).filter(|(_, s)| s.timed);
            exchange.idle = timed.map(|(position, _)| position).all(|position| position.idle);
        }
        slice.upstream.clear();
        for (standing, position) in self.upstream.iter().zip(&mut self.positions) {
            if let Some(standing) = standing {
                standing.record(position, &mut slice.upstream);
            }
        }
        slice.positions.clone_from(&self.positions);
    }

    /// Takes over how far a commit of the log was in other stages' outputs.
    pub(super) fn redo_upstream(&mut self, slice: &Slice) {
        for (source, standing) in self.upstream.iter_mut().enumerate() {
            let Some(partitions) = self.options.sources[source].upstream else { continue };
            let id = SourceId(source as u16);
            let recorded = Standing::recorded(id, partitions, &slice.positions, &slice.upstream);
            if recorded.is_some() {
                *standing = recorded;
            }
        }
    }

    /// Forgets what was handed over, at a commit boundary; says from where on it must be handed over again.
    pub fn reread(&mut self) -> (Vec<SourcePosition>, Vec<UpstreamPosition>) {
        self.clear_queue();
        let (mut positions, mut upstream) = (self.positions.clone(), Vec::new());
        for (standing, position) in self.upstream.iter().zip(&mut positions) {
            if let Some(standing) = standing {
                standing.record(position, &mut upstream);
            }
        }
        (positions, upstream)
    }

    /// Per source, if it is another stage, where its merged outputs are applied.
    pub fn merged(&self) -> impl Iterator<Item = Option<&Arc<Anchor>>> {
        self.upstream.iter().map(|standing| standing.as_ref().map(Standing::anchor))
    }

    /// The next `count` records of the first chunk, if they are another stage's outputs, are done.
    pub(super) fn take_merged(&mut self, count: usize) {
        let chunk = self.queue.front().expect("records belong to a chunk");
        let source = usize::from(chunk.source.0);
        if let (Some(merged), Some(standing)) = (&chunk.merged, &mut self.upstream[source]) {
            for &(partition, behind) in &merged.places[self.at.record..self.at.record + count] {
                standing.apply(&merged.from, partition, behind);
            }
        }
    }

    /// The next undecodable record of the first chunk, if it is another stage's output, is done.
    pub(super) fn bury_merged(&mut self) {
        let chunk = self.queue.front().expect("an undecodable record belongs to a chunk");
        let source = usize::from(chunk.source.0);
        if let (Some(merged), Some(standing)) = (&chunk.merged, &mut self.upstream[source]) {
            let (partition, behind) = merged.undecodable[self.at.undecodable];
            standing.apply(&merged.from, partition, behind);
        }
    }
}
