//! Pipelines on record: what is wanted of each.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::stream::BoxStream;
use millstream_core::ids::Incarnation;
use millstream_log::kv::{Kv, KvChange, KvEntry, KvError, KvEvent, Revision};
use serde::{Deserialize, Serialize};

use super::{PIPELINES_BUCKET, damaged, storage};
use crate::api::pipelines::Desired;
use crate::errors;
use crate::problem::Problem;
use crate::queues::Queues;
use crate::starts::Starts;

/// What is wanted of a pipeline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PipelineRecord {
    /// Its name.
    pub name: String,
    /// Name of the manifest's file, for messages.
    pub file: String,
    /// The manifest as applied.
    pub manifest: String,
    /// SHA-256 of the module per stage, hexadecimal: what its reference meant when it was applied.
    pub modules: BTreeMap<String, String>,
    /// Random, made when the pipeline was created; 32 hexadecimal digits.
    #[serde(with = "hexadecimal")]
    pub incarnation: u128,
    /// Its sources on streams that only one consumer may read, as found when it was created.
    #[serde(default, skip_serializing_if = "Queues::is_empty")]
    pub queues: Queues,
    /// Where its sources begin that do not start at the beginning, as found when it was created.
    #[serde(default, skip_serializing_if = "Starts::is_empty")]
    pub starts: Starts,
    /// Name of its log if that was made from a savepoint; none: its own name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<String>,
    /// Earlier lives that have left something to remove.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub retired: Vec<RetiredLife>,
    /// Counts changes, from 1.
    pub revision: u64,
    /// What is wanted.
    pub desired: Desired,
    /// A stop is to process first what the sources hold; cleared when that is done.
    #[serde(default)]
    pub drain: bool,
    /// Milliseconds since 1970 UTC.
    pub created_at_ms: i64,
    /// Milliseconds since 1970 UTC.
    pub changed_at_ms: i64,
    /// Who changed it last.
    #[serde(default)]
    pub by: String,
}

/// A life of a pipeline that another one goes on from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetiredLife {
    /// Which; 32 hexadecimal digits.
    #[serde(with = "hexadecimal")]
    pub incarnation: u128,
    /// As [`PipelineRecord::log`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<String>,
}

impl PipelineRecord {
    /// Its incarnation.
    pub fn incarnation(&self) -> Incarnation {
        Incarnation(self.incarnation)
    }
}

/// A record and the revision of the bucket that a change must be based on.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// The record.
    pub record: PipelineRecord,
    /// Revision of its key.
    pub at: Revision,
}

/// The bucket of pipelines.
#[derive(Clone)]
pub struct Pipelines {
    records: Arc<dyn Kv>,
}

impl Pipelines {
    /// Over the bucket [`PIPELINES_BUCKET`].
    pub fn new(records: Arc<dyn Kv>) -> Self {
        Pipelines { records }
    }

    /// A pipeline's record.
    pub async fn get(&self, name: &str) -> Result<Option<Recorded>, Problem> {
        // A name that is no key cannot have been recorded.
        if crate::manifest::check_name(name).is_err() {
            return Ok(None);
        }
        let entry = self.records.get(name).await.map_err(|error| storage(&error))?;
        entry.map(|entry| read(&entry)).transpose()
    }

    /// A pipeline's record.
    ///
    /// # Errors
    /// MS1310 if there is none.
    pub async fn require(&self, name: &str) -> Result<Recorded, Problem> {
        if let Some(recorded) = self.get(name).await? {
            return Ok(recorded);
        }
        let names = self.records.keys("").await.map_err(|error| storage(&error))?;
        let help = crate::manifest::suggest(name, names.iter().map(String::as_str));
        Err(Problem::new(errors::PIPELINE_UNKNOWN, format!("there is no pipeline `{name}`"))
            .help(help))
    }

    /// Names of all records, also of those that cannot be read.
    pub async fn names(&self) -> Result<Vec<String>, Problem> {
        self.records.keys("").await.map_err(|error| storage(&error))
    }

    /// All records by name. One that cannot be read is skipped and logged: it must not hide the others.
    pub async fn list(&self) -> Result<Vec<Recorded>, Problem> {
        let mut list = Vec::new();
        for name in self.records.keys("").await.map_err(|error| storage(&error))? {
            match self.get(&name).await {
                Ok(recorded) => list.extend(recorded),
                Err(problem) if problem.code == errors::DAMAGED_RECORD => {
                    tracing::error!(pipeline = %name, %problem, "a pipeline's record is skipped");
                }
                Err(problem) => return Err(problem),
            }
        }
        Ok(list)
    }

    /// Records a new pipeline.
    ///
    /// # Errors
    /// MS1311 if there is one of this name meanwhile.
    pub async fn create(&self, record: &PipelineRecord) -> Result<Revision, Problem> {
        let value = write(record)?;
        self.records
            .create(&record.name, value.into(), None)
            .await
            .map_err(|error| conflict(&record.name, &error))
    }

    /// Replaces a record that is still at `at`.
    ///
    /// # Errors
    /// MS1311 if it changed meanwhile.
    pub async fn update(&self, record: &PipelineRecord, at: Revision) -> Result<Revision, Problem> {
        let value = write(record)?;
        self.records
            .update(&record.name, value.into(), at, None)
            .await
            .map_err(|error| conflict(&record.name, &error))
    }

    /// Removes a record that is still at `at`.
    ///
    /// # Errors
    /// MS1311 if it changed meanwhile.
    pub async fn remove(&self, name: &str, at: Revision) -> Result<(), Problem> {
        self.records.delete(name, Some(at)).await.map_err(|error| conflict(name, &error))
    }

    /// All records, then their changes.
    pub async fn watch(&self) -> Result<BoxStream<'static, Result<KvEvent, KvError>>, Problem> {
        self.records.watch("").await.map_err(|error| storage(&error))
    }

    /// The record of a watched change; none if the key was deleted.
    pub fn read_change(change: &KvChange) -> Result<Option<Recorded>, Problem> {
        match change {
            KvChange::Put(entry) => read(entry).map(Some),
            KvChange::Deleted { .. } => Ok(None),
        }
    }
}

fn read(entry: &KvEntry) -> Result<Recorded, Problem> {
    let record = serde_json::from_slice(&entry.value)
        .map_err(|error| damaged(PIPELINES_BUCKET, &entry.key, &error))?;
    Ok(Recorded { record, at: entry.revision })
}

fn write(record: &PipelineRecord) -> Result<Vec<u8>, Problem> {
    serde_json::to_vec(record).map_err(|error| damaged(PIPELINES_BUCKET, &record.name, &error))
}

fn conflict(name: &str, error: &KvError) -> Problem {
    match error {
        KvError::Exists { .. } | KvError::Conflict { .. } => Problem::new(
            errors::PIPELINE_CHANGED,
            format!("the pipeline `{name}` was changed meanwhile"),
        )
        .help("look at it again and repeat the command"),
        error => storage(error),
    }
}

/// A 128-bit number as 32 hexadecimal digits: JSON numbers do not hold it everywhere.
mod hexadecimal {
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(number: &u128, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{number:032x}"))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u128, D::Error> {
        u128::from_str_radix(&String::deserialize(deserializer)?, 16)
            .map_err(serde::de::Error::custom)
    }
}
