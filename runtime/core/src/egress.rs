//! Egress: the outputs of acknowledged commits on their way into one sink, in
//! order, each once. [`Egress`] is for deduplicated sinks, [`TransactionalEgress`] for transactional ones.
//!
//! ```text
//!  commits of the log --offer--> [ queue ] --next--> in flight --acknowledged--> cursor
//!                                                        | failed
//!                                                        +-> sent again, in order
//! ```
//!
//! Each output has a message id that does not depend on who publishes it or when, so
//! that the sink drops a second copy within its duplicate window. Where the window may
//! be over, facts replace it, and none is believed for longer than half a window:
//!
//! - What may have been published before (by an earlier owner, or by this one without an
//!   answer) is published only after a look at the ids in the sink behind the cursor
//!   ([`Egress::wants_sink_read`]).
//! - Nothing is published once the log's last confirmation of the ownership is that old.
//!   The partition then commits, which either confirms it again or fences the owner.
//!
//! So only a stall between this check and the sink is left to the window.
//!
//! Order: outputs are sent in order and pipelined. Should the sink refuse one and
//! take its successors, the one comes late; a lost connection does not do that.

mod record;
mod transactional;

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::str::FromStr;

use bytes::Bytes;

use crate::ids::{CommitHash, CommitNumber, LogPoint, Sequence};
use crate::outputs::Outputs;
use crate::partition::EgressReport;
use crate::slice::{EgressCursor, OutputPoint};

pub use record::{CursorRecord, CursorRecordError};
pub use transactional::{Batch, RecordRead, TransactionalConfig, TransactionalEgress};

/// The part of a duplicate window during which a fact is believed: one in this many.
const BELIEF_SHARE: i64 = 2;

/// The id of an output as a message of its sink. Which life of which pipeline it stems from is in the hash: it chains all
/// commits since the beginning, and every owner begins with a random number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MessageId {
    /// Which partition.
    pub partition: u16,
    /// Which commit.
    pub commit: CommitNumber,
    /// First eight bytes of the commit's hash.
    pub hash: u64,
    /// Place among the outputs of the commit.
    pub index: u32,
}

impl MessageId {
    /// The id of output `index` of a commit.
    pub fn new(partition: u16, commit: &LogPoint, index: u32) -> Self {
        Self { partition, commit: commit.number, hash: hash_prefix(&commit.hash), index }
    }
}

fn hash_prefix(hash: &CommitHash) -> u64 {
    let mut prefix = [0; 8];
    prefix.copy_from_slice(&hash.0[..8]);
    u64::from_be_bytes(prefix)
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{:016x}.{}", self.partition, self.commit.0, self.hash, self.index)
    }
}

/// Text that is not a [`MessageId`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the message id of an output")]
pub struct NotAMessageId;

impl FromStr for MessageId {
    type Err = NotAMessageId;

    fn from_str(text: &str) -> Result<Self, NotAMessageId> {
        let mut parts = text.split('.');
        let mut part = || parts.next().ok_or(NotAMessageId);
        let id = Self {
            partition: part()?.parse().map_err(|_| NotAMessageId)?,
            commit: CommitNumber(part()?.parse().map_err(|_| NotAMessageId)?),
            hash: u64::from_str_radix(part()?, 16).map_err(|_| NotAMessageId)?,
            index: part()?.parse().map_err(|_| NotAMessageId)?,
        };
        // Signs, missing zeros and what else parsing lets pass.
        if id.to_string() == text { Ok(id) } else { Err(NotAMessageId) }
    }
}

/// What an egress needs to know.
#[derive(Clone, Debug)]
pub struct EgressConfig {
    /// Which partition.
    pub partition: u16,
    /// The outputs that go to this sink.
    pub outputs: Vec<u8>,
    /// Most publishes without an answer.
    pub in_flight_max: usize,
    /// The sink's duplicate window, milliseconds.
    pub duplicate_window_ms: i64,
}

/// One output to publish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publication {
    /// To be given back with the answer.
    pub ticket: u64,
    /// The message id.
    pub id: MessageId,
    /// Which output of the UDF.
    pub output: u8,
    /// Event time of what caused it, milliseconds.
    pub event_time: i64,
    /// The record key.
    pub key: Bytes,
    /// The payload.
    pub payload: Bytes,
}

#[derive(Debug)]
struct Queued {
    point: LogPoint,
    outputs: Outputs,
    /// Items before this place were looked at; as bytes and as a count.
    offset: usize,
    count: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Sent,
    Failed,
    Done(Sequence),
}

#[derive(Debug)]
struct Pending {
    state: State,
    first_sent_ms: i64,
    point: LogPoint,
    publication: Publication,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SinkRead {
    Wanted,
    Asked,
    Done,
}

/// The way of one partition's outputs into one sink.
#[derive(Debug)]
pub struct Egress {
    config: EgressConfig,
    takes: [bool; 256],
    cursor: EgressCursor,
    queue: VecDeque<Queued>,
    /// Looked at and not yet passed by the cursor, in order; tickets ascend by one.
    pending: VecDeque<Pending>,
    first_ticket: u64,
    sent: usize,
    /// Something failed: wait for all answers, then send again.
    repair: bool,
    again: VecDeque<u64>,
    /// Until this ticket has passed, the sink may hold later outputs below earlier ones.
    unordered_through: Option<u64>,
    sequence_max: Sequence,
    /// All of the queue up to here was looked at and needs nothing more.
    scanned: OutputPoint,
    scanned_read_from: Sequence,
    takeover: CommitNumber,
    sink_read: SinkRead,
    /// When the latest look at the sink began.
    sink_read_at_ms: i64,
    found: HashMap<(u64, u32), Sequence>,
    confirmed_at_ms: i64,
    published: bool,
}

impl Egress {
    /// Goes on from the cursor in the log, as the owner since the commit `takeover`, which was sent at
    /// `confirmed_at_ms`.
    pub fn new(
        config: EgressConfig,
        cursor: EgressCursor,
        takeover: CommitNumber,
        confirmed_at_ms: i64,
    ) -> Self {
        let mut takes = [false; 256];
        config.outputs.iter().for_each(|&output| takes[usize::from(output)] = true);
        Self {
            config,
            takes,
            cursor,
            queue: VecDeque::new(),
            pending: VecDeque::new(),
            first_ticket: 0,
            sent: 0,
            repair: false,
            again: VecDeque::new(),
            unordered_through: None,
            sequence_max: cursor.sink_sequence,
            scanned: cursor.through,
            scanned_read_from: cursor.read_from,
            takeover,
            sink_read: SinkRead::Wanted,
            sink_read_at_ms: confirmed_at_ms,
            found: HashMap::new(),
            confirmed_at_ms,
            published: false,
        }
    }

    /// Whether the sink must be looked at before more is published: tell [`Egress::found`] of all
    /// messages above the returned sequence, up to the end of the stream as it is from now on, then
    /// [`Egress::sink_was_read`]. Asks once.
    pub fn wants_sink_read(&mut self, now_ms: i64) -> Option<Sequence> {
        if self.sink_read != SinkRead::Wanted {
            return None;
        }
        self.sink_read = SinkRead::Asked;
        self.sink_read_at_ms = now_ms;
        self.found.clear();
        Some(self.cursor.sink_sequence)
    }

    /// The sink holds this message.
    pub fn found(&mut self, id: &MessageId, sequence: Sequence) {
        if id.partition == self.config.partition {
            self.found.insert((id.hash, id.index), sequence);
        }
    }

    /// All that the sink holds was told.
    pub fn sink_was_read(&mut self) {
        self.sink_read = SinkRead::Done;
        for pending in &mut self.pending {
            let id = &pending.publication.id;
            if pending.state == State::Failed {
                pending.first_sent_ms = pending.first_sent_ms.max(self.sink_read_at_ms);
                if let Some(sequence) = self.found.remove(&(id.hash, id.index)) {
                    pending.state = State::Done(sequence);
                }
            }
        }
        self.advance();
    }

    /// A commit is in the log. Commits come in order, some perhaps again (when recovery began anew):
    /// what was offered before and what the sink has is skipped.
    pub fn offer(&mut self, point: LogPoint, outputs: Outputs, confirmed_at_ms: i64) {
        self.confirmed_at_ms = self.confirmed_at_ms.max(confirmed_at_ms);
        let end = OutputPoint { commit: point.number, count: outputs.count() };
        let offered = self.queue.back().map_or(self.scanned, |last| OutputPoint {
            commit: last.point.number,
            count: last.outputs.count(),
        });
        if end > offered {
            self.queue.push_back(Queued { point, outputs, offset: 0, count: 0 });
            self.advance();
        }
    }

    /// The next output to publish now, if any. `now_ms` must come from the clock that the partition is
    /// given, and must not go back. When the connection to the sink breaks, tell [`Egress::failed`] of
    /// all that is under way before asking again, or order is lost.
    pub fn next(&mut self, now_ms: i64) -> Option<&Publication> {
        let ticket = self.next_ticket(now_ms)?;
        self.pending_mut(ticket).map(|pending| &pending.publication)
    }

    fn next_ticket(&mut self, now_ms: i64) -> Option<u64> {
        if self.sink_read != SinkRead::Done || self.is_stale(self.confirmed_at_ms, now_ms) {
            return None;
        }
        if self.repair {
            if self.sent > 0 {
                return None;
            }
            self.repair = false;
            let failed = self.pending.iter().filter(|pending| pending.state == State::Failed);
            self.again = failed.map(|pending| pending.publication.ticket).collect();
        }
        if self.sent >= self.config.in_flight_max {
            return None;
        }
        if let Some(ticket) = self.again.pop_front() {
            return self.send_again(ticket, now_ms);
        }
        // Answered outputs behind an unanswered one stay in memory, so they count too.
        if self.pending.len() >= 2 * self.config.in_flight_max {
            return None;
        }
        // A former owner may have published these after the look at the sink.
        let of_former =
            self.queue.front().is_some_and(|queued| queued.point.number <= self.takeover);
        if of_former && self.is_stale(self.sink_read_at_ms, now_ms) {
            self.sink_read = SinkRead::Wanted;
            return None;
        }
        self.take(now_ms)
    }

    fn send_again(&mut self, ticket: u64, now_ms: i64) -> Option<u64> {
        let first_sent_ms = self.pending_mut(ticket)?.first_sent_ms;
        if self.is_stale(first_sent_ms, now_ms) {
            self.repair = true;
            self.sink_read = SinkRead::Wanted;
            return None;
        }
        self.pending_mut(ticket)?.state = State::Sent;
        self.sent += 1;
        Some(ticket)
    }

    fn is_stale(&self, since_ms: i64, now_ms: i64) -> bool {
        now_ms - since_ms > self.config.duplicate_window_ms / BELIEF_SHARE
    }

    /// The sink has it, now or since an earlier copy.
    pub fn acknowledged(&mut self, ticket: u64, sequence: Sequence) {
        if let Some(pending) = self.pending_mut(ticket)
            && pending.state == State::Sent
        {
            pending.state = State::Done(sequence);
            self.sent -= 1;
            self.advance();
        }
    }

    /// The sink refused it, or did not answer: it may have it or not.
    pub fn failed(&mut self, ticket: u64) {
        let last = self.first_ticket + self.pending.len() as u64;
        if let Some(pending) = self.pending_mut(ticket)
            && pending.state == State::Sent
        {
            pending.state = State::Failed;
            self.sent -= 1;
            self.repair = true;
            self.unordered_through = Some(last);
        }
    }

    /// The sink's stream has reached this sequence, by whoever's messages. Spares a later owner from
    /// reading them.
    pub fn observe_sink(&mut self, last: Sequence) {
        if self.sink_read == SinkRead::Done && self.pending.is_empty() && self.queue.is_empty() {
            self.sequence_max = self.sequence_max.max(last);
            self.cursor.sink_sequence = self.sequence_max;
        }
    }

    /// How far the sink is, and whether outputs were published since the last call.
    pub fn report(&mut self) -> EgressReport {
        EgressReport { cursor: self.cursor, published: std::mem::take(&mut self.published) }
    }

    /// How far the sink is.
    pub fn cursor(&self) -> EgressCursor {
        self.cursor
    }

    /// Whether the sink has all that was offered.
    pub fn is_settled(&self) -> bool {
        self.pending.is_empty() && self.queue.is_empty()
    }

    fn pending_mut(&mut self, ticket: u64) -> Option<&mut Pending> {
        let at = ticket.checked_sub(self.first_ticket)?;
        self.pending.get_mut(usize::try_from(at).ok()?)
    }

    /// Looks at the queue up to the next output that must be published.
    fn take(&mut self, now_ms: i64) -> Option<u64> {
        while let Some((point, item, payload, key)) = self.read_item() {
            if !self.takes[usize::from(item.output)] {
                self.advance();
                continue;
            }
            let id = MessageId::new(self.config.partition, &point, item.index);
            // Seldom anything: a sink is read after a takeover or a loss.
            let there = match self.found.is_empty() {
                true => None,
                false => self.found.remove(&(id.hash, id.index)),
            };
            let ticket = self.first_ticket + self.pending.len() as u64;
            let publication = Publication {
                ticket,
                id,
                output: item.output,
                event_time: item.event_time,
                key,
                payload,
            };
            let state = there.map_or(State::Sent, State::Done);
            self.pending.push_back(Pending { state, first_sent_ms: now_ms, point, publication });
            if there.is_none() {
                self.sent += 1;
                return Some(ticket);
            }
            // Whoever published it may have had to repeat others: the order is not ours to know.
            self.unordered_through = Some(ticket);
            self.advance();
        }
        None
    }

    fn read_item(&mut self) -> Option<(LogPoint, crate::outputs::OutputItem, Bytes, Bytes)> {
        loop {
            let queued = self.queue.front_mut()?;
            let point = queued.point;
            if let Some((item, next)) = queued.outputs.read_at(queued.offset, queued.count) {
                queued.offset = next;
                queued.count += 1;
                let payload = queued.outputs.slice(item.payload.clone());
                let key = queued.outputs.slice(item.key.clone());
                let at = OutputPoint { commit: point.number, count: queued.count };
                // The cursor may have begun in the middle of the commit: no step back.
                if at > self.scanned {
                    self.scanned = at;
                    self.scanned_read_from = point.sequence;
                    return Some((point, item, payload, key));
                }
                continue;
            }
            self.pass_front();
        }
    }

    /// The front commit was looked at entirely.
    fn pass_front(&mut self) {
        if let Some(queued) = self.queue.pop_front() {
            let end = OutputPoint { commit: queued.point.number, count: queued.count };
            self.scanned = self.scanned.max(end);
            self.scanned_read_from = Sequence(queued.point.sequence.0 + 1);
        }
    }

    /// Moves the cursor over all that needs nothing more.
    fn advance(&mut self) {
        while self.queue.front().is_some_and(|queued| queued.count == queued.outputs.count()) {
            self.pass_front();
        }
        while let Some(Pending { state: State::Done(sequence), .. }) = self.pending.front() {
            self.sequence_max = self.sequence_max.max(*sequence);
            self.pending.pop_front();
            if self.unordered_through.is_some_and(|through| through <= self.first_ticket) {
                self.unordered_through = None;
            }
            self.first_ticket += 1;
            self.published = true;
        }
        match self.pending.front() {
            Some(front) => {
                let commit = front.point.number;
                self.cursor.through = OutputPoint { commit, count: front.publication.id.index };
                self.cursor.read_from = front.point.sequence;
            }
            None => {
                self.cursor.through = self.scanned;
                self.cursor.read_from = self.scanned_read_from;
                self.unordered_through = None;
            }
        }
        if self.unordered_through.is_none() {
            self.cursor.sink_sequence = self.sequence_max;
        }
    }
}

#[cfg(test)]
mod tests;
