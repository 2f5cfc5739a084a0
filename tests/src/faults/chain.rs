//! Checks the log of one life of the pipeline while it is written: numbers follow each other, each record repeats the hash of the one
//! before, no generation is older than the one before, and nothing is behind the seal of a life that has followed.

use std::collections::BTreeMap;

use millstream_core::commit::{CommitKind, CommitRecord, hash_of};
use millstream_core::ids::{CommitHash, CommitNumber, Generation, Incarnation, SourceId};

use super::follow::Seen;
use super::workload::ONCE;

/// What the first stage calls the source: its only input.
const RECORDS: SourceId = SourceId(0);

/// What was found in the log.
#[derive(Clone, Debug, Default)]
pub struct Chain {
    /// By subject.
    last: BTreeMap<String, Last>,
    /// The life that all records are of.
    pipeline: Option<Incarnation>,
    /// What was written behind a seal, with the life that the seal was for. Whether that may be is known later: if that life was
    /// not recorded, the old one goes on.
    behind_seals: Vec<(Incarnation, String)>,
    /// Sequence of the first record behind the last stretch that was trimmed before it was seen.
    behind_gap: u64,
    /// Sequence of the last record seen.
    pub last_sequence: u64,
    /// Records seen.
    pub records: u64,
    /// Takeovers among them.
    pub takeovers: u64,
    /// Records of the source that were applied, by what the commits say.
    pub applied: u64,
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
    /// The life that it was sealed for.
    seal: Option<Incarnation>,
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
        if is_of(subject, ONCE) {
            let runs = record.slice.runs.iter().filter(|run| run.source == RECORDS);
            self.applied += runs.map(|run| u64::from(run.count)).sum::<u64>();
        }
        let now = Last {
            sequence,
            number: header.number,
            hash: hash_of(&seen.payload),
            generation: header.generation,
            owner: header.owner,
            seal: record.slice.seal.map(|seal| seal.life),
        };
        let pipeline = *self.pipeline.get_or_insert(header.pipeline);
        if header.pipeline != pipeline {
            let (found, life) = (header.pipeline.0, pipeline.0);
            self.violations.push(format!(
                "{subject}, sequence {sequence}: of life {found:032x}, not {life:032x}"
            ));
        }
        if let Some(last) = self.last.insert(subject.clone(), now) {
            if let Some(life) = last.seal {
                let number = now.number.0;
                let what =
                    format!("{subject}, sequence {sequence}: commit {number} is behind a seal");
                self.behind_seals.push((life, what));
            }
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

    /// What was written although this life had followed.
    pub fn behind_seal(&self, next: Incarnation) -> impl Iterator<Item = String> {
        let behind = self.behind_seals.iter().filter(move |(life, _)| *life == next);
        behind.map(|(_, what)| what.clone())
    }

    /// The subjects whose last record seen is not the seal for this life.
    pub fn unsealed(&self, next: Incarnation) -> impl Iterator<Item = &String> {
        let unsealed = self.last.iter().filter(move |(_, last)| last.seal != Some(next));
        unsealed.map(|(subject, _)| subject)
    }

    /// Partitions that it is the log of.
    pub fn partitions(&self) -> usize {
        self.last.len()
    }
}

/// Whether a partition's subject is one of this stage.
fn is_of(subject: &str, stage: &str) -> bool {
    subject.rsplit('.').nth(1) == Some(stage)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_names_its_stage() {
        assert!(is_of("millstream.log.faults_0a.once.3", "once"));
        assert!(!is_of("millstream.log.faults_0a.totals.3", "once"));
    }
}
