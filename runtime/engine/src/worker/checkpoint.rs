//! Stored checkpoints: tables by content, small files as documents of the checkpoint's own, then the
//! document that names them all, written last and read back.
//!
//! Only a table (`.sst`) is named by its content: its database and session are part of it, so that no other
//! partition has the same. A file such as `CURRENT` is the same in many databases, and forgetting one's
//! would take the others'.

mod forgetting;

pub use self::forgetting::delete_all;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use millstream_core::ids::{Incarnation, Sequence};
use millstream_log::blobs::{BlobError, BlobInfo, Blobs, Digest};
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

    /// Hashes and stores a checkpoint, and removes what is no longer needed.
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
        let mut infos = Vec::new();
        for file in &files.files {
            infos.push(BlobInfo::of_file(&file.path).await.map_err(text)?);
        }
        let files_of = || files.files.iter().zip(&infos);
        let blobs: Vec<Option<String>> = files_of()
            .map(|(file, info)| is_table(file).then(|| info.digest.to_string()))
            .collect();
        around(Step::AnnounceUpload, self.announce(&name, &blobs)).await?;
        let files_first = !planted::is(Bug::DocumentBeforeFiles);
        if files_first {
            self.put_files(files_of(), &name).await?;
        }
        let manifest = CheckpointManifest {
            incarnation: self.incarnation,
            partition: self.name(),
            module_digest: module.to_owned(),
            schema_versions: self.schemas.clone(),
            redo_from: files.redo_from,
            newest: files.newest,
            files: files.files.iter().map(in_manifest).collect(),
        };
        let listed: Vec<CheckpointFile> = files_of().map(as_listed).collect();
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
        self.still_announced(&name).await?;
        let put = self.blobs.put_document(&name, bytes.clone());
        around(Step::UploadManifest, put).await.map_err(text)?;
        if !files_first {
            self.put_files(files_of(), &name).await?;
        }
        let read = around(Step::ReadManifest, self.blobs.get_document(&name)).await;
        if read.map_err(text)? != Some(bytes) {
            return Err(format!(
                "checkpoint document {name} reads back differently than it was written"
            ));
        }
        if let Err(error) = self.still_announced(&name).await {
            self.blobs.delete_document(&name).await.map_err(text)?;
            return Err(error);
        }
        // The folder holds hard links only.
        let removed = around(Step::RemoveLinks, tokio::fs::remove_dir_all(target)).await;
        if let Err(error) = removed {
            tracing::warn!(%error, "checkpoint folder could not be removed");
        }
        // The checkpoint is one, whatever is left of others.
        if let Err(error) = self.remove_old(clock::now_ms()).await {
            tracing::warn!(checkpoint = %name, %error, "not everything old was removed from the store");
        }
        Ok((info, files.redo_from.sequence))
    }

    /// Stores the files of the checkpoint with this document.
    async fn put_files(
        &self,
        files: impl Iterator<Item = (&StateFile, &BlobInfo)>,
        name: &str,
    ) -> Result<(), String> {
        for (file, info) in files {
            if is_table(file) {
                let put = self.blobs.put_file(&file.path, info);
                around(Step::UploadTable, put).await.map_err(text)?;
            } else {
                let bytes = Bytes::from(tokio::fs::read(&file.path).await.map_err(text)?);
                let own = format!("{}{}", own_files(name), file.name);
                let put = self.blobs.put_document(&own, bytes);
                around(Step::UploadFile, put).await.map_err(text)?;
            }
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
    let place =
        document.trim_start_matches(CHECKPOINTS).trim_end_matches(".json").trim_end_matches('/');
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

fn is_table(file: &StateFile) -> bool {
    file.name.ends_with(TABLE)
}

fn in_manifest(file: &StateFile) -> ManifestFile {
    ManifestFile { name: file.name.clone(), length: file.length, blake3: file.blake3 }
}

/// The places of all stored checkpoints of one life of a pipeline.
pub async fn all_of(
    blobs: &Arc<dyn Blobs>,
    pipeline: &str,
    incarnation: Incarnation,
) -> Result<Vec<CheckpointStore>, String> {
    let folder = format!("{CHECKPOINTS}{pipeline}/{:032x}/", incarnation.0);
    let documents = blobs.list_documents(&folder).await.map_err(text)?;
    let mut places = BTreeSet::new();
    for name in &documents {
        let mut parts = name.trim_start_matches(&folder).split('/');
        if let (Some(stage), Some(Ok(partition))) = (parts.next(), parts.next().map(str::parse)) {
            places.insert((stage.to_owned(), partition));
        }
    }
    let place = |(stage, partition)| CheckpointStore {
        blobs: Arc::clone(blobs),
        pipeline: pipeline.to_owned(),
        incarnation,
        stage,
        partition,
        schemas: Vec::new(),
    };
    Ok(places.into_iter().map(place).collect())
}

fn as_listed((file, info): (&StateFile, &BlobInfo)) -> CheckpointFile {
    CheckpointFile { name: file.name.clone(), hash: info.digest.to_string(), size: file.length }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests {
    use millstream_core::description::{StateKind, StateSpec};
    use millstream_core::ids::{CommitHash, CommitNumber, LogPoint, key_hash};
    use std::collections::HashSet;

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

    /// Ten minutes, and a bit.
    const LATER_MS: i64 = 601_000;

    /// What a kill leaves between the tables and the document, and a former owner that goes on after all.
    #[tokio::test]
    async fn what_an_upload_left_that_was_cut_off_is_removed_and_never_becomes_a_checkpoint() {
        let blobs: Arc<dyn Blobs> = Arc::new(MemoryBlobs::default());
        let folder = tempfile::tempdir().unwrap();
        let shared = Shared::new(Budgets::default());
        let mut state =
            KeyedState::open(&folder.path().join("0"), &states(), &[], &shared).unwrap().0;
        let store = store(&blobs, 0);
        commit(&mut state, 1, folder.path(), &store).await;
        let tables = blobs.list().await.unwrap();
        let files = blobs.list_documents(OWN_FILES).await.unwrap();

        let cut_off = format!("{}{:020}-{:020}.json", store.folder(), 2, 2);
        let orphan = blobs.put(Bytes::from_static(b"a table")).await.unwrap();
        let of_another = store.read(&store.documents().await.unwrap()[0]).await.ok().unwrap().2;
        let mut announced = vec![Some(orphan.to_string()), None];
        announced.extend(of_another);
        store.announce(&cut_off, &announced).await.unwrap();
        let own = format!("{}CURRENT", own_files(&cut_off));
        blobs.put_document(&own, Bytes::from_static(b"MANIFEST-000005")).await.unwrap();
        store.still_announced(&cut_off).await.unwrap();

        let now_ms = 1_000_000;
        store.remove_old(now_ms).await.unwrap();
        assert!(blobs.size(&orphan).await.unwrap().is_some(), "it may be going on");
        assert!(store.still_announced(&cut_off).await.unwrap_err().contains("revoked"));
        store.remove_old(now_ms + LATER_MS / 2).await.unwrap();
        assert!(blobs.size(&orphan).await.unwrap().is_some(), "and may not know it yet");
        store.remove_old(now_ms + LATER_MS).await.unwrap();
        assert_eq!(blobs.list().await.unwrap(), tables, "those of the checkpoint stay");
        assert_eq!(blobs.list_documents(OWN_FILES).await.unwrap(), files);
        assert!(store.still_announced(&cut_off).await.unwrap_err().contains("revoked"));
        assert!(store.restore(&folder.path().join("restored")).await.unwrap());
    }

    /// Version 0.1 did not announce its tables.
    #[tokio::test]
    async fn checkpoints_without_an_announcement_are_removed_with_their_tables() {
        let blobs: Arc<dyn Blobs> = Arc::new(MemoryBlobs::default());
        let folder = tempfile::tempdir().unwrap();
        let shared = Shared::new(Budgets::default());
        let mut state =
            KeyedState::open(&folder.path().join("0"), &states(), &[], &shared).unwrap().0;
        let store = store(&blobs, 0);
        commit(&mut state, 1, folder.path(), &store).await;
        let name = store.documents().await.unwrap().remove(0);
        blobs.delete_document(&format!("{}tables.json", own_files(&name))).await.unwrap();
        store.remove_old(LATER_MS).await.unwrap();
        assert!(store.restore(&folder.path().join("restored")).await.unwrap());
        for number in 2..=7 {
            commit(&mut state, number, folder.path(), &store).await;
        }
        let mut named = HashSet::new();
        for name in store.documents().await.unwrap() {
            named.extend(store.read(&name).await.ok().unwrap().2.into_iter().flatten());
        }
        let stored = blobs.list().await.unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(named, stored, "no table that no checkpoint names");
        let announced = blobs.list_documents(OWN_FILES).await.unwrap();
        assert_eq!(announced.iter().filter(|own| own.ends_with("tables.json")).count(), KEPT);
    }
}
