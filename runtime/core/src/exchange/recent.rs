//! The latest commits of one partition, kept in memory for the readers of its stage in the same process.
//!
//! They come from the partition's owner if it runs in this process, otherwise from whoever follows its log; while a
//! partition moves, from both. What is not kept any more is read from the log.

use std::collections::VecDeque;

use super::Exchange;
use crate::ids::{CommitNumber, Sequence};
use crate::outputs::Outputs;

/// A commit that is in the log.
#[derive(Clone, Debug)]
pub struct Committed {
    /// Where it is.
    pub sequence: Sequence,
    /// Its number in its partition.
    pub number: CommitNumber,
    /// Its outputs, possibly none.
    pub outputs: Outputs,
    /// What the stages that read this one must know of it; none: a takeover.
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
    InLog {
        /// Up to here.
        through: Sequence,
    },
}

/// The latest commits of one partition.
#[derive(Debug, Default)]
pub struct Recent {
    /// In memory is all that follows this one.
    before: Sequence,
    newest: Sequence,
    kept: VecDeque<Committed>,
    bytes: usize,
}

impl Recent {
    /// The partition has a record at `sequence`: all before it is in the log. `false`: that is nothing new.
    pub fn reaches(&mut self, sequence: Sequence) -> bool {
        let is_new = sequence > self.newest;
        if is_new {
            *self = Self { before: sequence, newest: sequence, ..Self::default() };
        }
        is_new
    }

    /// The partition's next commit, of which as many are kept as have `bytes_max` bytes of outputs. Who pushes has pushed
    /// the one before or said that the partition [`Self::reaches`] it, so that none is missing. `false`: it is known.
    pub fn push(&mut self, commit: Committed, bytes_max: usize) -> bool {
        if commit.sequence <= self.newest {
            return false;
        }
        self.newest = commit.sequence;
        self.bytes += commit.outputs.len();
        self.kept.push_back(commit);
        while self.bytes > bytes_max
            && let Some(oldest) = self.kept.pop_front()
        {
            self.bytes -= oldest.outputs.len();
            self.before = oldest.sequence;
        }
        true
    }

    /// The partition's last record; 0 if it is not known.
    pub fn newest(&self) -> Sequence {
        self.newest
    }

    /// What follows the record at `after`; 0: all of them.
    pub fn following(&self, after: Sequence) -> Following {
        if self.newest <= after {
            return Following::Nothing;
        }
        if after < self.before {
            return Following::InLog { through: self.before };
        }
        let from = self.kept.partition_point(|commit| commit.sequence <= after);
        Following::Commits(self.kept.range(from..).cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outputs::OutputWriter;

    fn commit(sequence: u64, bytes: usize) -> Committed {
        let mut outputs = OutputWriter::default();
        outputs.push(0, b"k", 0, &vec![b'x'; bytes]);
        Committed {
            sequence: Sequence(sequence),
            number: CommitNumber(sequence),
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
        let mut recent = Recent::default();
        assert!(matches!(recent.following(Sequence(0)), Following::Nothing));
        assert!(recent.reaches(Sequence(7)) && !recent.reaches(Sequence(6)));
        let in_log = recent.following(Sequence(3));
        assert!(matches!(in_log, Following::InLog { through: Sequence(7) }));
        assert!(matches!(recent.following(Sequence(7)), Following::Nothing));
        for sequence in [9, 12] {
            assert!(recent.push(commit(sequence, 10), 1_000));
        }
        assert!(!recent.push(commit(9, 10), 1_000), "who follows the log is later than the owner");
        assert_eq!(sequences(recent.following(Sequence(7))), [9, 12]);
        assert_eq!(sequences(recent.following(Sequence(9))), [12]);
        assert!(matches!(recent.following(Sequence(12)), Following::Nothing));
        let in_log = recent.following(Sequence(6));
        assert!(matches!(in_log, Following::InLog { through: Sequence(7) }));
    }

    #[test]
    fn memory_is_bounded() {
        let mut recent = Recent::default();
        recent.reaches(Sequence(1));
        for sequence in 2..=9 {
            recent.push(commit(sequence, 100), 350);
        }
        let Following::InLog { through } = recent.following(Sequence(1)) else { panic!() };
        assert!(through > Sequence(1) && through < Sequence(9));
        let rest = sequences(recent.following(through));
        assert!(recent.bytes <= 350);
        assert_eq!(rest.last(), Some(&9));
        assert_eq!(rest.first(), Some(&(through.0 + 1)));
    }
}
