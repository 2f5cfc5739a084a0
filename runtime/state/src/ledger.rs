//! Which commit is running, which are acknowledged, and what of them the database lacks.
//!
//! Only what an acknowledged commit wrote last may reach the database. A key that every commit writes would
//! therefore never be written, and `redo_from` would stand still for its sake. So when persisting meets
//! such a key it raises the *threshold*: the next commit that overwrites something with an
//! unpersisted write at or below the threshold first sets the old content aside as a *before-image*, which is
//! written once its commit is acknowledged. The copy is made once per key and persist round, not once per write.

use std::collections::VecDeque;
use std::sync::Arc;

use millstream_core::ids::LogPoint;

use crate::dirty::{Anchors, Dirt, DirtyQueue, Unit};
use crate::expiry::{Horizon, Times};

/// One change of the database.
#[derive(Debug)]
pub(crate) enum Change {
    /// Sets a row.
    Put { key: Vec<u8>, value: Vec<u8> },
    /// Removes a row.
    Delete { key: Vec<u8> },
    /// Removes all rows of a list or map.
    Clear { prefix: Vec<u8> },
}

impl Change {
    pub fn bytes(&self) -> usize {
        match self {
            Self::Put { key, value } => key.len() + value.len(),
            Self::Delete { key } => key.len(),
            Self::Clear { prefix } => prefix.len(),
        }
    }
}

/// Content that a later commit has overwritten in memory before it reached the database.
pub(crate) struct BeforeImage {
    /// Newest commit it reflects: it may be written once this one is acknowledged.
    pub newest: u64,
    /// Oldest commit that is not in the database without it.
    pub oldest: u64,
    /// What to write.
    pub change: Change,
}

/// The commits of a partition as its state sees them.
pub(crate) struct Ledger {
    /// The running commit: writes belong to it.
    pub current: u64,
    /// Its processing time, and the watermark of its running call: what expires at or before them is gone.
    pub now: Times,
    /// The newest acknowledged commit.
    pub acknowledged: u64,
    /// Dirty bytes: what the units in the queue would write, in bytes of memory.
    pub dirty_bytes: usize,
    pub queue: DirtyQueue,
    /// In the order in which they were set aside.
    pub before_images: Vec<BeforeImage>,
    threshold: u64,
    anchors: Anchors,
    /// Clocks of commits begun and not acknowledged.
    running: VecDeque<(u64, Times)>,
    /// Clocks of the newest acknowledged commit.
    horizon: Arc<Horizon>,
}

impl Ledger {
    pub fn new() -> Self {
        Self {
            current: 0,
            now: Times::START,
            acknowledged: 0,
            dirty_bytes: 0,
            queue: DirtyQueue::default(),
            before_images: Vec::new(),
            threshold: 0,
            anchors: Anchors::new(LogPoint::default()),
            running: VecDeque::new(),
            horizon: Arc::new(Horizon::new()),
        }
    }

    /// Starts behind what a database holds, which was written when a commit with these clocks was durable.
    pub fn resume(&mut self, start: LogPoint, times: Times) {
        self.current = start.number.0;
        self.acknowledged = start.number.0;
        // The commits to redo may be older than the database's clocks.
        self.now = Times { watermark: i64::MIN, ..times };
        self.anchors = Anchors::new(start);
        self.horizon.advance(times);
    }

    pub fn horizon(&self) -> &Arc<Horizon> {
        &self.horizon
    }

    pub fn begin(&mut self, commit: u64, processing_time: i64) {
        assert!(
            commit >= self.current && commit > self.acknowledged,
            "commit {commit} begins after {} began and {} was acknowledged",
            self.current,
            self.acknowledged
        );
        self.current = commit;
        self.now.processing = processing_time;
        match self.running.back_mut() {
            Some((last, times)) if *last == commit => times.processing = processing_time,
            _ => self
                .running
                .push_back((commit, Times { processing: processing_time, ..Times::START })),
        }
    }

    /// Event time has reached `watermark` in the running commit.
    pub fn reach(&mut self, watermark: i64) {
        if let Some((_, times)) = self.running.back_mut() {
            times.watermark = times.watermark.max(watermark);
        }
    }

    pub fn acknowledge(&mut self, point: LogPoint) {
        let number = point.number.0;
        if number <= self.acknowledged {
            return;
        }
        self.acknowledged = number;
        self.current = self.current.max(number);
        self.anchors.push(point);
        while let Some(&(commit, times)) = self.running.front()
            && commit <= number
        {
            self.horizon.advance(times);
            self.running.pop_front();
        }
    }

    /// The newest acknowledged commit.
    pub fn acknowledged_point(&self) -> LogPoint {
        self.anchors.newest()
    }

    /// Whether its content must be set aside before the running commit overwrites it.
    #[inline]
    pub fn needs_before_image(&self, dirt: Dirt) -> bool {
        // A clean one wraps around to the largest number.
        dirt.oldest.wrapping_sub(1) < self.threshold && dirt.newest < self.current
    }

    /// Sets content aside.
    pub fn set_aside(&mut self, dirt: Dirt, change: Change) {
        self.before_images.push(BeforeImage { newest: dirt.newest, oldest: dirt.oldest, change });
    }

    /// Has what is dirty since `oldest` or before set aside when it is next overwritten.
    pub fn raise_threshold(&mut self, oldest: u64) {
        self.threshold = self.threshold.max(oldest);
    }

    /// Records a write of the running commit to a unit of `bytes`.
    #[inline]
    pub fn mark(&mut self, dirt: &mut Dirt, unit: Unit, bytes: usize) {
        if dirt.is_dirty() {
            dirt.newest = self.current;
        } else {
            *dirt = Dirt::new(self.current);
            self.queue.push(self.current, unit);
            self.dirty_bytes += bytes;
        }
    }

    /// Records a write of the running commit to a unit whose older writes were set aside.
    pub fn mark_anew(&mut self, dirt: &mut Dirt, unit: Unit) {
        *dirt = Dirt::new(self.current);
        self.queue.push(self.current, unit);
    }

    /// The last commit all of whose effects are in the database. `is_current` tells whether a queued unit is
    /// still dirty since that commit.
    pub fn redo_from(&mut self, is_current: impl Fn(u64, Unit) -> bool) -> LogPoint {
        while let Some((oldest, unit)) = self.queue.peek()
            && !is_current(oldest, unit)
        {
            self.queue.pop();
        }
        let in_memory = self.queue.peek().map(|(oldest, _)| oldest);
        let set_aside = self.before_images.iter().map(|image| image.oldest).min();
        match [in_memory, set_aside].into_iter().flatten().min() {
            Some(oldest) => self.anchors.before(oldest),
            None => self.anchors.before(u64::MAX),
        }
    }
}
