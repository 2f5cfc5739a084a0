//! A sink on JetStream: plain publishes with message ids over a connection of its own.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use async_nats::{HeaderMap, HeaderValue, Message, StatusCode, Subscriber, header};
use futures::Stream;
use futures::future::BoxFuture;
use millstream_core::ids::Sequence;
use serde::Deserialize;
use tokio::sync::watch;
use tokio::task::unconstrained;
use tokio::time::Instant;

use super::facts::facts;
use super::{CAUSE_HEADER, Sink, SinkAck, SinkError, SinkFacts, SinkMessage, SinkOutcome};
use crate::api::{ServerErrorBody, code};
use crate::connect::{Connection, chain, connect_once};

/// How long an acknowledgement may take before everything in flight counts as unknown.
const ACK_TIMEOUT: Duration = Duration::from_secs(5);
/// Error code: a message of the same id is being stored ("duplicate message id is in process").
const DUPLICATE_IN_PROCESS: u64 = 10158;

/// How much may be in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SinkWindow {
    /// Messages.
    pub messages: usize,
    /// Bytes of payloads and headers; one message always fits.
    pub bytes: usize,
}

impl Default for SinkWindow {
    /// 4,096 messages, 16 MiB.
    fn default() -> SinkWindow {
        SinkWindow { messages: 4_096, bytes: 16 << 20 }
    }
}

/// A sink on JetStream.
pub struct JetStreamSink {
    connection: Connection,
    facts: SinkFacts,
    window: SinkWindow,
    line: Option<Line>,
    /// What was sent, oldest first; the first one has the number `first`.
    sent: VecDeque<Sent>,
    first: u64,
    unacknowledged: usize,
    bytes: usize,
}

/// The connection and where its acknowledgements arrive.
struct Line {
    client: async_nats::Client,
    lost: watch::Receiver<bool>,
    inbox: String,
    replies: Subscriber,
}

struct Sent {
    ticket: u64,
    bytes: usize,
    at: Instant,
    done: bool,
}

/// An acknowledgement or an error.
#[derive(Deserialize)]
struct Reply<'a> {
    #[serde(borrow, default)]
    stream: Cow<'a, str>,
    #[serde(default)]
    seq: u64,
    #[serde(default)]
    duplicate: bool,
    error: Option<ServerErrorBody>,
}

impl JetStreamSink {
    /// Checks the stream. The connection for publishing is made with the first message.
    pub async fn open(
        connection: &Connection,
        stream: &str,
        window: SinkWindow,
    ) -> Result<JetStreamSink, SinkError> {
        let facts = facts(connection, stream).await?;
        Ok(JetStreamSink {
            connection: connection.clone(),
            facts,
            window,
            line: None,
            sent: VecDeque::new(),
            first: 0,
            unacknowledged: 0,
            bytes: 0,
        })
    }

    #[cold]
    async fn connect(&self) -> Result<Line, SinkError> {
        let unreachable = |description: String| SinkError::Unreachable { description };
        // Room for everything that may be in flight: a publish never waits.
        let capacity = self.window.messages + 64;
        let (client, lost) = connect_once(self.connection.options(), capacity)
            .await
            .map_err(|error| unreachable(chain(&error)))?;
        let inbox = client.new_inbox();
        let replies = client
            .subscribe(format!("{inbox}.*"))
            .await
            .map_err(|error| unreachable(error.to_string()))?;
        Ok(Line { client, lost, inbox, replies })
    }

    /// The headers of a message; an error when something in them cannot be sent.
    fn headers(message: &SinkMessage) -> Result<HeaderMap, SinkError> {
        let refuse = |name: &str| SinkError::Header {
            subject: message.subject.to_string(),
            name: name.to_owned(),
        };
        let value = |name: &str, text: &[u8]| match std::str::from_utf8(text) {
            // What comes from other records' headers may hold tabs and the like; only the end of a line ends a value.
            Ok(text) if !text.contains(['\r', '\n', '\0']) => Ok(HeaderValue::from(text)),
            _ => Err(refuse(name)),
        };
        let mut headers = HeaderMap::new();
        headers.insert(header::NATS_MESSAGE_ID, value("Nats-Msg-Id", &message.id)?);
        if !message.cause.is_empty() {
            headers.insert(CAUSE_HEADER, value(CAUSE_HEADER, &message.cause)?);
        }
        for (name, text) in &message.headers {
            let known: Result<async_nats::HeaderName, _> = name.parse();
            headers.append(known.map_err(|_| refuse(name))?, value(name, text.as_bytes())?);
        }
        Ok(headers)
    }

    async fn publish(&mut self, message: SinkMessage) -> Result<(), SinkError> {
        let bytes = wire_bytes(&message);
        if bytes > self.facts.message_bytes_max {
            return Err(SinkError::TooLarge {
                subject: message.subject.to_string(),
                bytes,
                bytes_max: self.facts.message_bytes_max,
            });
        }
        let headers = Self::headers(&message)?;
        if self.line.is_none() {
            self.line = Some(self.connect().await?);
        }
        let Some(line) = &self.line else { return Ok(()) };
        let number = self.first + self.sent.len() as u64;
        let reply = format!("{}.{number}", line.inbox);
        // Ready at once, since the queue has room. A failure means that the connection is gone, which the
        // next look at it reports as unknown.
        let publish = line.client.publish_with_reply_and_headers(
            message.subject,
            reply,
            headers,
            message.payload,
        );
        let _ = unconstrained(publish).await;
        self.sent.push_back(Sent {
            ticket: message.ticket,
            bytes,
            at: Instant::now(),
            done: false,
        });
        self.unacknowledged += 1;
        self.bytes += bytes;
        Ok(())
    }

    /// Takes what has arrived.
    fn take(&mut self, acks: &mut Vec<SinkAck>, context: &mut Context<'_>) -> Poll<()> {
        let before = acks.len();
        let Some(line) = &mut self.line else { return Poll::Ready(()) };
        // Borrowed apart from the line.
        let (sent, first) = (&mut self.sent, self.first);
        let mut ended = false;
        loop {
            match Pin::new(&mut line.replies).poll_next(context) {
                Poll::Ready(Some(message)) => {
                    let number = message
                        .subject
                        .rsplit('.')
                        .next()
                        .and_then(|number| number.parse::<u64>().ok());
                    let place =
                        number.and_then(|number| usize::try_from(number.checked_sub(first)?).ok());
                    let Some(place) = place.and_then(|place| sent.get_mut(place)) else { continue };
                    if place.done {
                        continue;
                    }
                    place.done = true;
                    self.unacknowledged -= 1;
                    self.bytes -= place.bytes;
                    acks.push(SinkAck {
                        ticket: place.ticket,
                        outcome: outcome(&message, &self.facts.stream),
                    });
                }
                Poll::Ready(None) => {
                    ended = true;
                    break;
                }
                Poll::Pending => break,
            }
        }
        while self.sent.front().is_some_and(|sent| sent.done) {
            self.sent.pop_front();
            self.first += 1;
        }
        if ended {
            self.give_up(acks);
        }
        if acks.len() > before { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Drops the connection and everything queued in it.
    #[cold]
    fn give_up(&mut self, acks: &mut Vec<SinkAck>) {
        tracing::warn!(stream = %self.facts.stream, unacknowledged = self.unacknowledged, "sink connection given up");
        self.line = None;
        self.first += self.sent.len() as u64;
        self.unacknowledged = 0;
        self.bytes = 0;
        let unknown = self.sent.drain(..).filter(|sent| !sent.done);
        acks.extend(
            unknown.map(|sent| SinkAck { ticket: sent.ticket, outcome: SinkOutcome::Unknown }),
        );
    }

    async fn wait(&mut self, acks: &mut Vec<SinkAck>) {
        let Some(oldest) = self.sent.iter().find(|sent| !sent.done).map(|sent| sent.at) else {
            return std::future::pending().await;
        };
        let lost = self.line.as_ref().map(|line| line.lost.clone());
        let broken = async {
            if let Some(mut lost) = lost {
                drop(lost.wait_for(|lost| *lost).await);
            }
        };
        tokio::select! {
            biased;
            () = unconstrained(poll_fn(|context| self.take(acks, context))) => return,
            () = broken => {}
            () = tokio::time::sleep_until(oldest + ACK_TIMEOUT) => {}
        }
        self.give_up(acks);
    }
}

/// What the server counts against its limit.
fn wire_bytes(message: &SinkMessage) -> usize {
    // "NATS/1.0\r\n" and the empty line; ": " and "\r\n" of each header.
    let user: usize =
        message.headers.iter().map(|(name, value)| name.len() + value.len() + 4).sum();
    let cause =
        if message.cause.is_empty() { 0 } else { CAUSE_HEADER.len() + message.cause.len() + 4 };
    12 + "Nats-Msg-Id".len() + message.id.len() + 4 + cause + user + message.payload.len()
}

/// What a reply says.
fn outcome(message: &Message, stream: &str) -> SinkOutcome {
    if message.status == Some(StatusCode::NO_RESPONDERS) {
        let description = "no stream captures the subject, or JetStream is starting".to_owned();
        return SinkOutcome::Refused { passing: true, code: 503, description };
    }
    let reply: Reply<'_> = match serde_json::from_slice(&message.payload) {
        Ok(reply) => reply,
        Err(error) => {
            return SinkOutcome::Refused {
                passing: true,
                code: 0,
                description: format!("unreadable reply: {error}"),
            };
        }
    };
    if let Some(error) = reply.error {
        let passing = matches!(
            error.err_code,
            DUPLICATE_IN_PROCESS
                | code::CLUSTER_NOT_AVAILABLE
                | code::CLUSTER_NOT_LEADER
                | code::STREAM_OFFLINE
                | code::STREAM_OFFLINE_REASON
                | code::STORE_FAILED
                | code::ACCOUNT_RESOURCES
                | code::INSUFFICIENT_RESOURCES
        );
        return SinkOutcome::Refused {
            passing,
            code: error.err_code,
            description: error.description,
        };
    }
    if reply.stream != stream {
        let description = format!("stream {} captures the subject", reply.stream);
        return SinkOutcome::Refused { passing: false, code: 0, description };
    }
    SinkOutcome::Stored { sequence: Sequence(reply.seq), duplicate: reply.duplicate }
}

impl Sink for JetStreamSink {
    fn send(&mut self, message: SinkMessage) -> BoxFuture<'_, Result<(), SinkError>> {
        Box::pin(self.publish(message))
    }

    fn has_room(&self) -> bool {
        // `sent` also holds acknowledged messages behind an unacknowledged one; the inbox numbers need them.
        self.sent.len() < self.window.messages
            && (self.bytes < self.window.bytes || self.unacknowledged == 0)
    }

    fn in_flight(&self) -> usize {
        self.unacknowledged
    }

    fn acknowledged<'a>(&'a mut self, acks: &'a mut Vec<SinkAck>) -> BoxFuture<'a, ()> {
        Box::pin(self.wait(acks))
    }

    fn facts(&self) -> &SinkFacts {
        &self.facts
    }
}
