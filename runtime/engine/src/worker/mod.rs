//! The worker: runs pipelines against JetStream. One per process and tenant.
//!
//! [`Worker`] holds the set of running pipelines. A pipeline is a task per partition
//! (`partition`), a reader per source of a stage (`source`) or per stage that it reads (`exchange`), an egress per
//! partition and sink (`egress`), and a supervisor that starts readers and trims the log (`supervisor`).
//!
//! Architecture invariant: what must be decided is decided in `millstream_core`; here facts are
//! read and decisions carried out.

mod broken;
mod catch_up;
mod checkpoint;
mod commits;
mod egress;
mod exchange;
mod follow;
mod gate;
mod here;
mod lanes;
mod observer;
mod opening;
mod operator;
mod pace;
mod partition;
mod pipeline;
mod reading;
mod redrive;
mod report;
mod savepoint;
mod savepoints;
mod sealed;
mod source;
mod standby;
mod supervisor;
mod trimming;
mod verifying;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use millstream_core::ids::{Incarnation, key_hash, partition_of};
use millstream_log::Name;
use millstream_log::blobs::{Blobs, JetStreamBlobs, UrlBlobs};
use millstream_log::commit_log::JetStreamLog;
use millstream_log::connect::Accounts;
use millstream_state::{Inspected, Shared};
use tokio::sync::Mutex;

use self::observer::Guests;
use self::opening::pipeline_dir;
use self::pipeline::Pipeline;
pub use self::pipeline::{Assigned, Share};
#[doc(hidden)]
pub use self::savepoint::Savepoint;
use crate::logs::LogLine;
use crate::spec::PipelineSpec;
use crate::status::{CheckpointInfo, CommitPoint, PipelineStatus};

/// Bucket of checkpoints.
const CHECKPOINTS: &str = "millstream-checkpoints";

/// What all pipelines of a worker share.
pub struct Context {
    accounts: Accounts,
    data: PathBuf,
    shared: Arc<Shared>,
    blobs: Arc<dyn Blobs>,
    replicas: usize,
    guests: Guests,
}

impl Context {
    /// Where a pipeline's checkpoints are: at the URL of its specification, or in the worker's own store.
    fn checkpoints_of(&self, url: Option<&str>) -> Result<Arc<dyn Blobs>, String> {
        match url {
            Some(url) => {
                let store = UrlBlobs::open(url).map_err(|error| error.to_string())?;
                Ok(Arc::new(store))
            }
            None => Ok(Arc::clone(&self.blobs)),
        }
    }

    /// A number nobody else has: an ownership is told from all others by it.
    fn random(&self) -> u128 {
        #[expect(
            clippy::disallowed_methods,
            reason = "an ownership must differ from all others; it decides nothing else"
        )]
        let number = rand::random();
        number
    }
}

/// One life of a pipeline, as far as it leaves anything behind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Life {
    /// Which.
    pub incarnation: Incarnation,
    /// As [`PipelineSpec::log`].
    pub log: Option<String>,
    /// As [`PipelineSpec::checkpoint_store`].
    pub checkpoint_store: Option<String>,
}

/// What a partition holds for a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyFound {
    /// The partition.
    pub partition: u16,
    /// Its states.
    pub states: Vec<Inspected>,
    /// Its pending timers as (name, time in milliseconds since 1970 UTC), by time.
    pub timers: Vec<(String, i64)>,
}

/// Runs pipelines.
pub struct Worker {
    context: Arc<Context>,
    places: std::sync::Mutex<BTreeMap<String, Arc<Place>>>,
}

/// Where the pipeline of a name runs. Whoever changes it is the only one to do so; whoever looks at it waits for nobody.
#[derive(Default)]
struct Place {
    changing: Mutex<()>,
    running: std::sync::Mutex<Option<Arc<Pipeline>>>,
}

impl Place {
    fn running(&self) -> Option<Arc<Pipeline>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, pipeline: Option<Pipeline>) {
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = pipeline.map(Arc::new);
    }

    /// Stops what runs here, which can be looked at until it has stopped. For whoever holds `changing`.
    async fn stop(&self) {
        if let Some(running) = self.running() {
            running.stop().await;
            self.set(None);
        }
    }
}

impl Worker {
    /// A worker without pipelines. Keyed state is kept under `data`, checkpoints in an object store with
    /// `replicas` copies.
    pub async fn start(
        accounts: impl Into<Accounts>,
        data: &Path,
        shared: Arc<Shared>,
        replicas: usize,
    ) -> Result<Self, String> {
        let accounts = accounts.into();
        let bucket = Name::new(CHECKPOINTS).map_err(|e| e.to_string())?;
        let blobs = JetStreamBlobs::open(&accounts.engine, &bucket, replicas)
            .await
            .map_err(|e| e.to_string())?;
        savepoint::forget_unfinished(data)?;
        let context = Context {
            guests: Guests::start(accounts.tenant.client().clone()),
            accounts,
            data: data.to_owned(),
            shared,
            blobs: Arc::new(blobs),
            replicas,
        };
        Ok(Self { context: Arc::new(context), places: std::sync::Mutex::default() })
    }

    /// The place of a name. Places that nobody uses are forgotten.
    fn place(&self, name: &str) -> Arc<Place> {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        places.retain(|_, place| Arc::strong_count(place) > 1 || place.running().is_some());
        Arc::clone(places.entry(name.to_owned()).or_default())
    }

    /// All that runs, by name.
    fn running(&self) -> Vec<(String, Arc<Pipeline>)> {
        let places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let running =
            places.iter().filter_map(|(name, place)| Some((name.clone(), place.running()?)));
        running.collect()
    }

    fn pipeline(&self, name: &str) -> Option<Arc<Pipeline>> {
        let places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        places.get(name)?.running()
    }

    /// Runs a whole pipeline here, as [`Worker::apply_part`] does.
    pub async fn apply(&self, spec: PipelineSpec) -> Result<Option<Duration>, String> {
        let share = Share::whole(&spec);
        self.apply_part(spec, &share).await
    }

    /// Runs these partitions of a pipeline here and no others, and stands by for those, or changes what runs: by swapping
    /// modules at a commit boundary where that is enough, else by stopping it after its last commit and starting it anew.
    /// Partitions that stay do not notice that others come and go. Gives how long a swap kept a partition from computing, at most; none: nothing
    /// was swapped. Modules that do not fit what the running ones have kept are refused, and those go on.
    pub async fn apply_part(
        &self,
        spec: PipelineSpec,
        share: &Share,
    ) -> Result<Option<Duration>, String> {
        let name = spec.name.clone();
        let place = self.place(&name);
        let _changing = place.changing.lock().await;
        if let Some(running) = place.running() {
            running.check_modules(&spec)?;
        }
        if let Some(running) = place.running()
            && !running.has_ended()
            && running.status().reason.is_none()
            && running.can_swap_to(&spec)
        {
            running.runs_by(spec.recorded);
            let mut swapped = None;
            if running.needs_swap_to(&spec) {
                let pause = running.swap(&self.context, spec).await?;
                tracing::info!(pipeline = %name, pause_us = pause.as_micros() as u64, "modules swapped");
                swapped = Some(pause);
                // They go on with the new modules.
                running.stand_by(&Assigned::new()).await?;
            }
            running.assign(&share.runs).await?;
            running.stand_by(&share.follows).await?;
            return Ok(swapped);
        }
        place.stop().await;
        let pipeline = Pipeline::start(&self.context, spec, &share.runs).await?;
        let standing_by = pipeline.stand_by(&share.follows).await;
        place.set(Some(pipeline));
        standing_by.map(|()| None)
    }

    /// Stops those partitions of a running pipeline that are not assigned to this node. What does not run is not started.
    pub async fn release(&self, name: &str, assigned: &Assigned) -> Result<(), String> {
        let place = self.place(name);
        let _changing = place.changing.lock().await;
        match place.running() {
            Some(running) if !running.has_ended() => running.release(assigned).await,
            _ => Ok(()),
        }
    }

    /// Which partitions of a pipeline are on this node, stopped or not; of stages that have none here nothing.
    pub fn held(&self, name: &str) -> Assigned {
        self.pipeline(name).map(|pipeline| pipeline.held()).unwrap_or_default()
    }

    /// The same of all pipelines.
    pub fn held_all(&self) -> BTreeMap<String, Assigned> {
        self.running().into_iter().map(|(name, pipeline)| (name, pipeline.held())).collect()
    }

    /// For which partitions of the pipelines this node stands by with all that was in the log when it looked last.
    pub fn ready_all(&self) -> BTreeMap<String, Assigned> {
        self.running().into_iter().map(|(name, pipeline)| (name, pipeline.ready())).collect()
    }

    /// The newest commit of each partition that has made one here.
    pub fn committed(&self) -> Vec<CommitPoint> {
        self.running().iter().flat_map(|(_, pipeline)| pipeline.committed()).collect()
    }

    /// Stops or continues computing. `false`: it does not run.
    pub async fn hold(&self, name: &str, held: bool) -> bool {
        let place = self.place(name);
        let _changing = place.changing.lock().await;
        place.running().map(|pipeline| pipeline.hold(held)).is_some()
    }

    /// Stops a pipeline after its last commit. With `drain` it first processes what its sources hold now; to drop the
    /// future before that is done leaves the pipeline as it was.
    pub async fn stop(&self, name: &str, drain: bool) -> Result<(), String> {
        // A drain takes as long as it takes; nobody waits for it who does not ask to.
        if let Some(pipeline) = self.pipeline(name).filter(|_| drain) {
            pipeline.catch_up().await?;
        }
        let place = self.place(name);
        let _changing = place.changing.lock().await;
        place.stop().await;
        Ok(())
    }

    /// Stops a pipeline if it runs, and removes what this node keeps of its state.
    pub async fn discard(&self, name: &str, incarnation: Incarnation) -> Result<(), String> {
        let place = self.place(name);
        let _changing = place.changing.lock().await;
        place.stop().await;
        self.context.guests.forget(name);
        let dir = pipeline_dir(&self.context.data, name, incarnation);
        millstream_state::wipe(&dir).map_err(|e| e.to_string())
    }

    /// Stops a pipeline if it runs, and removes this life's log, checkpoints and, on this node, state.
    pub async fn delete(&self, name: &str, life: &Life) -> Result<(), String> {
        let place = self.place(name);
        let _changing = place.changing.lock().await;
        place.stop().await;
        self.context.guests.forget(name);
        self.remove(name, life).await
    }

    /// Removes log, checkpoints and, on this node, state of an earlier life of a pipeline, which may run in another.
    pub async fn retire(&self, name: &str, life: &Life) -> Result<(), String> {
        let place = self.place(name);
        let _changing = place.changing.lock().await;
        if place.running().is_some_and(|running| running.spec().incarnation == life.incarnation) {
            return Err("it still runs".to_owned());
        }
        self.remove(name, life).await
    }

    async fn remove(&self, name: &str, life: &Life) -> Result<(), String> {
        let blobs = self.context.checkpoints_of(life.checkpoint_store.as_deref())?;
        checkpoint::delete_all(&*blobs, name, life.incarnation).await?;
        let dir = pipeline_dir(&self.context.data, name, life.incarnation);
        millstream_state::wipe(&dir).map_err(|e| e.to_string())?;
        let log = Name::new(life.log.as_deref().unwrap_or(name)).map_err(|e| e.to_string())?;
        JetStreamLog::delete(&self.context.accounts.engine, &log).await.map_err(|e| e.to_string())
    }

    /// How a pipeline is; `None` if it does not run here.
    pub async fn status(&self, name: &str) -> Option<PipelineStatus> {
        Some(self.pipeline(name)?.status())
    }

    /// The last `limit` log lines of a pipeline's guests, or of one stage's, oldest first.
    pub fn logs(&self, name: &str, stage: Option<&str>, limit: usize) -> Vec<LogLine> {
        self.context.guests.logs.last(name, stage, limit)
    }

    /// States and timers of a key, and its partition.
    pub async fn state_of(
        &self,
        name: &str,
        stage: &str,
        key: &[u8],
        limit: usize,
    ) -> Result<KeyFound, String> {
        let pipeline = self.pipeline(name).ok_or("not running")?;
        let partitions = pipeline
            .spec()
            .stages
            .iter()
            .find(|s| s.name == stage)
            .ok_or_else(|| format!("no stage `{stage}`"))?
            .partitions;
        let partition = partition_of(key_hash(key), partitions);
        let key = key.to_vec();
        let mut found = pipeline
            .inspect(stage, Some(partition), move |operator| {
                let timers = operator.executor.timers_of(&key);
                let states = operator.executor.state().inspect(&key, limit);
                Ok(KeyFound { partition, states: states.map_err(|e| e.to_string())?, timers })
            })
            .await?;
        found.pop().ok_or("the partition is not on this node")?
    }

    /// Keys that have state, ascending.
    pub async fn keys(
        &self,
        name: &str,
        stage: &str,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Vec<u8>>, String> {
        let pipeline = self.pipeline(name).ok_or("not running")?;
        let (prefix, after) = (prefix.to_vec(), after.map(<[u8]>::to_vec));
        let found = pipeline
            .inspect(stage, None, move |operator| {
                operator
                    .executor
                    .state()
                    .keys(&prefix, after.as_deref(), limit)
                    .map_err(|e| e.to_string())
            })
            .await?;
        let mut keys = Vec::new();
        for part in found {
            keys.extend(part?);
        }
        keys.sort_unstable();
        keys.truncate(limit);
        Ok(keys)
    }

    /// Stores a checkpoint of every partition that changed; the newest of each.
    pub async fn checkpoint(&self, name: &str) -> Result<Vec<CheckpointInfo>, String> {
        self.pipeline(name).ok_or("not running")?.checkpoint().await
    }

    /// All stored checkpoints.
    pub async fn checkpoints(&self, name: &str) -> Result<Vec<CheckpointInfo>, String> {
        self.pipeline(name).ok_or("not running")?.checkpoints().await
    }

    /// All metrics as Prometheus text.
    pub async fn metrics_text(&self) -> String {
        let statuses: Vec<_> =
            self.running().into_iter().map(|(name, running)| (name, running.status())).collect();
        crate::metrics::text(&statuses, &self.context.guests.metrics, &self.context.shared)
    }

    /// Stops all pipelines after their last commits.
    pub async fn shutdown(&self) {
        let names = self.running().into_iter().map(|(name, _)| name);
        let stopping = names.map(|name| async move {
            let place = self.place(&name);
            let _changing = place.changing.lock().await;
            place.stop().await;
        });
        futures::future::join_all(stopping).await;
    }
}
