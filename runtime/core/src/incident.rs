//! Incidents: facts that contradict what the log, a source or a store promised.
//! None of them goes away by trying again, so the partition stops and a person decides.

use crate::commit::CommitError;
use crate::egress::CursorRecordError;
use crate::ids::{CommitHash, CommitNumber, Generation, Sequence, SourceId};

/// What contradicts what was promised.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Incident {
    /// Somebody who is no owner of the partition wrote to its subject.
    #[error(
        "log sequence {sequence} holds a record of generation {found} that the owner of generation {own} did not write",
        sequence = .sequence.0, found = .found.0, own = .own.0
    )]
    ForeignWrite {
        /// Where.
        sequence: Sequence,
        /// Its generation.
        found: Generation,
        /// The generation of the owner that met it.
        own: Generation,
    },
    /// The log held records and holds none any more.
    #[error("the log is empty, the last record was at sequence {}", expected.0)]
    LogVanished {
        /// Where the last record was.
        expected: Sequence,
    },
    /// A message on the partition's subject is no commit record.
    #[error("log sequence {} is no readable commit record", sequence.0)]
    Malformed {
        /// Where.
        sequence: Sequence,
        /// What is wrong with it.
        #[source]
        source: CommitError,
    },
    /// A record of another life of the pipeline.
    #[error("log sequence {} belongs to another incarnation of the pipeline", sequence.0)]
    ForeignPipeline {
        /// Where.
        sequence: Sequence,
    },
    /// A record does not continue the one before it.
    #[error("commit {} at log sequence {} does not continue the record before it: hash {expected} expected, {found} found", number.0, sequence.0)]
    ChainBroken {
        /// Number of the record.
        number: CommitNumber,
        /// Where.
        sequence: Sequence,
        /// Hash of the record before it.
        expected: CommitHash,
        /// What the record says that hash is.
        found: CommitHash,
    },
    /// A number is missing or doubled.
    #[error("commit {} at log sequence {} where commit {} should be", found.0, sequence.0, expected.0)]
    OutOfOrder {
        /// The number that should follow.
        expected: CommitNumber,
        /// The number there is.
        found: CommitNumber,
        /// Where.
        sequence: Sequence,
    },
    /// The log accepted a record of an owner that had been fenced.
    #[error("commit {} at log sequence {} has generation {} behind generation {}", number.0, sequence.0, found.0, previous.0)]
    StaleGeneration {
        /// Number of the record.
        number: CommitNumber,
        /// Where.
        sequence: Sequence,
        /// Its generation.
        found: Generation,
        /// The generation before it.
        previous: Generation,
    },
    /// The log ends before a record that it acknowledged.
    #[error("the log ends before commit {}, which it had acknowledged", number.0)]
    RecordsMissing {
        /// The record.
        number: CommitNumber,
    },
    /// Outputs that a sink still needs are no longer in the log.
    #[error("sink {sink} needs the outputs from commit {} on, the log starts at {}", needed.0, first.0)]
    OutputsTrimmed {
        /// Which sink.
        sink: u16,
        /// First commit whose outputs may be missing in the sink.
        needed: CommitNumber,
        /// First commit of the log.
        first: CommitNumber,
    },
    /// The log is trimmed and there is no checkpoint to go on from.
    #[error("the log starts at commit {} and there is no checkpoint", first.0)]
    NoCheckpoint {
        /// First commit of the log.
        first: CommitNumber,
    },
    /// The checkpoint is of another history than the log.
    #[error("the checkpoint of commits {} to {} is not in the log", redo_from.0, newest.0)]
    CheckpointNotInLog {
        /// Last commit that is entirely in the checkpoint.
        redo_from: CommitNumber,
        /// Newest commit that has an effect in it.
        newest: CommitNumber,
    },
    /// The cursor record of a transactional sink speaks of a commit that is not in the log.
    #[error("the cursor record at sequence {} of the stream of sink {sink} speaks of commit {}, which is not in the log", sequence.0, commit.0)]
    SinkOfAnotherHistory {
        /// Which sink.
        sink: u16,
        /// Where the record is in the sink's stream.
        sequence: Sequence,
        /// The commit.
        commit: CommitNumber,
    },
    /// The cursor record of a transactional sink is older than one that was acknowledged.
    #[error("the stream of sink {sink} was rolled back: its cursor record is at sequence {}, one was acknowledged at {}", sequence.0, known.0)]
    SinkRolledBack {
        /// Which sink.
        sink: u16,
        /// Where the record is.
        sequence: Sequence,
        /// Where a later one was.
        known: Sequence,
    },
    /// Another life of the pipeline writes to the sink behind this one.
    #[error("the cursor record at sequence {} of the stream of sink {sink} belongs to another incarnation of the pipeline", sequence.0)]
    SinkOfAnotherPipeline {
        /// Which sink.
        sink: u16,
        /// Where the record is.
        sequence: Sequence,
    },
    /// A message on the subject of cursor records is none.
    #[error("sequence {} of the stream of sink {sink} is no readable cursor record", sequence.0)]
    SinkCursorUnreadable {
        /// Which sink.
        sink: u16,
        /// Where the message is.
        sequence: Sequence,
        /// What is wrong with it.
        #[source]
        source: CursorRecordError,
    },
    /// A commit that cannot be sent.
    #[error("commit of {bytes} bytes, at most {limit} are possible")]
    CommitTooLarge {
        /// Its size.
        bytes: usize,
        /// What the server takes.
        limit: usize,
    },
    /// A committed record cannot be applied to the local state.
    #[error("commit {} cannot be applied to the local state: {reason}", number.0)]
    Redo {
        /// Number of the record.
        number: CommitNumber,
        /// Why not.
        reason: String,
    },
    /// Records of a source were removed before they were read.
    #[error("source {} lost sequences {} to {} before they were read", source_id.0, from.0, to.0)]
    SourceGap {
        /// Which source.
        source_id: SourceId,
        /// First lost sequence.
        from: Sequence,
        /// Last lost sequence.
        to: Sequence,
    },
    /// A source has the name of the one that was read, and is another.
    #[error("source {} was re-created: created at {found_ns} ns, the one that was read at {read_ns} ns", source_id.0)]
    SourceRecreated {
        /// Which source.
        source_id: SourceId,
        /// Creation time of the stream that was read, nanoseconds since 1970 UTC.
        read_ns: i64,
        /// Creation time of the stream there is.
        found_ns: i64,
    },
    /// A source ends before what was read of it, or holds something else there.
    #[error("source {} was rolled back: sequence {} is not the record that was read", source_id.0, sequence.0)]
    SourceRolledBack {
        /// Which source.
        source_id: SourceId,
        /// The sequence that was read.
        sequence: Sequence,
    },
}
