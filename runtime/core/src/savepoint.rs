//! Savepoints: what one says of a stage besides its state, and the record with which a partition begins that goes on
//! from one.
//!
//! At a barrier all partitions of a stage stand at the same place in every input: sources are read up to a common
//! sequence, and what other stages have emitted is merged up to a common frontier. That place depends on the number of
//! partitions neither of the stage nor of those that feed it, so a stage may go on with any other number.
//!
//! A new life begins with a *seed*: a takeover with the number [`SEED_NUMBER`], which is the first record of the partition's
//! log. Who takes the partition over finds a log that does not begin with the first commit, and restores a checkpoint; that of
//! the seed is stored before the pipeline may run. So a partition that goes on from a savepoint recovers as any other does.

use bytes::Bytes;

use crate::commit::{CommitHeader, CommitKind, CommitRecord, Compression, encode};
use crate::exchange::{Exchange, Place, UpstreamPosition};
use crate::ids::{CommitHash, CommitNumber, Generation, Incarnation, Sequence, SourceId};
use crate::slice::{Slice, SourcePosition};

/// Number of a seed: not that of a first commit, so that nobody takes the log's beginning for that of the pipeline.
pub const SEED_NUMBER: CommitNumber = CommitNumber(2);

/// Why records of a stage's partitions are not of one barrier.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Uneven {
    /// There are no records.
    #[error("a savepoint of a stage without partitions")]
    Empty,
    /// Two partitions stand at different places.
    #[error("partition {partition} is at {found} of input {}, partition 0 at {expected}", .source_id.0)]
    Source {
        /// Which partition.
        partition: usize,
        /// Which input.
        source_id: SourceId,
        /// Where it is.
        found: u64,
        /// Where the first one is.
        expected: u64,
    },
    /// Two partitions know different inputs.
    #[error("partition {partition} has {found} inputs, partition 0 has {expected}")]
    Inputs {
        /// Which partition.
        partition: usize,
        /// How many it has.
        found: usize,
        /// How many the first one has.
        expected: usize,
    },
}

/// Where all partitions of a stage stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Barrier {
    /// The latest processing time of any of them, milliseconds since 1970 UTC.
    pub processing_time: i64,
    /// The watermark up to which all have fired their timers, milliseconds.
    pub watermark: i64,
    /// One per input.
    pub positions: Vec<SourcePosition>,
    /// Hash of the first one's last record.
    pub hash: CommitHash,
    /// What the stage tells those that read it; none if there are none.
    exchange: Option<Exchange>,
}

impl Barrier {
    /// Where the partitions stand that these records are of, one each, in their order.
    pub fn of(records: &[CommitRecord]) -> Result<Self, Uneven> {
        let (first, others) = records.split_first().ok_or(Uneven::Empty)?;
        let slice = &first.slice;
        let mut barrier = Self {
            processing_time: slice.processing_time,
            watermark: slice.watermark,
            positions: slice.positions.clone(),
            hash: first.header.prev_hash,
            exchange: slice.exchange.as_ref().map(Exchange::repeated),
        };
        for (partition, record) in (1..).zip(others) {
            barrier.meet(partition, &record.slice)?;
        }
        Ok(barrier)
    }

    fn meet(&mut self, partition: usize, slice: &Slice) -> Result<(), Uneven> {
        let (expected, found) = (self.positions.len(), slice.positions.len());
        if expected != found {
            return Err(Uneven::Inputs { partition, found, expected });
        }
        for (own, other) in self.positions.iter_mut().zip(&slice.positions) {
            let of =
                |p: &SourcePosition| (p.source, p.sequence, p.stream_created_ns, p.max_event_time);
            if of(own) != of(other) {
                let (expected, found) = (own.sequence.0, other.sequence.0);
                return Err(Uneven::Source { partition, source_id: own.source, found, expected });
            }
            own.idle &= other.idle;
        }
        self.processing_time = self.processing_time.max(slice.processing_time);
        self.watermark = self.watermark.min(slice.watermark);
        if let (Some(own), Some(other)) = (&mut self.exchange, &slice.exchange) {
            own.frontier = own.frontier.min(other.frontier);
            own.idle &= other.idle;
        }
        Ok(())
    }
}

/// Who begins with a seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seeded {
    /// The new life of the pipeline.
    pub pipeline: Incarnation,
    /// Random, as any owner's.
    pub owner: Incarnation,
    /// SHA-256 of the module that goes on.
    pub module: [u8; 32],
}

/// All outputs of another stage's partitions, whose seeds have these sequences, are applied: of what they emit from now on
/// nothing is.
pub fn behind_seeds(
    source: SourceId,
    seeds: &[Sequence],
) -> impl Iterator<Item = UpstreamPosition> {
    (0..).zip(seeds).map(move |(partition, &commit)| {
        let place = Place { commit, outputs: u32::MAX };
        UpstreamPosition { source, partition, done: place, anchor: place }
    })
}

/// The first record of a partition that goes on from a barrier, and its hash. `positions` and `upstream` are those of the
/// barrier as the new life counts inputs and partitions.
pub fn seed(
    barrier: &Barrier,
    seeded: &Seeded,
    positions: Vec<SourcePosition>,
    upstream: Vec<UpstreamPosition>,
) -> (Bytes, CommitHash) {
    let header = CommitHeader {
        kind: CommitKind::Takeover,
        generation: Generation(1),
        owner: seeded.owner,
        pipeline: seeded.pipeline,
        number: SEED_NUMBER,
        prev_hash: barrier.hash,
        module: seeded.module,
    };
    let slice = Slice {
        processing_time: barrier.processing_time,
        watermark: barrier.watermark,
        positions,
        upstream,
        exchange: barrier.exchange.clone(),
        ..Slice::default()
    };
    let mut message = Vec::new();
    let hash = encode(&header, &slice, &[], Compression::Off, &mut message);
    (message.into(), hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(sequence: u64, watermark: i64, processing_time: i64) -> CommitRecord {
        let header = CommitHeader {
            kind: CommitKind::Takeover,
            generation: Generation(3),
            owner: Incarnation(1),
            pipeline: Incarnation(2),
            number: CommitNumber(9),
            prev_hash: CommitHash([7; 32]),
            module: [5; 32],
        };
        let position = SourcePosition {
            sequence: Sequence(sequence),
            max_event_time: 40,
            ..SourcePosition::unread(SourceId(0))
        };
        let exchange = Exchange { frontier: watermark, ..Exchange::default() };
        let slice = Slice {
            processing_time,
            watermark,
            positions: vec![position],
            exchange: Some(exchange),
            ..Slice::default()
        };
        CommitRecord { header, slice, egress: Vec::new() }
    }

    #[test]
    fn a_barrier_is_where_all_stand() {
        let barrier = Barrier::of(&[record(8, 30, 100), record(8, 29, 120)]).unwrap();
        assert_eq!((barrier.processing_time, barrier.watermark), (120, 29));
        assert_eq!(barrier.exchange.as_ref().map(|e| e.frontier), Some(29));
        let uneven = Barrier::of(&[record(8, 30, 100), record(9, 30, 100)]).unwrap_err();
        assert_eq!(uneven.to_string(), "partition 1 is at 9 of input 0, partition 0 at 8");
        assert_eq!(Barrier::of(&[]), Err(Uneven::Empty));
    }

    #[test]
    fn a_seed_says_where_its_partition_goes_on() {
        let barrier = Barrier::of(&[record(8, 30, 100)]).unwrap();
        let seeded = Seeded { pipeline: Incarnation(20), owner: Incarnation(21), module: [6; 32] };
        let upstream: Vec<_> = behind_seeds(SourceId(1), &[Sequence(4), Sequence(5)]).collect();
        let (message, hash) = seed(&barrier, &seeded, barrier.positions.clone(), upstream.clone());
        assert_eq!(crate::commit::hash_of(&message), hash);
        let record = CommitRecord::decode(&message).unwrap();
        assert_eq!(record.header.number, SEED_NUMBER);
        assert_eq!((record.header.pipeline, record.header.module), (Incarnation(20), [6; 32]));
        assert_eq!(record.slice.positions, barrier.positions);
        assert_eq!(record.slice.upstream, upstream);
        assert!(record.egress.is_empty());
    }
}
