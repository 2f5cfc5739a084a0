//! One running pipeline on this node: its partitions that are here, its readers, its log.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use millstream_core::evolution::misfits;
use millstream_core::ids::LogPoint;
use millstream_log::blobs::Blobs;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::Context;
use super::catch_up;
use super::here::{Here, Lane};
use super::opening::{Opened, Opener, executor_options};
use super::operator::StageOperator;
use super::partition::{Command, Notice};
use super::savepoint::{self, Barrier, Savepoint};
use super::standby::Standby;
use super::supervisor::Supervisor;
use crate::executor::Swap;
use crate::instance;
use crate::spec::{PipelineSpec, StageSpec};
use crate::status::{
    CheckpointInfo, CheckpointVerified, CommitPoint, Phase, PipelineStatus, StageStatus,
};

/// Which partitions of each stage, by its name, run on a node.
pub type Assigned = BTreeMap<String, BTreeSet<u16>>;

/// How long partitions may take to come to rest for a savepoint.
const REST_WITHIN: Duration = Duration::from_secs(60);

/// A node's share of a pipeline.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// Partitions that it runs.
    pub runs: Assigned,
    /// Partitions whose log it follows, to run them at once when that is asked.
    pub follows: Assigned,
}

impl Share {
    /// All partitions of a pipeline.
    pub fn whole(spec: &PipelineSpec) -> Self {
        let all = |stage: &StageSpec| (stage.name.clone(), (0..stage.partitions).collect());
        Self { runs: spec.stages.iter().map(all).collect(), follows: Assigned::new() }
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty() && self.follows.is_empty()
    }
}

/// A pipeline of this process.
pub struct Pipeline {
    /// What runs; a swap of modules replaces it.
    spec: Mutex<Arc<PipelineSpec>>,
    here: Arc<Here>,
    /// By stage and partition.
    standbys: Mutex<BTreeMap<(usize, u16), Standby>>,
    opener: Arc<Opener>,
    notices: mpsc::UnboundedSender<Notice>,
    held: AtomicBool,
    /// There while all partitions rest behind a savepoint.
    barrier: Mutex<Option<Barrier>>,
    failed: Arc<Mutex<Option<Failed>>>,
    cancel: CancellationToken,
    /// Cancelled once nothing runs any more.
    ended: CancellationToken,
}

/// Why a pipeline does not go on.
#[derive(Clone, Debug)]
pub(super) struct Failed {
    pub why: String,
    /// Only because other nodes have taken over what was here.
    pub fenced: bool,
    /// Because the host could not go on, which may pass.
    pub host_fault: bool,
}

impl Pipeline {
    /// Starts the partitions that are assigned to this node; they recover by themselves.
    pub async fn start(
        context: &Arc<Context>,
        spec: PipelineSpec,
        assigned: &Assigned,
    ) -> Result<Self, String> {
        let (notices, noticed) = mpsc::unbounded_channel();
        let opener = Arc::new(Opener::open(context, &spec, notices.clone()).await?);
        let (cancel, ended) = (CancellationToken::new(), CancellationToken::new());
        let pipeline = Self {
            spec: Mutex::new(Arc::new(spec.clone())),
            here: Arc::new(Here::new(spec.stages.len())),
            standbys: Mutex::default(),
            opener: Arc::clone(&opener),
            notices,
            held: AtomicBool::new(false),
            barrier: Mutex::new(None),
            failed: Arc::default(),
            cancel: cancel.clone(),
            ended: ended.clone(),
        };
        // Nothing runs before everything is there: a start that fails leaves nothing behind.
        pipeline.assign(assigned).await?;
        let (here, failed) = (Arc::clone(&pipeline.here), Arc::clone(&pipeline.failed));
        let supervisor = Supervisor::new(spec, opener, here, cancel, failed, noticed);
        // Dropped with the task, also if it panics.
        let told = ended.drop_guard();
        tokio::spawn(async move {
            let _told = told;
            supervisor.run().await;
        });
        Ok(pipeline)
    }

    /// Stops the partitions that are here and not assigned, each after its last commit, and starts those that are assigned
    /// and not here. The others do not notice.
    pub async fn assign(&self, assigned: &Assigned) -> Result<(), String> {
        let spec = self.spec();
        let of = |stage: &StageSpec| assigned.get(&stage.name).cloned().unwrap_or_default();
        let (mut leaving, mut coming) = (Vec::new(), Vec::new());
        for (stage, held) in self.here.held().into_iter().enumerate() {
            let wanted = of(&spec.stages[stage]);
            leaving.extend(held.difference(&wanted).map(|&partition| (stage, partition)));
            coming.extend(wanted.difference(&held).map(|&partition| (stage, partition)));
        }
        for &(stage, partition) in &leaving {
            if let Some(lane) = self.here.leave(stage, partition) {
                let _ = lane.commands.send(Command::Drain);
            }
        }
        tokio::select! {
            () = self.here.until_gone(&leaving) => {}
            // It failed meanwhile; what is here says why.
            () = self.ended.cancelled() => return Err("the pipeline has stopped".to_owned()),
        }
        if coming.is_empty() {
            return Ok(());
        }
        let (sinks, mut opened) = (self.opener.sinks(&spec).await?, Vec::new());
        let mut of_stage = None;
        for (stage, partition) in coming {
            let count = spec.stages[stage].partitions;
            if partition >= count {
                return Err(format!("partition {partition} of a stage that has {count}"));
            }
            let known = of_stage.take_if(|(of, _)| *of == stage);
            let stage_sinks = match known {
                Some((_, sinks)) => sinks,
                None => self.opener.sinks_of(&spec, &spec.stages[stage], &sinks).await?,
            };
            let standby = self.standbys().remove(&(stage, partition));
            let kept = match standby {
                Some(standby) => {
                    let name = &spec.stages[stage].name;
                    tracing::info!(pipeline = %spec.name, stage = %name, partition, ready = standby.is_ready(), "standby takes the partition over");
                    standby.end().await
                }
                None => None,
            };
            let partition = self.opener.partition(&spec, stage, partition, &stage_sinks, kept);
            opened.push(partition.await?);
            of_stage = Some((stage, stage_sinks));
        }
        // They are here before anybody hears of them: what is not here counts as elsewhere.
        let (held, mut feeds, mut tasks) =
            (self.held.load(Ordering::Relaxed), Vec::new(), Vec::new());
        for Opened { task, lane, feed } in opened {
            let _ = lane.commands.send(Command::Hold(held));
            feeds.push((task.stage, task.partition, feed));
            self.here.insert(task.stage, task.partition, lane);
            tasks.push(task);
        }
        if self.cancel.is_cancelled() {
            return Err("the pipeline has stopped".to_owned());
        }
        let _ = self.notices.send(Notice::Opened(feeds));
        for task in tasks {
            tokio::spawn(task.run());
        }
        Ok(())
    }

    /// Stands by for these partitions, none of which runs here, and for no others.
    pub async fn stand_by(&self, follows: &Assigned) -> Result<(), String> {
        let spec = self.spec();
        let of = |(index, stage): (usize, &StageSpec)| {
            let partitions = follows.get(&stage.name).cloned().unwrap_or_default();
            partitions.into_iter().map(move |partition| (index, partition))
        };
        let wanted: BTreeSet<(usize, u16)> = spec.stages.iter().enumerate().flat_map(of).collect();
        let unwanted: Vec<Standby> = self
            .standbys()
            .extract_if(.., |place, _| !wanted.contains(place))
            .map(|(_, s)| s)
            .collect();
        for standby in unwanted {
            standby.end().await;
        }
        for (stage, partition) in wanted {
            if !self.standbys().contains_key(&(stage, partition)) {
                let standby = self.opener.standby(&spec, stage, partition)?;
                self.standbys().insert((stage, partition), standby);
            }
        }
        Ok(())
    }

    fn standbys(&self) -> MutexGuard<'_, BTreeMap<(usize, u16), Standby>> {
        self.standbys.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// For which partitions it stands by with all that was in the log when it looked last.
    pub fn ready(&self) -> Assigned {
        let (spec, mut ready) = (self.spec(), Assigned::new());
        for (&(stage, partition), standby) in &*self.standbys() {
            if standby.is_ready() {
                ready.entry(spec.stages[stage].name.clone()).or_default().insert(partition);
            }
        }
        ready
    }

    /// What runs.
    pub fn spec(&self) -> Arc<PipelineSpec> {
        Arc::clone(&self.spec.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    /// The first half of [`Pipeline::assign`].
    pub async fn release(&self, assigned: &Assigned) -> Result<(), String> {
        let mut kept = self.held();
        for (stage, partitions) in &mut kept {
            partitions
                .retain(|partition| assigned.get(stage).is_some_and(|a| a.contains(partition)));
        }
        self.assign(&kept).await
    }

    /// Which partitions are here, stopped or not.
    pub fn held(&self) -> Assigned {
        let spec = self.spec();
        let names = spec.stages.iter().map(|stage| stage.name.clone());
        names.zip(self.here.held()).filter(|(_, held)| !held.is_empty()).collect()
    }

    fn all(&self) -> Vec<Lane> {
        self.here.all()
    }

    /// Stops or continues computing.
    pub fn hold(&self, held: bool) {
        self.held.store(held, Ordering::Relaxed);
        for lane in self.all() {
            let _ = lane.commands.send(Command::Hold(held));
        }
    }

    /// Whether `spec` differs only in what a running pipeline can take over at a commit boundary.
    pub fn can_swap_to(&self, spec: &PipelineSpec) -> bool {
        let same_stage = |(old, new): (&StageSpec, &StageSpec)| {
            old.name == new.name
                && old.partitions == new.partitions
                && old.outputs == new.outputs
                && old.module.description().inputs == new.module.description().inputs
                && old.inputs.len() == new.inputs.len()
                && old.chained.len() == new.chained.len()
                && old
                    .chained
                    .iter()
                    .zip(&new.chained)
                    .all(|(a, b)| (&a.name, a.from) == (&b.name, b.from))
                && old
                    .inputs
                    .iter()
                    .zip(&new.inputs)
                    .all(|(a, b)| (a.from, a.input, &a.key) == (b.from, b.input, &b.key))
        };
        let own = self.spec();
        let sinks = |s: &PipelineSpec| {
            s.sinks.iter().map(|s| (s.subject.clone(), s.delivery.clone())).collect::<Vec<_>>()
        };
        let sources =
            |s: &PipelineSpec| s.sources.iter().map(|s| format!("{s:?}")).collect::<Vec<_>>();
        own.incarnation == spec.incarnation
            && own.checkpoint_store == spec.checkpoint_store
            && own.checkpoint_interval_ms == spec.checkpoint_interval_ms
            && own.stages.len() == spec.stages.len()
            && own.stages.iter().zip(&spec.stages).all(same_stage)
            && sinks(&own) == sinks(spec)
            && sources(&own) == sources(spec)
    }

    /// Whether the modules, or what goes with them, differ. Only if it can be swapped to.
    pub fn needs_swap_to(&self, spec: &PipelineSpec) -> bool {
        let own = self.spec();
        let same = |(old, new): (&StageSpec, &StageSpec)| {
            let links = |stage: &StageSpec| -> Vec<_> {
                stage.chained.iter().map(|link| link.config.clone()).collect()
            };
            old.digest() == new.digest()
                && old.config == new.config
                && old.on_error == new.on_error
                && links(old) == links(new)
        };
        !own.stages.iter().zip(&spec.stages).all(same)
    }

    /// Refuses modules that cannot go on with the states and timers that the running ones have kept.
    pub fn check_modules(&self, spec: &PipelineSpec) -> Result<(), String> {
        let own = self.spec();
        if own.incarnation != spec.incarnation {
            return Ok(());
        }
        for old in &own.stages {
            let Some(new) = spec.stages.iter().find(|stage| stage.name == old.name) else {
                continue;
            };
            let misfits = misfits(&old.description(), &new.description());
            if let Some(misfit) = misfits.first() {
                return Err(format!("stage `{}` cannot change its module: {misfit}", old.name));
            }
        }
        Ok(())
    }

    /// Runs by a newer revision of its record from now on.
    pub fn runs_by(&self, revision: u64) {
        let mut spec = self.spec.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if spec.recorded < revision {
            Arc::make_mut(&mut spec).recorded = revision;
        }
    }

    /// Swaps in the modules of `spec`; returns the longest pause of a partition.
    pub async fn swap(
        &self,
        context: &Arc<Context>,
        spec: PipelineSpec,
    ) -> Result<Duration, String> {
        let mut waiting = Vec::new();
        for (stage_index, stage) in spec.stages.iter().enumerate() {
            for (partition, lane) in self.here.of(stage_index) {
                // The new instance is ready before the partition pauses.
                let options = executor_options(context, &spec, stage_index, partition)?;
                let swap = Swap {
                    udf: options.udf,
                    description: options.description,
                    digest: stage.digest(),
                    module: options.module,
                    wanted: options.wanted,
                    on_error: options.on_error,
                };
                let (done, answer) = oneshot::channel();
                lane.commands
                    .send(Command::Swap(Box::new(swap), done))
                    .map_err(|_| "a partition has stopped")?;
                waiting.push(answer);
            }
        }
        let mut pause = Duration::ZERO;
        for answer in waiting {
            pause = pause.max(answer.await.map_err(|_| "a partition has stopped")??);
        }
        *self.spec.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Arc::new(spec);
        Ok(pause)
    }

    /// Waits until all that the sources hold now is computed by the partitions that are here. The future is of its own,
    /// so that others can be asked and the pipeline changed meanwhile.
    pub fn catch_up(&self) -> impl Future<Output = Result<(), String>> + use<> {
        catch_up::run(self.spec(), Arc::clone(&self.opener), Arc::clone(&self.here))
    }

    /// Stops after the last commit, once the sinks have everything. To drop the future does not keep it from stopping.
    pub async fn stop(&self) {
        self.cancel.cancel();
        for lane in self.all() {
            let _ = lane.commands.send(Command::Drain);
        }
        let standbys = std::mem::take(&mut *self.standbys());
        for standby in standbys.into_values() {
            standby.end().await;
        }
        self.ended.cancelled().await;
    }

    /// The newest commit of each partition that has made one here.
    pub fn committed(&self) -> Vec<CommitPoint> {
        let spec = self.spec();
        let mut points = Vec::new();
        for (index, stage) in spec.stages.iter().enumerate() {
            for (partition, lane) in self.here.of(index) {
                let LogPoint { number, hash, sequence } = lane.board.last();
                if number.0 > 0 {
                    points.push(CommitPoint {
                        pipeline: spec.name.clone(),
                        incarnation: format!("{:032x}", spec.incarnation.0),
                        stage: stage.name.clone(),
                        partition,
                        commit: number.0,
                        sequence: sequence.0,
                        hash: hash.0.iter().map(|byte| format!("{byte:02x}")).collect(),
                    });
                }
            }
        }
        points
    }

    /// How the pipeline is.
    pub fn status(&self) -> PipelineStatus {
        let spec = self.spec();
        let status = |(index, stage): (usize, &StageSpec)| StageStatus {
            name: stage.name.clone(),
            module: instance::digest_hex(stage),
            partitions: self.here.of(index).iter().map(|(_, lane)| lane.board.status()).collect(),
        };
        let stages: Vec<StageStatus> = spec.stages.iter().enumerate().map(status).collect();
        let partitions = || stages.iter().flat_map(|s| &s.partitions);
        let failed = self.failed.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        let fenced = failed.as_ref().is_some_and(|failed| failed.fenced);
        let host_fault = failed.as_ref().is_some_and(|failed| failed.host_fault);
        let reason = failed.map(|failed| failed.why).or_else(|| {
            partitions().find(|p| p.phase == Phase::Failed).and_then(|p| p.reason.clone())
        });
        let phase = if reason.is_some() {
            Phase::Failed
        } else {
            partitions().map(|p| p.phase).min().unwrap_or_default()
        };
        PipelineStatus { phase, reason, fenced, host_fault, stages }
    }

    /// Whether nothing runs any more.
    pub fn has_ended(&self) -> bool {
        self.ended.is_cancelled()
    }

    /// Looks into the state of one partition, or of all that are here. Nothing if it is not here.
    pub async fn inspect<T: Send + 'static>(
        &self,
        stage: &str,
        partition: Option<u16>,
        look: impl Fn(&mut StageOperator) -> T + Clone + Send + 'static,
    ) -> Result<Vec<T>, String> {
        let index = self
            .spec()
            .stages
            .iter()
            .position(|s| s.runs(stage))
            .ok_or_else(|| format!("no stage `{stage}`"))?;
        let mut answers = Vec::new();
        for (p, lane) in self.here.of(index) {
            if partition.is_some_and(|wanted| wanted != p) {
                continue;
            }
            let (done, answer) = oneshot::channel();
            let look = look.clone();
            let inspect =
                Box::new(move |operator: &mut StageOperator| drop(done.send(look(operator))));
            lane.commands
                .send(Command::Inspect(inspect))
                .map_err(|_| "the partition has stopped")?;
            answers.push(answer.await.map_err(|_| "the partition has stopped")?);
        }
        Ok(answers)
    }

    /// Stores a checkpoint of every partition that changed; the newest of each.
    pub async fn checkpoint(&self) -> Result<Vec<CheckpointInfo>, String> {
        let mut waiting = Vec::new();
        for lane in self.all() {
            let (done, answer) = oneshot::channel();
            lane.commands.send(Command::Checkpoint(done)).map_err(|_| "a partition has stopped")?;
            waiting.push(answer);
        }
        let mut infos = Vec::new();
        for answer in waiting {
            infos.extend(answer.await.map_err(|_| "a partition has stopped")??);
        }
        Ok(infos)
    }

    /// Takes a savepoint and stores it. With `stay` the partitions rest until [`Pipeline::go_on`], else only until their
    /// states are linked.
    pub async fn savepoint(
        &self,
        blobs: &dyn Blobs,
        name: &str,
        stay: bool,
    ) -> Result<Savepoint, String> {
        // The rest behind an earlier savepoint must not end in the middle of this one.
        self.barrier.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        let (spec, held) = (self.spec(), self.held.load(Ordering::Relaxed));
        let taking = savepoint::take(&spec, &self.opener, &self.here, held);
        let taken = tokio::select! {
            taken = tokio::time::timeout(REST_WITHIN, taking) => taken,
            () = self.ended.cancelled() => return Err("the pipeline has stopped".to_owned()),
        };
        let (barrier, taken) = taken
            .map_err(|_| format!("the pipeline did not come to rest within {REST_WITHIN:?}"))??;
        let barrier = stay.then_some(barrier);
        let stored = taken.store(blobs, &spec, name).await?;
        *self.barrier.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = barrier;
        Ok(stored)
    }

    /// Ends the rest behind a savepoint.
    pub fn go_on(&self) {
        self.barrier.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        // It may have been paused meanwhile.
        self.hold(self.held.load(Ordering::Relaxed));
    }

    /// Reads the stored checkpoints of the partitions that are here back; of one stage or partition, if given.
    pub async fn verify(
        &self,
        stage: Option<&str>,
        partition: Option<u16>,
        temporary: &Path,
    ) -> Result<Vec<CheckpointVerified>, String> {
        let mut verified = Vec::new();
        for lane in self.all() {
            if lane.store.is_of(stage, partition) {
                verified.extend(lane.store.verify(temporary).await?);
            }
        }
        Ok(verified)
    }

    /// All stored checkpoints.
    pub async fn checkpoints(&self) -> Result<Vec<CheckpointInfo>, String> {
        let mut found = Vec::new();
        for lane in self.all() {
            found.extend(lane.store.list().await?.into_iter().map(|(info, _)| info));
        }
        Ok(found)
    }
}
