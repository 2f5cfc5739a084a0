//! What a partition says of itself, for whoever asks.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use millstream_core::exchange::merge::Anchor;
use millstream_core::exchange::{Place, UpstreamPosition};
use millstream_core::ids::{LogPoint, Sequence, WATERMARK_MAX, WATERMARK_MIN};
use millstream_core::slice::SourcePosition;
use millstream_core::trim::LogNeeds;

use crate::clock;
use crate::executor::{OperatorSource, Totals};
use crate::input::watermark_of;
use crate::status::{CheckpointInfo, CheckpointStatus, PartitionStatus, Phase, PositionStatus};

/// Rates are over this long, milliseconds.
const RATE_MS: i64 = 5_000;

/// Per source of a stage the last sequence that its reader knows of; shared by the stage's partitions.
pub type Heads = Arc<Vec<AtomicU64>>;

/// The latest facts of one partition.
pub struct Board {
    inner: Mutex<Inner>,
    sources: Vec<OperatorSource>,
    heads: Heads,
    changed: tokio::sync::Notify,
}

#[derive(Default)]
struct Inner {
    status: PartitionStatus,
    last: LogPoint,
    needs_from: Option<Sequence>,
    checkpoint: Option<CheckpointInfo>,
    /// Redo points of the kept checkpoints, oldest first.
    kept: VecDeque<Sequence>,
    /// Per source, what the operator has applied.
    scanned: Vec<Sequence>,
    /// Per source that is another stage, where its merged outputs are applied.
    merged: Vec<Option<Arc<Anchor>>>,
    /// How far the last commit says that other stages' outputs are applied.
    upstream: Vec<UpstreamPosition>,
    /// Per source, how far the last commit says that it was read.
    committed: Vec<Sequence>,
    /// (time, records, outputs), oldest first.
    rates: VecDeque<(i64, u64, u64)>,
}

/// A watermark as it is shown; its extremes are not.
fn shown(watermark: i64) -> Option<i64> {
    (watermark != WATERMARK_MIN && watermark != WATERMARK_MAX).then_some(watermark)
}

impl Board {
    pub fn new(partition: u16, module: String, sources: Vec<OperatorSource>, heads: Heads) -> Self {
        let since_ms = clock::now_ms();
        let status = PartitionStatus { partition, module, since_ms, ..PartitionStatus::default() };
        Self {
            inner: Mutex::new(Inner { status, ..Inner::default() }),
            sources,
            heads,
            changed: tokio::sync::Notify::new(),
        }
    }

    fn with<T>(&self, look: impl FnOnce(&mut Inner) -> T) -> T {
        look(&mut self.inner.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    pub fn update(&self, change: impl FnOnce(&mut PartitionStatus)) {
        self.with(|inner| change(&mut inner.status));
        self.changed.notify_waiters();
    }

    /// How far the operator is, committed or not.
    pub fn scanned<'a>(
        &self,
        positions: &[SourcePosition],
        merged: impl Iterator<Item = Option<&'a Arc<Anchor>>>,
    ) {
        let moved = self.with(|inner| {
            let mut moved = inner.scanned.len() != positions.len()
                || inner.scanned.iter().zip(positions).any(|(old, new)| *old != new.sequence);
            if moved {
                inner.scanned = positions.iter().map(|p| p.sequence).collect();
            }
            inner.merged.resize(positions.len(), None);
            for (known, anchor) in inner.merged.iter_mut().zip(merged) {
                let Some(anchor) = anchor else { continue };
                if !known.as_ref().is_some_and(|known| Arc::ptr_eq(known, anchor)) {
                    *known = Some(Arc::clone(anchor));
                    moved = true;
                }
            }
            moved
        });
        if moved {
            self.changed.notify_waiters();
        }
    }

    /// How far the operator has applied source `source`.
    pub fn applied(&self, source: usize) -> Sequence {
        self.with(|inner| inner.scanned.get(source).copied().unwrap_or_default())
    }

    /// Waits until the operator has applied source `source` up to `last`, or has stopped.
    pub async fn until_scanned(&self, source: usize, last: Sequence) {
        self.until(|inner| inner.scanned.get(source).is_some_and(|s| *s >= last)).await;
    }

    /// Waits until the operator has applied what the partitions of another stage, which is source `source`, had
    /// committed with the records `last`, or has stopped.
    pub async fn until_merged(&self, source: usize, last: &[Sequence]) {
        self.until(|inner| {
            let anchor = inner.merged.get(source).and_then(Option::as_ref);
            anchor.is_some_and(|anchor| {
                let behind = |(place, last): (&Place, &Sequence)| {
                    *place >= Place { commit: *last, outputs: u32::MAX }
                };
                anchor.places.iter().zip(last).all(behind)
            })
        })
        .await;
    }

    /// How much of source `source` is committed since the partition was opened; 0: nothing.
    pub fn committed_of(&self, source: usize) -> Sequence {
        self.with(|inner| inner.committed.get(source).copied()).unwrap_or(Sequence(0))
    }

    /// Waits until more of source `source` is committed than this; how far. Forever if the partition has stopped.
    pub async fn committed_beyond(&self, source: usize, known: Sequence) -> Sequence {
        loop {
            self.until(|inner| inner.committed.get(source).is_some_and(|s| *s > known)).await;
            let committed = self.with(|inner| inner.committed.get(source).copied());
            match committed.filter(|committed| *committed > known) {
                Some(committed) => return committed,
                None => std::future::pending().await,
            }
        }
    }

    async fn until(&self, is_reached: impl Fn(&Inner) -> bool) {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            if self.with(|inner| inner.status.phase >= Phase::Stopped || is_reached(inner)) {
                return;
            }
            changed.await;
        }
    }

    pub fn committed(
        &self,
        point: LogPoint,
        (positions, upstream): (&[SourcePosition], &[UpstreamPosition]),
        watermark: i64,
        totals: Totals,
        needs_from: Option<Sequence>,
    ) {
        let now = clock::now_ms();
        self.with(|inner| {
            inner.last = point;
            inner.needs_from = needs_from;
            inner.upstream.clear();
            inner.upstream.extend_from_slice(upstream);
            inner.committed.clear();
            inner.committed.extend(positions.iter().map(|p| p.sequence));
            let status = &mut inner.status;
            status.commit = point.number.0;
            status.watermark = shown(watermark);
            status.held_back_by = self.held_back_by(positions);
            status.records = totals.records;
            status.outputs = totals.outputs;
            status.dead_letters = totals.dead_letters;
            status.timers = totals.timers;
            status.calls = totals.calls;
            status.fuel = totals.fuel;
            status.positions = positions
                .iter()
                .zip(&self.sources)
                .map(|(p, source)| PositionStatus {
                    source: source.name.clone(),
                    position: p.sequence.0,
                    last: 0,
                    lag: 0,
                    watermark: shown(watermark_of(p.max_event_time, source.bound_ms))
                        .filter(|_| source.timed),
                    idle: p.idle,
                })
                .collect();
            inner.rates.push_back((now, totals.records, totals.outputs));
            while inner.rates.len() > 2 && inner.rates.front().is_some_and(|r| now - r.0 > RATE_MS)
            {
                inner.rates.pop_front();
            }
        });
        self.changed.notify_waiters();
    }

    /// Which of several timed sources is furthest behind and not idle.
    fn held_back_by(&self, positions: &[SourcePosition]) -> Option<String> {
        let timed = || positions.iter().zip(&self.sources).filter(|(_, source)| source.timed);
        let behind =
            timed().filter(|(position, _)| !position.idle).min_by_key(|(position, source)| {
                watermark_of(position.max_event_time, source.bound_ms)
            });
        behind.filter(|_| timed().count() > 1).map(|(_, source)| source.name.clone())
    }

    /// A checkpoint was stored, or found when the pipeline started.
    pub fn stored(&self, info: CheckpointInfo, redo_from: Sequence, kept_max: usize) {
        self.with(|inner| {
            inner.status.checkpoint =
                Some(CheckpointStatus { commit: info.commit, at_ms: info.at_ms, size: info.size });
            inner.checkpoint = Some(info);
            inner.kept.push_back(redo_from);
            while inner.kept.len() > kept_max {
                inner.kept.pop_front();
            }
        });
    }

    pub fn checkpoint(&self) -> Option<CheckpointInfo> {
        self.with(|inner| inner.checkpoint.clone())
    }

    /// The last commit; none since the partition was opened: number 0.
    pub fn last(&self) -> LogPoint {
        self.with(|inner| inner.last)
    }

    /// What the log must keep, once anything is known.
    pub fn needs(&self) -> LogNeeds {
        self.with(|inner| LogNeeds {
            last: inner.last.sequence,
            checkpoint: inner.kept.front().copied(),
            egress: inner.needs_from.unwrap_or(inner.last.sequence),
            upstream: inner.upstream.clone(),
        })
    }

    pub fn status(&self) -> PartitionStatus {
        let now = clock::now_ms();
        self.with(|inner| {
            let mut status = inner.status.clone();
            for (position, head) in status.positions.iter_mut().zip(self.heads.iter()) {
                position.last = head.load(Ordering::Relaxed).max(position.position);
                position.lag = position.last - position.position;
            }
            if let (Some(first), Some(last)) = (inner.rates.front(), inner.rates.back())
                && now - last.0 <= RATE_MS
                && last.0 > first.0
            {
                let seconds = (now - first.0) as f64 / 1000.0;
                status.records_per_second = (last.1 - first.1) as f64 / seconds;
                status.outputs_per_second = (last.2 - first.2) as f64 / seconds;
            }
            status
        })
    }
}
