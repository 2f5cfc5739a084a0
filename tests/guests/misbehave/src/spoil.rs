//! What is wrong with the effects in the end.

use guest_kit::*;
use millstream_hostile::Command;

/// Makes effects wrong.
pub fn spoil(command: Command, cause: u32, effects: &mut Effects) {
    let column = |values| Column { present: vec![], values };
    match command {
        Command::BadCause => effects.emitted[0].causes[0] = 1_000_000,
        Command::DescendingCauses => effects.emitted[0].causes = vec![1, 0],
        Command::BadEnds => match &mut effects.emitted[0].columns[0].values {
            Values::Blobs(blob) => blob.ends[0] = u32::MAX,
            _ => unreachable!(),
        },
        Command::ShortData => match &mut effects.emitted[0].columns[0].values {
            Values::Blobs(blob) => drop(blob.data.pop()),
            _ => unreachable!(),
        },
        Command::NonUtf8 => match &mut effects.emitted[0].columns[0].values {
            Values::Blobs(blob) => blob.data[0] = 0xff,
            _ => unreachable!(),
        },
        Command::SplitUtf8 => {
            // The whole is UTF-8, the items are not.
            let split = Blob { ends: vec![1, 2], data: "ä".into() };
            effects.emitted[0] = Emitted {
                causes: vec![0, 0],
                columns: vec![column(Values::Blobs(split)), column(Values::Integers(vec![1, 1]))],
            };
        }
        Command::WrongKind => effects.emitted[0].columns[1].values = Values::Floats(vec![1.0]),
        Command::ShortColumn => match &mut effects.emitted[0].columns[1].values {
            Values::Integers(values) => drop(values.pop()),
            _ => unreachable!(),
        },
        Command::Absent => effects.emitted[0].columns[0].present = vec![0],
        Command::LongPresence => effects.emitted[0].columns[0].present = vec![0xff; 1000],
        Command::NoColumns => effects.emitted[0].columns.clear(),
        Command::NoOutputs => effects.emitted.clear(),
        Command::ManyOutputs => {
            effects.emitted.extend((0..10_000).map(|_| Emitted { causes: vec![], columns: vec![] }))
        }
        Command::Overlap => {
            // A thousand lists in the same 16 MiB: 16 GiB for a host that copies them.
            let mut causes = Vec::<u32>::with_capacity(4 << 20);
            // Wasm memory is zeroed; nothing frees these, the call ends here.
            let alias = |at: *mut u32| unsafe { Vec::from_raw_parts(at, 4 << 20, 4 << 20) };
            let at = causes.as_mut_ptr();
            std::mem::forget(causes);
            effects.emitted =
                (0..1000).map(|_| Emitted { causes: alias(at), columns: vec![] }).collect();
        }
        Command::BadJson => emit_json(effects, "{\"a\":}"),
        Command::DeepJson => {
            emit_json(effects, &["[".repeat(200_000), "]".repeat(200_000)].concat())
        }
        Command::LoneSurrogate => emit_json(effects, r#""\ud800""#),
        Command::KeysWithoutEnd => {
            let keys: Vec<u32> = (0..50_000).collect();
            let items = Blob { ends: vec![0; keys.len()], data: vec![] };
            effects.written[0] = Written { keys, present: vec![], items };
        }
        Command::ValueTooLong => {
            let value = vec![1; (1 << 20) + 1];
            effects.written[0] = Written { keys: vec![0], present: vec![], items: blob(&[&value]) };
        }
        Command::WriteUndeclared => {
            effects.written.push(Written { keys: vec![0], present: vec![], items: blob(&[b"1"]) });
        }
        Command::TimerFlood => {
            let times: Vec<i64> = (0..100_000).collect();
            let all = || vec![0; times.len()];
            effects.timer_changes =
                TimerChanges { causes: all(), timers: all(), times, present: vec![] };
        }
        Command::TimerExtremes => {
            change_timer(effects, cause, i64::MIN, true);
            change_timer(effects, cause, i64::MAX, true);
        }
        Command::TimerPanic | Command::TimerLoop | Command::TimerFail => {
            let time = command.timer().expect("it is about a timer");
            change_timer(effects, cause, time, true);
        }
        Command::Json => emit_json(effects, " {\"a\" : 1}\n"),
        Command::HugeOutput => {
            let big = vec![b'x'; 3 << 20];
            effects.emitted[0].columns[0].values = Values::Blobs(blob(&[&big]));
        }
        Command::ManyItems => {
            let n = 1000;
            effects.emitted[0] = Emitted {
                causes: vec![0; n],
                columns: vec![
                    column(Values::Blobs(blob(&vec![&b"x"[..]; n]))),
                    column(Values::Integers(vec![1; n])),
                ],
            };
        }
        Command::WriteCount => {
            effects.written[0] = Written { keys: vec![0], present: vec![], items: blob(&[b"1"]) };
        }
        Command::BadKey => effects.written[0].keys[0] = 1_000_000,
        Command::KeyTwice => {
            let written = &mut effects.written[0];
            written.keys = vec![0, 0];
            written.items = blob(&[b"1", b"2"]);
        }
        Command::Delete => {
            effects.written[0].present = vec![0; effects.written[0].keys.len().div_ceil(8)]
        }
        Command::Timer => {
            change_timer(effects, cause, 10, true);
            change_timer(effects, cause, 20, false);
        }
        Command::BadTimer => {
            effects.timer_changes =
                TimerChanges { causes: vec![0], timers: vec![7], times: vec![10], present: vec![] };
        }
        Command::BadTimerCause => {
            effects.timer_changes = TimerChanges {
                causes: vec![9_999_999],
                timers: vec![0],
                times: vec![10],
                present: vec![],
            };
        }
        Command::ShortTimers => {
            effects.timer_changes =
                TimerChanges { causes: vec![0], timers: vec![0], times: vec![], present: vec![] };
        }
        _ => {}
    }
}

/// One document in the output `json`, of the first record.
fn emit_json(effects: &mut Effects, document: &str) {
    let values = Values::Blobs(blob(&[document.as_bytes()]));
    effects.emitted[1] =
        Emitted { causes: vec![0], columns: vec![Column { present: vec![], values }] };
}

/// Sets or deletes a timer of a record's key.
fn change_timer(effects: &mut Effects, cause: u32, time: i64, set: bool) {
    let changes = &mut effects.timer_changes;
    let at = changes.causes.len();
    if at.is_multiple_of(8) {
        changes.present.push(0);
    }
    changes.present[at / 8] |= u8::from(set) << (at % 8);
    changes.causes.push(cause);
    changes.timers.push(0);
    changes.times.push(time);
}
