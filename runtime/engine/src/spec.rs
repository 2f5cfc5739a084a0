//! What the engine runs: a pipeline with every name resolved and every module
//! compiled. `control` makes it from a manifest; nothing here is user syntax.

use std::sync::Arc;

use millstream_core::ids::Incarnation;
use millstream_sandbox::Module;
use millstream_sandbox::codec::{KeySource, TimeSource};

/// A pipeline, ready to run.
#[derive(Clone)]
pub struct PipelineSpec {
    /// Unique in the account; a token of NATS subjects (`[a-z0-9-]{1,40}`).
    pub name: String,
    /// Random, made when the pipeline was created; part of message ids and commit records.
    pub incarnation: Incarnation,
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

/// Where a reader begins when the log holds no position yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// With the first record the stream still holds.
    Beginning,
    /// With the first record published after the pipeline was created.
    New,
    /// With this stream sequence.
    Sequence(u64),
    /// With the first record at or after this broker time (milliseconds since 1970 UTC).
    Time(i64),
}

/// What to do when records between the position and the stream's first sequence are gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnGap {
    /// Stop the pipeline with an incident.
    Stop,
    /// Go on behind the gap.
    Skip,
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
    /// Bound of out-of-orderness, milliseconds.
    pub watermark_bound_ms: i64,
    /// What to do about lost records.
    pub on_gap: OnGap,
}

/// What happens to a record that the UDF refuses or that cannot be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnError {
    /// It becomes a dead letter and the rest goes on.
    DeadLetter,
    /// The pipeline stops before it.
    Stop,
}

/// One declared input of the stage's UDF, fed.
#[derive(Clone, Debug)]
pub struct StageInput {
    /// Index into `PipelineSpec::sources`.
    pub source: usize,
    /// Where the key is.
    pub key: KeySource,
}

/// An operator with its partitions.
#[derive(Clone)]
pub struct StageSpec {
    /// Name in the manifest; a token of NATS subjects.
    pub name: String,
    /// Fixed number of partitions, at least 1.
    pub partitions: u16,
    /// The UDF.
    pub module: Arc<Module>,
    /// Its configuration, a JSON object.
    pub config: String,
    /// One per declared input of the UDF, in that order.
    pub inputs: Vec<StageInput>,
    /// Per declared output of the UDF the index into `PipelineSpec::sinks`; none: dropped.
    pub outputs: Vec<Option<usize>>,
    /// What to do with poison.
    pub on_error: OnError,
}

/// A subject that outputs are published to; an existing stream captures it.
#[derive(Clone, Debug)]
pub struct SinkSpec {
    /// Name in the manifest.
    pub name: String,
    /// The subject; `{key}` stands for the record's key (a subject token, others characters replaced by `_`).
    pub subject: String,
}
