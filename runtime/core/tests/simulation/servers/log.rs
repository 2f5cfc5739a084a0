//! The log in memory: one stream, a subject per partition, appends with the
//! expected last sequence of the subject.

use std::collections::BTreeMap;

use bytes::Bytes;
use millstream_core::append::AppendReply;
use millstream_core::commit::{CommitHeader, decode_header_of};
use millstream_core::ids::Sequence;
use millstream_core::recovery::StoredRecord;

#[derive(Debug, Default)]
pub struct Log {
    /// By sequence; purged ones are gone.
    records: BTreeMap<u64, (u16, Bytes)>,
    /// All that was ever accepted, per partition, for the audit.
    pub history: BTreeMap<u16, Vec<StoredRecord>>,
    last: u64,
    pub full: bool,
    pub no_expected_sequence: bool,
    /// Writes of a generation below the newest that were accepted.
    pub stale_writes: Vec<CommitHeader>,
}

impl Log {
    pub fn append(&mut self, partition: u16, message: &Bytes, expected: Sequence) -> AppendReply {
        let last = self.last_of(partition).map_or(Sequence(0), |last| last.sequence);
        if last != expected && !self.no_expected_sequence {
            return AppendReply::Refused;
        }
        if self.full {
            return AppendReply::Full;
        }
        let header = decode_header_of(message).expect("owners write commit records");
        let history = self.history.entry(partition).or_default();
        let newest = history.iter().filter_map(|stored| decode_header_of(&stored.message).ok());
        if newest.last().is_some_and(|newest| header.generation < newest.generation) {
            self.stale_writes.push(header);
        }
        self.last += 1;
        let sequence = Sequence(self.last);
        history.push(StoredRecord { sequence, message: message.clone() });
        self.records.insert(self.last, (partition, message.clone()));
        AppendReply::Acknowledged(sequence)
    }

    pub fn last_of(&self, partition: u16) -> Option<StoredRecord> {
        self.of(partition).next_back()
    }

    /// The record before the last one.
    pub fn last_but_one_of(&self, partition: u16) -> Option<StoredRecord> {
        self.of(partition).rev().nth(1)
    }

    pub fn at(&self, partition: u16, sequence: Sequence) -> Option<StoredRecord> {
        let (of, message) = self.records.get(&sequence.0)?;
        (*of == partition).then(|| StoredRecord { sequence, message: message.clone() })
    }

    pub fn from(&self, partition: u16, from: Sequence, limit: usize) -> Vec<StoredRecord> {
        self.of(partition).filter(|record| record.sequence >= from).take(limit).collect()
    }

    /// Removes everything below a sequence; whether there was something.
    pub fn purge(&mut self, below: Sequence) -> bool {
        let kept = self.records.split_off(&below.0);
        let removed = !self.records.is_empty();
        self.records = kept;
        removed
    }

    pub fn first(&self) -> Sequence {
        Sequence(self.records.first_key_value().map_or(self.last + 1, |(&sequence, _)| sequence))
    }

    pub fn end(&self) -> Sequence {
        Sequence(self.last)
    }

    fn of(&self, partition: u16) -> impl DoubleEndedIterator<Item = StoredRecord> + '_ {
        self.records.iter().filter(move |(_, (of, _))| *of == partition).map(
            |(&sequence, (_, message))| StoredRecord {
                sequence: Sequence(sequence),
                message: message.clone(),
            },
        )
    }
}
