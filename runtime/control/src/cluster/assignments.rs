//! Which node is to run which partition, on record: one entry per pipeline.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::stream::BoxStream;
use millstream_engine::worker::Share;
use millstream_log::kv::{Kv, KvChange, KvError, KvEvent, Revision};
use serde::{Deserialize, Serialize};

use crate::problem::Problem;
use crate::registry::{ASSIGNMENTS_BUCKET, damaged, storage};

/// Where the partitions of a pipeline are to run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assignment {
    /// Which life of the pipeline, hexadecimal. An earlier one's assignment means nothing.
    pub incarnation: String,
    /// Counts changes, from 1.
    pub epoch: u64,
    /// Name of the node that wrote it.
    pub by: String,
    /// Per stage with partitions of its own one place per partition, in their order.
    pub stages: BTreeMap<String, Vec<Slot>>,
}

/// Where a partition is to run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slot {
    /// Identity of the node; none: nobody takes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Identity of the node before. A node that gets the partition first lets that one finish, if it can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<String>,
    /// Identities of the nodes that stand by: they follow the log, and one of them is the next owner.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub standbys: Vec<String>,
}

impl Assignment {
    /// A node's share.
    pub fn of(&self, identity: &str) -> Share {
        let mut share = Share::default();
        for (stage, slots) in &self.stages {
            for (partition, slot) in (0..).zip(slots) {
                let part = match slot.owner.as_deref() == Some(identity) {
                    true => &mut share.runs,
                    false if slot.standbys.iter().any(|s| s == identity) => &mut share.follows,
                    false => continue,
                };
                part.entry(stage.clone()).or_default().insert(partition);
            }
        }
        share
    }

    /// How many partitions there are.
    pub fn partitions(&self) -> usize {
        self.stages.values().map(Vec::len).sum()
    }
}

/// An assignment and the revision that a change of it must be based on.
#[derive(Clone, Debug)]
pub struct RecordedAssignment {
    /// The assignment.
    pub assignment: Assignment,
    /// Revision of its key.
    pub at: Revision,
}

/// The bucket of assignments.
#[derive(Clone)]
pub struct Assignments {
    entries: Arc<dyn Kv>,
}

impl Assignments {
    /// Over the bucket [`ASSIGNMENTS_BUCKET`].
    pub fn new(entries: Arc<dyn Kv>) -> Self {
        Assignments { entries }
    }

    /// All of them, by pipeline. One that cannot be read is logged and left out.
    pub async fn list(&self) -> Result<BTreeMap<String, RecordedAssignment>, Problem> {
        let mut list = BTreeMap::new();
        for name in self.entries.keys("").await.map_err(|error| storage(&error))? {
            let entry = self.entries.get(&name).await.map_err(|error| storage(&error))?;
            let Some(entry) = entry else { continue };
            match read(&name, &entry.value) {
                Ok(assignment) => {
                    list.insert(name, RecordedAssignment { assignment, at: entry.revision });
                }
                Err(problem) => {
                    tracing::error!(pipeline = %name, %problem, "an assignment is left out")
                }
            }
        }
        Ok(list)
    }

    /// Writes one over what `at` says was read; none: there was none. `false`: another coordinator was faster.
    pub async fn write(
        &self,
        name: &str,
        assignment: &Assignment,
        at: Option<Revision>,
    ) -> Result<bool, Problem> {
        let value = serde_json::to_vec(assignment);
        let value = value.map_err(|error| damaged(ASSIGNMENTS_BUCKET, name, &error))?;
        let written = match at {
            Some(at) => self.entries.update(name, value.into(), at, None).await,
            None => self.entries.create(name, value.into(), None).await,
        };
        match written {
            Ok(_) => Ok(true),
            Err(KvError::Conflict { .. } | KvError::Exists { .. }) => Ok(false),
            Err(error) => Err(storage(&error)),
        }
    }

    /// Removes the entry of a pipeline that is gone, if it is still at `at`.
    pub async fn remove(&self, name: &str, at: Revision) -> Result<(), Problem> {
        match self.entries.delete(name, Some(at)).await {
            Ok(()) | Err(KvError::Conflict { .. }) => Ok(()),
            Err(error) => Err(storage(&error)),
        }
    }

    /// All entries, then their changes.
    pub async fn watch(&self) -> Result<BoxStream<'static, Result<KvEvent, KvError>>, Problem> {
        self.entries.watch("").await.map_err(|error| storage(&error))
    }

    /// The assignment of a watched change; none if it was deleted.
    ///
    /// # Errors
    /// MS1408.
    pub fn read_change(change: &KvChange) -> Result<Option<Assignment>, Problem> {
        match change {
            KvChange::Put(entry) => read(&entry.key, &entry.value).map(Some),
            KvChange::Deleted { .. } => Ok(None),
        }
    }
}

fn read(name: &str, value: &[u8]) -> Result<Assignment, Problem> {
    serde_json::from_slice(value).map_err(|error| damaged(ASSIGNMENTS_BUCKET, name, &error))
}
