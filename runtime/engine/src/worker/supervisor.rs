//! What watches over a running pipeline: it hears what partitions and readers say, starts the readers, trims the log.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use millstream_core::exchange::{Standing, UpstreamPosition, needed_of};
use millstream_core::ids::{Sequence, SourceId};
use millstream_core::partition::Stopped;
use millstream_core::slice::SourcePosition;
use millstream_core::trim::{self, Needs};
use millstream_log::Name;
use millstream_log::commit_log::{CommitLog, PartitionSubject};
use millstream_sandbox::codec::{Decoder, KeySource, TimeSource};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::Context;
use super::commits::Commits;
use super::exchange::{self, ExchangeSpec};
use super::pace::Pace;
use super::partition::{Command, Notice, reason};
use super::pipeline::Lane;
use super::redrive;
use super::report::Heads;
use super::source::{self, ReaderError, ReaderSpec};
use crate::crash::{Step, around};
use crate::input::Chunk;
use crate::instance;
use crate::spec::{InputFrom, PipelineSpec, SourceSpec, StageInput};

/// How often the log is looked at for what may go, at least; more often with more frequent checkpoints.
const TRIM_EVERY_MAX: Duration = Duration::from_secs(10);
/// Records of the log by which an idle partition may hold up trimming.
const LOG_RECORDS_MAX: u64 = 100_000;

/// Where a partition was when it began to run.
#[derive(Clone)]
pub(super) struct Began {
    positions: Vec<SourcePosition>,
    upstream: Vec<UpstreamPosition>,
}

/// Hears what partitions and readers say, starts the readers, trims the log.
pub(super) struct Supervisor {
    pub context: Arc<Context>,
    pub spec: PipelineSpec,
    pub log: Arc<dyn CommitLog>,
    pub lanes: Vec<Vec<Lane>>,
    pub feeds: Vec<Vec<mpsc::Sender<Chunk>>>,
    pub heads: Vec<Heads>,
    /// Per stage, if others read it.
    pub commits: Vec<Option<Arc<Commits>>>,
    /// Per stage and partition, once it runs.
    pub running: Vec<Vec<Option<Began>>>,
    pub cancel: CancellationToken,
    pub failed: Arc<Mutex<Option<String>>>,
    pub noticed: mpsc::UnboundedReceiver<Notice>,
    pub readers: tokio::task::JoinSet<(usize, Result<(), ReaderError>)>,
    /// The log holds nothing before this, as far as this supervisor has purged it.
    pub kept_from: Sequence,
}

impl Supervisor {
    pub async fn run(mut self) {
        let mut left: usize = self.lanes.iter().map(Vec::len).sum();
        let checkpoints = Duration::from_millis(self.spec.checkpoint_interval_ms.max(1));
        let mut checkpoint = tokio::time::interval(checkpoints);
        let mut trim = tokio::time::interval(checkpoints.min(TRIM_EVERY_MAX));
        checkpoint.reset();
        trim.reset();
        while left > 0 {
            tokio::select! {
                Some(notice) = self.noticed.recv() => match notice {
                    Notice::Running { stage, partition, positions, upstream } => {
                        self.running[stage][usize::from(partition)] = Some(Began { positions, upstream });
                        self.start_readers(stage);
                    }
                    Notice::Stopped { stage, partition, why } => {
                        left -= 1;
                        if why != Stopped::Drained {
                            self.fail(format!("stage `{}` partition {partition}: {}", self.spec.stages[stage].name, reason(&why)));
                        }
                    }
                },
                Some(ended) = self.readers.join_next(), if !self.readers.is_empty() => match ended {
                    Ok((stage, Err(ReaderError::Incident(incident)))) => {
                        for lane in &self.lanes[stage] {
                            let _ = lane.commands.send(Command::Incident(incident.clone()));
                        }
                    }
                    Ok((_, Err(error))) => self.fail(error.to_string()),
                    Ok((_, Ok(()))) => {}
                    Err(error) => self.fail(format!("a reader failed: {error}")),
                },
                _ = trim.tick() => self.trim().await,
                _ = checkpoint.tick() => for lane in self.lanes.iter().flatten() {
                    let (done, _) = oneshot::channel();
                    let _ = lane.commands.send(Command::Checkpoint(done));
                },
            }
        }
        self.cancel.cancel();
        while self.readers.join_next().await.is_some() {}
    }

    /// One stopped: so do all, with what they have committed.
    fn fail(&self, why: String) {
        tracing::error!(pipeline = %self.spec.name, %why, "pipeline stopped");
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(why);
        self.cancel.cancel();
        for lane in self.lanes.iter().flatten() {
            let _ = lane.commands.send(Command::Drain);
        }
    }

    /// Starts the readers of a stage once all its partitions run.
    fn start_readers(&mut self, stage_index: usize) {
        let running = self.running[stage_index].iter().cloned();
        let Some(running) = running.collect::<Option<Vec<Began>>>() else { return };
        let stage = self.spec.stages[stage_index].clone();
        let pace = Arc::new(Pace::new(stage.inputs.len()));
        for (source, input) in stage.inputs.iter().enumerate() {
            let id = SourceId(source as u16);
            match input.from {
                InputFrom::Source(source) => {
                    let source = self.spec.sources[source].clone();
                    self.read_source(stage_index, id, input, source, (&running, &pace));
                }
                InputFrom::Stage { stage, output } => {
                    self.read_stage(stage_index, id, input, (stage, output), (&running, &pace))
                }
            }
        }
        for (index, input) in stage.inputs.iter().enumerate() {
            let (pipeline, name) = (&self.spec.name, self.spec.input_name(input));
            let event_time = match input.from {
                InputFrom::Source(source) => self.spec.sources[source].event_time.clone(),
                InputFrom::Stage { .. } => TimeSource::Broker,
            };
            let redriven = redrive::source_of(pipeline, &stage.name, &name, event_time);
            let id = SourceId((stage.inputs.len() + index) as u16);
            self.read_source(stage_index, id, input, redriven, (&running, &pace));
        }
    }

    /// Starts the reader of a stream.
    fn read_source(
        &mut self,
        stage_index: usize,
        id: SourceId,
        input: &StageInput,
        spec: SourceSpec,
        (running, pace): (&[Began], &Arc<Pace>),
    ) {
        let stage = &self.spec.stages[stage_index];
        let fields = stage.module.description().inputs[input.input].fields.clone();
        let (key, event_time) = (input.key.clone(), spec.event_time.clone());
        let read = |p: &&SourcePosition| p.source == id && p.stream_created_ns != 0;
        let reader = ReaderSpec {
            connection: self.context.connection.clone(),
            spec,
            source: id,
            input: input.input as u32,
            partitions: stage.partitions,
            lanes: self.feeds[stage_index].clone(),
            heads: Arc::clone(&self.heads[stage_index]),
            pace: Arc::clone(pace),
            positions: running.iter().map(|p| p.positions.iter().find(read).copied()).collect(),
            handed_over: None,
        };
        // Pointers were checked when the manifest was resolved.
        if let Err(error) = decoder(&fields, &key, &event_time) {
            self.fail(error);
            return;
        }
        let cancel = self.cancel.clone();
        self.readers.spawn(async move {
            let make = move || decoder(&fields, &key, &event_time).expect("it was made before");
            (stage_index, source::run(reader, make, cancel).await)
        });
    }

    /// Starts the reader of another stage's output.
    fn read_stage(
        &mut self,
        stage_index: usize,
        id: SourceId,
        input: &StageInput,
        (from, output): (usize, u8),
        (running, pace): (&[Began], &Arc<Pace>),
    ) {
        let (stage, upstream) = (&self.spec.stages[stage_index], &self.spec.stages[from]);
        let decoder = match instance::decoder(&self.spec, stage, input) {
            Ok(decoder) => decoder,
            Err(error) => return self.fail(error.to_string()),
        };
        let partitions = upstream.partitions;
        let subject = |partition| {
            PartitionSubject::new(
                &Name::new(&self.spec.name).expect("the pipeline has started"),
                &Name::new(&upstream.name).expect("the stage has started"),
                partition,
            )
        };
        let reader = ExchangeSpec {
            log: Arc::clone(&self.log),
            subjects: (0..partitions).map(subject).collect(),
            commits: self.commits[from].clone().expect("it is read"),
            output,
            ordering: self.spec.ordering(from),
            name: self.spec.input_name(input),
            source: id,
            input: input.input as u32,
            lanes: self.feeds[stage_index].clone(),
            heads: Arc::clone(&self.heads[stage_index]),
            pace: Arc::clone(pace),
            align_within_ms: self.spec.align_within_ms(input.from),
            positions: running
                .iter()
                .map(|began| Standing::recorded(id, partitions, &began.positions, &began.upstream))
                .collect(),
        };
        let cancel = self.cancel.clone();
        self.readers.spawn(async move {
            (stage_index, exchange::run(reader, decoder, cancel).await.map_err(ReaderError::from))
        });
    }

    /// From where on the partitions of other stages need the records of a partition.
    fn needed_downstream(&self, from: usize, partition: u16) -> Vec<Sequence> {
        let mut needed = Vec::new();
        for (stage, lanes) in self.spec.stages.iter().zip(&self.lanes) {
            for (source, input) in stage.inputs.iter().enumerate() {
                if !matches!(input.from, InputFrom::Stage { stage, .. } if stage == from) {
                    continue;
                }
                let source = SourceId(source as u16);
                let needs =
                    |lane: &Lane| needed_of(&lane.board.needs().upstream, source, partition);
                needed.extend(lanes.iter().map(needs));
            }
        }
        needed
    }

    /// Purges what no partition needs any more.
    async fn trim(&mut self) {
        let mut needs = Vec::new();
        for (stage, lanes) in self.lanes.iter().enumerate() {
            for (partition, lane) in lanes.iter().enumerate() {
                let of = lane.board.needs();
                needs.push(Needs {
                    partition: needs.len() as u16,
                    last_record: of.last,
                    checkpoint: of.checkpoint,
                    egress: vec![(0, of.egress)],
                    downstream: self.needed_downstream(stage, partition as u16),
                    audit: None,
                });
            }
        }
        let Some(floor) = trim::floor(&needs) else { return };
        if floor.keep_from > self.kept_from {
            match around(Step::PurgeLog, self.log.purge_below(floor.keep_from)).await {
                Ok(_) => self.kept_from = floor.keep_from,
                Err(error) => tracing::warn!(%error, "log could not be trimmed"),
            }
        }
        let end = needs.iter().map(|n| n.last_record).max().unwrap_or_default();
        for (lane, need) in self.lanes.iter().flatten().zip(&needs) {
            if need.last_record.0 > 0 && need.last_record.0 + LOG_RECORDS_MAX < end.0 {
                let _ = lane.commands.send(Command::Anchor);
            }
        }
    }
}

fn decoder(
    fields: &[millstream_core::description::InputField],
    key: &KeySource,
    time: &TimeSource,
) -> Result<Decoder, String> {
    Decoder::new(fields, key.clone(), time.clone()).map_err(|error| error.to_string())
}
