//! Checks the log while it is written: numbers follow each other, each record repeats the hash of the one before, and no
//! generation is older than the one before.

use std::collections::BTreeMap;

use millstream_core::commit::{CommitKind, CommitRecord, hash_of};
use millstream_core::ids::{CommitHash, CommitNumber, Generation, Incarnation};

use super::follow::Seen;

/// What was found in the log.
#[derive(Clone, Debug, Default)]
pub struct Chain {
    last: BTreeMap<String, Last>,
    /// Sequence of the first record behind the last stretch that was trimmed before it was seen.
    behind_gap: u64,
    /// Sequence of the last record seen.
    pub last_sequence: u64,
    /// Records seen.
    pub records: u64,
    /// Takeovers among them.
    pub takeovers: u64,
    /// Records that were trimmed before they were seen.
    pub unseen: u64,
    /// What must not be.
    pub violations: Vec<String>,
}

#[derive(Clone, Copy, Debug)]
struct Last {
    sequence: u64,
    number: CommitNumber,
    hash: CommitHash,
    generation: Generation,
    owner: Incarnation,
}

impl Chain {
    /// Looks at the next record.
    pub fn see(&mut self, seen: &Seen) {
        let (subject, sequence) = (&seen.subject, seen.sequence);
        let record = match CommitRecord::decode(&seen.payload) {
            Ok(record) => record,
            Err(error) => {
                self.violations.push(format!("{subject}, sequence {sequence}: {error}"));
                return;
            }
        };
        self.records += 1;
        if sequence != self.last_sequence + 1 {
            self.behind_gap = sequence;
        }
        self.last_sequence = sequence;
        let header = record.header;
        let takes_over = header.kind == CommitKind::Takeover;
        self.takeovers += u64::from(takes_over);
        let now = Last {
            sequence,
            number: header.number,
            hash: hash_of(&seen.payload),
            generation: header.generation,
            owner: header.owner,
        };
        if let Some(last) = self.last.insert(subject.clone(), now) {
            if let Some(what) = broken(&last, &now, takes_over) {
                self.violations.push(format!("{subject}, sequence {sequence}: {what}"));
            } else if now.number.0 != last.number.0 + 1 {
                self.unseen += now.number.0 - last.number.0 - 1;
                // Nothing but trimming takes records away.
                if last.sequence >= self.behind_gap {
                    self.violations.push(format!(
                        "{subject}, sequence {sequence}: commit {} comes behind {}",
                        now.number.0, last.number.0
                    ));
                }
            } else if header.prev_hash != last.hash {
                self.violations.push(format!(
                    "{subject}, sequence {sequence}: commit {} does not follow the record before it",
                    now.number.0
                ));
            }
        }
    }
}

/// The rule that two records of a partition break.
fn broken(last: &Last, now: &Last, takes_over: bool) -> Option<String> {
    let follows = now.number.0 == last.number.0 + 1;
    if now.number <= last.number {
        return Some(format!("commit {} follows {}", now.number.0, last.number.0));
    }
    if now.generation < last.generation || takes_over && now.generation == last.generation {
        let (now, last) = (now.generation.0, last.generation.0);
        return Some(format!("generation {now} writes behind {last}"));
    }
    let is_stranger = now.generation != last.generation || now.owner != last.owner;
    (follows && !takes_over && is_stranger)
        .then(|| format!("generation {} did not take over", now.generation.0))
}
