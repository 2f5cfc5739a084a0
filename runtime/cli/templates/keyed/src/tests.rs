//! Tests without WebAssembly and without a server: the harness plays the host.

use millstream_udf::testing::Harness;
use serde_json::json;

use super::*;

fn spending() -> Harness<Spending> {
    Harness::with_config(json!({"limit_cents": 10_000})).key_from("/account")
}

#[test]
fn payments_add_up_per_account() {
    let mut harness = spending();
    harness.send(json!({"id": "p1", "account": "a", "amount": "19.90"})).unwrap();
    harness.send(json!({"id": "p2", "account": "b", "amount": 5})).unwrap();
    harness.send(json!({"id": "p3", "account": "a", "amount": 0.10})).unwrap();

    let totals = harness.take_lines("total");
    assert_eq!(totals[2], r#"{"account":"a","payment":"p3","payments":2,"total":20.00,"type":"total"}"#);
    harness.with_state("b", |account| {
        assert_eq!(account.spent.get().map(|spent| spent.payments), Some(1));
    });
}

#[test]
fn passing_the_limit_raises_one_alert() {
    let mut harness = spending();
    for (id, amount) in [("p1", 60), ("p2", 41), ("p3", 5)] {
        harness.send(json!({"id": id, "account": "a", "amount": amount})).unwrap();
    }
    let alerts = harness.take_lines("alert");
    assert_eq!(alerts, [r#"{"account":"a","payment":"p2","total":101.00,"type":"alert"}"#]);
}

#[test]
fn a_payment_of_nothing_is_refused() {
    let mut harness = spending();
    let refused = harness.send(json!({"id": "p1", "account": "a", "amount": 0})).unwrap_err();
    assert!(refused.to_string().contains("p1 is not above zero"), "{refused}");
    assert!(harness.take_lines("total").is_empty());
}
