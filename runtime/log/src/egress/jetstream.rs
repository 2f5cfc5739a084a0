//! A sink on JetStream: plain publishes with message ids over a line of its own.

use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::task::unconstrained;
use tokio::time::Instant;

use super::acks::Answers;
use super::facts::facts;
use super::groups::Groups;
use super::{Sink, SinkAck, SinkError, SinkFacts, SinkMessage, SinkOutcome};
use crate::connect::{Connection, chain};
use crate::line::{Line, encode};

/// Silence after which everything in flight counts as unknown. A server that answers at all is given time: to send again
/// what it has not come to yet only adds to its work.
const SILENCE_MAX: Duration = Duration::from_secs(5);
/// How long an acknowledgement may take while others arrive: that of a message which a failed leader took is never sent.
const ACK_TIMEOUT: Duration = Duration::from_secs(20);
/// Nothing more is sent while a message has been waiting for its acknowledgement for so long: it may have died with the leader that
/// took it, and what is sent to the next leader must not come before it. A leader that dies has no successor within 4 s.
const STALLED_AFTER: Duration = Duration::from_secs(1);
/// Bytes gathered before they are handed to the line.
const SEND_BYTES: usize = 64 << 10;
const MESSAGE_ID_HEADER: &str = "Nats-Msg-Id";

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
    /// When the server was last heard of.
    heard: Instant,
    /// What was sent and not acknowledged.
    groups: Groups,
    /// Encoded and not handed to the line yet.
    output: Vec<u8>,
    /// The reply subject of the message that is encoded; a buffer.
    reply: Vec<u8>,
    answers: Answers,
}

impl JetStreamSink {
    /// Checks the stream. The connection for publishing is made when it is needed.
    pub async fn open(
        connection: &Connection,
        stream: &str,
        window: SinkWindow,
    ) -> Result<JetStreamSink, SinkError> {
        let facts = facts(connection, stream).await?;
        Ok(JetStreamSink {
            connection: connection.clone(),
            answers: Answers::of(&facts.stream),
            facts,
            window,
            line: None,
            heard: Instant::now(),
            groups: Groups::default(),
            output: Vec::new(),
            reply: Vec::new(),
        })
    }

    async fn connect(&mut self) -> Result<(), SinkError> {
        // One that was lost while nothing was in flight is nobody's loss.
        if self.groups.in_flight() == 0 && self.line.as_ref().is_some_and(Line::is_lost) {
            self.line = None;
        }
        if self.line.is_none() {
            let line = Line::open(&self.connection)
                .await
                .map_err(|error| SinkError::Unreachable { description: chain(&error) })?;
            self.line = Some(line);
        }
        Ok(())
    }

    fn publish(&mut self, message: &SinkMessage<'_>) -> Result<(), SinkError> {
        let headers = headers(message);
        // What the server counts against its limit.
        let bytes = encode::header_bytes(headers.clone()) + message.payload.len();
        if bytes > self.facts.message_bytes_max {
            return Err(SinkError::TooLarge {
                subject: message.subject.to_string(),
                bytes,
                bytes_max: self.facts.message_bytes_max,
            });
        }
        if let Some((name, _)) = headers.clone().find(|(name, value)| !is_sendable(name, value)) {
            let (subject, name) = (message.subject.to_string(), name.to_owned());
            return Err(SinkError::Header { subject, name });
        }
        if !is_subject(message.subject) {
            return Err(SinkError::Subject { subject: message.subject.to_string() });
        }
        let Some(line) = &self.line else {
            return Err(SinkError::Unreachable { description: "not connected".to_owned() });
        };
        let group = self.groups.push(message.ticket, bytes);
        self.reply.clear();
        self.reply.extend_from_slice(line.inbox().as_bytes());
        self.reply.push(b'.');
        encode::number(&mut self.reply, group);
        encode::publish_with_headers(
            &mut self.output,
            message.subject,
            &self.reply,
            headers,
            message.payload,
        );
        if self.output.len() >= SEND_BYTES {
            line.send(&mut self.output);
        }
        Ok(())
    }

    /// Takes what has arrived.
    fn take(&mut self, acks: &mut Vec<SinkAck>, context: &mut Context<'_>) -> Poll<()> {
        let before = acks.len();
        let Some(line) = &mut self.line else { return Poll::Ready(()) };
        let mut heard = false;
        let broken = loop {
            match line.poll_next(context) {
                Poll::Ready(Some(message)) => {
                    heard = true;
                    let Some(group) = message.token() else { continue };
                    let answer = self.answers.read(message.headers(), message.payload());
                    if !self.groups.answered(group, answer, acks) {
                        break true;
                    }
                }
                Poll::Ready(None) => break true,
                Poll::Pending => break false,
            }
        };
        if heard {
            self.heard = Instant::now();
        }
        if broken {
            self.give_up(acks);
        }
        if acks.len() > before { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Drops the connection and everything queued in it.
    #[cold]
    fn give_up(&mut self, acks: &mut Vec<SinkAck>) {
        let unacknowledged = self.groups.in_flight();
        tracing::warn!(stream = %self.facts.stream, unacknowledged, "sink connection given up");
        self.line = None;
        self.output.clear();
        acks.extend(
            self.groups.give_up().map(|ticket| SinkAck { ticket, outcome: SinkOutcome::Unknown }),
        );
    }

    async fn wait(&mut self, acks: &mut Vec<SinkAck>) {
        if let Some(line) = &self.line
            && !self.output.is_empty()
        {
            line.send(&mut self.output);
        }
        let Some(oldest) = self.groups.waiting_since() else {
            return std::future::pending().await;
        };
        let deadline = |heard: Instant| (heard.max(oldest) + SILENCE_MAX).min(oldest + ACK_TIMEOUT);
        loop {
            let until = deadline(self.heard);
            tokio::select! {
                biased;
                // The runtime's budget would hand out 128 messages at a time; the window is a bound of its own.
                () = unconstrained(poll_fn(|context| self.take(acks, context))) => return,
                () = tokio::time::sleep_until(until) => {}
            }
            // Unless something was heard meanwhile that settled nothing.
            if deadline(self.heard) <= until {
                break;
            }
        }
        self.give_up(acks);
    }
}

/// Names and values of a message's headers.
fn headers<'a>(message: &SinkMessage<'a>) -> impl Iterator<Item = (&'a str, &'a [u8])> + Clone {
    let more = message.headers.iter().map(|(name, value)| (name.as_ref(), value.as_bytes()));
    [(MESSAGE_ID_HEADER, message.id.as_bytes())].into_iter().chain(more)
}

/// Whether a header arrives as what it is.
pub(super) fn is_sendable(name: &str, value: &[u8]) -> bool {
    let is_name = |byte: u8| byte.is_ascii_graphic() && byte != b':';
    // What comes from other records' headers may hold tabs and the like; only the end of a line ends a value.
    let is_value = |byte: &u8| !matches!(byte, b'\r' | b'\n' | 0);
    !name.is_empty() && name.bytes().all(is_name) && value.iter().all(is_value)
}

/// Whether a subject is one word on the line; what else is wrong with it the server says.
pub(super) fn is_subject(subject: &str) -> bool {
    !subject.is_empty() && subject.bytes().all(|byte| byte > b' ' && byte != 0x7f)
}

impl Sink for JetStreamSink {
    fn ready(&mut self) -> BoxFuture<'_, Result<(), SinkError>> {
        Box::pin(self.connect())
    }

    fn send(&mut self, message: &SinkMessage<'_>) -> Result<(), SinkError> {
        self.publish(message)
    }

    fn has_room(&self) -> bool {
        let in_flight = self.groups.in_flight();
        let waits = self.groups.waiting_since();
        waits.is_none_or(|since| since.elapsed() < STALLED_AFTER)
            && in_flight < self.window.messages
            && (self.groups.bytes() < self.window.bytes || in_flight == 0)
    }

    fn in_flight(&self) -> usize {
        self.groups.in_flight()
    }

    fn acknowledged<'a>(&'a mut self, acks: &'a mut Vec<SinkAck>) -> BoxFuture<'a, ()> {
        Box::pin(self.wait(acks))
    }

    fn facts(&self) -> &SinkFacts {
        &self.facts
    }
}
