//! The operator of a partition with its keyed state on disk: what
//! `millstream_core::partition` drives.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use millstream_core::commit::{CommitKind, CommitRecord};
use millstream_core::ids::{CommitNumber, LogPoint};
use millstream_core::incident::Incident;
use millstream_core::partition::{Computed, Halt, Operator};
use millstream_core::recovery::LocalState;
use millstream_core::slice::Slice;
use millstream_state::{KeyedState, Shared, StateError};

use crate::crash::{self, Step};
use crate::error::EngineError;
use crate::executor::{Executor, ExecutorOptions};
use crate::planted::{self, Bug};

/// Dirty bytes of a partition above which acknowledged state is written to the database.
const DIRTY_BYTES_MAX: usize = 32 << 20;
/// Bytes written to the database in one go, between two turns.
const PERSIST_STEP_BYTES: usize = 1 << 20;
/// Keys, elements and rows that are looked at after each commit for what has expired: some microseconds, if anything
/// can expire at all.
pub const CLEANED_PER_COMMIT: usize = 128;

/// An executor and the folder of its state.
pub struct StageOperator {
    pub executor: Executor,
    dir: PathBuf,
    shared: Arc<Shared>,
    local: Option<LocalState>,
    /// The newest record of the log whose effects are there since the state was opened, in memory or in the database.
    applied: Option<LogPoint>,
    /// The first thing that went wrong where the protocol has no way to say it.
    failed: Option<String>,
    /// Whether a record was redone since the state was opened; only for [`Bug::RedoOneLate`].
    redone: bool,
}

impl StageOperator {
    /// Opens the state in `dir`. A damaged database is wiped: the log and the checkpoints are the truth.
    pub fn open(
        options: ExecutorOptions,
        dir: &Path,
        shared: &Arc<Shared>,
    ) -> Result<Self, EngineError> {
        crash::before(Step::RemoveLeftovers);
        remove_leftovers(dir);
        crash::after(Step::RemoveLeftovers);
        let (state, local) = open_state(&options, dir, shared)?;
        let executor = Executor::new(options, state)?;
        let (dir, shared) = (dir.to_owned(), Arc::clone(shared));
        Ok(Self { executor, dir, shared, local, applied: None, failed: None, redone: false })
    }

    /// Opens the state anew from what lies in the folder now.
    pub fn reopen(&mut self) -> Result<(), StateError> {
        let (state, local) = open_state(self.executor.options(), &self.dir, &self.shared)?;
        (self.local, self.applied, self.redone) = (local, None, false);
        self.executor.replace_state(state)
    }

    /// The first thing that went wrong where the protocol has no way to say it.
    pub fn failure(&mut self) -> Option<String> {
        self.failed.take()
    }

    /// The folder of the database.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Releases the database, so that the folder may be replaced.
    pub fn detach(&mut self) -> Result<(), StateError> {
        let aside = self.dir.with_extension("detached");
        let description = &self.executor.options().description;
        let (state, _) =
            KeyedState::open(&aside, &description.states, &description.timers, &self.shared)?;
        (self.local, self.applied) = (None, None);
        self.executor.replace_state(state)
    }
}

/// Removes what a process that died left beside the database: hard links for a checkpoint, which would keep tables from being
/// freed, and the place of the database while another is restored.
fn remove_leftovers(dir: &Path) {
    let (Some(parent), Some(name)) = (dir.parent(), dir.file_name().and_then(|name| name.to_str()))
    else {
        return;
    };
    let beside = format!("{name}.");
    for entry in std::fs::read_dir(parent).into_iter().flatten().flatten() {
        if entry.file_name().to_str().is_some_and(|found| found.starts_with(&beside))
            && let Err(error) = millstream_state::wipe(&entry.path())
        {
            tracing::warn!(path = %entry.path().display(), %error, "leftover of an earlier process stays");
        }
    }
}

fn open_state(
    options: &ExecutorOptions,
    dir: &Path,
    shared: &Arc<Shared>,
) -> Result<(KeyedState, Option<LocalState>), StateError> {
    let description = &options.description;
    let open = || KeyedState::open(dir, &description.states, &description.timers, shared);
    crash::before(Step::OpenState);
    let (state, local) = match open() {
        Err(error) if error.kind() == millstream_state::ErrorKind::Wipe => {
            tracing::warn!(dir = %dir.display(), %error, "local database is damaged and will be rebuilt from the log");
            crash::before(Step::WipeState);
            millstream_state::wipe(dir)?;
            crash::after(Step::WipeState);
            open()?
        }
        other => other?,
    };
    crash::after(Step::OpenState);
    Ok((state, local.map(|l| LocalState { redo_from: l.redo_from, newest: l.newest })))
}

impl Operator for StageOperator {
    fn local(&self) -> Option<LocalState> {
        match self.applied {
            Some(applied) => Some(LocalState { redo_from: applied, newest: applied }),
            None => self.local,
        }
    }

    fn wipe(&mut self) {
        let wiped = self
            .detach()
            .and_then(|()| millstream_state::wipe(&self.dir))
            .and_then(|()| self.reopen());
        if let Err(error) = wiped {
            self.failed = Some(error.to_string());
        }
    }

    fn redo(&mut self, record: &CommitRecord, point: LogPoint) -> Result<(), Incident> {
        let is_commit = record.header.kind == CommitKind::Commit;
        if is_commit && !self.redone && planted::is(Bug::RedoOneLate) {
            self.redone = true;
            return Ok(());
        }
        if let Err(error) = self.executor.redo(point.number, &record.slice) {
            self.failed = Some(error.to_string());
        }
        self.applied = Some(point);
        self.acknowledged(point);
        Ok(())
    }

    fn compute(
        &mut self,
        number: CommitNumber,
        bytes_max: usize,
        slice: &mut Slice,
    ) -> Result<Computed, Halt> {
        match self.failure() {
            Some(cause) => Err(Halt::Fault(cause)),
            None => self.executor.compute(number, bytes_max, slice),
        }
    }

    fn acknowledged(&mut self, point: LogPoint) {
        let state = self.executor.state();
        state.acknowledged(point);
        crash::before(Step::PersistState);
        let kept = (|| {
            if state.dirty_bytes() > DIRTY_BYTES_MAX {
                state.persist(PERSIST_STEP_BYTES)?;
            }
            state.clean(CLEANED_PER_COMMIT)?;
            state.trim()
        })();
        crash::after(Step::PersistState);
        if let Err(error) = kept {
            self.failed = Some(error.to_string());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leftovers_of_this_partition_are_removed_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["1", "1.checkpoint-7", "1.detached", "10", "10.checkpoint-3"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
            std::fs::write(folder.path().join(name).join("000007.sst"), b"rows").unwrap();
        }
        remove_leftovers(&folder.path().join("1"));
        let entries = std::fs::read_dir(folder.path()).unwrap();
        let mut left: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["1", "10", "10.checkpoint-3"]);
    }
}
