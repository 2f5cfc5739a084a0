//! Reading the messages of one subject, a partition's records or an object's pieces: batches of direct gets, each checked for
//! holes.
//!
//! A batch names in every message the sequence before it, so a lost message shows. A direct get may be
//! answered by a follower that has not applied the newest records yet; what it lacks at the
//! end is asked of the leader.

use async_nats::{HeaderMap, Message, StatusCode, Subscriber, header};
use futures::StreamExt;
use millstream_core::ids::Sequence;
use serde::Serialize;
use tokio::sync::watch;

use crate::api::{self, MessageRequest, nanoseconds};
use crate::commit_log::{Entry, LogError, log_error};
use crate::connect::{Connection, REQUEST_TIMEOUT};

/// Records of one batch. They wait in memory until they are taken.
const BATCH_RECORDS: u64 = 1_000;
/// Bytes of one batch; the last record may go over it.
const BATCH_BYTES: u64 = 8 << 20;
/// Batches that may fail in a row.
const FAILURES_MAX: u32 = 5;

/// End of a batch.
const END_OF_BATCH: u16 = 204;
/// Header: how many records of the filter follow.
const NUM_PENDING: &str = "Nats-Num-Pending";

/// A read under way.
pub(crate) struct Reading<'a> {
    connection: &'a Connection,
    stream: &'a str,
    subject: String,
    from: Sequence,
    /// Asked for next.
    next: Sequence,
    through: Sequence,
    losses: watch::Receiver<u64>,
    batch: Option<Batch>,
    failures: u32,
}

struct Batch {
    messages: Subscriber,
    /// The sequence the next message must name as the one before it; 0 for the first.
    previous: u64,
}

#[derive(Serialize)]
struct BatchRequest<'a> {
    seq: u64,
    next_by_subj: &'a str,
    batch: u64,
    max_bytes: u64,
}

/// What one message of a batch is.
enum Step {
    Record(Entry),
    /// The batch is over; so many records follow.
    End {
        pending: u64,
    },
    /// There is nothing at or behind the sequence asked for.
    Nothing,
    /// The batch is broken: lost connection, lost message, no answer.
    Broken,
}

impl<'a> Reading<'a> {
    /// Of the messages from one sequence on through another, which is one of the subject's.
    pub fn new(
        connection: &'a Connection,
        stream: &'a str,
        subject: String,
        from: Sequence,
        through: Sequence,
    ) -> Reading<'a> {
        Reading {
            connection,
            stream,
            subject,
            from,
            // A sequence of 0 is not one.
            next: Sequence(from.0.max(1)),
            through,
            losses: connection.losses.clone(),
            batch: None,
            failures: 0,
        }
    }

    /// The next record; `None` behind the last.
    pub async fn next(&mut self) -> Result<Option<Entry>, LogError> {
        while self.next <= self.through {
            let batch = match self.batch.take() {
                Some(batch) => batch,
                None => self.request().await?,
            };
            match self.step(batch).await {
                Step::Record(entry) => {
                    self.failures = 0;
                    self.next = Sequence(entry.sequence.0 + 1);
                    // `through` is one of this subject's records: a later one means that it is gone.
                    return if entry.sequence <= self.through {
                        Ok(Some(entry))
                    } else {
                        Err(self.incomplete())
                    };
                }
                Step::End { pending } if pending > 0 => {}
                Step::End { .. } | Step::Nothing => return self.ask_leader().await.map(Some),
                Step::Broken => {
                    self.failures += 1;
                    if self.failures == FAILURES_MAX {
                        return Err(LogError::TimedOut {
                            request: "a batch of records",
                            after_ms: TIMEOUT_MS,
                        });
                    }
                }
            }
        }
        Ok(None)
    }

    async fn request(&mut self) -> Result<Batch, LogError> {
        let client = &self.connection.client;
        let failed = |description: String| LogError::Broker {
            request: "a batch of records",
            code: 0,
            description,
        };
        self.losses.mark_unchanged();
        let inbox = client.new_inbox();
        let messages =
            client.subscribe(inbox.clone()).await.map_err(|error| failed(error.to_string()))?;
        let request = BatchRequest {
            seq: self.next.0,
            next_by_subj: &self.subject,
            batch: BATCH_RECORDS,
            max_bytes: BATCH_BYTES,
        };
        let body = serde_json::to_vec(&request).map_err(|error| failed(error.to_string()))?;
        let subject = self.connection.api_subject(&format!("DIRECT.GET.{}", self.stream));
        client
            .publish_with_reply(subject, inbox, body.into())
            .await
            .map_err(|error| failed(error.to_string()))?;
        Ok(Batch { messages, previous: 0 })
    }

    /// Takes one message of the batch; keeps the batch if it goes on.
    async fn step(&mut self, mut batch: Batch) -> Step {
        let message = tokio::select! {
            biased;
            message = tokio::time::timeout(REQUEST_TIMEOUT, batch.messages.next()) => message,
            Ok(()) = self.losses.changed() => return Step::Broken,
        };
        let Ok(Some(message)) = message else { return Step::Broken };
        match message.status {
            None | Some(StatusCode::OK) => {}
            Some(StatusCode::NOT_FOUND) => return Step::Nothing,
            Some(status) if status.as_u16() == END_OF_BATCH => {
                let number =
                    |name| message.headers.as_ref().and_then(|headers| number(headers, name));
                return match (number(NUM_PENDING), number(header::NATS_LAST_SEQUENCE.as_ref())) {
                    (Some(pending), Some(last)) if last == batch.previous => Step::End { pending },
                    _ => Step::Broken,
                };
            }
            Some(_) => return Step::Broken,
        }
        match record(message, batch.previous) {
            Some(entry) => {
                batch.previous = entry.sequence.0;
                self.batch = Some(batch);
                Step::Record(entry)
            }
            None => Step::Broken,
        }
    }

    /// The next record as the leader has it.
    #[cold]
    async fn ask_leader(&mut self) -> Result<Entry, LogError> {
        let request = MessageRequest {
            sequence: Some(self.next.0),
            next_by_subject: Some(&self.subject),
            ..MessageRequest::default()
        };
        let message = api::leader_message(self.connection, self.stream, &request)
            .await
            .map_err(|error| log_error(self.stream, "get a record", error))?;
        match message.map(Entry::from) {
            Some(entry) if entry.sequence <= self.through => {
                self.next = Sequence(entry.sequence.0 + 1);
                Ok(entry)
            }
            _ => Err(self.incomplete()),
        }
    }

    fn incomplete(&self) -> LogError {
        LogError::Incomplete {
            subject: self.subject.clone(),
            from: self.from.0,
            through: self.through.0,
            missing: self.through.0,
        }
    }
}

/// How long a batch's next message may take.
const TIMEOUT_MS: u64 = REQUEST_TIMEOUT.as_millis() as u64;

/// The record in a message, if the message follows the previous one of its batch.
fn record(message: Message, previous: u64) -> Option<Entry> {
    let headers = message.headers.as_ref()?;
    if number(headers, header::NATS_LAST_SEQUENCE.as_ref())? != previous {
        return None;
    }
    let sequence = number(headers, header::NATS_SEQUENCE.as_ref())?;
    let time = headers.get(header::NATS_TIME_STAMP)?;
    let time = async_nats::datetime::parse_rfc3339(time.as_str()).ok()?;
    Some(Entry { sequence: Sequence(sequence), time_ns: nanoseconds(time), bytes: message.payload })
}

fn number(headers: &HeaderMap, name: &str) -> Option<u64> {
    headers.get(name)?.as_str().parse().ok()
}
