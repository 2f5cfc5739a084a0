//! `checkpoint.*`: checkpoints of a pipeline.

use serde::{Deserialize, Serialize};

use super::operations;

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

/// Checkpoints, by stage, partition and commit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoints {
    /// The checkpoints.
    pub checkpoints: Vec<CheckpointInfo>,
}

/// A stored checkpoint of one partition.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointInfo {
    /// The stage.
    pub stage: String,
    /// The partition.
    pub partition: u16,
    /// Commit up to which it holds the state.
    pub commit: u64,
    /// When it was stored, milliseconds since 1970 UTC.
    pub at_ms: i64,
    /// Bytes it refers to.
    pub size: u64,
    /// Its files; only from `checkpoint.show`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<CheckpointFile>,
}

/// A file of a checkpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointFile {
    /// Its name in the database.
    pub name: String,
    /// BLAKE3 of its content, hexadecimal: its name in the store.
    pub hash: String,
    /// Bytes.
    pub size: u64,
}

operations! {
    Now => "checkpoint.now" => Checkpoints,
    List => "checkpoint.ls" => Checkpoints,
    Show => "checkpoint.show" => Checkpoints,
}
