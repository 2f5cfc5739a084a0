//! Seals: the end of a partition's log, for as long as it is open whether another life of the pipeline goes on from there.
//!
//! A pipeline is rescaled while its partitions rest at a barrier: a new life, with a log of its own, begins from what they hold,
//! and the pipeline's record says at last which life runs. In between the old life could go on: its node may die and another
//! one take over, an owner that nobody knew of may wake up, an append may arrive late. What it then commits behind the
//! barrier, the new life commits once more. So each partition is *sealed* before the record is written:
//!
//! ```text
//!  rest at the barrier --> seal every partition --> write the record with the new life, if it still has revision R
//!                             | one has moved on           | it has another one
//!                             +------> write the record with the old life, if it still has revision R (revision > R)
//! ```
//!
//! A seal is a takeover by nobody. It is appended with the sequence of the record at which the partition rests as the expected
//! one, so it lands only if nothing was committed since, and fences whoever owns the partition. It names the revision R of the
//! record that the switch is based on, and the log and the record together decide:
//!
//! - Whoever runs the old life by R or an earlier revision does not take a sealed partition over: the switch may land.
//! - Whoever runs it by a later revision does: that revision has the old life, so the switch based on R was refused, or will be.
//!
//! Architecture invariant: no wait and no clock is part of it. Who finds a pipeline sealed that nobody switches writes its
//! record anew; a switch that is still under way is refused then, and that is all.

use bytes::Bytes;

use crate::commit::{CommitHeader, CommitKind, CommitRecord, Compression, encode, hash_of};
use crate::exchange::Exchange;
use crate::ids::{CommitHash, CommitNumber, Generation, Incarnation, Sequence};
use crate::incident::Incident;
use crate::recovery::{StoredRecord, decode};
use crate::slice::Slice;

/// What a partition's log was ended for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seal {
    /// The life of the pipeline that is to follow.
    pub life: Incarnation,
    /// Revision of the pipeline's record that this life is to replace.
    pub revision: u64,
}

impl Seal {
    /// Whether an owner may not go on who runs the partition by this revision of the pipeline's record.
    pub fn holds_at(&self, revision: u64) -> bool {
        revision <= self.revision
    }
}

/// The record of its log at which a partition rests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rest {
    /// Its number.
    pub number: CommitNumber,
    /// Its hash.
    pub hash: CommitHash,
}

impl Rest {
    /// Where the partition rests that stands so ([`crate::partition::Partition::standing`]).
    pub fn of(standing: &CommitRecord) -> Self {
        let CommitHeader { number, prev_hash: hash, .. } = standing.header;
        Self { number: CommitNumber(number.0.saturating_sub(1)), hash }
    }
}

/// What is to be done for a seal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sealing {
    /// Append this, and if that is not acknowledged, read the last record and ask again.
    Append {
        /// The bytes; always the same ones behind the same record.
        message: Bytes,
        /// The expected last sequence.
        expected: Sequence,
    },
    /// The read came from a replica that is behind: read again.
    ReadAgain,
    /// The partition is sealed.
    Sealed,
    /// The partition has gone on since it rested: what was taken of it is not its end.
    MovedOn {
        /// Number of its last record.
        number: CommitNumber,
        /// Generation of its last record.
        generation: Generation,
    },
}

/// Decides what is to be done to seal a partition that rests, from the last record of its subject. Like a takeover it is the
/// append that decides, so the read may be stale.
///
/// # Errors
/// If the last record is none of this life of the pipeline.
pub fn sealing(
    seal: &Seal,
    rest: &Rest,
    pipeline: Incarnation,
    last: Option<&StoredRecord>,
) -> Result<Sealing, Incident> {
    let Some(last) = last else { return Ok(Sealing::ReadAgain) };
    let record = decode(last, pipeline)?;
    let header = record.header;
    if header.number < rest.number {
        return Ok(Sealing::ReadAgain);
    }
    if record.slice.seal == Some(*seal) && header.prev_hash == rest.hash {
        return Ok(Sealing::Sealed);
    }
    let hash = hash_of(&last.message);
    if hash != rest.hash {
        return Ok(Sealing::MovedOn { number: header.number, generation: header.generation });
    }
    let message = behind(&record, hash, seal);
    Ok(Sealing::Append { message, expected: last.sequence })
}

/// The seal behind a record. It says of the partition what a takeover does.
fn behind(record: &CommitRecord, hash: CommitHash, seal: &Seal) -> Bytes {
    let header = CommitHeader {
        kind: CommitKind::Takeover,
        generation: Generation(record.header.generation.0 + 1),
        owner: seal.life,
        number: CommitNumber(record.header.number.0 + 1),
        prev_hash: hash,
        ..record.header
    };
    let slice = Slice {
        processing_time: record.slice.processing_time,
        watermark: record.slice.watermark,
        positions: record.slice.positions.clone(),
        upstream: record.slice.upstream.clone(),
        exchange: record.slice.exchange.as_ref().map(Exchange::repeated),
        seal: Some(*seal),
        ..Slice::default()
    };
    let mut message = Vec::new();
    encode(&header, &slice, &record.egress, Compression::Off, &mut message);
    message.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::SourceId;
    use crate::recovery::Chain;
    use crate::slice::{EgressCursor, SourcePosition};

    const PIPELINE: Incarnation = Incarnation(1);
    const SEAL: Seal = Seal { life: Incarnation(70), revision: 5 };

    fn record(number: u64, generation: u64, prev_hash: CommitHash) -> CommitRecord {
        let header = CommitHeader {
            kind: CommitKind::Takeover,
            generation: Generation(generation),
            owner: Incarnation(3),
            pipeline: PIPELINE,
            number: CommitNumber(number),
            prev_hash,
            module: [5; 32],
        };
        let positions = vec![SourcePosition::unread(SourceId(0))];
        let slice = Slice { processing_time: 9, watermark: 8, positions, ..Slice::default() };
        let egress = vec![EgressCursor { sink_sequence: Sequence(4), ..EgressCursor::default() }];
        CommitRecord { header, slice, egress }
    }

    fn stored(record: &CommitRecord, sequence: u64) -> StoredRecord {
        let mut message = Vec::new();
        record.encode(Compression::Off, &mut message);
        StoredRecord { sequence: Sequence(sequence), message: message.into() }
    }

    /// A record, and where a partition rests whose last one it is.
    fn resting() -> (CommitRecord, StoredRecord, Rest) {
        let last = record(7, 2, CommitHash([1; 32]));
        let stored = stored(&last, 30);
        let standing = record(8, 2, hash_of(&stored.message));
        let rest = Rest::of(&standing);
        assert_eq!(rest, Rest { number: CommitNumber(7), hash: hash_of(&stored.message) });
        (last, stored, rest)
    }

    fn seal(rest: &Rest, last: Option<&StoredRecord>) -> Sealing {
        sealing(&SEAL, rest, PIPELINE, last).unwrap()
    }

    #[test]
    fn a_seal_continues_the_record_at_which_a_partition_rests() {
        let (last, at_rest, rest) = resting();
        let Sealing::Append { message, expected } = seal(&rest, Some(&at_rest)) else {
            panic!("not sealed yet")
        };
        assert_eq!(expected, at_rest.sequence);
        assert_eq!(
            seal(&rest, Some(&at_rest)),
            Sealing::Append { message: message.clone(), expected }
        );
        let sealed = StoredRecord { sequence: Sequence(31), message };
        let mut chain = Chain::new(PIPELINE);
        chain.accept(&at_rest).unwrap();
        let (record, _) = chain.accept(&sealed).unwrap();
        assert_eq!(record.slice.seal, Some(SEAL));
        assert_eq!((record.header.generation, record.header.owner), (Generation(3), SEAL.life));
        assert_eq!(Slice { seal: None, ..record.slice }, last.slice);
        assert_eq!(record.egress, last.egress);
        assert_eq!(seal(&rest, Some(&sealed)), Sealing::Sealed);
    }

    #[test]
    fn who_has_gone_on_is_not_sealed() {
        let (_, at_rest, rest) = resting();
        let older = stored(&record(6, 2, CommitHash([2; 32])), 29);
        assert_eq!(seal(&rest, None), Sealing::ReadAgain);
        assert_eq!(seal(&rest, Some(&older)), Sealing::ReadAgain);
        let hash = hash_of(&at_rest.message);
        let moved = |number, generation| Sealing::MovedOn {
            number: CommitNumber(number),
            generation: Generation(generation),
        };
        // Another owner, the seal of another switch, and what came behind a seal that no longer holds.
        let takeover = stored(&record(8, 3, hash), 31);
        assert_eq!(seal(&rest, Some(&takeover)), moved(8, 3));
        let mut other = record(8, 3, hash);
        other.slice.seal = Some(Seal { revision: 4, ..SEAL });
        assert_eq!(seal(&rest, Some(&stored(&other, 31))), moved(8, 3));
        other.slice.seal = Some(SEAL);
        let later = stored(&record(9, 4, hash_of(&stored(&other, 31).message)), 32);
        assert_eq!(seal(&rest, Some(&later)), moved(9, 4));
        let foreign = sealing(&SEAL, &rest, Incarnation(2), Some(&at_rest));
        assert!(matches!(foreign, Err(Incident::ForeignPipeline { .. })), "{foreign:?}");
    }

    #[test]
    fn a_seal_holds_until_the_record_is_written_anew() {
        for (revision, holds) in [(0, true), (4, true), (5, true), (6, false), (9, false)] {
            assert_eq!(SEAL.holds_at(revision), holds, "{revision}");
        }
    }
}
