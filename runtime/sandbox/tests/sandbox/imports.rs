//! What a guest may call, and what it is told when it may not.

use crate::support::*;
use millstream_core::columns::{Batch, Stored};
use millstream_core::udf::Udf;
use millstream_sandbox::{Instance, Limits, LogLevel};

#[test]
fn maps_and_lists_belong_to_the_call() {
    let (mut instance, _) = instance();
    let mut state = Memory::default();
    instance.process(&keyed(&[("a", "x"), ("b", "state")]), &mut state).unwrap();
    assert_eq!(state.lists[&(1, 1)], [b"z".to_vec(), b"y".to_vec()]);
    assert_eq!(state.maps[&(2, 1)].len(), 2);
    instance.process(&keyed(&[("a", "x"), ("b", "state-clear")]), &mut state).unwrap();
    assert!(state.lists.is_empty() && state.maps.is_empty());
}

#[test]
fn misuse_of_state_traps() {
    for (command, says) in [
        ("state-unknown", "state 99 is used; 3 are declared"),
        ("state-of-other-kind", "state 2 is a map, not a list"),
        ("state-of-no-key", "key 1000000 is used; the call has 1 keys"),
        ("state-entry-too-long", "an entry's key has 1025 bytes; the limit is 1024"),
        ("state-item-too-long", "an element has 1048577 bytes; the limit is 1048576"),
        ("state-limit-zero", "0 items are read at once; 1 to 1000 are possible"),
        ("state-set-beyond", "item 1000000 is set in a list of 0"),
        ("metrics", "metrics is used, but the description does not list the capability"),
    ] {
        let (mut instance, _) = instance();
        let message = trap(instance.process(&batch(&[command]), &mut Memory::default()));
        assert!(message.contains(says), "{says:?} is not in {message}");
        assert!(message.contains("misbehave::"), "no backtrace in {message}");
    }
}

#[test]
fn more_state_than_the_guest_has_memory_is_not_gathered() {
    let limits = Limits { memory_bytes: 8 << 20, ..Limits::default() };
    let module = sandbox_with(limits).compile(&guest("misbehave")).unwrap();
    let mut state = Memory::default();
    state.lists.insert((1, 0), vec![vec![b'x'; 1 << 20]; 100]);
    state.maps.insert((2, 0), (0..100u8).map(|i| (vec![i], vec![b'x'; 1 << 20])).collect());
    for command in ["state-read-list", "state-read-map"] {
        let mut instance = Instance::new(&module, "{}", Box::new(Heard::default()));
        let message = trap(instance.process(&batch(&[command]), &mut state));
        let says =
            "the 1000 items read at once have more than the 8388608 bytes of the guest's memory";
        assert!(message.contains(says), "{message}");
    }
}

/// A record of the broadcast input: keyed states have no values.
fn broadcast(command: &str) -> Batch {
    Batch { input: 1, values: vec![Stored::default()], ..keyed(&[("", command)]) }
}

#[test]
fn broadcast_state_is_written_from_broadcast_records_and_read_from_everywhere() {
    let module = sandbox().compile(&guest("broadcasts")).unwrap();
    let mut instance = Instance::new(&module, "{}", Box::new(Heard::default()));
    let mut state = Memory::default();
    instance.process(&broadcast("write"), &mut state).unwrap();
    instance.process(&broadcast("read"), &mut state).unwrap();
    instance.process(&keyed(&[("a", "x"), ("b", "read")]), &mut state).unwrap();
    assert_eq!(state.maps.len(), 1);

    let refused = [
        (batch(&["write"]), "a broadcast state is written from a broadcast input only"),
        (broadcast("keyed-write"), "a broadcast record has no key, and so no keyed state"),
        (broadcast("keyed-value"), "a broadcast record has no key, and so no keyed state"),
        (broadcast("timer"), "a broadcast record has no key, and so no timers"),
    ];
    for (batch, says) in refused {
        let message = trap(instance.process(&batch, &mut state));
        assert!(message.contains(says), "{says:?} is not in {message}");
    }
}

#[test]
fn logs_are_bounded() {
    let (mut instance, heard) = instance();
    instance.process(&batch(&["log-flood"]), &mut Memory::default()).unwrap_err();
    assert_eq!(heard.lines().len(), 100);
    assert!(heard.dropped() > 0);
    instance.process(&batch(&["log-big"]), &mut Memory::default()).unwrap();
    assert_eq!(heard.lines().len(), 116);
    instance.process(&batch(&["log-too-big"]), &mut Memory::default()).unwrap();
    assert_eq!(heard.lines().last().unwrap().len(), 4096);
}

#[test]
fn printing_is_logging() {
    let (mut instance, heard) = instance();
    instance.process(&batch(&["print"]), &mut Memory::default()).unwrap();
    let said = heard.0.lock().unwrap();
    assert_eq!(
        said.lines,
        [(LogLevel::Info, "to stdout".into()), (LogLevel::Error, "to stderr".into())]
    );
}

#[test]
fn there_is_no_world() {
    let (mut instance, heard) = instance();
    let mut state = Memory::default();
    instance.process(&batch(&["environment", "clock"]), &mut state).unwrap();
    assert_eq!(heard.lines(), ["environment: 0", "clock: 1700000000123"]);
    let _ = instance.process(&batch(&["file"]), &mut state);
    assert!(heard.lines().iter().all(|line| !line.contains("root")));
}

#[test]
fn hash_maps_have_the_same_order_in_every_instance() {
    let hash = || {
        let (mut instance, heard) = instance();
        instance.process(&batch(&["hash"]), &mut Memory::default()).unwrap();
        heard.lines()
    };
    assert_eq!(hash(), hash());
}

#[test]
fn the_configuration_is_the_stages() {
    let heard = Heard::default();
    let mut instance = Instance::new(&misbehave(), r#"{"limit":3}"#, Box::new(heard.clone()));
    instance.process(&batch(&["config"]), &mut Memory::default()).unwrap();
    assert_eq!(heard.lines(), [r#"{"limit":3}"#]);
}
