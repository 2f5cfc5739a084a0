//! What happens to nodes.

use super::{EXPIRY_MS, NODES, NodeEvent, NodeId};
use crate::faults::Fault;
use crate::network::Event;
use crate::owner::Life;
use crate::world::World;

impl World {
    /// Makes a fault happen to a node; false when there was none to suffer it.
    pub fn inflict_on_node(&mut self, fault: Fault) -> bool {
        if fault == Fault::NodeJoins {
            let absent = (0..NODES).find(|&id| self.node_at(id).is_none());
            absent.inspect(|&id| self.start_node(id));
            return absent.is_some();
        }
        let nodes: Vec<NodeId> = self.cluster().nodes.keys().copied().collect();
        let id = nodes[self.rng.below(nodes.len() as u64) as usize];
        let life = self.node(id).life;
        if life != Life::Awake && fault != Fault::NodeCrash {
            return false;
        }
        let now = self.now;
        match fault {
            Fault::NodeCrash => {
                if life == Life::Dead {
                    return false;
                }
                self.crash_node(id);
                if self.rng.chance(700) {
                    let delay = self.rng.between(20, 1_500);
                    self.at(delay, Event::Node(id, NodeEvent::Start));
                }
            }
            Fault::NodePaused => {
                self.node(id).life = Life::Paused;
                for owner in self.held_by(id).into_values() {
                    self.owners[owner].life = Life::Paused;
                }
                let sleep = self.rng.between(30, 6 * EXPIRY_MS);
                self.at(sleep, Event::Node(id, NodeEvent::Resume));
            }
            Fault::NodeCutOff | Fault::NodeMuted | Fault::NodeDeafened => {
                let away = self.rng.between(30, 5 * EXPIRY_MS);
                let node = self.node(id);
                node.mute |= fault != Fault::NodeDeafened;
                node.deaf |= fault != Fault::NodeMuted;
                node.cut_off_until = node.cut_off_until.max(now + away);
                self.at(away, Event::Node(id, NodeEvent::Reconnect));
            }
            Fault::NodeLeaves => {
                self.node(id).leaves = true;
                let delay = self.rng.between(200, 2_000);
                self.at(delay, Event::Node(id, NodeEvent::Start));
            }
            Fault::NodeDrains => {
                self.cluster().bucket.draining.insert(id);
                let delay = self.rng.between(200, 2_000);
                self.at(delay, Event::Node(id, NodeEvent::Undrain));
            }
            Fault::SecondCoordinator => {
                // Counted when it writes.
                let until = now + self.rng.between(100, 1_000);
                self.node(id).usurps_until = until;
                return false;
            }
            _ => unreachable!("{fault:?} does not happen to nodes"),
        }
        true
    }

    /// A connection never passes on what comes behind something that it has lost: it breaks.
    pub(super) fn reconnect_node(&mut self, id: NodeId) {
        let now = self.now;
        let node = self.node(id);
        if now < node.cut_off_until || !(node.mute || node.deaf) {
            return;
        }
        (node.mute, node.deaf) = (false, false);
        for owner in self.held_by(id).into_values() {
            self.disconnect(owner);
        }
    }

    /// The process dies with all that runs in it; what it had not flushed is lost.
    fn crash_node(&mut self, id: NodeId) {
        for owner in self.held_by(id).into_values() {
            self.owners[owner].life = Life::Dead;
        }
        self.node(id).life = Life::Dead;
    }

    /// Faults are over: nodes that were paused wake up, and one at least is there that takes lanes. Those that
    /// crashed for good stay away.
    pub fn calm_nodes(&mut self) {
        let ids: Vec<NodeId> = self.cluster().nodes.keys().copied().collect();
        for &id in &ids {
            self.resume_node(id);
            self.node(id).cut_off_until = 0;
            self.reconnect_node(id);
        }
        let takes = |id: &NodeId| {
            self.node_at(*id).is_some_and(|node| node.is_up() && !node.leaves)
                && self.cluster.as_ref().is_some_and(|c| !c.bucket.draining.contains(id))
        };
        if !ids.iter().any(takes) {
            self.cluster().bucket.draining.clear();
            if self.node(ids[0]).life == Life::Dead {
                self.start_node(ids[0]);
            }
        }
    }
}
