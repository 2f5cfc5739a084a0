//! `local.*`: what one node alone knows. Nodes ask each other; clients ask the node that answers `millstream.api.v1`, which
//! puts the answers together.

use std::collections::BTreeMap;

use millstream_engine::worker::Assigned;
use serde::{Deserialize, Serialize};

use super::Data;
use super::checkpoints::{Checkpoints, Verified};
use super::logs::Lines;
use super::operations;
use super::savepoints::SavepointInfo;
use super::state::{KeyState, Keys};
use super::status::PipelineStatus;

/// Which partitions run on the node, and up to where it has done what is wanted.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Held {}

/// Per pipeline.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldPartitions {
    /// Partitions per stage, stopped or not. Pipelines of which nothing runs are left out.
    pub pipelines: BTreeMap<String, Assigned>,
    /// Partitions for which the node stands by with all that was in the log when it looked last.
    #[serde(default)]
    pub ready: BTreeMap<String, Assigned>,
    /// Revision of the record, in its bucket, with which the node is done.
    pub settled: BTreeMap<String, u64>,
}

/// How the node's part of a pipeline is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Status {
    /// The pipeline.
    pub pipeline: String,
}

/// A part of a pipeline.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PartStatus {
    /// None if nothing of it runs here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<PipelineStatus>,
    /// Why it does not run as it is wanted, if an attempt failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

/// The last log lines of a pipeline's guests on the node.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Logs {
    /// The pipeline.
    pub pipeline: String,
    /// Only of this stage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<String>,
    /// At most so many.
    pub limit: u32,
}

/// All states and timers of a key, if its partition is on the node.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StateGet {
    /// The pipeline.
    pub pipeline: String,
    /// The stage.
    pub stage: String,
    /// The key.
    pub key: Data,
}

/// Keys of the node's partitions of a stage.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StateKeys {
    /// The pipeline.
    pub pipeline: String,
    /// The stage.
    pub stage: String,
    /// Keys that start with this.
    pub prefix: Data,
    /// Keys behind this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Data>,
    /// At most so many.
    pub limit: u32,
}

/// Takes a checkpoint of every partition on the node that changed, and waits until it is stored.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The pipeline.
    pub pipeline: String,
}

/// Stored checkpoints of the node's partitions, with their files.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StoredCheckpoints {
    /// The pipeline.
    pub pipeline: String,
}

/// Reads the stored checkpoints of the node's partitions back.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct VerifyCheckpoints {
    /// The pipeline.
    pub pipeline: String,
    /// Only of this stage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<String>,
    /// Only of this partition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition: Option<u16>,
}

/// Takes a savepoint of a pipeline that runs on the node as a whole. To be asked again and again, until it is taken and as long as the
/// pipeline is to rest: who is silent for a lease's expiry is taken for dead, and the pipeline goes on.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TakeSavepoint {
    /// The pipeline.
    pub pipeline: String,
    /// Name of the savepoint. One that was asked for already is not taken again.
    pub name: String,
    /// It computes nothing more until it is told to, or stopped.
    pub stay: bool,
    /// Answer after so many milliseconds that it is under way; none, from a node of version 0.1: only when it is taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within_ms: Option<u64>,
    /// It was taken, and the pipeline is to rest on: nothing is begun.
    #[serde(default)]
    pub rest_only: bool,
}

/// How far a savepoint is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Taking {
    /// It is taken.
    Taken(SavepointInfo),
    /// Ask again.
    UnderWay {},
}

/// A pipeline on the node computes again after a savepoint.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct GoOn {
    /// The pipeline.
    pub pipeline: String,
}

/// Nothing to say but that it is done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {}

operations! {
    Held => LocalHeld => HeldPartitions,
    Status => LocalStatus => PartStatus,
    Logs => LocalLogs => Lines,
    StateGet => LocalStateGet => KeyState,
    StateKeys => LocalStateList => Keys,
    Checkpoint => LocalCheckpoint => Checkpoints,
    StoredCheckpoints => LocalCheckpoints => Checkpoints,
    VerifyCheckpoints => LocalVerify => Verified,
    TakeSavepoint => LocalSavepoint => Taking,
    GoOn => LocalGoOn => Done,
}
