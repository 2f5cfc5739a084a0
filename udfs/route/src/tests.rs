//! The module's configuration, results and refusals, natively.

use millstream_udf::Udf;
use millstream_udf::testing::{Harness, Record};
use serde_json::{Value, json};

use super::Route;

/// Runs records with these amounts; gives the amounts that each output got.
fn route(config: Value, amounts: &[i64]) -> Vec<(&'static str, Vec<i64>)> {
    let mut harness = Harness::<Route>::with_config(config);
    let records = amounts.iter().map(|amount| Record::json(json!({"amount": amount})));
    assert_eq!(harness.send_all(records), []);
    let outputs = ["a", "b", "c", "d", "e", "f", "g", "h", "rest"];
    let got = outputs.map(|output| {
        let records = harness.take(output);
        (
            output,
            records.iter().map(|record| record["amount"].as_i64().unwrap()).collect::<Vec<_>>(),
        )
    });
    got.into_iter().filter(|(_, amounts)| !amounts.is_empty()).collect()
}

fn routes() -> Value {
    json!([
        {"when": "amount > 100", "to": "b"},
        {"when": "amount > 10", "to": "a"},
        {"when": "amount == 7", "to": "drop"},
        {"when": "amount > 1000", "to": "h"},
    ])
}

#[test]
fn the_first_route_that_holds_decides() {
    assert_eq!(
        route(json!({"routes": routes()}), &[5, 5000, 50, 7, 101]),
        [("a", vec![50]), ("b", vec![5000, 101]), ("rest", vec![5])]
    );
    assert_eq!(
        route(json!({"routes": routes(), "otherwise": "drop"}), &[5, 50]),
        [("a", vec![50])]
    );
}

#[test]
fn all_routes_that_hold_once_per_output() {
    let mut all = routes();
    all.as_array_mut().unwrap().push(json!({"when": "amount > 500", "to": "b"}));
    assert_eq!(
        route(json!({"routes": all, "all": true, "otherwise": "c"}), &[5, 5000, 7]),
        [("a", vec![5000]), ("b", vec![5000]), ("c", vec![5]), ("h", vec![5000])]
    );
}

#[test]
fn a_record_that_cannot_be_judged_is_refused_with_the_route() {
    let mut harness = Harness::<Route>::with_config(json!({"routes": routes()}));
    let refused = harness.send(json!({"sum": 1})).unwrap_err().to_string();
    assert!(refused.ends_with("`routes[0].when`: the record has no field `amount`"), "{refused}");
}

#[test]
fn a_configuration_that_does_not_fit_is_refused() {
    for (config, message) in [
        (json!({}), "missing field `routes`"),
        (json!({"routes": []}), "there are 0 routes"),
        (
            json!({"routes": [{"when": "true", "to": "i"}]}),
            "unknown variant `i`, expected one of `a`",
        ),
        (
            json!({"routes": [{"when": "true", "to": "a"}, {"when": "x ==", "to": "a"}]}),
            "`routes[1].when`, line 1",
        ),
    ] {
        let refused = Route::create(Some(&config.to_string())).err().expect("refused").to_string();
        assert!(refused.contains(message), "{config}: {refused}");
    }
}
