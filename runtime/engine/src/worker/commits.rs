//! The latest commits of a stage's partitions, for the readers in this process. Those of partitions that run here come from
//! their tasks, the others' from the log (`follow`); a partition that moves may have both for a while.

use std::sync::{Mutex, MutexGuard, PoisonError};

use millstream_core::exchange::Recent;
pub use millstream_core::exchange::{Committed, Following};
use millstream_core::ids::Sequence;
use tokio::sync::watch;

/// Bytes of outputs kept per partition; older commits are read from the log.
const KEPT_BYTES_MAX: usize = 4 << 20;

/// The latest commits of the partitions of one stage.
#[derive(Debug)]
pub struct Commits {
    partitions: Vec<Mutex<Recent>>,
    changed: watch::Sender<()>,
}

impl Commits {
    pub fn new(partitions: u16) -> Self {
        let recent = || Mutex::new(Recent::default());
        Self {
            partitions: (0..partitions).map(|_| recent()).collect(),
            changed: watch::Sender::new(()),
        }
    }

    fn of(&self, partition: u16) -> MutexGuard<'_, Recent> {
        self.partitions[usize::from(partition)].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As [`Recent::reaches`].
    pub fn reaches(&self, partition: u16, sequence: Sequence) {
        if self.of(partition).reaches(sequence) {
            self.changed.send_replace(());
        }
    }

    /// As [`Recent::push`].
    pub fn push(&self, partition: u16, commit: Committed) {
        if self.of(partition).push(commit, KEPT_BYTES_MAX) {
            self.changed.send_replace(());
        }
    }

    /// As [`Recent::newest`].
    pub fn newest(&self, partition: u16) -> Sequence {
        self.of(partition).newest()
    }

    /// As [`Recent::following`].
    pub fn following(&self, partition: u16, after: Sequence) -> Following {
        self.of(partition).following(after)
    }

    /// Hears of new commits.
    pub fn subscribe(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }
}
