//! Reading the commits of one upstream partition, in order and without a gap at the beginning.

use super::Place;
use crate::ids::Sequence;

/// The record with which a reader must begin is not in the log any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("record {} of the log, which is to be read again, is gone", .0.0)]
pub struct Gone(pub Sequence);

/// Which commits of one upstream partition a reader has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    begins_at: Sequence,
    taken: Sequence,
}

impl Reading {
    /// Begins with the record of `place`: some of it may be left, and it tells the frontier.
    pub fn at(place: Place) -> Self {
        Self { begins_at: place.commit, taken: Sequence(place.commit.0.saturating_sub(1)) }
    }

    /// The last record that was taken, or the place before the first one wanted.
    pub fn taken(&self) -> Sequence {
        self.taken
    }

    /// Records are wanted from here on.
    pub fn next(&self) -> Sequence {
        Sequence(self.taken.0 + 1)
    }

    /// Takes the partition's next record, which has this sequence. Only what arrived counts as taken: a read that
    /// ends early is made again.
    pub fn take(&mut self, sequence: Sequence) -> Result<(), Gone> {
        let is_first = self.taken < self.begins_at;
        if is_first && sequence != self.begins_at {
            return Err(Gone(self.begins_at));
        }
        self.taken = self.taken.max(sequence);
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
        assert_eq!(reading.take(Sequence(9)), Err(Gone(Sequence(7))));
        assert_eq!(reading.take(Sequence(7)), Ok(()));
        assert_eq!(reading.take(Sequence(9)), Ok(()));
        assert_eq!((reading.taken(), reading.next()), (Sequence(9), Sequence(10)));
        let mut unread = Reading::at(Place::default());
        assert_eq!(unread.next(), Sequence(1));
        assert_eq!(
            unread.take(Sequence(4)),
            Ok(()),
            "the log may begin anywhere before the first commit"
        );
    }
}
