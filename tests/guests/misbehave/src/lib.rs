//! Does what each record's field `do` says: one module with every way to go wrong that
//! a guest has inside a call, and a few ways to be right for comparison.
//!
//! Anything that is not a command is echoed. The key's value is the count of its records.

use guest_kit::*;
use std::hint::black_box;

struct Misbehave;

/// States, counting all kinds.
const LIST: u32 = 1;
const MAP: u32 = 2;

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
            act(&command, i as u32, records.key_of[i])?;
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
        for command in &did {
            spoil(command, &mut effects);
        }
        Ok(effects)
    }

    fn on_timer(timers: TimerBatch) -> Result<Effects, Failure> {
        if timers.times.contains(&13) {
            panic!("thirteen");
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

/// What happens while a record is processed.
#[expect(clippy::disallowed_methods, reason = "clocks and sleep are what must do nothing here")]
fn act(command: &str, index: u32, key: u32) -> Result<(), Failure> {
    match command {
        "fail" => return Err(Failure { index, message: "as told".into() }),
        "fail-long" => return Err(Failure { index, message: "ä".repeat(100_000) }),
        "fail-elsewhere" => {
            return Err(Failure { index: index + 1_000_000, message: String::new() });
        }
        "panic" => panic!("the guest is told to panic"),
        "panic-with-log" => {
            // What the SDK's panic hook does.
            log::write(log::Level::Error, "panicked at src/udf.rs:1:2: told to");
            std::process::abort();
        }
        "unreachable" => core::arch::wasm32::unreachable(),
        "exit" => std::process::exit(3),
        "divide" => {
            black_box(1 / black_box(command.len() as i64 - 6));
        }
        "loop" => loop {
            black_box(());
        },
        "spin" => (0..100_000u64).for_each(|n| {
            black_box(n);
        }),
        "recurse" => {
            black_box(recurse(1));
        }
        "recurse-plainly" => {
            black_box(recurse_plainly(1));
        }
        "memory-bomb" => {
            let mut all = vec![];
            loop {
                // Not written to: that would take the fuel first.
                all.push(black_box(Vec::<u8>::with_capacity(1 << 20)));
            }
        }
        "out-of-bounds" => {
            let wild = black_box(0xffff_fff0u32) as *const u64;
            // The sandbox must trap this.
            black_box(unsafe { wild.read_volatile() });
        }
        "log-flood" => {
            (0..100_000).for_each(|n| log::write(log::Level::Info, &format!("line {n}")))
        }
        "log-big" => (0..100).for_each(|_| log::write(log::Level::Info, &"x".repeat(4096))),
        "log-too-big" => log::write(log::Level::Info, &"x".repeat(1 << 20)),
        "print" => {
            println!("to stdout");
            eprintln!("to stderr");
        }
        "file" => {
            let error = std::fs::read("/etc/passwd").expect_err("there are no files");
            log::write(log::Level::Info, &format!("file: {:?}", error.kind()));
        }
        "environment" => {
            let count = std::env::vars().count() + std::env::args().count();
            log::write(log::Level::Info, &format!("environment: {count}"));
        }
        "clock" => {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
            log::write(log::Level::Info, &format!("clock: {}", now.as_millis()));
        }
        "sleep" => std::thread::sleep(std::time::Duration::from_secs(3600)),
        "hash" => {
            use std::hash::{BuildHasher, RandomState};
            log::write(log::Level::Info, &format!("hash: {}", RandomState::new().hash_one(1)));
        }
        "config" => log::write(log::Level::Info, &config::get()),
        "metrics" => metrics::counter_add("seen", 1),
        "state-unknown" => state::list_append(99, key, b"x"),
        "state-of-other-kind" => state::list_append(MAP, key, b"x"),
        "state-of-no-key" => state::list_append(LIST, 1_000_000, b"x"),
        "state-entry-too-long" => state::map_put(MAP, key, &[1; 1025], b"x"),
        "state-item-too-long" => state::list_append(LIST, key, &vec![1; (1 << 20) + 1]),
        "state-limit-zero" => drop(state::list_read(LIST, key, 0, 0)),
        "state-read-list" => drop(state::list_read(LIST, key, 0, 1000)),
        "state-read-map" => drop(state::map_scan(MAP, key, None, 1000)),
        "state-set-beyond" => state::list_set(LIST, key, 1_000_000, b"x"),
        "state" => {
            state::map_put(MAP, key, b"b", b"2");
            state::map_put(MAP, key, b"a", b"1");
            state::map_put(MAP, key, b"c", b"3");
            state::map_delete(MAP, key, b"c");
            assert_eq!(state::map_get(MAP, key, b"a").as_deref(), Some(&b"1"[..]));
            assert_eq!(state::map_get(MAP, key, b"c"), None);
            let scanned = state::map_scan(MAP, key, Some(&b"a"[..]), 10);
            assert_eq!(scanned, [(b"b".to_vec(), b"2".to_vec())]);
            state::list_append(LIST, key, b"x");
            state::list_append(LIST, key, b"y");
            state::list_set(LIST, key, 0, b"z");
            assert_eq!(state::list_length(LIST, key), 2);
            assert_eq!(state::list_read(LIST, key, 0, 5), [b"z".to_vec(), b"y".to_vec()]);
        }
        "state-clear" => {
            state::map_clear(MAP, key);
            state::list_clear(LIST, key);
        }
        "state-flood" => loop {
            black_box(state::list_length(LIST, key));
        },
        _ => {}
    }
    Ok(())
}

/// Fills the stack in linear memory.
#[inline(never)]
#[expect(unconditional_recursion, reason = "that is its purpose")]
fn recurse(n: u64) -> u64 {
    let local = black_box([n; 16]);
    black_box(recurse(black_box(n + 1)) + local[(n % 16) as usize])
}

/// Fills the machine's stack.
#[inline(never)]
fn recurse_plainly(n: u64) -> u64 {
    if n == 0 {
        0
    } else {
        (recurse_plainly(n.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1) ^ n).rotate_left(7)
    }
}

/// What is wrong with the effects in the end.
fn spoil(command: &str, effects: &mut Effects) {
    let column = |values| Column { present: vec![], values };
    match command {
        "bad-cause" => effects.emitted[0].causes[0] = 1_000_000,
        "descending-causes" => {
            effects.emitted[0].causes[0] = 1;
            *effects.emitted[0].causes.last_mut().unwrap() = 0;
        }
        "bad-ends" => match &mut effects.emitted[0].columns[0].values {
            Values::Blobs(blob) => blob.ends[0] = u32::MAX,
            _ => unreachable!(),
        },
        "short-data" => match &mut effects.emitted[0].columns[0].values {
            Values::Blobs(blob) => drop(blob.data.pop()),
            _ => unreachable!(),
        },
        "non-utf8" => match &mut effects.emitted[0].columns[0].values {
            Values::Blobs(blob) => blob.data[0] = 0xff,
            _ => unreachable!(),
        },
        "split-utf8" => match &mut effects.emitted[0].columns[0].values {
            // The whole is UTF-8, the items are not.
            Values::Blobs(blob) => {
                let last = blob.ends.len() - 1;
                blob.data[0] = 0xc3;
                blob.data[1] = 0xa4;
                blob.ends[0] = if last == 0 { blob.ends[0] } else { 1 };
            }
            _ => unreachable!(),
        },
        "wrong-kind" => effects.emitted[0].columns[1].values = Values::Floats(vec![1.0]),
        "short-column" => match &mut effects.emitted[0].columns[1].values {
            Values::Integers(values) => drop(values.pop()),
            _ => unreachable!(),
        },
        "absent" => effects.emitted[0].columns[0].present = vec![0],
        "long-presence" => effects.emitted[0].columns[0].present = vec![0xff; 1000],
        "no-columns" => effects.emitted[0].columns.clear(),
        "no-outputs" => effects.emitted.clear(),
        "many-outputs" => {
            effects.emitted.extend((0..10_000).map(|_| Emitted { causes: vec![], columns: vec![] }))
        }
        "overlap" => {
            // A thousand lists in the same 16 MiB: 16 GiB for a host that copies them.
            let mut causes = Vec::<u32>::with_capacity(4 << 20);
            // Wasm memory is zeroed; nothing frees these, the call ends here.
            let alias = |at: *mut u32| unsafe { Vec::from_raw_parts(at, 4 << 20, 4 << 20) };
            let at = causes.as_mut_ptr();
            std::mem::forget(causes);
            effects.emitted =
                (0..1000).map(|_| Emitted { causes: alias(at), columns: vec![] }).collect();
        }
        "bad-json" => {
            effects.emitted[1] = Emitted {
                causes: vec![0],
                columns: vec![column(Values::Blobs(blob(&[b"{\"a\":}"])))],
            };
        }
        "json" => {
            effects.emitted[1] = Emitted {
                causes: vec![0],
                columns: vec![column(Values::Blobs(blob(&[b" {\"a\" : 1}\n"])))],
            };
        }
        "huge-output" => {
            let big = vec![b'x'; 3 << 20];
            effects.emitted[0].columns[0].values = Values::Blobs(blob(&[&big]));
        }
        "many-items" => {
            let n = 1000;
            effects.emitted[0] = Emitted {
                causes: vec![0; n],
                columns: vec![
                    column(Values::Blobs(blob(&vec![&b"x"[..]; n]))),
                    column(Values::Integers(vec![1; n])),
                ],
            };
        }
        "write-count" => {
            effects.written[0] = Written { keys: vec![0], present: vec![], items: blob(&[b"1"]) };
        }
        "bad-key" => effects.written[0].keys[0] = 1_000_000,
        "key-twice" => {
            let written = &mut effects.written[0];
            written.keys = vec![0, 0];
            written.items = blob(&[b"1", b"2"]);
        }
        "delete" => effects.written[0].present = vec![0; effects.written[0].keys.len().div_ceil(8)],
        "timer" => {
            effects.timer_changes = TimerChanges {
                causes: vec![0, 0],
                timers: vec![0, 0],
                times: vec![10, 20],
                present: vec![1],
            };
        }
        "bad-timer" => {
            effects.timer_changes =
                TimerChanges { causes: vec![0], timers: vec![7], times: vec![10], present: vec![] };
        }
        "bad-timer-cause" => {
            effects.timer_changes = TimerChanges {
                causes: vec![9_999_999],
                timers: vec![0],
                times: vec![10],
                present: vec![],
            };
        }
        "short-timers" => {
            effects.timer_changes =
                TimerChanges { causes: vec![0], timers: vec![0], times: vec![], present: vec![] };
        }
        _ => {}
    }
}

guest_kit::export!(Misbehave with_types_in guest_kit);
