//! Makes what runs on a node what it believes to be its own.

use std::collections::BTreeMap;

use millstream_core::partition::Event as Input;

use super::{AGAIN_AFTER_MS, HANDOVER_MS_MAX, NodeId};
use crate::faults::Fault;
use crate::network::OwnerId;
use crate::owner::Life;
use crate::world::World;

impl World {
    /// Who runs on a node, by lane.
    pub fn held_by(&self, id: NodeId) -> BTreeMap<u16, OwnerId> {
        let owners = self.owners.iter().enumerate();
        owners
            .filter(|(_, owner)| owner.node == id && owner.life != Life::Dead)
            .map(|(owner, of)| (of.lane, owner))
            .collect()
    }

    /// Lets go of what is another node's, and starts what is this one's.
    pub(super) fn reconcile(&mut self, id: NodeId) {
        let held = self.held_by(id);
        let node = self.node(id);
        let slots = match node.leaves {
            true => Vec::new(),
            false => node.assignment.slots.clone(),
        };
        let is_mine =
            |lane: u16| slots.get(usize::from(lane)).is_some_and(|slot| slot.owner == Some(id));
        node.coming.retain(|&lane, _| is_mine(lane));
        for (&lane, &owner) in &held {
            if !is_mine(lane) && !self.owners[owner].asked_to_drain {
                self.owners[owner].asked_to_drain = true;
                self.drive(owner, Input::Drain);
            }
        }
        if self.node(id).leaves {
            return self.leave(id);
        }
        let clock = self.clock_of(id);
        for (lane, slot) in (0..).zip(&slots) {
            if slot.owner != Some(id) || held.contains_key(&lane) {
                continue;
            }
            let node = self.node(id);
            let since = *node.coming.entry(lane).or_insert(clock);
            let again_at = node.again_at.get(&lane).copied().unwrap_or(i64::MIN);
            if self.incidents.contains_key(&lane) || clock < again_at {
                continue;
            }
            if slot.previous.is_some_and(|previous| self.waits_for(id, previous, lane)) {
                if clock - since < HANDOVER_MS_MAX {
                    self.fire(Fault::HandoverWaited);
                    continue;
                }
                self.fire(Fault::HandoverTimedOut);
            }
            self.take_lane(id, lane);
        }
    }

    fn clock_of(&mut self, id: NodeId) -> i64 {
        let now = self.now;
        self.node(id).clock(now)
    }

    /// Whether the node that had a lane before says that it still has. One that does not answer has let go, or will be
    /// fenced.
    fn waits_for(&self, id: NodeId, previous: NodeId, lane: u16) -> bool {
        let hears = |of: NodeId| {
            self.node_at(of).is_some_and(|node| node.is_up() && !node.mute && !node.deaf)
        };
        previous != id
            && self.view(id).contains(&previous)
            && hears(id)
            && hears(previous)
            && self.held_by(previous).contains_key(&lane)
    }

    fn take_lane(&mut self, id: NodeId, lane: u16) {
        let node = self.node(id);
        node.coming.remove(&lane);
        let (incarnation, epoch) = (node.incarnation, node.assignment.epoch);
        self.cluster().starts.push((id, incarnation, epoch));
        let others = self.owners.iter().filter(|owner| owner.lane == lane);
        if others.filter(|owner| owner.life != Life::Dead).count() > 0 {
            self.fire(Fault::SecondOwner);
        }
        if let Some(database) = self.disks.get(&(lane, id)) {
            let newest = database.local.newest.number;
            let tail = self.tail_of(lane).map(|record| record.header.number);
            if newest.0 > 0 && tail > Some(newest) {
                self.fire(Fault::MovedBack);
            }
        }
        match self.end_standby(id, lane) {
            Some(operator) => self.start_owner_with(lane, id, operator, self.recorded().revision),
            None => self.start_owner(lane, id),
        }
    }

    /// An owner on a node has stopped.
    pub fn owner_ended(&mut self, id: NodeId, lane: u16) {
        let clock = self.clock_of(id);
        self.node(id).again_at.insert(lane, clock + AGAIN_AFTER_MS);
    }

    /// Ends a node that stops in an orderly way, once nothing runs on it; the lease is given back.
    fn leave(&mut self, id: NodeId) {
        if !self.held_by(id).is_empty() || self.node(id).mute {
            return;
        }
        self.cluster().bucket.leases.remove(&id);
        self.node(id).life = Life::Dead;
    }
}
