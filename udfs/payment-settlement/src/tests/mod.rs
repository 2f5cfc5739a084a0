//! The rules, on a small day at the bank, and the example that is shipped.

use millstream_udf::Udf;
use millstream_udf::testing::Harness;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const MINUTE: i64 = 60_000;

fn harness(config: Value) -> Harness<PaymentSettlement> {
    Harness::with_config(config).key_from("/payment_id").event_time_from("/ts").with_bound(5_000)
}

fn payment(id: &str, amount: f64, ts: i64) -> Value {
    json!({"payment_id": id, "amount": amount, "debtor": "acme", "ts": ts})
}

fn settlement(id: &str, of: &str, amount: f64, ts: i64) -> Value {
    json!({"settlement_id": id, "payment_id": of, "amount": amount, "ts": ts})
}

#[test]
fn a_payment_is_settled_once_and_in_time() {
    let mut bank = harness(json!({"within": "30m"}));
    bank.send_to("payments", payment("p1", 10.5, 0)).unwrap();
    bank.send_to("payments", payment("p2", 20.0, 1_000)).unwrap();
    bank.send_to("settlements", settlement("s2", "p2", 19.5, 29 * MINUTE)).unwrap();
    bank.send_to("settlements", settlement("s1", "p1", 10.5, 30 * MINUTE)).unwrap();
    bank.end_of_input();
    assert_eq!(
        bank.take_lines("settled"),
        [
            r#"{"amount":20.00,"currency":"EUR","debtor":"acme","difference":-0.50,"payment_id":"p2","payment_ts":1000,"reason":"other_amount","settlement_id":"s2","settlement_ts":1740000,"type":"settled"}"#,
            r#"{"amount":10.50,"currency":"EUR","debtor":"acme","payment_id":"p1","payment_ts":0,"reason":"same_amount","settlement_id":"s1","settlement_ts":1800000,"type":"settled"}"#,
        ]
    );
    assert_eq!(bank.take_lines("overdue"), [""; 0]);
    assert_eq!(bank.stored_elements("p1") + bank.stored_elements("p2"), 0);
}

#[test]
fn a_settlement_that_is_too_late_leaves_both_alone() {
    let mut bank = harness(json!({"within": "30m"}));
    bank.send_to("payments", payment("p1", 1.0, 0)).unwrap();
    bank.send_to("settlements", settlement("s1", "p1", 1.0, 30 * MINUTE + 1)).unwrap();
    bank.end_of_input();
    assert_eq!(bank.take_lines("settled"), [""; 0]);
    assert_eq!(
        bank.take_lines("overdue"),
        [
            r#"{"amount":1.00,"currency":"EUR","debtor":"acme","due_ts":1800000,"payment_id":"p1","payment_ts":0,"reason":"no_settlement_in_time","type":"overdue"}"#
        ]
    );
    assert_eq!(
        bank.take_lines("unknown"),
        [
            r#"{"amount":1.00,"currency":"EUR","payment_id":"p1","reason":"no_payment","settlement_id":"s1","settlement_ts":1800001,"type":"unknown"}"#
        ]
    );
}

#[test]
fn a_settlement_may_come_before_its_payment_if_clocks_differ() {
    for (before, settled) in [("0s", 0), ("2s", 1)] {
        let mut bank = harness(json!({"before": before}));
        bank.send_to("settlements", settlement("s1", "p1", 1.0, 8_000)).unwrap();
        bank.send_to("payments", payment("p1", 1.0, 10_000)).unwrap();
        bank.end_of_input();
        assert_eq!(bank.take("settled").len(), settled, "before {before}");
    }
}

#[test]
fn late_records_are_told() {
    let mut bank = harness(json!({}));
    bank.send_to("payments", payment("p1", 1.0, 100_000)).unwrap();
    bank.send_to("payments", payment("p2", 2.0, 90_000)).unwrap();
    bank.send_to("settlements", settlement("s1", "p3", 3.0, 100_000)).unwrap();
    bank.send_to("settlements", settlement("s2", "p3", 3.0, 94_999)).unwrap();
    assert_eq!(
        bank.take_lines("late"),
        [
            r#"{"amount":2.00,"currency":"EUR","payment_id":"p2","ts":90000,"type":"late"}"#,
            r#"{"amount":3.00,"currency":"EUR","payment_id":"p3","settlement_id":"s2","ts":94999,"type":"late"}"#,
        ]
    );
}

#[test]
fn amounts_are_in_the_configured_currency() {
    let mut bank = harness(json!({"currency": "JPY"}));
    let mut yen = payment("p1", 500.0, 0);
    yen["currency"] = "JPY".into();
    bank.send_to("payments", yen).unwrap();
    let refused = |record: Value, bank: &mut Harness<PaymentSettlement>| {
        bank.send_to("payments", record)
            .map_err(|refusal| refusal.to_string())
            .err()
            .unwrap_or_default()
    };
    let sen = refused(payment("p2", 0.5, 0), &mut bank);
    assert!(sen.contains("not an amount in JPY"), "{sen}");
    let mut euro = payment("p3", 5.0, 0);
    euro["currency"] = "EUR".into();
    let euro = refused(euro, &mut bank);
    assert!(euro.contains("an amount in EUR where JPY is needed"), "{euro}");
    bank.end_of_input();
    let overdue = bank.take("overdue");
    assert_eq!((&overdue[0]["amount"], &overdue[0]["currency"]), (&json!(500), &json!("JPY")));
}

#[test]
fn a_time_that_is_too_long_is_refused() {
    let refused = PaymentSettlement::create(Some(r#"{"within": "400d"}"#)).err().unwrap();
    assert!(refused.to_string().contains("`within` is"), "{refused}");
}

/// Runs the shipped example with both inputs read in turn, as the picks say.
fn example(picks: &[bool], batch: usize) -> Vec<String> {
    let lines = |text: &str| -> Vec<Value> {
        text.lines().rev().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect()
    };
    let mut payments =
        lines(include_str!("../../../../examples/payment-settlement/payments.ndjson"));
    let mut settlements =
        lines(include_str!("../../../../examples/payment-settlement/settlements.ndjson"));
    let mut records = Vec::new();
    let mut picks = picks.iter().cycle();
    while !payments.is_empty() || !settlements.is_empty() {
        let turn = *picks.next().unwrap_or(&true);
        let next = |turn: bool, payments: &mut Vec<Value>, settlements: &mut Vec<Value>| {
            if turn {
                payments.pop().map(|record| ("payments", record))
            } else {
                settlements.pop().map(|record| ("settlements", record))
            }
        };
        let record = next(turn, &mut payments, &mut settlements)
            .or_else(|| next(!turn, &mut payments, &mut settlements));
        records.extend(record);
    }
    let mut bank = harness(json!({"within": "30m", "before": "2s"})).batches_of(batch);
    bank.send_mixed(records);
    bank.end_of_input();
    let mut lines: Vec<String> = ["settled", "overdue", "unknown", "late"]
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
            include_str!("../../../../examples/payment-settlement/expected.ndjson").lines().collect();
        prop_assert_eq!(example(&picks, batch), expected);
    }
}
