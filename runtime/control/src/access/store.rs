//! The bucket `millstream-access`: the cluster's number, and what is granted.
//!
//! | key | value | lifetime |
//! |---|---|---|
//! | `cluster` | 32 hexadecimal digits, random | made once, never changed |
//! | `trail` | number and SHA-256 of an entry of the audit trail, with a space between | from the first entry on; by every node that begins to write |
//! | `grants` | [`AccessDocument`] as JSON | from the first grant on; every change compares and swaps |
//! | `change.ID` | [`Proposed`] as JSON | until somebody approves or rejects it |

use std::sync::Arc;

use millstream_log::kv::{Kv, KvError, Revision};

use super::AccessDocument;
use crate::api::changes::Proposed;
use crate::audit::Digest;
use crate::clock;
use crate::errors;
use crate::problem::Problem;
use crate::registry::{damaged, storage};

/// Name of the bucket.
pub const ACCESS_BUCKET: &str = "millstream-access";
const CLUSTER: &str = "cluster";
const GRANTS: &str = "grants";
const TRAIL: &str = "trail";
const CHANGE: &str = "change.";

/// The bucket.
#[derive(Clone)]
pub struct AccessStore {
    bucket: Arc<dyn Kv>,
}

impl AccessStore {
    /// Over the bucket [`ACCESS_BUCKET`].
    pub fn new(bucket: Arc<dyn Kv>) -> Self {
        AccessStore { bucket }
    }

    /// The cluster's number; the first node that asks makes it.
    ///
    /// # Errors
    /// MS1406; MS1408 if it is no number.
    pub async fn cluster(&self) -> Result<String, Problem> {
        let made = format!("{:032x}", clock::random_incarnation().0);
        match self.bucket.create(CLUSTER, made.clone().into(), None).await {
            Ok(_) => return Ok(made),
            Err(KvError::Exists { .. }) => {}
            Err(error) => return Err(storage(&error)),
        }
        let entry = self.bucket.get(CLUSTER).await.map_err(|error| storage(&error))?;
        let text = entry.and_then(|entry| String::from_utf8(entry.value.to_vec()).ok());
        let is_number = |text: &String| text.len() == 32 && u128::from_str_radix(text, 16).is_ok();
        text.filter(is_number).ok_or_else(|| {
            let message = format!("the entry {CLUSTER} of bucket {ACCESS_BUCKET} is no number");
            Problem::new(errors::DAMAGED_RECORD, message)
        })
    }

    /// What is granted, and the revision that a change must be based on; none: the cluster is open. As the bucket's leader
    /// has it, so that what was revoked is revoked.
    ///
    /// # Errors
    /// MS1406, MS1408: whoever asks must refuse then.
    pub async fn grants(&self) -> Result<Option<(AccessDocument, Revision)>, Problem> {
        let Some(entry) = self.bucket.get(GRANTS).await.map_err(|error| storage(&error))? else {
            return Ok(None);
        };
        let document = serde_json::from_slice(&entry.value)
            .map_err(|error| damaged(ACCESS_BUCKET, GRANTS, &error))?;
        Ok(Some((document, entry.revision)))
    }

    /// An entry that the audit trail must have, if it was ever written.
    ///
    /// # Errors
    /// MS1406, MS1408.
    pub async fn remembered(&self) -> Result<Option<(u64, Digest)>, Problem> {
        let Some(entry) = self.bucket.get(TRAIL).await.map_err(|error| storage(&error))? else {
            return Ok(None);
        };
        let text = str::from_utf8(&entry.value).ok();
        let parts = text.and_then(|text| text.split_once(' '));
        let read =
            parts.and_then(|(number, hash)| Some((number.parse().ok()?, hash.parse().ok()?)));
        read.map(Some).ok_or_else(|| {
            let message = format!("the entry {TRAIL} of bucket {ACCESS_BUCKET} cannot be read");
            Problem::new(errors::DAMAGED_RECORD, message)
        })
    }

    /// Remembers an entry of the audit trail.
    ///
    /// # Errors
    /// MS1406.
    pub async fn remember(&self, number: u64, hash: Digest) -> Result<(), Problem> {
        let value = format!("{number} {hash}");
        self.bucket.put(TRAIL, value.into()).await.map(drop).map_err(|error| storage(&error))
    }

    /// Replaces what is granted, if it is still what it was `at`.
    ///
    /// # Errors
    /// MS1610 if it was changed meanwhile, MS1406.
    pub async fn change(
        &self,
        document: &AccessDocument,
        at: Option<Revision>,
    ) -> Result<(), Problem> {
        let value =
            serde_json::to_vec(document).map_err(|error| damaged(ACCESS_BUCKET, GRANTS, &error))?;
        let changed = match at {
            Some(at) => self.bucket.update(GRANTS, value.into(), at, None).await,
            None => self.bucket.create(GRANTS, value.into(), None).await,
        };
        match changed {
            Ok(_) => Ok(()),
            Err(KvError::Exists { .. } | KvError::Conflict { .. }) => {
                Err(Problem::new(errors::GRANTS_CHANGED, "what is granted was changed meanwhile")
                    .help("look at it with `millstream access ls` and repeat the command"))
            }
            Err(error) => Err(storage(&error)),
        }
    }

    /// Remembers a change that waits for consent.
    ///
    /// # Errors
    /// MS1406.
    pub async fn propose(&self, proposed: &Proposed) -> Result<(), Problem> {
        let key = format!("{CHANGE}{}", proposed.id);
        let value =
            serde_json::to_vec(proposed).map_err(|error| damaged(ACCESS_BUCKET, &key, &error))?;
        self.bucket.put(&key, value.into()).await.map(drop).map_err(|error| storage(&error))
    }

    /// All changes that wait for consent, oldest first.
    ///
    /// # Errors
    /// MS1406, MS1408.
    pub async fn proposed(&self) -> Result<Vec<Proposed>, Problem> {
        let mut all = Vec::new();
        for key in self.bucket.keys(CHANGE).await.map_err(|error| storage(&error))? {
            let entry = self.bucket.get(&key).await.map_err(|error| storage(&error))?;
            let Some(entry) = entry else { continue };
            let read: Proposed = serde_json::from_slice(&entry.value)
                .map_err(|error| damaged(ACCESS_BUCKET, &key, &error))?;
            all.push(read);
        }
        all.sort_by_key(|proposed| proposed.at_ms);
        Ok(all)
    }

    /// Forgets a change: it was made, or rejected.
    ///
    /// # Errors
    /// MS1406.
    pub async fn settle(&self, proposed: &Proposed) -> Result<(), Problem> {
        let key = format!("{CHANGE}{}", proposed.id);
        self.bucket.delete(&key, None).await.map(drop).map_err(|error| storage(&error))
    }
}
