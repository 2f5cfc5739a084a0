//! What can go wrong with a partition's state, and what its owner should do then.

use std::path::PathBuf;

/// What the owner should do about a [`StateError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The local database cannot be trusted: abandon the state, [`wipe`](crate::wipe) the folder and
    /// start again from a checkpoint or from the log.
    Wipe,
    /// The machine is in the way (disk full, no file handles, folder locked): abandon the state and
    /// try again later; the folder is good.
    Retry,
    /// The declaration or the file does not fit; trying again changes nothing.
    Refuse,
}

/// A failure of the keyed state. After one from any call that writes, the state must be abandoned.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The database is corrupt or lacks files.
    #[error("the state database in {dir} is damaged: {fact}")]
    Damaged {
        /// Its folder.
        dir: PathBuf,
        /// What was found.
        fact: String,
    },
    /// RocksDB refused for another reason.
    #[error("the state database in {dir} refused to {action}")]
    Database {
        /// Its folder.
        dir: PathBuf,
        /// Fits "failed to".
        action: &'static str,
        /// RocksDB's words.
        source: rocksdb::Error,
    },
    /// A file operation failed.
    #[error("failed to {action} {path}")]
    Io {
        /// Fits "failed to".
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's words.
        source: std::io::Error,
    },
    /// A state or timer was declared as another kind before.
    #[error("`{name}` was declared as {before} and is now declared as {now}")]
    KindChanged {
        /// The state or timer.
        name: String,
        /// The kind in the database.
        before: &'static str,
        /// The kind declared now.
        now: &'static str,
    },
    /// The items of a state expired by another clock before, and are laid out accordingly.
    #[error("items of state `{name}` expired by {before}, and would now by {now}")]
    ClockChanged {
        /// The state.
        name: String,
        /// The clock in the database.
        before: &'static str,
        /// The clock declared now.
        now: &'static str,
    },
    /// A state may hold items that the module cannot read.
    #[error(
        "state `{name}` may hold items of version {kept}, which the module, whose version is {version}, does not read"
    )]
    VersionUnreadable {
        /// The state.
        name: String,
        /// The version in the database.
        kept: u32,
        /// The version declared now.
        version: u32,
    },
    /// More states over the life of a pipeline than ids.
    #[error(
        "{count} states or timers were declared over the life of this partition, the limit is {limit}"
    )]
    TooManyStates {
        /// How many there would be.
        count: usize,
        /// The limit.
        limit: usize,
    },
    /// An earlier write failed, so memory and database may differ.
    #[error("an earlier write to the state database in {dir} failed; the state must be abandoned")]
    Failed {
        /// Its folder.
        dir: PathBuf,
    },
    /// A checkpoint was to be taken of a state that is no longer open.
    #[error("the state in {dir} was closed before its checkpoint was taken")]
    Closed {
        /// Its folder.
        dir: PathBuf,
    },
    /// A file of a checkpoint is not what its manifest says.
    #[error("checkpoint file {name}: {fact}")]
    CheckpointFile {
        /// The file's name in the manifest.
        name: String,
        /// What differs, with both values.
        fact: String,
    },
    /// A checkpoint manifest cannot be used.
    #[error("checkpoint manifest: {fact}")]
    Manifest {
        /// What is wrong with it.
        fact: String,
    },
}

impl StateError {
    /// What to do about it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Damaged { .. } => ErrorKind::Wipe,
            Self::Database { .. } | Self::Io { .. } | Self::Closed { .. } | Self::Failed { .. } => {
                ErrorKind::Retry
            }
            Self::KindChanged { .. }
            | Self::ClockChanged { .. }
            | Self::VersionUnreadable { .. }
            | Self::TooManyStates { .. }
            | Self::CheckpointFile { .. }
            | Self::Manifest { .. } => ErrorKind::Refuse,
        }
    }
}
