//! An output of one stage as an input of another in a local run.

use bytes::Bytes;
use millstream_core::exchange::Place;
use millstream_core::exchange::merge::{Anchor, Merge};
use millstream_core::ids::SourceId;

use super::lane::Told;
use crate::error::EngineError;
use crate::input::Chunk;
use crate::instance;
use crate::router::Router;
use crate::spec::{InputFrom, PipelineSpec};

/// Merges the partitions of one stage and routes to those of another.
pub struct Link {
    /// The stage that is read.
    pub from: usize,
    /// The stage that reads.
    pub to: usize,
    name: Bytes,
    merge: Merge,
    router: Router,
}

impl Link {
    /// All links of a pipeline, each behind those that feed the stage it reads.
    pub fn all(spec: &PipelineSpec) -> Result<Vec<Self>, EngineError> {
        let mut links = Vec::new();
        for to in spec.in_order() {
            let stage = &spec.stages[to];
            for (source, input) in stage.inputs.iter().enumerate() {
                let InputFrom::Stage { stage: from, output } = input.from else { continue };
                let partitions = spec.stages[from].partitions;
                let start = Anchor::start(partitions, spec.ordering(from));
                let done = vec![vec![Place::default(); partitions.into()]; stage.partitions.into()];
                links.push(Self {
                    from,
                    to,
                    name: spec.input_name(input).into(),
                    merge: Merge::new(output, spec.ordering(from), &start),
                    router: Router::merged(
                        input.input as u32,
                        instance::decoder(spec, stage, input)?,
                        SourceId(source as u16),
                        start,
                        done,
                    ),
                });
            }
        }
        Ok(links)
    }

    /// Takes what a partition of the stage told.
    pub fn take(&mut self, partition: u16, told: &Told) {
        self.merge.commit(partition, told.sequence, &told.outputs, Some(&told.exchange));
    }

    /// What can be passed on now, per partition of the stage that reads.
    pub fn pass(&mut self) -> Vec<Chunk> {
        while let Some(element) = self.merge.poll() {
            self.router.add_merged(element, &self.name);
        }
        self.router.finish_merged(self.merge.anchor(), false)
    }
}
