//! What a UDF says of itself (`describe` in `wit/udf-0.1.0`).

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldType {
    /// `true` or `false`.
    Boolean,
    /// A 64-bit integer.
    S64,
    /// A double.
    F64,
    /// An exact count of 10^-scale units.
    Decimal(u8),
    /// UTF-8 text.
    Text,
    /// Raw bytes.
    Bytes,
    /// Any JSON value as text.
    Json,
}

/// Where an input field comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FieldSource {
    /// A JSON pointer (RFC 6901) into the payload.
    Pointer(String),
    /// The whole payload.
    Payload,
    /// The NATS subject.
    Subject,
    /// A NATS header's first value.
    Header(String),
}

/// One declared input field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputField {
    /// Name for messages.
    pub name: String,
    /// Where it comes from.
    pub source: FieldSource,
    /// What it holds.
    pub kind: FieldType,
    /// Whether it may be missing or null.
    pub optional: bool,
}

/// One declared input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// Unique among the inputs.
    pub name: String,
    /// The batch's columns.
    pub fields: Vec<InputField>,
    /// Whether its records go to every partition, without a key.
    pub broadcast: bool,
}

/// One declared field of an output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputField {
    /// The JSON key.
    pub name: String,
    /// What it holds.
    pub kind: FieldType,
    /// Whether items may be absent.
    pub optional: bool,
}

/// One declared output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// Unique among the outputs.
    pub name: String,
    /// The columns of its items; a single `bytes` field makes it raw.
    pub fields: Vec<OutputField>,
}

/// What a keyed state is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StateKind {
    /// At most one byte string per key.
    Value,
    /// A sequence of byte strings per key.
    List,
    /// Byte string to byte string per key.
    Map,
}

/// One declared state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateSpec {
    /// Unique among the states.
    pub name: String,
    /// What it is made of.
    pub kind: StateKind,
    /// Life of an element, milliseconds of `ttl_domain`.
    pub ttl_ms: Option<u64>,
    /// The clock that elements expire by. By processing time they live so long after their last write; by event
    /// time each begins with the time of its end (see the contract).
    pub ttl_domain: TimeDomain,
    /// Version of the guest's own encoding.
    pub schema_version: u32,
    /// Older versions that the guest can read too.
    pub reads: Vec<u32>,
    /// Whether it belongs to the partition instead of to a key. The host keeps it under [`BROADCAST_KEY`].
    pub broadcast: bool,
}

/// The key that broadcast states are kept under, and that records of broadcast inputs have.
pub const BROADCAST_KEY: &[u8] = b"";

/// Bytes at the start of an item that say when it expires by event time.
pub const EXPIRY_BYTES: usize = 8;

impl StateSpec {
    /// Whether items begin with [`EXPIRY_BYTES`] that say when they expire by event time.
    pub fn expires_by_event_time(&self) -> bool {
        self.ttl_ms.is_some() && self.ttl_domain == TimeDomain::EventTime
    }

    /// A keyed state without TTL, whose elements are of version 1.
    pub fn new(name: impl Into<String>, kind: StateKind) -> Self {
        Self {
            name: name.into(),
            kind,
            ttl_ms: None,
            ttl_domain: TimeDomain::ProcessingTime,
            schema_version: 1,
            reads: Vec::new(),
            broadcast: false,
        }
    }
}

/// A clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TimeDomain {
    /// The watermark.
    EventTime,
    /// Processing time.
    ProcessingTime,
}

/// One declared timer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimerSpec {
    /// Unique among the timers.
    pub name: String,
    /// The clock it follows.
    pub domain: TimeDomain,
}

/// What the guest asks for beyond its batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capability {
    /// The stage's configuration.
    Config,
    /// A seed per record.
    Random,
    /// Counters and histograms.
    Metrics,
}

/// What a UDF says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Description {
    /// Lower-case letters, digits and dashes.
    pub name: String,
    /// A semantic version.
    pub version: String,
    /// Declared inputs.
    pub inputs: Vec<Input>,
    /// Declared outputs.
    pub outputs: Vec<Output>,
    /// Declared states of all kinds.
    pub states: Vec<StateSpec>,
    /// Declared timers.
    pub timers: Vec<TimerSpec>,
    /// Wanted capabilities.
    pub capabilities: Vec<Capability>,
}
