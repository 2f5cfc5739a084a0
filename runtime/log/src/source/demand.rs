//! How much a reader has asked for: pull requests under way, bounded in messages and bytes.
//!
//! Several requests overlap so that the server always has one to fill. The server serves requests in
//! turn, so a delivery does not tell which request it belongs to; what is outstanding is counted over
//! all of them and corrected by the status that ends a request.

use std::collections::VecDeque;

/// Requests that may be under way at once.
const REQUESTS_MAX: usize = 8;
/// Parts the message window is asked for in.
const PARTS: u64 = 4;
/// What the server counts for a message besides its payload: subject, reply subject.
const OVERHEAD_BYTES: u64 = 16 << 10;

/// How much a reader may hold that nobody has taken yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadAhead {
    /// Messages; at most 100,000 are used.
    pub messages: u64,
    /// Bytes, headers and subjects included; at least one message of the largest size always fits.
    pub bytes: u64,
}

impl Default for ReadAhead {
    /// 16,384 messages, 32 MiB.
    fn default() -> ReadAhead {
        ReadAhead { messages: 16_384, bytes: 32 << 20 }
    }
}

/// Never ask for more than a subscription holds, statuses included.
const MESSAGES_MAX: u64 = 100_000;

/// A pull request to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pull {
    pub id: u64,
    pub messages: u64,
    pub bytes: u64,
}

/// Pull requests under way.
#[derive(Debug)]
pub(super) struct Demand {
    messages_max: u64,
    part: u64,
    request_bytes: u64,
    requests_max: usize,
    /// Bytes of the next request when a message did not fit the usual size.
    stretched: Option<u64>,
    outstanding: u64,
    live: VecDeque<Pull>,
    next_id: u64,
}

impl Demand {
    /// `payload_bytes_max`: the largest message the server takes.
    pub fn new(ahead: ReadAhead, payload_bytes_max: u64) -> Demand {
        let messages_max = ahead.messages.clamp(1, MESSAGES_MAX);
        let request_bytes =
            (ahead.bytes / REQUESTS_MAX as u64).max(payload_bytes_max + OVERHEAD_BYTES);
        let requests_max =
            usize::try_from(ahead.bytes / request_bytes).unwrap_or(1).clamp(1, REQUESTS_MAX);
        Demand {
            messages_max,
            part: messages_max.div_ceil(PARTS),
            request_bytes,
            requests_max,
            stretched: None,
            outstanding: 0,
            live: VecDeque::with_capacity(REQUESTS_MAX),
            next_id: 1,
        }
    }

    /// The next request to send, if there is room for one. Tell [`sent`](Demand::sent) about it.
    pub fn wanted(&self) -> Option<Pull> {
        if self.live.len() >= self.requests_max {
            return None;
        }
        let room = self.messages_max - self.outstanding.min(self.messages_max);
        if room < self.part {
            return None;
        }
        // A request that is used up to the last byte ends without a status. Sizes that vary keep
        // equal messages from hitting that again and again.
        let bytes = self.stretched.unwrap_or(self.request_bytes) + self.next_id % 61;
        Some(Pull { id: self.next_id, messages: self.part, bytes })
    }

    /// The request went out.
    pub fn sent(&mut self, pull: Pull) {
        self.live.push_back(pull);
        self.outstanding += pull.messages;
        self.next_id = pull.id + 1;
        self.stretched = None;
    }

    /// A message was delivered.
    #[inline]
    pub fn delivered(&mut self) {
        self.outstanding = self.outstanding.saturating_sub(1);
    }

    /// Whether the server may deliver more before it is asked again.
    #[inline]
    pub fn is_open(&self) -> bool {
        self.outstanding > 0
    }

    /// A request ended with so many messages not delivered. `too_large`: because the next message
    /// did not fit into its bytes.
    pub fn ended(&mut self, id: u64, undelivered: u64, too_large: bool) {
        let Some(at) = self.live.iter().position(|pull| pull.id == id) else { return };
        let Some(pull) = self.live.remove(at) else { return };
        self.outstanding = self.outstanding.saturating_sub(undelivered);
        // Nothing fitted, not even one: stored when the server still took larger messages.
        if too_large && undelivered >= pull.messages {
            self.stretched = Some(pull.bytes * 2);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(demand: &mut Demand) -> Vec<Pull> {
        let mut pulls = Vec::new();
        while let Some(pull) = demand.wanted() {
            demand.sent(pull);
            pulls.push(pull);
        }
        pulls
    }

    #[test]
    fn stays_within_both_bounds_and_refills_by_parts() {
        let ahead = ReadAhead { messages: 400, bytes: 8 << 20 };
        let mut demand = Demand::new(ahead, 1000);
        let pulls = fill(&mut demand);
        assert_eq!(pulls.iter().map(|pull| pull.messages).sum::<u64>(), 400);
        assert!(pulls.iter().map(|pull| pull.bytes).sum::<u64>() <= ahead.bytes + 8 * 61);
        for _ in 0..99 {
            demand.delivered();
        }
        assert_eq!(demand.wanted(), None);
        demand.delivered();
        assert_eq!(fill(&mut demand).len(), 1);
        // Bytes end requests early: what they did not deliver may be asked for again.
        demand.ended(pulls[0].id, 60, true);
        assert_eq!(demand.wanted(), None);
        demand.ended(pulls[1].id, 60, true);
        assert_eq!(fill(&mut demand).len(), 1);
        demand.ended(999, 60, true);
        assert_eq!(demand.wanted(), None);
    }

    #[test]
    fn a_message_larger_than_a_request_is_asked_for_with_more_bytes() {
        let mut demand = Demand::new(ReadAhead { messages: 4, bytes: 1 }, 1000);
        let pull = fill(&mut demand)[0];
        assert!(pull.bytes >= 1000);
        demand.ended(pull.id, pull.messages, true);
        let larger = fill(&mut demand)[0];
        assert!(larger.bytes >= 2 * 1000);
    }
}
