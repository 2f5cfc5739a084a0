//! The lives of a pipeline: each has its own number of partitions and its own logs. Lanes are numbered through all lives.

use millstream_core::ids::Incarnation;

use crate::topology::Topology;

/// Lanes that one life may have.
const LANES_MAX: u16 = 64;
/// Lives that a pipeline has in one run, at most.
pub const LIVES_MAX: usize = 12;

#[derive(Clone, Debug)]
pub struct PipelineLife {
    pub pipeline: Incarnation,
    pub topology: Topology,
}

#[derive(Clone, Debug)]
pub struct Lives(Vec<PipelineLife>);

impl Lives {
    pub fn new(pipeline: Incarnation, topology: Topology) -> Self {
        Self(vec![PipelineLife { pipeline, topology }])
    }

    /// Adds one that may run some day; its number.
    pub fn add(&mut self, pipeline: Incarnation, topology: &Topology) -> usize {
        let first = self.0.len() as u16 * LANES_MAX;
        let topology = Topology { first, ..topology.clone() };
        self.0.push(PipelineLife { pipeline, topology });
        self.0.len() - 1
    }

    pub fn count(&self) -> usize {
        self.0.len()
    }

    pub fn life(&self, number: usize) -> &PipelineLife {
        &self.0[number]
    }

    /// The number of the life that a lane is of.
    pub fn of(lane: u16) -> usize {
        usize::from(lane / LANES_MAX)
    }

    pub fn topology(&self, lane: u16) -> &Topology {
        &self.life(Self::of(lane)).topology
    }

    pub fn pipeline(&self, lane: u16) -> Incarnation {
        self.life(Self::of(lane)).pipeline
    }
}
