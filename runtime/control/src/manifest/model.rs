//! The manifest as types, with all defaults filled in. This is also what the JSON Schema is
//! made from. `Serialize` gives the normalised manifest that `diff` compares.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Serialize, Serializer};

use super::units::{Duration, Timestamp};

/// Interval between checkpoints when the manifest says nothing.
pub const CHECKPOINT_INTERVAL: Duration = Duration::from_seconds(10);
/// Shortest interval between checkpoints.
pub const CHECKPOINT_INTERVAL_MIN: Duration = Duration::from_seconds(1);
/// Longest interval between checkpoints; the log grows until the next one.
pub const CHECKPOINT_INTERVAL_MAX: Duration = Duration::from_seconds(86_400);
/// Longest bound of out-of-orderness.
pub const WATERMARK_BOUND_MAX: Duration = Duration::from_seconds(7 * 86_400);
/// Partitions of a stage when the manifest says nothing.
pub const PARTITIONS: u16 = 4;
/// Most partitions of a stage.
pub const PARTITIONS_MAX: u16 = 256;
/// Most standbys of a partition.
pub const STANDBYS_MAX: u16 = 3;
/// Longest name of a pipeline, source, stage or sink.
pub const NAME_LENGTH_MAX: usize = 40;
/// Most sources, stages or sinks of a pipeline.
pub const SECTION_MAX: usize = 64;
/// Largest manifest, bytes: as JSON text it fits a message of the server's default size.
pub const MANIFEST_SIZE_MAX: usize = 256 << 10;
/// Highest `subject-token`: subjects have at most so many tokens here.
pub const SUBJECT_TOKEN_MAX: u16 = 256;

/// A Millstream pipeline: sources are read by stages, whose outputs go to sinks.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[schemars(title = "Millstream pipeline")]
pub struct Manifest {
    /// Unique in the account. Logs, state and subjects carry it.
    #[schemars(regex(pattern = "^[a-z0-9-]{1,40}$"))]
    pub name: String,
    /// Time between checkpoints of a changed partition, 1s to 1d. Default: 10s.
    #[serde(default = "checkpoint_interval")]
    #[schemars(with = "String", regex(pattern = "^[0-9]+(ms|s|m|h|d)$"))]
    pub checkpoint_interval: Duration,
    /// Where checkpoints are stored.
    #[serde(default)]
    pub checkpoints: Checkpoints,
    /// What the pipeline reads, by name.
    pub sources: BTreeMap<String, Source>,
    /// What it computes, by name.
    pub stages: BTreeMap<String, Stage>,
    /// What it writes, by name.
    #[serde(default)]
    pub sinks: BTreeMap<String, Sink>,
}

/// Where checkpoints are stored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Checkpoints {
    /// URL of the store, such as `s3://bucket/folder` (also `gs://`, `az://`), with credentials from the environment of the
    /// node, or `file:///mnt/checkpoints`, a folder that every node sees; cannot be changed later. Default: the JetStream object store `millstream-checkpoints`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "uri"))]
    pub store: Option<String>,
}

/// An existing JetStream stream.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Source {
    /// Name of the stream.
    pub stream: String,
    /// Only subjects that match this filter. Default: all of the stream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Where a new pipeline begins: `beginning` (default), `new`, `{ sequence: 42 }` or `{ time: 2026-01-31T00:00:00Z }`. It is
    /// looked up once, when the pipeline is created; cannot be changed later.
    #[serde(default)]
    pub start: Start,
    /// Where a record's event time is: `broker` (default), `{ pointer: /ts }` or `{ header: Event-Time }`,
    /// milliseconds since 1970.
    #[serde(default)]
    pub event_time: EventTime,
    /// How the watermark follows the event times.
    #[serde(default)]
    pub watermark: Watermark,
    /// What to do when records are gone before they were read. Default: stop.
    #[serde(default)]
    pub on_gap: OnGap,
}

/// Where a new pipeline begins to read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Start {
    /// With the first record that the stream holds.
    #[default]
    Beginning,
    /// With the first record published after the pipeline was created.
    New,
    /// With this stream sequence.
    Sequence(u64),
    /// With the first record that the broker received at this time or later.
    Time(#[schemars(with = "String", extend("format" = "date-time"))] Timestamp),
}

/// Where a record's event time is: milliseconds since 1970.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum EventTime {
    /// The time at which the broker received it.
    #[default]
    Broker,
    /// At this JSON pointer of the payload.
    Pointer(String),
    /// In this header.
    Header(String),
}

/// How the watermark follows the event times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Watermark {
    /// How far out of order records may be, at most 7d. Default: 0s.
    #[serde(default)]
    #[schemars(with = "String", regex(pattern = "^[0-9]+(ms|s|m|h|d)$"))]
    pub bound: Duration,
    /// After this time without a record the source is idle: stages with other inputs do not wait for its watermark until
    /// its next record. Default: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", regex(pattern = "^[0-9]+(ms|s|m|h|d)$"))]
    pub idle_after: Option<Duration>,
    /// By how much the source's watermark may be ahead of a stage's other inputs; it is read on when they follow, so that what
    /// waits for them in state stays bounded. Default: without limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", regex(pattern = "^[0-9]+(ms|s|m|h|d)$"))]
    pub align_within: Option<Duration>,
}

/// What to do when records are gone before they were read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OnGap {
    /// Stop the pipeline.
    #[default]
    Stop,
    /// Go on behind the gap.
    Skip,
}

/// A UDF with its inputs, outputs and partitions.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Stage {
    /// The UDF: `name@version`, `sha256:DIGEST`, or one of the mappings.
    #[schemars(with = "ModuleForms")]
    pub module: ModuleRef,
    /// Number of partitions, 1 to 256; cannot be changed later. Default: 4, or that of the stage behind which it is chained.
    #[serde(default = "partitions")]
    #[schemars(range(min = 1, max = 256))]
    pub partitions: u16,
    /// Number of other nodes, 0 to 3, that follow each partition and go on with it at once when its node is gone. Default: 0,
    /// or that of the stage behind which it is chained.
    #[serde(default)]
    #[schemars(range(min = 0, max = 3))]
    pub standbys: u16,
    /// The sources and outputs of other stages that it reads: `SOURCE`, or `STAGE.OUTPUT`.
    #[schemars(extend("minProperties" = 1))]
    pub inputs: BTreeMap<String, Input>,
    /// Configuration for the UDF: any mapping.
    #[serde(default)]
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    pub config: serde_json::Value,
    /// Where the UDF's declared outputs go: output name to the name of a sink, or to several. Outputs that are neither
    /// listed nor read by other stages are dropped.
    #[serde(default, serialize_with = "one_or_several")]
    #[schemars(with = "BTreeMap<String, SinkNames>")]
    pub outputs: BTreeMap<String, Vec<String>>,
    /// What happens to a record that the UDF refuses or that cannot be decoded. Default: dead-letter.
    #[serde(default)]
    pub on_error: OnError,
}

/// A single name as such, several as a list.
fn one_or_several<S: Serializer>(
    outputs: &BTreeMap<String, Vec<String>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(outputs.iter().map(|(output, sinks)| match sinks.as_slice() {
        [sink] => (output, serde_json::Value::from(sink.as_str())),
        sinks => (output, serde_json::Value::from(sinks)),
    }))
}

/// How a module is named.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum ModuleRef {
    /// A file, relative to the manifest's folder.
    File {
        /// Its path.
        file: String,
    },
    /// A name and version in the registry.
    Named {
        /// The name.
        name: String,
        /// The version.
        version: String,
    },
    /// The SHA-256 of its bytes.
    Digest {
        /// 64 lower-case hexadecimal digits.
        sha256: String,
    },
}

/// How a stage names its module.
#[derive(JsonSchema)]
#[serde(untagged, deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
enum ModuleForms {
    /// `name@version` or `sha256:DIGEST`.
    Short(String),
    /// A file.
    File {
        /// Path, relative to the manifest's folder.
        file: String,
    },
    /// A version in the registry.
    Named {
        /// Name in the registry.
        name: String,
        /// Version in the registry.
        version: String,
    },
    /// Bytes in the registry.
    Digest {
        /// SHA-256 of its bytes.
        #[schemars(regex(pattern = "^[0-9a-f]{64}$"))]
        sha256: String,
    },
}

/// Where an output goes.
#[derive(JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
enum SinkNames {
    /// One sink.
    One(String),
    /// Several sinks.
    Several(Vec<String>),
}

/// A source or another stage's output as an input of a stage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Input {
    /// Where a record's key is: `{ pointer: /id }`, `{ header: Id }`, `{ subject-token: 2 }`, or `none`. Of another stage's
    /// output also `same`, the key that it has there.
    pub key: Key,
    /// The UDF's declared input; needed if it declares several. Several inputs may feed the same: their union.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub r#as: Option<String>,
}

/// Where a record's key is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Key {
    /// At this JSON pointer of the payload.
    Pointer(String),
    /// In this header.
    Header(String),
    /// The subject's token of this number, from 1.
    SubjectToken(#[schemars(range(min = 1, max = 256))] u16),
    /// All records have the same, empty key.
    None,
    /// The key that the records have in the stage whose output this is. The stage is chained behind that one: it runs in its
    /// partitions, and nothing goes through the log between them.
    Same,
}

/// What happens to a record that the UDF refuses or that cannot be decoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OnError {
    /// It becomes a dead letter, and the rest goes on.
    #[default]
    DeadLetter,
    /// The pipeline stops before it.
    Stop,
}

/// A subject that outputs are published to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Sink {
    /// The subject, which an existing stream captures unless the sink is transactional. `{key}` stands for the record's key.
    pub subject: String,
    /// How each output gets there once.
    #[serde(default, skip_serializing_if = "Delivery::is_default")]
    pub delivery: Delivery,
    /// The stream of a transactional sink, which needs one of its own making: it is made if it is missing. Other sinks name none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream: Option<String>,
}

/// How each output gets into a sink once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Delivery {
    /// One by one, with ids that the stream remembers for its `duplicate_window`: exactly once for stalls shorter than that.
    #[default]
    Deduplicated,
    /// In atomic batches together with how far the sink is: exactly once without a limit of time, and with more latency.
    Transactional,
}

impl Delivery {
    fn is_default(&self) -> bool {
        *self == Delivery::default()
    }
}

impl Manifest {
    /// The stage and its output behind which a stage is chained.
    pub fn chained_behind(&self, stage: &str) -> Option<(&str, &str)> {
        let inputs = &self.stages.get(stage)?.inputs;
        let same = inputs.iter().find(|(_, input)| input.key == Key::Same);
        same.and_then(|(from, _)| from.split_once('.'))
    }

    /// The stage in whose partitions a stage runs: itself, unless it is chained.
    pub fn head_of<'a>(&'a self, stage: &'a str) -> &'a str {
        // A manifest whose stages feed each other in a circle is refused; this ends nevertheless.
        let mut head = stage;
        for _ in 0..self.stages.len() {
            let Some((before, _)) = self.chained_behind(head) else { break };
            head = before;
        }
        head
    }
}

fn checkpoint_interval() -> Duration {
    CHECKPOINT_INTERVAL
}

fn partitions() -> u16 {
    PARTITIONS
}

/// The JSON Schema (draft 2020-12) of manifests.
pub fn json_schema() -> serde_json::Value {
    schemars::schema_for!(Manifest).to_value()
}
