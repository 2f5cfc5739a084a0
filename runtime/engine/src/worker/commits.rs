//! The latest commits of a stage's partitions, for the readers in this process. Those of partitions that run here come from
//! their tasks, the others' from the log (`follow`); a partition that moves may have both for a while.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use millstream_core::exchange::Exchange;
use millstream_core::ids::Sequence;
use millstream_core::outputs::Outputs;
use tokio::sync::watch;

/// Bytes of outputs kept per partition; older commits are read from the log.
const KEPT_BYTES_MAX: usize = 4 << 20;

/// A commit that is in the log.
#[derive(Clone, Debug)]
pub struct Committed {
    pub sequence: Sequence,
    pub outputs: Outputs,
    /// None: a takeover.
    pub exchange: Option<Exchange>,
}

/// What follows a commit of a partition.
#[derive(Debug)]
pub enum Following {
    /// Nothing yet.
    Nothing,
    /// The next commits, all there are.
    Commits(Vec<Committed>),
    /// The log has them; the last one has this sequence.
    InLog { through: Sequence },
}

#[derive(Debug, Default)]
struct Recent {
    /// In memory is all that follows this one.
    before: Sequence,
    newest: Sequence,
    kept: VecDeque<Committed>,
    bytes: usize,
}

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

    /// The partition has a record at `sequence`: all before it is in the log. Nothing new if that is known.
    pub fn reaches(&self, partition: u16, sequence: Sequence) {
        let mut recent = self.of(partition);
        if sequence <= recent.newest {
            return;
        }
        *recent = Recent { before: sequence, newest: sequence, ..Recent::default() };
        drop(recent);
        self.changed.send_replace(());
    }

    /// The partition's next commit. Who pushes has pushed or said that it [`Self::reaches`] the one before, so that none is
    /// missing; one that is known is ignored.
    pub fn push(&self, partition: u16, commit: Committed) {
        let mut recent = self.of(partition);
        if commit.sequence <= recent.newest {
            return;
        }
        recent.newest = commit.sequence;
        recent.bytes += commit.outputs.len();
        recent.kept.push_back(commit);
        while recent.bytes > KEPT_BYTES_MAX
            && let Some(oldest) = recent.kept.pop_front()
        {
            recent.bytes -= oldest.outputs.len();
            recent.before = oldest.sequence;
        }
        drop(recent);
        self.changed.send_replace(());
    }

    /// The partition's last record; 0 if it is not known.
    pub fn newest(&self, partition: u16) -> Sequence {
        self.of(partition).newest
    }

    /// What follows the record at `after`; 0: all of them.
    pub fn following(&self, partition: u16, after: Sequence) -> Following {
        let recent = self.of(partition);
        if recent.newest <= after {
            return Following::Nothing;
        }
        if after < recent.before {
            return Following::InLog { through: recent.before };
        }
        let from = recent.kept.partition_point(|commit| commit.sequence <= after);
        Following::Commits(recent.kept.range(from..).cloned().collect())
    }

    /// Hears of new commits.
    pub fn subscribe(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use millstream_core::outputs::OutputWriter;

    use super::*;

    fn commit(sequence: u64, bytes: usize) -> Committed {
        let mut outputs = OutputWriter::default();
        outputs.push(0, b"k", 0, &vec![b'x'; bytes]);
        Committed {
            sequence: Sequence(sequence),
            outputs: outputs.freeze(),
            exchange: Some(Exchange::default()),
        }
    }

    fn sequences(following: Following) -> Vec<u64> {
        match following {
            Following::Commits(commits) => commits.iter().map(|c| c.sequence.0).collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_memory_lacks_is_in_the_log() {
        let commits = Commits::new(2);
        assert!(matches!(commits.following(1, Sequence(0)), Following::Nothing));
        commits.reaches(1, Sequence(7));
        assert!(matches!(
            commits.following(1, Sequence(3)),
            Following::InLog { through: Sequence(7) }
        ));
        assert!(matches!(commits.following(1, Sequence(7)), Following::Nothing));
        for sequence in [9, 12] {
            commits.push(1, commit(sequence, 10));
        }
        assert_eq!(sequences(commits.following(1, Sequence(7))), [9, 12]);
        assert_eq!(sequences(commits.following(1, Sequence(9))), [12]);
        assert!(matches!(commits.following(1, Sequence(12)), Following::Nothing));
        assert!(matches!(
            commits.following(1, Sequence(6)),
            Following::InLog { through: Sequence(7) }
        ));
    }

    #[test]
    fn memory_is_bounded() {
        let commits = Commits::new(1);
        commits.reaches(0, Sequence(1));
        for sequence in 2..=9 {
            commits.push(0, commit(sequence, 1 << 20));
        }
        let Following::InLog { through } = commits.following(0, Sequence(1)) else { panic!() };
        assert!(through > Sequence(1) && through < Sequence(9));
        let rest = sequences(commits.following(0, through));
        assert!(commits.of(0).bytes <= KEPT_BYTES_MAX);
        assert_eq!(rest.last(), Some(&9));
        assert_eq!(rest.first(), Some(&(through.0 + 1)));
    }
}
