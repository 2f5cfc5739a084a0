//! Which messages are answered for.
//!
//! A reply subject of its own for each message costs the server 0.5 to 1 us of 6: it looks up who listens for it. So messages that are sent
//! one behind the other share a reply subject, as a *group*. Whose an answer is cannot be told then, and need not be:
//! a group is stored once as many answers as it has messages say so, each with another sequence. One refusal, and
//! none of the group counts as stored; sent again with their ids, those that are there are found as duplicates.
//! No order among answers is relied on: in a cluster, what a leader had not replicated is lost without one.

use std::collections::VecDeque;
use std::time::Duration;

use millstream_core::ids::Sequence;
use tokio::time::Instant;

use super::acks::{Answer, Refused};
use super::{SinkAck, SinkOutcome};

/// Messages of a group, at most: it is the least part of the window that becomes free at once.
const GROUP_MESSAGES_MAX: usize = 256;
/// A group takes no more once its oldest message has waited this long, so that a slow trickle does not keep it from ever
/// being answered for.
const GROUP_AGE_MAX: Duration = Duration::from_millis(100);

/// Messages that share a reply subject.
struct Group {
    /// When the oldest unanswered message was sent.
    since: Instant,
    /// Those that are not answered for, in order.
    tickets: Vec<u64>,
    bytes: usize,
    stored: Vec<(Sequence, bool)>,
    refusals: usize,
    refused: Option<Refused>,
    /// Messages sent, answered for or not.
    sent: usize,
    /// The highest sequence of a message of this group that was answered for.
    settled: Sequence,
}

/// All messages that are sent and not answered for, in groups.
#[derive(Default)]
pub(super) struct Groups {
    groups: VecDeque<Group>,
    /// Number of the first group.
    first: u64,
    in_flight: usize,
    bytes: usize,
}

impl Groups {
    /// Adds a message; the number of its group.
    pub fn push(&mut self, ticket: u64, bytes: usize) -> u64 {
        let now = Instant::now();
        if !self.groups.back().is_some_and(|group| group.takes_more(now)) {
            self.groups.push_back(Group {
                since: now,
                tickets: Vec::new(),
                bytes: 0,
                stored: Vec::new(),
                refusals: 0,
                refused: None,
                sent: 0,
                settled: Sequence(0),
            });
        }
        let number = self.first + self.groups.len() as u64 - 1;
        if let Some(group) = self.groups.back_mut() {
            if group.tickets.is_empty() {
                group.since = now;
            }
            group.tickets.push(ticket);
            group.bytes += bytes;
            group.sent += 1;
        }
        self.in_flight += 1;
        self.bytes += bytes;
        number
    }

    /// Takes an answer to one message of a group, and appends what is known by it. False: the answers make no sense.
    pub fn answered(&mut self, number: u64, answer: Answer, acks: &mut Vec<SinkAck>) -> bool {
        let place = number.checked_sub(self.first).and_then(|place| usize::try_from(place).ok());
        let Some(group) = place.and_then(|place| self.groups.get_mut(place)) else { return true };
        if group.tickets.is_empty() {
            return true;
        }
        match answer {
            Answer::Stored { sequence, duplicate } => group.stored.push((sequence, duplicate)),
            Answer::Refused(refused) => {
                group.refusals += 1;
                group.refused.get_or_insert(refused);
            }
        }
        if group.stored.len() + group.refusals < group.tickets.len() {
            return true;
        }
        if group.refused.is_none() {
            group.stored.sort_unstable();
            if !group.makes_sense() {
                return false;
            }
        }
        self.in_flight -= group.tickets.len();
        self.bytes -= group.bytes;
        group.settle(acks);
        // All but the last are closed.
        while let Some(group) = self.groups.front()
            && group.tickets.is_empty()
            && (group.is_full() || self.groups.len() > 1)
        {
            self.groups.pop_front();
            self.first += 1;
        }
        true
    }

    /// Forgets everything; the tickets that were not answered for, in order. Answers to them count no more.
    pub fn give_up(&mut self) -> impl Iterator<Item = u64> + use<> {
        self.first += self.groups.len() as u64;
        self.in_flight = 0;
        self.bytes = 0;
        std::mem::take(&mut self.groups).into_iter().flat_map(|group| group.tickets)
    }

    /// When the oldest message was sent that is not answered for.
    pub fn waiting_since(&self) -> Option<Instant> {
        self.groups.iter().find(|group| !group.tickets.is_empty()).map(|group| group.since)
    }

    /// Messages that are not answered for.
    pub fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Their bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Group {
    fn is_full(&self) -> bool {
        self.sent >= GROUP_MESSAGES_MAX
    }

    fn takes_more(&self, now: Instant) -> bool {
        !self.is_full()
            && self.refused.is_none()
            && (self.tickets.is_empty() || now - self.since < GROUP_AGE_MAX)
    }

    /// Whether the answers, sorted, can be those of as many messages: two with one sequence are to the same message, and
    /// one with a sequence from before is to one that had its answer.
    fn makes_sense(&self) -> bool {
        self.stored.windows(2).all(|pair| pair[0].0 < pair[1].0)
            && self
                .stored
                .iter()
                .all(|(sequence, duplicate)| *duplicate || *sequence > self.settled)
    }

    /// All are answered: sequences ascend as the messages were sent.
    fn settle(&mut self, acks: &mut Vec<SinkAck>) {
        let tickets = self.tickets.drain(..);
        match self.refused.take() {
            None => {
                let newest = self.stored.iter().rfind(|(_, duplicate)| !duplicate);
                self.settled = newest.map_or(self.settled, |(sequence, _)| *sequence);
                let stored = tickets.zip(self.stored.drain(..));
                acks.extend(stored.map(|(ticket, (sequence, duplicate))| SinkAck {
                    ticket,
                    outcome: SinkOutcome::Stored { sequence, duplicate },
                }));
            }
            Some(Refused { passing, code, description }) => {
                acks.extend(tickets.map(|ticket| SinkAck {
                    ticket,
                    outcome: SinkOutcome::Refused {
                        passing,
                        code,
                        description: description.clone(),
                    },
                }));
            }
        }
        self.stored.clear();
        self.refusals = 0;
        self.bytes = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(sequence: u64) -> Answer {
        Answer::Stored { sequence: Sequence(sequence), duplicate: false }
    }

    fn refused() -> Answer {
        Answer::Refused(Refused { passing: true, code: 7, description: "no".to_owned() })
    }

    /// Tickets and sequences; a refusal has the sequence 0.
    fn known(acks: &mut Vec<SinkAck>) -> Vec<(u64, u64)> {
        let of = |ack: SinkAck| match ack.outcome {
            SinkOutcome::Stored { sequence, .. } => (ack.ticket, sequence.0),
            _ => (ack.ticket, 0),
        };
        acks.drain(..).map(of).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_group_is_known_when_all_of_it_is_answered_in_any_order() {
        let (mut groups, mut acks) = (Groups::default(), Vec::new());
        assert_eq!([groups.push(1, 10), groups.push(2, 10), groups.push(3, 10)], [0; 3]);
        assert!(
            groups.answered(0, stored(12), &mut acks) && groups.answered(0, stored(10), &mut acks)
        );
        assert_eq!((known(&mut acks), groups.in_flight(), groups.bytes()), (vec![], 3, 30));
        assert!(groups.answered(0, stored(11), &mut acks));
        assert_eq!(known(&mut acks), [(1, 10), (2, 11), (3, 12)]);
        assert_eq!((groups.in_flight(), groups.bytes(), groups.waiting_since()), (0, 0, None));
        // One more answer is nobody's; the group goes on with the next message.
        assert!(groups.answered(0, stored(11), &mut acks));
        assert_eq!(groups.push(4, 10), 0);
        assert!(groups.answered(0, stored(14), &mut acks));
        assert_eq!(known(&mut acks), [(4, 14)]);
        // An answer to a message that had its own already is no other message's.
        assert_eq!(groups.push(5, 10), 0);
        assert!(!groups.answered(0, stored(14), &mut acks));
        assert_eq!(groups.give_up().collect::<Vec<_>>(), [5]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_missing_answer_leaves_the_whole_group_unknown() {
        let (mut groups, mut acks) = (Groups::default(), Vec::new());
        let messages = 2 * GROUP_MESSAGES_MAX as u64 + 1;
        let numbers: Vec<u64> = (0..messages).map(|ticket| groups.push(ticket, 1)).collect();
        assert_eq!(
            (numbers[0], numbers[GROUP_MESSAGES_MAX], numbers[2 * GROUP_MESSAGES_MAX]),
            (0, 1, 2)
        );
        for ticket in (0..messages).filter(|ticket| *ticket != 3) {
            assert!(groups.answered(numbers[ticket as usize], stored(100 + ticket), &mut acks));
        }
        let found = known(&mut acks);
        let expected: Vec<_> =
            (GROUP_MESSAGES_MAX as u64..messages).map(|t| (t, 100 + t)).collect();
        assert_eq!(found, expected);
        assert_eq!(groups.in_flight(), GROUP_MESSAGES_MAX);
        let unknown: Vec<_> = groups.give_up().collect();
        assert_eq!(unknown, (0..GROUP_MESSAGES_MAX as u64).collect::<Vec<_>>());
        // Late answers to what was given up count for nothing.
        assert_eq!(groups.push(9, 1), 3);
        assert!(groups.answered(0, stored(103), &mut acks) && acks.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_is_one_of_the_group() {
        let (mut groups, mut acks) = (Groups::default(), Vec::new());
        assert_eq!([groups.push(1, 1), groups.push(2, 1)], [0; 2]);
        assert!(groups.answered(0, refused(), &mut acks));
        // It takes no more, and the next one does not wait for it.
        assert_eq!(groups.push(3, 1), 1);
        assert!(groups.answered(1, stored(9), &mut acks));
        assert_eq!(known(&mut acks), [(3, 9)]);
        assert!(groups.answered(0, stored(8), &mut acks));
        assert_eq!(known(&mut acks), [(1, 0), (2, 0)]);
        assert_eq!((groups.in_flight(), groups.push(4, 1)), (0, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_group_that_waits_takes_no_more() {
        let (mut groups, mut acks) = (Groups::default(), Vec::new());
        assert_eq!(groups.push(1, 1), 0);
        let since = groups.waiting_since();
        tokio::time::advance(GROUP_AGE_MAX).await;
        assert_eq!((groups.push(2, 1), groups.waiting_since()), (1, since));
        assert!(groups.answered(0, stored(1), &mut acks));
        assert_eq!(known(&mut acks), [(1, 1)]);
        assert!(groups.waiting_since() > since);
    }
}
