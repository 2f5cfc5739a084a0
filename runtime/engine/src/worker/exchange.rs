//! Reads the commits of another stage for all partitions of one stage.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use futures::StreamExt;
use millstream_core::commit::{CommitError, CommitRecord};
use millstream_core::exchange::merge::{Anchor, Merge};
use millstream_core::exchange::{Gone, Ordering, Place, Reading, Standing, begin_at};
use millstream_core::ids::{CommitNumber, Sequence, SourceId};
use millstream_log::commit_log::{CommitLog, PartitionSubject};
use millstream_sandbox::codec::Decoder;
use tokio_util::sync::CancellationToken;

use super::commits::{Commits, Committed, Following};
use super::lanes::Lanes;
use super::pace::Pace;
use super::report::Heads;
use crate::router::{Envelopes, Router};

/// Outputs that wait for a slower partition of the stage; above it only that partition is read on.
const WAITING_MAX: usize = 65_536;
/// Bytes of the log that are read of one partition before what they hold is passed on.
const READ_BYTES: usize = 4 << 20;
/// Wait before the log is read again after a failure.
const READ_AGAIN_AFTER: Duration = Duration::from_millis(200);

/// What one reader is for.
pub struct ExchangeSpec {
    pub log: Arc<dyn CommitLog>,
    /// One per partition of the stage that is read.
    pub subjects: Vec<PartitionSubject>,
    pub commits: Arc<Commits>,
    /// Which of that stage's outputs.
    pub output: u8,
    pub ordering: Ordering,
    /// What the input is called.
    pub name: String,
    /// Whether its outputs are records in envelopes.
    pub envelopes: Envelopes,
    pub source: SourceId,
    pub input: u32,
    /// One per partition of the stage that reads and is here.
    pub lanes: Lanes,
    pub heads: Heads,
    /// Where the reader says how far event time is, and waits for the stage's other inputs.
    pub pace: Arc<Pace>,
    /// By how much its watermark may be ahead of theirs, milliseconds; none: without limit.
    pub align_within_ms: Option<i64>,
    /// Where each of them stands, by partition.
    pub positions: BTreeMap<u16, Option<Standing>>,
}

/// Why a reader ended.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    #[error("input `{name}`: {gone}")]
    Trimmed { name: String, gone: Gone },
    #[error("input `{name}`: record {sequence} of the log: {error}")]
    Damaged { name: String, sequence: u64, error: CommitError },
}

/// Reads until it is cancelled, the partitions are gone, or the log is not what it must be.
pub async fn run(
    spec: ExchangeSpec,
    decoder: Decoder,
    cancel: CancellationToken,
) -> Result<(), ExchangeError> {
    tokio::select! {
        () = cancel.cancelled() => Ok(()),
        ended = Reader::new(spec, decoder).read() => ended,
    }
}

struct Reader {
    spec: ExchangeSpec,
    merge: Merge,
    router: Router,
    /// Where the merge began.
    start: Anchor,
    /// Per partition which records the merge has.
    readings: Vec<Reading>,
}

impl Reader {
    fn new(spec: ExchangeSpec, decoder: Decoder) -> Self {
        let partitions = spec.subjects.len() as u16;
        // The reader serves all partitions; what one of them has is not passed to it.
        let standings = spec.positions.values().map(Option::as_ref);
        let start = begin_at(standings, partitions, spec.ordering);
        let done = (0..spec.lanes.partitions()).map(|partition| {
            match spec.positions.get(&partition).and_then(Option::as_ref) {
                Some(standing) => standing.done().to_vec(),
                None => vec![Place::default(); usize::from(partitions)],
            }
        });
        let mut router =
            Router::merged(spec.input, decoder, spec.source, start.clone(), done.collect())
                .with(spec.envelopes);
        spec.lanes.left_out(&mut router);
        let readings = start.places.iter().map(|&place| Reading::at(place)).collect();
        let merge = Merge::new(spec.output, spec.ordering, &start);
        Self { merge, router, start, readings, spec }
    }

    async fn read(mut self) -> Result<(), ExchangeError> {
        let mut changed = self.spec.commits.subscribe();
        let name = bytes::Bytes::from(self.spec.name.clone());
        let input = usize::from(self.spec.source.0);
        let (mut passed, mut was_idle) = (self.start.clone(), false);
        loop {
            changed.mark_unchanged();
            let mut more = false;
            for partition in 0..self.readings.len() as u16 {
                if self.merge.waiting() < WAITING_MAX || self.merge.holds_back(partition) {
                    more |= self.take(partition).await?;
                }
            }
            let behind = self.router.position().max_event_time;
            while let Some(element) = self.merge.poll() {
                self.router.add_merged(element, &name);
            }
            let (anchor, idle) = (self.merge.anchor(), self.merge.is_idle());
            let head = &self.spec.heads[usize::from(self.spec.source.0)];
            head.store(anchor.number + self.merge.waiting() as u64, Relaxed);
            if anchor != passed || idle != was_idle {
                if let Some(within_ms) = self.spec.align_within_ms {
                    self.spec.pace.reached(input, behind, false);
                    self.spec.pace.wait(input, behind, within_ms).await;
                }
                (passed, was_idle) = (anchor.clone(), idle);
                let chunks = self.router.finish_merged(anchor, idle);
                if !self.spec.lanes.hand_over(chunks, &mut self.router).await {
                    return Ok(());
                }
                let reached = self.router.position().max_event_time;
                self.spec.pace.reached(input, reached, idle);
            }
            if !more {
                // The stage that is read lives as long as this one.
                let _ = changed.changed().await;
            }
        }
    }

    /// Gives the merge the next commits of a partition; whether there were any.
    async fn take(&mut self, partition: u16) -> Result<bool, ExchangeError> {
        let taken = self.readings[usize::from(partition)].taken();
        match self.spec.commits.following(partition, taken) {
            Following::Nothing => Ok(false),
            Following::Commits(commits) => {
                for Committed { sequence, number, outputs, exchange } in &commits {
                    self.take_next(partition, *sequence, *number)?;
                    self.merge.commit(partition, *sequence, outputs, exchange.as_ref());
                }
                Ok(true)
            }
            Following::InLog { through } => self.take_from_log(partition, through).await,
        }
    }

    fn take_next(
        &mut self,
        partition: u16,
        sequence: Sequence,
        number: CommitNumber,
    ) -> Result<(), ExchangeError> {
        let taken = self.readings[usize::from(partition)].take(sequence, number);
        taken.map_err(|gone| ExchangeError::Trimmed { name: self.spec.name.clone(), gone })
    }

    async fn take_from_log(
        &mut self,
        partition: u16,
        through: Sequence,
    ) -> Result<bool, ExchangeError> {
        let index = usize::from(partition);
        let (log, subject) = (Arc::clone(&self.spec.log), self.spec.subjects[index].clone());
        let from = self.readings[index].next();
        let mut entries = log.read(&subject, from, through);
        let mut bytes = 0;
        while let Some(entry) = entries.next().await {
            let entry = match entry {
                Ok(entry) => entry,
                // That includes a replica that does not have the last records yet.
                Err(error) => {
                    tracing::warn!(%error, "log cannot be read; trying again");
                    tokio::time::sleep(READ_AGAIN_AFTER).await;
                    return Ok(true);
                }
            };
            let sequence = entry.sequence;
            bytes += entry.bytes.len();
            let record = CommitRecord::decode(&entry.bytes).map_err(|error| {
                let (name, sequence) = (self.spec.name.clone(), sequence.0);
                ExchangeError::Damaged { name, sequence, error }
            })?;
            self.take_next(partition, sequence, record.header.number)?;
            let slice = record.slice;
            self.merge.commit(
                partition,
                sequence,
                &slice.outputs.freeze(),
                slice.exchange.as_ref(),
            );
            if bytes >= READ_BYTES {
                return Ok(true);
            }
        }
        Ok(true)
    }
}
