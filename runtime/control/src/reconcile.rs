//! Makes what runs equal to what is recorded.
//!
//! One task per pipeline converges it, so that a pipeline that cannot start, or a drain that takes an hour,
//! disturbs no other. What failed is tried again with growing pauses; the reason is kept as the
//! pipeline's status.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use millstream_engine::spec::PipelineSpec;
use millstream_log::kv::KvEvent;
use millstream_sandbox::Module;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::api::pipelines::Desired;
use crate::api::status::{Phase, PipelineStatus};
use crate::errors;
use crate::lease::{LeaseHandle, Ownership};
use crate::manifest::{Document, resolve};
use crate::problem::{Problem, Problems};
use crate::readiness::Assigned;
use crate::registry::{Modules, PipelineRecord, Pipelines, Recorded};
use crate::worker::{Worker, WorkerError};

/// Pauses between attempts of one pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// After the first failure.
    pub first: Duration,
    /// It doubles up to this.
    pub most: Duration,
}

impl Default for Backoff {
    /// 1 s, doubled up to 30 s.
    fn default() -> Self {
        Backoff { first: Duration::from_secs(1), most: Duration::from_secs(30) }
    }
}

/// Why pipelines do not run, by name.
#[derive(Clone, Debug, Default)]
pub struct Failures(Arc<Mutex<BTreeMap<String, String>>>);

impl Failures {
    /// Why the pipeline does not run, if an attempt failed.
    pub fn reason(&self, pipeline: &str) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(pipeline).cloned()
    }

    fn set(&self, pipeline: &str, reason: Option<String>) {
        let mut reasons = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match reason {
            Some(reason) => reasons.insert(pipeline.to_owned(), reason),
            None => reasons.remove(pipeline),
        };
    }
}

/// The reconciler's parts. Cheap to clone.
pub struct Reconciler<W> {
    pipelines: Pipelines,
    modules: Arc<Modules>,
    worker: Arc<W>,
    failures: Failures,
    assigned: Assigned,
    lease: LeaseHandle,
    backoff: Backoff,
}

impl<W> Clone for Reconciler<W> {
    fn clone(&self) -> Self {
        Reconciler {
            pipelines: self.pipelines.clone(),
            modules: Arc::clone(&self.modules),
            worker: Arc::clone(&self.worker),
            failures: self.failures.clone(),
            assigned: self.assigned.clone(),
            lease: self.lease.clone(),
            backoff: self.backoff,
        }
    }
}

impl<W: Worker> Reconciler<W> {
    /// Over the registry and a worker. Nothing is started or changed while the lease is not held. `assigned` is told what
    /// is wanted.
    pub fn new(
        pipelines: Pipelines,
        modules: Arc<Modules>,
        worker: Arc<W>,
        assigned: Assigned,
        lease: LeaseHandle,
        backoff: Backoff,
    ) -> Self {
        let failures = Failures::default();
        Reconciler { pipelines, modules, worker, failures, assigned, lease, backoff }
    }

    /// Why pipelines do not run.
    pub fn failures(&self) -> Failures {
        self.failures.clone()
    }

    /// Runs until `stop`. Returns the names of all pipelines it has handled; the worker's pipelines stay as they are.
    pub async fn run(self, stop: CancellationToken) -> Vec<String> {
        let mut tasks = Tasks {
            reconciler: self,
            wanted: HashMap::new(),
            running: JoinSet::new(),
            is_current: false,
            stop: stop.clone(),
        };
        let mut pause = tasks.reconciler.backoff.first;
        while !stop.is_cancelled() {
            let watched = tokio::select! {
                watched = tasks.follow() => watched,
                () = stop.cancelled() => break,
            };
            if let Err(reason) = watched {
                tracing::warn!(%reason, "the watch over pipelines ended; it is opened again");
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = stop.cancelled() => break,
            }
            pause = (pause * 2).min(tasks.reconciler.backoff.most);
        }
        tasks.reconciler.assigned.set(None);
        while tasks.running.join_next().await.is_some() {}
        tasks.wanted.into_keys().collect()
    }

    /// Converges one pipeline on every change, and again after failures.
    async fn converge(
        self,
        name: String,
        mut wanted: watch::Receiver<Option<Recorded>>,
        stop: CancellationToken,
    ) {
        let mut running = None;
        let mut lease = self.lease.clone();
        let mut pause = self.backoff.first;
        loop {
            let held = tokio::select! {
                held = lease.until(|ownership| *ownership == Ownership::Holding) => held,
                () = stop.cancelled() => return,
            };
            if held.is_none() {
                return;
            }
            let target = wanted.borrow_and_update().clone();
            // A change ends an attempt under way: a drain may take hours, and the user may think better of it.
            let attempt = tokio::select! {
                attempt = self.attempt(&name, target.as_ref(), &mut running) => attempt,
                changed = wanted.changed() => match changed {
                    Ok(()) => continue,
                    Err(_) => return,
                },
                () = stop.cancelled() => return,
            };
            let wait = match attempt {
                Ok(()) => {
                    self.failures.set(&name, None);
                    pause = self.backoff.first;
                    None
                }
                Err(reason) => {
                    tracing::warn!(pipeline = %name, %reason, retry_ms = pause.as_millis(), "pipeline is not as wanted");
                    self.failures.set(&name, Some(reason));
                    let wait = pause;
                    pause = (pause * 2).min(self.backoff.most);
                    Some(wait)
                }
            };
            let retry = async {
                match wait {
                    Some(wait) => tokio::time::sleep(wait).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                changed = wanted.changed() => match changed {
                    Ok(()) => pause = self.backoff.first,
                    Err(_) => return,
                },
                () = retry => {}
                () = stop.cancelled() => return,
            }
        }
    }

    /// One attempt. `running` is what this task last gave to the worker.
    async fn attempt(
        &self,
        name: &str,
        target: Option<&Recorded>,
        running: &mut Option<Running>,
    ) -> Result<(), String> {
        let Some(recorded) = target else {
            // The record is gone without a deletion through the API: nothing of the pipeline's is removed.
            *running = None;
            return accepted(self.worker.stop(name, false).await);
        };
        let record = &recorded.record;
        if running.as_ref().is_some_and(|running| running.incarnation != record.incarnation) {
            accepted(self.worker.stop(name, false).await)?;
            *running = None;
        }
        match record.desired {
            Desired::Running => {
                self.apply(record, running).await?;
                accepted(self.worker.resume(name).await)
            }
            Desired::Paused => {
                accepted(self.worker.pause(name).await)?;
                // One that does not run here is not started only to be paused.
                if self.worker.status(name).await.is_some() {
                    self.apply(record, running).await
                } else {
                    Ok(())
                }
            }
            Desired::Stopped if record.drain => {
                self.apply(record, running).await?;
                accepted(self.worker.resume(name).await)?;
                accepted(self.worker.stop(name, true).await)?;
                *running = None;
                self.drained(recorded).await
            }
            Desired::Stopped => {
                *running = None;
                accepted(self.worker.stop(name, false).await)
            }
            Desired::Deleted => {
                *running = None;
                let store = checkpoint_store(record);
                self.worker
                    .delete(name, record.incarnation(), store.as_deref())
                    .await
                    .map_err(|error| error.to_string())?;
                self.removed(recorded).await
            }
        }
    }

    async fn apply(
        &self,
        record: &PipelineRecord,
        running: &mut Option<Running>,
    ) -> Result<(), String> {
        let wanted = Running::of(record);
        if running.as_ref() == Some(&wanted)
            && let Some(status) = self.worker.status(&record.name).await
            && status.phase != Phase::Failed
        {
            return Ok(());
        }
        let spec = self.spec(record).await.map_err(|problems| problems.to_string())?;
        self.worker.apply(spec).await.map_err(|error| error.to_string())?;
        *running = Some(wanted);
        Ok(())
    }

    async fn spec(&self, record: &PipelineRecord) -> Result<PipelineSpec, Problems> {
        let document = Document::parse(&record.file, &record.manifest)?;
        let mut modules: BTreeMap<String, Arc<Module>> = BTreeMap::new();
        for (stage, digest) in &record.modules {
            modules.insert(stage.clone(), self.modules.load(digest).await?);
        }
        resolve(&document, &modules, record.incarnation())
    }

    /// The drain is done: a later start of the node must not drain again.
    async fn drained(&self, recorded: &Recorded) -> Result<(), String> {
        let record = PipelineRecord { drain: false, ..recorded.record.clone() };
        superseded_or(self.pipelines.update(&record, recorded.at).await.map(drop))
    }

    async fn removed(&self, recorded: &Recorded) -> Result<(), String> {
        superseded_or(self.pipelines.remove(&recorded.record.name, recorded.at).await)
    }
}

/// The store that the manifest names. A manifest that cannot be read any more must not keep its pipeline from being
/// deleted.
fn checkpoint_store(record: &PipelineRecord) -> Option<String> {
    match Document::parse(&record.file, &record.manifest) {
        Ok(document) => document.manifest.checkpoints.store,
        Err(problems) => {
            tracing::warn!(pipeline = %record.name, %problems, "checkpoints outside JetStream, if any, stay");
            None
        }
    }
}

/// What a worker was given.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Running {
    incarnation: u128,
    manifest: String,
    modules: BTreeMap<String, String>,
}

impl Running {
    fn of(record: &PipelineRecord) -> Self {
        Running {
            incarnation: record.incarnation,
            manifest: record.manifest.clone(),
            modules: record.modules.clone(),
        }
    }
}

/// A pipeline that does not run is paused, resumed and stopped already.
fn accepted(answer: Result<(), WorkerError>) -> Result<(), String> {
    match answer {
        Ok(()) | Err(WorkerError::NotRunning) => Ok(()),
        Err(error @ WorkerError::Failed(_)) => Err(error.to_string()),
    }
}

/// If the record changed meanwhile, that change is on its way to this task.
fn superseded_or(written: Result<(), Problem>) -> Result<(), String> {
    match written {
        Err(problem) if problem.code != errors::PIPELINE_CHANGED => Err(problem.to_string()),
        _ => Ok(()),
    }
}

struct Tasks<W> {
    reconciler: Reconciler<W>,
    wanted: HashMap<String, watch::Sender<Option<Recorded>>>,
    running: JoinSet<()>,
    /// Whether all records have been read once.
    is_current: bool,
    stop: CancellationToken,
}

impl<W: Worker> Tasks<W> {
    /// Hands changes to the pipelines' tasks until the watch ends.
    async fn follow(&mut self) -> Result<(), String> {
        let mut events =
            self.reconciler.pipelines.watch().await.map_err(|problem| problem.to_string())?;
        let mut present: Option<Vec<String>> = Some(Vec::new());
        while let Some(event) = events.next().await {
            match event.map_err(|error| error.to_string())? {
                KvEvent::Change(change) => {
                    let name = change.key().to_owned();
                    match Pipelines::read_change(&change) {
                        Ok(recorded) => {
                            if let Some(present) = &mut present {
                                present.push(name.clone());
                            }
                            self.want(name, recorded);
                        }
                        // It keeps running as it did: an entry that cannot be read says nothing.
                        Err(problem) => {
                            tracing::error!(pipeline = %name, %problem, "a pipeline's record cannot be read");
                            self.reconciler.failures.set(&name, Some(problem.to_string()));
                            if let Some(present) = &mut present {
                                present.push(name);
                            }
                        }
                    }
                }
                KvEvent::Current => {
                    // What a watch that was opened again does not mention was deleted in between.
                    let present = present.take().unwrap_or_default();
                    let gone: Vec<String> = self
                        .wanted
                        .keys()
                        .filter(|name| !present.contains(name))
                        .cloned()
                        .collect();
                    for name in gone {
                        self.want(name, None);
                    }
                    self.is_current = true;
                    self.tell_assigned();
                }
            }
        }
        Err("it ended".to_owned())
    }

    fn tell_assigned(&self) {
        if !self.is_current {
            return;
        }
        let desired = self.wanted.iter().filter_map(|(name, wanted)| {
            Some((name.clone(), wanted.borrow().as_ref()?.record.desired))
        });
        self.reconciler.assigned.set(Some(desired.collect()));
    }

    fn want(&mut self, name: String, recorded: Option<Recorded>) {
        if recorded.is_none() && !self.wanted.contains_key(&name) {
            return;
        }
        self.assign(name, recorded);
        self.tell_assigned();
    }

    /// Hands what is wanted to the pipeline's task, which is started if there is none.
    fn assign(&mut self, name: String, recorded: Option<Recorded>) {
        if let Some(sender) = self.wanted.get(&name) {
            sender.send_replace(recorded);
            return;
        }
        let (sender, receiver) = watch::channel(recorded);
        let task = self.reconciler.clone().converge(name.clone(), receiver, self.stop.clone());
        self.running.spawn(task);
        self.wanted.insert(name, sender);
    }
}

/// The status that users see: what the worker says, or why there is nothing to say.
pub async fn status_of<W: Worker>(
    worker: &W,
    failures: &Failures,
    record: &PipelineRecord,
) -> PipelineStatus {
    let reported = worker.status(&record.name).await;
    let reason = failures.reason(&record.name);
    match (reported, reason) {
        // It runs, and a change of it could not be applied: both are worth knowing.
        (Some(status), Some(reason)) => PipelineStatus { reason: Some(reason), ..status },
        (Some(status), None) => status,
        (None, Some(reason)) => {
            PipelineStatus { phase: Phase::Failed, reason: Some(reason), stages: Vec::new() }
        }
        (None, None) => {
            let phase = match record.desired {
                Desired::Running | Desired::Deleted => Phase::Starting,
                Desired::Paused => Phase::Paused,
                Desired::Stopped => Phase::Stopped,
            };
            PipelineStatus { phase, reason: None, stages: Vec::new() }
        }
    }
}
