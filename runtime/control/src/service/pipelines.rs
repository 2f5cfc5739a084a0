//! `pipeline.*` and `lag`.

use std::collections::BTreeMap;
use std::sync::Arc;

use millstream_core::description::Description;
use millstream_core::ids::Incarnation;
use millstream_sandbox::Module;

use super::{Answer, Service};
use crate::api::changes::ProposedRequest;
use crate::api::pipelines::*;
use crate::api::status::Phase;
use crate::clock;
use crate::errors;
use crate::manifest::{Document, ModuleRef, Version, Wiring, check_evolution, diff, resolve, wire};
use crate::problem::{Problem, Problems};
use crate::queues;
use crate::reconcile::status_of;
use crate::registry::{PipelineRecord, Recorded, Reference};
use crate::starts;
use crate::worker::Worker;

impl<W: Worker> Answer<Validate> for Service<W> {
    async fn answer(&self, request: Validate) -> Result<Applied, Problems> {
        let apply = Apply { manifest: request.manifest, dry_run: true, ..Apply::default() };
        self.answer(apply).await
    }
}

impl<W: Worker> Answer<Apply> for Service<W> {
    async fn answer(&self, request: Apply) -> Result<Applied, Problems> {
        let _changing = self.changes.lock().await;
        let new = self.prepare(&request.manifest).await?;
        let name = new.document.manifest.name.clone();
        let recorded = self.pipelines.get(&name).await?;
        let revision = recorded.as_ref().map_or(0, |recorded| recorded.record.revision);
        if let Some(wanted) = request.if_revision.filter(|wanted| *wanted != revision) {
            let message = match revision {
                0 => format!("there is no pipeline `{name}`, not one at revision {wanted}"),
                _ => format!("the pipeline `{name}` is at revision {revision}, not {wanted}"),
            };
            return Err(Problem::new(errors::PIPELINE_CHANGED, message)
                .help("look at what changed with `millstream diff` and repeat the command")
                .into());
        }
        let Some(recorded) = recorded else { return self.create(request, new).await };
        refuse_deleted(&recorded.record)?;
        self.change(request, &recorded, new).await
    }
}

/// A manifest with its modules, checked against each other.
pub(super) struct Prepared {
    pub document: Document,
    pub digests: BTreeMap<String, String>,
    pub modules: BTreeMap<String, Arc<Module>>,
    wirings: BTreeMap<String, Wiring>,
}

impl Prepared {
    fn descriptions(&self) -> BTreeMap<String, &Description> {
        self.modules.iter().map(|(stage, module)| (stage.clone(), module.description())).collect()
    }
}

impl<W: Worker> Service<W> {
    pub(super) async fn prepare(&self, manifest: &ManifestText) -> Result<Prepared, Problems> {
        let document = Document::parse(&manifest.file, &manifest.text)?;
        let (mut digests, mut problems) = (BTreeMap::new(), Vec::new());
        for (stage, wanted) in &document.manifest.stages {
            let place = document.at(&format!("stages.{stage}.module"));
            match self.digest_of(&wanted.module, manifest.files.get(stage)).await {
                Ok(digest) => {
                    digests.insert(stage.clone(), digest);
                }
                Err(problem) => problems.push(problem.at(place)),
            }
        }
        Problems::refuse(problems)?;
        self.check(document, digests).await
    }

    /// Loads the modules and checks the manifest against them.
    pub(super) async fn check(
        &self,
        document: Document,
        digests: BTreeMap<String, String>,
    ) -> Result<Prepared, Problems> {
        let mut modules = BTreeMap::new();
        for (stage, digest) in &digests {
            let place = document.at(&format!("stages.{stage}.module"));
            let module = self.modules.load(digest).await.map_err(|problem| problem.at(place))?;
            modules.insert(stage.clone(), module);
        }
        let descriptions =
            modules.iter().map(|(stage, module)| (stage.clone(), module.description())).collect();
        let wirings = wire(&document, &descriptions)?;
        // The same step that starts it later, so that nothing is recorded that cannot be resolved.
        resolve(&document, &modules, Incarnation::default())?;
        Ok(Prepared { document, digests, modules, wirings })
    }

    /// What a module reference means now.
    async fn digest_of(
        &self,
        module: &ModuleRef,
        uploaded: Option<&String>,
    ) -> Result<String, Problem> {
        let reference = match module {
            ModuleRef::Named { name, version } => {
                Reference::Named { name: name.clone(), version: version.clone() }
            }
            ModuleRef::Digest { sha256 } => Reference::Digest(sha256.clone()),
            ModuleRef::File { file } => match uploaded {
                Some(digest) => Reference::Digest(digest.clone()),
                None => {
                    return Err(Problem::new(errors::MODULE_NOT_UPLOADED, format!("the file {file} was not uploaded"))
                        .help("`millstream apply` uploads it; or push it and write `module: name@version`"));
                }
            },
        };
        let record = self.modules.find(&reference).await;
        record.map(|record| record.digest).map_err(|problem| match problem.code {
            errors::MODULE_UNKNOWN => Problem { code: errors::MODULE_NOT_FOUND, ..problem },
            _ => problem,
        })
    }

    async fn create(&self, request: Apply, new: Prepared) -> Result<Applied, Problems> {
        let name = new.document.manifest.name.clone();
        let mut applied = Applied {
            pipeline: name.clone(),
            outcome: Outcome::Created,
            desired: Desired::Running,
            changes: Vec::new(),
            revision: 0,
            proposal: None,
        };
        let now = clock::now_ms();
        let queues = queues::look_up(&self.connection, &new.document).await?;
        let starts = starts::look_up(&self.connection, &new.document, now).await?;
        if request.dry_run {
            return Ok(applied);
        }
        let what = || ProposedRequest::Apply(request.clone());
        let proposed =
            self.propose(&request.consent, &new.digests, &applied, &request.by, what).await?;
        if let Some(proposed) = proposed {
            return Ok(proposed);
        }
        let record = PipelineRecord {
            name,
            file: request.manifest.file,
            manifest: request.manifest.text,
            modules: new.digests,
            incarnation: clock::random_incarnation().0,
            queues,
            starts,
            log: None,
            retired: Vec::new(),
            revision: 1,
            desired: Desired::Running,
            drain: false,
            created_at_ms: now,
            changed_at_ms: now,
            by: request.by,
        };
        self.record_new(&record).await?;
        tracing::info!(pipeline = %record.name, "pipeline created");
        applied.revision = record.revision;
        Ok(applied)
    }

    /// Records a pipeline that was not there.
    pub(super) async fn record_new(&self, record: &PipelineRecord) -> Result<(), Problem> {
        // What was redriven to an earlier pipeline of this name is not this one's.
        self.dead_letters.forget_redriven(&record.name).await?;
        self.pipelines.create(record).await.map(drop)
    }

    async fn change(
        &self,
        request: Apply,
        recorded: &Recorded,
        new: Prepared,
    ) -> Result<Applied, Problems> {
        let old_record = &recorded.record;
        let old_document = Document::parse(&old_record.file, &old_record.manifest)?;
        let mut changes = diff(&old_document.manifest, &new.document.manifest);
        changes.extend(module_changes(&old_record.modules, &new.digests));
        let mut applied = Applied {
            pipeline: old_record.name.clone(),
            desired: old_record.desired,
            outcome: if changes.is_empty() { Outcome::Unchanged } else { Outcome::Changed },
            changes,
            revision: old_record.revision,
            proposal: None,
        };
        if applied.outcome == Outcome::Unchanged {
            return Ok(applied);
        }
        let old = self.check(old_document, old_record.modules.clone()).await?;
        check_evolution(
            &Version {
                document: &old.document,
                descriptions: &old.descriptions(),
                wirings: &old.wirings,
            },
            &Version {
                document: &new.document,
                descriptions: &new.descriptions(),
                wirings: &new.wirings,
            },
        )?;
        if request.dry_run {
            return Ok(applied);
        }
        let what = || ProposedRequest::Apply(request.clone());
        let proposed =
            self.propose(&request.consent, &new.digests, &applied, &request.by, what).await?;
        if let Some(proposed) = proposed {
            return Ok(proposed);
        }
        let record = PipelineRecord {
            file: request.manifest.file,
            manifest: request.manifest.text,
            modules: new.digests,
            revision: old_record.revision + 1,
            changed_at_ms: clock::now_ms(),
            by: request.by,
            ..old_record.clone()
        };
        self.pipelines.update(&record, recorded.at).await?;
        tracing::info!(pipeline = %record.name, revision = record.revision, "pipeline changed");
        applied.revision = record.revision;
        Ok(applied)
    }

    /// Records what is wanted of a pipeline from now on.
    async fn want(
        &self,
        name: &str,
        desired: Desired,
        drain: bool,
        by: String,
    ) -> Result<PipelineInfo, Problems> {
        let _changing = self.changes.lock().await;
        let recorded = self.pipelines.require(name).await?;
        if desired != Desired::Deleted {
            refuse_deleted(&recorded.record)?;
        }
        let is_so = recorded.record.desired == desired && recorded.record.drain == drain;
        if is_so && !self.tries_again(&recorded.record, desired).await {
            return Ok(self.pipeline_info(recorded.record).await);
        }
        let record = PipelineRecord {
            desired,
            drain,
            revision: recorded.record.revision + 1,
            changed_at_ms: clock::now_ms(),
            by,
            ..recorded.record
        };
        self.pipelines.update(&record, recorded.at).await?;
        tracing::info!(pipeline = %record.name, desired = ?record.desired, drain, "pipeline's desired state changed");
        Ok(self.pipeline_info(record).await)
    }

    /// Whether saying again what is wanted already is a change: a resume of a failed pipeline is one.
    async fn tries_again(&self, record: &PipelineRecord, desired: Desired) -> bool {
        let status = self.peers.status(record).await;
        desired == Desired::Running && status.is_none_or(|status| status.phase == Phase::Failed)
    }

    async fn pipeline_info(&self, record: PipelineRecord) -> PipelineInfo {
        let waiting = self.waiting_letters(Some(&record.name)).await;
        self.described(record, waiting.as_ref()).await
    }

    /// Dead letters by pipeline. That they cannot be counted keeps nobody from seeing how pipelines are.
    async fn waiting_letters(&self, pipeline: Option<&str>) -> Option<BTreeMap<String, u64>> {
        let waiting = self.dead_letters.waiting(pipeline).await;
        waiting
            .inspect_err(|problem| tracing::warn!(%problem, "dead letters cannot be counted"))
            .ok()
    }

    async fn described(
        &self,
        record: PipelineRecord,
        waiting: Option<&BTreeMap<String, u64>>,
    ) -> PipelineInfo {
        let status = status_of(&self.peers, &record).await;
        PipelineInfo {
            status: Some(status),
            dead_letters: waiting.map(|waiting| waiting.get(&record.name).copied().unwrap_or(0)),
            incarnation: format!("{:032x}", record.incarnation),
            name: record.name,
            desired: record.desired,
            revision: record.revision,
            modules: record.modules,
            created_at_ms: record.created_at_ms,
            changed_at_ms: record.changed_at_ms,
            by: record.by,
        }
    }
}

pub(super) fn refuse_deleted(record: &PipelineRecord) -> Result<(), Problem> {
    match record.desired {
        Desired::Deleted => {
            let message = format!("the pipeline `{}` is being deleted", record.name);
            Err(Problem::new(errors::PIPELINE_BEING_DELETED, message)
                .help("wait until `millstream get` no longer shows it, or use another name"))
        }
        _ => Ok(()),
    }
}

/// Stages whose module means other bytes now, whether or not the manifest says the same.
fn module_changes(old: &BTreeMap<String, String>, new: &BTreeMap<String, String>) -> Vec<Change> {
    let text = |digest: &String| format!("\"sha256:{digest}\"");
    new.iter()
        .filter_map(|(stage, digest)| {
            let before = old.get(stage).filter(|before| *before != digest)?;
            let field = format!("stages.{stage}.module.sha256");
            Some(Change { field, old: Some(text(before)), new: Some(text(digest)) })
        })
        .collect()
}

impl<W: Worker> Answer<List> for Service<W> {
    async fn answer(&self, _: List) -> Result<Listing, Problems> {
        let waiting = self.waiting_letters(None).await;
        let mut pipelines = Vec::new();
        for recorded in self.pipelines.list().await? {
            pipelines.push(self.described(recorded.record, waiting.as_ref()).await);
        }
        Ok(Listing { pipelines })
    }
}

impl<W: Worker> Answer<Get> for Service<W> {
    async fn answer(&self, request: Get) -> Result<PipelineInfo, Problems> {
        let recorded = self.pipelines.require(&request.pipeline).await?;
        Ok(self.pipeline_info(recorded.record).await)
    }
}

impl<W: Worker> Answer<Describe> for Service<W> {
    async fn answer(&self, request: Describe) -> Result<Described, Problems> {
        let recorded = self.pipelines.require(&request.pipeline).await?;
        let manifest = recorded.record.manifest.clone();
        Ok(Described { info: self.pipeline_info(recorded.record).await, manifest })
    }
}

impl<W: Worker> Answer<Delete> for Service<W> {
    async fn answer(&self, request: Delete) -> Result<PipelineInfo, Problems> {
        self.want(&request.pipeline, Desired::Deleted, false, request.by).await
    }
}

impl<W: Worker> Answer<Pause> for Service<W> {
    async fn answer(&self, request: Pause) -> Result<PipelineInfo, Problems> {
        self.want(&request.pipeline, Desired::Paused, false, request.by).await
    }
}

impl<W: Worker> Answer<Resume> for Service<W> {
    async fn answer(&self, request: Resume) -> Result<PipelineInfo, Problems> {
        self.want(&request.pipeline, Desired::Running, false, request.by).await
    }
}

impl<W: Worker> Answer<Stop> for Service<W> {
    async fn answer(&self, request: Stop) -> Result<PipelineInfo, Problems> {
        self.want(&request.pipeline, Desired::Stopped, request.drain, request.by).await
    }
}

impl<W: Worker> Answer<Lag> for Service<W> {
    async fn answer(&self, request: Lag) -> Result<LagReport, Problems> {
        let records = match request.pipeline {
            Some(name) => vec![self.pipelines.require(&name).await?],
            None => self.pipelines.list().await?,
        };
        let mut entries = Vec::new();
        for record in records.into_iter().map(|recorded| recorded.record) {
            let Some(status) = self.peers.status(&record).await else { continue };
            for stage in status.stages {
                for partition in stage.partitions {
                    entries.extend(partition.positions.into_iter().map(|position| LagEntry {
                        pipeline: record.name.clone(),
                        stage: stage.name.clone(),
                        partition: partition.partition,
                        source: position.source,
                        position: position.position,
                        last: position.last,
                        lag: position.lag,
                    }));
                }
            }
        }
        Ok(LagReport { entries })
    }
}
