//! Egress into a transactional sink: outputs go in batches that the sink's stream takes as a whole or not at all, each
//! together with a [`CursorRecord`] that must follow the one known to be the last.
//!
//! ```text
//!  commits of the log --offer--> [ queue ] --next_batch--> one batch in flight
//!                          ^                                 | acknowledged: on behind it
//!                          +---- read the cursor record <----+ failed: nobody knows, or somebody else was faster
//! ```
//!
//! So whoever is not the last writer is refused, no matter how long it slept, and what is in the sink is known without
//! looking at the outputs themselves. Outputs follow from commits, therefore it makes no difference whether this owner or an
//! earlier one wrote them: what the record says is there is passed over. An earlier owner that is late costs the present one
//! a refusal and a read.
//!
//! What a record says is believed as far as the log bears it out. A record that contradicts the log is an [`Incident`]; whoever runs the
//! partition finds out by a commit whether it still is the owner before that counts.

use std::collections::VecDeque;

use super::{CursorRecord, MessageId, Publication};
use crate::ids::{CommitNumber, Incarnation, LogPoint, Sequence};
use crate::incident::Incident;
use crate::outputs::{OutputItem, Outputs};
use crate::partition::EgressReport;
use crate::slice::{EgressCursor, OutputPoint};

/// What an egress into a transactional sink needs to know.
#[derive(Clone, Debug)]
pub struct TransactionalConfig {
    /// Which life of the pipeline.
    pub pipeline: Incarnation,
    /// Which partition.
    pub partition: u16,
    /// The outputs that go to this sink.
    pub outputs: Vec<u8>,
    /// Most outputs of a batch, at least 1.
    pub batch_outputs_max: usize,
    /// Most bytes of keys and payloads of a batch; one output always fits.
    pub batch_bytes_max: usize,
}

/// What is published in one go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// The outputs in order, at least one; their tickets count from 0.
    pub outputs: Vec<Publication>,
    /// Comes last.
    pub cursor: CursorRecord,
    /// Sequence of the cursor record that must be the last one; 0: there must be none.
    pub expected: Sequence,
}

/// What a cursor record that was read says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordRead {
    /// Where to go on.
    Current,
    /// There is none, although there was one: somebody removed it.
    Missing,
    /// It is older than one that is known: who answered is no longer the leader, as a rule. Read again after a while.
    Stale,
}

/// So often in a row may a record that was acknowledged be missing from what is read.
const STALE_READS_MAX: u32 = 60;

/// A commit with the place of the next item to look at.
#[derive(Debug)]
struct Queued {
    point: LogPoint,
    outputs: Outputs,
    /// In bytes and as a count.
    offset: usize,
    count: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// The cursor record must be read.
    Read,
    /// A batch may be sent.
    Ready,
    /// One that ends here is on its way.
    Sent(OutputPoint),
}

/// The way of one partition's outputs into one transactional sink.
#[derive(Debug)]
pub struct TransactionalEgress {
    config: TransactionalConfig,
    takes: [bool; 256],
    cursor: EgressCursor,
    /// Begins with the next output that the sink lacks.
    queue: VecDeque<Queued>,
    /// All outputs for this sink up to here are in it.
    done: OutputPoint,
    /// The newest commit offered.
    offered: OutputPoint,
    /// The commit that the last record read speaks of, until it was seen in the log.
    unverified: Option<(CommitNumber, u64)>,
    /// Sequence of the newest cursor record known.
    expected: Sequence,
    /// Whether one of this life of the pipeline was seen.
    has_own: bool,
    stale_reads: u32,
    takeover: CommitNumber,
    step: Step,
    /// Nothing is published unless the ownership was confirmed later than this.
    confirmed_after_ms: i64,
    confirmed_at_ms: i64,
    published: bool,
}

impl TransactionalEgress {
    /// Goes on from the cursor in the log, as the owner since the commit `takeover`, which was sent at `confirmed_at_ms`.
    pub fn new(
        config: TransactionalConfig,
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
            done: cursor.through,
            offered: cursor.through,
            unverified: None,
            expected: Sequence(0),
            has_own: false,
            stale_reads: 0,
            takeover,
            step: Step::Read,
            confirmed_after_ms: i64::MIN,
            confirmed_at_ms,
            published: false,
        }
    }

    /// Whether the cursor record must be read, from the stream's leader, before more is published.
    pub fn wants_record(&self) -> bool {
        self.step == Step::Read
    }

    /// The newest cursor record, with its sequence, as an answer to a question asked at `asked_at_ms`.
    ///
    /// # Errors
    /// If the record contradicts the log, or is of another pipeline. Nothing more may be published.
    pub fn record_was_read(
        &mut self,
        record: Option<(Sequence, &[u8])>,
        asked_at_ms: i64,
    ) -> Result<RecordRead, Incident> {
        let Some((sequence, bytes)) = record else {
            let is_missing = self.expected.max(self.cursor.sink_sequence) > Sequence(0);
            self.expected = Sequence(0);
            self.has_own = false;
            self.step = Step::Ready;
            return Ok(if is_missing { RecordRead::Missing } else { RecordRead::Current });
        };
        let sink = self.cursor.sink;
        if sequence < self.expected {
            self.stale_reads += 1;
            if self.stale_reads <= STALE_READS_MAX {
                return Ok(RecordRead::Stale);
            }
            return Err(Incident::SinkRolledBack { sink, sequence, known: self.expected });
        }
        let record = CursorRecord::decode(bytes)
            .map_err(|source| Incident::SinkCursorUnreadable { sink, sequence, source })?;
        if record.pipeline == self.config.pipeline {
            self.adopt(&record, sequence)?;
            self.has_own = true;
            self.cursor.sink_sequence = sequence;
        } else if self.has_own {
            return Err(Incident::SinkOfAnotherPipeline { sink, sequence });
        } else {
            // A predecessor under the same name, or a successor.
            self.confirmed_after_ms = asked_at_ms;
        }
        self.stale_reads = 0;
        self.expected = sequence;
        self.step = Step::Ready;
        self.settle();
        Ok(RecordRead::Current)
    }

    fn adopt(&mut self, record: &CursorRecord, sequence: Sequence) -> Result<(), Incident> {
        let sink = self.cursor.sink;
        let commit = record.through.commit;
        // Earlier owners published what was in the log before the takeover, this one what it was offered.
        let is_ahead = commit >= self.takeover && commit > self.offered.commit;
        let queued = self.queue.iter().find(|queued| queued.point.number == commit);
        let is_other =
            queued.is_some_and(|queued| super::hash_prefix(&queued.point.hash) != record.hash);
        if is_ahead || is_other {
            return Err(Incident::SinkOfAnotherHistory { sink, sequence, commit });
        }
        self.unverified =
            (commit > self.offered.commit).then_some((commit, record.hash)).or(self.unverified);
        self.done = self.done.max(record.through);
        Ok(())
    }

    /// A commit is in the log. Commits come in order, some perhaps again (when recovery began anew).
    ///
    /// # Errors
    /// If it is not the commit that the cursor record speaks of. Nothing more may be published.
    pub fn offer(
        &mut self,
        point: LogPoint,
        outputs: Outputs,
        confirmed_at_ms: i64,
    ) -> Result<(), Incident> {
        self.confirmed_at_ms = self.confirmed_at_ms.max(confirmed_at_ms);
        if let Some((commit, hash)) = self.unverified
            && commit <= point.number
        {
            self.unverified = None;
            if commit == point.number && hash != super::hash_prefix(&point.hash) {
                let (sink, sequence) = (self.cursor.sink, self.expected);
                return Err(Incident::SinkOfAnotherHistory { sink, sequence, commit });
            }
        }
        let end = OutputPoint { commit: point.number, count: outputs.count() };
        if end > self.offered {
            self.offered = end;
            self.queue.push_back(Queued { point, outputs, offset: 0, count: 0 });
            self.settle();
        }
        Ok(())
    }

    /// Whether there is a batch to publish now.
    pub fn has_batch(&self) -> bool {
        let may = self.step == Step::Ready && self.confirmed_at_ms >= self.confirmed_after_ms;
        may && !self.queue.is_empty()
    }

    /// What to publish now, if anything: all that waits, up to the limits of a batch.
    pub fn next_batch(&mut self) -> Option<Batch> {
        if !self.has_batch() {
            return None;
        }
        let (mut outputs, mut bytes, mut end) = (Vec::new(), 0, None);
        'queue: for queued in &self.queue {
            let (mut offset, mut count) = (queued.offset, queued.count);
            while let Some((item, next)) = queued.outputs.read_at(offset, count) {
                (offset, count) = (next, count + 1);
                if !self.takes[usize::from(item.output)] {
                    continue;
                }
                bytes += item.key.len() + item.payload.len();
                let is_full = outputs.len() == self.config.batch_outputs_max
                    || bytes > self.config.batch_bytes_max;
                if is_full && !outputs.is_empty() {
                    break 'queue;
                }
                end = Some((queued.point, count));
                outputs.push(self.publication(outputs.len() as u64, queued, &item));
            }
        }
        let (point, count) = end?;
        let cursor = CursorRecord::new(self.config.pipeline, &point, count);
        self.step = Step::Sent(cursor.through);
        Some(Batch { outputs, cursor, expected: self.expected })
    }

    fn publication(&self, ticket: u64, queued: &Queued, item: &OutputItem) -> Publication {
        Publication {
            ticket,
            id: MessageId::new(self.config.partition, &queued.point, item.index),
            output: item.output,
            event_time: item.event_time,
            key: queued.outputs.slice(item.key.clone()),
            payload: queued.outputs.slice(item.payload.clone()),
        }
    }

    /// The sink has the batch, with its cursor record at this sequence.
    pub fn acknowledged(&mut self, sequence: Sequence) {
        let Step::Sent(end) = self.step else { return };
        self.done = self.done.max(end);
        self.expected = sequence;
        self.has_own = true;
        self.cursor.sink_sequence = sequence;
        self.published = true;
        self.step = Step::Ready;
        self.settle();
    }

    /// The sink refused the batch, or did not answer: it may have it or not, now or later. It takes at most one batch behind
    /// each record, so the record tells.
    pub fn failed(&mut self) {
        self.step = Step::Read;
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
        self.queue.is_empty()
    }

    /// Passes over what the sink has and what is not for it.
    fn settle(&mut self) {
        while let Some(queued) = self.queue.front_mut() {
            let commit = queued.point.number;
            while let Some((item, next)) = queued.outputs.read_at(queued.offset, queued.count) {
                let end = OutputPoint { commit, count: queued.count + 1 };
                if end > self.done && self.takes[usize::from(item.output)] {
                    let through = OutputPoint { commit, count: queued.count };
                    if through > self.cursor.through {
                        self.cursor.through = through;
                        self.cursor.read_from = queued.point.sequence;
                    }
                    return;
                }
                (queued.offset, queued.count) = (next, queued.count + 1);
            }
            self.cursor.through =
                self.cursor.through.max(OutputPoint { commit, count: queued.count });
            self.cursor.read_from = Sequence(queued.point.sequence.0 + 1);
            self.queue.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::CommitHash;
    use crate::outputs::OutputWriter;

    const PIPELINE: Incarnation = Incarnation(77);
    const TAKEOVER: u64 = 20;

    fn point(number: u64) -> LogPoint {
        LogPoint {
            number: CommitNumber(number),
            hash: CommitHash([number as u8; 32]),
            sequence: Sequence(number * 10),
        }
    }

    /// Outputs that go to the given output indexes; only 0 is of this sink.
    fn outputs(of: &[u8]) -> Outputs {
        let mut writer = OutputWriter::default();
        of.iter().for_each(|&output| writer.push(output, b"k", 5, b"abc"));
        writer.freeze()
    }

    fn cursor(commit: u64, count: u32, sink_sequence: u64) -> EgressCursor {
        EgressCursor {
            sink: 0,
            through: OutputPoint { commit: CommitNumber(commit), count },
            read_from: Sequence(commit * 10),
            sink_sequence: Sequence(sink_sequence),
        }
    }

    fn egress(cursor: EgressCursor) -> TransactionalEgress {
        let config = TransactionalConfig {
            pipeline: PIPELINE,
            partition: 3,
            outputs: vec![0],
            batch_outputs_max: 3,
            batch_bytes_max: 1_000,
        };
        TransactionalEgress::new(config, cursor, CommitNumber(TAKEOVER), 100)
    }

    fn record(pipeline: Incarnation, commit: u64, count: u32) -> Vec<u8> {
        CursorRecord::new(pipeline, &point(commit), count).encode()
    }

    fn places(batch: &Batch) -> Vec<(u64, u32)> {
        batch.outputs.iter().map(|output| (output.id.commit.0, output.id.index)).collect()
    }

    #[test]
    fn all_that_waits_goes_in_one_batch_up_to_its_limits() {
        let mut egress = egress(cursor(10, 0, 0));
        egress.offer(point(11), outputs(&[0, 1, 0]), 100).unwrap();
        assert_eq!(egress.next_batch(), None, "before the record was read");
        assert_eq!(egress.record_was_read(None, 100), Ok(RecordRead::Current));
        egress.offer(point(12), outputs(&[]), 100).unwrap();
        egress.offer(point(13), outputs(&[0, 0, 1]), 100).unwrap();

        let batch = egress.next_batch().unwrap();
        assert_eq!(places(&batch), [(11, 0), (11, 2), (13, 0)]);
        assert_eq!((batch.expected, batch.cursor.through.count), (Sequence(0), 1));
        assert_eq!(egress.next_batch(), None, "one in flight");
        egress.acknowledged(Sequence(4));
        let report = egress.report();
        assert_eq!(report.cursor, EgressCursor { read_from: Sequence(130), ..cursor(13, 1, 4) });
        assert!(report.published);

        let batch = egress.next_batch().unwrap();
        assert_eq!((places(&batch), batch.expected), (vec![(13, 1)], Sequence(4)));
        egress.acknowledged(Sequence(6));
        // What is not for this sink is passed over with it.
        let passed = EgressCursor { read_from: Sequence(131), ..cursor(13, 3, 6) };
        assert_eq!((egress.cursor(), egress.is_settled()), (passed, true));
        assert_eq!(egress.next_batch(), None);
    }

    #[test]
    fn bytes_limit_a_batch_and_one_output_always_fits() {
        let mut egress = egress(cursor(10, 0, 0));
        egress.config.batch_bytes_max = 7;
        egress.record_was_read(None, 100).unwrap();
        egress.offer(point(11), outputs(&[0, 0]), 100).unwrap();
        assert_eq!(places(&egress.next_batch().unwrap()), [(11, 0)]);
        egress.acknowledged(Sequence(2));
        egress.config.batch_bytes_max = 0;
        assert_eq!(places(&egress.next_batch().unwrap()), [(11, 1)]);
    }

    #[test]
    fn goes_on_behind_the_record_whoever_wrote_it() {
        // The log knows less than the sink: the owner died in between.
        let mut egress = egress(cursor(10, 0, 5));
        egress.offer(point(11), outputs(&[0, 0]), 100).unwrap();
        let found = egress.record_was_read(Some((Sequence(9), &record(PIPELINE, 12, 1))), 100);
        assert_eq!(found, Ok(RecordRead::Current));
        egress.offer(point(12), outputs(&[0, 0]), 100).unwrap();
        let batch = egress.next_batch().unwrap();
        assert_eq!((places(&batch), batch.expected), (vec![(12, 1)], Sequence(9)));
        // Somebody was faster with the same.
        egress.failed();
        assert!(egress.wants_record());
        assert_eq!(egress.next_batch(), None);
        egress.record_was_read(Some((Sequence(11), &record(PIPELINE, 12, 2))), 100).unwrap();
        assert!(egress.is_settled());
        // An answer was lost and nothing has arrived: the same again, and only one of both can be taken.
        egress.offer(point(21), outputs(&[0]), 100).unwrap();
        let first = egress.next_batch().unwrap();
        egress.failed();
        egress.record_was_read(Some((Sequence(11), &record(PIPELINE, 12, 2))), 100).unwrap();
        assert_eq!(egress.next_batch().unwrap(), first);
    }

    #[test]
    fn a_record_that_the_log_does_not_bear_out_is_an_incident() {
        let ahead = record(PIPELINE, TAKEOVER, 1);
        let found = egress(cursor(10, 0, 5)).record_was_read(Some((Sequence(9), &ahead)), 100);
        assert!(matches!(found, Err(Incident::SinkOfAnotherHistory { .. })), "{found:?}");

        let other = CursorRecord { hash: 1, ..CursorRecord::new(PIPELINE, &point(12), 1) }.encode();
        let mut later = egress(cursor(10, 0, 5));
        later.record_was_read(Some((Sequence(9), &other)), 100).unwrap();
        later.offer(point(11), outputs(&[0]), 100).unwrap();
        let found = later.offer(point(12), outputs(&[0]), 100);
        assert!(matches!(found, Err(Incident::SinkOfAnotherHistory { .. })), "{found:?}");
        let mut earlier = egress(cursor(10, 0, 5));
        earlier.offer(point(12), outputs(&[0, 0]), 100).unwrap();
        let found = earlier.record_was_read(Some((Sequence(9), &other)), 100);
        assert!(matches!(found, Err(Incident::SinkOfAnotherHistory { .. })), "{found:?}");

        let (own, mut rolled) = (record(PIPELINE, 9, 1), egress(cursor(10, 0, 5)));
        rolled.record_was_read(Some((Sequence(9), &own)), 100).unwrap();
        // Once it may be a leader that is none any more.
        for _ in 0..STALE_READS_MAX {
            let found = rolled.record_was_read(Some((Sequence(8), &own)), 100);
            assert_eq!(found, Ok(RecordRead::Stale));
        }
        let found = rolled.record_was_read(Some((Sequence(8), &own)), 100);
        assert!(matches!(found, Err(Incident::SinkRolledBack { .. })), "{found:?}");
        let found = egress(cursor(10, 0, 5)).record_was_read(Some((Sequence(9), b"no")), 100);
        assert!(matches!(found, Err(Incident::SinkCursorUnreadable { .. })), "{found:?}");
    }

    #[test]
    fn another_life_of_the_pipeline_is_followed_once_the_ownership_is_confirmed() {
        let other = record(Incarnation(1), 400, 7);
        let mut fresh = egress(cursor(1, u32::MAX, 0));
        fresh.record_was_read(Some((Sequence(9), &other)), 150).unwrap();
        fresh.offer(point(21), outputs(&[0]), 149).unwrap();
        assert_eq!(fresh.next_batch(), None, "the other may have come later");
        fresh.offer(point(22), outputs(&[0]), 150).unwrap();
        let batch = fresh.next_batch().unwrap();
        assert_eq!((places(&batch), batch.expected), (vec![(21, 0), (22, 0)], Sequence(9)));

        fresh.acknowledged(Sequence(11));
        let found = fresh.record_was_read(Some((Sequence(12), &other)), 150);
        assert!(matches!(found, Err(Incident::SinkOfAnotherPipeline { .. })), "{found:?}");
    }

    #[test]
    fn a_record_that_was_removed_is_told_and_begun_anew() {
        let mut egress = egress(cursor(10, 0, 5));
        assert_eq!(egress.record_was_read(None, 100), Ok(RecordRead::Missing));
        egress.offer(point(11), outputs(&[0]), 100).unwrap();
        assert_eq!(egress.next_batch().unwrap().expected, Sequence(0));
        egress.acknowledged(Sequence(2));
        assert_eq!(egress.cursor().sink_sequence, Sequence(2));
    }

    #[test]
    fn commits_that_come_again_are_passed_over() {
        let mut egress = egress(cursor(11, 1, 5));
        egress.record_was_read(Some((Sequence(5), &record(PIPELINE, 11, 1))), 100).unwrap();
        for _ in 0..2 {
            egress.offer(point(11), outputs(&[0, 0]), 100).unwrap();
            egress.offer(point(12), outputs(&[1]), 100).unwrap();
        }
        assert_eq!(places(&egress.next_batch().unwrap()), [(11, 1)]);
        egress.acknowledged(Sequence(7));
        assert!(egress.is_settled());
        assert_eq!(egress.cursor().through, OutputPoint { commit: CommitNumber(12), count: 1 });
    }
}
