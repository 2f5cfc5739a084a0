//! Calls that go wrong: which fault it is, what it says, and that the next call goes well.

use crate::support::*;
use millstream_core::udf::{Fault, Limit, Udf};
use millstream_sandbox::{Instance, Limits, Unobserved};

/// The message of the trap, after which the instance works again.
#[track_caller]
fn trap_of(command: &str) -> String {
    let (mut instance, _) = instance();
    let mut state = Memory::default();
    instance.process(&batch(&["before"]), &mut state).unwrap();
    let message = trap(instance.process(&batch(&["x", command]), &mut state));
    let effects = instance.process(&batch(&["after"]), &mut state).unwrap();
    assert_eq!(texts(&effects.emitted[0].columns[0]), ["after"]);
    message
}

#[track_caller]
fn says(command: &str, parts: &[&str]) {
    let message = trap_of(command);
    for part in parts {
        assert!(message.contains(part), "{part:?} is not in {message}");
    }
}

#[test]
fn a_panic_has_its_message_and_backtrace() {
    let message = trap_of("panic");
    assert!(message.starts_with("panic: "), "{message}");
    for part in [
        "the guest is told to panic",
        "\n  at misbehave::act::act (",
        "act.rs:",
        "misbehave::Misbehave as guest_kit",
    ] {
        assert!(message.contains(part), "{part:?} is not in {message}");
    }
    assert!(
        !message.contains("panicking::")
            && !message.contains("<unknown>")
            && !message.contains("RUST_BACKTRACE"),
        "{message}"
    );
}

#[test]
fn a_panic_hook_that_logs_is_heard() {
    says("panic-with-log", &["panic: panicked at src/udf.rs:1:2: told to"]);
}

#[test]
fn other_traps() {
    says(
        "unreachable",
        &["trap: wasm `unreachable` instruction executed", "at misbehave::act::act"],
    );
    says("divide", &["attempt to divide by zero"]);
    says("exit", &["exit is called"]);
    says("out-of-bounds", &["out of bounds memory access"]);
    says("sleep", &["wasi:clocks/monotonic-clock", "subscribe-duration"]);
}

#[test]
fn fuel_ends_a_loop() {
    says("loop", &["out of fuel: the limit of a call is 10000000", "at misbehave::act::act ("]);
}

#[test]
fn fuel_ends_calls_to_the_host() {
    says("state-flood", &["out of fuel"]);
}

#[test]
fn the_stack_ends_a_recursion() {
    says(
        "recurse-plainly",
        &["stack overflow: the limit is 524288", "misbehave::act::recurse_plainly", "and so on"],
    );
    says("recurse", &["stack overflow", "misbehave::act::recurse", " times", "and so on"]);
}

#[test]
fn memory_ends_a_bomb() {
    says("memory-bomb", &["out of memory", "the limit is 67108864"]);
}

#[test]
fn a_failure_is_no_trap() {
    let (mut instance, _) = instance();
    let mut state = Memory::default();
    let result = instance.process(&batch(&["x", "fail", "x"]), &mut state);
    assert_eq!(result, Err(Fault::Failed { index: 1, message: "as told".into() }));
    let Err(Fault::Failed { index: 0, message }) =
        instance.process(&batch(&["fail-long"]), &mut state)
    else {
        panic!("not a failure")
    };
    assert_eq!(message, "ä".repeat(2048));
    instance.process(&batch(&["x"]), &mut state).unwrap();
}

#[test]
fn fuel_limits_the_call_and_not_the_record() {
    let limits = Limits { fuel_per_record: 2_000_000, instances: 8, ..Limits::default() };
    let module = sandbox_with(limits).compile(&guest("misbehave")).unwrap();
    let mut instance = Instance::new(&module, "{}", Box::new(Unobserved));
    let mut state = Memory::default();
    instance.process(&batch(&["spin"]), &mut state).unwrap();
    let message = trap(instance.process(&batch(&["spin"; 20]), &mut state));
    assert!(message.contains("out of fuel"), "{message}");
    assert!(instance.fuel_used() >= 2_000_000);
    for _ in 0..20 {
        instance.process(&batch(&["spin"]), &mut state).unwrap();
    }
}

#[test]
fn a_full_pool_is_the_hosts_fault() {
    let module = sandbox_with(Limits { instances: 1, ..Limits::default() })
        .compile(&guest("misbehave"))
        .unwrap();
    let mut first = Instance::new(&module, "{}", Box::new(Unobserved));
    let mut second = Instance::new(&module, "{}", Box::new(Unobserved));
    first.start().unwrap();
    assert!(matches!(second.start(), Err(Fault::Host { .. })));
    drop(first);
    second.start().unwrap();
}

#[test]
fn a_panicking_state_does_not_leave_a_usable_instance() {
    struct Panics;
    impl millstream_core::udf::CallState for Panics {
        fn map_get(&mut self, _: u32, _: u32, _: &[u8]) -> Option<Vec<u8>> {
            panic!("host bug")
        }
        fn map_write(&mut self, _: u32, _: u32, _: &[u8], _: Option<&[u8]>) {
            panic!("host bug")
        }
        fn map_scan(
            &mut self,
            _: u32,
            _: u32,
            _: Option<&[u8]>,
            _: Limit,
        ) -> Vec<(Vec<u8>, Vec<u8>)> {
            panic!("host bug")
        }
        fn map_clear(&mut self, _: u32, _: u32) {
            panic!("host bug")
        }
        fn list_length(&mut self, _: u32, _: u32) -> u64 {
            panic!("host bug")
        }
        fn list_read(&mut self, _: u32, _: u32, _: u64, _: Limit) -> Vec<Vec<u8>> {
            panic!("host bug")
        }
        fn list_write(&mut self, _: u32, _: u32, _: u64, _: &[u8]) {
            panic!("host bug")
        }
        fn list_clear(&mut self, _: u32, _: u32) {
            panic!("host bug")
        }
    }
    let (mut instance, _) = instance();
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _ = instance.process(&batch(&["state"]), &mut Panics);
    }));
    assert!(panicked.is_err());
    let result = instance.process(&batch(&["x"]), &mut Memory::default());
    assert!(matches!(result, Err(Fault::Host { .. })));
}
