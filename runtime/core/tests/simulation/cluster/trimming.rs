//! One node trims the log for all lanes: that which has the first.

use millstream_core::ids::Sequence;
use millstream_core::ids::SourceId;
use millstream_core::partition::Event as Input;
use millstream_core::recovery::decode;
use millstream_core::trim::{HeldBy, LogNeeds, floor, needs, next_purge, to_anchor};

use super::{NodeEvent, NodeId};
use crate::faults::{Bug, Fault};
use crate::network::Event;
use crate::topology::From;
use crate::world::{ANCHOR_RECORDS, World};

/// Time between two looks at what may go, milliseconds.
const LOOK_MS: i64 = 150;

impl World {
    pub(super) fn trim_from(&mut self, id: NodeId) {
        let now = self.now;
        let node = self.node(id);
        let is_cut_off = node.mute || node.deaf;
        if now < node.trim_at || is_cut_off || now < self.broker_up_at {
            return;
        }
        self.node(id).trim_at = now + LOOK_MS;
        let held = self.held_by(id);
        if !held.contains_key(&0) {
            return;
        }
        let topology = self.plan.topology.clone();
        let mut said = Vec::new();
        for stage in 0..topology.stages.len() {
            let mut of_stage = Vec::new();
            for lane in topology.lanes_of(stage) {
                of_stage.push(match held.get(&lane) {
                    Some(&owner) => self.says(owner),
                    None => self.elsewhere(lane),
                });
            }
            said.push(of_stage);
        }
        let mut all = needs(&said, |stage| {
            let inputs = (0..).zip(&topology.stages[stage].inputs);
            inputs.filter_map(|(source, input)| match input {
                From::Source => None,
                From::Stage { stage, .. } => Some((SourceId(source), *stage)),
            })
        });
        let anchors: Vec<_> = to_anchor(&all, self.log.end(), ANCHOR_RECORDS).collect();
        for lane in anchors {
            if let Some(&owner) = held.get(&lane)
                && self.owners[owner].is_running()
            {
                self.fire(Fault::Anchored);
                self.drive(owner, Input::Anchor);
            }
        }
        if self.bug == Some(Bug::TrimForOwnLanes) {
            all.retain(|needs| held.contains_key(&needs.partition));
            all.iter_mut().for_each(|needs| needs.downstream.clear());
        }
        let Some(floor) = floor(&all) else { return };
        if let Some(below) = next_purge(self.log.first(topology.all()), floor.keep_from) {
            if matches!(floor.held_by, HeldBy::Downstream) {
                self.fire(Fault::HeldDownstream);
            }
            let delay = self.rng.between(1, 60);
            self.at(delay, Event::Node(id, NodeEvent::Purge { below }));
        }
    }

    /// What a lane on the trimming node says, as of its last commit.
    fn says(&self, owner: usize) -> LogNeeds {
        let owner = &self.owners[owner];
        let mut said = owner.said.clone();
        said.checkpoint = owner.kept.front().copied();
        if self.bug == Some(Bug::TrimByMemory) {
            let reached = owner.machine.cursors();
            said.egress = reached.iter().map(|cursor| cursor.read_from).min().unwrap_or_default();
        }
        said
    }

    /// What a lane on another node needs, as of its last record, which may be an older one.
    fn elsewhere(&mut self, lane: u16) -> LogNeeds {
        let kept = self.checkpoints.get(&lane).into_iter().flatten();
        let stored: Vec<Sequence> = kept.map(|d| d.local.redo_from.sequence).collect();
        let mut last = self.log.last_of(lane);
        if let Some(before) = self.log.last_but_one_of(lane)
            && self.strikes(self.plan.stale_read)
        {
            last = Some(before);
        }
        let Some(last) = last else { return LogNeeds::recorded(None, stored) };
        let record = decode(&last, self.lives.pipeline(lane)).expect("what is in the log is whole");
        LogNeeds::recorded(Some((last.sequence, &record)), stored)
    }

    pub(super) fn purge(&mut self, id: NodeId, below: Sequence) {
        let is_lost = self.node(id).mute || self.now < self.broker_up_at;
        if is_lost || !self.log.purge(self.current().all(), below) {
            return;
        }
        self.fire(Fault::Trimmed);
        for lane in 0..self.plan.topology.lanes() {
            self.check_anchors(lane);
        }
    }
}
