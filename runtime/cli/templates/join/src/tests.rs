//! Tests without WebAssembly and without a server: the harness plays the host.

use millstream_udf::testing::Harness;
use serde_json::json;

use super::*;

fn paying() -> Harness<Paying> {
    Harness::with_config(json!({"within": "1h"})).key_from("/order").event_time_from("/ts")
}

#[test]
fn an_order_meets_its_payment_whichever_comes_first() {
    let order = json!({"order": "o1", "customer": "alice", "amount": "20.00", "ts": 1_000});
    let payment = json!({"order": "o1", "payment": "p1", "amount": "15.00", "ts": 4_000});
    for first in ["orders", "payments"] {
        let mut harness = paying();
        if first == "orders" {
            harness.send_to("orders", order.clone()).unwrap();
            harness.send_to("payments", payment.clone()).unwrap();
        } else {
            harness.send_to("payments", payment.clone()).unwrap();
            harness.send_to("orders", order.clone()).unwrap();
        }
        harness.end_of_input();
        assert_eq!(
            harness.take_lines("paid"),
            [r#"{"after_ms":3000,"customer":"alice","open":5.00,"order":"o1","payment":"p1"}"#],
            "{first} first"
        );
        assert!(harness.take_lines("unpaid").is_empty());
    }
}

#[test]
fn an_order_that_is_not_paid_in_time_is_reported() {
    let mut harness = paying();
    let order = json!({"order": "o1", "customer": "alice", "amount": "20.00", "ts": 0});
    harness.send_to("orders", order).unwrap();
    let payment = json!({"order": "o1", "payment": "p1", "amount": "20.00", "ts": 3_600_001});
    harness.send_to("payments", payment).unwrap();
    harness.end_of_input();
    assert_eq!(
        harness.take_lines("unpaid"),
        [r#"{"amount":20.00,"customer":"alice","order":"o1"}"#]
    );
    assert!(harness.take_lines("paid").is_empty());
}
