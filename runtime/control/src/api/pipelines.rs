//! `pipeline.*`: desired state of pipelines, and `lag`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::changes::Consent;
use super::status::PipelineStatus;
use super::{Kind, about_pipeline, may_need_consent, operations, said_by};
use crate::access::Target;

/// A manifest with what the server cannot see: the files it names.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ManifestText {
    /// Name of the file, for messages.
    pub file: String,
    /// The YAML.
    pub text: String,
    /// Per stage with `module: { file }` the SHA-256 of that file, which was pushed before.
    #[serde(default)]
    pub files: BTreeMap<String, String>,
}

/// Checks a manifest against the registry and the pipeline of that name, if there is one.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Validate {
    /// The manifest.
    pub manifest: ManifestText,
}

/// Creates or changes a pipeline. A new one runs; one that is paused or stopped stays so.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Apply {
    /// The manifest.
    pub manifest: ManifestText,
    /// Only says what would change.
    #[serde(default)]
    pub dry_run: bool,
    /// Refuse unless the pipeline is at this revision (0: must not exist).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub if_revision: Option<u64>,
    /// Who applies, for the record.
    #[serde(default)]
    pub by: String,
    /// Filled in by the node.
    #[serde(skip)]
    pub consent: Consent,
}

/// What an apply did, or would do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// The pipeline's name.
    pub pipeline: String,
    /// What happened.
    pub outcome: Outcome,
    /// What is wanted of the pipeline: a stopped one does not run for being changed.
    pub desired: Desired,
    /// Field by field; empty when created or unchanged.
    pub changes: Vec<Change>,
    /// Revision after the change (the one before, for a dry run or a proposal).
    pub revision: u64,
    /// Number of the proposal, where consent is needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proposal: Option<String>,
}

/// What an apply amounts to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// There was no such pipeline.
    Created,
    /// It runs something else now.
    Changed,
    /// It runs exactly this already.
    Unchanged,
    /// Nothing yet: somebody else must consent.
    Proposed,
}

/// One field that differs between two manifests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Field path.
    pub field: String,
    /// Compact JSON of the old value; none: added.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old: Option<String>,
    /// Compact JSON of the new value; none: removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new: Option<String>,
}

/// Lists pipelines.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct List {}

/// All pipelines, by name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Listing {
    /// In the order of names.
    pub pipelines: Vec<PipelineInfo>,
}

/// One pipeline.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Get {
    /// Its name.
    pub pipeline: String,
}

/// One pipeline with its manifest.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Describe {
    /// Its name.
    pub pipeline: String,
}

/// A pipeline with its manifest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Described {
    /// What `get` says.
    pub info: PipelineInfo,
    /// The manifest as applied.
    pub manifest: String,
}

/// A pipeline: what is wanted and what is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PipelineInfo {
    /// Its name.
    pub name: String,
    /// What is wanted.
    pub desired: Desired,
    /// Random number of this life of the pipeline, 32 hexadecimal digits.
    pub incarnation: String,
    /// Counts its changes; for [`Apply::if_revision`].
    pub revision: u64,
    /// Module digest per stage.
    pub modules: BTreeMap<String, String>,
    /// When it was created, milliseconds since 1970 UTC.
    pub created_at_ms: i64,
    /// When it was changed last.
    pub changed_at_ms: i64,
    /// Who changed it last.
    #[serde(default)]
    pub by: String,
    /// Dead letters that wait to be redriven or dropped; none if they cannot be counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dead_letters: Option<u64>,
    /// What the node that owns it says; none until it has looked at it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<PipelineStatus>,
}

/// What is wanted of a pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Desired {
    /// Reads and computes.
    Running,
    /// Keeps everything in place and reads nothing.
    Paused,
    /// Holds no resources on a node; its log and state stay.
    Stopped,
    /// Is being removed with its log, its state and its checkpoints.
    Deleted,
}

/// Removes a pipeline with its log, state and checkpoints.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Delete {
    /// Its name.
    pub pipeline: String,
    /// Who does it, for the record.
    #[serde(default)]
    pub by: String,
}

/// Stops reading, keeps everything in place.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Pause {
    /// Its name.
    pub pipeline: String,
    /// Who does it.
    #[serde(default)]
    pub by: String,
}

/// Goes on after a pause or a stop; a failed pipeline tries again.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Resume {
    /// Its name.
    pub pipeline: String,
    /// Who does it.
    #[serde(default)]
    pub by: String,
}

/// Stops a pipeline; `resume` starts it again where it was.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Stop {
    /// Its name.
    pub pipeline: String,
    /// First process all that its sources hold now, and publish all outputs.
    #[serde(default)]
    pub drain: bool,
    /// Who does it.
    #[serde(default)]
    pub by: String,
}

/// How far pipelines are behind their sources.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Lag {
    /// One pipeline; none: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pipeline: Option<String>,
}

/// Lags, per pipeline, stage, partition and source.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LagReport {
    /// In the order of pipeline, stage, partition, source.
    pub entries: Vec<LagEntry>,
}

/// One partition's lag behind one source.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LagEntry {
    /// The pipeline.
    pub pipeline: String,
    /// The stage.
    pub stage: String,
    /// The partition.
    pub partition: u16,
    /// The source's name; `redrive` is the stage's redriven dead letters.
    pub source: String,
    /// Sequence up to which records are committed.
    pub position: u64,
    /// The stream's last sequence.
    pub last: u64,
    /// Sequences between them.
    pub lag: u64,
}

operations! {
    Validate => PipelineValidate => Applied {
        fn target(&self) -> Target {
            Target::manifest(&self.manifest)
        }
    },
    Apply => PipelineApply => Applied {
        fn kind(&self) -> Kind {
            if self.dry_run { Kind::PipelineValidate } else { Kind::PipelineApply }
        }
        fn target(&self) -> Target {
            Target::manifest(&self.manifest)
        }
        may_need_consent!();
    },
    List => PipelineList => Listing,
    Get => PipelineGet => PipelineInfo { about_pipeline!(); },
    Describe => PipelineDescribe => Described { about_pipeline!(); },
    Delete => PipelineDelete => PipelineInfo {
        about_pipeline!();
        said_by!();
    },
    Pause => PipelinePause => PipelineInfo {
        about_pipeline!();
        said_by!();
    },
    Resume => PipelineResume => PipelineInfo {
        about_pipeline!();
        said_by!();
    },
    Stop => PipelineStop => PipelineInfo {
        about_pipeline!();
        said_by!();
    },
    Lag => Lag => LagReport,
}
