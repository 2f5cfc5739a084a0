//! Follows the log of the partitions of a stage that are on other nodes, for the readers of that stage on this one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use millstream_core::commit::CommitRecord;
use millstream_core::ids::Sequence;
use millstream_log::commit_log::{CommitLog, PartitionSubject};
use millstream_log::connect::Connection;
use millstream_log::source::{
    Delivery, ReadAhead, Source, SourceEvent, SourceOptions, SourceReader, StartAt,
};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::commits::{Commits, Committed};

/// Wait before a log that cannot be read is followed again.
const FOLLOW_AGAIN_AFTER: Duration = Duration::from_millis(200);

/// What is followed.
pub struct FollowSpec {
    pub connection: Connection,
    pub log: Arc<dyn CommitLog>,
    /// The log's stream.
    pub stream: String,
    /// The partitions that are elsewhere.
    pub subjects: BTreeMap<u16, PartitionSubject>,
    pub commits: Arc<Commits>,
}

/// A follower; it ends when dropped.
pub struct Follower {
    pub partitions: BTreeSet<u16>,
    _task: AbortOnDropHandle<()>,
}

/// Starts following.
pub fn start(spec: FollowSpec, cancel: CancellationToken) -> Follower {
    let partitions = spec.subjects.keys().copied().collect();
    let task = tokio::spawn(async move {
        tokio::select! {
            () = cancel.cancelled() => {}
            () = follow(spec) => {}
        }
    });
    Follower { partitions, _task: AbortOnDropHandle::new(task) }
}

async fn follow(spec: FollowSpec) {
    loop {
        let Err(why) = read(&spec).await;
        tracing::warn!(stream = %spec.stream, %why, "log of other nodes' partitions cannot be followed; trying again");
        tokio::time::sleep(FOLLOW_AGAIN_AFTER).await;
    }
}

/// Says first how far each partition is, then passes on what follows. Readers fetch what lies before from the log themselves.
async fn read(spec: &FollowSpec) -> Result<std::convert::Infallible, String> {
    let mut begin = None;
    for (&partition, subject) in &spec.subjects {
        let last = spec.log.last(subject).await.map_err(text)?;
        let last = last.map_or(Sequence(0), |last| last.sequence);
        spec.commits.reaches(partition, last);
        begin = Some(begin.map_or(last, |begin: Sequence| begin.min(last)));
    }
    let options = SourceOptions {
        stream: spec.stream.clone(),
        filters: spec.subjects.values().map(|subject| subject.as_str().to_owned()).collect(),
        // One without records may have its first one anywhere; the log may have been trimmed for the others.
        start: match begin {
            Some(last) if last > Sequence(0) => StartAt::After(last),
            _ => StartAt::Beginning,
        },
        created_ns: None,
        ahead: ReadAhead::default(),
        consume: None,
    };
    let mut reader = SourceReader::open(&spec.connection, options).await.map_err(text)?;
    let partition_of: BTreeMap<&str, u16> =
        spec.subjects.iter().map(|(&partition, subject)| (subject.as_str(), partition)).collect();
    let mut batch: Vec<Delivery> = Vec::new();
    loop {
        batch.clear();
        match reader.next(&mut batch).await.map_err(text)? {
            SourceEvent::Records { .. } => {}
            SourceEvent::CaughtUp { .. } => continue,
            // Something may be missing: it begins anew behind what there is, and who needs more finds out.
            SourceEvent::Gap { from, through } => {
                return Err(format!("records {} to {} are gone", from.0, through.0));
            }
        }
        for delivery in batch.drain(..) {
            let Some(&partition) = partition_of.get(delivery.subject.as_str()) else { continue };
            if delivery.sequence <= spec.commits.newest(partition) {
                continue;
            }
            let record = CommitRecord::decode(&delivery.payload).map_err(text)?;
            let (sequence, number) = (delivery.sequence, record.header.number);
            let (outputs, exchange) = (record.slice.outputs.freeze(), record.slice.exchange);
            spec.commits.push(partition, Committed { sequence, number, outputs, exchange });
        }
    }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
