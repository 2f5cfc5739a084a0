//! A transactional sink in memory, with the faults a batch has.

use std::collections::VecDeque;

use bytes::Bytes;
use futures::future::BoxFuture;
use millstream_core::ids::Sequence;

use super::broker::{MemoryBroker, Message, Rejection};
use crate::egress::{BatchOutcome, SinkError, SinkFacts, SinkMessage, TransactionalSink};
use crate::{HeaderMap, HeaderValue, Subject};

/// What is to go wrong with a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchFault {
    /// It does not reach the broker; nobody knows.
    LoseBatch,
    /// It is handled, but the answer is lost; nobody knows.
    LoseReply,
}

/// A transactional sink in memory.
pub struct MemoryTransactionalSink {
    broker: MemoryBroker,
    facts: SinkFacts,
    cursor: Subject,
    batch: Vec<Message>,
    faults: VecDeque<Option<BatchFault>>,
}

impl MemoryTransactionalSink {
    /// Publishes to a stream, with cursor records on the subject `cursor`.
    pub fn open(
        broker: &MemoryBroker,
        stream: &str,
        cursor: &str,
    ) -> Result<MemoryTransactionalSink, SinkError> {
        let facts = super::sink::facts(broker, stream)?;
        let (broker, cursor) = (broker.clone(), cursor.into());
        Ok(MemoryTransactionalSink {
            broker,
            facts,
            cursor,
            batch: Vec::new(),
            faults: VecDeque::new(),
        })
    }

    /// What goes wrong with the next batches, one each; `None`: nothing.
    pub fn plan_faults(&mut self, faults: impl IntoIterator<Item = Option<BatchFault>>) {
        self.faults.extend(faults);
    }

    /// Begins at once.
    pub fn begin_now(&mut self) {
        self.batch.clear();
    }

    /// Commits at once.
    pub fn commit_now(&mut self, cursor: &[u8], expected: Sequence) -> BatchOutcome {
        let mut messages = std::mem::take(&mut self.batch);
        messages.push(Message {
            subject: self.cursor.clone(),
            expected_last: Some(expected),
            id: None,
            headers: None,
            payload: Bytes::copy_from_slice(cursor),
        });
        let fault = self.faults.pop_front().flatten();
        if fault == Some(BatchFault::LoseBatch) {
            return BatchOutcome::Unknown;
        }
        let published = self.broker.publish_batch(&self.facts.stream, messages);
        let refused = |passing, code, rejection: Rejection| BatchOutcome::Refused {
            passing,
            code,
            description: rejection.to_string(),
        };
        match published {
            _ if fault == Some(BatchFault::LoseReply) => BatchOutcome::Unknown,
            Ok(published) => BatchOutcome::Stored { sequence: published.sequence },
            Err(Rejection::WrongLast { .. }) => BatchOutcome::NotLast,
            Err(rejection @ Rejection::NoStream) => refused(true, 503, rejection),
            Err(rejection @ Rejection::Full) => refused(true, 10_077, rejection),
            Err(rejection @ Rejection::TooLarge { .. }) => refused(false, 10_054, rejection),
        }
    }

    /// The last cursor record and its sequence.
    pub fn last_cursor_now(&self) -> Result<Option<(Sequence, Bytes)>, SinkError> {
        let stream = &self.facts.stream;
        let last = self.broker.with(stream, |found| {
            found.last_of(&self.cursor).map(|last| (last.sequence, last.payload.clone()))
        });
        last.ok_or_else(|| SinkError::NoStream { subject: stream.clone() })
    }
}

impl TransactionalSink for MemoryTransactionalSink {
    fn begin(&mut self) -> BoxFuture<'_, Result<(), SinkError>> {
        self.begin_now();
        Box::pin(std::future::ready(Ok(())))
    }

    fn add(&mut self, message: &SinkMessage<'_>) -> Result<(), SinkError> {
        let (bytes, bytes_max) = (message.payload.len(), self.facts.message_bytes_max);
        if bytes > bytes_max {
            let subject = message.subject.to_owned();
            return Err(SinkError::TooLarge { subject, bytes, bytes_max });
        }
        let mut headers = HeaderMap::new();
        headers.insert("Millstream-Output", message.id);
        for (name, value) in message.headers {
            headers.append(name.as_ref(), HeaderValue::from(value.as_ref()));
        }
        self.batch.push(Message {
            subject: message.subject.into(),
            expected_last: None,
            id: None,
            headers: Some(headers),
            payload: Bytes::copy_from_slice(message.payload),
        });
        Ok(())
    }

    fn commit<'a>(
        &'a mut self,
        cursor: &'a [u8],
        expected: Sequence,
    ) -> BoxFuture<'a, BatchOutcome> {
        Box::pin(async move { self.commit_now(cursor, expected) })
    }

    fn last_cursor(&mut self) -> BoxFuture<'_, Result<Option<(Sequence, Bytes)>, SinkError>> {
        Box::pin(async move { self.last_cursor_now() })
    }

    fn facts(&self) -> &SinkFacts {
        &self.facts
    }
}
