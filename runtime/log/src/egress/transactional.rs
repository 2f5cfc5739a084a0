//! A transactional sink on JetStream: atomic batches (ADR-50, nats-server 2.12) over a line of its own.

use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use millstream_core::ids::Sequence;
use tokio::task::unconstrained;

use super::acks::{Answer, Answers};
use super::created::{CreatedStream, open_created_stream};
use super::facts::sink_error;
use super::jetstream::{is_sendable, is_subject};
use super::{BatchOutcome, SinkError, SinkFacts, SinkMessage, TransactionalSink};
use crate::api::{self, code};
use crate::connect::{Connection, chain};
use crate::line::{Line, encode};

/// Outputs of a batch, at most: the server takes 1,000 messages, and one is the cursor record.
pub const BATCH_OUTPUTS_MAX: usize = 999;
/// Time after which nobody knows what became of a batch. The server gives up one that is not complete after 10 s.
const ACK_TIMEOUT: Duration = Duration::from_secs(8);
/// The id of an output. Not `Nats-Msg-Id`: nothing is to be remembered of it.
const OUTPUT_HEADER: &str = "Millstream-Output";
const BATCH_ID: &str = "Nats-Batch-Id";
const BATCH_SEQUENCE: &str = "Nats-Batch-Sequence";
const BATCH_COMMIT: &str = "Nats-Batch-Commit";
const EXPECTED_LAST: &str = "Nats-Expected-Last-Subject-Sequence";
/// With the next two a subject holds its newest cursor record alone, and that one does not age.
const ROLLUP: &str = "Nats-Rollup";
const TTL: &str = "Nats-TTL";

/// A transactional sink on JetStream.
pub struct JetStreamTransactionalSink {
    connection: Connection,
    facts: SinkFacts,
    /// Subject of the cursor records.
    cursor: String,
    line: Option<Line>,
    /// Batches begun on the line.
    batches: u64,
    /// `Nats-Batch-Id` of the batch that is being made.
    id: String,
    /// Its messages so far.
    messages: u64,
    /// They, encoded.
    output: Vec<u8>,
    /// Number of a message in the batch; a buffer.
    number: Vec<u8>,
    answers: Answers,
}

impl JetStreamTransactionalSink {
    /// Checks the stream, and makes it if it is missing. The connection for publishing is made when it is needed. `cursor` is the
    /// subject of the cursor records of whoever publishes, see [`cursor_subject`](super::cursor_subject).
    pub async fn open(
        connection: &Connection,
        stream: &CreatedStream,
        cursor: String,
    ) -> Result<JetStreamTransactionalSink, SinkError> {
        let facts = open_created_stream(connection, stream).await?;
        Ok(JetStreamTransactionalSink {
            connection: connection.clone(),
            answers: Answers::of(&facts.stream),
            facts,
            cursor,
            line: None,
            batches: 0,
            id: String::new(),
            messages: 0,
            output: Vec::new(),
            number: Vec::new(),
        })
    }

    async fn begin(&mut self) -> Result<(), SinkError> {
        if self.line.as_ref().is_some_and(Line::is_lost) {
            self.line = None;
        }
        let line = match self.line.take() {
            Some(line) => line,
            None => {
                self.batches = 0;
                Line::open(&self.connection)
                    .await
                    .map_err(|error| SinkError::Unreachable { description: chain(&error) })?
            }
        };
        self.batches += 1;
        // An inbox is nobody else's, so neither is the batch.
        let inbox = line.inbox().rsplit('.').next().unwrap_or_default();
        self.id = format!("{inbox}-{}", self.batches);
        self.messages = 0;
        self.output.clear();
        self.line = Some(line);
        Ok(())
    }

    /// The number of the next message of the batch.
    fn set_number(&mut self) {
        self.messages += 1;
        self.number.clear();
        encode::number(&mut self.number, self.messages);
    }

    fn put(&mut self, message: &SinkMessage<'_>) -> Result<(), SinkError> {
        self.set_number();
        let more = message.headers.iter().map(|(name, value)| (name.as_ref(), value.as_bytes()));
        let headers = [
            (BATCH_ID, self.id.as_bytes()),
            (BATCH_SEQUENCE, &self.number[..]),
            (OUTPUT_HEADER, message.id.as_bytes()),
        ];
        let (route, headers) = ((message.subject, &b""[..]), headers.into_iter().chain(more));
        let bytes_max = self.facts.message_bytes_max;
        let put = append(&mut self.output, route, headers, message.payload, bytes_max);
        if put.is_err() {
            self.messages -= 1;
        }
        put
    }

    async fn publish(&mut self, cursor: &[u8], expected: Sequence) -> BatchOutcome {
        let expected = expected.0.to_string();
        let reply = match &self.line {
            Some(line) => format!("{}.{}", line.inbox(), self.batches),
            None => return BatchOutcome::Unknown,
        };
        self.set_number();
        let headers = [
            (BATCH_ID, self.id.as_bytes()),
            (BATCH_SEQUENCE, &self.number[..]),
            (EXPECTED_LAST, expected.as_bytes()),
            (ROLLUP, b"sub"),
            (TTL, b"never"),
            (BATCH_COMMIT, b"1"),
        ];
        let (route, bytes_max) =
            ((self.cursor.as_str(), reply.as_bytes()), self.facts.message_bytes_max);
        let put = append(&mut self.output, route, headers.into_iter(), cursor, bytes_max);
        if let Err(error) = put {
            let description = error.to_string();
            return BatchOutcome::Refused { passing: false, code: 0, description };
        }
        let (Some(line), mut output) = (&self.line, std::mem::take(&mut self.output)) else {
            return BatchOutcome::Unknown;
        };
        line.send(&mut output);
        self.output = output;
        let answer = unconstrained(poll_fn(|context| self.poll_answer(context)));
        match tokio::time::timeout(ACK_TIMEOUT, answer).await {
            Ok(Some(answer)) => outcome(answer),
            Ok(None) | Err(_) => {
                tracing::warn!(stream = %self.facts.stream, "sink connection given up with a batch under way");
                self.line = None;
                BatchOutcome::Unknown
            }
        }
    }

    /// The answer to the batch that was sent last; none: the line is lost.
    fn poll_answer(&mut self, context: &mut Context<'_>) -> Poll<Option<Answer>> {
        let Some(line) = &mut self.line else { return Poll::Ready(None) };
        loop {
            match line.poll_next(context) {
                Poll::Ready(Some(message)) if message.token() == Some(self.batches) => {
                    let answer = self.answers.read(message.headers(), message.payload());
                    return Poll::Ready(Some(answer));
                }
                Poll::Ready(Some(_)) => {}
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

/// Appends a message to `out`, unless it cannot be sent or is larger than `bytes_max`.
fn append<'a>(
    out: &mut Vec<u8>,
    (subject, reply): (&str, &[u8]),
    headers: impl Iterator<Item = (&'a str, &'a [u8])> + Clone,
    payload: &[u8],
    bytes_max: usize,
) -> Result<(), SinkError> {
    if let Some((name, _)) = headers.clone().find(|(name, value)| !is_sendable(name, value)) {
        let (subject, name) = (subject.to_owned(), name.to_owned());
        return Err(SinkError::Header { subject, name });
    }
    if !is_subject(subject) {
        return Err(SinkError::Subject { subject: subject.to_owned() });
    }
    // What the server counts against its limit.
    let bytes = encode::header_bytes(headers.clone()) + payload.len();
    if bytes > bytes_max {
        return Err(SinkError::TooLarge { subject: subject.to_owned(), bytes, bytes_max });
    }
    encode::publish_with_headers(out, subject, reply, headers, payload);
    Ok(())
}

fn outcome(answer: Answer) -> BatchOutcome {
    match answer {
        Answer::Stored { sequence, .. } => BatchOutcome::Stored { sequence },
        Answer::Refused(refused) => match refused.code {
            code::WRONG_LAST_SEQUENCE
            | code::WRONG_LAST_SEQUENCE_IN_FLIGHT
            | code::LAST_SEQUENCE_NOT_READY => BatchOutcome::NotLast,
            code => BatchOutcome::Refused {
                // Too many batches at once, or a leader that has not seen its beginning.
                passing: refused.passing || code == code::BATCH_INCOMPLETE,
                code,
                description: refused.description,
            },
        },
    }
}

impl TransactionalSink for JetStreamTransactionalSink {
    fn begin(&mut self) -> BoxFuture<'_, Result<(), SinkError>> {
        Box::pin(self.begin())
    }

    fn add(&mut self, message: &SinkMessage<'_>) -> Result<(), SinkError> {
        self.put(message)
    }

    fn commit<'a>(
        &'a mut self,
        cursor: &'a [u8],
        expected: Sequence,
    ) -> BoxFuture<'a, BatchOutcome> {
        Box::pin(self.publish(cursor, expected))
    }

    fn last_cursor(&mut self) -> BoxFuture<'_, Result<Option<(Sequence, Bytes)>, SinkError>> {
        Box::pin(async move {
            let stream = &self.facts.stream;
            let message = api::last_message(&self.connection, stream, &self.cursor).await;
            let message =
                message.map_err(|error| sink_error(stream, "get the cursor record", error))?;
            Ok(message.map(|message| (Sequence(message.sequence), message.payload)))
        })
    }

    fn facts(&self) -> &SinkFacts {
        &self.facts
    }
}
