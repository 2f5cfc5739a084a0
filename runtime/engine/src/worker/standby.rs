//! Stands by for a partition that runs on another node: follows its log and keeps its state, so that the partition can go
//! on here at once.
//!
//! A standby owns nothing and decides nothing. What it has applied is a cache, like a local database: whoever takes the
//! partition over looks for the newest record applied in the log first.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use millstream_core::ids::{Incarnation, Sequence};
use millstream_core::partition::Operator;
use millstream_core::recovery::{
    BEFORE_FIRST, Follow, Followed, LocalState, StoredRecord, is_point,
};
use millstream_log::commit_log::{CommitLog, PartitionSubject};
use millstream_log::connect::Connection;
use millstream_log::source::{
    Delivery, ReadAhead, Source, SourceEvent, SourceOptions, SourceReader, StartAt,
};
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::checkpoint::CheckpointStore;
use super::operator::StageOperator;
use super::partition;

/// Wait before a log that cannot be followed is tried again.
const FOLLOW_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// What is followed.
pub struct StandbySpec {
    pub connection: Connection,
    pub log: Arc<dyn CommitLog>,
    /// The log's stream.
    pub stream: String,
    pub subject: PartitionSubject,
    pub pipeline: Incarnation,
    pub store: CheckpointStore,
}

/// A standby at work.
pub struct Standby {
    task: JoinHandle<StageOperator>,
    stop: DropGuard,
    ready: Arc<AtomicBool>,
}

impl Standby {
    /// Begins with what the operator's database holds.
    pub fn start(spec: StandbySpec, operator: StageOperator) -> Self {
        let (stop, ready) = (CancellationToken::new(), Arc::new(AtomicBool::new(false)));
        let following = Following { spec, operator, stop: stop.clone(), ready: Arc::clone(&ready) };
        Self { task: tokio::spawn(following.run()), stop: stop.drop_guard(), ready }
    }

    /// Whether it has everything that was in the log when it looked last.
    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Relaxed)
    }

    /// Ends it. Gives the operator with what was applied; none if the task failed.
    pub async fn end(self) -> Option<StageOperator> {
        drop(self.stop);
        self.task.await.inspect_err(|error| tracing::error!(%error, "a standby failed")).ok()
    }
}

struct Following {
    spec: StandbySpec,
    operator: StageOperator,
    stop: CancellationToken,
    ready: Arc<AtomicBool>,
}

impl Following {
    async fn run(mut self) -> StageOperator {
        let stop = self.stop.clone();
        while !stop.is_cancelled() {
            let followed = self.follow().await;
            self.ready.store(false, Ordering::Relaxed);
            let Err(why) = followed else { continue };
            let partition = self.spec.subject.as_str();
            tracing::warn!(%partition, %why, "standby cannot follow the log; trying again");
            tokio::select! {
                () = tokio::time::sleep(FOLLOW_AGAIN_AFTER) => {}
                () = stop.cancelled() => {}
            }
        }
        self.operator
    }

    /// Applies what the log holds and what comes, until it is stopped or must begin anew.
    async fn follow(&mut self) -> Result<(), String> {
        let stop = self.stop.clone();
        let begun = tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(()),
            begun = begin(&self.spec, self.operator.local()) => begun?,
        };
        let Some(mut reader) = begun else {
            tracing::info!(partition = %self.spec.subject.as_str(), "local database is not of this log's history and is wiped");
            self.operator.wipe();
            return Ok(());
        };
        let applied = self.operator.local().map_or(BEFORE_FIRST, |local| local.redo_from);
        let mut follow = Follow::behind(self.spec.pipeline, applied);
        let mut batch: Vec<Delivery> = Vec::new();
        loop {
            batch.clear();
            let event = tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                event = reader.next(&mut batch) => event.map_err(text)?,
            };
            if let SourceEvent::CaughtUp { .. } = event {
                self.ready.store(true, Ordering::Relaxed);
            }
            // A gap may be of other partitions only; the records say.
            for delivery in batch.drain(..) {
                let stored =
                    StoredRecord { sequence: delivery.sequence, message: delivery.payload };
                match follow.accept(&stored).map_err(text)? {
                    Followed::Known => {}
                    Followed::Next(record, point) => {
                        self.operator.redo(&record, point).map_err(text)?;
                        if let Some(why) = self.operator.failure() {
                            self.operator.wipe();
                            return Err(why);
                        }
                    }
                    Followed::Trimmed(_) => return self.restore().await,
                }
            }
            tokio::task::yield_now().await;
        }
    }

    /// Begins again from the newest checkpoint. It is not given up halfway: whoever takes over would have to do the same.
    async fn restore(&mut self) -> Result<(), String> {
        self.operator.detach().map_err(text)?;
        let restored = self.spec.store.restore(self.operator.dir()).await;
        if let Err(error) = self.operator.reopen() {
            self.operator.wipe();
            return Err(format!("the checkpoint cannot be opened: {error}"));
        }
        match restored? {
            true => Ok(()),
            false => Err("its beginning is gone, and there is no checkpoint".to_owned()),
        }
    }
}

/// A reader behind what is there already. `None`: what is there is not of this log.
async fn begin(
    spec: &StandbySpec,
    local: Option<LocalState>,
) -> Result<Option<SourceReader>, String> {
    let mut start = StartAt::Beginning;
    if let Some(local) = local {
        for point in local.points() {
            let (log, at) = (&*spec.log, point.sequence);
            let found = partition::read(log, &spec.subject, at, at).await.pop();
            if !is_point(&point, found.as_ref()) {
                return Ok(None);
            }
        }
        if local.redo_from.sequence > Sequence(0) {
            start = StartAt::After(local.redo_from.sequence);
        }
    }
    let options = SourceOptions {
        stream: spec.stream.clone(),
        filters: vec![spec.subject.as_str().to_owned()],
        start,
        created_ns: None,
        ahead: ReadAhead::default(),
        consume: None,
    };
    SourceReader::open(&spec.connection, options).await.map(Some).map_err(text)
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
