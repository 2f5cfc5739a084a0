//! The coordinator: the node that holds the owner lease writes which node is to run which partition.
//!
//! It looks at what is wanted, who is there and what it wrote before, and writes what `millstream_core::assignment`
//! makes of that. Nothing is remembered in between, so that the next coordinator goes on with the same.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::{FutureExt, StreamExt};
use millstream_core::assignment::{AssignableNode, AssignablePartition, NodeState, assign};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::assignments::{Assignment, Assignments, RecordedAssignment, Slot};
use super::view::View;
use crate::api::pipelines::Desired;
use crate::manifest::Document;
use crate::problem::Problem;
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
        loop {
            self.view.mark_unchanged();
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
        for (name, wanted) in decide(&self.node, &view, &records, &present) {
            let at = present.get(&name).map(|recorded| recorded.at);
            if !self.assignments.write(&name, &wanted, at).await? {
                return Ok(false);
            }
            tracing::info!(pipeline = %name, epoch = wanted.epoch, "partitions assigned");
        }
        Ok(true)
    }
}

/// The assignments that must change, and what they become.
pub fn decide(
    by: &str,
    view: &View,
    records: &[PipelineRecord],
    present: &BTreeMap<String, RecordedAssignment>,
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
    for record in records.iter().filter(|record| is_assigned(record)) {
        let Some(stages) = stages_of(record) else { continue };
        let incarnation = format!("{:032x}", record.incarnation);
        let known = present.get(&record.name).map(|recorded| &recorded.assignment);
        let known = known.filter(|known| known.incarnation == incarnation);
        let slots = |(stage, partitions): (String, u16)| {
            let known = known.and_then(|known| known.stages.get(&stage));
            let mut slots = known.cloned().unwrap_or_default();
            slots.resize(usize::from(partitions), Slot::default());
            (stage, slots)
        };
        let stages = stages.into_iter().map(slots).collect();
        let epoch = known.map_or(0, |known| known.epoch);
        wanted.insert(
            record.name.clone(),
            Assignment { incarnation, epoch, by: by.to_owned(), stages },
        );
    }
    let mut slots: Vec<(u32, &mut Slot)> = Vec::new();
    let stages = wanted.values_mut().flat_map(|assignment| assignment.stages.values_mut());
    for (number, stage) in (0..).zip(stages) {
        slots.extend(stage.iter_mut().map(|slot| (number, slot)));
    }
    let partitions: Vec<AssignablePartition> = slots
        .iter()
        .map(|(stage, slot)| AssignablePartition {
            stage: *stage,
            weight: 1,
            owner: slot.owner.clone(),
        })
        .collect();
    for ((_, slot), owner) in slots.into_iter().zip(assign(&nodes, &partitions)) {
        let owner = owner.map(|owner| nodes[owner].name.clone());
        // What nobody takes stays with whom it was: that node may come back.
        if owner.is_some() && owner != slot.owner {
            slot.previous = std::mem::replace(&mut slot.owner, owner);
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

/// Whether a pipeline's partitions are anybody's. Those of one that is stopped stay where they were.
fn is_assigned(record: &PipelineRecord) -> bool {
    match record.desired {
        Desired::Running | Desired::Paused => true,
        Desired::Stopped => record.drain,
        Desired::Deleted => false,
    }
}

/// The stages that have partitions of their own. None if the manifest cannot be read: it stays as it is.
pub fn stages_of(record: &PipelineRecord) -> Option<Vec<(String, u16)>> {
    let document = Document::parse(&record.file, &record.manifest)
        .inspect_err(|problems| {
            tracing::error!(pipeline = %record.name, %problems, "the manifest cannot be read");
        })
        .ok()?;
    let manifest = &document.manifest;
    let heads = manifest.stages.iter().filter(|(name, _)| manifest.head_of(name) == name.as_str());
    Some(heads.map(|(name, stage)| (name.clone(), stage.partitions)).collect())
}
