//! Reads a stored checkpoint back, file by file.

use std::path::Path;

use millstream_state::{CheckpointManifest, ManifestFile, verify_file};

use super::checkpoint::{CheckpointStore, Unrestored};
use crate::status::{CheckpointFault, CheckpointVerified};

impl CheckpointStore {
    /// Whether it is of this stage and partition, if one is given.
    pub fn is_of(&self, stage: Option<&str>, partition: Option<u16>) -> bool {
        stage.is_none_or(|stage| self.stage == stage)
            && partition.is_none_or(|partition| self.partition == partition)
    }

    /// Reads every stored checkpoint of the partition back, oldest first, and checks length and hash of every file. `temporary`,
    /// which is made and removed, gets one file at a time. Fails when store or disk do: that says nothing of the checkpoints.
    pub async fn verify(&self, temporary: &Path) -> Result<Vec<CheckpointVerified>, String> {
        let mut verified = Vec::new();
        for name in self.documents().await? {
            verified.push(self.verify_one(&name, temporary).await?);
        }
        millstream_state::wipe(temporary).map_err(|e| e.to_string())?;
        Ok(verified)
    }

    async fn verify_one(&self, name: &str, temporary: &Path) -> Result<CheckpointVerified, String> {
        let mut verified = CheckpointVerified {
            stage: self.stage.clone(),
            partition: self.partition,
            document: name.to_owned(),
            ..CheckpointVerified::default()
        };
        let (manifest, blobs) = match self.read(name).await {
            Ok((info, manifest, blobs)) => {
                (verified.commit, verified.at_ms) = (info.commit, info.at_ms);
                (manifest, blobs)
            }
            Err(Unrestored::Failed(error)) => return Err(error),
            Err(Unrestored::Damaged(fact)) => {
                verified.faults.push(CheckpointFault { file: name.to_owned(), fact });
                return Ok(verified);
            }
        };
        let CheckpointManifest { files, .. } = manifest;
        for (file, blob) in files.iter().zip(&blobs) {
            verified.files += 1;
            verified.size += file.length;
            let checked = self.verify_stored(name, file, blob.as_deref(), temporary).await;
            match checked {
                Ok(()) => {}
                Err(Unrestored::Failed(error)) => return Err(error),
                Err(Unrestored::Damaged(fact)) => {
                    verified.faults.push(CheckpointFault { file: file.name.clone(), fact });
                }
            }
        }
        Ok(verified)
    }

    async fn verify_stored(
        &self,
        name: &str,
        file: &ManifestFile,
        blob: Option<&str>,
        temporary: &Path,
    ) -> Result<(), Unrestored> {
        let failed = |error: &dyn std::fmt::Display| Unrestored::Failed(error.to_string());
        millstream_state::wipe(temporary).map_err(|e| failed(&e))?;
        tokio::fs::create_dir_all(temporary).await.map_err(|e| failed(&e))?;
        self.restore_file(name, &file.name, blob, temporary).await?;
        let (dir, file) = (temporary.to_owned(), file.clone());
        tokio::task::spawn_blocking(move || verify_file(&dir, &file))
            .await
            .map_err(|e| failed(&e))?
            .map_err(|e| Unrestored::Damaged(e.to_string()))
    }
}
