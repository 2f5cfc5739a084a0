//! Rules that come, change and go, and the example that is shipped.

use millstream_udf::testing::Harness;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn harness() -> Harness<LiveRules> {
    Harness::new().key_from("/account_id").event_time_from("/ts").with_bound(2_000)
}

fn payment(id: &str, amount: f64, ts: i64) -> Value {
    json!({"payment_id": id, "account_id": "a", "amount": amount, "country": "DE", "ts": ts})
}

#[test]
fn a_payment_is_judged_by_the_rules_of_its_time() {
    let mut bank = harness();
    bank.send_to("payments", payment("p1", 700.0, 10_000)).unwrap();
    bank.send_to("payments", payment("p2", 700.0, 10_001)).unwrap();
    bank.send_to("payments", payment("p3", 700.0, 11_500)).unwrap();
    let rule = |ts: i64, rule: Value| json!({"rule_id": "large", "rule": rule, "ts": ts});
    bank.send_to("rules", rule(10_001, json!({"min_cents": 50_000}))).unwrap();
    bank.send_to("rules", rule(11_000, json!({"min_cents": 100_000}))).unwrap();
    bank.end_of_input();
    assert_eq!(
        bank.take_lines("alert"),
        [
            r#"{"account_id":"a","amount":700.00,"payment_id":"p2","rule_id":"large","rule_ts":10001,"ts":10001,"type":"alert"}"#
        ]
    );
}

#[test]
fn a_rule_counts_the_payments_of_an_account() {
    let mut bank = harness();
    let rule = json!({"rule_id": "fast", "rule": {"count": 3, "within_ms": 1000}, "ts": 0});
    bank.send_to("rules", rule).unwrap();
    // They come in no order.
    for (id, ts) in [("p1", 1_000), ("p3", 1_900), ("p2", 1_500), ("p4", 2_000), ("p5", 2_600)] {
        bank.send_to("payments", payment(id, 1.0, ts)).unwrap();
    }
    bank.end_of_input();
    let alerts: Vec<Value> = bank.take("alert");
    let of: Vec<&str> = alerts.iter().map(|alert| alert["payment_id"].as_str().unwrap()).collect();
    assert_eq!(of, ["p3", "p4", "p5"]);
}

#[test]
fn what_comes_too_late_is_told() {
    let mut bank = harness();
    bank.send_to("payments", payment("p1", 1.0, 10_000)).unwrap();
    bank.send_to("payments", payment("p2", 1.0, 7_000)).unwrap();
    bank.send_to("rules", json!({"rule_id": "r", "rule": {}, "ts": 10_000})).unwrap();
    bank.send_to("rules", json!({"rule_id": "r", "ts": 7_999})).unwrap();
    bank.send_to("rules", json!({"rule_id": "r", "ts": 7_998})).unwrap();
    assert_eq!(
        bank.take_lines("late_payment"),
        [r#"{"account_id":"a","payment_id":"p2","ts":7000,"type":"late_payment"}"#]
    );
    assert_eq!(
        bank.take_lines("late_rule"),
        [
            r#"{"rule_id":"r","ts":7999,"type":"late_rule"}"#,
            r#"{"rule_id":"r","ts":7998,"type":"late_rule"}"#
        ]
    );
}

#[test]
fn a_rule_that_makes_no_sense_is_refused() {
    let mut bank = harness();
    let rule = json!({"rule_id": "r", "rule": {"count": 500}, "ts": 0});
    let refused = bank.send_to("rules", rule).unwrap_err().to_string();
    assert!(refused.contains("at most 100 payments"), "{refused}");
    let rule = json!({"rule_id": "r", "rule": {"minimum": 1}, "ts": 0});
    assert!(bank.send_to("rules", rule).unwrap_err().to_string().contains("minimum"));
}

/// Runs the shipped example, the inputs read in turn as the picks say.
fn example(picks: &[bool], batch: usize) -> Vec<String> {
    let lines = |text: &str| -> Vec<Value> {
        text.lines().rev().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect()
    };
    let mut payments = lines(include_str!("../../../../examples/live-rules/payments.ndjson"));
    let mut rules = lines(include_str!("../../../../examples/live-rules/rules.ndjson"));
    let mut records = Vec::new();
    for turn in picks.iter().cycle() {
        let mut payment = || payments.pop().map(|record| ("payments", record));
        let mut rule = || rules.pop().map(|record| ("rules", record));
        let next = if *turn { payment().or_else(rule) } else { rule().or_else(payment) };
        match next {
            Some(next) => records.push(next),
            None => break,
        }
    }
    let mut bank = harness().batches_of(batch);
    assert_eq!(bank.send_mixed(records), []);
    bank.end_of_input();
    let mut lines: Vec<String> = ["alert", "late_payment", "late_rule"]
        .into_iter()
        .flat_map(|output| bank.take_lines(output))
        .collect();
    lines.sort();
    lines
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 50, ..ProptestConfig::default() })]

    #[test]
    fn the_example_gives_what_is_expected_however_the_inputs_arrive(
        picks in prop::collection::vec(any::<bool>(), 1..30),
        batch in 1..30_usize,
    ) {
        let expected: Vec<&str> =
            include_str!("../../../../examples/live-rules/expected.ndjson").lines().collect();
        prop_assert_eq!(example(&picks, batch), expected);
    }
}
