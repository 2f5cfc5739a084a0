//! What is emitted; [`golden`] compares whole streams.

mod golden;

use millstream_udf::Udf;
use millstream_udf::testing::{Harness, Refusal};
use serde_json::{Value, json};

use crate::WindowSums;

fn harness(config: Value) -> Harness<WindowSums> {
    Harness::with_config(config).key_from("/account_id").event_time_from("/ts").with_bound(5_000)
}

fn transaction(txn_id: &str, amount: f64, ts: i64) -> Value {
    json!({"txn_id": txn_id, "account_id": "a1", "amount": amount, "ts": ts})
}

#[test]
fn a_minute_is_summed_to_the_cent() {
    let mut harness = harness(json!({"window": {"tumbling": "1m"}, "type": "tumbling"}));
    for (i, amount) in [0.1, 0.2, 4.35].into_iter().enumerate() {
        harness.send(transaction("t", amount, 60_000 + i as i64)).unwrap();
    }
    harness.advance_watermark(119_998);
    assert_eq!(harness.take_lines("sums"), [""; 0]);
    harness.advance_watermark(119_999);
    let expected = r#"{"account_id":"a1","count":3,"end":120000,"start":60000,"sum":4.65,"sum_cents":465,"type":"tumbling"}"#;
    assert_eq!(harness.take_lines("sums"), [expected]);
    harness.with_state("a1", |account| assert_eq!(account.windows.open().count(), 0));
}

#[test]
fn a_late_one_is_emitted_by_itself() {
    let mut harness = harness(json!({"window": {"tumbling": "1m"}}));
    harness.send(transaction("clock", 1.0, 65_000)).unwrap();
    assert_eq!(harness.watermark(), 59_999);
    harness.send(transaction("late", 1.0, 59_999)).unwrap();
    harness.send(transaction("not late", 1.0, 60_000)).unwrap();
    assert_eq!(
        harness.take_lines("late"),
        [r#"{"account_id":"a1","ts":59999,"txn_id":"late","type":"late"}"#]
    );
}

#[test]
fn sessions_are_bridged() {
    let mut harness = harness(json!({"window": {"session": "30s"}, "type": "session"}));
    for (txn, ts) in [("t1", 0), ("t2", 60_000), ("t3", 30_000)] {
        harness.send(transaction(txn, 2.0, ts)).unwrap();
    }
    // The first has touched nothing when the watermark came to 54,999, and was closed.
    harness.end_of_input();
    let sums = harness.take("sums");
    assert_eq!(sums.len(), 2);
    assert_eq!((&sums[1]["start"], &sums[1]["count"]), (&json!(30_000), &json!(2)));
}

#[test]
fn amounts_without_cents_are_refused() {
    let mut harness = harness(json!({"window": {"tumbling": "1m"}}));
    let refused = harness.send(transaction("t", 1e15, 0)).unwrap_err();
    assert!(matches!(refused, Refusal::Failed(why) if why.contains("above the limit")));
}

#[test]
fn the_configuration_names_a_window() {
    let refuse = |config: Value| {
        WindowSums::create(Some(&config.to_string())).err().map(|e| e.to_string()).unwrap()
    };
    assert!(refuse(json!({})).contains("missing field `window`"));
    assert!(refuse(json!({"window": {"tumbling": "0s"}})).contains("must be 1 to"));
}
