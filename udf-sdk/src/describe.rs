//! What a UDF says of itself: the Rust form of the `description` in
//! `wit/udf-0.1.0/types.wit`, and its assembly from the derived types.

use crate::input::Input as InputRecord;
use crate::output::Outputs;
use crate::state::States;

/// What a field holds.
#[cfg_attr(
    not(target_arch = "wasm32"),
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "kebab-case")
)]
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
#[cfg_attr(
    not(target_arch = "wasm32"),
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "kebab-case")
)]
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
#[cfg_attr(
    not(target_arch = "wasm32"),
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "kebab-case", deny_unknown_fields)
)]
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
#[cfg_attr(
    not(target_arch = "wasm32"),
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "kebab-case", deny_unknown_fields)
)]
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
#[cfg_attr(
    not(target_arch = "wasm32"),
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "kebab-case", deny_unknown_fields)
)]
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
#[cfg_attr(
    not(target_arch = "wasm32"),
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "kebab-case", deny_unknown_fields)
)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// Unique among the outputs.
    pub name: String,
    /// The columns of its items; a single `bytes` field makes it raw.
    pub fields: Vec<OutputField>,
}

impl Output {
    /// Whether the item itself is the payload.
    pub fn is_raw(&self) -> bool {
        matches!(&self.fields[..], [only] if only.kind == FieldType::Bytes)
    }
}

/// What a keyed state is made of.
#[cfg_attr(
    not(target_arch = "wasm32"),
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "kebab-case")
)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum StateKind {
    /// At most one byte string per key.
    Value,
    /// A sequence of byte strings per key.
    List,
    /// Byte string to byte string per key.
    Map,
}

/// One declared state.
#[cfg_attr(
    not(target_arch = "wasm32"),
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "kebab-case", deny_unknown_fields)
)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// Unique among the states.
    pub name: String,
    /// What it is made of.
    pub kind: StateKind,
    /// Life of an element, milliseconds of `ttl_domain`.
    pub ttl_ms: Option<u64>,
    /// The clock that elements expire by.
    pub ttl_domain: TimeDomain,
    /// Version of the guest's own encoding.
    pub schema_version: u32,
    /// Older versions that the UDF can read too.
    pub reads: Vec<u32>,
    /// Whether it belongs to the partition instead of to a key.
    pub broadcast: bool,
}

impl State {
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
#[cfg_attr(
    not(target_arch = "wasm32"),
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "kebab-case")
)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum TimeDomain {
    /// The watermark.
    EventTime,
    /// Processing time.
    ProcessingTime,
}

/// One declared timer.
#[cfg_attr(
    not(target_arch = "wasm32"),
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "kebab-case", deny_unknown_fields)
)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timer {
    /// Unique among the timers.
    pub name: String,
    /// The clock it follows.
    pub domain: TimeDomain,
}

/// What the guest asks for beyond its batch.
#[cfg_attr(
    not(target_arch = "wasm32"),
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "kebab-case")
)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Capability {
    /// The stage's configuration.
    Config,
    /// A seed per record.
    Random,
    /// Counters and histograms.
    Metrics,
}

/// What a UDF says of itself.
#[cfg_attr(
    not(target_arch = "wasm32"),
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "kebab-case", deny_unknown_fields)
)]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
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
    pub states: Vec<State>,
    /// Declared timers.
    pub timers: Vec<Timer>,
    /// Wanted capabilities.
    pub capabilities: Vec<Capability>,
}

impl Description {
    /// A description with a name and a version, to which the generated code adds.
    #[doc(hidden)]
    pub fn start(name: &str, version: &str) -> Self {
        Self { name: name.into(), version: version.into(), ..Self::default() }
    }

    #[doc(hidden)]
    pub fn input<'a, I: InputRecord<'a>>(mut self, name: &str) -> Self {
        self.inputs.push(Input { name: name.into(), fields: I::fields(), broadcast: false });
        self
    }

    #[doc(hidden)]
    pub fn broadcast_input<'a, I: InputRecord<'a>>(mut self, name: &str) -> Self {
        self.inputs.push(Input { name: name.into(), fields: I::fields(), broadcast: true });
        self
    }

    #[doc(hidden)]
    pub fn outputs<O: Outputs>(mut self) -> Self {
        O::declare(&mut self.outputs);
        self
    }

    #[doc(hidden)]
    pub fn states<S: States>(mut self) -> Self {
        S::declare(&mut self.states);
        self
    }

    #[doc(hidden)]
    pub fn timer(mut self, name: &str, domain: TimeDomain) -> Self {
        self.timers.push(Timer { name: name.into(), domain });
        self
    }

    #[doc(hidden)]
    pub fn capability(mut self, capability: Capability) -> Self {
        self.capabilities.push(capability);
        self
    }
}
