//! What planted bugs do to appends, cursor records and positions (`crate::planted`). Nothing of it runs in a shipped binary.

use std::time::Duration;

use bytes::Bytes;
use millstream_core::append::AppendReply;
use millstream_core::commit::{CommitRecord, hash_of};
use millstream_core::egress::CursorRecord;
use millstream_core::ids::{Incarnation, LogPoint, Sequence};
use millstream_core::slice::SourcePosition;
use millstream_log::commit_log::{Append, CommitLog, PartitionSubject, Refusal};
use tokio::sync::mpsc;

use super::egress::Offer;
use super::partition::reply;
use crate::clock;
use crate::crash::{Step, around};
use crate::planted::{self, Bug};

/// How long outputs that are published too early have a start on their commit.
const HEAD_START: Duration = Duration::from_millis(20);

/// An append that breaks a rule.
pub struct BrokenAppend {
    bug: Bug,
    expected: Sequence,
    message: Bytes,
    offers: Vec<mpsc::UnboundedSender<Offer>>,
}

impl BrokenAppend {
    /// The append of a record, if a bug is planted that has to do with it.
    pub fn of(
        owns: bool,
        expected: Sequence,
        message: &Bytes,
        offers: &[mpsc::UnboundedSender<Offer>],
    ) -> Option<Self> {
        const OF_COMMITS: [Bug; 4] = [
            Bug::EgressBeforeCommit,
            Bug::RefusedOutputsPublished,
            Bug::NoExpectedSequence,
            Bug::UnansweredAcknowledged,
        ];
        let takes_over = !owns && expected > Sequence(0) && planted::is(Bug::TakeoverNotAppended);
        let bug = match takes_over {
            true => Bug::TakeoverNotAppended,
            false => OF_COMMITS.into_iter().find(|bug| owns && planted::is(*bug))?,
        };
        Some(Self { bug, expected, message: message.clone(), offers: offers.to_vec() })
    }

    /// Appends as the bug has it.
    pub async fn append(
        self,
        log: &dyn CommitLog,
        subject: &PartitionSubject,
        step: Step,
    ) -> AppendReply {
        match self.bug {
            Bug::TakeoverNotAppended => return AppendReply::Acknowledged(self.expected),
            Bug::EgressBeforeCommit => {
                self.publish();
                tokio::time::sleep(HEAD_START).await;
            }
            _ => {}
        }
        let mut expected = self.expected;
        loop {
            let append = log.append(subject, expected, self.message.clone());
            match (around(step, append).await, self.bug) {
                (Append::Refused(Refusal::WrongLast { .. }), Bug::NoExpectedSequence) => {
                    if let Ok(Some(last)) = log.last(subject).await {
                        expected = last.sequence;
                    }
                }
                (Append::Unknown(_), Bug::UnansweredAcknowledged) => {
                    return AppendReply::Acknowledged(Sequence(expected.0 + 1));
                }
                (refused @ Append::Refused(_), Bug::RefusedOutputsPublished) => {
                    self.publish();
                    // Time to do the harm before the partition stops.
                    tokio::time::sleep(HEAD_START).await;
                    return reply(refused);
                }
                (answer, _) => return reply(answer),
            }
        }
    }

    /// Hands the record's outputs to the sinks as if it were in the log.
    fn publish(&self) {
        let Ok(record) = CommitRecord::decode(&self.message) else { return };
        let (number, hash) = (record.header.number, hash_of(&self.message));
        let point = LogPoint { number, hash, sequence: Sequence(self.expected.0 + 1) };
        let outputs = record.slice.outputs.freeze();
        for offers in &self.offers {
            let (outputs, confirmed_at_ms) = (outputs.clone(), clock::now_ms());
            let _ = offers.send(Offer { point, outputs, confirmed_at_ms });
        }
    }
}

/// A cursor record as if another life of the pipeline had written it: nobody goes on behind that.
pub fn of_another_life(record: &[u8]) -> Bytes {
    let known = CursorRecord::decode(record);
    let other = known.map(|record| CursorRecord { pipeline: Incarnation(0), ..record });
    other.map(|other| other.encode().into()).unwrap_or_default()
}

/// From where on sources are read.
pub fn positions(mut positions: Vec<SourcePosition>) -> Vec<SourcePosition> {
    for position in positions.iter_mut().filter(|position| position.last_sequence > Sequence(0)) {
        if planted::is(Bug::SourceOneAhead) {
            position.sequence = Sequence(position.sequence.0 + 1);
        }
    }
    positions
}
