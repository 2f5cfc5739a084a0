//! `savepoint.*` and `pipeline.rescale`.
//!
//! A savepoint is taken on one node, to which all partitions of the pipeline come for it. What begins from one is made here, and then
//! recorded: until that has succeeded nothing has happened to any pipeline, and what was made is nobody's.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::future::join_all;
use millstream_core::ids::Incarnation;
use millstream_core::seal::Seal;
use millstream_engine::spec::PipelineSpec;
use millstream_log::Name;

use super::pipelines::{Prepared, refuse_deleted};
use super::state::worker_problem;
use super::{Answer, Service};
use crate::api::changes::ProposedRequest;
use crate::api::pipelines::{Applied, Desired, Outcome};
use crate::api::savepoints::{
    Create, List, Remove, Removed, Rescale, Restore, SavepointInfo, Savepoints,
};
use crate::clock;
use crate::cluster::coordinator::stages_of;
use crate::cluster::gathering::Gathering;
use crate::errors;
use crate::manifest::{Document, diff, resolve, with_partitions};
use crate::problem::{Problem, Problems};
use crate::queues::{self, Queues};
use crate::registry::{PipelineRecord, Recorded, RetiredLife};
use crate::starts;
use crate::worker::{Assigned, Life, Worker, WorkerError};

/// Wait before a record is written again that may or may not be there.
const RECORD_AGAIN_AFTER: Duration = Duration::from_secs(1);
/// How long partitions may take to come to one node, which may have to fetch their state, and how often is looked.
const GATHERED_WITHIN: Duration = Duration::from_secs(300);
const GATHERED_AGAIN_AFTER: Duration = Duration::from_millis(50);

impl<W: Worker> Answer<Create> for Service<W> {
    async fn answer(&self, request: Create) -> Result<SavepointInfo, Problems> {
        let recorded = self.pipelines.require(&request.pipeline).await?;
        refuse_deleted(&recorded.record)?;
        let name = match request.name {
            Some(name) => name,
            None => format!("{}-{}", request.pipeline, clock::now_ms()),
        };
        check_savepoint(&name)?;
        refuse_queues(&recorded.record.queues)?;
        let (holder, _gathering) = self.gather(&recorded.record).await?;
        let (taken, _resting) =
            self.peers.savepoint(&holder, &request.pipeline, &name, request.stop).await?;
        if request.stop {
            let record = PipelineRecord {
                desired: Desired::Stopped,
                drain: false,
                ..changed(&recorded.record, request.by)
            };
            if let Err(problem) = self.pipelines.update(&record, recorded.at).await {
                self.peers.go_on(&holder, &request.pipeline).await;
                return Err(problem.into());
            }
        }
        Ok(taken)
    }
}

impl<W: Worker> Answer<List> for Service<W> {
    async fn answer(&self, _: List) -> Result<Savepoints, Problems> {
        let found = self.peers.local.worker.savepoints().await;
        Ok(Savepoints { savepoints: found.map_err(|error| unreadable(&error))? })
    }
}

impl<W: Worker> Answer<Remove> for Service<W> {
    async fn answer(&self, request: Remove) -> Result<Removed, Problems> {
        let removed = self.peers.local.worker.forget_savepoint(&request.savepoint).await;
        match removed.map_err(|error| unreadable(&error))? {
            true => Ok(Removed { savepoint: request.savepoint }),
            false => Err(self.unknown(&request.savepoint).await.into()),
        }
    }
}

impl<W: Worker> Answer<Restore> for Service<W> {
    async fn answer(&self, request: Restore) -> Result<Applied, Problems> {
        let new = self.prepare(&request.manifest).await?;
        let name = new.document.manifest.name.clone();
        if self.pipelines.get(&name).await?.is_some() {
            let message = format!("there is a pipeline `{name}`");
            return Err(Problem::new(errors::PIPELINE_EXISTS, message)
                .help("give the manifest another `name`; a savepoint begins a pipeline, it does not change one")
                .into());
        }
        let queues = queues::look_up(&self.connection, &new.document).await?;
        refuse_queues(&queues)?;
        let starts = starts::look_up(&self.connection, &new.document, clock::now_ms()).await?;
        let known = self.peers.local.worker.savepoints().await;
        let known = known.map_err(|error| unreadable(&error))?;
        if !known.iter().any(|savepoint| savepoint.name == request.savepoint) {
            return Err(self.unknown(&request.savepoint).await.into());
        }
        let mut applied = Applied {
            pipeline: name.clone(),
            outcome: Outcome::Created,
            desired: Desired::Running,
            changes: Vec::new(),
            revision: 0,
            proposal: None,
        };
        let what = || ProposedRequest::Restore(request.clone());
        let proposed =
            self.propose(&request.consent, &new.digests, &applied, &request.by, what).await?;
        if let Some(proposed) = proposed {
            return Ok(proposed);
        }
        let spec = life_of(&new)?;
        let worker = &self.peers.local.worker;
        let restored = worker.restore(&request.savepoint, &spec).await;
        restored.map_err(|error| not_restored(&error))?;
        let now = clock::now_ms();
        let record = PipelineRecord {
            name: name.clone(),
            file: request.manifest.file,
            manifest: request.manifest.text,
            modules: new.digests,
            incarnation: spec.incarnation.0,
            queues,
            starts,
            log: spec.log.clone(),
            retired: Vec::new(),
            revision: 1,
            desired: Desired::Running,
            drain: false,
            created_at_ms: now,
            changed_at_ms: now,
            by: request.by,
        };
        if let Err(problem) = self.record_new(&record).await {
            worker.unrestore(&spec).await;
            return Err(problem.into());
        }
        tracing::info!(pipeline = %name, savepoint = %request.savepoint, "pipeline created from a savepoint");
        applied.revision = 1;
        Ok(applied)
    }
}

impl<W: Worker> Answer<Rescale> for Service<W> {
    async fn answer(&self, request: Rescale) -> Result<Applied, Problems> {
        let recorded = self.pipelines.require(&request.pipeline).await?;
        refuse_deleted(&recorded.record)?;
        let old = Document::parse(&recorded.record.file, &recorded.record.manifest)?;
        let text = rescaled(&old, &recorded.record.manifest, &request)?;
        let new = Document::parse(&recorded.record.file, &text)?;
        let mut applied = Applied {
            pipeline: request.pipeline.clone(),
            outcome: Outcome::Unchanged,
            desired: recorded.record.desired,
            changes: diff(&old.manifest, &new.manifest),
            revision: recorded.record.revision,
            proposal: None,
        };
        if applied.changes.is_empty() {
            return Ok(applied);
        }
        refuse_queues(&recorded.record.queues)?;
        let new = self.check(new, recorded.record.modules.clone()).await?;
        let (holder, _gathering) = self.gather(&recorded.record).await?;
        let spec = life_of(&new)?;
        let savepoint = format!("rescale-{:032x}", spec.incarnation.0);
        let (_, _resting) =
            self.peers.savepoint(&holder, &request.pipeline, &savepoint, true).await?;
        let switched = self.switch(&recorded, &spec, &savepoint, text, request.by).await;
        if let Err(error) = self.peers.local.worker.forget_savepoint(&savepoint).await {
            tracing::warn!(%savepoint, %error, "savepoint of a rescaling stays");
        }
        match switched {
            Ok(revision) => applied.revision = revision,
            Err(problems) => {
                self.peers.go_on(&holder, &request.pipeline).await;
                return Err(problems);
            }
        }
        applied.outcome = Outcome::Changed;
        tracing::info!(pipeline = %applied.pipeline, revision = applied.revision, "pipeline rescaled");
        Ok(applied)
    }
}

impl<W: Worker> Service<W> {
    /// Makes the new life of a pipeline that rests behind a savepoint, and records it. That record decides which one runs.
    async fn switch(
        &self,
        recorded: &Recorded,
        spec: &PipelineSpec,
        savepoint: &str,
        manifest: String,
        by: String,
    ) -> Result<u64, Problems> {
        let worker = &self.peers.local.worker;
        worker.restore(savepoint, spec).await.map_err(|error| not_restored(&error))?;
        let old = &recorded.record;
        let life = Life { incarnation: old.incarnation(), log: old.log.clone(), ..Life::default() };
        let seal = Seal { life: spec.incarnation, revision: recorded.at.0 };
        if let Err(error) = worker.seal(savepoint, &life, &seal).await {
            worker.unrestore(spec).await;
            // By a newer record, partitions that are sealed go on.
            self.pipelines.update(old, recorded.at).await?;
            return Err(not_restored(&error).into());
        }
        let mut record = PipelineRecord {
            manifest,
            incarnation: spec.incarnation.0,
            log: spec.log.clone(),
            ..changed(old, by)
        };
        record.retired.push(RetiredLife { incarnation: old.incarnation, log: old.log.clone() });
        loop {
            match self.pipelines.update(&record, recorded.at).await {
                Ok(_) => return Ok(record.revision),
                Err(problem) if problem.code == errors::PIPELINE_CHANGED => {
                    let Ok(found) = self.pipelines.get(&record.name).await else { continue };
                    // An earlier try may have landed without an answer.
                    if found.is_some_and(|found| found.record.incarnation == record.incarnation) {
                        return Ok(record.revision);
                    }
                    worker.unrestore(spec).await;
                    return Err(problem.into());
                }
                // Nobody may go on before it is known which life does.
                Err(problem) => {
                    tracing::warn!(pipeline = %record.name, %problem, "a new life cannot be recorded; trying again");
                    tokio::time::sleep(RECORD_AGAIN_AFTER).await;
                }
            }
        }
    }

    /// Has all partitions of a pipeline come to the node that has most of them, and stay there until what is returned with its
    /// identity is dropped.
    async fn gather(&self, record: &PipelineRecord) -> Result<(String, Gathering), Problem> {
        let (name, held) = (&record.name, self.held_of(record).await);
        let most = held.iter().max_by_key(|(_, held)| partitions(held));
        let Some((node, _)) = most.filter(|(_, held)| partitions(held) > 0) else {
            let failed = WorkerError::NotRunning;
            return Err(worker_problem(name, errors::SAVEPOINT_FAILED, &failed));
        };
        let gathering = self.gatherings.begin(name, node).ok_or_else(|| {
            Problem::new(
                errors::SAVEPOINT_FAILED,
                format!("another one of `{name}` is being taken"),
            )
            .help("wait for it")
        })?;
        let wanted = stages_of(record).unwrap_or_default();
        let all: usize = wanted.iter().map(|stage| usize::from(stage.partitions)).sum();
        let gathered = async {
            while self.held_of(record).await.get(node).map(partitions) != Some(all) {
                tokio::time::sleep(GATHERED_AGAIN_AFTER).await;
            }
        };
        if tokio::time::timeout(GATHERED_WITHIN, gathered).await.is_ok() {
            return Ok((node.clone(), gathering));
        }
        let on = self.held_of(record).await.values().filter(|held| partitions(held) > 0).count();
        let message = format!(
            "the partitions of `{name}` are on {on} nodes after {} s",
            GATHERED_WITHIN.as_secs()
        );
        Err(Problem::new(errors::PIPELINE_SPREAD, message)
            .help("`millstream describe` says which do not run; the node's log says why"))
    }

    /// What each node that is there has of a pipeline.
    async fn held_of(&self, record: &PipelineRecord) -> BTreeMap<String, Assigned> {
        let nodes = self.peers.others().into_iter().chain([self.peers.me.clone()]);
        let asked = join_all(nodes.map(|node| async move {
            let held = self.peers.held(&node).await?.pipelines.remove(&record.name)?;
            Some((node, held))
        }));
        asked.await.into_iter().flatten().collect()
    }

    async fn unknown(&self, name: &str) -> Problem {
        let known = self.peers.local.worker.savepoints().await.unwrap_or_default();
        let help = crate::manifest::suggest(name, known.iter().map(|known| known.name.as_str()));
        Problem::new(errors::SAVEPOINT_UNKNOWN, format!("there is no savepoint `{name}`"))
            .help(help)
    }
}

fn partitions(held: &Assigned) -> usize {
    held.values().map(BTreeSet::len).sum()
}

/// A new life of a prepared pipeline, which has a log of its own.
fn life_of(new: &Prepared) -> Result<PipelineSpec, Problems> {
    let incarnation: Incarnation = clock::random_incarnation();
    let mut spec = resolve(&new.document, &new.modules, incarnation)?;
    spec.log = Some(PipelineSpec::seeded_log(&spec.name, incarnation));
    Ok(spec)
}

/// The record with its next revision.
fn changed(record: &PipelineRecord, by: String) -> PipelineRecord {
    PipelineRecord {
        revision: record.revision + 1,
        changed_at_ms: clock::now_ms(),
        by,
        ..record.clone()
    }
}

/// The manifest with the numbers of partitions that are wanted.
fn rescaled(document: &Document, text: &str, request: &Rescale) -> Result<String, Problems> {
    let manifest = &document.manifest;
    let heads = || manifest.stages.keys().filter(|name| manifest.head_of(name) == name.as_str());
    for stage in request.stages.keys() {
        if heads().any(|name| name == stage) {
            continue;
        }
        let problem = match manifest.stages.contains_key(stage) {
            true => Problem::new(
                errors::STAGE_UNKNOWN,
                format!("stage `{stage}` has the partitions of `{}`", manifest.head_of(stage)),
            ),
            false => {
                let help = crate::manifest::suggest(stage, heads().map(String::as_str));
                let message = format!("`{}` has no stage `{stage}`", request.pipeline);
                Problem::new(errors::STAGE_UNKNOWN, message).help(help)
            }
        };
        return Err(problem.into());
    }
    let mut changed = text.to_owned();
    for stage in heads() {
        let Some(partitions) = request.stages.get(stage).copied().or(request.all) else { continue };
        let now = Document::parse(&document.file, &changed)?;
        if now.manifest.stages.get(stage).is_some_and(|known| known.partitions != partitions) {
            changed = with_partitions(&now, &changed, stage, partitions)?;
        }
    }
    Ok(changed)
}

/// What a queue has given away is gone from it, and only one pipeline may take it.
fn refuse_queues(queues: &Queues) -> Result<(), Problem> {
    let Some((source, stream)) = queues.iter().next() else { return Ok(()) };
    let message = format!("source `{source}` takes records out of the queue {stream}");
    Err(Problem::new(errors::SAVEPOINT_FAILED, message).help(
        "copy the queue into a stream with retention limits by a pipeline of its own, and let this one read that",
    ))
}

fn check_savepoint(name: &str) -> Result<(), Problem> {
    Name::new(name).map(drop).map_err(|error| {
        Problem::new(errors::SAVEPOINT_FAILED, error.to_string()).help("give it another name")
    })
}

fn unreadable(error: &WorkerError) -> Problem {
    Problem::new(errors::SAVEPOINT_FAILED, error.to_string())
        .help("the message says what the checkpoint store refused")
}

fn not_restored(error: &WorkerError) -> Problem {
    Problem::new(errors::SAVEPOINT_NOT_RESTORED, error.to_string())
        .help("nothing has changed; the message says what does not fit or cannot be read")
}
