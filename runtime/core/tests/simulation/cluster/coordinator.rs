//! The coordinator: the node that holds a lease writes which node is to run which lane.

use millstream_core::assignment::{
    AssignableNode, AssignablePartition, NodeState, assign, stand_by,
};

use super::bucket::{Assignment, Slot};
use super::{EXPIRY_MS, NodeId, NodeRequest, Purpose, REFRESH_MS};
use crate::faults::Fault;
use crate::world::World;

impl World {
    /// Refreshes the coordinator's lease, or takes it when it is free or has not changed for the expiry.
    pub(super) fn contend(&mut self, id: NodeId) {
        let lease = self.lease_of(id);
        let clock = lease.written_ms;
        let node = self.node(id);
        if !node.is_current || node.leaves || clock - node.coordinator.tried < REFRESH_MS {
            return;
        }
        let at = match (node.coordinator.at, node.coordinator_seen) {
            (Some(at), _) => Some(at),
            (None, None) => None,
            (None, Some(seen)) => {
                let is_mine = seen.lease.node == id && seen.lease.incarnation == lease.incarnation;
                if !is_mine && clock - seen.since < EXPIRY_MS {
                    return;
                }
                Some(seen.at)
            }
        };
        node.coordinator.tried = clock;
        self.node_asks(id, Purpose::Coordinate, NodeRequest::Coordinate { lease, at });
    }

    /// Writes an assignment if another one is wanted.
    pub(super) fn coordinate(&mut self, id: NodeId) {
        let now = self.now;
        let node = self.node(id);
        let usurps = now < node.usurps_until;
        if !node.is_current || !(node.coordinator.at.is_some() || usurps) {
            return;
        }
        let Some(assignment) = self.decide(id) else { return };
        if usurps {
            self.fire(Fault::SecondCoordinator);
        }
        let at = self.node(id).assignment_at;
        self.node_asks(id, Purpose::Assign, NodeRequest::Assign { assignment, at });
    }

    /// What the assignment becomes; none: it stays.
    fn decide(&self, id: NodeId) -> Option<Assignment> {
        let node = self.node_at(id)?;
        let cluster = self.cluster.as_ref()?;
        let there = self.view(id);
        let nodes: Vec<AssignableNode> = there
            .iter()
            .map(|of| AssignableNode {
                name: name(*of),
                weight: cluster.nodes[of].weight,
                state: match node.draining.contains(of) {
                    true => NodeState::Draining,
                    false => NodeState::Live,
                },
            })
            .collect();
        if nodes.is_empty() {
            return None;
        }
        let topology = &self.plan.topology;
        let mut slots = node.assignment.slots.clone();
        slots.resize(usize::from(topology.lanes()), Slot::default());
        let partition = |(lane, slot): (u16, &Slot)| AssignablePartition {
            stage: topology.at(lane).0 as u32,
            weight: 1,
            owner: present_owner(slot, &nodes),
            barred: Vec::new(),
            warm: slot.standbys.iter().copied().map(name).collect(),
        };
        let partitions: Vec<_> = (0..).zip(&slots).map(partition).collect();
        let owners = assign(&nodes, &partitions);
        for (slot, owner) in slots.iter_mut().zip(&owners) {
            let owner = owner.map(|owner| there[owner]);
            if owner.is_some() && owner != slot.owner {
                slot.previous = std::mem::replace(&mut slot.owner, owner);
            }
        }
        let warm = |slot: &Slot| -> Vec<String> {
            slot.standbys.iter().chain(&slot.previous).copied().map(name).collect()
        };
        let warm: Vec<Vec<String>> = slots.iter().map(warm).collect();
        let wanted = vec![self.plan.standbys; slots.len()];
        let chosen = stand_by(&nodes, &partitions, &owners, &warm, &wanted);
        for ((slot, owner), chosen) in slots.iter_mut().zip(owners).zip(chosen) {
            if owner.is_some() {
                slot.standbys = chosen.into_iter().map(|node| there[node]).collect();
            }
        }
        let epoch = node.assignment.epoch + 1;
        (slots != node.assignment.slots).then_some(Assignment { epoch, by: id, slots })
    }
}

fn name(node: NodeId) -> String {
    format!("node-{node}")
}

/// Where a lane is, or goes on at once: if its owner takes none, at a node that stands by.
fn present_owner(slot: &Slot, nodes: &[AssignableNode]) -> Option<String> {
    let is_live = |of: &NodeId| {
        nodes.iter().any(|node| node.name == name(*of) && node.state == NodeState::Live)
    };
    let owner = slot.owner;
    owner
        .filter(is_live)
        .or_else(|| slot.standbys.iter().copied().find(is_live))
        .or(owner)
        .map(name)
}
