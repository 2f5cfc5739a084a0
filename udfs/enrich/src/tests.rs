//! The module's configuration, results and refusals, natively.

use millstream_udf::Udf;
use millstream_udf::testing::{Harness, Record};
use serde_json::{Value, json};

use super::Enrich;

fn lines(harness: &mut Harness<Enrich>, output: &str) -> Vec<String> {
    harness.take_raw(output).into_iter().map(|line| String::from_utf8(line).unwrap()).collect()
}

fn countries() -> Value {
    json!({
        "table": {"DE": {"region": "EU", "risk": 1}, "US": {"region": "NA", "risk": 2}, "7": "seven"},
        "by": "country",
        "fields": {"region": "row.region", "exposure": "amount * row.risk"},
    })
}

#[test]
fn a_row_of_the_table_adds_fields() {
    let mut harness = Harness::<Enrich>::with_config(countries());
    harness.send(Record::raw(r#"{"id":"t1","country":"US","amount":2.50,"region":"?"}"#)).unwrap();
    assert_eq!(
        lines(&mut harness, "output"),
        [r#"{"amount":2.50,"country":"US","exposure":5.0,"id":"t1","region":"NA"}"#]
    );
    let refused = harness.send(json!({"country": "FR", "amount": 1})).unwrap_err().to_string();
    assert!(refused.ends_with("`table` has no row `FR`"), "{refused}");
    let refused = harness.send(json!({"country": 7, "amount": 1})).unwrap_err().to_string();
    assert!(refused.contains("`fields.exposure`: "), "{refused}");
    let refused = harness.send(json!({"country": null, "amount": 1})).unwrap_err().to_string();
    assert!(refused.ends_with("a row's key is text, an int or a bool"), "{refused}");
}

#[test]
fn records_without_a_row_pass_or_are_diverted() {
    let record = r#"{ "country":"FR" }"#;
    for (unmatched, output) in [("pass", "output"), ("divert", "unmatched")] {
        let mut config = countries();
        config["unmatched"] = json!(unmatched);
        let mut harness = Harness::<Enrich>::with_config(config);
        harness.send(Record::raw(record)).unwrap();
        assert_eq!(lines(&mut harness, output), [record]);
    }
}

#[test]
fn the_latest_reference_record_of_the_key_adds_fields() {
    let config = json!({
        "reference": {"when": "meta.subject.startsWith('customers.')", "remove": "record.?gone.orValue(false)", "keep": ["tier"]},
        "fields": {"tier": "row.tier", "vip": "row.tier == 'gold' && amount > 10"},
        "unmatched": "divert",
    });
    let mut harness = Harness::<Enrich>::with_config(config).key_from("/customer");
    let customer = |value: Value| Record::json(value).subject("customers.eu");
    let order = |amount: i64| {
        Record::json(json!({"customer": "c1", "amount": amount})).subject("orders.eu")
    };
    harness.send(order(1)).unwrap();
    harness.send(customer(json!({"customer": "c1", "tier": "silver", "name": "n"}))).unwrap();
    harness.send(customer(json!({"customer": "c2", "tier": "none"}))).unwrap();
    harness.send(order(20)).unwrap();
    harness.send(customer(json!({"customer": "c1", "tier": "gold"}))).unwrap();
    harness.send(order(30)).unwrap();
    harness.with_state("c1", |key| assert_eq!(key.row.get().unwrap(), r#"{"tier":"gold"}"#));
    harness.send(customer(json!({"customer": "c1", "gone": true}))).unwrap();
    harness.send(order(40)).unwrap();
    assert_eq!(
        lines(&mut harness, "output"),
        [
            r#"{"amount":20,"customer":"c1","tier":"silver","vip":false}"#,
            r#"{"amount":30,"customer":"c1","tier":"gold","vip":true}"#,
        ]
    );
    assert_eq!(lines(&mut harness, "unmatched").len(), 2);
}

#[test]
fn a_large_reference_record_is_refused() {
    let config = json!({"reference": {"when": "true"}, "fields": {"a": "row.a"}});
    let mut harness = Harness::<Enrich>::with_config(config);
    let refused = harness.send(json!({"a": "x".repeat(70_000)})).unwrap_err().to_string();
    assert!(refused.contains("a reference record of 70008 bytes; 65536 are kept"), "{refused}");
}

#[test]
fn a_configuration_that_does_not_fit_is_refused() {
    let fields = json!({"a": "row.a"});
    for (config, message) in [
        (json!({"fields": fields}), "either `table` and `by`, or `reference`"),
        (json!({"table": {}, "fields": fields}), "`by` is missing"),
        (
            json!({"reference": {"when": "true"}, "by": "a", "fields": fields}),
            "`by` goes with `table`",
        ),
        (json!({"table": {}, "by": "a", "fields": {}}), "`fields` has 0 fields"),
        (json!({"table": {}, "by": "a b", "fields": fields}), "`by`, line 1, column 3"),
        (json!({"reference": {"when": "("}, "fields": fields}), "`reference.when`, line 1"),
        (
            json!({"table": {}, "by": "a", "fields": fields, "unmatched": "skip"}),
            "unknown variant `skip`",
        ),
    ] {
        let refused = Enrich::create(Some(&config.to_string())).err().expect("refused").to_string();
        assert!(refused.contains(message), "{config}: {refused}");
    }
}
