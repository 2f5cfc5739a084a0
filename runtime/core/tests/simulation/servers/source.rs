//! The source stream in memory, read by consumers that are forgotten with the
//! broker and never acknowledged.

use std::collections::BTreeMap;

use millstream_core::ids::Sequence;
use millstream_core::source::{Delivery, StreamFacts};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub key: Vec<u8>,
    pub amount: u64,
    pub event_time: i64,
    pub time_ns: i64,
    /// The subject filter excludes it.
    pub excluded: bool,
}

#[derive(Debug)]
struct Consumer {
    next: u64,
    delivered: u64,
}

#[derive(Debug)]
pub struct Source {
    records: BTreeMap<u64, Record>,
    /// What was ever published, for the reference.
    pub history: Vec<(u64, Record)>,
    pub last: u64,
    pub created_ns: i64,
    consumers: BTreeMap<u64, Consumer>,
    next_consumer: u64,
}

/// What a pull answers.
#[derive(Clone, Debug)]
pub enum Pulled {
    Records {
        batch: Vec<(Delivery, Record)>,
        first: Sequence,
    },
    /// Nothing more; how many deliveries the consumer made, and the end of the stream.
    Nothing {
        delivered: u64,
        last: Sequence,
        first: Sequence,
    },
    NoConsumer,
}

impl Default for Source {
    fn default() -> Self {
        Self {
            records: BTreeMap::new(),
            history: Vec::new(),
            last: 0,
            created_ns: 77,
            consumers: BTreeMap::new(),
            next_consumer: 0,
        }
    }
}

impl Source {
    pub fn publish(&mut self, record: Record) {
        self.last += 1;
        self.history.push((self.last, record.clone()));
        self.records.insert(self.last, record);
    }

    pub fn facts(&self, at: Sequence) -> StreamFacts {
        StreamFacts {
            created_ns: self.created_ns,
            first: self.first(),
            last: Sequence(self.last),
            time_at_last_ns: self.records.get(&at.0).map(|record| record.time_ns),
        }
    }

    pub fn first(&self) -> Sequence {
        Sequence(self.records.first_key_value().map_or(self.last + 1, |(&sequence, _)| sequence))
    }

    pub fn make_consumer(&mut self, start: Sequence) -> u64 {
        self.next_consumer += 1;
        self.consumers.insert(self.next_consumer, Consumer { next: start.0, delivered: 0 });
        self.next_consumer
    }

    pub fn forget_consumers(&mut self) {
        self.consumers.clear();
    }

    pub fn pull(&mut self, consumer: u64, limit: usize) -> Pulled {
        let (first, last) = (self.first(), Sequence(self.last));
        let Some(consumer) = self.consumers.get_mut(&consumer) else { return Pulled::NoConsumer };
        let mut batch = Vec::new();
        for (&sequence, record) in
            self.records.range(consumer.next..).filter(|(_, r)| !r.excluded).take(limit)
        {
            consumer.delivered += 1;
            consumer.next = sequence + 1;
            let delivery = Delivery {
                consumer_sequence: consumer.delivered,
                stream_sequence: Sequence(sequence),
                time_ns: record.time_ns,
            };
            batch.push((delivery, record.clone()));
        }
        if batch.is_empty() {
            return Pulled::Nothing { delivered: consumer.delivered, last, first };
        }
        Pulled::Records { batch, first }
    }

    /// The consumer will deliver some of what it delivered again.
    pub fn rewind(&mut self, consumer: u64, by: u64) -> bool {
        match self.consumers.get_mut(&consumer) {
            Some(consumer) if consumer.next > 1 => {
                consumer.next = consumer.next.saturating_sub(by).max(1);
                true
            }
            _ => false,
        }
    }

    /// Removes all records below a sequence.
    pub fn purge(&mut self, below: u64) -> bool {
        let kept = self.records.split_off(&below);
        let removed = !self.records.is_empty();
        self.records = kept;
        removed
    }

    /// Another stream of the same name and length. What it holds was never published here.
    pub fn recreate(&mut self, now_ns: i64) {
        self.created_ns = now_ns;
        self.consumers.clear();
        for record in self.records.values_mut() {
            record.amount += 1000;
        }
    }

    /// An older copy, which got other records since. The creation time is the same.
    pub fn roll_back(&mut self, by: u64) {
        self.consumers.clear();
        for record in self.records.values_mut().rev().take(by as usize) {
            record.amount += 1000;
            record.time_ns += 1;
        }
    }
}
