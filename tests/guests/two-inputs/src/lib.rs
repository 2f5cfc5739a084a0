//! Reads two inputs with fields of their own, and says of each record which input it came through. It refuses records that say
//! `no`, unless its configuration is `{"lenient":true}`.

use guest_kit::*;

struct TwoInputs;

/// The declared inputs, each with one field of the same name.
const INPUTS: [&str; 2] = ["left", "right"];

impl Guest for TwoInputs {
    fn describe() -> Description {
        let input = |name: &str| Input {
            name: name.into(),
            fields: vec![InputField {
                name: name.into(),
                source: FieldSource::Pointer(format!("/{name}")),
                kind: FieldType::Text,
                optional: false,
            }],
            broadcast: false,
        };
        let text =
            |name: &str| OutputField { name: name.into(), kind: FieldType::Text, optional: false };
        Description {
            inputs: INPUTS.map(input).into(),
            outputs: vec![Output {
                name: "seen".into(),
                fields: vec![
                    text("input"),
                    text("value"),
                    OutputField { name: "at".into(), kind: FieldType::S64, optional: false },
                ],
            }],
            capabilities: vec![Capability::Config],
            ..described("two-inputs")
        }
    }

    fn process(records: Batch) -> Result<Effects, Failure> {
        let Values::Blobs(values) = &records.columns[0].values else { panic!("the field is text") };
        let count = records.key_of.len();
        let is_lenient = config::get() == r#"{"lenient":true}"#;
        let refused = (0..count).find(|i| item(values, *i) == b"no" && !is_lenient);
        if let Some(index) = refused {
            return Err(Failure { index: index as u32, message: "it says no".into() });
        }
        let input = INPUTS[records.input as usize].as_bytes();
        let column = |values| Column { present: vec![], values };
        let seen: Vec<&[u8]> = (0..count).map(|i| item(values, i)).collect();
        let mut effects = nothing(1, 0);
        effects.emitted[0] = Emitted {
            causes: (0..count as u32).collect(),
            columns: vec![
                column(Values::Blobs(blob(&vec![input; count]))),
                column(Values::Blobs(blob(&seen))),
                column(Values::Integers(records.event_times)),
            ],
        };
        Ok(effects)
    }

    fn on_timer(_timers: TimerBatch) -> Result<Effects, Failure> {
        Ok(nothing(1, 0))
    }
}

guest_kit::export!(TwoInputs with_types_in guest_kit);
