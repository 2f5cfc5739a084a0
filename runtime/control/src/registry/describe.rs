//! A UDF's description in the words of the API.

use millstream_core::description::{Capability, Description, FieldType};

use crate::api::modules::{DescriptionInfo, PortInfo, StateInfo, TimerInfo};
use crate::manifest::{domain_name, kind_name};

/// A description for people.
pub fn describe(description: &Description) -> DescriptionInfo {
    let field = |name: &str, kind, optional: bool| {
        let mark = if optional { "?" } else { "" };
        format!("{name}: {}{mark}", type_name(kind))
    };
    DescriptionInfo {
        inputs: description
            .inputs
            .iter()
            .map(|input| PortInfo {
                name: input.name.clone(),
                fields: input.fields.iter().map(|f| field(&f.name, f.kind, f.optional)).collect(),
            })
            .collect(),
        outputs: description
            .outputs
            .iter()
            .map(|output| PortInfo {
                name: output.name.clone(),
                fields: output.fields.iter().map(|f| field(&f.name, f.kind, f.optional)).collect(),
            })
            .collect(),
        states: description
            .states
            .iter()
            .map(|state| StateInfo {
                name: state.name.clone(),
                kind: kind_name(state.kind).to_owned(),
                ttl_ms: state.ttl_ms,
                schema_version: state.schema_version,
            })
            .collect(),
        timers: description
            .timers
            .iter()
            .map(|timer| TimerInfo {
                name: timer.name.clone(),
                domain: domain_name(timer.domain).to_owned(),
            })
            .collect(),
        capabilities: description
            .capabilities
            .iter()
            .map(|wanted| capability_name(*wanted).to_owned())
            .collect(),
    }
}

fn type_name(kind: FieldType) -> String {
    match kind {
        FieldType::Boolean => "boolean".to_owned(),
        FieldType::S64 => "s64".to_owned(),
        FieldType::F64 => "f64".to_owned(),
        FieldType::Decimal(scale) => format!("decimal({scale})"),
        FieldType::Text => "text".to_owned(),
        FieldType::Bytes => "bytes".to_owned(),
        FieldType::Json => "json".to_owned(),
    }
}

fn capability_name(capability: Capability) -> &'static str {
    match capability {
        Capability::Config => "config",
        Capability::Random => "random",
        Capability::Metrics => "metrics",
    }
}

#[cfg(test)]
mod tests {
    use millstream_core::description::{
        FieldSource, Input, InputField, StateKind, StateSpec, TimeDomain, TimerSpec,
    };

    use super::*;

    #[test]
    fn descriptions_are_shown_in_the_words_of_the_contract() {
        let field = |name: &str, kind, optional| InputField {
            name: name.into(),
            source: FieldSource::Payload,
            kind,
            optional,
        };
        let description = Description {
            inputs: vec![Input {
                name: "transactions".into(),
                fields: vec![
                    field("amount", FieldType::Decimal(2), false),
                    field("note", FieldType::Text, true),
                ],
                broadcast: false,
            }],
            states: vec![StateSpec {
                ttl_ms: Some(5),
                schema_version: 2,
                ..StateSpec::new("s", StateKind::Map)
            }],
            timers: vec![TimerSpec { name: "t".into(), domain: TimeDomain::EventTime }],
            capabilities: vec![Capability::Metrics],
            ..Description::default()
        };
        let shown = describe(&description);
        assert_eq!(shown.inputs[0].fields, ["amount: decimal(2)", "note: text?"]);
        assert_eq!((shown.states[0].kind.as_str(), shown.states[0].ttl_ms), ("map", Some(5)));
        assert_eq!(shown.timers[0].domain, "event-time");
        assert_eq!(shown.capabilities, ["metrics"]);
    }
}
