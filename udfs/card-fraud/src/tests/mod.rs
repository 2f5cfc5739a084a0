//! The rules one by one; [`golden`] compares whole streams with Apache Flink.

mod golden;
mod vectors;

use millstream_udf::testing::{Harness, Refusal};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::CardFraud;

fn harness() -> Harness<CardFraud> {
    Harness::new().key_from("/account_id").event_time_from("/ts").with_bound(0)
}

fn transaction(txn_id: &str, cents: i64, ts: i64) -> Value {
    json!({"txn_id": txn_id, "account_id": "a1", "amount": cents as f64 / 100.0, "currency": "EUR", "ts": ts})
}

fn field(items: &[Value], name: &str) -> Vec<Value> {
    items.iter().map(|item| item[name].clone()).collect()
}

#[test]
fn scores_against_the_past_once_there_are_two() {
    let mut harness = harness();
    for (i, cents) in [1000, 2000, 1500, 2500].into_iter().enumerate() {
        harness.send(transaction(&format!("t{i}"), cents, i as i64 * 10)).unwrap();
    }
    let scores = harness.take_lines("score");
    assert_eq!(
        scores[0],
        r#"{"account_id":"a1","dt":-1,"n":1,"score":0.0,"ts":0,"txn_id":"t0","type":"score"}"#
    );
    assert_eq!(
        scores[1],
        r#"{"account_id":"a1","dt":10,"n":2,"score":0.0,"ts":10,"txn_id":"t1","type":"score"}"#
    );
    assert_eq!(
        scores[2],
        r#"{"account_id":"a1","dt":10,"n":3,"score":0.0,"ts":20,"txn_id":"t2","type":"score"}"#
    );
    assert!(scores[3].contains(r#""score":2.449489742783179,"#), "{}", scores[3]);
}

#[test]
fn equal_amounts_have_no_deviation_to_measure_by() {
    let mut harness = harness();
    for i in 0..4 {
        harness.send(transaction("t", 5000, i)).unwrap();
    }
    assert!(field(&harness.take("score"), "score").iter().all(|score| *score == json!(0.0)));
}

#[test]
fn large_within_a_minute_of_small_alerts_once() {
    let mut harness = harness();
    for (txn, cents, ts) in [("small", 99, 0), ("large", 50_001, 60_000), ("again", 50_001, 60_001)]
    {
        harness.send(transaction(txn, cents, ts)).unwrap();
    }
    let alerts = harness.take_lines("alert");
    let expected = r#"{"account_id":"a1","amount":500.01,"small_ts":0,"small_txn_id":"small","ts":60000,"txn_id":"large","type":"alert"}"#;
    assert_eq!(alerts, [expected]);
    assert_eq!(harness.pending_timers(), []);
    harness.end_of_input();
    assert_eq!(harness.take_lines("expired"), [""; 0]);
}

#[test]
fn the_bounds_are_strict() {
    for (small, large) in [(100, 50_001), (99, 50_000)] {
        let mut harness = harness();
        harness.send(transaction("small", small, 0)).unwrap();
        harness.send(transaction("large", large, 1)).unwrap();
        assert_eq!(harness.take_lines("alert"), [""; 0], "{small} then {large} cents");
    }
}

#[test]
fn any_transaction_in_between_ends_the_watch() {
    let mut harness = harness();
    for (txn, cents, ts) in [("small", 50, 0), ("between", 1000, 1), ("large", 60_000, 2)] {
        harness.send(transaction(txn, cents, ts)).unwrap();
    }
    assert_eq!(harness.take_lines("alert"), [""; 0]);
}

#[test]
fn a_small_one_expires_when_the_watermark_reaches_its_minute() {
    let mut harness = harness();
    harness.send(transaction("small", 50, 1_000)).unwrap();
    harness.advance_watermark(60_999);
    assert_eq!(harness.take_lines("expired"), [""; 0]);
    harness.advance_watermark(61_000);
    let expected = r#"{"account_id":"a1","small_ts":1000,"small_txn_id":"small","timer_ts":61000,"type":"expired"}"#;
    assert_eq!(harness.take_lines("expired"), [expected]);
    harness.with_state("a1", |account| assert!(!account.small.is_set()));
}

#[test]
fn a_second_small_one_moves_the_timer() {
    let mut harness = harness();
    harness.send(transaction("first", 50, 0)).unwrap();
    harness.send(transaction("second", 50, 5)).unwrap();
    assert_eq!(harness.pending_timers(), [("a1".into(), "small_expired".into(), 60_005)]);
}

#[test]
fn a_timer_that_is_past_waits_for_the_next_advance() {
    let mut harness = harness();
    harness
        .send(json!({"txn_id": "clock", "account_id": "other", "amount": 10.0, "ts": 1_000_000}))
        .unwrap();
    harness.send(transaction("late", 50, 0)).unwrap();
    assert_eq!(harness.take_lines("expired"), [""; 0]);
    harness.send(transaction("large", 60_000, 1)).unwrap();
    assert_eq!(harness.take_lines("alert").len(), 1);
}

#[test]
fn records_without_the_fields_are_refused() {
    let mut harness = harness();
    let refused = harness
        .send(json!({"account_id": "a1", "ts": 1, "txn_id": "t", "amount": "12"}))
        .unwrap_err();
    assert!(matches!(refused, Refusal::Unfit(_)), "{refused}");
    let refused = harness.send(json!({"account_id": "a1", "ts": 1, "txn_id": "t"})).unwrap_err();
    assert_eq!(refused, Refusal::Unfit("field `amount` is missing".into()));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Batching is the host's business: it must not show.
    #[test]
    fn batches_of_any_size_give_the_same(
        transactions in prop::collection::vec((0..3_usize, prop::sample::select(vec![50, 99, 100, 5_000, 60_000]), 0..200_000_i64), 1..60),
        batch in 2..64_usize,
    ) {
        let records = transactions.iter().enumerate().map(|(i, (account, cents, ts))| {
            json!({"txn_id": format!("t{i}"), "account_id": format!("a{account}"), "amount": f64::from(*cents) / 100.0, "ts": ts})
        });
        let run = |batch| {
            let mut harness = Harness::<CardFraud>::new().key_from("/account_id").event_time_from("/ts").with_bound(5_000).batches_of(batch);
            assert_eq!(harness.send_all(records.clone()), []);
            harness.end_of_input();
            ["score", "alert", "expired"].map(|output| harness.take_lines(output))
        };
        prop_assert_eq!(run(1), run(batch));
    }
}
