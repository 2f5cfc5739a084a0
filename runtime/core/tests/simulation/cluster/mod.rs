//! Several nodes that share the lanes of one pipeline: the rules of `runtime/control/src/cluster` and of the
//! engine's worker, by messages that are late or lost, with clocks that differ.
//!
//! Nodes crash, pause past their leases and wake up, are cut off, drain, come and go; two may coordinate at once. Every
//! node runs the lanes that it believes to be its own. Only the log decides.

pub mod bucket;
mod chaos;
mod coordinator;
mod following;
mod reconcile;
mod standby;
mod trimming;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use millstream_core::exchange::Recent;
use millstream_core::ids::Sequence;
use millstream_core::recovery::StoredRecord;

use crate::faults::{Bug, Fault};
use crate::network::Event;
use crate::operator::Database;
use crate::owner::Life;
use crate::world::{Part, TIME_OUT_MS, World};
use bucket::{Assignment, Bucket, Lease, Revision};
use following::Follower;
use standby::Standby;

/// Number of a node: its data folder. Never used by two at once.
pub type NodeId = u8;

/// Nodes that there may be.
pub const NODES: NodeId = 5;
/// Time between refreshes of a lease, milliseconds.
const REFRESH_MS: i64 = 60;
/// A lease that did not change for so long is nobody's, milliseconds.
const EXPIRY_MS: i64 = 220;
/// How long a node that gets a lane waits for the one before to finish, milliseconds.
const HANDOVER_MS_MAX: i64 = 150;
/// Wait before a lane that stopped here is started here again, milliseconds.
const AGAIN_AFTER_MS: i64 = 60;
/// States of the bucket that a replica may be behind.
const PAST_MAX: usize = 6;

/// What a node has one request under way for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    Look,
    Lease,
    Coordinate,
    Assign,
    Follow(u16),
    StandBy(u16),
}

#[derive(Clone, Debug)]
pub enum NodeRequest {
    Look,
    Lease {
        lease: Lease,
        at: Option<Revision>,
    },
    Coordinate {
        lease: Lease,
        at: Option<Revision>,
    },
    Assign {
        assignment: Assignment,
        at: Option<Revision>,
    },
    /// The last record of a lane.
    Last(u16),
    /// Records of a lane in order.
    Records(u16, Sequence),
    /// The record of a lane at a sequence.
    Record(u16, Sequence),
    /// The newest intact checkpoint of a lane.
    Checkpoint(u16),
}

#[derive(Clone, Debug)]
pub enum NodeReply {
    Bucket(Box<Bucket>),
    Written(Option<Revision>),
    Last(Sequence),
    Records(Vec<StoredRecord>),
    Record(Option<StoredRecord>),
    Checkpoint(Option<Box<Database>>),
}

/// What happens to nodes.
#[derive(Clone, Debug)]
pub enum NodeEvent {
    Tick,
    Arrives {
        incarnation: u32,
        purpose: Purpose,
        request_id: u64,
        request: NodeRequest,
    },
    Reply {
        incarnation: u32,
        purpose: Purpose,
        request_id: u64,
        reply: NodeReply,
    },
    Resume,
    Start,
    /// Its connections break and are made anew.
    Reconnect,
    /// A user ends its draining.
    Undrain,
    Purge {
        below: Sequence,
    },
}

/// Something in the bucket, and since when it is so by the clock of who looks.
#[derive(Clone, Copy, Debug)]
struct Seen {
    at: Revision,
    since: i64,
    lease: Lease,
}

/// A lease that a node believes to hold.
#[derive(Clone, Copy, Debug, Default)]
struct Held {
    at: Option<Revision>,
    /// When it was last tried to write it, by the node's clock.
    tried: i64,
}

pub struct Node {
    pub life: Life,
    incarnation: u32,
    /// Its clock is ahead of the others' by so much, milliseconds, and runs at this rate.
    clock_offset: i64,
    clock_permille: i64,
    weight: u32,
    /// Nothing that it sends arrives; nothing arrives at it. Until its connections are made anew.
    pub mute: bool,
    pub deaf: bool,
    cut_off_until: i64,
    /// It stops in an orderly way.
    leaves: bool,
    /// It coordinates without the lease until then.
    usurps_until: i64,
    lease: Held,
    coordinator: Held,
    seen: BTreeMap<NodeId, Seen>,
    coordinator_seen: Option<Seen>,
    draining: BTreeSet<NodeId>,
    /// The newest one seen, and the revision of the one last looked at.
    assignment: Assignment,
    assignment_at: Option<Revision>,
    is_current: bool,
    busy: BTreeMap<Purpose, (u64, i64)>,
    /// Lanes that it waits for since then.
    coming: BTreeMap<u16, i64>,
    /// When a lane that stopped here may be started again.
    again_at: BTreeMap<u16, i64>,
    trim_at: i64,
    /// The latest commits of lanes that others read.
    pub recent: BTreeMap<u16, Recent>,
    followers: BTreeMap<u16, Follower>,
    standbys: BTreeMap<u16, Standby>,
    /// What came while it was paused.
    held: Vec<NodeEvent>,
}

pub struct Cluster {
    pub bucket: Bucket,
    past: VecDeque<Bucket>,
    pub nodes: BTreeMap<NodeId, Node>,
    /// Which node started a lane, by which assignment.
    pub starts: Vec<(NodeId, u32, u64)>,
}

impl Node {
    /// Milliseconds, by its own clock.
    pub fn clock(&self, now: i64) -> i64 {
        self.clock_offset + now * self.clock_permille / 1000
    }

    fn is_up(&self) -> bool {
        self.life == Life::Awake
    }
}

impl World {
    pub fn start_cluster(&mut self) {
        let first = self.rng.between(1, 3) as NodeId;
        let (bucket, past, nodes) = Default::default();
        self.cluster = Some(Cluster { bucket, past, nodes, starts: Vec::new() });
        for node in 0..first {
            self.start_node(node);
        }
    }

    pub fn cluster(&mut self) -> &mut Cluster {
        self.cluster.as_mut().expect("the run is of a cluster")
    }

    pub fn node(&mut self, id: NodeId) -> &mut Node {
        self.cluster().nodes.get_mut(&id).expect("a node that there is")
    }

    pub fn node_at(&self, id: NodeId) -> Option<&Node> {
        self.cluster.as_ref()?.nodes.get(&id)
    }

    /// Starts a node, perhaps again, on the folder that it had.
    fn start_node(&mut self, id: NodeId) {
        let former = self.cluster().nodes.remove(&id);
        let (clock_offset, clock_permille) = match &former {
            Some(node) => (node.clock_offset, node.clock_permille),
            None => (self.rng.between(0, 1_000_000), self.rng.between(950, 1_050)),
        };
        let node = Node {
            life: Life::Awake,
            incarnation: former.as_ref().map_or(1, |node| node.incarnation + 1),
            clock_offset,
            clock_permille,
            weight: self.rng.between(1, 3) as u32,
            mute: false,
            deaf: false,
            cut_off_until: 0,
            leaves: false,
            usurps_until: 0,
            lease: Held { at: None, tried: i64::MIN / 2 },
            coordinator: Held { at: None, tried: i64::MIN / 2 },
            seen: BTreeMap::new(),
            coordinator_seen: None,
            draining: BTreeSet::new(),
            assignment: Assignment::default(),
            assignment_at: None,
            is_current: false,
            busy: BTreeMap::new(),
            coming: BTreeMap::new(),
            again_at: BTreeMap::new(),
            trim_at: self.now + 150,
            recent: BTreeMap::new(),
            followers: BTreeMap::new(),
            standbys: BTreeMap::new(),
            held: Vec::new(),
        };
        let ticks = former.is_some();
        self.cluster().nodes.insert(id, node);
        if !ticks {
            self.at(1, Event::Node(id, NodeEvent::Tick));
        }
    }

    pub fn node_event(&mut self, id: NodeId, event: NodeEvent) {
        self.note(u64::from(id) << 40);
        match event {
            NodeEvent::Tick => {
                let delay = self.rng.between(10, 30);
                self.at(delay, Event::Node(id, NodeEvent::Tick));
                if self.part == Part::Playing && self.node(id).is_up() {
                    self.node_tick(id);
                }
            }
            NodeEvent::Arrives { incarnation, purpose, request_id, request } => {
                if self.now < self.broker_up_at {
                    return;
                }
                let reply = self.serve_node(request);
                let lost = self.node(id).deaf || self.strikes(self.plan.acknowledgement_lost);
                if !lost {
                    let latency = self.rng.between(1, 6);
                    let reply = NodeEvent::Reply { incarnation, purpose, request_id, reply };
                    self.at(latency, Event::Node(id, reply));
                }
            }
            NodeEvent::Reply { incarnation, purpose, request_id, reply } => {
                let node = self.node(id);
                if node.incarnation != incarnation || node.life == Life::Dead {
                    return;
                }
                if node.life == Life::Paused {
                    let reply = NodeEvent::Reply { incarnation, purpose, request_id, reply };
                    return node.held.push(reply);
                }
                if node.busy.get(&purpose).is_some_and(|busy| busy.0 == request_id) {
                    node.busy.remove(&purpose);
                    self.node_hears(id, purpose, reply);
                }
            }
            NodeEvent::Resume => self.resume_node(id),
            NodeEvent::Start => {
                if self.node(id).life == Life::Dead && self.part == Part::Playing {
                    self.start_node(id);
                }
            }
            NodeEvent::Reconnect => self.reconnect_node(id),
            NodeEvent::Undrain => {
                self.cluster().bucket.draining.remove(&id);
            }
            NodeEvent::Purge { below } => self.purge(id, below),
        }
    }

    fn node_tick(&mut self, id: NodeId) {
        let now = self.now;
        let node = self.node(id);
        node.busy.retain(|_, (_, until)| *until > now);
        self.keep_lease(id);
        self.node_asks(id, Purpose::Look, NodeRequest::Look);
        self.contend(id);
        self.coordinate(id);
        self.reconcile(id);
        self.follow(id);
        self.stand_by(id);
        self.trim_from(id);
    }

    /// Sends a request, unless one for the same purpose is under way.
    fn node_asks(&mut self, id: NodeId, purpose: Purpose, request: NodeRequest) {
        let request_id = self.rng.next() >> 8;
        let (now, lost) = (self.now, self.strikes(self.plan.append_lost));
        let is_down = now < self.broker_up_at;
        let node = self.node(id);
        if node.busy.contains_key(&purpose) {
            return;
        }
        node.busy.insert(purpose, (request_id, now + TIME_OUT_MS));
        if !node.mute && !lost && !is_down {
            let incarnation = node.incarnation;
            let latency = self.rng.between(1, 6);
            let arrives = NodeEvent::Arrives { incarnation, purpose, request_id, request };
            self.at(latency, Event::Node(id, arrives));
        }
    }

    fn serve_node(&mut self, request: NodeRequest) -> NodeReply {
        let before = self.cluster().bucket.clone();
        let bucket = &mut self.cluster().bucket;
        let written = match request {
            NodeRequest::Look => return self.look(),
            NodeRequest::Last(lane) => {
                let last = self.log.last_of(lane).map_or(Sequence(0), |last| last.sequence);
                return NodeReply::Last(last);
            }
            NodeRequest::Records(lane, from) => {
                let (records, _) = self.serve_commits(lane, from);
                return NodeReply::Records(records);
            }
            NodeRequest::Record(lane, sequence) => {
                return NodeReply::Record(self.log.at(lane, sequence));
            }
            NodeRequest::Checkpoint(lane) => {
                return NodeReply::Checkpoint(self.serve_checkpoint(lane).map(Box::new));
            }
            NodeRequest::Lease { lease, at } => bucket.join(lease, at),
            NodeRequest::Coordinate { lease, at } => bucket.coordinate(lease, at),
            NodeRequest::Assign { assignment, at } => {
                let by = assignment.by;
                let written = bucket.assign(assignment, at);
                // One that has not yet seen its own spoils nothing.
                let of_other = bucket.assignment.as_ref().is_some_and(|e| e.value.by != by);
                if written.is_err() && of_other {
                    self.fire(Fault::AssignmentConflict);
                }
                written
            }
        };
        if written.is_ok() {
            let past = &mut self.cluster().past;
            past.push_back(before);
            if past.len() > PAST_MAX {
                past.pop_front();
            }
        }
        NodeReply::Written(written.ok())
    }

    /// The bucket, or as it was when a replica is behind.
    fn look(&mut self) -> NodeReply {
        let behind = self.strikes(self.plan.stale_read / 2);
        let which = self.rng.below(PAST_MAX as u64) as usize;
        let cluster = self.cluster();
        let past = cluster.past.get(which).filter(|_| behind).cloned();
        let bucket = past.unwrap_or_else(|| cluster.bucket.clone());
        NodeReply::Bucket(Box::new(bucket))
    }

    fn node_hears(&mut self, id: NodeId, purpose: Purpose, reply: NodeReply) {
        match (purpose, reply) {
            (Purpose::Look, NodeReply::Bucket(bucket)) => self.looked(id, *bucket),
            (Purpose::Lease, NodeReply::Written(at)) => {
                // After a conflict: whoever has the folder runs alone, so it is an answer of ours that was lost.
                self.node(id).lease.at = at;
            }
            (Purpose::Coordinate, NodeReply::Written(at)) => {
                let node = self.node(id);
                node.coordinator.at = at;
                node.coordinator_seen = None;
            }
            // What came of it shows at the next look.
            (Purpose::Assign, NodeReply::Written(_)) => {}
            (Purpose::Follow(lane), NodeReply::Last(last)) => self.follower_begins(id, lane, last),
            (Purpose::Follow(lane), NodeReply::Records(records)) => {
                self.follower_reads(id, lane, &records)
            }
            (Purpose::StandBy(lane), NodeReply::Records(records)) => {
                self.standby_reads(id, lane, &records)
            }
            (Purpose::StandBy(lane), NodeReply::Record(found)) => {
                self.standby_checks(id, lane, found.as_ref())
            }
            (Purpose::StandBy(lane), NodeReply::Checkpoint(checkpoint)) => {
                self.standby_restores(id, lane, checkpoint)
            }
            (purpose, reply) => unreachable!("{purpose:?} answered by {reply:?}"),
        }
    }

    fn looked(&mut self, id: NodeId, bucket: Bucket) {
        let (now, bug) = (self.now, self.bug);
        let node = self.node(id);
        let clock = node.clock(now);
        let seen = |before: Option<&Seen>, at: Revision, lease: Lease| match before {
            // A replica that is behind shows no change.
            Some(before) if before.at >= at => *before,
            _ => Seen { at, since: clock, lease },
        };
        let leases = bucket.leases.iter();
        node.seen = leases.map(|(&of, e)| (of, seen(node.seen.get(&of), e.at, e.value))).collect();
        let coordinator = bucket.coordinator.as_ref();
        node.coordinator_seen =
            coordinator.map(|e| seen(node.coordinator_seen.as_ref(), e.at, e.value));
        node.draining = bucket.draining;
        node.assignment_at = bucket.assignment.as_ref().map(|entry| entry.at);
        node.is_current = true;
        let mut outdated = false;
        if let Some(entry) = bucket.assignment {
            outdated = entry.value.epoch < node.assignment.epoch;
            if !outdated || bug == Some(Bug::OlderAssignmentApplied) {
                node.assignment = entry.value;
            }
        }
        if outdated {
            self.fire(Fault::OutdatedAssignment);
        }
    }

    /// The nodes that are there, as one of them sees it. The leases of all come at once: what is older than the
    /// newest of its own by the expiry has not changed.
    fn view(&self, id: NodeId) -> Vec<NodeId> {
        let Some(node) = self.node_at(id) else { return Vec::new() };
        let Some(own) = node.seen.get(&id) else { return Vec::new() };
        let clock = node.clock(self.now);
        let is_there = |seen: &Seen| match self.bug {
            Some(Bug::ClocksCompared) => clock - seen.lease.written_ms < EXPIRY_MS,
            _ => own.since - seen.since < EXPIRY_MS,
        };
        node.seen.iter().filter(|(_, seen)| is_there(seen)).map(|(&id, _)| id).collect()
    }

    fn lease_of(&mut self, id: NodeId) -> Lease {
        let now = self.now;
        let node = self.node(id);
        Lease { node: id, incarnation: node.incarnation, written_ms: node.clock(now) }
    }

    fn keep_lease(&mut self, id: NodeId) {
        let lease = self.lease_of(id);
        let node = self.node(id);
        if lease.written_ms - node.lease.tried < REFRESH_MS || node.leaves {
            return;
        }
        node.lease.tried = lease.written_ms;
        let at = node.lease.at;
        self.node_asks(id, Purpose::Lease, NodeRequest::Lease { lease, at });
    }

    /// Wakes a node up that was paused.
    pub fn resume_node(&mut self, id: NodeId) {
        let node = self.node(id);
        if node.life != Life::Paused {
            return;
        }
        node.life = Life::Awake;
        let held = std::mem::take(&mut node.held);
        for event in held {
            self.at(0, Event::Node(id, event));
        }
        let owners: Vec<_> =
            (0..self.owners.len()).filter(|&owner| self.owners[owner].node == id).collect();
        for owner in owners {
            let lane = self.owners[owner].lane;
            let newest = self.tail_of(lane).map(|record| record.header.generation);
            if newest > Some(self.owners[owner].machine.generation())
                && self.owners[owner].life == Life::Paused
            {
                self.fire(Fault::LeaseExpired);
            }
            self.resume(owner);
        }
    }
}
