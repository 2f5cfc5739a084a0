//! Commits, pinned in the trail.
//!
//! A commit record repeats the hash of the one before it, back to the first one of its partition and life. So the hash of
//! one record, in the trail, pins all before it: none of them can be replaced later, nor the log be continued from an
//! earlier one, without another hash at that number. Each node writes the newest commit of its partitions, if there is
//! a new one, once a minute: what the trail does not pin yet are the commits of the last minute.
//!
//! Commits do not wait for this, and go on without the trail: the next point pins what was missed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::entry::CommitPoint;
use super::{Trail, What};
use crate::worker::Worker;

/// How often commits are pinned.
pub const EVERY: Duration = Duration::from_secs(60);
/// Most points of one entry: about 300 bytes each, well within a message.
const POINTS_MAX: usize = 1_000;

/// A partition of a life of a pipeline.
type Place = (String, String, String, u16);

fn place(point: &CommitPoint) -> Place {
    let CommitPoint { pipeline, incarnation, stage, partition, .. } = point;
    (pipeline.clone(), incarnation.clone(), stage.clone(), *partition)
}

/// Pins what is committed here, every so often and once more at the end, until `stop`.
pub async fn run<W: Worker>(
    worker: Arc<W>,
    trail: Arc<Trail>,
    every: Duration,
    stop: CancellationToken,
) {
    let mut pinned = BTreeMap::new();
    loop {
        let stopped = tokio::select! {
            () = tokio::time::sleep(every) => false,
            () = stop.cancelled() => true,
        };
        pin(worker.committed(), &trail, &mut pinned).await;
        if stopped {
            return;
        }
    }
}

/// Writes what is new since it was pinned.
async fn pin(committed: Vec<CommitPoint>, trail: &Trail, pinned: &mut BTreeMap<Place, u64>) {
    let present = |place: &Place| committed.iter().any(|point| self::place(point) == *place);
    pinned.retain(|place, _| present(place));
    let is_new = |point: &&CommitPoint| pinned.get(&place(point)) != Some(&point.commit);
    let new: Vec<CommitPoint> = committed.iter().filter(is_new).cloned().collect();
    for points in new.chunks(POINTS_MAX) {
        let written = trail.append(What::Commits { points: points.to_vec() }).await;
        if let Err(problem) = written {
            tracing::error!(%problem, "commits are not pinned in the audit trail; trying again");
            return;
        }
        pinned.extend(points.iter().map(|point| (place(point), point.commit)));
    }
}
