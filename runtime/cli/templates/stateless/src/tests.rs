//! Tests without WebAssembly and without a server: the harness plays the host.

use millstream_udf::testing::Harness;
use serde_json::json;

use super::*;

fn entries() -> Harness<Entries> {
    Harness::with_config(json!({"min_cents": 500, "fee_basis_points": 25})).key_from("/account")
}

#[test]
fn a_payment_becomes_an_entry_with_its_fee() {
    let mut harness = entries();
    harness.send(json!({"id": "p1", "account": "a", "amount": "199.99", "reference": "rent"})).unwrap();
    assert_eq!(
        harness.take_lines("output"),
        [r#"{"account":"a","amount":199.99,"fee":0.49,"payment":"p1","reference":"rent"}"#]
    );
}

#[test]
fn small_payments_make_no_entry() {
    let mut harness = entries();
    harness.send(json!({"id": "p1", "account": "a", "amount": "4.99"})).unwrap();
    harness.send(json!({"id": "p2", "account": "a", "amount": "5.00"})).unwrap();
    assert_eq!(
        harness.take_lines("output"),
        [r#"{"account":"a","amount":5.00,"fee":0.01,"payment":"p2"}"#]
    );
}

#[test]
fn a_payment_below_zero_is_refused() {
    let mut harness = entries();
    let refused = harness.send(json!({"id": "p1", "account": "a", "amount": -1})).unwrap_err();
    assert!(refused.to_string().contains("p1 is below zero"), "{refused}");
}
