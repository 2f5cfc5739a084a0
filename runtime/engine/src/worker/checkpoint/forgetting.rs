//! Removing checkpoints, and what uploads left that were cut off.
//!
//! Every upload first announces its tables, in a file of the checkpoint's own, which goes last. So wherever uploading or removing
//! is cut off, the next checkpoint of the partition finds own files without a document, and knows all that belonged to them.
//!
//! They may also be of an upload that is still going on: a former owner's that does not know yet that it is one. So it
//! is revoked first, and removed [`GRACE_MS`] later. An upload asks whether it was revoked before and after it stores its
//! document, and ends without a checkpoint if it was. And what a former owner knows of the documents is good for [`FRESH`], less
//! than it takes another to become the owner and to store a checkpoint.

use std::collections::{BTreeMap, HashSet};
use std::time::{Duration, Instant};

use bytes::Bytes;
use millstream_core::ids::Incarnation;
use millstream_log::blobs::{Blobs, Digest};
use serde::{Deserialize, Serialize};

use super::{CHECKPOINTS, CheckpointStore, KEPT, OWN_FILES, Unrestored, own_files, read, text};
use crate::crash::{Step, around};
use crate::planted::{self, Bug};

/// The own file of a checkpoint that names its tables.
const ANNOUNCEMENT: &str = "tables.json";
/// Between revoking an upload and removing its files.
const GRACE_MS: i64 = 10 * 60 * 1000;
/// How long it is known what documents there are.
const FRESH: Duration = Duration::from_secs(3);

/// What an upload is going to store.
#[derive(Default, Serialize, Deserialize)]
struct Announcement {
    /// Digests.
    tables: Vec<String>,
    /// Since when it must not end in a checkpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    revoked_at_ms: Option<i64>,
}

/// What there is to remove, and what not.
struct Removal<'a> {
    blobs: &'a dyn Blobs,
    /// When it was asked what documents there are.
    known_at: Instant,
    /// Tables that those documents name.
    kept: HashSet<String>,
}

impl CheckpointStore {
    /// Names the tables that an upload is going to store.
    pub(super) async fn announce(
        &self,
        checkpoint: &str,
        tables: &[Option<String>],
    ) -> Result<(), String> {
        let tables = tables.iter().flatten().cloned().collect();
        let announced = Announcement { tables, revoked_at_ms: None };
        put_announcement(&*self.blobs, &own_files(checkpoint), &announced).await
    }

    /// Fails if the upload of this checkpoint was revoked.
    pub(super) async fn still_announced(&self, checkpoint: &str) -> Result<(), String> {
        match announcement(&*self.blobs, &own_files(checkpoint)).await? {
            Some(Announcement { revoked_at_ms: None, .. }) => Ok(()),
            _ => Err(format!("the upload of {checkpoint} was revoked by another owner")),
        }
    }

    /// Removes what is older than the newest [`KEPT`] documents that are intact, what only they need, and what uploads left
    /// that were cut off.
    pub(super) async fn remove_old(&self, now_ms: i64) -> Result<(), String> {
        let known_at = Instant::now();
        let names = self.documents().await?;
        let (mut kept, mut intact, mut old) = (HashSet::new(), 0, names.len());
        while intact < KEPT && old > 0 {
            old -= 1;
            if let Some(document) = self.document(&names[old]).await? {
                intact += 1;
                kept.extend(document.blobs.into_iter().flatten());
            }
        }
        if planted::is(Bug::SharedTablesForgotten) {
            kept.clear();
        }
        let removal = Removal { blobs: &*self.blobs, known_at, kept };
        let (old, remaining) = names.split_at(old);
        let mut folders = self.own_folders().await?;
        for name in remaining {
            folders.remove(&own_files(name));
        }
        for name in old {
            let files = folders.remove(&own_files(name)).unwrap_or_default();
            around(Step::ForgetCheckpoint, self.forget(name, &files, &removal)).await?;
        }
        for (folder, files) in folders {
            removal.clear_away(&folder, &files, now_ms).await?;
        }
        Ok(())
    }

    /// The own files of all checkpoints of this partition, by their folders.
    async fn own_folders(&self) -> Result<BTreeMap<String, Vec<String>>, String> {
        let mut folders: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let all = self.blobs.list_documents(&own_files(&self.folder())).await;
        for file in all.map_err(text)? {
            if let Some((folder, _)) = file.rsplit_once('/') {
                folders.entry(format!("{folder}/")).or_default().push(file);
            }
        }
        Ok(folders)
    }

    /// Removes a checkpoint with those own files, and its tables except those kept.
    async fn forget(
        &self,
        name: &str,
        files: &[String],
        removal: &Removal<'_>,
    ) -> Result<(), String> {
        removal.check()?;
        let (blobs, folder) = (removal.blobs, own_files(name));
        if announcement(blobs, &folder).await?.is_none() {
            // Version 0.1 announced nothing.
            self.announce(name, &tables_of(blobs, name).await?).await?;
        }
        around(Step::ForgetManifest, blobs.delete_document(name)).await.map_err(text)?;
        removal.remove(&folder, files).await
    }
}

impl Removal<'_> {
    /// Fails if it is too long ago that it was asked what documents there are. What is left is the next checkpoint's.
    fn check(&self) -> Result<(), String> {
        let elapsed = self.known_at.elapsed();
        (elapsed <= FRESH).then_some(()).ok_or_else(|| {
            format!("the checkpoints were listed {elapsed:.1?} ago; what is to be removed after {FRESH:?} is left to the next one")
        })
    }

    /// Removes the own files of an upload that left no document, or revokes it if that has not been done.
    async fn clear_away(&self, folder: &str, files: &[String], now_ms: i64) -> Result<(), String> {
        let mut announced = announcement(self.blobs, folder).await?.unwrap_or_default();
        match announced.revoked_at_ms {
            Some(at_ms) if at_ms + GRACE_MS <= now_ms => {
                tracing::info!(%folder, "removing what an upload left that was cut off");
                self.remove(folder, files).await
            }
            Some(_) => Ok(()),
            None => {
                announced.revoked_at_ms = Some(now_ms);
                put_announcement(self.blobs, folder, &announced).await
            }
        }
    }

    /// Removes announced tables except those kept, then the own files, the announcement last.
    async fn remove(&self, folder: &str, files: &[String]) -> Result<(), String> {
        let announced = announcement(self.blobs, folder).await?.unwrap_or_default();
        for table in announced.tables.iter().filter(|table| !self.kept.contains(*table)) {
            self.check()?;
            delete_table(self.blobs, table).await?;
        }
        let announcement = format!("{folder}{ANNOUNCEMENT}");
        for file in files.iter().filter(|file| **file != announcement) {
            around(Step::ForgetFile, self.blobs.delete_document(file)).await.map_err(text)?;
        }
        self.blobs.delete_document(&announcement).await.map_err(text)
    }
}

/// What was announced in this folder. What cannot be read names nothing: its tables stay.
async fn announcement(blobs: &dyn Blobs, folder: &str) -> Result<Option<Announcement>, String> {
    let name = format!("{folder}{ANNOUNCEMENT}");
    let Some(bytes) = blobs.get_document(&name).await.map_err(text)? else { return Ok(None) };
    Ok(Some(serde_json::from_slice(&bytes).unwrap_or_else(|error| {
        tracing::warn!(%name, %error, "names of tables cannot be read; they stay in the store");
        Announcement::default()
    })))
}

async fn put_announcement(
    blobs: &dyn Blobs,
    folder: &str,
    announced: &Announcement,
) -> Result<(), String> {
    let bytes = Bytes::from(serde_json::to_vec(announced).map_err(text)?);
    blobs.put_document(&format!("{folder}{ANNOUNCEMENT}"), bytes).await.map_err(text)
}

async fn delete_table(blobs: &dyn Blobs, table: &str) -> Result<(), String> {
    let digest: Digest = table.parse().map_err(text)?;
    blobs.delete(&digest).await.map_err(text)
}

/// The tables of a checkpoint, as its document has them.
async fn tables_of(blobs: &dyn Blobs, name: &str) -> Result<Vec<Option<String>>, String> {
    match read(blobs, name).await {
        Ok(document) => Ok(document.map(|d| d.blobs).unwrap_or_default()),
        Err(Unrestored::Damaged(error)) => {
            tracing::warn!(checkpoint = %name, %error, "tables of a damaged checkpoint stay in the store");
            Ok(Vec::new())
        }
        Err(Unrestored::Failed(error)) => Err(error),
    }
}

/// Removes all checkpoints of one life of a pipeline, whether or not it runs.
pub async fn delete_all(
    blobs: &dyn Blobs,
    pipeline: &str,
    incarnation: Incarnation,
) -> Result<(), String> {
    let life = format!("{pipeline}/{:032x}/", incarnation.0);
    for name in blobs.list_documents(&format!("{CHECKPOINTS}{life}")).await.map_err(text)? {
        for table in tables_of(blobs, &name).await?.iter().flatten() {
            delete_table(blobs, table).await?;
        }
        blobs.delete_document(&name).await.map_err(text)?;
    }
    for own in blobs.list_documents(&format!("{OWN_FILES}{life}")).await.map_err(text)? {
        if let Some(folder) = own.strip_suffix(ANNOUNCEMENT) {
            for table in announcement(blobs, folder).await?.unwrap_or_default().tables {
                delete_table(blobs, &table).await?;
            }
        }
        blobs.delete_document(&own).await.map_err(text)?;
    }
    Ok(())
}
