//! Tests without WebAssembly and without a server: the harness plays the host.

use millstream_udf::testing::Harness;
use serde_json::json;

use super::*;

fn logins() -> Harness<PasswordGuessing> {
    Harness::with_config(json!({"failed": 3, "within": "1m"}))
        .key_from("/user")
        .event_time_from("/ts")
        .with_bound(5_000)
}

fn send(harness: &mut Harness<PasswordGuessing>, id: &str, ok: bool, ts: i64) {
    harness.send(json!({"id": id, "user": "u", "ok": ok, "ts": ts})).unwrap();
}

#[test]
fn three_failures_and_a_success_are_found_in_any_order_of_arrival() {
    let mut harness = logins();
    for (id, ok, ts) in [("l4", true, 300), ("l1", false, 0), ("l3", false, 200), ("l2", false, 100)] {
        send(&mut harness, id, ok, ts);
    }
    harness.end_of_input();
    assert_eq!(
        harness.take_lines("guessed"),
        [r#"{"failed":3,"first":"l1","login":"l4","user":"u"}"#]
    );
}

#[test]
fn two_failures_or_a_minute_are_no_guess() {
    let mut harness = logins();
    for (id, ok, ts) in [("l1", false, 0), ("l2", false, 100), ("l3", true, 200)] {
        send(&mut harness, id, ok, ts);
    }
    for (id, ok, ts) in [("l4", false, 1_000), ("l5", false, 2_000), ("l6", false, 3_000), ("l7", true, 62_000)] {
        send(&mut harness, id, ok, ts);
    }
    harness.end_of_input();
    assert!(harness.take_lines("guessed").is_empty());
}

#[test]
fn a_login_behind_the_watermark_is_late() {
    let mut harness = logins();
    send(&mut harness, "l1", true, 10_000);
    send(&mut harness, "l2", false, 4_000);
    assert_eq!(harness.take_lines("late"), [r#"{"login":"l2","user":"u"}"#]);
}
