//! Bugs planted for tests: the fault harness must see each of them, or it proves nothing. Each breaks a rule that
//! exactly-once rests on, where the worker carries it out. Nothing in a shipped binary plants one; there, asking costs a
//! load.

use std::fmt;
use std::str::FromStr;
use std::sync::OnceLock;

/// A rule that is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// Outputs are published before their commit is acknowledged.
    EgressBeforeCommit,
    /// The outputs of a commit that was refused are published.
    RefusedOutputsPublished,
    /// A commit is appended whatever the last sequence of the subject is.
    NoExpectedSequence,
    /// A commit without an answer counts as acknowledged.
    UnansweredAcknowledged,
    /// A takeover is not appended.
    TakeoverNotAppended,
    /// The first record behind the local database is not applied.
    RedoOneLate,
    /// A checkpoint counts as restored that was not read.
    RestoreSkipped,
    /// A sink's cursor says that outputs are stored which are not yet.
    CursorAhead,
    /// The document of a checkpoint is stored before the files that it names.
    DocumentBeforeFiles,
    /// With the oldest checkpoint go the tables that newer ones share with it.
    SharedTablesForgotten,
    /// The log is purged up to its end, whatever checkpoints need.
    TrimAboveFloor,
    /// A source is read from one record behind the next one.
    SourceOneAhead,
    /// An output has another message id each time it is published.
    MessageIdChanges,
    /// A new owner does not go on behind the cursor record of a transactional sink.
    CursorRecordIgnored,
    /// A pipeline is rescaled without an end to its log.
    SealNotAppended,
    /// A life that begins from a savepoint passes over the first record behind the barrier.
    SeedOneAhead,
}

impl Bug {
    /// All of them.
    pub const ALL: [Bug; 16] = [
        Bug::EgressBeforeCommit,
        Bug::RefusedOutputsPublished,
        Bug::NoExpectedSequence,
        Bug::UnansweredAcknowledged,
        Bug::TakeoverNotAppended,
        Bug::RedoOneLate,
        Bug::RestoreSkipped,
        Bug::CursorAhead,
        Bug::DocumentBeforeFiles,
        Bug::SharedTablesForgotten,
        Bug::TrimAboveFloor,
        Bug::SourceOneAhead,
        Bug::MessageIdChanges,
        Bug::CursorRecordIgnored,
        Bug::SealNotAppended,
        Bug::SeedOneAhead,
    ];

    fn name(self) -> &'static str {
        match self {
            Bug::EgressBeforeCommit => "egress-before-commit",
            Bug::RefusedOutputsPublished => "refused-outputs-published",
            Bug::NoExpectedSequence => "no-expected-sequence",
            Bug::UnansweredAcknowledged => "unanswered-acknowledged",
            Bug::TakeoverNotAppended => "takeover-not-appended",
            Bug::RedoOneLate => "redo-one-late",
            Bug::RestoreSkipped => "restore-skipped",
            Bug::CursorAhead => "cursor-ahead",
            Bug::DocumentBeforeFiles => "document-before-files",
            Bug::SharedTablesForgotten => "shared-tables-forgotten",
            Bug::TrimAboveFloor => "trim-above-floor",
            Bug::SourceOneAhead => "source-one-ahead",
            Bug::MessageIdChanges => "message-id-changes",
            Bug::CursorRecordIgnored => "cursor-record-ignored",
            Bug::SealNotAppended => "seal-not-appended",
            Bug::SeedOneAhead => "seed-one-ahead",
        }
    }
}

impl fmt::Display for Bug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Not the name of a bug.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is no planted bug; one is `cursor-ahead`")]
pub struct UnknownBug(String);

impl FromStr for Bug {
    type Err = UnknownBug;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Bug::ALL.into_iter().find(|bug| bug.name() == text);
        found.ok_or_else(|| UnknownBug(text.to_owned()))
    }
}

static PLANTED: OnceLock<Bug> = OnceLock::new();

/// Breaks a rule in this process from now on. For tests, once; a second one is not planted.
pub fn plant(bug: Bug) {
    // The first one stays.
    let _ = PLANTED.set(bug);
}

/// Whether this rule is broken.
#[inline]
pub(crate) fn is(bug: Bug) -> bool {
    PLANTED.get() == Some(&bug)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bugs_are_told_by_their_names_and_none_is_planted() {
        for bug in Bug::ALL {
            assert_eq!(bug.to_string().parse::<Bug>().unwrap(), bug);
            assert!(!is(bug));
        }
        assert!("no-bug".parse::<Bug>().unwrap_err().to_string().contains("no-bug"));
    }
}
