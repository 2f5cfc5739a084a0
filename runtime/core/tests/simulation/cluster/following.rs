//! The commits of lanes that other stages read, on one node: those of lanes that run there come from their owners, those of
//! others from their logs.

use std::collections::BTreeSet;

use millstream_core::exchange::{Committed, Exchange, Following};
use millstream_core::ids::{LogPoint, Sequence};
use millstream_core::outputs::Outputs;
use millstream_core::recovery::{StoredRecord, decode};

use super::{NodeId, NodeRequest, Purpose};
use crate::faults::{Bug, Fault};
use crate::world::World;

/// Bytes of outputs that a node keeps per lane: few, so that readers often have to read the log.
const KEPT_BYTES_MAX: usize = 500;

/// One follows a lane that is elsewhere.
#[derive(Debug)]
pub struct Follower {
    /// Records are wanted from here on; none: it does not know yet how far the lane is.
    from: Option<Sequence>,
}

impl World {
    /// Follows the lanes that are elsewhere of the stages that are read here.
    pub(super) fn follow(&mut self, id: NodeId) {
        let held = self.held_by(id);
        let topology = &self.plan.topology;
        let mut wanted = BTreeSet::new();
        for stage in 0..topology.stages.len() {
            let is_here = |reader: usize| held.keys().any(|&lane| topology.at(lane).0 == reader);
            if topology.readers(stage).any(|(reader, _)| is_here(reader)) {
                wanted.extend(topology.lanes_of(stage).filter(|lane| !held.contains_key(lane)));
            }
        }
        let node = self.node(id);
        node.followers.retain(|lane, _| wanted.contains(lane));
        for lane in wanted {
            let follower = self.node(id).followers.entry(lane).or_insert(Follower { from: None });
            let request = match follower.from {
                None => NodeRequest::Last(lane),
                Some(from) => NodeRequest::Records(lane, from),
            };
            self.node_asks(id, Purpose::Follow(lane), request);
        }
    }

    /// Says first how far the lane is; readers fetch what lies before from the log themselves.
    pub(super) fn follower_begins(&mut self, id: NodeId, lane: u16, last: Sequence) {
        let forgets = self.bug == Some(Bug::FollowerSkipsGap);
        let node = self.node(id);
        let Some(follower) = node.followers.get_mut(&lane).filter(|f| f.from.is_none()) else {
            return;
        };
        follower.from = Some(Sequence(last.0 + 1));
        let recent = node.recent.entry(lane).or_default();
        if !forgets || recent.newest() == Sequence(0) {
            recent.reaches(last);
        }
    }

    pub(super) fn follower_reads(&mut self, id: NodeId, lane: u16, records: &[StoredRecord]) {
        let pipeline = self.lives.pipeline(lane);
        for stored in records {
            let node = self.node(id);
            let Some(follower) = node.followers.get_mut(&lane) else { return };
            if follower.from.is_none_or(|from| stored.sequence < from) {
                continue;
            }
            follower.from = Some(Sequence(stored.sequence.0 + 1));
            let Ok(record) = decode(stored, pipeline) else { continue };
            let (number, outputs) = (record.header.number, record.slice.outputs.freeze());
            let exchange = record.slice.exchange;
            let commit = Committed { sequence: stored.sequence, number, outputs, exchange };
            node.recent.entry(lane).or_default().push(commit, KEPT_BYTES_MAX);
            self.fire(Fault::FollowedElsewhere);
        }
    }

    /// A lane was taken over on a node.
    pub fn reaches_here(&mut self, id: NodeId, lane: u16, point: LogPoint) {
        if self.node_at(id).is_some() {
            self.node(id).recent.entry(lane).or_default().reaches(point.sequence);
        }
    }

    /// A lane that runs on a node has committed.
    pub fn committed_here(
        &mut self,
        id: NodeId,
        lane: u16,
        point: LogPoint,
        outputs: Outputs,
        exchange: Option<Exchange>,
    ) {
        if exchange.is_none() || self.node_at(id).is_none() {
            return;
        }
        let LogPoint { number, sequence, .. } = point;
        let commit = Committed { sequence, number, outputs, exchange };
        self.node(id).recent.entry(lane).or_default().push(commit, KEPT_BYTES_MAX);
    }

    /// What a node has in memory of a lane behind a record; none: the log is to be asked.
    pub fn following_here(&self, id: NodeId, lane: u16, after: Sequence) -> Option<Vec<Committed>> {
        let node = self.node_at(id)?;
        match node.recent.get(&lane)?.following(after) {
            Following::InLog { .. } => None,
            Following::Nothing => Some(Vec::new()),
            Following::Commits(commits) => Some(commits),
        }
    }
}
