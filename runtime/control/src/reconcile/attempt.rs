//! One attempt to make a pipeline on this node what is wanted of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use millstream_core::ids::Incarnation;
use millstream_engine::spec::PipelineSpec;
use millstream_log::kv::Revision;
use millstream_sandbox::Module;
use tokio::time::Instant;

use super::{Reconciler, Wanted};
use crate::api::pipelines::Desired;
use crate::api::status::Phase;
use crate::clock;
use crate::errors;
use crate::manifest::{Document, resolve};
use crate::problem::{Problem, Problems};
use crate::queues;
use crate::registry::{PipelineRecord, Recorded};
use crate::starts;
use crate::worker::{Assigned, Life, Share, Worker, WorkerError};

/// How often another node is asked whether it has let go of a partition, or is done.
const ASK_EVERY: Duration = Duration::from_millis(50);
/// How long a node that takes a partition over waits for the one before to finish; then it takes it.
const HANDOVER_MAX: Duration = Duration::from_secs(10);

impl<W: Worker> Reconciler<W> {
    /// One attempt. `running` is what this task last gave to the worker.
    pub(super) async fn attempt(
        &self,
        name: &str,
        wanted: &Wanted,
        running: &mut Option<Running>,
    ) -> Result<(), String> {
        let Some(recorded) = &wanted.recorded else {
            // The record is gone without a deletion through the API: nothing of the pipeline's is removed.
            *running = None;
            return self.stop_if_here(name).await;
        };
        let record = &recorded.record;
        if running.as_ref().is_some_and(|running| running.incarnation != record.incarnation) {
            accepted(self.worker.stop(name, false).await)?;
            *running = None;
        }
        let mine = self.mine(wanted);
        let is_settled = self.reconciled.settled().get(name) == Some(&recorded.at.0);
        match record.desired {
            Desired::Running => {
                self.run_partitions(recorded, wanted, &mine, running).await?;
                accepted(self.worker.resume(name).await)?;
                self.retire(recorded).await
            }
            Desired::Paused => {
                accepted(self.worker.pause(name).await)?;
                // One that does not run here is not started only to be paused.
                if self.worker.status(name).await.is_some() {
                    self.run_partitions(recorded, wanted, &mine, running).await
                } else {
                    Ok(())
                }
            }
            Desired::Stopped if record.drain => {
                if !is_settled {
                    self.run_partitions(recorded, wanted, &mine, running).await?;
                    accepted(self.worker.resume(name).await)?;
                    accepted(self.worker.stop(name, true).await)?;
                    *running = None;
                }
                if self.is_coordinator() {
                    self.until_others_settled(name, recorded.at).await;
                    self.drained(recorded).await?;
                }
                Ok(())
            }
            Desired::Stopped => {
                *running = None;
                accepted(self.worker.stop(name, false).await)
            }
            Desired::Deleted => {
                *running = None;
                if !self.is_coordinator() {
                    return accepted(self.worker.discard(name, record.incarnation()).await);
                }
                accepted(self.worker.stop(name, false).await)?;
                self.until_others_settled(name, recorded.at).await;
                let deleted = async {
                    for (place, life) in lives(record).enumerate() {
                        match place {
                            0 => self.worker.delete(name, &life).await?,
                            _ => self.worker.retire(name, &life).await?,
                        }
                    }
                    Ok::<(), WorkerError>(())
                };
                deleted.await.map_err(|error| error.to_string())?;
                queues::forget(&self.connection, &record.queues, name, record.incarnation())
                    .await
                    .map_err(|error| error.to_string())?;
                self.removed(recorded).await
            }
        }
    }

    /// Stops what runs here of a pipeline, if anything does.
    async fn stop_if_here(&self, name: &str) -> Result<(), String> {
        match self.worker.status(name).await {
            Some(_) => accepted(self.worker.stop(name, false).await),
            None => Ok(()),
        }
    }

    /// Runs the partitions of this node and no others, and stands by for those it is to.
    async fn run_partitions(
        &self,
        recorded: &Recorded,
        wanted: &Wanted,
        mine: &Share,
        running: &mut Option<Running>,
    ) -> Result<(), String> {
        let record = &recorded.record;
        let name = &record.name;
        if mine.is_empty() {
            *running = None;
            return self.stop_if_here(name).await;
        }
        let now = Running::of(record, mine);
        if running.as_ref() == Some(&now)
            && let Some(status) = self.worker.status(name).await
            && status.phase != Phase::Failed
            && self.worker.held(name) == mine.runs
        {
            return Ok(());
        }
        // What others wait for is let go of first.
        accepted(self.worker.release(name, &mine.runs).await)?;
        self.until_handed_over(name, wanted, &mine.runs).await;
        let spec = self.spec(recorded).await.map_err(|problems| problems.to_string())?;
        self.worker.apply(spec, mine).await.map_err(|error| error.to_string())?;
        *running = Some(now);
        Ok(())
    }

    /// Waits until the nodes that had partitions of this one before have let go of them. One that does not answer has,
    /// or will be fenced.
    async fn until_handed_over(&self, name: &str, wanted: &Wanted, mine: &Assigned) {
        let held = self.worker.held(name);
        let mut awaited: BTreeMap<String, Vec<(String, u16)>> = BTreeMap::new();
        for (stage, slots) in wanted.assignment.iter().flat_map(|a| &a.stages) {
            let is_new = |partition: &u16| {
                mine.get(stage).is_some_and(|mine| mine.contains(partition))
                    && !held.get(stage).is_some_and(|held| held.contains(partition))
            };
            for (partition, slot) in (0..).zip(slots).filter(|(partition, _)| is_new(partition)) {
                let previous =
                    slot.previous.as_ref().filter(|previous| **previous != self.peers.me);
                if let Some(previous) = previous {
                    awaited.entry(previous.clone()).or_default().push((stage.clone(), partition));
                }
            }
        }
        let begun = Instant::now();
        for (identity, partitions) in awaited {
            while begun.elapsed() < HANDOVER_MAX && self.peers.others().contains(&identity) {
                let Some(held) = self.peers.held(&identity).await else { break };
                let part = held.pipelines.get(name);
                let has = |(stage, partition): &(String, u16)| {
                    part.and_then(|part| part.get(stage)).is_some_and(|p| p.contains(partition))
                };
                if !partitions.iter().any(has) {
                    break;
                }
                tokio::time::sleep(ASK_EVERY).await;
            }
        }
    }

    /// Waits until all other nodes that are there are done with a record.
    async fn until_others_settled(&self, name: &str, at: Revision) {
        for identity in self.peers.others() {
            while self.peers.others().contains(&identity) {
                let held = self.peers.held(&identity).await;
                let settled = held.and_then(|held| held.settled.get(name).copied());
                if settled.is_some_and(|settled| settled >= at.0) {
                    break;
                }
                tokio::time::sleep(ASK_EVERY).await;
            }
        }
    }

    /// Removes what earlier lives have left, once no node runs them any more.
    async fn retire(&self, recorded: &Recorded) -> Result<(), String> {
        let record = &recorded.record;
        if record.retired.is_empty() || !self.is_coordinator() {
            return Ok(());
        }
        self.until_others_settled(&record.name, recorded.at).await;
        for life in lives(record).skip(1) {
            self.worker.retire(&record.name, &life).await.map_err(|error| error.to_string())?;
        }
        let record = PipelineRecord { retired: Vec::new(), ..record.clone() };
        superseded_or(self.pipelines.update(&record, recorded.at).await.map(drop))
    }

    async fn spec(&self, Recorded { record, at }: &Recorded) -> Result<PipelineSpec, Problems> {
        let document = Document::parse(&record.file, &record.manifest)?;
        let mut modules: BTreeMap<String, Arc<Module>> = BTreeMap::new();
        for (stage, digest) in &record.modules {
            modules.insert(stage.clone(), self.modules.load(digest).await?);
        }
        let spec = resolve(&document, &modules, record.incarnation())?;
        let mut spec = PipelineSpec { log: record.log.clone(), recorded: at.0, ..spec };
        let starts = match starts::are_known(&record.starts, &document) {
            true => record.starts.clone(),
            // A version that did not record them began where they are now.
            false => starts::look_up(&self.connection, &document, clock::now_ms()).await?,
        };
        starts::set(&starts, &mut spec);
        queues::set(&record.queues, &mut spec);
        Ok(spec)
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

/// The life of a pipeline that is wanted.
pub fn life(record: &PipelineRecord) -> Life {
    let (incarnation, log) = (record.incarnation(), record.log.clone());
    Life { incarnation, log, checkpoint_store: checkpoint_store(record) }
}

/// The life of a pipeline that is wanted, then those before it.
fn lives(record: &PipelineRecord) -> impl Iterator<Item = Life> {
    let wanted = life(record);
    let checkpoint_store = wanted.checkpoint_store.clone();
    let retired = record.retired.iter().map(move |life| Life {
        incarnation: Incarnation(life.incarnation),
        log: life.log.clone(),
        checkpoint_store: checkpoint_store.clone(),
    });
    std::iter::once(wanted).chain(retired)
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
pub(super) struct Running {
    incarnation: u128,
    manifest: String,
    modules: BTreeMap<String, String>,
    share: Share,
}

impl Running {
    fn of(record: &PipelineRecord, share: &Share) -> Self {
        Running {
            share: share.clone(),
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
