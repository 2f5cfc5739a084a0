//! Calls that go well.

use crate::support::*;
use millstream_core::columns::{Presence, Values};
use millstream_core::udf::{Fault, Udf};
use millstream_sandbox::codec::Encoder;

#[test]
fn records_go_in_and_effects_come_out() {
    let (mut instance, _) = instance();
    let mut batch = keyed(&[("a", "one"), ("b", "zwei"), ("a", "drüben")]);
    batch.values[0].present = Presence(vec![0b10]);
    batch.values[0].items.clear();
    batch.values[0].items.push(b"");
    batch.values[0].items.push(b"41");
    let effects = instance.process(&batch, &mut Memory::default()).unwrap();
    assert_eq!(effects.emitted[0].causes, [0, 1, 2]);
    assert_eq!(texts(&effects.emitted[0].columns[0]), ["one", "zwei", "drüben"]);
    assert_eq!(effects.emitted[0].columns[1].values, Values::Integers(vec![0, 1, 2]));
    assert!(effects.emitted[1].causes.is_empty());
    let counts: Vec<&[u8]> = effects.written[0].items.iter().collect();
    assert_eq!((effects.written[0].keys.as_slice(), counts), (&[0, 1][..], vec![&b"2"[..], b"42"]));

    let encoder = Encoder::new(&instance.module().description().outputs[0]);
    let mut line = Vec::new();
    encoder.encode(&effects.emitted[0], 2, &mut line);
    assert_eq!(String::from_utf8(line).unwrap(), r#"{"did":"drüben","n":2}"#);
}

#[test]
fn timers_fire() {
    let (mut instance, _) = instance();
    let effects = instance.on_timer(&timers(&[5, 6]), &mut Memory::default()).unwrap();
    assert_eq!(effects.emitted[0].columns[1].values, Values::Integers(vec![5, 6]));
    let message = trap(instance.on_timer(&timers(&[12, 13]), &mut Memory::default()));
    assert!(message.contains("thirteen"), "{message}");
}

#[test]
fn changes_of_timers_and_deletions_come_back() {
    let (mut instance, _) = instance();
    let effects = instance.process(&batch(&["timer", "delete"]), &mut Memory::default()).unwrap();
    let changes = &effects.timer_changes;
    assert_eq!((changes.times.as_slice(), changes.timers.as_slice()), (&[10, 20][..], &[0, 0][..]));
    assert!(changes.present.has(0) && !changes.present.has(1));
    assert!(!effects.written[0].present.has(0));
}

#[test]
fn the_same_call_takes_the_same_fuel_in_every_instance() {
    let module = misbehave();
    let fuel = |calls: usize| {
        let heard = Heard::default();
        let mut instance = millstream_sandbox::Instance::new(&module, "{}", Box::new(heard));
        for _ in 0..calls {
            instance.process(&batch(&["spin", "x"]), &mut Memory::default()).unwrap();
        }
        instance.fuel_used()
    };
    let once = fuel(1);
    assert!(once > 100_000, "{once}");
    assert_eq!(once, fuel(1));
    assert!(fuel(3) > 2 * once);
}

#[test]
fn large_batches_pass_and_larger_ones_are_the_hosts_fault() {
    let (mut instance, _) = instance();
    let records = |n: usize| (0..n).map(|i| format!("key{}", i % 1000)).collect::<Vec<_>>();
    let names = records(4097);
    let all: Vec<(&str, &str)> = names.iter().map(|key| (key.as_str(), "some text")).collect();
    let few: Vec<(&str, &str)> = all[..200].to_vec();
    let effects = instance.process(&keyed(&few), &mut Memory::default()).unwrap();
    assert_eq!(effects.emitted[0].causes.len(), 200);
    let result = instance.process(&keyed(&all), &mut Memory::default());
    assert!(
        matches!(&result, Err(Fault::Host { message }) if message.contains("4096")),
        "{result:?}"
    );
    instance.process(&batch(&["x"]), &mut Memory::default()).unwrap();
}

#[test]
fn instances_move_between_threads() {
    let (mut instance, _) = instance();
    std::thread::spawn(move || instance.process(&batch(&["x"]), &mut Memory::default()).unwrap())
        .join()
        .unwrap();
}
