//! Rescaling: a pipeline gets another number of partitions while everything goes wrong, by the rules of
//! `runtime/control/src/service/savepoints.rs` and `runtime/engine/src/worker/savepoint`.
//!
//! Somebody brings the owners of all lanes to rest at a barrier, takes what they hold, makes the logs and checkpoints of a new
//! life of it, seals the lanes of the old one and writes the pipeline's record, by compare-and-swap: that decides which
//! life runs. He may die at every step, sleep, or not be alone; what he asks for is lost, comes late, or lands without an
//! answer. Owners of the old life wake up, are started by an outdated record, or go on too early.

mod barrier;
mod lives;
mod making;
mod switching;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use millstream_core::commit::CommitRecord;
use millstream_core::ids::Sequence;
use millstream_core::seal::Seal;

use crate::faults::{Bug, Fault};
use crate::network::{Event, OwnerId};
use crate::operator::Entry;
use crate::owner::Life;
use crate::topology::Topology;
use crate::world::{TIME_OUT_MS, World};
pub use barrier::Barrier;
pub use lives::{LIVES_MAX, Lives};

/// How long owners may take to come to rest, milliseconds.
const REST_MS_MAX: i64 = 1_500;

/// One state of the pipeline's record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// Every write has a higher one.
    pub revision: u64,
    /// The life that runs.
    pub life: usize,
}

/// Index of a rescaling in the world; never used twice.
pub type RescalingId = usize;

#[derive(Clone, Debug)]
pub enum RescaleEvent {
    Tick(RescalingId),
    /// An owner need not rest any more.
    GoOn(OwnerId),
    /// An owner of a life that is over is stopped.
    LetGo(OwnerId),
    /// An append of a seal arrives late.
    Seal {
        lane: u16,
        message: Bytes,
        expected: Sequence,
    },
    /// A write of the record arrives late.
    Write {
        expected: u64,
        life: usize,
    },
    /// A coordinator looks after a pipeline that was found sealed when its record was at this revision.
    Mend {
        revision: u64,
    },
}

/// What one lane holds at the barrier.
struct Taken {
    standing: CommitRecord,
    entries: BTreeMap<Vec<u8>, Entry>,
}

/// One attempt, by one process.
pub struct Rescaling {
    based_on: Recorded,
    wanted: Topology,
    step: Step,
    began_at: i64,
    /// It waits for an answer until then.
    waits_until: i64,
    /// Who was brought to rest, by lane.
    owners: BTreeMap<u16, OwnerId>,
    taken: BTreeMap<u16, Taken>,
    /// Whether a seal of its may have landed.
    has_tried_to_seal: bool,
    sealed: BTreeSet<u16>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Resting,
    /// Until then the savepoint is being stored.
    Storing(i64),
    /// So many stages of the new life are made.
    Making(usize, usize),
    Sealing(usize),
    Switching(usize),
    /// The old life must be able to go on.
    Undoing,
    Over,
}

/// What becomes of a request.
enum Carried {
    Lost,
    Late(i64),
    Unanswered,
    Fine,
}

impl World {
    /// What the pipeline's record says.
    pub fn recorded(&self) -> Recorded {
        *self.records.last().expect("there is a first one")
    }

    /// The stages of the life that runs.
    pub fn current(&self) -> &Topology {
        &self.lives.life(self.recorded().life).topology
    }

    /// By which revision of the record somebody starts an owner of a lane; none if its life is not the one that runs, as far as
    /// he knows.
    pub fn recorded_for(&mut self, lane: u16) -> Option<u64> {
        let mut known = self.recorded();
        if self.records.len() > 1 && self.strikes(self.plan.stale_record) {
            let before = self.records.len() - 2;
            known = self.records[before.saturating_sub(self.rng.below(2) as usize)];
        }
        if known.life != Lives::of(lane) {
            return None;
        }
        if known.life != self.recorded().life {
            self.fire(Fault::FormerLifeStarted);
        }
        match self.bug {
            Some(Bug::SealIgnored) => Some(u64::MAX),
            Some(Bug::SealTimesOut) => {
                Some(known.revision + u64::from(self.mended >= known.revision))
            }
            _ => Some(known.revision),
        }
    }

    /// Begins to rescale, if nobody does, or perhaps in spite of that.
    pub fn begin_rescaling(&mut self) -> bool {
        let active = self.rescalings.iter().any(|r| r.step != Step::Over);
        if (active && self.rng.chance(500)) || self.lives.count() == LIVES_MAX {
            return false;
        }
        if active {
            self.fire(Fault::SecondRescaling);
        }
        let based_on = self.recorded();
        let mut wanted = self.lives.life(based_on.life).topology.clone();
        for stage in &mut wanted.stages {
            stage.partitions = self.rng.between(1, 4) as u16;
        }
        self.rescalings.push(Rescaling {
            based_on,
            wanted,
            step: Step::Resting,
            began_at: self.now,
            waits_until: self.now,
            owners: BTreeMap::new(),
            taken: BTreeMap::new(),
            has_tried_to_seal: false,
            sealed: BTreeSet::new(),
        });
        let id = self.rescalings.len() - 1;
        self.at(1, Event::Rescale(RescaleEvent::Tick(id)));
        true
    }

    pub fn rescale_event(&mut self, event: RescaleEvent) {
        match event {
            RescaleEvent::Tick(id) => self.rescaling_tick(id),
            RescaleEvent::GoOn(owner) => self.go_on(owner),
            RescaleEvent::LetGo(owner) => match self.owners[owner].life {
                // Its process hears of it when it wakes up.
                Life::Paused => self.at(40, Event::Rescale(RescaleEvent::LetGo(owner))),
                Life::Awake => self.kill(owner),
                Life::Dead => {}
            },
            RescaleEvent::Seal { lane, message, expected } => {
                if self.now >= self.broker_up_at {
                    self.append_seal(lane, &message, expected);
                }
            }
            RescaleEvent::Write { expected, life } => {
                let switches = life != self.recorded().life;
                let lands = self.now >= self.broker_up_at && self.write_record(expected, life);
                if switches && lands {
                    self.fire(Fault::SwitchedLate);
                }
            }
            RescaleEvent::Mend { revision } => self.mend(revision),
        }
    }

    fn rescaling_tick(&mut self, id: RescalingId) {
        if self.rescalings[id].step == Step::Over {
            return;
        }
        if self.strikes(self.plan.rescaling_dies) {
            self.fire(Fault::RescalingDied);
            return self.leave_at_rest(id);
        }
        let sleeps = self.strikes(self.plan.rescaling_sleeps);
        let delay = if sleeps { self.rng.between(100, 1_500) } else { self.rng.between(3, 25) };
        self.at(delay, Event::Rescale(RescaleEvent::Tick(id)));
        if self.now < self.rescalings[id].waits_until {
            return;
        }
        let step = match self.rescalings[id].step {
            Step::Resting => self.bring_to_rest(id),
            Step::Storing(until) if self.now < until => Step::Storing(until),
            Step::Storing(_) => self.begin_life(id),
            Step::Making(life, stage) => self.make_stage(id, life, stage),
            Step::Sealing(life) => self.seal_lanes(id, life),
            Step::Switching(life) => self.switch(id, life),
            Step::Undoing => self.undo(id),
            Step::Over => Step::Over,
        };
        self.note(id as u64 ^ self.rescalings[id].sealed.len() as u64);
        self.rescalings[id].step = step;
    }

    /// The process is gone; the nodes notice, later, and let their owners go on.
    fn leave_at_rest(&mut self, id: RescalingId) {
        self.rescalings[id].step = Step::Over;
        for owner in self.rescalings[id].owners.values().copied().collect::<Vec<_>>() {
            let delay = self.rng.between(20, 900);
            self.at(delay, Event::Rescale(RescaleEvent::GoOn(owner)));
        }
    }

    fn let_all_go_on(&mut self, id: RescalingId) -> Step {
        for owner in self.rescalings[id].owners.values().copied().collect::<Vec<_>>() {
            self.go_on(owner);
        }
        Step::Over
    }

    /// The seal that a rescaling sets.
    fn seal_of(&self, id: RescalingId, life: usize) -> Seal {
        let pipeline = self.lives.life(life).pipeline;
        Seal { life: pipeline, revision: self.rescalings[id].based_on.revision }
    }

    /// What becomes of a request of a rescaling, which waits for an answer.
    fn carried(&mut self, id: RescalingId) -> Carried {
        let carried = if self.now < self.broker_up_at || self.strikes(self.plan.append_lost) {
            Carried::Lost
        } else if self.strikes(4 * self.plan.append_delayed) {
            Carried::Late(self.rng.between(20, 900))
        } else if self.strikes(self.plan.acknowledgement_lost) {
            Carried::Unanswered
        } else {
            return Carried::Fine;
        };
        self.rescalings[id].waits_until = self.now + TIME_OUT_MS;
        carried
    }
}
