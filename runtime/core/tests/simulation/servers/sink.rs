//! A sink stream in memory with a duplicate window.

use std::collections::HashMap;

use bytes::Bytes;
use millstream_core::ids::Sequence;

#[derive(Clone, Debug)]
pub struct Message {
    pub id: String,
    pub key: Bytes,
    pub payload: Bytes,
}

#[derive(Debug)]
pub struct Sink {
    pub messages: Vec<Message>,
    window_ms: i64,
    known: HashMap<String, (i64, Sequence)>,
}

impl Sink {
    pub fn new(window_ms: i64) -> Self {
        Self { messages: Vec::new(), window_ms, known: HashMap::new() }
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
}
