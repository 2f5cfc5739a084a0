//! One stream in memory.

use std::collections::{BTreeMap, HashMap, VecDeque};

use bytes::Bytes;
use millstream_core::ids::Sequence;

use super::broker::{Message, Published, Rejection, Stored};
use super::subject::matches_any;

/// What a stream is made with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamOptions {
    /// What it captures: subjects, with wildcards.
    pub subjects: Vec<String>,
    /// How long message ids are remembered, in nanoseconds.
    pub duplicate_window_ns: i64,
    /// Limit of bytes; a message over it is refused.
    pub bytes_max: Option<u64>,
    /// Largest message in bytes.
    pub message_bytes_max: usize,
}

impl StreamOptions {
    /// Captures these subjects; the server's defaults: two minutes, no limit, 1 MiB.
    pub fn capture(subjects: &[&str]) -> StreamOptions {
        StreamOptions {
            subjects: subjects.iter().map(|subject| (*subject).to_owned()).collect(),
            duplicate_window_ns: 120_000_000_000,
            bytes_max: None,
            message_bytes_max: 1 << 20,
        }
    }
}

/// A stream.
pub(super) struct Stream {
    created_ns: i64,
    options: StreamOptions,
    first: u64,
    last: u64,
    bytes: u64,
    messages: BTreeMap<u64, Stored>,
    last_by_subject: HashMap<String, u64>,
    ids: HashMap<Bytes, u64>,
    /// Ids in the order they came, with their times.
    ids_by_age: VecDeque<(i64, Bytes)>,
}

impl Stream {
    pub fn new(created_ns: i64, options: StreamOptions) -> Stream {
        Stream {
            created_ns,
            options,
            first: 1,
            last: 0,
            bytes: 0,
            messages: BTreeMap::new(),
            last_by_subject: HashMap::new(),
            ids: HashMap::new(),
            ids_by_age: VecDeque::new(),
        }
    }

    pub fn options(&self) -> &StreamOptions {
        &self.options
    }

    pub fn created_ns(&self) -> i64 {
        self.created_ns
    }

    /// Oldest sequence kept; one more than the last when empty.
    pub fn first(&self) -> Sequence {
        Sequence(self.first)
    }

    pub fn last(&self) -> Sequence {
        Sequence(self.last)
    }

    pub fn len(&self) -> u64 {
        self.messages.len() as u64
    }

    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The checks in the server's order: size, id, expected sequence, limits.
    pub fn publish(&mut self, now_ns: i64, message: Message) -> Result<Published, Rejection> {
        self.check_size(&message)?;
        while let Some((time_ns, id)) = self.ids_by_age.front() {
            if now_ns - time_ns < self.options.duplicate_window_ns {
                break;
            }
            self.ids.remove(id);
            self.ids_by_age.pop_front();
        }
        if let Some(&sequence) = message.id.as_ref().and_then(|id| self.ids.get(id)) {
            return Ok(Published { sequence: Sequence(sequence), duplicate: true });
        }
        self.check_last(&message)?;
        self.bytes = self.check_room(message.payload.len())?;
        self.last += 1;
        self.last_by_subject.insert(message.subject.to_string(), self.last);
        if let Some(id) = &message.id {
            self.ids.insert(id.clone(), self.last);
            self.ids_by_age.push_back((now_ns, id.clone()));
        }
        let stored = Stored {
            sequence: Sequence(self.last),
            time_ns: now_ns,
            subject: message.subject,
            id: message.id,
            headers: message.headers,
            payload: message.payload,
        };
        self.messages.insert(self.last, stored);
        Ok(Published { sequence: Sequence(self.last), duplicate: false })
    }

    /// Takes all messages or none. The last one takes the place of its subject's last message.
    pub fn publish_batch(
        &mut self,
        now_ns: i64,
        messages: Vec<Message>,
    ) -> Result<Published, Rejection> {
        for message in &messages {
            self.check_size(message)?;
            self.check_last(message)?;
        }
        let bytes: usize = messages.iter().map(|message| message.payload.len()).sum();
        self.check_room(bytes)?;
        let replaced = messages.last().and_then(|last| last.expected_last);
        let mut published = Published { sequence: Sequence(self.last), duplicate: false };
        for message in messages {
            published = self.publish(now_ns, message)?;
        }
        if let Some(replaced) = replaced {
            self.delete(replaced.0);
        }
        Ok(published)
    }

    fn check_size(&self, message: &Message) -> Result<(), Rejection> {
        let (bytes, bytes_max) = (message.payload.len(), self.options.message_bytes_max);
        if bytes > bytes_max {
            return Err(Rejection::TooLarge { bytes, bytes_max });
        }
        Ok(())
    }

    fn check_last(&self, message: &Message) -> Result<(), Rejection> {
        let actual = self.last_by_subject.get(message.subject.as_str()).copied().unwrap_or(0);
        match message.expected_last {
            Some(expected) if actual != expected.0 => Err(Rejection::WrongLast { actual }),
            _ => Ok(()),
        }
    }

    /// The bytes that there are then.
    fn check_room(&self, bytes: usize) -> Result<u64, Rejection> {
        let total = self.bytes + bytes as u64;
        if self.options.bytes_max.is_some_and(|bytes_max| total > bytes_max) {
            return Err(Rejection::Full);
        }
        Ok(total)
    }

    pub fn get(&self, sequence: u64) -> Option<&Stored> {
        self.messages.get(&sequence)
    }

    pub fn last_of(&self, subject: &str) -> Option<&Stored> {
        self.messages.get(self.last_by_subject.get(subject)?)
    }

    /// The first message with a sequence of at least `from` that matches.
    pub fn next(&self, from: u64, filters: &[String]) -> Option<&Stored> {
        self.messages
            .range(from..)
            .map(|(_, stored)| stored)
            .find(|stored| matches_any(filters, &stored.subject))
    }

    /// Messages behind `position` that match.
    pub fn pending(&self, position: u64, filters: &[String]) -> u64 {
        let behind = self.messages.range(position + 1..);
        behind.filter(|(_, stored)| matches_any(filters, &stored.subject)).count() as u64
    }

    pub fn purge_below(&mut self, floor: u64) -> u64 {
        let kept = self.messages.split_off(&floor);
        let gone = std::mem::replace(&mut self.messages, kept);
        self.first = self.first.max(floor.min(self.last + 1));
        self.forget(gone)
    }

    pub fn delete(&mut self, sequence: u64) -> bool {
        let Some(stored) = self.messages.remove(&sequence) else { return false };
        self.forget(BTreeMap::from([(sequence, stored)]));
        if self.first == sequence {
            self.first = self.messages.keys().next().copied().unwrap_or(self.last + 1);
        }
        true
    }

    pub fn roll_back(&mut self, last: u64) {
        let gone = self.messages.split_off(&(last + 1));
        self.last = self.last.min(last);
        self.first = self.first.min(self.last + 1);
        self.forget(gone);
    }

    /// Brings totals and the last sequences in line with messages that are gone. The server too takes the
    /// newest message left of a subject for its last.
    fn forget(&mut self, gone: BTreeMap<u64, Stored>) -> u64 {
        let count = gone.len() as u64;
        for (sequence, stored) in gone {
            self.bytes -= stored.payload.len() as u64;
            let subject = stored.subject.as_str();
            if self.last_by_subject.get(subject) != Some(&sequence) {
                continue;
            }
            let left =
                self.messages.iter().rev().find(|(_, message)| message.subject.as_str() == subject);
            match left.map(|(&sequence, _)| sequence) {
                Some(left) => {
                    self.last_by_subject.insert(subject.to_owned(), left);
                }
                None => {
                    self.last_by_subject.remove(subject);
                }
            }
        }
        count
    }
}
