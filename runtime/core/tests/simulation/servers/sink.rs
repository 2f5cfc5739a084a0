//! A sink stream in memory with a duplicate window, which also takes batches with cursor records.

use std::collections::HashMap;

use bytes::Bytes;
use millstream_core::ids::Sequence;

#[derive(Clone, Debug)]
pub struct Message {
    pub id: String,
    pub key: Bytes,
    pub payload: Bytes,
}

/// A cursor record and its sequence among those of the sink.
pub type CursorEntry = (Sequence, Vec<u8>);

#[derive(Debug)]
pub struct Sink {
    pub messages: Vec<Message>,
    window_ms: i64,
    known: HashMap<String, (i64, Sequence)>,
    /// The cursor records of each stage's partitions in all lives, oldest first.
    records: HashMap<(usize, u16), Vec<CursorEntry>>,
    record_count: u64,
}

impl Sink {
    pub fn new(window_ms: i64) -> Self {
        Self {
            messages: Vec::new(),
            window_ms,
            known: HashMap::new(),
            records: HashMap::new(),
            record_count: 0,
        }
    }

    /// The sequence it has, and whether it had it before.
    pub fn publish(&mut self, now_ms: i64, message: Message) -> (Sequence, bool) {
        if let Some(&(at, sequence)) = self.known.get(&message.id)
            && now_ms - at < self.window_ms
        {
            return (sequence, true);
        }
        let sequence = Sequence(self.messages.len() as u64 + 1);
        self.known.insert(message.id.clone(), (now_ms, sequence));
        self.messages.push(message);
        (sequence, false)
    }

    /// Ids of the messages above a sequence.
    pub fn above(&self, sequence: Sequence) -> Vec<(String, Sequence)> {
        let messages = self.messages.iter().enumerate().skip(sequence.0 as usize);
        messages.map(|(i, message)| (message.id.clone(), Sequence(i as u64 + 1))).collect()
    }

    pub fn last(&self) -> Sequence {
        Sequence(self.messages.len() as u64)
    }

    /// Takes all messages or none: none if the subject's last cursor record is not the expected one.
    pub fn publish_batch(
        &mut self,
        subject: (usize, u16),
        messages: Vec<Message>,
        record: Vec<u8>,
        expected: Option<Sequence>,
    ) -> Option<Sequence> {
        let records = self.records.entry(subject).or_default();
        let last = records.last().map_or(Sequence(0), |(sequence, _)| *sequence);
        if expected.is_some_and(|expected| expected != last) {
            return None;
        }
        self.record_count += 1;
        let sequence = Sequence(self.record_count);
        records.push((sequence, record));
        self.messages.extend(messages);
        Some(sequence)
    }

    /// A subject's newest cursor record but some.
    pub fn record(&self, subject: (usize, u16), newer: usize) -> Option<CursorEntry> {
        self.records.get(&subject)?.iter().rev().nth(newer).cloned()
    }
}
