//! The module's configuration, results and refusals, natively.

use millstream_udf::Udf;
use millstream_udf::testing::{Harness, Record};
use serde_json::json;

use super::Filter;

#[test]
fn passes_what_fits_byte_for_byte_and_the_rest_elsewhere() {
    let mut harness =
        Harness::<Filter>::with_config(json!({"where": "amount > 100 && country in ['DE', 'FR']"}));
    let records = [
        r#"{ "country":"DE", "amount": 100.010 }"#,
        r#"{"amount":100,"country":"DE"}"#,
        r#"{"amount":5e2,"country":"FR","more":[1]}"#,
        r#"{"amount":1000,"country":"US"}"#,
    ];
    assert_eq!(harness.send_all(records.map(Record::raw)), []);
    assert_eq!(harness.take_raw("output"), [records[0], records[2]].map(|line| line.as_bytes()));
    assert_eq!(harness.take_raw("rest"), [records[1], records[3]].map(|line| line.as_bytes()));
}

#[test]
fn a_record_without_the_field_is_refused() {
    let mut harness = Harness::<Filter>::with_config(json!({"where": "amount > 100"}));
    for (record, message) in [
        (Record::raw(r#"{"sum":1}"#), "`where`: the record has no field `amount`"),
        (Record::raw("no json"), "the record is not a JSON object"),
        (Record::raw(r#"{"amount":"101"}"#), "`where`: `>` does not take (string, int)"),
    ] {
        let refused = harness.send(record).unwrap_err().to_string();
        assert!(refused.contains(message), "{refused}");
    }
}

#[test]
fn a_condition_is_a_bool() {
    let mut harness = Harness::<Filter>::with_config(json!({"where": "amount"}));
    let refused = harness.send(json!({"amount": 1})).unwrap_err().to_string();
    assert!(refused.ends_with("`where`: a condition is a bool, and it is a int"), "{refused}");
}

#[test]
fn a_configuration_that_does_not_fit_is_refused() {
    for (config, message) in [
        (json!({}), "missing field `where`"),
        (json!({"where": "a", "when": "b"}), "unknown field `when`"),
        (json!({"where": "amount >> 1"}), "`where`, line 1, column 9"),
        (
            json!({"where": "amount > 1 && lenght(x) > 2"}),
            "`where`, line 1, column 15: there is no function `lenght`",
        ),
    ] {
        let refused = Filter::create(Some(&config.to_string())).err().expect("refused").to_string();
        assert!(refused.contains(message), "{config}: {refused}");
    }
}
