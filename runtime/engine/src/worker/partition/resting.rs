//! A partition comes to rest at a barrier: it applies its inputs up to a place, fires what is due, commits, lets the sinks
//! catch up, and then computes nothing until it is told to go on.

use std::sync::Arc;

use bytes::Bytes;
use millstream_core::exchange::Place;
use millstream_core::ids::Sequence;
use millstream_core::partition::Event;
use millstream_state::Checkpoint;
use tokio::sync::oneshot;

use super::Running;
use crate::crash::{self, Step};

/// How far an input must be applied.
#[derive(Clone, Debug)]
pub enum Reach {
    /// Up to this sequence of a stream.
    Sequence(Sequence),
    /// Up to these records of another stage's partitions.
    Records(Arc<Vec<Sequence>>),
}

/// What a partition at rest has for a savepoint.
pub struct Rested {
    /// Its state.
    pub checkpoint: Checkpoint,
    /// Where it stands, as a record of the log.
    pub standing: Bytes,
    /// SHA-256 of its module, hexadecimal.
    pub module: String,
}

/// Where a partition is on its way to rest.
pub(super) enum Resting {
    /// It goes on until its inputs are applied so far, one per input in their order, and nothing is left to do.
    Reaching(Vec<Reach>, oneshot::Sender<Result<Rested, String>>),
    /// It computes nothing more; what it has passed over has to get into the log.
    Recording(oneshot::Sender<Result<Rested, String>>),
    /// It rests.
    There,
}

impl Running {
    /// Whether nothing is to be computed for the sake of a barrier.
    pub(super) fn rests(&self) -> bool {
        matches!(self.resting, Some(Resting::Recording(_) | Resting::There))
    }

    /// Goes a step further on the way to rest, if it is on it.
    pub(super) fn rest(&mut self) {
        let machine = &self.task.machine;
        if !machine.is_running() || !machine.is_settled() {
            return;
        }
        match &self.resting {
            Some(Resting::Reaching(reach, _))
                if !machine.wants_turn() && self.has_reached(reach) => {}
            Some(Resting::Recording(_)) if machine.is_recorded() => {}
            _ => return,
        }
        match self.resting.take() {
            Some(Resting::Reaching(_, done)) => {
                self.resting = Some(Resting::Recording(done));
                self.hold();
                // Another look comes with it.
                let event =
                    if self.task.machine.is_recorded() { Event::Input } else { Event::Anchor };
                self.answers.push(Box::pin(std::future::ready(event)));
            }
            Some(Resting::Recording(done)) => {
                self.resting = Some(Resting::There);
                let _ = done.send(self.rested());
            }
            _ => {}
        }
    }

    fn has_reached(&self, reach: &[Reach]) -> bool {
        let executor = &self.task.machine.operator().executor;
        let mut inputs = executor.positions().iter().zip(executor.merged());
        executor.queued() == 0
            && reach.iter().all(|reach| {
                let Some((position, merged)) = inputs.next() else { return false };
                match reach {
                    Reach::Sequence(sequence) => position.sequence >= *sequence,
                    Reach::Records(records) => merged.is_some_and(|anchor| {
                        let is_behind = |(place, record): (&Place, &Sequence)| {
                            *place >= Place { commit: *record, outputs: u32::MAX }
                        };
                        anchor.places.iter().zip(records.iter()).all(is_behind)
                    }),
                }
            })
    }

    fn rested(&mut self) -> Result<Rested, String> {
        let last = self.task.machine.last();
        let standing = self.task.machine.standing();
        let operator = self.task.machine.operator_mut();
        let target = operator.dir().with_extension(format!("savepoint-{}", last.number.0));
        millstream_state::wipe(&target).map_err(|error| error.to_string())?;
        let module = operator.executor.options().module.clone();
        crash::before(Step::TakeCheckpoint);
        let taken = operator.executor.state().checkpoint(&target);
        crash::after(Step::TakeCheckpoint);
        let checkpoint = taken.map_err(|error| error.to_string())?;
        Ok(Rested { checkpoint, standing, module })
    }
}
