//! The rules for a description. The error is one fact for the UDF's author.

use crate::codec::{Decoder, KeySource, TimeSource};
use crate::text::cut;
use millstream_core::description::*;

/// Declared inputs.
const INPUTS: usize = 16;
/// Declared outputs.
const OUTPUTS: usize = 16;
/// Fields of an input or output.
const FIELDS: usize = 64;
/// Declared states of all kinds.
const STATES: usize = 32;
/// Declared timers.
const TIMERS: usize = 16;
/// Older schema versions that a state is read in.
const READS: usize = 64;
/// Names of UDFs, inputs, outputs, states and timers.
const NAME_BYTES: usize = 64;
/// Names of fields and headers, and pointers.
const FIELD_BYTES: usize = 256;
/// Digits behind the point of a decimal.
const SCALE: u8 = 18;

/// Checks all of a description.
pub(crate) fn check(description: &Description) -> Result<(), String> {
    let name = &description.name;
    if !is_name(name, |b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-')) {
        return Err(format!(
            "the name {:?} is not 1 to {NAME_BYTES} lower-case letters, digits and dashes",
            cut(name, NAME_BYTES)
        ));
    }
    if semver::Version::parse(&description.version).is_err() {
        let version = cut(&description.version, NAME_BYTES);
        return Err(format!("the version {version:?} is not a semantic version such as 1.0.0"));
    }
    if description.inputs.is_empty() {
        return Err("there is no input, so it would never be called".into());
    }
    check_names("inputs", INPUTS, description.inputs.iter().map(|i| &i.name))?;
    check_names("outputs", OUTPUTS, description.outputs.iter().map(|o| &o.name))?;
    check_names("states", STATES, description.states.iter().map(|s| &s.name))?;
    check_names("timers", TIMERS, description.timers.iter().map(|t| &t.name))?;
    for input in &description.inputs {
        check_input(input).map_err(|e| format!("input {}: {e}", input.name))?;
    }
    for output in &description.outputs {
        check_output(output).map_err(|e| format!("output {}: {e}", output.name))?;
    }
    if description.inputs.iter().all(|i| i.broadcast) {
        return Err("every input is broadcast, so every partition would do the same".into());
    }
    let broadcast = description.inputs.iter().any(|i| i.broadcast);
    for state in &description.states {
        check_state(state, broadcast).map_err(|e| format!("state {}: {e}", state.name))?;
    }
    for (i, capability) in description.capabilities.iter().enumerate() {
        if description.capabilities[..i].contains(capability) {
            return Err(format!("the capability {capability:?} is listed twice").to_lowercase());
        }
    }
    Ok(())
}

/// `broadcast`: whether there is a broadcast input.
fn check_state(state: &StateSpec, broadcast: bool) -> Result<(), String> {
    if state.ttl_ms == Some(0) {
        return Err("a ttl of 0 ms keeps nothing".into());
    }
    if state.broadcast && state.kind == StateKind::List {
        return Err("a broadcast state is a value or a map, not a list".into());
    }
    if state.broadcast && state.ttl_ms.is_some() {
        return Err("a broadcast state has no ttl: it is there until it is removed".into());
    }
    if state.broadcast && !broadcast {
        return Err("it is broadcast and no input is, so nothing could write it".into());
    }
    if state.reads.len() > READS {
        return Err(format!("it reads {} older versions; the limit is {READS}", state.reads.len()));
    }
    match state.reads.iter().find(|&&version| version >= state.schema_version) {
        Some(version) => Err(format!(
            "it reads version {version}, which is not older than its own, {}",
            state.schema_version
        )),
        None => Ok(()),
    }
}

fn is_name(name: &str, allowed: fn(u8) -> bool) -> bool {
    !name.is_empty() && name.len() <= NAME_BYTES && name.bytes().all(allowed)
}

fn check_names<'a>(
    what: &str,
    limit: usize,
    names: impl Iterator<Item = &'a String>,
) -> Result<(), String> {
    let mut names: Vec<&String> = names.collect();
    if names.len() > limit {
        return Err(format!("there are {} {what}; the limit is {limit}", names.len()));
    }
    for name in &names {
        if !is_name(name, |b| matches!(b, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_')) {
            return Err(format!(
                "of the {what}, the name {:?} is not 1 to {NAME_BYTES} letters, digits, dashes and underscores",
                cut(name, NAME_BYTES)
            ));
        }
    }
    check_unique(what, &mut names)
}

fn check_fields<'a>(names: impl Iterator<Item = &'a String>) -> Result<(), String> {
    let mut names: Vec<&String> = names.collect();
    if names.len() > FIELDS {
        return Err(format!("there are {} fields; the limit is {FIELDS}", names.len()));
    }
    for name in &names {
        if name.is_empty() || name.len() > FIELD_BYTES || name.chars().any(char::is_control) {
            return Err(format!(
                "the field name {:?} is not 1 to {FIELD_BYTES} bytes without control characters",
                cut(name, FIELD_BYTES)
            ));
        }
    }
    check_unique("fields", &mut names)
}

fn check_unique(what: &str, names: &mut [&String]) -> Result<(), String> {
    names.sort();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(format!("two {what} have the name {}", pair[0])),
        None => Ok(()),
    }
}

fn check_input(input: &Input) -> Result<(), String> {
    check_fields(input.fields.iter().map(|f| &f.name))?;
    for field in &input.fields {
        check_kind(field.kind)
            .and_then(|()| check_source(field))
            .map_err(|e| format!("field {}: {e}", field.name))?;
    }
    Ok(())
}

fn check_kind(kind: FieldType) -> Result<(), String> {
    match kind {
        FieldType::Decimal(scale) if scale > SCALE => {
            Err(format!("a decimal has {scale} digits behind the point; the limit is {SCALE}"))
        }
        _ => Ok(()),
    }
}

fn check_source(field: &InputField) -> Result<(), String> {
    let (source, allowed): (&str, &[FieldType]) = match &field.source {
        FieldSource::Pointer(pointer) => {
            if pointer.len() > FIELD_BYTES {
                return Err(format!(
                    "the pointer has {} bytes; the limit is {FIELD_BYTES}",
                    pointer.len()
                ));
            }
            // The decoder is what reads pointers.
            Decoder::new(std::slice::from_ref(field), KeySource::None, TimeSource::Broker)
                .map_err(|e| e.to_string())?;
            if field.kind == FieldType::Bytes {
                return Err(
                    "a JSON value is not bytes; take text or json, or the whole payload".into()
                );
            }
            return Ok(());
        }
        FieldSource::Payload => ("the payload", &[FieldType::Bytes, FieldType::Json]),
        FieldSource::Subject => ("the subject", &[FieldType::Text]),
        FieldSource::Header(name) => {
            if name.is_empty() || name.len() > FIELD_BYTES {
                return Err(format!("the header's name is not 1 to {FIELD_BYTES} bytes"));
            }
            ("a header", &[FieldType::Text, FieldType::Bytes])
        }
    };
    if allowed.contains(&field.kind) {
        return Ok(());
    }
    Err(format!("{source} cannot be {:?}, only {:?}", field.kind, allowed).to_lowercase())
}

fn check_output(output: &Output) -> Result<(), String> {
    check_fields(output.fields.iter().map(|f| &f.name))?;
    for field in &output.fields {
        check_kind(field.kind).map_err(|e| format!("field {}: {e}", field.name))?;
        if field.kind == FieldType::Bytes && (output.fields.len() > 1 || field.optional) {
            return Err(format!(
                "field {}: bytes must be the only field, and not optional, since it is the payload",
                field.name
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> Description {
        let field = |name: &str, source, kind| InputField {
            name: name.into(),
            source,
            kind,
            optional: false,
        };
        Description {
            name: "card-fraud".into(),
            version: "1.2.3-rc.1".into(),
            inputs: vec![Input {
                name: "transactions".into(),
                fields: vec![
                    field("amount", FieldSource::Pointer("/amount".into()), FieldType::Decimal(2)),
                    field("all", FieldSource::Payload, FieldType::Bytes),
                    field("from", FieldSource::Subject, FieldType::Text),
                    field("trace", FieldSource::Header("Trace".into()), FieldType::Bytes),
                ],
                broadcast: false,
            }],
            outputs: vec![Output {
                name: "raw".into(),
                fields: vec![OutputField {
                    name: "data".into(),
                    kind: FieldType::Bytes,
                    optional: false,
                }],
            }],
            states: vec![StateSpec { ttl_ms: Some(1), ..StateSpec::new("s", StateKind::Map) }],
            timers: vec![TimerSpec { name: "t".into(), domain: TimeDomain::EventTime }],
            capabilities: vec![Capability::Config, Capability::Random],
        }
    }

    #[track_caller]
    fn refused(change: impl FnOnce(&mut Description), says: &str) {
        let mut description = good();
        change(&mut description);
        let error = check(&description).unwrap_err();
        assert!(error.contains(says), "{error}");
    }

    #[test]
    fn rules() {
        assert_eq!(check(&good()), Ok(()));
        refused(|d| d.name = "Card".into(), "lower-case");
        refused(|d| d.name = "x".repeat(65), "64");
        refused(|d| d.version = "1.2".into(), "semantic version");
        refused(|d| d.inputs.clear(), "no input");
        refused(|d| d.inputs.push(d.inputs[0].clone()), "two inputs have the name transactions");
        refused(|d| d.states[0].ttl_ms = Some(0), "ttl");
        refused(|d| d.states[0].name = "a b".into(), "states");
        refused(|d| d.states[0].reads = vec![0; 65], "65 older versions");
        refused(
            |d| d.states[0].reads = vec![0, 1],
            "version 1, which is not older than its own, 1",
        );
        refused(|d| d.states[0].broadcast = true, "has no ttl");
        refused(
            |d| d.states[0] = StateSpec { broadcast: true, ..StateSpec::new("s", StateKind::Map) },
            "no input is",
        );
        refused(|d| d.inputs[0].broadcast = true, "every input is broadcast");
        refused(
            |d| {
                d.inputs.push(Input {
                    name: "rules".into(),
                    broadcast: true,
                    ..d.inputs[0].clone()
                });
                d.states[0] = StateSpec { broadcast: true, ..StateSpec::new("s", StateKind::List) };
            },
            "not a list",
        );
        refused(|d| d.timers = vec![d.timers[0].clone(); 17], "17 timers");
        refused(|d| d.capabilities.push(Capability::Config), "config is listed twice");
        refused(|d| d.inputs[0].fields[0].kind = FieldType::Decimal(19), "19 digits");
        refused(|d| d.inputs[0].fields[0].kind = FieldType::Bytes, "a JSON value is not bytes");
        refused(
            |d| d.inputs[0].fields[0].source = FieldSource::Pointer("amount".into()),
            "JSON pointer",
        );
        refused(|d| d.inputs[0].fields[2].kind = FieldType::F64, "the subject cannot be f64");
        refused(|d| d.inputs[0].fields = vec![d.inputs[0].fields[0].clone(); 65], "65 fields");
        refused(|d| d.outputs[0].fields[0].optional = true, "only field");
    }
}
