//! Stored checkpoints: files by content, then a document that names them, written
//! last and read back.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use millstream_core::ids::{Incarnation, Sequence};
use millstream_log::blobs::{Blobs, Digest};
use millstream_state::{Checkpoint, CheckpointManifest, ManifestFile};
use serde::{Deserialize, Serialize};

use crate::clock;
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
    /// Digest of each of its files in the store, in its order.
    blobs: Vec<String>,
}

impl CheckpointStore {
    fn folder(&self) -> String {
        format!(
            "checkpoints/{}/{:032x}/{}/{}/",
            self.pipeline, self.incarnation.0, self.stage, self.partition
        )
    }

    fn name(&self) -> String {
        format!("{}/{}/{}", self.pipeline, self.stage, self.partition)
    }

    /// All stored checkpoints with where redo begins, oldest first.
    pub async fn list(&self) -> Result<Vec<(CheckpointInfo, Sequence)>, String> {
        let mut found = Vec::new();
        for name in self.blobs.list_documents(&self.folder()).await.map_err(text)? {
            if let Some(document) = self.document(&name).await? {
                found.push((document.info, Sequence(document.redo_from)));
            }
        }
        Ok(found)
    }

    async fn document(&self, name: &str) -> Result<Option<Document>, String> {
        let bytes = self.blobs.get_document(name).await.map_err(text)?;
        bytes
            .map(|bytes| {
                serde_json::from_slice(&bytes)
                    .map_err(|e| format!("checkpoint document {name} cannot be read: {e}"))
            })
            .transpose()
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
        let mut blobs = Vec::new();
        let mut manifest_files = Vec::new();
        let mut listed = Vec::new();
        for file in &files.files {
            let stored = self.blobs.put_file(&file.path).await.map_err(text)?;
            blobs.push(stored.digest.to_string());
            listed.push(CheckpointFile {
                name: file.name.clone(),
                hash: stored.digest.to_string(),
                size: file.length,
            });
            manifest_files.push(ManifestFile {
                name: file.name.clone(),
                length: file.length,
                blake3: file.blake3,
            });
        }
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
        let bytes = Bytes::from(serde_json::to_vec(&document).map_err(text)?);
        // Ordered by where redo begins: the last document is the newest checkpoint.
        let name = format!(
            "{}{:020}-{:020}.json",
            self.folder(),
            files.redo_from.number.0,
            files.newest.number.0
        );
        self.blobs.put_document(&name, bytes.clone()).await.map_err(text)?;
        if self.blobs.get_document(&name).await.map_err(text)? != Some(bytes) {
            return Err(format!(
                "checkpoint document {name} reads back differently than it was written"
            ));
        }
        // The folder holds hard links only.
        if let Err(error) = tokio::fs::remove_dir_all(target).await {
            tracing::warn!(%error, "checkpoint folder could not be removed");
        }
        self.forget_old().await?;
        Ok((info, files.redo_from.sequence))
    }

    /// Removes the oldest documents beyond [`KEPT`] and the files that only they name.
    async fn forget_old(&self) -> Result<(), String> {
        let names = self.blobs.list_documents(&self.folder()).await.map_err(text)?;
        let Some(old) = names.len().checked_sub(KEPT).filter(|old| *old > 0) else { return Ok(()) };
        let mut kept = std::collections::HashSet::new();
        for name in &names[old..] {
            kept.extend(self.document(name).await?.into_iter().flat_map(|d| d.blobs));
        }
        for name in &names[..old] {
            let blobs = self.document(name).await?.map(|d| d.blobs).unwrap_or_default();
            self.blobs.delete_document(name).await.map_err(text)?;
            for blob in blobs.into_iter().filter(|blob| !kept.contains(blob)) {
                let digest: Digest = blob.parse().map_err(|e| format!("{e}"))?;
                self.blobs.delete(&digest).await.map_err(text)?;
            }
        }
        Ok(())
    }

    /// Puts the newest intact checkpoint into `target`, which must not exist. Says whether there was one.
    pub async fn restore(&self, target: &Path) -> Result<bool, String> {
        let names = self.blobs.list_documents(&self.folder()).await.map_err(text)?;
        for name in names.iter().rev() {
            match self.restore_one(name, target).await {
                Ok(()) => return Ok(true),
                Err(error) => {
                    tracing::error!(checkpoint = %name, %error, "checkpoint is damaged; trying the one before");
                    let _ = tokio::fs::remove_dir_all(target).await;
                }
            }
        }
        Ok(false)
    }

    async fn restore_one(&self, name: &str, target: &Path) -> Result<(), String> {
        let document = self.document(name).await?.ok_or("it is gone")?;
        let manifest = CheckpointManifest::decode(document.manifest.as_bytes()).map_err(text)?;
        if manifest.partition != self.name()
            || manifest.incarnation != self.incarnation
            || manifest.files.len() != document.blobs.len()
        {
            return Err(format!("it is of {} of another pipeline or life", manifest.partition));
        }
        millstream_state::wipe(target).map_err(text)?;
        tokio::fs::create_dir_all(target).await.map_err(text)?;
        for (file, blob) in manifest.files.iter().zip(&document.blobs) {
            let digest: Digest = blob.parse().map_err(|e| format!("{e}"))?;
            self.blobs.get_file(&digest, &target.join(&file.name)).await.map_err(text)?;
        }
        let (target, files) = (target.to_owned(), manifest.files);
        tokio::task::spawn_blocking(move || millstream_state::verify_restored(&target, &files))
            .await
            .map_err(text)?
            .map_err(text)
    }

    /// Removes all checkpoints of the partition.
    pub async fn delete_all(&self) -> Result<(), String> {
        for name in self.blobs.list_documents(&self.folder()).await.map_err(text)? {
            for blob in self.document(&name).await?.map(|d| d.blobs).unwrap_or_default() {
                let digest: Digest = blob.parse().map_err(|e| format!("{e}"))?;
                self.blobs.delete(&digest).await.map_err(text)?;
            }
            self.blobs.delete_document(&name).await.map_err(text)?;
        }
        Ok(())
    }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
