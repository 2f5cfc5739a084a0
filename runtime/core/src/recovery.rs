//! What a new owner makes of what it finds: whether a local database is of the
//! log's history, and whether the records it reads continue one another.

use bytes::Bytes;

use crate::commit::{CommitKind, CommitRecord, hash_of};
use crate::ids::{CommitHash, CommitNumber, Generation, Incarnation, LogPoint, Sequence};
use crate::incident::Incident;
use crate::slice::EgressCursor;

/// A message of the partition's subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRecord {
    /// Its sequence in the log stream.
    pub sequence: Sequence,
    /// Its bytes.
    pub message: Bytes,
}

/// What a database (local, or made from a checkpoint) says of itself. It wrote both in the same
/// batch as the state they speak of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LocalState {
    /// The last commit whose effects are entirely in the database: redo begins behind it. Number 0: none.
    pub redo_from: LogPoint,
    /// The newest commit that has any effect in the database.
    pub newest: LogPoint,
}

impl LocalState {
    /// The points that must be in the log if the database is to be used.
    pub fn points(&self) -> impl Iterator<Item = LogPoint> {
        [self.newest, self.redo_from].into_iter().filter(|point| point.number > CommitNumber(0))
    }

    /// Whether the points may be in a log whose last record is `last`, before anything is read.
    pub fn is_below(&self, last: CommitNumber) -> bool {
        self.redo_from.number <= self.newest.number && self.newest.number <= last
    }
}

/// Whether the record read at a point's sequence is the one meant.
pub fn is_point(point: &LogPoint, found: Option<&StoredRecord>) -> bool {
    found.is_some_and(|found| {
        found.sequence == point.sequence && hash_of(&found.message) == point.hash
    })
}

/// Where the log must be read from, so that both the state and the sinks miss nothing: the sequence
/// of the first record needed, 0 for the very first.
pub fn read_from(redo_from: &LogPoint, cursors: &[EgressCursor]) -> Sequence {
    if redo_from.number == CommitNumber(0) {
        return Sequence(0);
    }
    cursors.iter().map(|cursor| cursor.read_from).fold(redo_from.sequence, Sequence::min)
}

/// Checks that records read in order are one history.
#[derive(Clone, Debug)]
pub struct Chain {
    pipeline: Incarnation,
    /// The last record accepted, with its owner.
    last: Option<(LogPoint, Generation, Incarnation)>,
}

impl Chain {
    /// A chain that begins with whatever record comes first.
    pub fn new(pipeline: Incarnation) -> Self {
        Self { pipeline, last: None }
    }

    /// Decodes the next record, if it is the next.
    pub fn accept(&mut self, stored: &StoredRecord) -> Result<(CommitRecord, LogPoint), Incident> {
        let sequence = stored.sequence;
        let record = decode(stored, self.pipeline)?;
        let header = &record.header;
        let number = header.number;
        let before_first = (number == CommitNumber(1)).then_some((
            LogPoint::default(),
            Generation(0),
            Incarnation(0),
        ));
        if let Some((last, generation, owner)) = self.last.or(before_first) {
            let expected = CommitNumber(last.number.0 + 1);
            if number != expected {
                return Err(Incident::OutOfOrder { expected, found: number, sequence });
            }
            if header.prev_hash != last.hash {
                return Err(Incident::ChainBroken {
                    number,
                    sequence,
                    expected: last.hash,
                    found: header.prev_hash,
                });
            }
            let in_turn = match header.kind {
                CommitKind::Takeover => header.generation > generation,
                CommitKind::Commit => header.generation == generation && header.owner == owner,
            };
            if !in_turn {
                return Err(Incident::StaleGeneration {
                    number,
                    sequence,
                    found: header.generation,
                    previous: generation,
                });
            }
        }
        let point = LogPoint { number, hash: hash_of(&stored.message), sequence };
        self.last = Some((point, header.generation, header.owner));
        Ok((record, point))
    }
}

/// Follows a log that somebody else writes, record by record, behind what a database holds: what a standby applies.
///
/// Nothing is believed for good: whoever takes the partition over looks for the newest record applied in the log first, as
/// after a restart ([`LocalState::points`]).
#[derive(Clone, Debug)]
pub struct Follow {
    chain: Chain,
    applied: LogPoint,
}

/// What a record is to one who follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Followed {
    /// Its effects are there already.
    Known,
    /// It is to be applied.
    Next(Box<CommitRecord>, LogPoint),
    /// Records before it, from here on, are no longer in the log: state must come from a checkpoint.
    Trimmed(CommitNumber),
}

impl Follow {
    /// Follows a pipeline's partition behind a record whose effects, and those of all before, are there.
    pub fn behind(pipeline: Incarnation, applied: LogPoint) -> Self {
        Self { chain: Chain::new(pipeline), applied }
    }

    /// Looks at the next record that was read; reading begins anywhere at or before the one wanted.
    ///
    /// # Errors
    /// If the records are no history, or not the one followed so far.
    pub fn accept(&mut self, stored: &StoredRecord) -> Result<Followed, Incident> {
        if stored.sequence <= self.applied.sequence {
            return Ok(Followed::Known);
        }
        let (record, point) = match self.chain.accept(stored) {
            Ok(accepted) => accepted,
            // Trimmed under one who was behind.
            Err(Incident::OutOfOrder { expected, found, .. }) if found > expected => {
                return Ok(Followed::Trimmed(expected));
            }
            Err(incident) => return Err(incident),
        };
        let next = CommitNumber(self.applied.number.0 + 1);
        if point.number > next {
            return Ok(Followed::Trimmed(next));
        }
        if point.number < next || record.header.prev_hash != self.applied.hash {
            return Err(Incident::ChainBroken {
                number: point.number,
                sequence: point.sequence,
                expected: self.applied.hash,
                found: record.header.prev_hash,
            });
        }
        self.applied = point;
        Ok(Followed::Next(Box::new(record), point))
    }

    /// The newest record accepted.
    pub fn applied(&self) -> LogPoint {
        self.applied
    }
}

/// Decodes a record of the pipeline.
pub fn decode(stored: &StoredRecord, pipeline: Incarnation) -> Result<CommitRecord, Incident> {
    let sequence = stored.sequence;
    let record = CommitRecord::decode(&stored.message)
        .map_err(|source| Incident::Malformed { sequence, source })?;
    if record.header.pipeline != pipeline {
        return Err(Incident::ForeignPipeline { sequence });
    }
    Ok(record)
}

/// The point before the first record.
pub const BEFORE_FIRST: LogPoint =
    LogPoint { number: CommitNumber(0), hash: CommitHash([0; 32]), sequence: Sequence(0) };

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commit::{CommitHeader, Compression};
    use crate::slice::Slice;

    const PIPELINE: Incarnation = Incarnation(5);

    /// A log of one owner's records at every second sequence.
    fn log(records: u64) -> Vec<StoredRecord> {
        let mut prev_hash = CommitHash([0; 32]);
        let record = |number: u64| {
            let kind = if number == 1 { CommitKind::Takeover } else { CommitKind::Commit };
            let header = CommitHeader {
                kind,
                generation: Generation(1),
                owner: Incarnation(9),
                pipeline: PIPELINE,
                number: CommitNumber(number),
                prev_hash,
                module: [0; 32],
            };
            let record = CommitRecord { header, slice: Slice::default(), egress: Vec::new() };
            let mut message = Vec::new();
            prev_hash = record.encode(Compression::Off, &mut message);
            StoredRecord { sequence: Sequence(2 * number), message: message.into() }
        };
        (1..=records).map(record).collect()
    }

    #[test]
    fn a_follower_applies_what_comes_next_and_knows_what_it_has() {
        let log = log(5);
        let mut follow = Follow::behind(PIPELINE, BEFORE_FIRST);
        for stored in &log[..3] {
            assert!(matches!(follow.accept(stored).unwrap(), Followed::Next(..)));
        }
        let applied = follow.applied();
        assert_eq!((applied.number, applied.sequence), (CommitNumber(3), Sequence(6)));
        assert!(is_point(&applied, Some(&log[2])));

        let mut later = Follow::behind(PIPELINE, applied);
        assert_eq!(later.accept(&log[1]).unwrap(), Followed::Known);
        assert_eq!(later.accept(&log[2]).unwrap(), Followed::Known);
        assert!(matches!(later.accept(&log[3]).unwrap(), Followed::Next(..)));
    }

    #[test]
    fn a_follower_notices_what_is_gone_and_what_is_another_history() {
        let log = log(5);
        let mut follow = Follow::behind(PIPELINE, BEFORE_FIRST);
        assert_eq!(follow.accept(&log[2]).unwrap(), Followed::Trimmed(CommitNumber(1)));

        let mut follow = Follow::behind(PIPELINE, BEFORE_FIRST);
        assert!(matches!(follow.accept(&log[0]).unwrap(), Followed::Next(..)));
        let trimmed_under_it = follow.accept(&log[3]).unwrap();
        assert_eq!(trimmed_under_it, Followed::Trimmed(CommitNumber(2)));
        assert_eq!(follow.applied().number, CommitNumber(1));

        let applied =
            LogPoint { number: CommitNumber(2), hash: CommitHash([7; 32]), sequence: Sequence(4) };
        let found = Follow::behind(PIPELINE, applied).accept(&log[2]);
        assert!(matches!(found, Err(Incident::ChainBroken { .. })), "{found:?}");
        let found = Follow::behind(Incarnation(6), BEFORE_FIRST).accept(&log[0]);
        assert!(matches!(found, Err(Incident::ForeignPipeline { .. })), "{found:?}");
    }
}
