//! The description as wasmtime lifts it.

use millstream_core::description as plain;
use wasmtime::component::{ComponentType, Lift};

#[derive(Clone, Copy, ComponentType, Lift)]
#[component(variant)]
pub(crate) enum FieldType {
    #[component(name = "boolean")]
    Boolean,
    #[component(name = "s64")]
    S64,
    #[component(name = "f64")]
    F64,
    #[component(name = "decimal")]
    Decimal(u8),
    #[component(name = "text")]
    Text,
    #[component(name = "bytes")]
    Bytes,
    #[component(name = "json")]
    Json,
}

#[derive(ComponentType, Lift)]
#[component(variant)]
pub(crate) enum FieldSource {
    #[component(name = "pointer")]
    Pointer(String),
    #[component(name = "payload")]
    Payload,
    #[component(name = "subject")]
    Subject,
    #[component(name = "header")]
    Header(String),
}

#[derive(ComponentType, Lift)]
#[component(record)]
pub(crate) struct InputField {
    name: String,
    source: FieldSource,
    kind: FieldType,
    optional: bool,
}

#[derive(ComponentType, Lift)]
#[component(record)]
pub(crate) struct Input {
    name: String,
    fields: Vec<InputField>,
    broadcast: bool,
}

#[derive(ComponentType, Lift)]
#[component(record)]
pub(crate) struct OutputField {
    name: String,
    kind: FieldType,
    optional: bool,
}

#[derive(ComponentType, Lift)]
#[component(record)]
pub(crate) struct Output {
    name: String,
    fields: Vec<OutputField>,
}

#[derive(Clone, Copy, ComponentType, Lift)]
#[component(enum)]
#[expect(dead_code, reason = "lifting makes them without naming them")]
#[repr(u8)]
pub(crate) enum StateKind {
    #[component(name = "value")]
    Value,
    #[component(name = "list")]
    List,
    #[component(name = "map")]
    Map,
}

#[derive(ComponentType, Lift)]
#[component(record)]
pub(crate) struct State {
    name: String,
    kind: StateKind,
    #[component(name = "ttl-ms")]
    ttl_ms: Option<u64>,
    #[component(name = "ttl-domain")]
    ttl_domain: TimeDomain,
    #[component(name = "schema-version")]
    schema_version: u32,
    reads: Vec<u32>,
    broadcast: bool,
}

#[derive(Clone, Copy, ComponentType, Lift)]
#[component(enum)]
#[expect(dead_code, reason = "lifting makes them without naming them")]
#[repr(u8)]
pub(crate) enum TimeDomain {
    #[component(name = "event-time")]
    EventTime,
    #[component(name = "processing-time")]
    ProcessingTime,
}

#[derive(ComponentType, Lift)]
#[component(record)]
pub(crate) struct Timer {
    name: String,
    domain: TimeDomain,
}

#[derive(Clone, Copy, ComponentType, Lift)]
#[component(enum)]
#[expect(dead_code, reason = "lifting makes them without naming them")]
#[repr(u8)]
pub(crate) enum Capability {
    #[component(name = "config")]
    Config,
    #[component(name = "random")]
    Random,
    #[component(name = "metrics")]
    Metrics,
}

/// What `describe` returns, not yet checked.
#[derive(ComponentType, Lift)]
#[component(record)]
pub(crate) struct Description {
    name: String,
    version: String,
    inputs: Vec<Input>,
    outputs: Vec<Output>,
    states: Vec<State>,
    timers: Vec<Timer>,
    capabilities: Vec<Capability>,
}

fn kind(kind: FieldType) -> plain::FieldType {
    match kind {
        FieldType::Boolean => plain::FieldType::Boolean,
        FieldType::S64 => plain::FieldType::S64,
        FieldType::F64 => plain::FieldType::F64,
        FieldType::Decimal(scale) => plain::FieldType::Decimal(scale),
        FieldType::Text => plain::FieldType::Text,
        FieldType::Bytes => plain::FieldType::Bytes,
        FieldType::Json => plain::FieldType::Json,
    }
}

fn input(input: Input) -> plain::Input {
    let fields = input.fields.into_iter().map(|field| plain::InputField {
        name: field.name,
        source: match field.source {
            FieldSource::Pointer(pointer) => plain::FieldSource::Pointer(pointer),
            FieldSource::Payload => plain::FieldSource::Payload,
            FieldSource::Subject => plain::FieldSource::Subject,
            FieldSource::Header(name) => plain::FieldSource::Header(name),
        },
        kind: kind(field.kind),
        optional: field.optional,
    });
    plain::Input { name: input.name, fields: fields.collect(), broadcast: input.broadcast }
}

fn output(output: Output) -> plain::Output {
    let fields = output.fields.into_iter().map(|field| plain::OutputField {
        name: field.name,
        kind: kind(field.kind),
        optional: field.optional,
    });
    plain::Output { name: output.name, fields: fields.collect() }
}

fn state(state: State) -> plain::StateSpec {
    plain::StateSpec {
        name: state.name,
        kind: match state.kind {
            StateKind::Value => plain::StateKind::Value,
            StateKind::List => plain::StateKind::List,
            StateKind::Map => plain::StateKind::Map,
        },
        ttl_ms: state.ttl_ms,
        ttl_domain: domain(state.ttl_domain),
        schema_version: state.schema_version,
        reads: state.reads,
        broadcast: state.broadcast,
    }
}

fn domain(domain: TimeDomain) -> plain::TimeDomain {
    match domain {
        TimeDomain::EventTime => plain::TimeDomain::EventTime,
        TimeDomain::ProcessingTime => plain::TimeDomain::ProcessingTime,
    }
}

fn timer(timer: Timer) -> plain::TimerSpec {
    plain::TimerSpec { name: timer.name, domain: domain(timer.domain) }
}

fn capability(capability: Capability) -> plain::Capability {
    match capability {
        Capability::Config => plain::Capability::Config,
        Capability::Random => plain::Capability::Random,
        Capability::Metrics => plain::Capability::Metrics,
    }
}

impl From<Description> for plain::Description {
    fn from(it: Description) -> Self {
        Self {
            name: it.name,
            version: it.version,
            inputs: it.inputs.into_iter().map(input).collect(),
            outputs: it.outputs.into_iter().map(output).collect(),
            states: it.states.into_iter().map(state).collect(),
            timers: it.timers.into_iter().map(timer).collect(),
            capabilities: it.capabilities.into_iter().map(capability).collect(),
        }
    }
}
