//! What the engine runs: a pipeline with every name resolved and every module
//! compiled. `control` makes it from a manifest; nothing here is user syntax.

use std::sync::Arc;
use std::time::Duration;

use millstream_core::description::Description;
use millstream_core::exchange::Ordering;
use millstream_core::ids::{Incarnation, Sequence};
use millstream_log::Name;
use millstream_sandbox::Module;
use millstream_sandbox::codec::{KeySource, TimeSource};
use sha2::{Digest, Sha256};

use crate::chain;
use crate::ingest;

/// A pipeline, ready to run.
#[derive(Clone)]
pub struct PipelineSpec {
    /// Unique in the account; a token of NATS subjects (`[a-z0-9-]{1,40}`).
    pub name: String,
    /// Random, made when the pipeline was created; part of message ids and commit records.
    pub incarnation: Incarnation,
    /// Name of its log if that was made from a savepoint, before the pipeline; none: its own name, and the log is made when
    /// it starts for the first time.
    pub log: Option<String>,
    /// Revision of the record that says that it is to run: a log that was sealed for a switch based on an earlier one may be
    /// taken over (`millstream_core::seal`).
    pub recorded: u64,
    /// What it reads.
    pub sources: Vec<SourceSpec>,
    /// What it computes.
    pub stages: Vec<StageSpec>,
    /// What it writes.
    pub sinks: Vec<SinkSpec>,
    /// Milliseconds between checkpoints of a changed partition.
    pub checkpoint_interval_ms: u64,
    /// URL of the store of its checkpoints, such as `file:///...`; none: the worker's own store.
    pub checkpoint_store: Option<String>,
}

impl PipelineSpec {
    /// The name of its log: that of the stream, and a token of its subjects.
    pub fn log_name(&self) -> Result<Name, String> {
        Name::new(self.log.as_ref().unwrap_or(&self.name)).map_err(|error| error.to_string())
    }

    /// The name of a log that is made from a savepoint for one life of a pipeline. No other pipeline and no other life has
    /// it: names of pipelines hold no `_`.
    pub fn seeded_log(pipeline: &str, life: Incarnation) -> String {
        format!("{pipeline}_{:012x}", life.0 >> 80)
    }

    /// What an input is called: the source's name, or `STAGE.OUTPUT`.
    pub fn input_name(&self, input: &StageInput) -> String {
        match input.from {
            InputFrom::Stage { stage, .. } if self.stages[stage].is_ingest() => {
                self.input_name(&self.stages[stage].inputs[0])
            }
            InputFrom::Source(source) => self.sources[source].name.clone(),
            InputFrom::Stage { stage, output } => self.stages[stage].output_name(output),
        }
    }

    /// Whether some stage reads this output of this stage.
    pub fn is_read(&self, stage: usize, output: u8) -> bool {
        let from = InputFrom::Stage { stage, output };
        self.stages.iter().flat_map(|s| &s.inputs).any(|input| input.from == from)
    }

    /// Whether some stage reads any output of this stage.
    pub fn feeds_stages(&self, stage: usize) -> bool {
        let reads = |input: &StageInput| matches!(input.from, InputFrom::Stage { stage: s, .. } if s == stage);
        self.stages.iter().flat_map(|s| &s.inputs).any(reads)
    }

    /// What orders the causes of a stage's outputs, for the stages that read it. Only one input whose own order is
    /// that of a sequence gives one.
    pub fn ordering(&self, stage: usize) -> Ordering {
        match self.stages[stage].inputs.as_slice() {
            [StageInput { from: InputFrom::Source(_), .. }] => Ordering::Sequence,
            [StageInput { from: InputFrom::Stage { stage, .. }, .. }] => self.ordering(*stage),
            _ => Ordering::Time,
        }
    }

    /// By how much the watermark of an input may be ahead of the least of its stage's other inputs, milliseconds: the
    /// narrowest limit of the sources that feed it, directly or through stages.
    pub fn align_within_ms(&self, from: InputFrom) -> Option<i64> {
        match from {
            InputFrom::Source(source) => self.sources[source].watermark.align_within_ms,
            InputFrom::Stage { stage, .. } => {
                let inputs = &self.stages[stage].inputs;
                inputs.iter().filter_map(|input| self.align_within_ms(input.from)).min()
            }
        }
    }

    /// The stages, each behind all that feed it.
    pub fn in_order(&self) -> Vec<usize> {
        let mut order: Vec<usize> = Vec::new();
        while order.len() < self.stages.len() {
            let ready = |stage: &usize| {
                let fed = self.stages[*stage].inputs.iter().all(|input| match input.from {
                    InputFrom::Source(_) => true,
                    InputFrom::Stage { stage, .. } => order.contains(&stage),
                });
                fed && !order.contains(stage)
            };
            let next = (0..self.stages.len()).find(ready);
            // A manifest with a cycle was refused.
            order.push(next.expect("stages do not feed themselves"));
        }
        order
    }
}

/// Where a reader begins when the log holds no position yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// With the first record the stream still holds.
    Beginning,
    /// With the first record behind this place, the same for all partitions and every start.
    Behind {
        /// The sequence before it.
        sequence: Sequence,
        /// When the stream was created that it is a sequence of, nanoseconds since 1970 UTC; 0: in whichever it is.
        stream_created_ns: i64,
    },
}

/// What to do when records between the position and the stream's first sequence are gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnGap {
    /// Stop the pipeline with an incident.
    Stop,
    /// Go on behind the gap.
    Skip,
}

/// How the watermark of a source follows its event times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WatermarkSpec {
    /// Bound of out-of-orderness, milliseconds.
    pub bound_ms: i64,
    /// After this time without a record the source is idle and holds no watermark back; none: never.
    pub idle_after: Option<Duration>,
    /// By how much its watermark may be ahead of the least of a stage's other inputs before it is
    /// read on, milliseconds; none: without limit.
    pub align_within_ms: Option<i64>,
}

/// An existing JetStream stream that the pipeline reads.
#[derive(Clone, Debug)]
pub struct SourceSpec {
    /// Name in the manifest.
    pub name: String,
    /// The stream.
    pub stream: String,
    /// Subject filter; none: the whole stream.
    pub subject: Option<String>,
    /// Where to begin.
    pub start: Start,
    /// Where a record's event time is.
    pub event_time: TimeSource,
    /// How the watermark follows the event times.
    pub watermark: WatermarkSpec,
    /// What to do about lost records.
    pub on_gap: OnGap,
    /// Its records vanish once they are acknowledged: only an ingest stage reads it ([`crate::ingest::insert`]).
    pub consumed: bool,
}

/// What happens to a record that the UDF refuses or that cannot be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnError {
    /// It becomes a dead letter and the rest goes on.
    DeadLetter,
    /// The pipeline stops before it.
    Stop,
}

/// What feeds an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputFrom {
    /// Index into `PipelineSpec::sources`.
    Source(usize),
    /// An output of another stage.
    Stage {
        /// Index into `PipelineSpec::stages`; stages do not feed themselves, directly or through others.
        stage: usize,
        /// Index among the declared outputs of its UDFs.
        output: u8,
    },
}

/// Something that feeds a stage.
#[derive(Clone, Debug)]
pub struct StageInput {
    /// What it is.
    pub from: InputFrom,
    /// Index of the declared input of the stage's UDF that it feeds; several may feed the same.
    pub input: usize,
    /// Where the key is.
    pub key: KeySource,
}

/// What a stage computes with.
#[derive(Clone, Debug)]
pub enum StageModule {
    /// A UDF.
    Guest(Arc<Module>),
    /// The host's own operator, which takes a source's records into the log; what it says of itself.
    Ingest(Arc<Description>),
}

impl StageModule {
    /// What it says of itself.
    pub fn description(&self) -> &Description {
        match self {
            Self::Guest(module) => module.description(),
            Self::Ingest(description) => description,
        }
    }

    /// SHA-256 of the module; what stands for it if there is none.
    pub fn digest(&self) -> [u8; 32] {
        match self {
            Self::Guest(module) => module.digest(),
            Self::Ingest(_) => ingest::DIGEST,
        }
    }
}

impl From<Arc<Module>> for StageModule {
    fn from(module: Arc<Module>) -> Self {
        Self::Guest(module)
    }
}

/// An operator with its partitions.
#[derive(Clone)]
pub struct StageSpec {
    /// Name in the manifest; a token of NATS subjects.
    pub name: String,
    /// Fixed number of partitions, at least 1.
    pub partitions: u16,
    /// Its own UDF.
    pub module: StageModule,
    /// Its configuration, a JSON object.
    pub config: String,
    /// What feeds it; every declared input of the UDF is fed.
    pub inputs: Vec<StageInput>,
    /// Per declared output of its UDFs, in the order of [`StageSpec::description`], the indexes into `PipelineSpec::sinks` of those that take it.
    pub outputs: Vec<Vec<usize>>,
    /// What to do with poison.
    pub on_error: OnError,
    /// What runs behind it in its partitions, in an order in which each is behind what feeds it.
    pub chained: Vec<ChainedSpec>,
}

/// A stage that has the keys of another and runs behind it, in its partitions.
#[derive(Clone)]
pub struct ChainedSpec {
    /// Name in the manifest.
    pub name: String,
    /// The UDF; it declares one input.
    pub module: StageModule,
    /// Its configuration, a JSON object.
    pub config: String,
    /// What feeds it: 0 for the stage's own UDF, n for number n of the chained ones (counted from 1), and which of
    /// its declared outputs.
    pub from: (usize, u8),
}

impl StageSpec {
    /// What its UDFs say of themselves: outputs, states and timers of the chained ones come behind its own.
    pub fn description(&self) -> Description {
        chain::description(self)
    }

    /// SHA-256 of the module; of the digests of all modules if there are several.
    pub fn digest(&self) -> [u8; 32] {
        if self.chained.is_empty() {
            return self.module.digest();
        }
        let mut hasher = Sha256::new();
        hasher.update(self.module.digest());
        self.chained.iter().for_each(|link| hasher.update(link.module.digest()));
        hasher.finalize().into()
    }

    /// Whether it takes a source's records into the log.
    pub fn is_ingest(&self) -> bool {
        matches!(self.module, StageModule::Ingest(_))
    }

    /// Whether a stage of this name runs in its partitions.
    pub fn runs(&self, name: &str) -> bool {
        self.name == name || self.chained.iter().any(|link| link.name == name)
    }

    /// An output as a manifest names it, `STAGE.OUTPUT`.
    fn output_name(&self, output: u8) -> String {
        let mut index = usize::from(output);
        let own = [(&self.name, &self.module)];
        for (stage, module) in
            own.into_iter().chain(self.chained.iter().map(|l| (&l.name, &l.module)))
        {
            let outputs = &module.description().outputs;
            match outputs.get(index) {
                Some(output) => return format!("{stage}.{}", output.name),
                None => index -= outputs.len(),
            }
        }
        unreachable!("the output was declared when the manifest was resolved")
    }
}

/// A subject that outputs are published to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SinkSpec {
    /// Name in the manifest.
    pub name: String,
    /// The subject; `{key}` stands for the record's key (a subject token, others characters replaced by `_`).
    pub subject: String,
    /// How each output gets there once.
    pub delivery: Delivery,
}

/// How each output gets into a sink once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Delivery {
    /// One by one into the existing stream that captures the subject, with ids that the stream remembers for a while.
    #[default]
    Deduplicated,
    /// In batches together with how far the sink is, into a stream for that, which is made if it is missing.
    Transactional {
        /// Its name.
        stream: String,
    },
}
