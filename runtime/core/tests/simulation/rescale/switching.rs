//! From one life to the next: the lanes are sealed, and the record is written.

use bytes::Bytes;
use millstream_core::append::AppendReply;
use millstream_core::commit::hash_of;
use millstream_core::ids::Sequence;
use millstream_core::partition::Event as Input;
use millstream_core::recovery::decode;
use millstream_core::seal::{Rest, Sealing, sealing};

use super::{Carried, Lives, Recorded, RescaleEvent, RescalingId, Step};
use crate::faults::{Bug, Fault};
use crate::network::Event;
use crate::owner::Life;
use crate::world::World;

impl World {
    /// Seals the lanes of the old life that are not sealed yet.
    pub(super) fn seal_lanes(&mut self, id: RescalingId, life: usize) -> Step {
        if self.bug == Some(Bug::NotSealed) {
            return Step::Switching(life);
        }
        let seal = self.seal_of(id, life);
        let lanes: Vec<u16> = self.rescalings[id].owners.keys().copied().collect();
        for lane in lanes {
            if self.rescalings[id].sealed.contains(&lane) {
                continue;
            }
            let mut last = self.log.last_of(lane);
            if let Some(before) = self.log.last_but_one_of(lane)
                && self.strikes(self.plan.stale_read)
            {
                last = Some(before);
            }
            let pipeline = self.lives.pipeline(lane);
            let mut rest = Rest::of(&self.rescalings[id].taken[&lane].standing);
            if let Some(last) = &last
                && self.bug == Some(Bug::SealedAnywhere)
            {
                let record = decode(last, pipeline).expect("what is in the log is whole");
                if record.slice.seal.is_none() {
                    rest = Rest { number: record.header.number, hash: hash_of(&last.message) };
                }
            }
            let next = sealing(&seal, &rest, pipeline, last.as_ref());
            match next.expect("what is in the log is whole and of this life") {
                Sealing::ReadAgain => {}
                Sealing::Sealed => {
                    self.rescalings[id].sealed.insert(lane);
                }
                Sealing::MovedOn { .. } => {
                    self.fire(Fault::MovedOn);
                    return Step::Undoing;
                }
                Sealing::Append { message, expected } => {
                    self.rescalings[id].has_tried_to_seal = true;
                    if self.sends_seal(id, lane, message, expected) {
                        self.rescalings[id].sealed.insert(lane);
                    }
                }
            }
        }
        match self.rescalings[id].sealed.len() == self.rescalings[id].owners.len() {
            true => Step::Switching(life),
            false => Step::Sealing(life),
        }
    }

    /// Whether a seal is known to be in the log.
    fn sends_seal(
        &mut self,
        id: RescalingId,
        lane: u16,
        message: Bytes,
        expected: Sequence,
    ) -> bool {
        if self.strikes(self.plan.refused) {
            return false;
        }
        match self.carried(id) {
            Carried::Lost => false,
            Carried::Late(delay) => {
                self.at(delay, Event::Rescale(RescaleEvent::Seal { lane, message, expected }));
                false
            }
            Carried::Unanswered => {
                self.append_seal(lane, &message, expected);
                false
            }
            Carried::Fine => self.append_seal(lane, &message, expected),
        }
    }

    pub(super) fn append_seal(&mut self, lane: u16, message: &Bytes, expected: Sequence) -> bool {
        let reply = self.log.append(lane, message, expected);
        matches!(reply, AppendReply::Acknowledged(_))
    }

    /// Writes the new life into the record, until it is known which one it has.
    pub(super) fn switch(&mut self, id: RescalingId, life: usize) -> Step {
        let based_on = self.rescalings[id].based_on;
        // One who wakes up reads first, and so knows of an earlier try.
        if self.recorded().life == life {
            return Step::Over;
        }
        if self.recorded().revision > based_on.revision
            && self.bug != Some(Bug::SwitchUnconditional)
        {
            if self.records.iter().any(|recorded| recorded.life == life) {
                return Step::Over;
            }
            self.fire(Fault::SwitchRefused);
            return self.let_all_go_on(id);
        }
        let expected = based_on.revision;
        match self.carried(id) {
            Carried::Lost => {}
            Carried::Late(delay) => {
                self.at(delay, Event::Rescale(RescaleEvent::Write { expected, life }));
            }
            Carried::Unanswered | Carried::Fine => {
                self.write_record(expected, life);
            }
        }
        Step::Switching(life)
    }

    /// Writes the record by compare-and-swap; whether it was as expected.
    pub(super) fn write_record(&mut self, expected: u64, life: usize) -> bool {
        let now = self.recorded();
        if now.revision != expected && self.bug != Some(Bug::SwitchUnconditional) {
            return false;
        }
        self.records.push(Recorded { revision: now.revision + 1, life });
        if life == now.life {
            return true;
        }
        self.fire(Fault::Rescaled);
        for lane in self.current().all() {
            let delay = self.rng.between(2, 300);
            self.at(delay, Event::Elect { lane, forced: false });
        }
        for owner in 0..self.owners.len() {
            if self.owners[owner].life != Life::Dead {
                let delay = self.rng.between(1, 900);
                self.at(delay, Event::Rescale(RescaleEvent::LetGo(owner)));
            }
        }
        true
    }

    /// Gives up: writes the record anew with the life that it has, if a seal may be in its way, and lets the owners go on.
    pub(super) fn undo(&mut self, id: RescalingId) -> Step {
        let based_on = self.rescalings[id].based_on;
        let must_write = self.rescalings[id].has_tried_to_seal
            && self.recorded().revision == based_on.revision
            && self.bug != Some(Bug::SealTimesOut);
        if must_write {
            match self.carried(id) {
                Carried::Fine | Carried::Unanswered => {
                    self.write_record(based_on.revision, based_on.life);
                }
                Carried::Late(delay) => {
                    let event =
                        RescaleEvent::Write { expected: based_on.revision, life: based_on.life };
                    self.at(delay, Event::Rescale(event));
                }
                Carried::Lost => {}
            }
            return Step::Undoing;
        }
        self.let_all_go_on(id)
    }

    /// Somebody could not take a lane over, or lost it: if that is for a seal that holds, a coordinator looks after it.
    pub fn met_seal(&mut self, lane: u16) {
        let now = self.recorded();
        let seal = self.tail_of(lane).and_then(|record| record.slice.seal);
        if Lives::of(lane) == now.life && seal.is_some_and(|seal| seal.holds_at(now.revision)) {
            self.fire(Fault::SealMet);
            let delay = self.rng.between(10, 500);
            self.at(delay, Event::Rescale(RescaleEvent::Mend { revision: now.revision }));
        }
    }

    /// Writes the record of a sealed pipeline anew, if nobody has. A switch that is under way is refused then.
    pub(super) fn mend(&mut self, revision: u64) {
        let now = self.recorded();
        if now.revision != revision {
            return;
        }
        self.fire(Fault::Mended);
        match self.bug {
            Some(Bug::SealTimesOut) => self.mended = revision,
            _ => {
                self.write_record(revision, now.life);
            }
        }
    }

    /// Whether nobody rescales, and what runs is the life that is wanted.
    pub fn is_rescaled(&self) -> bool {
        let alive = || self.owners.iter().filter(|owner| owner.life != Life::Dead);
        let current = self.recorded().life;
        self.rescalings.iter().all(|rescaling| rescaling.step == Step::Over)
            && alive().all(|owner| owner.barrier.is_none() && Lives::of(owner.lane) == current)
    }

    /// Faults are over: owners of former lives stop, others hear of seals.
    pub fn calm_rescaling(&mut self) {
        if self.plan.rescaling_dies == 0 && self.records.len() == 1 && self.rescalings.is_empty() {
            return;
        }
        let current = self.recorded().life;
        for id in 0..self.owners.len() {
            if self.owners[id].life != Life::Dead && Lives::of(self.owners[id].lane) != current {
                self.kill(id);
            } else if self.owners[id].is_running() && !self.is_newest(id) {
                self.drive(id, Input::Anchor);
            }
        }
    }
}
