//! The coordinator: the node that holds the owner lease writes which node is to run which partition.
//!
//! It looks at what is wanted, who is there and what it wrote before, and writes what `millstream_core::assignment`
//! makes of that. Nothing is remembered in between, so that the next coordinator goes on with the same.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::{FutureExt, StreamExt};
use millstream_core::assignment::{
    AssignableNode, AssignablePartition, NodeState, assign, stand_by,
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::assignments::{Assignment, Assignments, RecordedAssignment, Slot};
use super::gathering::Gatherings;
use super::view::View;
use crate::api::pipelines::Desired;
use crate::manifest::{Document, Stage};
use crate::problem::Problem;
use crate::queues;
use crate::registry::{PipelineRecord, Pipelines};

/// Wait after a pass that failed, or that another coordinator spoiled.
const AGAIN_AFTER: Duration = Duration::from_millis(500);
/// A pass is made at least so often, whether or not anything was heard.
const PASS_EVERY: Duration = Duration::from_secs(10);

/// What a coordinator needs.
#[derive(Clone)]
pub struct Coordinator {
    /// Name of the node.
    pub node: String,
    /// What is wanted.
    pub pipelines: Pipelines,
    /// What was written.
    pub assignments: Assignments,
    /// Who is there.
    pub view: watch::Receiver<View>,
    /// What is to be on one node.
    pub gatherings: Gatherings,
}

impl Coordinator {
    /// Keeps the assignments as they must be, until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let ended = tokio::select! {
                ended = self.coordinate() => ended,
                () = stop.cancelled() => return,
            };
            if let Err(problem) = ended {
                tracing::warn!(%problem, "partitions could not be assigned; trying again");
            }
            tokio::select! {
                () = tokio::time::sleep(AGAIN_AFTER) => {}
                () = stop.cancelled() => return,
            }
        }
    }

    async fn coordinate(&mut self) -> Result<(), Problem> {
        let mut pipelines = self.pipelines.watch().await?;
        let mut gathered = self.gatherings.watch();
        loop {
            self.view.mark_unchanged();
            gathered.mark_unchanged();
            if !self.pass().await? {
                return Ok(());
            }
            tokio::select! {
                event = pipelines.next() => match event {
                    // One pass is enough for all that is known already.
                    Some(Ok(_)) => while let Some(Some(Ok(_))) = pipelines.next().now_or_never() {},
                    Some(Err(error)) => return Err(crate::registry::storage(&error)),
                    None => return Ok(()),
                },
                changed = self.view.changed() => if changed.is_err() {
                    return Ok(());
                },
                _ = gathered.changed() => {}
                () = tokio::time::sleep(PASS_EVERY) => {}
            }
        }
    }

    /// One pass. `false`: another coordinator wrote meanwhile.
    async fn pass(&self) -> Result<bool, Problem> {
        let view = self.view.borrow().clone();
        if !view.is_current || view.nodes.is_empty() {
            return Ok(true);
        }
        // In this order: what is on record was so when the assignments were read.
        let present = self.assignments.list().await?;
        let records = self.pipelines.list().await?;
        let names = self.pipelines.names().await?;
        for (name, recorded) in &present {
            if !names.contains(name) {
                self.assignments.remove(name, recorded.at).await?;
            }
        }
        let records: Vec<PipelineRecord> = records.into_iter().map(|r| r.record).collect();
        let gathered = self.gatherings.watch().borrow().clone();
        for (name, wanted) in decide(&self.node, &view, &records, &present, &gathered) {
            let at = present.get(&name).map(|recorded| recorded.at);
            if !self.assignments.write(&name, &wanted, at).await? {
                return Ok(false);
            }
            tracing::info!(pipeline = %name, epoch = wanted.epoch, "partitions assigned");
        }
        Ok(true)
    }
}

/// The assignments that must change, and what they become. `gathered` are pipelines that are to be on one node.
pub fn decide(
    by: &str,
    view: &View,
    records: &[PipelineRecord],
    present: &BTreeMap<String, RecordedAssignment>,
    gathered: &BTreeMap<String, String>,
) -> BTreeMap<String, Assignment> {
    let nodes: Vec<AssignableNode> = view
        .nodes
        .iter()
        .map(|(identity, peer)| AssignableNode {
            name: identity.clone(),
            weight: peer.member.weight,
            state: if peer.draining { NodeState::Draining } else { NodeState::Live },
        })
        .collect();
    let mut wanted: BTreeMap<String, Assignment> = BTreeMap::new();
    let mut standbys: BTreeMap<(String, String), u16> = BTreeMap::new();
    for record in records.iter().filter(|record| is_assigned(record)) {
        let Some(stages) = stages_of(record) else { continue };
        let incarnation = format!("{:032x}", record.incarnation);
        let known = present.get(&record.name).map(|recorded| &recorded.assignment);
        let known = known.filter(|known| known.incarnation == incarnation);
        let slots = |stage: &HeadStage| {
            let known = known.and_then(|known| known.stages.get(&stage.name));
            let mut slots = known.cloned().unwrap_or_default();
            slots.resize(usize::from(stage.partitions), Slot::default());
            (stage.name.clone(), slots)
        };
        standbys.extend(stages.iter().map(|stage| {
            let place = (record.name.clone(), stage.name.clone());
            (place, stage.standbys)
        }));
        let stages = stages.iter().map(slots).collect();
        let epoch = known.map_or(0, |known| known.epoch);
        wanted.insert(
            record.name.clone(),
            Assignment { incarnation, epoch, by: by.to_owned(), stages },
        );
    }
    let (mut slots, mut partitions, mut wanted_standbys) = (Vec::new(), Vec::new(), Vec::new());
    let stages = wanted.iter_mut().flat_map(|(pipeline, assignment)| {
        assignment.stages.iter_mut().map(move |(stage, slots)| ((pipeline, stage), slots))
    });
    for (number, ((pipeline, stage), of_stage)) in (0..).zip(stages) {
        let standbys = standbys.get(&(pipeline.clone(), stage.clone())).copied();
        let only = gathered.get(pipeline).filter(|only| is_live(&nodes, only));
        let others = nodes.iter().filter(|node| only.is_some_and(|only| node.name != *only));
        let barred: Vec<String> = others.map(|node| node.name.clone()).collect();
        for slot in of_stage {
            let owner = present_owner(slot, &nodes);
            let (barred, warm) = (barred.clone(), slot.standbys.clone());
            partitions.push(AssignablePartition { stage: number, weight: 1, owner, barred, warm });
            wanted_standbys.push(standbys.unwrap_or_default());
            slots.push(slot);
        }
    }
    let owners = assign(&nodes, &partitions);
    for (slot, owner) in slots.iter_mut().zip(&owners) {
        let owner = owner.map(|owner| nodes[owner].name.clone());
        // What nobody takes stays with whom it was: that node may come back.
        if owner.is_some() && owner != slot.owner {
            slot.previous = std::mem::replace(&mut slot.owner, owner);
        }
    }
    // Who had it before has most of its state.
    let warm = |slot: &&mut Slot| slot.standbys.iter().chain(&slot.previous).cloned().collect();
    let warm: Vec<Vec<String>> = slots.iter().map(warm).collect();
    let chosen = stand_by(&nodes, &partitions, &owners, &warm, &wanted_standbys);
    for ((slot, owner), chosen) in slots.into_iter().zip(owners).zip(chosen) {
        // One of them may become the owner of what nobody has.
        if owner.is_some() {
            slot.standbys = chosen.into_iter().map(|node| nodes[node].name.clone()).collect();
        }
    }
    wanted.retain(|name, assignment| {
        let known = present.get(name).map(|recorded| &recorded.assignment);
        known.is_none_or(|known| {
            known.incarnation != assignment.incarnation || known.stages != assignment.stages
        })
    });
    wanted.values_mut().for_each(|assignment| assignment.epoch += 1);
    wanted
}

/// Where a partition is, or goes on at once: if its owner does not take partitions, at a node that stands by.
fn present_owner(slot: &Slot, nodes: &[AssignableNode]) -> Option<String> {
    let is_live = |name: &&String| is_live(nodes, name);
    let owner = slot.owner.as_ref();
    owner.filter(is_live).or_else(|| slot.standbys.iter().find(is_live)).or(owner).cloned()
}

fn is_live(nodes: &[AssignableNode], name: &str) -> bool {
    nodes.iter().any(|node| node.name == name && node.state == NodeState::Live)
}

/// Whether a pipeline's partitions are anybody's. Those of one that is stopped stay where they were.
fn is_assigned(record: &PipelineRecord) -> bool {
    match record.desired {
        Desired::Running | Desired::Paused => true,
        Desired::Stopped => record.drain,
        Desired::Deleted => false,
    }
}

/// A stage that has partitions of its own.
pub struct HeadStage {
    /// Its name.
    pub name: String,
    /// How many.
    pub partitions: u16,
    /// How many nodes stand by for each.
    pub standbys: u16,
}

/// The stages that have partitions of their own. None if the manifest cannot be read: it stays as it is.
pub fn stages_of(record: &PipelineRecord) -> Option<Vec<HeadStage>> {
    let document = Document::parse(&record.file, &record.manifest)
        .inspect_err(|problems| {
            tracing::error!(pipeline = %record.name, %problems, "the manifest cannot be read");
        })
        .ok()?;
    let manifest = &document.manifest;
    let heads = manifest.stages.iter().filter(|(name, _)| manifest.head_of(name) == name.as_str());
    let head = |(name, stage): (&String, &Stage)| HeadStage {
        name: name.clone(),
        partitions: stage.partitions,
        standbys: stage.standbys,
    };
    let ingest = |name| HeadStage { name, partitions: 1, standbys: 0 };
    Some(heads.map(head).chain(queues::stages(&record.queues).map(ingest)).collect())
}
