//! The key-value bucket in memory: leases of nodes, the coordinator's lease, the assignment. Every write is
//! a compare-and-swap.

use std::collections::{BTreeMap, BTreeSet};

use super::NodeId;

/// Of a key, and of the bucket: what comes later is higher.
pub type Revision = u64;

/// A value and the revision that a change of it must be based on.
#[derive(Clone, Debug)]
pub struct Entry<T> {
    pub at: Revision,
    pub value: T,
}

/// A node's lease, or the coordinator's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    pub node: NodeId,
    /// Which start of the node.
    pub incarnation: u32,
    /// What the node's own clock said, milliseconds. Nobody may compare it with another clock.
    pub written_ms: i64,
}

/// Which node is to run which lane, and which is to follow it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Assignment {
    /// Counts changes, from 1.
    pub epoch: u64,
    /// Who wrote it.
    pub by: NodeId,
    /// Per lane.
    pub slots: Vec<Slot>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Slot {
    pub owner: Option<NodeId>,
    /// The node before: the next one lets it finish, if it can.
    pub previous: Option<NodeId>,
    /// Those that follow its log.
    pub standbys: Vec<NodeId>,
}

/// What was expected of a key is not so.
#[derive(Clone, Copy, Debug)]
pub struct Conflict;

#[derive(Clone, Debug, Default)]
pub struct Bucket {
    revision: Revision,
    pub leases: BTreeMap<NodeId, Entry<Lease>>,
    pub draining: BTreeSet<NodeId>,
    pub coordinator: Option<Entry<Lease>>,
    pub assignment: Option<Entry<Assignment>>,
}

impl Bucket {
    fn next<T>(&mut self, value: T) -> Entry<T> {
        self.revision += 1;
        Entry { at: self.revision, value }
    }

    /// Writes a node's lease over `at`, if it is given.
    pub fn join(&mut self, lease: Lease, at: Option<Revision>) -> Result<Revision, Conflict> {
        let present = self.leases.get(&lease.node).map(|entry| entry.at);
        if at.is_some() && present != at {
            return Err(Conflict);
        }
        let entry = self.next(lease);
        let at = entry.at;
        self.leases.insert(lease.node, entry);
        Ok(at)
    }

    /// Takes or refreshes the coordinator's lease.
    pub fn coordinate(&mut self, lease: Lease, at: Option<Revision>) -> Result<Revision, Conflict> {
        if self.coordinator.as_ref().map(|entry| entry.at) != at {
            return Err(Conflict);
        }
        let entry = self.next(lease);
        let at = entry.at;
        self.coordinator = Some(entry);
        Ok(at)
    }

    pub fn assign(
        &mut self,
        assignment: Assignment,
        at: Option<Revision>,
    ) -> Result<Revision, Conflict> {
        if self.assignment.as_ref().map(|entry| entry.at) != at {
            return Err(Conflict);
        }
        let entry = self.next(assignment);
        let at = entry.at;
        self.assignment = Some(entry);
        Ok(at)
    }
}
