//! The logs in memory: a subject per lane, appends with the
//! expected last sequence of the subject.

use std::collections::BTreeMap;
use std::ops::Range;

use bytes::Bytes;
use millstream_core::append::AppendReply;
use millstream_core::commit::{CommitHeader, decode_header_of};
use millstream_core::ids::{Generation, Sequence};
use millstream_core::recovery::StoredRecord;

#[derive(Debug, Default)]
pub struct Log {
    /// Per lane by sequence; purged ones are gone.
    records: BTreeMap<u16, BTreeMap<u64, Bytes>>,
    /// All that was ever accepted, per lane, for the audit.
    pub history: BTreeMap<u16, Vec<StoredRecord>>,
    newest: BTreeMap<u16, Generation>,
    last: u64,
    pub full: bool,
    pub no_expected_sequence: bool,
    /// Writes of a generation below the newest that were accepted.
    pub stale_writes: Vec<CommitHeader>,
}

impl Log {
    pub fn append(&mut self, lane: u16, message: &Bytes, expected: Sequence) -> AppendReply {
        let last = self.last_of(lane).map_or(Sequence(0), |last| last.sequence);
        if last != expected && !self.no_expected_sequence {
            return AppendReply::Refused;
        }
        if self.full {
            return AppendReply::Full;
        }
        let header = decode_header_of(message).expect("owners write commit records");
        let newest = self.newest.entry(lane).or_default();
        if header.generation < *newest {
            self.stale_writes.push(header);
        } else {
            *newest = header.generation;
        }
        self.last += 1;
        let sequence = Sequence(self.last);
        let history = self.history.entry(lane).or_default();
        history.push(StoredRecord { sequence, message: message.clone() });
        self.records.entry(lane).or_default().insert(self.last, message.clone());
        AppendReply::Acknowledged(sequence)
    }

    pub fn last_of(&self, lane: u16) -> Option<StoredRecord> {
        self.of(lane, Sequence(0)).next_back()
    }

    /// The record before the last one.
    pub fn last_but_one_of(&self, lane: u16) -> Option<StoredRecord> {
        self.of(lane, Sequence(0)).rev().nth(1)
    }

    pub fn at(&self, lane: u16, sequence: Sequence) -> Option<StoredRecord> {
        let message = self.records.get(&lane)?.get(&sequence.0)?;
        Some(StoredRecord { sequence, message: message.clone() })
    }

    pub fn from(&self, lane: u16, from: Sequence, limit: usize) -> Vec<StoredRecord> {
        self.of(lane, from).take(limit).collect()
    }

    /// Whether nothing of a lane was ever removed.
    pub fn is_whole(&self, lane: u16) -> bool {
        let first = self.history.get(&lane).and_then(|history| history.first());
        first.is_none_or(|first| self.at(lane, first.sequence).is_some())
    }

    /// Removes everything of some lanes below a sequence; whether there was something.
    pub fn purge(&mut self, lanes: Range<u16>, below: Sequence) -> bool {
        let mut removed = false;
        for (_, records) in self.records.range_mut(lanes) {
            let kept = records.split_off(&below.0);
            removed |= !records.is_empty();
            *records = kept;
        }
        removed
    }

    pub fn first(&self, lanes: Range<u16>) -> Sequence {
        let firsts = self.records.range(lanes).filter_map(|(_, records)| records.first_key_value());
        Sequence(firsts.map(|(&sequence, _)| sequence).min().unwrap_or(self.last + 1))
    }

    pub fn end(&self) -> Sequence {
        Sequence(self.last)
    }

    fn of(&self, lane: u16, from: Sequence) -> impl DoubleEndedIterator<Item = StoredRecord> + '_ {
        self.records.get(&lane).into_iter().flat_map(move |records| {
            records.range(from.0..).map(|(&sequence, message)| StoredRecord {
                sequence: Sequence(sequence),
                message: message.clone(),
            })
        })
    }
}
