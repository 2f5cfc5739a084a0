//! Reading the commits of one upstream partition, in order and without a gap.
//!
//! Nothing is missing as far as the reader's partitions need it: they hold the log. But a reader that began for the sake
//! of a partition which has left since may be behind what the others need, and the log is trimmed under it.

use super::Place;
use crate::ids::{CommitNumber, Sequence};

/// A record that a reader must have is not in the log any more: the one at this sequence, or the next one behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("record {} of the log, which is to be read, is gone", .0.0)]
pub struct Gone(pub Sequence);

/// Which commits of one upstream partition a reader has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    begins_at: Sequence,
    taken: Sequence,
    /// Number of the last commit taken; none: not known yet.
    number: Option<CommitNumber>,
}

impl Reading {
    /// Begins with the record of `place`: some of it may be left, and it tells the frontier.
    pub fn at(place: Place) -> Self {
        let taken = Sequence(place.commit.0.saturating_sub(1));
        Self { begins_at: place.commit, taken, number: None }
    }

    /// The last record that was taken, or the place before the first one wanted.
    pub fn taken(&self) -> Sequence {
        self.taken
    }

    /// Records are wanted from here on.
    pub fn next(&self) -> Sequence {
        Sequence(self.taken.0 + 1)
    }

    /// Takes the partition's next record, commit `number` at this sequence. Only what arrived counts as taken: a read that
    /// ends early is made again.
    ///
    /// # Errors
    /// If a record before it is missing.
    pub fn take(&mut self, sequence: Sequence, number: CommitNumber) -> Result<(), Gone> {
        let is_first = self.taken < self.begins_at;
        if is_first && sequence != self.begins_at {
            return Err(Gone(self.begins_at));
        }
        let follows = self.number.is_none_or(|taken| number.0 == taken.0 + 1);
        if sequence > self.taken {
            if !follows {
                return Err(Gone(self.next()));
            }
            (self.taken, self.number) = (sequence, Some(number));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_record_of_the_place_is_read_again_and_must_be_there() {
        let place = |commit| Place { commit: Sequence(commit), outputs: u32::MAX };
        let mut reading = Reading::at(place(7));
        assert_eq!(reading.next(), Sequence(7));
        assert_eq!(reading.take(Sequence(9), CommitNumber(3)), Err(Gone(Sequence(7))));
        assert_eq!(reading.take(Sequence(7), CommitNumber(2)), Ok(()));
        assert_eq!(reading.take(Sequence(9), CommitNumber(3)), Ok(()));
        assert_eq!((reading.taken(), reading.next()), (Sequence(9), Sequence(10)));
        let mut unread = Reading::at(Place::default());
        assert_eq!(unread.next(), Sequence(1));
        let first = unread.take(Sequence(4), CommitNumber(1));
        assert_eq!(first, Ok(()), "the log may begin anywhere before the first commit");
    }

    #[test]
    fn a_gap_is_noticed() {
        let mut reading = Reading::at(Place { commit: Sequence(7), outputs: 0 });
        assert_eq!(reading.take(Sequence(7), CommitNumber(2)), Ok(()));
        assert_eq!(reading.take(Sequence(7), CommitNumber(2)), Ok(()), "it comes again");
        assert_eq!(reading.take(Sequence(12), CommitNumber(4)), Err(Gone(Sequence(8))));
        assert_eq!(reading.taken(), Sequence(7));
    }
}
