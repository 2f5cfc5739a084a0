//! A sink in memory.

use std::collections::VecDeque;

use bytes::Bytes;
use futures::future::BoxFuture;
use millstream_core::ids::Sequence;

use super::broker::{MemoryBroker, Message, Rejection};
use crate::egress::{
    Sink, SinkAck, SinkError, SinkFacts, SinkIds, SinkMessage, SinkOutcome, SinkReader,
};
use crate::{HeaderMap, HeaderValue};

/// What a stream is as a sink.
pub(super) fn facts(broker: &MemoryBroker, stream: &str) -> Result<SinkFacts, SinkError> {
    let facts = broker.with(stream, |found| SinkFacts {
        stream: stream.to_owned(),
        created_ns: found.created_ns(),
        duplicate_window_ns: found.options().duplicate_window_ns,
        message_bytes_max: found.options().message_bytes_max,
        allows_batches: false,
        last: found.last(),
    });
    facts.ok_or_else(|| SinkError::NoStream { subject: stream.to_owned() })
}

/// A sink in memory. What is sent is stored at once; its acknowledgement waits to be fetched.
pub struct MemorySink {
    broker: MemoryBroker,
    facts: SinkFacts,
    messages_max: usize,
    acks: VecDeque<SinkAck>,
}

impl MemorySink {
    /// Publishes to the subjects of a stream, at most `messages_max` in flight.
    pub fn open(
        broker: &MemoryBroker,
        stream: &str,
        messages_max: usize,
    ) -> Result<MemorySink, SinkError> {
        let facts = facts(broker, stream)?;
        Ok(MemorySink { broker: broker.clone(), facts, messages_max, acks: VecDeque::new() })
    }

    /// Loses the acknowledgements that were not fetched: what they are for becomes unknown.
    pub fn lose_acknowledgements(&mut self) {
        for ack in &mut self.acks {
            ack.outcome = SinkOutcome::Unknown;
        }
    }

    /// Sends at once.
    pub fn send_now(&mut self, message: &SinkMessage<'_>) -> Result<(), SinkError> {
        let bytes = message.payload.len();
        let mut headers = HeaderMap::new();
        for (name, value) in message.headers {
            headers.append(name.as_ref(), HeaderValue::from(value.as_ref()));
        }
        let published = self.broker.publish(Message {
            subject: message.subject.into(),
            expected_last: None,
            id: Some(Bytes::copy_from_slice(message.id.as_bytes())),
            headers: Some(headers),
            payload: Bytes::copy_from_slice(message.payload),
        });
        let refused = |code: u64, passing: bool, rejection: Rejection| SinkOutcome::Refused {
            passing,
            code,
            description: rejection.to_string(),
        };
        let outcome = match published {
            Ok(published) => {
                SinkOutcome::Stored { sequence: published.sequence, duplicate: published.duplicate }
            }
            Err(Rejection::TooLarge { bytes_max, .. }) => {
                return Err(SinkError::TooLarge {
                    subject: message.subject.to_string(),
                    bytes,
                    bytes_max,
                });
            }
            Err(rejection @ Rejection::NoStream) => refused(503, true, rejection),
            Err(rejection) => refused(10_077, true, rejection),
        };
        self.acks.push_back(SinkAck { ticket: message.ticket, outcome });
        Ok(())
    }
}

impl Sink for MemorySink {
    fn ready(&mut self) -> BoxFuture<'_, Result<(), SinkError>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn send(&mut self, message: &SinkMessage<'_>) -> Result<(), SinkError> {
        self.send_now(message)
    }

    fn has_room(&self) -> bool {
        self.acks.len() < self.messages_max
    }

    fn in_flight(&self) -> usize {
        self.acks.len()
    }

    fn acknowledged<'a>(&'a mut self, acks: &'a mut Vec<SinkAck>) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            if self.acks.is_empty() {
                return std::future::pending().await;
            }
            acks.extend(self.acks.drain(..));
        })
    }

    fn facts(&self) -> &SinkFacts {
        &self.facts
    }
}

/// Reads a sink stream in memory.
pub struct MemorySinkReader {
    broker: MemoryBroker,
    stream: String,
}

impl MemorySinkReader {
    /// Reads all records of a stream.
    pub fn new(broker: &MemoryBroker, stream: &str) -> MemorySinkReader {
        MemorySinkReader { broker: broker.clone(), stream: stream.to_owned() }
    }
}

impl SinkReader for MemorySinkReader {
    fn ids_after(&self, after: Sequence) -> BoxFuture<'_, Result<SinkIds, SinkError>> {
        Box::pin(async move {
            let found = self.broker.with(&self.stream, |stream| {
                let mut found = SinkIds { through: stream.last().max(after), ..SinkIds::default() };
                if stream.first().0 > after.0 + 1 {
                    found.gap = Some((Sequence(after.0 + 1), Sequence(stream.first().0 - 1)));
                }
                let mut next = after.0 + 1;
                while let Some(stored) = stream.next(next, &[]) {
                    next = stored.sequence.0 + 1;
                    found.ids.extend(stored.id.clone().map(|id| (stored.sequence, id)));
                }
                found
            });
            found.ok_or_else(|| SinkError::NoStream { subject: self.stream.clone() })
        })
    }
}
