//! Opens partitions of a pipeline on this node.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use millstream_core::commit::Compression;
use millstream_core::egress::EgressConfig;
use millstream_core::ids::{Incarnation, Sequence};
use millstream_core::outputs::DEAD_LETTER;
use millstream_core::partition::{Partition, PartitionConfig, SinkConfig};
use millstream_log::Name;
use millstream_log::blobs::Blobs;
use millstream_log::commit_log::{
    CommitLog, JetStreamLog, LogOptions, PartitionSubject, stream_name,
};
use millstream_log::connect::Connection;
use millstream_log::egress::{
    CreatedStream, JetStreamSink, Sink, SinkFacts, SinkWindow, create_sink_stream, cursor_subject,
    open_created_stream, stream_of_subject,
};
use tokio::sync::mpsc;

use super::Context;
use super::checkpoint::{CheckpointStore, KEPT};
use super::commits::Commits;
use super::egress::{EgressSpec, Transactional};
use super::gate::Gate;
use super::here::Lane;
use super::operator::StageOperator;
use super::partition::{Notice, PartitionTask};
use super::redrive;
use super::report::{Board, Heads};
use super::standby::{Standby, StandbySpec};
use crate::crash::{self, Step, around};
use crate::executor::{ExecutorOptions, OperatorSource};
use crate::input::Chunk;
use crate::instance;
use crate::spec::{Delivery, PipelineSpec, SinkSpec, StageSpec};

/// Chunks that wait for a partition.
pub const CHUNKS_WAITING: usize = 4;
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

/// In the place of a duplicate window where there is none, milliseconds: the log knows a cursor within a part of it.
const TRANSACTIONAL_WINDOW_MS: i64 = 120_000;

/// What the partitions of a pipeline are opened with.
pub struct Opener {
    pub context: Arc<Context>,
    pub log: Arc<dyn CommitLog>,
    record_bytes_max: usize,
    pub blobs: Arc<dyn Blobs>,
    notices: mpsc::UnboundedSender<Notice>,
    /// In front of what the pipeline reads.
    pub gate: Gate,
    /// Per stage.
    pub heads: Vec<Heads>,
    /// Per stage, if others read it.
    pub commits: Vec<Option<Arc<Commits>>>,
}

/// A partition that is ready to be run.
pub struct Opened {
    pub task: PartitionTask,
    pub lane: Lane,
    pub feed: mpsc::Sender<Chunk>,
}

/// A sink with the facts of its stream.
type OpenSink = (String, SinkFacts);

impl Opener {
    /// Opens what all partitions share, and makes what is missing: the log, the streams of dead letters.
    pub async fn open(
        context: &Arc<Context>,
        spec: &PipelineSpec,
        notices: mpsc::UnboundedSender<Notice>,
    ) -> Result<Self, String> {
        let connection = &context.accounts.engine;
        let name = spec.log_name()?;
        let options = LogOptions { replicas: context.replicas, bytes_max: None };
        let log = async {
            match spec.log {
                None => JetStreamLog::open(connection, &name, &options).await,
                // A new one would begin with nothing, as if there had been no savepoint.
                Some(_) => JetStreamLog::open_existing(connection, &name, &options).await,
            }
        };
        let log = around(Step::OpenLog, log).await.map_err(text)?;
        let record_bytes_max = log.info().await.map_err(text)?.record_bytes_max;
        crash::before(Step::OpenDeadLetters);
        for (stream, subject) in [DEAD_LETTERS, (redrive::STREAM, redrive::SUBJECT)] {
            let subject = format!("{subject}.>");
            if stream_of_subject(connection, &subject).await.is_err() {
                create_sink_stream(connection, stream, &[subject], context.replicas, WINDOW)
                    .await
                    .map_err(text)?;
            }
        }
        crash::after(Step::OpenDeadLetters);
        let heads = |stage: &StageSpec| -> Heads {
            Arc::new((0..2 * stage.inputs.len()).map(|_| AtomicU64::new(0)).collect())
        };
        let commits = |(index, stage): (usize, &StageSpec)| {
            spec.feeds_stages(index).then(|| Arc::new(Commits::new(stage.partitions)))
        };
        Ok(Self {
            context: Arc::clone(context),
            log: Arc::new(log),
            record_bytes_max,
            blobs: context.checkpoints_of(spec.checkpoint_store.as_deref())?,
            notices,
            gate: Gate::new(),
            heads: spec.stages.iter().map(heads).collect(),
            commits: spec.stages.iter().enumerate().map(commits).collect(),
        })
    }

    /// The pipeline's sinks.
    pub async fn sinks(&self, spec: &PipelineSpec) -> Result<Vec<OpenSink>, String> {
        let mut sinks = Vec::new();
        for sink in &spec.sinks {
            let tenant = &self.context.accounts.tenant;
            let facts = match self.created_stream(sink) {
                Some(stream) => open_created_stream(tenant, &stream).await.map_err(text),
                None => facts_of(tenant, &sink.subject.replace("{key}", "key")).await,
            };
            let facts = facts.map_err(|e| format!("sink `{}`: {e}", sink.name))?;
            sinks.push((sink.subject.clone(), facts));
        }
        Ok(sinks)
    }

    /// The stream of a transactional sink.
    fn created_stream(&self, sink: &SinkSpec) -> Option<CreatedStream> {
        let Delivery::Transactional { stream } = &sink.delivery else { return None };
        Some(CreatedStream {
            name: stream.clone(),
            subject: sink.subject.replace("{key}", "*"),
            replicas: self.context.replicas,
        })
    }

    /// The sinks of a stage: the pipeline's and its own for dead letters.
    pub async fn sinks_of(
        &self,
        spec: &PipelineSpec,
        stage: &StageSpec,
        sinks: &[OpenSink],
    ) -> Result<Vec<OpenSink>, String> {
        let subject = format!("{}.{}.{}", DEAD_LETTERS.1, spec.name, stage.name);
        let facts = facts_of(&self.context.accounts.engine, &subject).await?;
        Ok(sinks.iter().cloned().chain([(subject, facts)]).collect())
    }

    /// Opens the state of a partition, and what computes on it.
    fn operator(
        &self,
        spec: &PipelineSpec,
        stage_index: usize,
        partition: u16,
    ) -> Result<StageOperator, String> {
        let dir = pipeline_dir(&self.context.data, &spec.name, spec.incarnation)
            .join(&spec.stages[stage_index].name)
            .join(partition.to_string());
        let options = executor_options(&self.context, spec, stage_index, partition)?;
        StageOperator::open(options, &dir, &self.context.shared).map_err(text)
    }

    /// Begins to stand by for a partition.
    pub fn standby(
        &self,
        spec: &PipelineSpec,
        stage_index: usize,
        partition: u16,
    ) -> Result<Standby, String> {
        let stage = &spec.stages[stage_index];
        let standby = StandbySpec {
            connection: self.context.accounts.engine.clone(),
            log: Arc::clone(&self.log),
            stream: stream_name(&Name::new(&spec.name).map_err(text)?),
            subject: subject_of(spec, stage, partition)?,
            pipeline: spec.incarnation,
            store: store(&self.blobs, spec, stage, partition),
        };
        Ok(Standby::start(standby, self.operator(spec, stage_index, partition)?))
    }

    /// Opens a partition. `sinks` are those of its stage; `kept` is what a standby of it has kept.
    pub async fn partition(
        &self,
        spec: &PipelineSpec,
        stage_index: usize,
        partition: u16,
        sinks: &[OpenSink],
        kept: Option<StageOperator>,
    ) -> Result<Opened, String> {
        let stage = &spec.stages[stage_index];
        let subject = subject_of(spec, stage, partition)?;
        let store = store(&self.blobs, spec, stage, partition);
        let operator = match kept {
            Some(operator) => operator,
            None => self.operator(spec, stage_index, partition)?,
        };
        let board = Arc::new(Board::new(
            partition,
            instance::digest_hex(stage),
            operator.executor.options().sources.clone(),
            Arc::clone(&self.heads[stage_index]),
        ));
        for (info, redo_from) in store.list().await? {
            board.stored(info, redo_from, KEPT);
        }
        let commits = self.commits[stage_index].clone();
        let config = PartitionConfig {
            pipeline: spec.incarnation,
            owner: Incarnation(self.context.random()),
            module: stage.digest(),
            commit_bytes_max: self.record_bytes_max - COMMIT_MARGIN_BYTES,
            compression: Compression::Lz4,
            sinks: (0..)
                .zip(sinks)
                .map(|(sink, (_, facts))| sink_config(spec, sink, facts))
                .collect(),
            quiet_commit_ms: match commits {
                Some(_) => QUIET_COMMIT_FEEDING_MS,
                None => QUIET_COMMIT_MS,
            },
            backlog_bytes_max: BACKLOG_BYTES_MAX,
        };
        let mut machine = Partition::new(config, operator);
        machine.runs_by(spec.recorded);
        let (commands, commanded) = mpsc::unbounded_channel();
        let (feed, chunks) = mpsc::channel(CHUNKS_WAITING);
        let task = PartitionTask {
            stage: stage_index,
            partition,
            machine,
            log: Arc::clone(&self.log),
            subject,
            sinks: self.egress(spec, stage, partition, sinks),
            store: store.clone(),
            chunks,
            commands: commanded,
            notices: self.notices.clone(),
            board: Arc::clone(&board),
            commits,
        };
        Ok(Opened { task, lane: Lane { commands, board, store, leaving: false }, feed })
    }

    /// What publishes the outputs of a partition, per sink.
    fn egress(
        &self,
        spec: &PipelineSpec,
        stage: &StageSpec,
        partition: u16,
        sinks: &[OpenSink],
    ) -> Vec<EgressSpec> {
        // What a stage sees of a queue has numbers of its own.
        let read = spec.sources.iter().filter(|source| !source.consumed || stage.is_ingest());
        let streams: Vec<_> = read.map(|s| (s.name.clone(), s.stream.clone())).collect();
        let accounts = &self.context.accounts;
        let outputs = |sink: usize| -> (&Connection, Vec<u8>) {
            if sink == spec.sinks.len() {
                return (&accounts.engine, vec![DEAD_LETTER]);
            }
            let takes = |&output: &usize| stage.outputs[output].contains(&sink);
            let taken = (0..stage.outputs.len()).filter(takes);
            (&accounts.tenant, taken.map(|output| output as u8).collect())
        };
        let transactional = |sink: usize| {
            let sink = spec.sinks.get(sink)?;
            let stream = self.created_stream(sink)?;
            let (pipeline, stage) = (&spec.name, &stage.name);
            let cursor = cursor_subject(&stream.name, pipeline, stage, &sink.name, partition);
            Some(Transactional { stream, cursor, pipeline: spec.incarnation })
        };
        let egress = |(sink, (subject, facts)): (usize, &OpenSink)| {
            let (connection, outputs) = outputs(sink);
            EgressSpec {
                connection: connection.clone(),
                config: EgressConfig {
                    partition,
                    outputs,
                    in_flight_max: SinkWindow::default().messages,
                    duplicate_window_ms: facts.duplicate_window_ns / 1_000_000,
                },
                stream: facts.stream.clone(),
                subject: subject.clone(),
                streams: streams.clone(),
                stage: format!("{}.{}.", spec.name, stage.name),
                transactional: transactional(sink),
            }
        };
        sinks.iter().enumerate().map(egress).collect()
    }
}

/// A sink as its partitions need to know it. A transactional one has no window: nothing but recovery gets longer without its cursor
/// in the log.
fn sink_config(spec: &PipelineSpec, sink: u16, facts: &SinkFacts) -> SinkConfig {
    match spec.sinks.get(usize::from(sink)).map(|sink| &sink.delivery) {
        Some(Delivery::Transactional { .. }) => SinkConfig {
            sink,
            duplicate_window_ms: TRANSACTIONAL_WINDOW_MS,
            sequence_at_start: Sequence(0),
        },
        Some(Delivery::Deduplicated) | None => SinkConfig {
            sink,
            duplicate_window_ms: facts.duplicate_window_ns / 1_000_000,
            sequence_at_start: facts.last,
        },
    }
}

/// Where a partition's records are.
pub fn subject_of(
    spec: &PipelineSpec,
    stage: &StageSpec,
    partition: u16,
) -> Result<PartitionSubject, String> {
    let stage = Name::new(&stage.name).map_err(text)?;
    Ok(PartitionSubject::new(&spec.log_name()?, &stage, partition))
}

/// The folder of all that this node keeps of one life of a pipeline.
pub fn pipeline_dir(data: &Path, pipeline: &str, incarnation: Incarnation) -> PathBuf {
    data.join(format!("{pipeline}-{:032x}", incarnation.0))
}

/// Where a partition's checkpoints are.
pub fn store(
    blobs: &Arc<dyn Blobs>,
    spec: &PipelineSpec,
    stage: &StageSpec,
    partition: u16,
) -> CheckpointStore {
    let states = stage.description().states;
    CheckpointStore {
        blobs: Arc::clone(blobs),
        pipeline: spec.name.clone(),
        incarnation: spec.incarnation,
        stage: stage.name.clone(),
        partition,
        schemas: states.iter().map(|s| (s.name.clone(), s.schema_version)).collect(),
    }
}

async fn facts_of(connection: &Connection, subject: &str) -> Result<SinkFacts, String> {
    let stream = stream_of_subject(connection, subject).await.map_err(text)?;
    let sink =
        JetStreamSink::open(connection, &stream, SinkWindow::default()).await.map_err(text)?;
    Ok(sink.facts().clone())
}

pub fn executor_options(
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

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
