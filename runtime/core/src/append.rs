//! What one append to the log came to. Appending is publishing with the expected
//! last sequence of the subject, so it succeeds at most once however often the
//! identical bytes are sent:
//!
//! - no answer: send the identical bytes again, until acknowledged or refused;
//! - refused: read the last record of the subject and let [`after_refusal`] say
//!   what it means. The read alone would decide nothing (it may be stale); together
//!   with a refusal it does, and a stale one only costs another attempt.

use crate::commit::CommitKind;
use crate::ids::{CommitHash, Generation, Sequence};

/// What the server answered to an append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppendReply {
    /// The record is in the log.
    Acknowledged(Sequence),
    /// Time-out, lost connection: it may be in the log or not.
    Unknown,
    /// The last sequence is not the expected one, or so the server says.
    Refused,
    /// The log's quota is full, so it is not in the log.
    Full,
}

/// The append in question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// What the record is for.
    pub kind: CommitKind,
    /// Its generation.
    pub generation: Generation,
    /// Its hash.
    pub hash: CommitHash,
    /// The sequence that the record before it has; 0: none.
    pub expected: Sequence,
}

/// The last record of the subject, as read after a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastRecord {
    /// Where it is.
    pub sequence: Sequence,
    /// Its hash.
    pub hash: CommitHash,
    /// Its generation.
    pub generation: Generation,
    /// What it is for.
    pub kind: CommitKind,
}

/// What a refused append means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterRefusal {
    /// An earlier attempt landed here.
    Landed(Sequence),
    /// Nothing happened (or the read was stale): send the identical bytes again.
    Retry,
    /// A takeover came too late for the record it followed: make a new one behind the last record.
    Moved,
    /// A newer owner holds the partition.
    Fenced {
        /// Its generation.
        by: Generation,
    },
    /// A record that nobody may have written.
    Foreign,
    /// There are no records any more.
    Vanished,
}

/// Decides what a refusal means, from the last record of the subject.
pub fn after_refusal(attempt: &Attempt, last: Option<&LastRecord>) -> AfterRefusal {
    let Some(last) = last else {
        let never_any = attempt.expected == Sequence(0);
        return if never_any { AfterRefusal::Retry } else { AfterRefusal::Vanished };
    };
    if last.hash == attempt.hash {
        return AfterRefusal::Landed(last.sequence);
    }
    if last.sequence <= attempt.expected {
        // The server refuses now and then while an earlier message is being applied (code 10164);
        // below the expected sequence the read came from a replica that is behind.
        return AfterRefusal::Retry;
    }
    if last.generation > attempt.generation {
        return AfterRefusal::Fenced { by: last.generation };
    }
    match attempt.kind {
        // Two owners read the same tail; the other one was faster.
        CommitKind::Takeover if last.generation == attempt.generation => {
            AfterRefusal::Fenced { by: last.generation }
        }
        // The owner of before committed in between.
        CommitKind::Takeover => AfterRefusal::Moved,
        CommitKind::Commit => AfterRefusal::Foreign,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ATTEMPT: Attempt = Attempt {
        kind: CommitKind::Commit,
        generation: Generation(5),
        hash: CommitHash([1; 32]),
        expected: Sequence(10),
    };

    fn last(sequence: u64, hash: u8, generation: u64) -> LastRecord {
        LastRecord {
            sequence: Sequence(sequence),
            hash: CommitHash([hash; 32]),
            generation: Generation(generation),
            kind: CommitKind::Commit,
        }
    }

    #[test]
    fn refusals_are_told_apart() {
        let takeover = Attempt { kind: CommitKind::Takeover, ..ATTEMPT };
        for (attempt, last, meaning) in [
            (ATTEMPT, last(11, 1, 5), AfterRefusal::Landed(Sequence(11))),
            (ATTEMPT, last(10, 2, 5), AfterRefusal::Retry),
            (ATTEMPT, last(9, 3, 5), AfterRefusal::Retry),
            (ATTEMPT, last(11, 2, 6), AfterRefusal::Fenced { by: Generation(6) }),
            (ATTEMPT, last(11, 2, 5), AfterRefusal::Foreign),
            (ATTEMPT, last(11, 2, 4), AfterRefusal::Foreign),
            (takeover, last(11, 1, 5), AfterRefusal::Landed(Sequence(11))),
            (takeover, last(10, 2, 4), AfterRefusal::Retry),
            (takeover, last(11, 2, 4), AfterRefusal::Moved),
            (takeover, last(11, 2, 5), AfterRefusal::Fenced { by: Generation(5) }),
            (takeover, last(12, 2, 7), AfterRefusal::Fenced { by: Generation(7) }),
        ] {
            assert_eq!(after_refusal(&attempt, Some(&last)), meaning, "{attempt:?} {last:?}");
        }
    }

    #[test]
    fn an_empty_subject_is_a_start_or_a_loss() {
        assert_eq!(after_refusal(&ATTEMPT, None), AfterRefusal::Vanished);
        let first = Attempt { expected: Sequence(0), ..ATTEMPT };
        assert_eq!(after_refusal(&first, None), AfterRefusal::Retry);
    }
}
