//! Checkpoints: hard-linked copies of the database whose files are then hashed and uploaded by others.

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use millstream_core::ids::LogPoint;

use crate::database::Database;
use crate::error::StateError;
use crate::keyed::KeyedState;
use crate::persist::Progress;

/// BLAKE3 hashes of table files by name. A table never changes and its name is not reused while its database is
/// open, so each is read once.
pub(crate) type HashCache = Arc<Mutex<HashMap<String, (u64, [u8; 32])>>>;

/// A checkpoint about to be taken. Goes to another thread, where [`hash`](Self::hash) does the slow part.
pub struct Checkpoint {
    dir: PathBuf,
    target: PathBuf,
    /// Gone when the state was closed meanwhile.
    db: Weak<Database>,
    linking: Arc<Mutex<()>>,
    hashes: HashCache,
}

/// A checkpoint that is taken and waits to be hashed.
pub struct Linked {
    target: PathBuf,
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

    /// Gives all that is acknowledged to the database, which is made if there is none, and returns what remains to be done
    /// on another thread while slices go on: flushing, linking the files into `target` (which must not exist and lie on
    /// the same file system), hashing them. What holds `redo_from` back is only what unacknowledged commits have
    /// overwritten.
    pub fn checkpoint(&mut self, target: &Path) -> Result<Checkpoint, StateError> {
        self.persist_all()?;
        Ok(Checkpoint {
            dir: self.dir.clone(),
            target: target.to_owned(),
            db: self.db.as_ref().map(Arc::downgrade).unwrap_or_default(),
            linking: self.linking.clone(),
            hashes: self.hashes.clone(),
        })
    }

    /// Ends orderly: everything acknowledged is written and flushed, so that the next start has little to redo.
    /// A state without a database stays without one.
    pub fn close(mut self) -> Result<(), StateError> {
        if self.db.is_some() {
            self.persist_all()?;
            self.database()?.flush(true)?;
        }
        Ok(())
    }
}

impl Checkpoint {
    /// Takes the checkpoint and hashes the files that no earlier one of this open state has hashed. Waits for the disk, so
    /// not on the partition's thread. Fails when the state was closed meanwhile. `redo_from` is at least
    /// what it was when [`KeyedState::checkpoint`] returned.
    pub fn hash(self) -> Result<CheckpointFiles, StateError> {
        self.link()?.hash()
    }

    /// Takes the checkpoint: what the state does from now on is not in it.
    pub fn link(self) -> Result<Linked, StateError> {
        // Closing the state waits for this lock; the database must be let go of before it is.
        let linking = self.linking.lock().unwrap_or_else(PoisonError::into_inner);
        let db = self.db.upgrade().ok_or_else(|| StateError::Closed { dir: self.dir.clone() })?;
        db.checkpoint(&self.target)?;
        drop((db, linking));
        Ok(Linked { target: self.target, hashes: self.hashes })
    }
}

impl Linked {
    /// The folder of its files.
    pub fn dir(&self) -> &Path {
        &self.target
    }

    /// Hashes the files that no earlier checkpoint of the open state has hashed.
    pub fn hash(self) -> Result<CheckpointFiles, StateError> {
        let positions = Database::read_positions(&self.target)?;
        let files = self.files()?;
        Ok(CheckpointFiles { files, redo_from: positions.redo_from, newest: positions.newest })
    }

    fn files(&self) -> Result<Vec<CheckpointFile>, StateError> {
        let io = |action, path: &Path| {
            let path = path.to_owned();
            move |source| StateError::Io { action, path, source }
        };
        let mut files = Vec::new();
        for file in std::fs::read_dir(&self.target).map_err(io("list", &self.target))? {
            let file = file.map_err(io("list", &self.target))?;
            let (path, name) = (file.path(), file.file_name().to_string_lossy().into_owned());
            // Reading the positions has left a log of it.
            if name.starts_with("LOG") {
                continue;
            }
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
        Ok(files)
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
