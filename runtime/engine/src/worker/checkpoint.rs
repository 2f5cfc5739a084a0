//! Stored checkpoints: tables by content, small files as documents of the checkpoint's own, then the
//! document that names them all, written last and read back.
//!
//! Only a table (`.sst`) is named by its content: its database and session are part of it, so that no other
//! partition has the same. A file such as `CURRENT` is the same in many databases, and forgetting one's
//! would take the others'.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use millstream_core::ids::{Incarnation, Sequence};
use millstream_log::blobs::{BlobError, Blobs, Digest};
use millstream_log::connect::chain;
use millstream_state::{Checkpoint, CheckpointFile as StateFile, CheckpointManifest, ManifestFile};
use serde::{Deserialize, Serialize};

use super::sealed::{seal, unseal};
use crate::clock;
use crate::crash::{self, Step, around};
use crate::planted::{self, Bug};
use crate::status::{CheckpointFile, CheckpointInfo};

/// Checkpoints kept per partition.
pub const KEPT: usize = 3;

/// Where the checkpoints of one partition are.
#[derive(Clone)]
pub struct CheckpointStore {
    pub blobs: Arc<dyn Blobs>,
    pub pipeline: String,
    pub incarnation: Incarnation,
    pub stage: String,
    pub partition: u16,
    /// Schema version of each declared state, by name.
    pub schemas: Vec<(String, u32)>,
}

/// The document that makes a checkpoint one.
#[derive(Serialize, Deserialize)]
struct Document {
    info: CheckpointInfo,
    /// Redo begins behind this sequence of the log.
    redo_from: u64,
    /// The state's own manifest.
    manifest: String,
    /// In the manifest's order the digest of each file that is a blob; none for those that are documents.
    blobs: Vec<Option<String>>,
}

/// The files of a checkpoint, as document, manifest and people know them.
#[derive(Default)]
struct Named {
    blobs: Vec<Option<String>>,
    manifest_files: Vec<ManifestFile>,
    listed: Vec<CheckpointFile>,
}

impl CheckpointStore {
    fn folder(&self) -> String {
        format!(
            "{CHECKPOINTS}{}/{:032x}/{}/{}/",
            self.pipeline, self.incarnation.0, self.stage, self.partition
        )
    }

    fn name(&self) -> String {
        format!("{}/{}/{}", self.pipeline, self.stage, self.partition)
    }

    /// All stored checkpoints with where redo begins, oldest first; those whose document is damaged are told and left out.
    pub async fn list(&self) -> Result<Vec<(CheckpointInfo, Sequence)>, String> {
        let mut found = Vec::new();
        for name in self.documents().await? {
            if let Some(document) = self.document(&name).await? {
                found.push((document.info, Sequence(document.redo_from)));
            }
        }
        Ok(found)
    }

    /// A checkpoint's document; `None` if it is gone, or damaged, which is told: nothing can be restored from it.
    async fn document(&self, name: &str) -> Result<Option<Document>, String> {
        match read(&*self.blobs, name).await {
            Ok(document) => Ok(document),
            Err(Unrestored::Damaged(error)) => {
                tracing::error!(checkpoint = %name, %error, "document of a checkpoint is damaged");
                Ok(None)
            }
            Err(Unrestored::Failed(error)) => Err(error),
        }
    }

    /// Names of the documents of all stored checkpoints, oldest first.
    pub async fn documents(&self) -> Result<Vec<String>, String> {
        self.blobs.list_documents(&self.folder()).await.map_err(text)
    }

    /// Hashes and stores a checkpoint, and forgets the oldest beyond [`KEPT`].
    pub async fn upload(
        &self,
        taken: Checkpoint,
        target: &Path,
        module: &str,
    ) -> Result<(CheckpointInfo, Sequence), String> {
        let files =
            tokio::task::spawn_blocking(move || taken.hash()).await.map_err(text)?.map_err(text)?;
        // Ordered by where redo begins: the last document is the newest checkpoint.
        let name = format!(
            "{}{:020}-{:020}.json",
            self.folder(),
            files.redo_from.number.0,
            files.newest.number.0
        );
        let files_first = !planted::is(Bug::DocumentBeforeFiles);
        let Named { blobs, manifest_files, listed } =
            self.put_files(&files.files, &name, files_first).await?;
        let manifest = CheckpointManifest {
            incarnation: self.incarnation,
            partition: self.name(),
            module_digest: module.to_owned(),
            schema_versions: self.schemas.clone(),
            redo_from: files.redo_from,
            newest: files.newest,
            files: manifest_files,
        };
        let info = CheckpointInfo {
            stage: self.stage.clone(),
            partition: self.partition,
            commit: files.newest.number.0,
            at_ms: clock::now_ms(),
            size: listed.iter().map(|f| f.size).sum(),
            files: listed,
        };
        let document = Document {
            info: info.clone(),
            redo_from: files.redo_from.sequence.0,
            manifest: String::from_utf8(manifest.encode()).map_err(text)?,
            blobs,
        };
        let bytes = Bytes::from(seal(&document)?);
        let put = self.blobs.put_document(&name, bytes.clone());
        around(Step::UploadManifest, put).await.map_err(text)?;
        if !files_first {
            self.put_files(&files.files, &name, true).await?;
        }
        let read = around(Step::ReadManifest, self.blobs.get_document(&name)).await;
        if read.map_err(text)? != Some(bytes) {
            return Err(format!(
                "checkpoint document {name} reads back differently than it was written"
            ));
        }
        // The folder holds hard links only.
        let removed = around(Step::RemoveLinks, tokio::fs::remove_dir_all(target)).await;
        if let Err(error) = removed {
            tracing::warn!(%error, "checkpoint folder could not be removed");
        }
        self.forget_old().await?;
        Ok((info, files.redo_from.sequence))
    }

    /// Stores the files of a checkpoint with this document, or only says what they are.
    async fn put_files(&self, files: &[StateFile], name: &str, put: bool) -> Result<Named, String> {
        let mut named = Named::default();
        for file in files {
            let digest = match file.name.ends_with(TABLE) {
                true if !put => digest_of(&file.path).await?,
                true => {
                    let put = around(Step::UploadTable, self.blobs.put_file(&file.path)).await;
                    put.map_err(text)?.digest
                }
                false => {
                    let bytes = Bytes::from(tokio::fs::read(&file.path).await.map_err(text)?);
                    let digest = Digest::of(&bytes);
                    if put {
                        let own = format!("{}{}", own_files(name), file.name);
                        let put = self.blobs.put_document(&own, bytes);
                        around(Step::UploadFile, put).await.map_err(text)?;
                    }
                    digest
                }
            };
            named.blobs.push(file.name.ends_with(TABLE).then(|| digest.to_string()));
            named.listed.push(CheckpointFile {
                name: file.name.clone(),
                hash: digest.to_string(),
                size: file.length,
            });
            named.manifest_files.push(ManifestFile {
                name: file.name.clone(),
                length: file.length,
                blake3: file.blake3,
            });
        }
        Ok(named)
    }

    /// Removes what is older than the newest [`KEPT`] documents that are intact, and the files that only they name.
    async fn forget_old(&self) -> Result<(), String> {
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
        for name in &names[..old] {
            around(Step::ForgetCheckpoint, forget(&*self.blobs, name, &kept)).await?;
        }
        Ok(())
    }

    /// Puts the newest intact checkpoint into `target`, which must not exist. Says whether there was one. Fails when
    /// store or disk do: that says nothing of the checkpoints.
    pub async fn restore(&self, target: &Path) -> Result<bool, String> {
        let names = self.blobs.list_documents(&self.folder()).await.map_err(text)?;
        for name in names.iter().rev() {
            match self.restore_one(name, target).await {
                Ok(()) => return Ok(true),
                Err(Unrestored::Failed(error)) => return Err(error),
                Err(Unrestored::Damaged(error)) => {
                    tracing::error!(checkpoint = %name, %error, "checkpoint is damaged; trying the one before");
                    let _ = tokio::fs::remove_dir_all(target).await;
                }
            }
        }
        Ok(false)
    }

    async fn restore_one(&self, name: &str, target: &Path) -> Result<(), Unrestored> {
        let damaged = |error: &dyn std::fmt::Display| Unrestored::Damaged(error.to_string());
        let failed = |error: &dyn std::fmt::Display| Unrestored::Failed(error.to_string());
        let (_, manifest, blobs) = self.read(name).await?;
        crash::before(Step::EmptyFolder);
        millstream_state::wipe(target).map_err(|e| failed(&e))?;
        tokio::fs::create_dir_all(target).await.map_err(|e| failed(&e))?;
        crash::after(Step::EmptyFolder);
        for (file, blob) in manifest.files.iter().zip(&blobs) {
            let put = self.restore_file(name, &file.name, blob.as_deref(), target);
            around(Step::RestoreFile, put).await?;
        }
        let (target, files) = (target.to_owned(), manifest.files);
        tokio::task::spawn_blocking(move || millstream_state::verify_restored(&target, &files))
            .await
            .map_err(|e| failed(&e))?
            .map_err(|e| damaged(&e))
    }

    /// What the document of a checkpoint says of it: its manifest, and in that order the digests of the files that are blobs.
    pub async fn read(
        &self,
        name: &str,
    ) -> Result<(CheckpointInfo, CheckpointManifest, Vec<Option<String>>), Unrestored> {
        let damaged = |error: &dyn std::fmt::Display| Unrestored::Damaged(error.to_string());
        let document = read(&*self.blobs, name).await?.ok_or_else(|| damaged(&"it is gone"))?;
        let manifest =
            CheckpointManifest::decode(document.manifest.as_bytes()).map_err(|e| damaged(&e))?;
        if manifest.partition != self.name()
            || manifest.incarnation != self.incarnation
            || manifest.files.len() != document.blobs.len()
        {
            let of = format!("it is of {} of another pipeline or life", manifest.partition);
            return Err(Unrestored::Damaged(of));
        }
        Ok((document.info, manifest, document.blobs))
    }

    /// Puts one file of a checkpoint into `target`: a blob, or a document of the checkpoint's own.
    pub async fn restore_file(
        &self,
        checkpoint: &str,
        file: &str,
        blob: Option<&str>,
        target: &Path,
    ) -> Result<(), Unrestored> {
        let path = target.join(file);
        match blob {
            Some(digest) => {
                let digest: Digest =
                    digest.parse().map_err(|e| Unrestored::Damaged(format!("{e}")))?;
                self.blobs.get_file(&digest, &path).await?;
            }
            None => {
                let own = format!("{}{file}", own_files(checkpoint));
                let gone = || Unrestored::Damaged(format!("its file {file} is gone"));
                let bytes = self.blobs.get_document(&own).await?.ok_or_else(gone)?;
                let written = tokio::fs::write(&path, bytes).await;
                written.map_err(|e| Unrestored::Failed(format!("{}: {e}", path.display())))?;
            }
        }
        Ok(())
    }
}

/// Why a checkpoint was not restored.
pub enum Unrestored {
    /// It is not whole, and never will be.
    Damaged(String),
    /// Store or disk failed, now.
    Failed(String),
}

impl From<BlobError> for Unrestored {
    fn from(error: BlobError) -> Self {
        match error {
            BlobError::Store { .. } | BlobError::File { .. } => Self::Failed(chain(&error)),
            _ => Self::Damaged(chain(&error)),
        }
    }
}

/// End of the name of a table.
const TABLE: &str = ".sst";
/// Folder of the documents that are checkpoints.
const CHECKPOINTS: &str = "checkpoints/";
/// Folder of the files that belong to one checkpoint only.
const OWN_FILES: &str = "checkpoint-files/";

/// Where the own files of the checkpoint with this document are.
fn own_files(document: &str) -> String {
    let place = document.trim_start_matches(CHECKPOINTS).trim_end_matches(".json");
    format!("{OWN_FILES}{place}/")
}

async fn read(blobs: &dyn Blobs, name: &str) -> Result<Option<Document>, Unrestored> {
    let Some(bytes) = blobs.get_document(name).await? else { return Ok(None) };
    let parsed = match unseal(&bytes).map_err(Unrestored::Damaged)? {
        Some(document) => serde_json::from_str(&document),
        // Version 0.1 did not seal them.
        None => serde_json::from_slice(&bytes),
    };
    parsed.map(Some).map_err(|error| Unrestored::Damaged(format!("it cannot be read: {error}")))
}

/// Removes a checkpoint with all its files except those blobs.
async fn forget(blobs: &dyn Blobs, name: &str, kept: &HashSet<String>) -> Result<(), String> {
    let tables = match read(blobs, name).await {
        Ok(document) => document.map(|d| d.blobs).unwrap_or_default(),
        Err(Unrestored::Damaged(error)) => {
            tracing::warn!(checkpoint = %name, %error, "tables of a damaged checkpoint stay in the store");
            Vec::new()
        }
        Err(Unrestored::Failed(error)) => return Err(error),
    };
    around(Step::ForgetManifest, blobs.delete_document(name)).await.map_err(text)?;
    for own in blobs.list_documents(&own_files(name)).await.map_err(text)? {
        around(Step::ForgetFile, blobs.delete_document(&own)).await.map_err(text)?;
    }
    for table in tables.into_iter().flatten().filter(|table| !kept.contains(table)) {
        let digest: Digest = table.parse().map_err(|e| format!("{e}"))?;
        blobs.delete(&digest).await.map_err(text)?;
    }
    Ok(())
}

/// Removes all checkpoints of one life of a pipeline, whether or not it runs.
pub async fn delete_all(
    blobs: &dyn Blobs,
    pipeline: &str,
    incarnation: Incarnation,
) -> Result<(), String> {
    let life = format!("{pipeline}/{:032x}/", incarnation.0);
    for name in blobs.list_documents(&format!("{CHECKPOINTS}{life}")).await.map_err(text)? {
        forget(blobs, &name, &HashSet::new()).await?;
    }
    // What an upload left that was cut off before its document.
    for own in blobs.list_documents(&format!("{OWN_FILES}{life}")).await.map_err(text)? {
        blobs.delete_document(&own).await.map_err(text)?;
    }
    Ok(())
}

/// Name of a table as a blob, only for [`Bug::DocumentBeforeFiles`].
async fn digest_of(path: &Path) -> Result<Digest, String> {
    Ok(Digest::of(&tokio::fs::read(path).await.map_err(text)?))
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests {
    use millstream_core::description::{StateKind, StateSpec};
    use millstream_core::ids::{CommitHash, CommitNumber, LogPoint, key_hash};
    use millstream_log::blobs::MemoryBlobs;
    use millstream_state::{Budgets, KeyedState, Shared};

    use super::*;

    fn states() -> Vec<StateSpec> {
        vec![StateSpec::new("count", StateKind::Value)]
    }

    fn store(blobs: &Arc<dyn Blobs>, partition: u16) -> CheckpointStore {
        CheckpointStore {
            blobs: Arc::clone(blobs),
            pipeline: "p".into(),
            incarnation: Incarnation(7),
            stage: "s".into(),
            partition,
            schemas: vec![("count".into(), 1)],
        }
    }

    /// Commits one value and stores a checkpoint.
    async fn commit(state: &mut KeyedState, number: u64, folder: &Path, store: &CheckpointStore) {
        state.begin(CommitNumber(number), 0);
        let mut slots = Vec::new();
        state.slots([(key_hash(b"k"), &b"k"[..])], &mut slots).unwrap();
        state.begin_call();
        state.set_value(slots[0], 0, Some(&number.to_le_bytes()));
        state.keep_call();
        let hash = CommitHash([number as u8; 32]);
        let (number, sequence) = (CommitNumber(number), Sequence(number));
        state.acknowledged(LogPoint { number, hash, sequence });
        let target = folder.join(format!("{}-checkpoint", store.partition));
        let taken = state.checkpoint(&target).unwrap();
        store.upload(taken, &target, "ab").await.unwrap();
    }

    /// Many databases have files with the same content, `CURRENT` above all.
    #[tokio::test]
    async fn forgetting_a_partitions_checkpoints_takes_nothing_of_anothers() {
        let blobs: Arc<dyn Blobs> = Arc::new(MemoryBlobs::default());
        let folder = tempfile::tempdir().unwrap();
        let shared = Shared::new(Budgets::default());
        let open = |partition: u16| {
            let dir = folder.path().join(partition.to_string());
            KeyedState::open(&dir, &states(), &[], &shared).unwrap().0
        };
        let (mut quiet, mut busy) = (open(0), open(1));
        commit(&mut quiet, 1, folder.path(), &store(&blobs, 0)).await;
        for number in 1..=6 {
            commit(&mut busy, number, folder.path(), &store(&blobs, 1)).await;
        }
        assert_eq!(store(&blobs, 1).list().await.unwrap().len(), KEPT);
        for partition in [0, 1] {
            let target = folder.path().join(format!("restored-{partition}"));
            assert!(store(&blobs, partition).restore(&target).await.unwrap(), "{partition}");
        }
        delete_all(&*blobs, "p", Incarnation(8)).await.unwrap();
        assert_eq!(store(&blobs, 0).list().await.unwrap().len(), 1, "another life's");
        delete_all(&*blobs, "p", Incarnation(7)).await.unwrap();
        assert!(blobs.list().await.unwrap().is_empty());
        assert!(blobs.list_documents("").await.unwrap().is_empty());
    }

    /// As long as another one is whole, a damaged document keeps nobody from going on.
    #[tokio::test]
    async fn a_checkpoint_whose_document_is_damaged_is_left_out_and_forgotten_in_its_turn() {
        let blobs: Arc<dyn Blobs> = Arc::new(MemoryBlobs::default());
        let folder = tempfile::tempdir().unwrap();
        let shared = Shared::new(Budgets::default());
        let mut state =
            KeyedState::open(&folder.path().join("0"), &states(), &[], &shared).unwrap().0;
        let store = store(&blobs, 0);
        for number in 1..=2 {
            commit(&mut state, number, folder.path(), &store).await;
        }
        let damaged = store.documents().await.unwrap().pop().unwrap();
        blobs.put_document(&damaged, Bytes::from_static(b"{")).await.unwrap();
        let commits = |found: Vec<(CheckpointInfo, Sequence)>| -> Vec<u64> {
            found.into_iter().map(|(info, _)| info.commit).collect()
        };
        assert_eq!(commits(store.list().await.unwrap()), [1]);
        assert!(store.restore(&folder.path().join("restored")).await.unwrap());
        for number in 3..=4 {
            commit(&mut state, number, folder.path(), &store).await;
        }
        assert_eq!(commits(store.list().await.unwrap()), [1, 3, 4], "three that are whole");
        commit(&mut state, 5, folder.path(), &store).await;
        assert_eq!(commits(store.list().await.unwrap()), [3, 4, 5]);
        assert!(!store.documents().await.unwrap().contains(&damaged));
    }
}
