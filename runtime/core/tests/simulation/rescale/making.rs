//! Makes the beginning of a new life of what was taken at the barrier: the seeds of its logs, and checkpoints that go with them.

use std::collections::BTreeMap;

use millstream_core::append::AppendReply;
use millstream_core::commit::CommitRecord;
use millstream_core::ids::{Incarnation, LogPoint, Sequence, SourceId, key_hash, partition_of};
use millstream_core::recovery::LocalState;
use millstream_core::savepoint::{Barrier, SEED_NUMBER, Seeded, behind_seeds, seed};

use super::{RescalingId, Step};
use crate::faults::Bug;
use crate::operator::Database;
use crate::topology::From;
use crate::world::World;

impl World {
    pub(super) fn begin_life(&mut self, id: RescalingId) -> Step {
        if self.lives.count() == super::LIVES_MAX {
            return self.let_all_go_on(id);
        }
        let pipeline = Incarnation(self.rng.wide());
        Step::Making(self.lives.add(pipeline, &self.rescalings[id].wanted), 0)
    }

    /// Makes a stage of a new life, behind those that it reads.
    pub(super) fn make_stage(&mut self, id: RescalingId, life: usize, stage: usize) -> Step {
        let new = self.lives.life(life).clone();
        let Some(spec) = new.topology.stages.get(stage) else { return Step::Sealing(life) };
        let old = self.lives.life(self.rescalings[id].based_on.life).topology.clone();
        let taken = &self.rescalings[id].taken;
        let standing: Vec<CommitRecord> =
            old.lanes_of(stage).map(|lane| taken[&lane].standing.clone()).collect();
        let barrier = Barrier::of(&standing).or_else(|_| Barrier::of(&standing[..1]));
        let barrier = barrier.expect("a stage has partitions");
        let mut upstream = Vec::new();
        for (source, input) in (0..).zip(&spec.inputs) {
            let From::Stage { stage, .. } = *input else { continue };
            let last = |lane| self.log.last_of(lane).map_or(Sequence(0), |last| last.sequence);
            let seeds: Vec<Sequence> = new.topology.lanes_of(stage).map(last).collect();
            upstream.extend(behind_seeds(SourceId(source), &seeds));
        }
        for (partition, lane) in (0..).zip(new.topology.lanes_of(stage)) {
            let owner = Incarnation(self.rng.wide());
            let seeded = Seeded { pipeline: new.pipeline, owner, module: [7; 32] };
            let (message, hash) =
                seed(&barrier, &seeded, barrier.positions.clone(), upstream.clone());
            // Nobody else knows of this log.
            let AppendReply::Acknowledged(sequence) = self.log.append(lane, &message, Sequence(0))
            else {
                // It was full: what is made already is left behind.
                return self.let_all_go_on(id);
            };
            let point = LogPoint { number: SEED_NUMBER, hash, sequence };
            let database = self.share(id, &old, stage, (partition, spec.partitions), point);
            self.checkpoints.insert(lane, vec![database]);
        }
        Step::Making(life, stage + 1)
    }

    /// What a partition of a new life gets of the old one's state.
    fn share(
        &self,
        id: RescalingId,
        old: &crate::topology::Topology,
        stage: usize,
        (partition, partitions): (u16, u16),
        point: LogPoint,
    ) -> Database {
        let mut entries = BTreeMap::new();
        for (from, lane) in (0..).zip(old.lanes_of(stage)) {
            for (key, entry) in &self.rescalings[id].taken[&lane].entries {
                let to = match self.bug {
                    Some(Bug::StateMisdealt) => from % partitions,
                    _ => partition_of(key_hash(key), partitions),
                };
                if to == partition {
                    let mut entry = entry.clone();
                    if self.bug == Some(Bug::TimersNotDealt) {
                        entry.timers.clear();
                    }
                    entries.insert(key.clone(), entry);
                }
            }
        }
        Database { entries, local: LocalState { redo_from: point, newest: point } }
    }
}
