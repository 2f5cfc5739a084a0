//! One running pipeline: its partitions, its readers, its log.

use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use millstream_core::commit::Compression;
use millstream_core::egress::EgressConfig;
use millstream_core::evolution::misfits;
use millstream_core::ids::{Incarnation, Sequence};
use millstream_core::outputs::DEAD_LETTER;
use millstream_core::partition::{Partition, PartitionConfig, SinkConfig};
use millstream_log::Name;
use millstream_log::blobs::Blobs;
use millstream_log::commit_log::{CommitLog, JetStreamLog, LogOptions, PartitionSubject};
use millstream_log::egress::{
    JetStreamSink, Sink, SinkFacts, SinkWindow, create_sink_stream, stream_of_subject,
};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::Context;
use super::checkpoint::{CheckpointStore, KEPT};
use super::commits::Commits;
use super::egress::EgressSpec;
use super::operator::StageOperator;
use super::partition::{Command, PartitionTask};
use super::redrive;
use super::report::{Board, Heads};
use super::supervisor::Supervisor;
use crate::crash::{Step, around};
use crate::executor::{ExecutorOptions, OperatorSource, Swap};
use crate::instance;
use crate::spec::{InputFrom, PipelineSpec, StageSpec};
use crate::status::{CheckpointInfo, Phase, PipelineStatus, StageStatus};

/// Chunks that wait for a partition.
const CHUNKS_WAITING: usize = 4;
/// Room that a commit leaves for headers and the server's own part of a message.
const COMMIT_MARGIN_BYTES: usize = 8 << 10;
/// A partition that only scans commits how far after this time, milliseconds.
const QUIET_COMMIT_MS: i64 = 30_000;
/// The same if other stages read it: they wait for it.
const QUIET_COMMIT_FEEDING_MS: i64 = 5;
/// Outputs that a sink lacks, bytes; above it a partition computes no more.
const BACKLOG_BYTES_MAX: usize = 16 << 20;
/// Stream and subject of dead letters; the duplicate window only matters if the stream is made here.
const DEAD_LETTERS: (&str, &str) = ("MILLSTREAM_DLQ", "millstream.dlq");
/// Duplicate window of these streams if they are made here.
const WINDOW: Duration = Duration::from_secs(3_600);

/// A pipeline of this process.
pub struct Pipeline {
    /// What runs; a swap of modules replaces it.
    spec: Mutex<Arc<PipelineSpec>>,
    lanes: Vec<Vec<Lane>>,
    /// Per stage, if others read it.
    commits: Vec<Option<Arc<Commits>>>,
    held: AtomicBool,
    failed: Arc<Mutex<Option<String>>>,
    cancel: CancellationToken,
    /// Cancelled once nothing runs any more.
    ended: CancellationToken,
}

/// One partition from the outside.
#[derive(Clone)]
pub(super) struct Lane {
    pub commands: mpsc::UnboundedSender<Command>,
    pub board: Arc<Board>,
    store: CheckpointStore,
}

impl Pipeline {
    /// Starts the partitions; they recover by themselves.
    pub async fn start(context: &Arc<Context>, spec: PipelineSpec) -> Result<Self, String> {
        let pipeline_name = Name::new(&spec.name).map_err(text)?;
        let connection = &context.connection;
        let options = LogOptions { replicas: context.replicas, bytes_max: None };
        let log = JetStreamLog::open(connection, &pipeline_name, &options);
        let log = around(Step::OpenLog, log).await.map_err(text)?;
        let record_bytes_max = log.info().await.map_err(text)?.record_bytes_max;
        let log: Arc<dyn CommitLog> = Arc::new(log);
        for (stream, subject) in [DEAD_LETTERS, (redrive::STREAM, redrive::SUBJECT)] {
            if stream_of_subject(connection, &format!("{subject}.>")).await.is_err() {
                create_sink_stream(
                    connection,
                    stream,
                    &[format!("{subject}.>")],
                    context.replicas,
                    WINDOW,
                )
                .await
                .map_err(text)?;
            }
        }
        let mut sinks = Vec::new();
        for sink in &spec.sinks {
            let facts = facts_of(context, &sink.subject.replace("{key}", "key"))
                .await
                .map_err(|e| format!("sink `{}`: {e}", sink.name))?;
            sinks.push((sink.subject.clone(), facts));
        }
        let blobs = context.checkpoints_of(spec.checkpoint_store.as_deref())?;
        let streams: Vec<_> =
            spec.sources.iter().map(|s| (s.name.clone(), s.stream.clone())).collect();
        let cancel = CancellationToken::new();
        let (notices, noticed) = mpsc::unbounded_channel();
        let mut lanes = Vec::new();
        let mut feeds = Vec::new();
        let mut stage_heads = Vec::new();
        let mut commits = Vec::new();
        // Nothing runs before everything is there: a start that fails leaves nothing behind.
        let mut tasks = Vec::new();
        for (stage_index, stage) in spec.stages.iter().enumerate() {
            let stage_name = Name::new(&stage.name).map_err(text)?;
            let subject = format!("{}.{}.{}", DEAD_LETTERS.1, spec.name, stage.name);
            let mut stage_sinks = sinks.clone();
            stage_sinks.push((subject.clone(), facts_of(context, &subject).await?));
            let heads: Heads =
                Arc::new((0..2 * stage.inputs.len()).map(|_| AtomicU64::new(0)).collect());
            let stage_commits =
                spec.feeds_stages(stage_index).then(|| Arc::new(Commits::new(stage.partitions)));
            let mut stage_lanes = Vec::new();
            let mut stage_feeds = Vec::new();
            for partition in 0..stage.partitions {
                let dir = partition_dir(&context.data, &spec, &stage.name, partition);
                let store = store(&blobs, &spec, stage, partition);
                let options = executor_options(context, &spec, stage_index, partition)?;
                let board = Arc::new(Board::new(
                    partition,
                    instance::digest_hex(stage),
                    options.sources.clone(),
                    Arc::clone(&heads),
                ));
                for (info, redo_from) in store.list().await? {
                    board.stored(info, redo_from, KEPT);
                }
                let operator = StageOperator::open(options, &dir, &context.shared).map_err(text)?;
                let outputs = |sink: usize| -> Vec<u8> {
                    if sink == spec.sinks.len() {
                        return vec![DEAD_LETTER];
                    }
                    (0..stage.outputs.len())
                        .filter(|&o| stage.outputs[o].contains(&sink))
                        .map(|o| o as u8)
                        .collect()
                };
                let egress =
                    stage_sinks.iter().enumerate().map(|(sink, (subject, facts))| EgressSpec {
                        connection: connection.clone(),
                        config: EgressConfig {
                            partition,
                            outputs: outputs(sink),
                            in_flight_max: SinkWindow::default().messages,
                            duplicate_window_ms: facts.duplicate_window_ns / 1_000_000,
                        },
                        stream: facts.stream.clone(),
                        subject: subject.clone(),
                        streams: streams.clone(),
                        stage: format!("{}.{}.", spec.name, stage.name),
                    });
                let config = PartitionConfig {
                    pipeline: spec.incarnation,
                    owner: Incarnation(context.random()),
                    module: stage.digest(),
                    commit_bytes_max: record_bytes_max - COMMIT_MARGIN_BYTES,
                    compression: Compression::Lz4,
                    sinks: stage_sinks
                        .iter()
                        .enumerate()
                        .map(|(sink, (_, facts))| SinkConfig {
                            sink: sink as u16,
                            duplicate_window_ms: facts.duplicate_window_ns / 1_000_000,
                            sequence_at_start: facts.last,
                        })
                        .collect(),
                    quiet_commit_ms: match stage_commits {
                        Some(_) => QUIET_COMMIT_FEEDING_MS,
                        None => QUIET_COMMIT_MS,
                    },
                    backlog_bytes_max: BACKLOG_BYTES_MAX,
                };
                let (commands, commanded) = mpsc::unbounded_channel();
                let (feed, chunks) = mpsc::channel(CHUNKS_WAITING);
                tasks.push(PartitionTask {
                    stage: stage_index,
                    partition,
                    machine: Partition::new(config, operator),
                    log: Arc::clone(&log),
                    subject: PartitionSubject::new(&pipeline_name, &stage_name, partition),
                    sinks: egress.collect(),
                    store: store.clone(),
                    chunks,
                    commands: commanded,
                    notices: notices.clone(),
                    board: Arc::clone(&board),
                    commits: stage_commits.clone(),
                });
                stage_lanes.push(Lane { commands, board, store });
                stage_feeds.push(feed);
            }
            lanes.push(stage_lanes);
            feeds.push(stage_feeds);
            stage_heads.push(heads);
            commits.push(stage_commits);
        }
        for task in tasks {
            tokio::spawn(task.run());
        }
        let failed = Arc::new(Mutex::new(None));
        let supervisor = Supervisor {
            context: Arc::clone(context),
            spec: spec.clone(),
            log,
            lanes: lanes.clone(),
            feeds,
            heads: stage_heads,
            commits: commits.clone(),
            running: spec.stages.iter().map(|s| vec![None; usize::from(s.partitions)]).collect(),
            cancel: cancel.clone(),
            failed: Arc::clone(&failed),
            noticed,
            readers: tokio::task::JoinSet::new(),
            kept_from: Sequence(1),
        };
        let ended = CancellationToken::new();
        // Dropped with the task, also if it panics.
        let told = ended.clone().drop_guard();
        tokio::spawn(async move {
            let _told = told;
            supervisor.run().await;
        });
        let (spec, held) = (Mutex::new(Arc::new(spec)), AtomicBool::new(false));
        Ok(Self { spec, lanes, commits, held, failed, cancel, ended })
    }

    /// What runs.
    pub fn spec(&self) -> Arc<PipelineSpec> {
        Arc::clone(&self.spec.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    fn all(&self) -> impl Iterator<Item = &Lane> {
        self.lanes.iter().flatten()
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
        let sinks =
            |s: &PipelineSpec| s.sinks.iter().map(|s| s.subject.clone()).collect::<Vec<_>>();
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

    /// Swaps in the modules of `spec`; returns the longest pause of a partition.
    pub async fn swap(
        &self,
        context: &Arc<Context>,
        spec: PipelineSpec,
    ) -> Result<Duration, String> {
        let mut waiting = Vec::new();
        for (stage_index, lanes) in self.lanes.iter().enumerate() {
            let stage = &spec.stages[stage_index];
            for (lane, partition) in lanes.iter().zip(0..) {
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

    /// Waits until all that the sources hold now is computed. The future is of its own, so that others can be asked
    /// and the pipeline changed meanwhile.
    pub fn catch_up(&self, context: &Context) -> impl Future<Output = Result<(), String>> + use<> {
        let jetstream = context.connection.jetstream().clone();
        let mut inputs = Vec::new();
        let spec = self.spec();
        for stage in spec.in_order() {
            let lanes = &self.lanes[stage];
            for (index, input) in spec.stages[stage].inputs.iter().enumerate() {
                let boards: Vec<_> = lanes.iter().map(|lane| Arc::clone(&lane.board)).collect();
                let holds = match input.from {
                    InputFrom::Source(source) => Holds::Stream(spec.sources[source].stream.clone()),
                    InputFrom::Stage { stage, .. } => {
                        Holds::Commits(self.commits[stage].clone().expect("it is read"))
                    }
                };
                inputs.push((holds, index, boards));
            }
        }
        async move {
            for (holds, index, boards) in inputs {
                match holds {
                    Holds::Stream(stream) => {
                        let mut stream = jetstream.get_stream(&stream).await.map_err(text)?;
                        let last = stream.info().await.map_err(text)?.state.last_sequence;
                        for board in boards {
                            board.until_scanned(index, Sequence(last)).await;
                        }
                    }
                    Holds::Commits(commits) => {
                        let last = commits.all_newest();
                        for board in boards {
                            board.until_merged(index, &last).await;
                        }
                    }
                }
            }
            Ok(())
        }
    }

    /// Stops after the last commit, once the sinks have everything. To drop the future does not keep it from stopping.
    pub async fn stop(&self) {
        self.cancel.cancel();
        for lane in self.all() {
            let _ = lane.commands.send(Command::Drain);
        }
        self.ended.cancelled().await;
    }

    /// How the pipeline is.
    pub fn status(&self) -> PipelineStatus {
        let stages: Vec<StageStatus> = self
            .spec()
            .stages
            .iter()
            .zip(&self.lanes)
            .map(|(stage, lanes)| {
                let partitions: Vec<_> = lanes.iter().map(|lane| lane.board.status()).collect();
                StageStatus {
                    name: stage.name.clone(),
                    module: instance::digest_hex(stage),
                    partitions,
                }
            })
            .collect();
        let partitions = || stages.iter().flat_map(|s| &s.partitions);
        let failed = self.failed.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        let reason = failed.or_else(|| {
            partitions().find(|p| p.phase == Phase::Failed).and_then(|p| p.reason.clone())
        });
        let phase = if reason.is_some() {
            Phase::Failed
        } else {
            partitions().map(|p| p.phase).min().unwrap_or_default()
        };
        PipelineStatus { phase, reason, stages }
    }

    /// Whether nothing runs any more.
    pub fn has_ended(&self) -> bool {
        self.ended.is_cancelled()
    }

    /// Looks into the state of the partition that owns `key`, or of all without one.
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
        for (p, lane) in self.lanes[index].iter().enumerate() {
            if partition.is_some_and(|wanted| usize::from(wanted) != p) {
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

    /// All stored checkpoints.
    pub async fn checkpoints(&self) -> Result<Vec<CheckpointInfo>, String> {
        let mut found = Vec::new();
        for lane in self.all() {
            found.extend(lane.store.list().await?.into_iter().map(|(info, _)| info));
        }
        Ok(found)
    }
}

/// The folder of all that this node keeps of one life of a pipeline.
pub fn pipeline_dir(data: &Path, pipeline: &str, incarnation: Incarnation) -> std::path::PathBuf {
    data.join(format!("{pipeline}-{:032x}", incarnation.0))
}

/// The folder of a partition's database.
fn partition_dir(
    data: &Path,
    spec: &PipelineSpec,
    stage: &str,
    partition: u16,
) -> std::path::PathBuf {
    pipeline_dir(data, &spec.name, spec.incarnation).join(stage).join(partition.to_string())
}

/// Where a partition's checkpoints are.
fn store(
    blobs: &Arc<dyn Blobs>,
    spec: &PipelineSpec,
    stage: &StageSpec,
    partition: u16,
) -> CheckpointStore {
    CheckpointStore {
        blobs: Arc::clone(blobs),
        pipeline: spec.name.clone(),
        incarnation: spec.incarnation,
        stage: stage.name.clone(),
        partition,
        schemas: stage
            .description()
            .states
            .iter()
            .map(|s| (s.name.clone(), s.schema_version))
            .collect(),
    }
}

async fn facts_of(context: &Context, subject: &str) -> Result<SinkFacts, String> {
    let stream = stream_of_subject(&context.connection, subject).await.map_err(text)?;
    let sink = JetStreamSink::open(&context.connection, &stream, SinkWindow::default())
        .await
        .map_err(text)?;
    Ok(sink.facts().clone())
}

fn executor_options(
    context: &Context,
    spec: &PipelineSpec,
    stage_index: usize,
    partition: u16,
) -> Result<ExecutorOptions, String> {
    let observers = |stage: &str| context.guests.observer(&spec.name, stage);
    let mut options =
        instance::executor_options(spec, stage_index, partition, &observers).map_err(text)?;
    // Redriven dead letters come late by nature; they do not move time.
    options.sources.extend(spec.stages[stage_index].inputs.iter().map(|input| OperatorSource {
        name: redrive::name_of(&spec.input_name(input)),
        bound_ms: 0,
        timed: false,
        upstream: None,
    }));
    Ok(options)
}

/// What an input holds now.
enum Holds {
    Stream(String),
    Commits(Arc<Commits>),
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
