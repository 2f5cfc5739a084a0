//! `info`: who answers; `node.*`: the nodes of the cluster.

use serde::{Deserialize, Serialize};

use super::operations;
use crate::access::Target;

/// Asks the node that answers about itself.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Info {}

/// A node about itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeInfo {
    /// Name of the node.
    pub node: String,
    /// Random number of this start of the node, hexadecimal.
    pub incarnation: String,
    /// Version of the runtime.
    pub version: String,
    /// Milliseconds since the node started.
    pub uptime_ms: u64,
    /// Version of the NATS server it is connected to.
    pub server_version: String,
    /// Largest module accepted, bytes.
    pub module_size_max: u64,
    /// Pipelines on record.
    pub pipelines: usize,
    /// Modules on record.
    pub modules: usize,
}

/// Lists the nodes of the cluster.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct List {}

/// All nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing {
    /// By name, then by identity.
    pub nodes: Vec<NodeSummary>,
}

/// A node of the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeSummary {
    /// Its name.
    pub node: String,
    /// Number of its data folder, hexadecimal: no two nodes have the same.
    pub identity: String,
    /// Random number of this start of the node, hexadecimal.
    pub incarnation: String,
    /// Version of the runtime.
    pub version: String,
    /// Its share of the partitions, relative to the others'.
    pub weight: u32,
    /// Whether it takes partitions.
    pub state: NodeState,
    /// Whether it is the one that assigns partitions and answers.
    pub coordinator: bool,
    /// Partitions that it is to run.
    pub assigned: usize,
    /// Partitions that it runs; none: it does not answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running: Option<usize>,
}

/// Whether a node takes partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NodeState {
    /// It does.
    Live,
    /// It gives its partitions to other nodes.
    Draining,
}

/// One node with its partitions.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Describe {
    /// Its name or identity.
    pub node: String,
}

/// A node with its partitions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Described {
    /// The node.
    #[serde(flatten)]
    pub node: NodeSummary,
    /// The partitions that it is to run or runs, by pipeline, stage and number.
    pub partitions: Vec<PlacedPartition>,
    /// The partitions for which it stands by, in the same order.
    #[serde(default)]
    pub standbys: Vec<StandbyPartition>,
}

/// A partition for which a node stands by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct StandbyPartition {
    /// The pipeline.
    pub pipeline: String,
    /// The stage.
    pub stage: String,
    /// The partition.
    pub partition: u16,
    /// Whether it has all that was in the log when it looked last.
    pub ready: bool,
}

/// A partition as one node has it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PlacedPartition {
    /// The pipeline.
    pub pipeline: String,
    /// The stage.
    pub stage: String,
    /// The partition.
    pub partition: u16,
    /// Whether the node is to run it.
    pub assigned: bool,
    /// Whether it runs there.
    pub running: bool,
}

/// Has a node give its partitions to others, and take none, until [`Resume`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Drain {
    /// Its name or identity.
    pub node: String,
}

/// Has a drained node take partitions again.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Resume {
    /// Its name or identity.
    pub node: String,
}

operations! {
    Info => Info => NodeInfo,
    List => NodeList => Listing,
    Describe => NodeDescribe => Described,
    Drain => NodeDrain => NodeSummary {
        fn target(&self) -> Target {
            Target::named(&self.node)
        }
    },
    Resume => NodeResume => NodeSummary {
        fn target(&self) -> Target {
            Target::named(&self.node)
        }
    },
}
