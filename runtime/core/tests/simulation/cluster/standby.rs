//! Standbys: nodes that follow the log of a lane that runs elsewhere, and go on with it at once when it becomes theirs.

use std::collections::{BTreeSet, VecDeque};

use millstream_core::ids::{LogPoint, Sequence};
use millstream_core::partition::Operator;
use millstream_core::recovery::{BEFORE_FIRST, Follow, Followed, StoredRecord, decode, is_point};

use super::{NodeId, NodeRequest, Purpose};
use crate::faults::{Bug, Fault};
use crate::operator::{CountOperator, Database};
use crate::owner::Life;
use crate::world::World;

pub struct Standby {
    pub operator: CountOperator,
    phase: Phase,
}

enum Phase {
    Begins,
    /// The points of what the operator holds must be in the log.
    Checks(VecDeque<LogPoint>),
    /// Records are wanted from the sequence on.
    Follows(Box<Follow>, Sequence),
    Restores,
}

impl World {
    /// Stands by for the lanes that the node is to, and for no others.
    pub(super) fn stand_by(&mut self, id: NodeId) {
        let held = self.held_by(id);
        let node = self.node(id);
        let slots = match node.leaves {
            true => Vec::new(),
            false => node.assignment.slots.clone(),
        };
        let wanted: BTreeSet<u16> = (0..)
            .zip(&slots)
            .filter(|(lane, slot)| slot.standbys.contains(&id) && !held.contains_key(lane))
            .map(|(lane, _)| lane)
            .collect();
        // Those that wait for the one before are kept until then.
        let is_mine = |lane: &u16| slots[usize::from(*lane)].owner == Some(id);
        node.standbys
            .retain(|lane, _| !slots.is_empty() && (wanted.contains(lane) || is_mine(lane)));
        for lane in wanted {
            if !self.node(id).standbys.contains_key(&lane) {
                let database = self.disks.get(&(lane, id)).cloned().unwrap_or_default();
                let operator = self.open_operator(lane, database);
                let standby = Standby { operator, phase: Phase::Begins };
                self.node(id).standbys.insert(lane, standby);
            }
            self.standby_goes_on(id, lane);
        }
    }

    /// Lane and node of all standbys.
    pub fn standbys(&self) -> Vec<(u16, NodeId)> {
        let nodes = self.cluster.iter().flat_map(|cluster| &cluster.nodes);
        let alive = nodes.filter(|(_, node)| node.life != Life::Dead);
        alive.flat_map(|(&id, node)| node.standbys.keys().map(move |&lane| (lane, id))).collect()
    }

    /// Asks for what it needs next.
    fn standby_goes_on(&mut self, id: NodeId, lane: u16) {
        let (pipeline, bug) = (self.lives.pipeline(lane), self.bug);
        let Some(standby) = self.node(id).standbys.get_mut(&lane) else { return };
        if let Phase::Begins = standby.phase {
            let local = standby.operator.local().filter(|_| bug != Some(Bug::StandbyUnchecked));
            let points = local.map(|local| local.points().collect());
            standby.phase = Phase::Checks(points.unwrap_or_default());
        }
        if let Phase::Checks(points) = &standby.phase
            && points.is_empty()
        {
            let applied = standby.operator.local().map_or(BEFORE_FIRST, |local| local.redo_from);
            let follow = Box::new(Follow::behind(pipeline, applied));
            standby.phase = Phase::Follows(follow, applied.sequence);
        }
        let request = match &standby.phase {
            Phase::Begins | Phase::Restores => NodeRequest::Checkpoint(lane),
            Phase::Checks(points) => NodeRequest::Record(lane, points[0].sequence),
            Phase::Follows(_, from) => NodeRequest::Records(lane, *from),
        };
        self.node_asks(id, Purpose::StandBy(lane), request);
    }

    pub(super) fn standby_checks(&mut self, id: NodeId, lane: u16, found: Option<&StoredRecord>) {
        let Some(standby) = self.node(id).standbys.get_mut(&lane) else { return };
        let Phase::Checks(points) = &mut standby.phase else { return };
        let Some(point) = points.pop_front() else { return };
        if !is_point(&point, found) {
            standby.operator.wipe();
            standby.phase = Phase::Begins;
            self.disks.remove(&(lane, id));
            self.fire(Fault::StandbyWiped);
        }
    }

    pub(super) fn standby_reads(&mut self, id: NodeId, lane: u16, records: &[StoredRecord]) {
        for stored in records {
            if let Err(why) = self.standby_takes(id, lane, stored) {
                let why = format!("the standby for lane {lane} on node {id}: {why}");
                self.failure.get_or_insert(why);
                return;
            }
        }
        if !records.is_empty() && self.rng.chance(200) {
            let Some(standby) = self.node(id).standbys.get_mut(&lane) else { return };
            standby.operator.persist(false);
            let database = standby.operator.database.clone();
            self.disks.insert((lane, id), database);
        }
    }

    fn standby_takes(
        &mut self,
        id: NodeId,
        lane: u16,
        stored: &StoredRecord,
    ) -> Result<(), millstream_core::incident::Incident> {
        let (pipeline, bug) = (self.lives.pipeline(lane), self.bug);
        let Some(standby) = self.node(id).standbys.get_mut(&lane) else { return Ok(()) };
        let Phase::Follows(follow, from) = &mut standby.phase else { return Ok(()) };
        *from = Sequence(stored.sequence.0 + 1);
        match follow.accept(stored)? {
            Followed::Known => {}
            Followed::Next(record, point) => {
                standby.operator.redo(&record, point)?;
                self.fire(Fault::StandbyFollowed);
            }
            Followed::Trimmed(_) if bug == Some(Bug::StandbySkipsGap) => {
                let record = decode(stored, pipeline)?;
                let (number, sequence) = (record.header.number, stored.sequence);
                let hash = millstream_core::commit::hash_of(&stored.message);
                let point = LogPoint { number, hash, sequence };
                standby.operator.redo(&record, point)?;
                **follow = Follow::behind(pipeline, point);
            }
            Followed::Trimmed(_) => {
                standby.phase = Phase::Restores;
                self.fire(Fault::StandbyTrimmed);
            }
        }
        Ok(())
    }

    pub(super) fn standby_restores(
        &mut self,
        id: NodeId,
        lane: u16,
        checkpoint: Option<Box<Database>>,
    ) {
        let Some(standby) = self.node(id).standbys.get_mut(&lane) else { return };
        if let Phase::Restores = standby.phase {
            // Without one it tries again: somebody will store it.
            standby.operator.restore(checkpoint.map_or_else(Default::default, |stored| *stored));
            standby.phase = Phase::Begins;
        }
    }

    /// Ends a standby whose lane becomes its node's; its operator, if it has followed.
    pub(super) fn end_standby(&mut self, id: NodeId, lane: u16) -> Option<CountOperator> {
        let mut standby = self.node(id).standbys.remove(&lane)?;
        if let Phase::Follows(..) = standby.phase {
            self.fire(Fault::StandbyTookOver);
        }
        if self.bug == Some(Bug::StandbyWithoutTail)
            && let Some(last) = self.log.last_of(lane)
        {
            standby.operator.claim(&last);
        }
        Some(standby.operator)
    }
}
