//! `checkpoint.*`: checkpoints of a pipeline.

pub use millstream_engine::status::{
    CheckpointFault, CheckpointFile, CheckpointInfo, CheckpointVerified,
};
use serde::{Deserialize, Serialize};

use super::{about_pipeline, operations};

/// Takes a checkpoint of every partition that changed, and waits until it is stored.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Now {
    /// The pipeline.
    pub pipeline: String,
}

/// Stored checkpoints of a pipeline.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct List {
    /// The pipeline.
    pub pipeline: String,
}

/// One partition's stored checkpoints, with their files.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Show {
    /// The pipeline.
    pub pipeline: String,
    /// The stage; may be left out when there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<String>,
    /// The partition.
    pub partition: u16,
}

/// Reads stored checkpoints back, every file of each.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Verify {
    /// The pipeline.
    pub pipeline: String,
    /// Only of this stage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<String>,
    /// Only of this partition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition: Option<u16>,
}

/// What that has shown, by stage, partition and commit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verified {
    /// The checkpoints.
    pub checkpoints: Vec<CheckpointVerified>,
}

/// Checkpoints, by stage, partition and commit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoints {
    /// The checkpoints.
    pub checkpoints: Vec<CheckpointInfo>,
}

operations! {
    Now => CheckpointNow => Checkpoints { about_pipeline!(); },
    List => CheckpointList => Checkpoints { about_pipeline!(); },
    Show => CheckpointShow => Checkpoints { about_pipeline!(); },
    Verify => CheckpointVerify => Verified { about_pipeline!(); },
}
