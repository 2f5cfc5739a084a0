//! Does what each record's field `do` says: one module with every way to go wrong that
//! a guest has inside a call, and a few ways to be right for comparison. The list is in `tests/hostile`.
//!
//! Anything that is not a command is echoed. The key's value is the count of its records.

mod act;
mod spoil;

use guest_kit::*;
use millstream_hostile::Command;

struct Misbehave;

impl Guest for Misbehave {
    fn describe() -> Description {
        let text = |name: &str| InputField {
            name: name.into(),
            source: FieldSource::Pointer(format!("/{name}")),
            kind: FieldType::Text,
            optional: false,
        };
        let output = |name: &str, kind| OutputField { name: name.into(), kind, optional: false };
        Description {
            inputs: vec![Input {
                name: "commands".into(),
                fields: vec![text("do")],
                broadcast: false,
            }],
            outputs: vec![
                Output {
                    name: "echo".into(),
                    fields: vec![output("did", FieldType::Text), output("n", FieldType::S64)],
                },
                Output { name: "json".into(), fields: vec![output("value", FieldType::Json)] },
            ],
            states: vec![
                keyed("count", StateKind::Value),
                keyed("list", StateKind::List),
                keyed("map", StateKind::Map),
            ],
            timers: vec![Timer { name: "later".into(), domain: TimeDomain::EventTime }],
            capabilities: vec![Capability::Config],
            ..described("misbehave")
        }
    }

    fn process(records: Batch) -> Result<Effects, Failure> {
        let mut did = vec![];
        let mut causes = vec![];
        let mut effects = nothing(2, 1);
        let commands = match &records.columns[0].values {
            Values::Blobs(commands) => commands,
            _ => panic!("the commands are text"),
        };
        for i in 0..records.key_of.len() {
            let command =
                String::from_utf8(item(commands, i).to_vec()).expect("the host gives UTF-8");
            if let Some(command) = Command::from_name(&command) {
                act::act(command, i as u32, records.key_of[i])?;
            }
            causes.push(i as u32);
            did.push(command);
        }
        let items: Vec<&[u8]> = did.iter().map(|d| d.as_bytes()).collect();
        let column = |values| Column { present: vec![], values };
        effects.emitted[0] = Emitted {
            columns: vec![
                column(Values::Blobs(blob(&items))),
                column(Values::Integers(causes.iter().map(|&c| i64::from(c)).collect())),
            ],
            causes,
        };
        effects.emitted[1].columns = vec![column(Values::Blobs(blob(&[])))];
        count_keys(&records, &mut effects);
        for (cause, command) in (0..).zip(&did) {
            if let Some(command) = Command::from_name(command) {
                spoil::spoil(command, cause, &mut effects);
            }
        }
        Ok(effects)
    }

    fn on_timer(timers: TimerBatch) -> Result<Effects, Failure> {
        for (index, time) in timers.times.iter().enumerate() {
            match Command::ALL.iter().find(|command| command.timer() == Some(*time)) {
                Some(Command::TimerPanic) => panic!("thirteen"),
                Some(Command::TimerFail) => {
                    let message = "as the timer was told".into();
                    return Err(Failure { index: index as u32, message });
                }
                Some(_) => act::endless(),
                None => {}
            }
        }
        let mut effects = nothing(2, 1);
        let column = |values| Column { present: vec![], values };
        effects.emitted[0] = Emitted {
            causes: (0..timers.times.len() as u32).collect(),
            columns: vec![
                column(Values::Blobs(blob(
                    &timers.times.iter().map(|_| &b"timer"[..]).collect::<Vec<_>>(),
                ))),
                column(Values::Integers(timers.times.clone())),
            ],
        };
        effects.emitted[1].columns = vec![column(Values::Blobs(blob(&[])))];
        Ok(effects)
    }
}

/// The value of each key becomes the count of its records so far, as decimal text.
fn count_keys(records: &Batch, effects: &mut Effects) {
    let stored = &records.values[0];
    let has = |k: usize| stored.present.is_empty() || stored.present[k / 8] >> (k % 8) & 1 == 1;
    let counts: Vec<String> = (0..records.keys.ends.len())
        .map(|k| {
            let before: u64 = if has(k) {
                std::str::from_utf8(item(&stored.items, k)).unwrap().parse().unwrap()
            } else {
                0
            };
            let here = records.key_of.iter().filter(|&&of| of as usize == k).count() as u64;
            (before + here).to_string()
        })
        .collect();
    let items: Vec<&[u8]> = counts.iter().map(|c| c.as_bytes()).collect();
    effects.written[0] =
        Written { keys: (0..counts.len() as u32).collect(), present: vec![], items: blob(&items) };
}

guest_kit::export!(Misbehave with_types_in guest_kit);
