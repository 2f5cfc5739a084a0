//! Does what each record's field `do` says with broadcast and keyed state, through a keyed input or a broadcast one.

use guest_kit::*;

struct Broadcasts;

/// States, counting all kinds.
const KEYED: u32 = 1;
const BROADCAST: u32 = 2;

impl Guest for Broadcasts {
    fn describe() -> Description {
        let input = |name: &str, broadcast| Input {
            name: name.into(),
            fields: vec![InputField {
                name: "do".into(),
                source: FieldSource::Pointer("/do".into()),
                kind: FieldType::Text,
                optional: false,
            }],
            broadcast,
        };
        Description {
            inputs: vec![input("commands", false), input("rules", true)],
            states: vec![
                keyed("value", StateKind::Value),
                keyed("map", StateKind::Map),
                State { broadcast: true, ..keyed("rules", StateKind::Map) },
            ],
            timers: vec![Timer { name: "later".into(), domain: TimeDomain::EventTime }],
            ..described("broadcasts")
        }
    }

    fn process(records: Batch) -> Result<Effects, Failure> {
        let Values::Blobs(commands) = &records.columns[0].values else {
            panic!("the commands are text")
        };
        let mut effects = nothing(0, 1);
        for i in 0..records.key_of.len() {
            match item(commands, i) {
                // A broadcast state has no keys: any will do.
                b"write" => {
                    state::map_put(BROADCAST, 1_000_000, b"a", b"1");
                    assert_eq!(state::map_get(BROADCAST, 7, b"a").as_deref(), Some(&b"1"[..]));
                }
                b"read" => assert_eq!(state::map_scan(BROADCAST, 1_000_000, None, 10).len(), 1),
                b"keyed-write" => state::map_put(KEYED, records.key_of[i], b"a", b"1"),
                b"keyed-value" => {
                    effects.written[0] =
                        Written { keys: vec![0], present: vec![], items: blob(&[b"1"]) };
                }
                b"timer" => {
                    effects.timer_changes = TimerChanges {
                        causes: vec![i as u32],
                        timers: vec![0],
                        times: vec![10],
                        present: vec![],
                    };
                }
                _ => {}
            }
        }
        Ok(effects)
    }

    fn on_timer(_timers: TimerBatch) -> Result<Effects, Failure> {
        Ok(nothing(0, 1))
    }
}

guest_kit::export!(Broadcasts with_types_in guest_kit);
