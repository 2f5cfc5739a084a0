//! The barrier: all owners stop reading the source behind one sequence, apply what they have, stage after stage, let the sinks
//! catch up, and rest.

use millstream_core::commit::CommitRecord;
use millstream_core::ids::{Sequence, SourceId};
use millstream_core::partition::Event as Input;
use millstream_core::savepoint::Barrier as StageBarrier;

use super::{REST_MS_MAX, RescaleEvent, RescalingId, Step, Taken};
use crate::faults::{Bug, Fault};
use crate::network::{Event, OwnerId};
use crate::owner::Life;
use crate::topology::From;
use crate::world::World;

/// Where an owner stops.
#[derive(Clone, Copy, Debug)]
pub struct Barrier {
    /// It reads the source up to here.
    pub at: Sequence,
    /// It has applied all, and computes nothing more.
    is_held: bool,
    /// What it holds was taken.
    rests: bool,
}

impl World {
    /// Whether an owner commits nothing of its own accord because it is at a barrier.
    pub fn rests(&mut self, id: OwnerId) -> bool {
        let rests = self.owners[id].barrier.is_some_and(|barrier| barrier.rests);
        // Some are asked to, all the same: a wish may be under way.
        rests && !self.strikes(20)
    }

    /// Goes on bringing all owners to rest, stage after stage.
    pub(super) fn bring_to_rest(&mut self, id: RescalingId) -> Step {
        if self.now - self.rescalings[id].began_at > REST_MS_MAX {
            return self.let_all_go_on(id);
        }
        if self.rescalings[id].owners.is_empty() && !self.begin_barrier(id) {
            return Step::Resting;
        }
        let owners = self.rescalings[id].owners.clone();
        if owners.values().any(|&owner| self.owners[owner].life == Life::Dead) {
            return self.let_all_go_on(id);
        }
        let life = self.rescalings[id].based_on.life;
        let topology = self.lives.life(life).topology.clone();
        for stage in 0..topology.stages.len() {
            let lanes = topology.lanes_of(stage);
            for lane in lanes.clone() {
                if !self.rescalings[id].taken.contains_key(&lane)
                    && let Some(taken) = self.rest(owners[&lane])
                {
                    self.rescalings[id].taken.insert(lane, taken);
                }
            }
            let taken = &self.rescalings[id].taken;
            let records: Vec<&CommitRecord> =
                lanes.filter_map(|lane| Some(&taken.get(&lane)?.standing)).collect();
            if records.len() < usize::from(topology.stages[stage].partitions) {
                return Step::Resting;
            }
            let records: Vec<CommitRecord> = records.into_iter().cloned().collect();
            if StageBarrier::of(&records).is_err() && self.bug != Some(Bug::BarrierUneven) {
                // They are not at one place: somebody else has changed the barrier.
                self.fire(Fault::BarrierRefused);
                return self.let_all_go_on(id);
            }
        }
        Step::Storing(self.now + self.rng.between(5, 400))
    }

    /// Tells the owners where to stop: where the one stands that has read furthest. Whether all are there.
    fn begin_barrier(&mut self, id: RescalingId) -> bool {
        let life = self.rescalings[id].based_on.life;
        let topology = self.lives.life(life).topology.clone();
        let mut owners = Vec::new();
        let mut at = Sequence(0);
        for lane in topology.all() {
            let is_there = |owner: &OwnerId| {
                let of = &self.owners[*owner];
                let attached = of.continuity.is_some() || !topology.reads_source(lane);
                of.lane == lane && of.is_running() && attached
            };
            // A former one does not know that it is one.
            let there: Vec<_> = (0..self.owners.len()).filter(is_there).collect();
            let Some(&last) = there.last() else { return false };
            let former = self.rng.chance(300).then(|| there[0]);
            let owner = former.unwrap_or(last);
            if let Some(continuity) = &self.owners[owner].continuity {
                at = at.max(continuity.position().sequence);
            }
            owners.push((lane, owner));
        }
        for &(_, owner) in &owners {
            let of = &mut self.owners[owner];
            let own = of.continuity.as_ref().map(|continuity| continuity.position().sequence);
            let at = own.filter(|_| self.bug == Some(Bug::BarrierUneven)).unwrap_or(at);
            of.machine.hold(false);
            of.barrier = Some(Barrier { at, is_held: false, rests: false });
        }
        self.rescalings[id].owners = owners.into_iter().collect();
        true
    }

    /// Brings one owner a step further; what it holds once it rests.
    fn rest(&mut self, id: OwnerId) -> Option<Taken> {
        if !self.owners[id].is_running() {
            return None;
        }
        let barrier = self.owners[id].barrier?;
        if !barrier.is_held {
            if !self.has_reached(id, barrier.at) {
                return None;
            }
            let of = &mut self.owners[id];
            of.machine.hold(true);
            of.barrier = Some(Barrier { is_held: true, ..barrier });
        }
        let machine = &self.owners[id].machine;
        let is_there = match self.bug {
            Some(Bug::RestsBeforeSinks) => !machine.has_moved(),
            _ => machine.is_settled() && machine.is_recorded(),
        };
        if !is_there {
            self.drive(id, Input::Anchor);
            return None;
        }
        let of = &mut self.owners[id];
        of.barrier = Some(Barrier { rests: true, is_held: true, ..barrier });
        let standing = CommitRecord::decode(&of.machine.standing()).expect("it is a record");
        Some(Taken { standing, entries: of.machine.operator().entries() })
    }

    /// Whether an owner has applied all up to the barrier.
    fn has_reached(&self, id: OwnerId, at: Sequence) -> bool {
        let owner = &self.owners[id];
        let operator = owner.machine.operator();
        let topology = self.lives.topology(owner.lane);
        let settled = match self.bug {
            Some(Bug::RestsBeforeSinks) => owner.machine.is_at_boundary(),
            _ => owner.machine.is_settled(),
        };
        let inputs = &topology.stages[topology.at(owner.lane).0].inputs;
        let of_source = inputs[0] != From::Source || operator.positions()[0].sequence == at;
        let of_stages = owner.readers.iter().all(|reader| {
            let lanes = topology.lanes_of(reader.from());
            let last = |lane| self.log.last_of(lane).map_or(Sequence(0), |last| last.sequence);
            reader.has_passed(&lanes.map(last).collect::<Vec<_>>())
        });
        settled
            && operator.queue.is_empty()
            && !owner.machine.wants_turn()
            && operator.positions()[0].source == SourceId(0)
            && of_source
            && of_stages
    }

    /// Ends an owner's rest.
    pub(super) fn go_on(&mut self, id: OwnerId) {
        let owner = &mut self.owners[id];
        match owner.life {
            Life::Dead => return,
            Life::Paused => return self.at(40, Event::Rescale(RescaleEvent::GoOn(id))),
            Life::Awake => {}
        }
        if owner.barrier.take().is_none() {
            return;
        }
        owner.machine.hold(false);
        if !std::mem::replace(&mut owner.reads, true) {
            self.attach(id);
        }
        self.drive(id, Input::Input);
    }
}
