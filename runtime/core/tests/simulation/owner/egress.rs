//! The way of an owner's outputs into the sinks, of which the second may be transactional.

use millstream_core::egress::{
    Egress, EgressConfig, MessageId, TransactionalConfig, TransactionalEgress,
};
use millstream_core::ids::{CommitNumber, LogPoint, Sequence};
use millstream_core::incident::Incident;
use millstream_core::outputs::Outputs;
use millstream_core::partition::{EgressReport, Event as Input};
use millstream_core::slice::{EgressCursor, OutputPoint};

use crate::faults::{Bug, Fault};
use crate::network::{OwnerId, Request};
use crate::servers::sink::CursorEntry;
use crate::world::World;

use super::Life;

/// The way into a sink.
pub(super) enum Way {
    Deduplicated(Box<Egress>),
    Transactional {
        egress: Box<TransactionalEgress>,
        /// A read of the cursor record is under way.
        asked: bool,
        /// It met something that contradicts the log.
        ended: bool,
    },
}

impl Way {
    pub(super) fn is_settled(&self) -> bool {
        match self {
            Self::Deduplicated(egress) => egress.is_settled(),
            Self::Transactional { egress, .. } => egress.is_settled(),
        }
    }

    fn report(&mut self) -> EgressReport {
        match self {
            Self::Deduplicated(egress) => egress.report(),
            Self::Transactional { egress, .. } => egress.report(),
        }
    }

    pub(super) fn deduplicated(&mut self) -> &mut Egress {
        match self {
            Self::Deduplicated(egress) => egress,
            Self::Transactional { .. } => panic!("the sink is transactional"),
        }
    }
}

impl World {
    pub(super) fn open_egress(
        &mut self,
        id: OwnerId,
        cursors: &[EgressCursor],
        takeover: CommitNumber,
        confirmed_at_ms: i64,
    ) {
        let topology = self.lives.topology(self.owners[id].lane).clone();
        let (stage, partition) = topology.at(self.owners[id].lane);
        for (sink, &cursor) in cursors.iter().enumerate() {
            let outputs = topology.outputs_to(stage, sink);
            let pipeline = self.lives.pipeline(self.owners[id].lane);
            self.owners[id].reported.push(cursor);
            if sink == 1 && self.plan.transactional {
                let config = TransactionalConfig {
                    pipeline,
                    partition,
                    outputs,
                    batch_outputs_max: 1 + self.rng.below(6) as usize,
                    batch_bytes_max: 1_000,
                };
                let egress = TransactionalEgress::new(config, cursor, takeover, confirmed_at_ms);
                let egress = Box::new(egress);
                self.owners[id].egress.push(Way::Transactional {
                    egress,
                    asked: false,
                    ended: false,
                });
                continue;
            }
            let config = EgressConfig {
                partition,
                outputs,
                in_flight_max: 1 + self.rng.below(6) as usize,
                duplicate_window_ms: self.plan.duplicate_window_ms,
            };
            let egress = Egress::new(config, cursor, takeover, confirmed_at_ms);
            self.owners[id].egress.push(Way::Deduplicated(Box::new(egress)));
        }
    }

    pub(super) fn offer(
        &mut self,
        id: OwnerId,
        point: LogPoint,
        outputs: &Outputs,
        confirmed_at_ms: i64,
    ) {
        for sink in 0..self.owners[id].egress.len() {
            let outputs = outputs.clone();
            let offered = match &mut self.owners[id].egress[sink] {
                Way::Deduplicated(egress) => {
                    egress.offer(point, outputs, confirmed_at_ms);
                    Ok(())
                }
                Way::Transactional { egress, .. } => egress.offer(point, outputs, confirmed_at_ms),
            };
            self.borne_out(id, sink, offered);
        }
    }

    /// What contradicts the log ends an egress, and its partition if that still is its own.
    fn borne_out<T>(&mut self, id: OwnerId, sink: usize, result: Result<T, Incident>) {
        let (Err(incident), Way::Transactional { ended, .. }) =
            (result, &mut self.owners[id].egress[sink])
        else {
            return;
        };
        *ended = true;
        self.drive(id, Input::Incident(incident));
    }

    pub(super) fn batch_published(&mut self, id: OwnerId, sink: usize, sequence: Option<Sequence>) {
        if let Way::Transactional { egress, .. } = &mut self.owners[id].egress[sink] {
            match sequence {
                Some(sequence) => egress.acknowledged(sequence),
                None => egress.failed(),
            }
        }
        self.pump(id);
    }

    pub(super) fn record_read(
        &mut self,
        id: OwnerId,
        sink: usize,
        asked_at_ms: i64,
        record: Option<&CursorEntry>,
    ) {
        if let Way::Transactional { egress, asked, .. } = &mut self.owners[id].egress[sink] {
            *asked = false;
            let record = record.map(|(sequence, bytes)| (*sequence, &bytes[..]));
            let read = egress.record_was_read(record, asked_at_ms);
            self.borne_out(id, sink, read);
        }
        self.pump(id);
    }

    /// The next request of a sink, if there is one.
    fn next_request(&mut self, id: OwnerId, sink: usize, now: i64, wall: i64) -> Option<Request> {
        match &mut self.owners[id].egress[sink] {
            Way::Deduplicated(egress) => {
                if let Some(publication) = egress.next(now).cloned() {
                    return Some(Request::Publish { sink, publication });
                }
                egress.wants_sink_read(wall).map(|above| Request::ReadSink { sink, above })
            }
            Way::Transactional { ended: true, .. } => None,
            Way::Transactional { egress, asked, .. } => {
                if egress.wants_record() && !std::mem::replace(asked, true) {
                    return Some(Request::ReadRecord { sink, asked_at_ms: wall });
                }
                egress.next_batch().map(|batch| Request::PublishBatch { sink, batch })
            }
        }
    }

    pub(super) fn sink_read(&mut self, id: OwnerId, sink: usize, ids: &[(String, Sequence)]) {
        let lane = self.owners[id].lane;
        let (_, partition) = self.lives.topology(lane).at(lane);
        for (text, sequence) in ids {
            let Ok(message) = text.parse::<MessageId>() else { continue };
            if self.bug == Some(Bug::SinkNotRead) {
                continue;
            }
            if message.partition == partition {
                self.fire(Fault::FoundInSink);
            }
            self.owners[id].egress[sink].deduplicated().found(&message, *sequence);
        }
        self.owners[id].egress[sink].deduplicated().sink_was_read();
        self.pump(id);
    }

    /// Publishes what may be published, and tells the partition how far the sinks are.
    pub(super) fn pump(&mut self, id: OwnerId) {
        let up_at = self.broker_up_at.max(self.sinks_up_at);
        if self.owners[id].life != Life::Awake || self.now < up_at {
            return;
        }
        for sink in 0..self.owners[id].egress.len() {
            let wall = self.wall(id);
            let now = if self.bug == Some(Bug::OwnershipNotConfirmed) { 0 } else { wall };
            while let Some(request) = self.next_request(id, sink, now, wall) {
                self.send(id, request);
            }
            let owner = &mut self.owners[id];
            let report = owner.egress[sink].report();
            let news = report.published || report.cursor != owner.reported[sink];
            if news && self.bug != Some(Bug::CursorAhead) {
                owner.reported[sink] = report.cursor;
                self.drive(id, Input::Egress(report));
            }
        }
    }

    /// A planted bug: the cursor passes outputs that were only handed out.
    pub(super) fn claim_published(&mut self, id: OwnerId, point: LogPoint, count: u32) {
        for sink in 0..2 {
            let cursor = EgressCursor {
                sink,
                through: OutputPoint { commit: point.number, count },
                read_from: Sequence(point.sequence.0 + 1),
                sink_sequence: self.sinks[usize::from(sink)].last(),
            };
            self.drive(id, Input::Egress(EgressReport { cursor, published: count > 0 }));
        }
    }
}
