//! Checkpoints: hard-linked copies of the database whose files are then hashed and uploaded by others.

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use millstream_core::ids::LogPoint;

use crate::error::StateError;
use crate::keyed::KeyedState;
use crate::persist::Progress;

/// BLAKE3 hashes of table files by name. A table never changes and its name is not reused while its database is
/// open, so each is read once.
pub(crate) type HashCache = Arc<Mutex<HashMap<String, (u64, [u8; 32])>>>;

/// A checkpoint on disk whose files are not hashed yet. May go to another thread.
pub struct Checkpoint {
    dir: PathBuf,
    redo_from: LogPoint,
    newest: LogPoint,
    hashes: HashCache,
}

/// A file of a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckpointFile {
    /// Name within the checkpoint; needed to restore it.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
    /// Bytes.
    pub length: u64,
    /// BLAKE3 of its content.
    pub blake3: [u8; 32],
}

/// A checkpoint ready to be uploaded. Its folder is the caller's to remove.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckpointFiles {
    /// All files, by name.
    pub files: Vec<CheckpointFile>,
    /// The last commit all of whose effects are in it.
    pub redo_from: LogPoint,
    /// The newest commit of which some effect is in it.
    pub newest: LogPoint,
}

impl KeyedState {
    /// A step towards a checkpoint: persists about `budget_bytes` and, once nothing is left to persist, starts a flush in
    /// the background. To be repeated, between slices, until `done`; [`checkpoint`](Self::checkpoint) then has little to do.
    pub fn checkpoint_prepare(&mut self, budget_bytes: usize) -> Result<Progress, StateError> {
        let progress = self.persist(budget_bytes)?;
        if progress.done
            && let Some(db) = &self.db
        {
            db.flush(false)?;
        }
        Ok(progress)
    }

    /// Writes what is acknowledged, flushes, and links the database's files into `target`, which must not exist and lie on
    /// the same file system. Makes the database if there is none. What holds `redo_from` back
    /// is only what unacknowledged commits have overwritten.
    pub fn checkpoint(&mut self, target: &Path) -> Result<Checkpoint, StateError> {
        self.persist(usize::MAX)?;
        self.write_positions()?;
        let redo_from = self.redo_from();
        let db = self.database()?;
        db.flush(true)?;
        db.checkpoint(target)?;
        Ok(Checkpoint {
            dir: target.to_owned(),
            redo_from,
            newest: self.newest,
            hashes: self.hashes.clone(),
        })
    }

    /// Ends orderly: everything acknowledged is written and flushed, so that the next start has little to redo.
    /// A state without a database stays without one.
    pub fn close(mut self) -> Result<(), StateError> {
        if self.db.is_some() {
            self.persist(usize::MAX)?;
            self.write_positions()?;
            self.database()?.flush(true)?;
        }
        Ok(())
    }
}

impl Checkpoint {
    /// Where in the log the checkpoint stands: `redo_from` and `newest`.
    pub fn positions(&self) -> (LogPoint, LogPoint) {
        (self.redo_from, self.newest)
    }

    /// Hashes the files that no earlier checkpoint of this open state has hashed. Reads them, so not on the partition's thread.
    pub fn hash(self) -> Result<CheckpointFiles, StateError> {
        let io = |action, path: &Path| {
            let path = path.to_owned();
            move |source| StateError::Io { action, path, source }
        };
        let mut files = Vec::new();
        for file in std::fs::read_dir(&self.dir).map_err(io("list", &self.dir))? {
            let file = file.map_err(io("list", &self.dir))?;
            let (path, name) = (file.path(), file.file_name().to_string_lossy().into_owned());
            let length = file.metadata().map_err(io("inspect", &path))?.len();
            let is_table = name.ends_with(".sst");
            let known =
                self.hashes.lock().unwrap_or_else(PoisonError::into_inner).get(&name).copied();
            let blake3 = match known {
                Some((known_length, hash)) if is_table && known_length == length => hash,
                _ => hash_file(&path)?,
            };
            if is_table {
                self.hashes
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .insert(name.clone(), (length, blake3));
            }
            files.push(CheckpointFile { name, path, length, blake3 });
        }
        files.sort_by(|a, b| a.name.cmp(&b.name));
        let mut hashes = self.hashes.lock().unwrap_or_else(PoisonError::into_inner);
        hashes.retain(|name, _| files.binary_search_by(|file| file.name.cmp(name)).is_ok());
        drop(hashes);
        Ok(CheckpointFiles { files, redo_from: self.redo_from, newest: self.newest })
    }
}

/// BLAKE3 of a file's content.
pub(crate) fn hash_file(path: &Path) -> Result<[u8; 32], StateError> {
    let read = |source| StateError::Io { action: "read", path: path.to_owned(), source };
    let file = File::open(path).map_err(read)?;
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(file).map_err(read)?;
    Ok(*hasher.finalize().as_bytes())
}
