//! Starts the readers of the stages of a pipeline.

use std::collections::BTreeMap;
use std::sync::Arc;

use millstream_core::exchange::{Standing as MergedStanding, UpstreamPosition};
use millstream_core::ids::SourceId;
use millstream_core::slice::SourcePosition;
use millstream_sandbox::codec::{Decoder, KeySource, TimeSource};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::exchange::{self, ExchangeSpec};
use super::lanes::Lanes;
use super::opening::subject_of;
use super::pace::Pace;
use super::redrive;
use super::source::{self, Consuming, ReaderError, ReaderSpec};
use super::supervisor::Supervisor;
use crate::ingest;
use crate::input::Chunk;
use crate::instance;
use crate::router::Envelopes;
use crate::spec::{InputFrom, SourceSpec, StageInput};

/// Where a partition was when it began to run, or its readers were given up.
#[derive(Clone)]
pub(super) struct Began {
    pub positions: Vec<SourcePosition>,
    pub upstream: Vec<UpstreamPosition>,
}

/// How it stands with a partition and the readers of its stage.
pub(super) enum Standing {
    /// It recovers, or was told to let go of its readers; it will say where it is.
    OnTheWay,
    /// Readers may start from here.
    Ready(Began),
    /// It is being read for.
    Reading,
}

/// The readers of one stage and the partitions they read for.
pub(super) struct StageReading {
    partitions: BTreeMap<u16, (Standing, mpsc::Sender<Chunk>)>,
    cancel: CancellationToken,
}

impl StageReading {
    pub fn new(cancel: &CancellationToken) -> Self {
        Self { partitions: BTreeMap::new(), cancel: cancel.child_token() }
    }

    /// The partition takes what is read for it from here, once it has said where it is.
    pub fn opened(&mut self, partition: u16, feed: mpsc::Sender<Chunk>) {
        self.partitions.insert(partition, (Standing::OnTheWay, feed));
    }

    pub fn stands(&mut self, partition: u16, now: Standing) {
        if let Some((standing, _)) = self.partitions.get_mut(&partition) {
            *standing = now;
        }
    }

    pub fn stopped(&mut self, partition: u16) {
        self.partitions.remove(&partition);
    }

    /// Whether all have said where they are, and not all are read for.
    pub fn wants_readers(&self) -> bool {
        let standings = || self.partitions.values().map(|(standing, _)| standing);
        !standings().any(|s| matches!(s, Standing::OnTheWay))
            && standings().any(|s| matches!(s, Standing::Ready(_)))
    }

    /// Ends the readers; the partitions they have read for.
    pub fn give_up(&mut self, pipeline: &CancellationToken) -> Vec<u16> {
        std::mem::replace(&mut self.cancel, pipeline.child_token()).cancel();
        let read = self.partitions.iter().filter(|(_, (s, _))| matches!(s, Standing::Reading));
        read.map(|(&partition, _)| partition).collect()
    }

    /// What the readers begin with; from now on the partitions are read for.
    fn begin(&mut self) -> BTreeMap<u16, (Began, mpsc::Sender<Chunk>)> {
        let mut began = BTreeMap::new();
        for (&partition, (standing, feed)) in &mut self.partitions {
            if let Standing::Ready(at) = std::mem::replace(standing, Standing::Reading) {
                began.insert(partition, (at, feed.clone()));
            }
        }
        began
    }
}

/// What the readers of a stage share.
struct Stage {
    index: usize,
    began: BTreeMap<u16, Began>,
    lanes: Lanes,
    pace: Arc<Pace>,
    cancel: CancellationToken,
}

impl Supervisor {
    /// Starts the readers of a stage, all of whose partitions that are here have said where they are.
    pub(super) fn start_readers(&mut self, stage_index: usize) {
        let stage = self.spec.stages[stage_index].clone();
        let began = self.stages[stage_index].begin();
        let feeds = began.iter().map(|(&partition, (_, feed))| (partition, feed.clone()));
        let shared = Stage {
            index: stage_index,
            lanes: Lanes::new(stage.partitions, feeds),
            began: began.into_iter().map(|(partition, (at, _))| (partition, at)).collect(),
            pace: Arc::new(Pace::new(stage.inputs.len())),
            cancel: self.stages[stage_index].cancel.clone(),
        };
        for (source, input) in stage.inputs.iter().enumerate() {
            let id = SourceId(source as u16);
            match input.from {
                InputFrom::Source(source) => {
                    let source = self.spec.sources[source].clone();
                    self.read_source(&shared, id, input, source);
                }
                InputFrom::Stage { stage, output } => {
                    self.read_stage(&shared, id, input, (stage, output))
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
            self.read_source(&shared, id, input, redriven);
        }
    }

    /// Starts the reader of a stream.
    fn read_source(&mut self, shared: &Stage, id: SourceId, input: &StageInput, spec: SourceSpec) {
        let (stage_index, stage) = (shared.index, &self.spec.stages[shared.index]);
        let fields = stage.module.description().inputs[input.input].fields.clone();
        let (key, event_time) = (input.key.clone(), spec.event_time.clone());
        let (spec_consumed, name) = (spec.consumed, spec.name.clone());
        let read = |p: &&SourcePosition| p.source == id && p.stream_created_ns != 0;
        let accounts = &self.opener.context.accounts;
        let account = match redrive::is_redriven(&name) {
            true => &accounts.engine,
            false => &accounts.tenant,
        };
        let reader = ReaderSpec {
            connection: account.clone(),
            spec,
            source: id,
            input: input.input as u32,
            partitions: stage.partitions,
            lanes: shared.lanes.clone(),
            heads: Arc::clone(&self.opener.heads[stage_index]),
            pace: Arc::clone(&shared.pace),
            positions: shared
                .began
                .values()
                .map(|p| p.positions.iter().find(read).copied())
                .collect(),
            handed_over: None,
            envelopes: if stage.is_ingest() { Envelopes::Seal } else { Envelopes::No },
            consuming: spec_consumed.then(|| self.consuming(stage_index, &name)).flatten(),
            gate: self.opener.gate.clone(),
            inlet: (stage_index, id),
        };
        // Pointers were checked when the manifest was resolved.
        if let Err(error) = decoder(&fields, &key, &event_time) {
            self.fail(error);
            return;
        }
        let cancel = shared.cancel.clone();
        self.readers.spawn(async move {
            let make = move || decoder(&fields, &key, &event_time).expect("it was made before");
            (stage_index, source::run(reader, make, cancel).await)
        });
    }

    /// How the only partition of an ingest stage consumes its source.
    fn consuming(&self, stage: usize, source: &str) -> Option<Consuming> {
        let lane = self.here.get(stage, 0)?;
        let prefix = ingest::consumers_of(&self.spec.name, self.spec.incarnation, source);
        Some(Consuming { prefix, board: lane.board, commands: lane.commands })
    }

    /// Starts the reader of another stage's output.
    fn read_stage(
        &mut self,
        shared: &Stage,
        id: SourceId,
        input: &StageInput,
        (from, output): (usize, u8),
    ) {
        let stage_index = shared.index;
        let (stage, upstream) = (&self.spec.stages[stage_index], &self.spec.stages[from]);
        let decoder = match instance::decoder(&self.spec, stage, input) {
            Ok(decoder) => decoder,
            Err(error) => return self.fail(error.to_string()),
        };
        let partitions = upstream.partitions;
        let subject =
            |partition| subject_of(&self.spec, upstream, partition).expect("the stage has started");
        let reader = ExchangeSpec {
            log: Arc::clone(&self.opener.log),
            subjects: (0..partitions).map(subject).collect(),
            commits: self.opener.commits[from].clone().expect("it is read"),
            output,
            ordering: self.spec.ordering(from),
            name: self.spec.input_name(input),
            envelopes: if upstream.is_ingest() { Envelopes::Open } else { Envelopes::No },
            source: id,
            input: input.input as u32,
            lanes: shared.lanes.clone(),
            heads: Arc::clone(&self.opener.heads[stage_index]),
            pace: Arc::clone(&shared.pace),
            align_within_ms: self.spec.align_within_ms(input.from),
            positions: shared
                .began
                .iter()
                .map(|(&partition, began)| {
                    let (positions, upstream) = (&began.positions, &began.upstream);
                    (partition, MergedStanding::recorded(id, partitions, positions, upstream))
                })
                .collect(),
        };
        let cancel = shared.cancel.clone();
        self.readers.spawn(async move {
            (stage_index, exchange::run(reader, decoder, cancel).await.map_err(ReaderError::from))
        });
    }
}

fn decoder(
    fields: &[millstream_core::description::InputField],
    key: &KeySource,
    time: &TimeSource,
) -> Result<Decoder, String> {
    Decoder::new(fields, key.clone(), time.clone()).map_err(|error| error.to_string())
}
