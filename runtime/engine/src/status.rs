//! How pipelines are, as their worker sees it.

use serde::{Deserialize, Serialize};

/// A pipeline as its worker sees it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PipelineStatus {
    /// Of the pipeline as a whole: failed if one partition is, otherwise the least advanced.
    pub phase: Phase,
    /// Why it failed or does not start, for the operator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// It failed only because other nodes have taken over what ran here.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub fenced: bool,
    /// It failed because the node could not go on, for example with a full disk: it is started again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub host_fault: bool,
    /// Its stages, in the manifest's order.
    pub stages: Vec<StageStatus>,
}

/// How far a pipeline or a partition is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Its state is being restored.
    #[default]
    Starting,
    /// It processes records.
    Running,
    /// It was told to pause.
    Paused,
    /// It was told to stop.
    Stopped,
    /// It cannot go on by itself; `reason` says why.
    Failed,
}

/// A stage.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StageStatus {
    /// Name in the manifest.
    pub name: String,
    /// SHA-256 of the module that the last commits used, hexadecimal.
    pub module: String,
    /// Its partitions, in order.
    pub partitions: Vec<PartitionStatus>,
}

/// A partition.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PartitionStatus {
    /// From 0.
    pub partition: u16,
    /// How far it is.
    pub phase: Phase,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Generation of its owner.
    pub generation: u64,
    /// Number of the last acknowledged commit.
    pub commit: u64,
    /// Positions, one per source of the stage.
    pub positions: Vec<PositionStatus>,
    /// Milliseconds since 1970 UTC; none before the first record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watermark: Option<i64>,
    /// Which of several inputs holds the watermark back: the one that is furthest behind and not idle.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_back_by: Option<String>,
    /// When this node opened the partition, milliseconds since 1970 UTC: at the pipeline's start here, a take-over or a
    /// resume after a stop. The totals below count from then; they are not kept.
    #[serde(default)]
    pub since_ms: i64,
    /// Records processed since then.
    pub records: u64,
    /// Outputs emitted since then.
    pub outputs: u64,
    /// Dead letters since then.
    pub dead_letters: u64,
    /// Timers fired since then.
    #[serde(default)]
    pub timers: u64,
    /// Calls of the UDF since then.
    #[serde(default)]
    pub calls: u64,
    /// Fuel that they used since then: about one per instruction.
    #[serde(default)]
    pub fuel: u64,
    /// Records per second, over the last seconds.
    pub records_per_second: f64,
    /// Outputs per second, over the last seconds.
    pub outputs_per_second: f64,
    /// SHA-256 of the module of the last commit, hexadecimal.
    pub module: String,
    /// The newest stored checkpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<CheckpointStatus>,
}

/// A position in a source.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PositionStatus {
    /// The source's name; `redrive` is the stage's redriven dead letters.
    pub source: String,
    /// Sequence up to which records are committed.
    pub position: u64,
    /// The stream's last sequence.
    pub last: u64,
    /// Sequences between them that are still to be scanned.
    pub lag: u64,
    /// Its own watermark, milliseconds since 1970 UTC; none before the first record and for redriven dead letters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watermark: Option<i64>,
    /// Whether it is idle, so that nobody waits for it.
    #[serde(default)]
    pub idle: bool,
}

/// A stored checkpoint, in short.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointStatus {
    /// Commit up to which it holds the state.
    pub commit: u64,
    /// When it was stored, milliseconds since 1970 UTC.
    pub at_ms: i64,
    /// Bytes it refers to.
    pub size: u64,
}

/// The newest commit of a partition. As every record repeats the hash of the one before, it stands for all of them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CommitPoint {
    /// The pipeline.
    pub pipeline: String,
    /// Which life of it; 32 hexadecimal digits.
    pub incarnation: String,
    /// The stage.
    pub stage: String,
    /// The partition.
    pub partition: u16,
    /// Number of the commit; they are counted from 1 in every partition and life.
    pub commit: u64,
    /// Its sequence in the pipeline's log.
    pub sequence: u64,
    /// BLAKE3 of the record, 64 hexadecimal digits.
    pub hash: String,
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
    /// SHA-256 of its content, hexadecimal; a table (`.sst`) is stored under it.
    pub hash: String,
    /// Bytes.
    pub size: u64,
}

/// What reading a stored checkpoint back has shown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointVerified {
    /// The stage.
    pub stage: String,
    /// The partition.
    pub partition: u16,
    /// Its document in the store.
    pub document: String,
    /// Number of the newest commit in it; 0 if the document cannot be read.
    pub commit: u64,
    /// When it was stored, milliseconds since 1970 UTC.
    pub at_ms: i64,
    /// How many files it has.
    pub files: u32,
    /// Their length, bytes.
    pub size: u64,
    /// What is damaged or missing; nothing: it is whole.
    pub faults: Vec<CheckpointFault>,
}

/// A file of a checkpoint that is not what was stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointFault {
    /// The file, or the checkpoint's document.
    pub file: String,
    /// What is wrong with it.
    pub fact: String,
}

/// A savepoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavepointInfo {
    /// Its name.
    pub name: String,
    /// The pipeline it is of.
    pub pipeline: String,
    /// When it was taken, milliseconds since 1970 UTC.
    pub at_ms: i64,
    /// Length of its files, bytes.
    pub size: u64,
    /// URL of the store of its files; none: the node's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store: Option<String>,
    /// Its stages.
    pub stages: Vec<SavedStage>,
}

/// A stage of a savepoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedStage {
    /// Its name.
    pub name: String,
    /// How many partitions it had.
    pub partitions: u16,
}
