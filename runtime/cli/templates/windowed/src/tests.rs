//! Tests without WebAssembly and without a server: the harness plays the host.

use millstream_udf::testing::Harness;
use serde_json::json;

use super::*;

fn sales() -> Harness<Sales> {
    let config = json!({"window": {"tumbling": "1m", "allowed_lateness": "10s"}});
    Harness::with_config(config).key_from("/merchant").event_time_from("/ts").with_bound(0)
}

fn send(harness: &mut Harness<Sales>, id: &str, amount: &str, ts: i64) {
    harness.send(json!({"id": id, "merchant": "m", "amount": amount, "ts": ts})).unwrap();
}

#[test]
fn a_window_is_emitted_at_its_end() {
    let mut harness = sales();
    send(&mut harness, "s1", "10.00", 1_000);
    send(&mut harness, "s2", "2.50", 59_999);
    send(&mut harness, "s3", "1.00", 60_000);
    assert_eq!(
        harness.take_lines("turnover"),
        [r#"{"end":60000,"merchant":"m","sales":2,"start":0,"total":12.50}"#]
    );
    harness.end_of_input();
    assert_eq!(
        harness.take_lines("turnover"),
        [r#"{"end":120000,"merchant":"m","sales":1,"start":60000,"total":1.00}"#]
    );
}

#[test]
fn a_late_sale_corrects_its_window_while_that_is_kept() {
    let mut harness = sales();
    send(&mut harness, "s1", "10.00", 1_000);
    harness.advance_watermark(65_000);
    harness.take_lines("turnover");
    send(&mut harness, "s2", "1.00", 2_000);
    assert_eq!(
        harness.take_lines("turnover"),
        [r#"{"end":60000,"merchant":"m","sales":2,"start":0,"total":11.00}"#]
    );
    harness.advance_watermark(70_000);
    send(&mut harness, "s3", "1.00", 3_000);
    assert_eq!(harness.take_lines("late"), [r#"{"merchant":"m","sale":"s3"}"#]);
}
