//! `savepoint.*` and `pipeline.rescale`: the whole of a pipeline at a barrier, and what begins from it.

use std::collections::BTreeMap;

pub use millstream_engine::status::{SavedStage, SavepointInfo};
use serde::{Deserialize, Serialize};

use super::changes::Consent;
use super::pipelines::{Applied, ManifestText};
use super::{about_pipeline, may_need_consent, operations, said_by};
use crate::access::Target;

/// Takes a savepoint, and waits until it is stored.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Create {
    /// The pipeline.
    pub pipeline: String,
    /// Name of the savepoint; none: the pipeline's with the time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Stop the pipeline at the barrier.
    #[serde(default)]
    pub stop: bool,
    /// Who does it, for the record.
    #[serde(default)]
    pub by: String,
}

/// All savepoints.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct List {}

/// Removes a savepoint.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Remove {
    /// Its name.
    pub savepoint: String,
}

/// Creates a pipeline that goes on from a savepoint.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Restore {
    /// Name of the savepoint.
    pub savepoint: String,
    /// The manifest of the pipeline, of a name that no other has.
    pub manifest: ManifestText,
    /// Who does it, for the record.
    #[serde(default)]
    pub by: String,
    /// Filled in by the node.
    #[serde(skip)]
    pub consent: Consent,
}

/// Changes the number of partitions of a running pipeline.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Rescale {
    /// The pipeline.
    pub pipeline: String,
    /// Partitions by stage. Stages that are not named keep theirs.
    #[serde(default)]
    pub stages: BTreeMap<String, u16>,
    /// Partitions of all other stages that have partitions of their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub all: Option<u16>,
    /// Who does it, for the record.
    #[serde(default)]
    pub by: String,
}

/// Savepoints, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Savepoints {
    /// The savepoints.
    pub savepoints: Vec<SavepointInfo>,
}

/// A savepoint was removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removed {
    /// Its name.
    pub savepoint: String,
}

operations! {
    Create => SavepointCreate => SavepointInfo {
        about_pipeline!();
        said_by!();
    },
    List => SavepointList => Savepoints,
    Remove => SavepointRemove => Removed {
        fn target(&self) -> Target {
            Target::named(&self.savepoint)
        }
    },
    // The savepoint is some pipeline's and the manifest another's: only who may do it with all of them.
    Restore => SavepointRestore => Applied {
        fn target(&self) -> Target {
            Target::named(&self.savepoint)
        }
        may_need_consent!();
    },
    Rescale => PipelineRescale => Applied {
        about_pipeline!();
        said_by!();
    },
}
