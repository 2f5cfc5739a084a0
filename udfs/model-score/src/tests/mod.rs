//! The rules through the harness, examples from the literature, XGBoost's own results, and what holds for all models.

mod literature;
mod properties;
mod xgboost;

use millstream_udf::Udf;
use millstream_udf::testing::{Harness, Refusal};
use serde_json::{Value, json};

use crate::ModelScore;

fn score(config: Value, features: Value) -> Value {
    let mut harness = Harness::<ModelScore>::with_config(config);
    harness.send(json!({"id": "r", "features": features})).unwrap();
    harness.take("output").remove(0)
}

#[test]
fn an_item_says_everything() {
    let config = json!({
        "model": {"linear": {"intercept": -1, "coefficients": {"debt": 2, "age": -0.5, "late": 1}, "means": {"age": 4}}},
        "codes": {"debt": "R01"},
        "reasons": 1,
        "decisions": [{"below": "0.2", "decision": "accept"}, {"below": 0.5, "decision": "refer"}, {"decision": "decline"}],
        "points": {"at": 600, "odds": 50, "double": 20, "min": 300, "max": 850},
    });
    let mut harness = Harness::<ModelScore>::with_config(config);
    harness
        .send(json!({"id": "r", "features": {"debt": 1.5, "age": 6, "late": null, "shoe": 43}}))
        .unwrap();
    let expected = concat!(
        r#"{"decision":"refer","expected":-3.000000,"id":"r","points":516,"reasons":["#,
        r#"{"code":"R01","feature":"debt","value":1.5,"effect":3.000000},{"code":"others","effect":-1.000000}],"#,
        r#""result":0.268941,"sum":-1.000000,"type":"score"}"#
    );
    assert_eq!(harness.take_lines("output"), [expected]);
}

#[test]
fn decisions_are_made_by_the_result_that_is_shown() {
    let decision = |x: f64| {
        let config = json!({
            "model": {"linear": {"intercept": 0, "coefficients": {"x": 1}}}, "link": "identity",
            "decisions": [{"below": "0.000001", "decision": "low"}, {"decision": "high"}],
        });
        score(config, json!({"x": x}))["decision"].as_str().map(str::to_owned)
    };
    assert_eq!(decision(0.000_000_4).as_deref(), Some("low"));
    assert_eq!(decision(0.000_000_6).as_deref(), Some("high"));
}

#[test]
fn points_stay_in_their_range() {
    let points = |x: f64| {
        let config = json!({
            "model": {"linear": {"intercept": 0, "coefficients": {"x": 1}}},
            "points": {"at": 600, "odds": 50, "double": 20, "min": 300, "max": 850},
        });
        score(config, json!({"x": x}))["points"].as_i64()
    };
    assert_eq!([points(-1e9), points(1e9)], [Some(850), Some(300)]);
}

#[test]
fn records_that_do_not_fit_are_refused() {
    let config = json!({"model": {"linear": {"intercept": 0, "coefficients": {"x": 1e300}}}});
    let mut harness = Harness::<ModelScore>::with_config(config);
    let refused = harness.send(json!({"id": "r", "features": {"x": 1e300}}));
    assert_eq!(refused, Err(Refusal::Failed("the sum of inf cannot be told in millionths".into())));
    assert!(harness.send(json!({"id": "r", "features": {"x": "much"}})).is_err());
    assert!(harness.send(json!({"id": "r"})).is_err());
}

#[test]
fn the_configuration_is_checked() {
    let refuse = |config: Value| {
        ModelScore::create(Some(&config.to_string()))
            .err()
            .map(|e| e.to_string())
            .unwrap_or_default()
    };
    let tree =
        |tree: Value| refuse(json!({"model": {"xgboost": {"base_score": 0.5, "trees": [tree]}}}));
    let linear = json!({"linear": {"intercept": 0, "coefficients": {"x": 1}}});
    assert_eq!(tree(json!({"nodeid": 0, "leaf": 1, "cover": 2})), "");
    for (message, part) in [
        (refuse(json!({"model": {}})), "`model` needs either `xgboost` or `linear`"),
        (
            refuse(json!({"model": {"xgboost": {"base_score": 0.5, "trees": []}}})),
            "`trees` is empty",
        ),
        (
            refuse(json!({"model": {"xgboost": {"base_score": 1, "trees": []}}})),
            "`base_score` is 1; it must be above 0 and below 1",
        ),
        (
            tree(json!({"nodeid": 0, "leaf": 1})),
            "tree 0: node 0 has no `cover`: export with `with_stats=True`",
        ),
        (
            tree(json!({"nodeid": 0, "cover": 1, "split": "x"})),
            "tree 0: node 0 is neither a leaf nor a numeric split",
        ),
        (
            tree(
                json!({"nodeid": 0, "cover": 1, "split": "x", "split_condition": 1, "yes": 1, "no": 2, "missing": 1}),
            ),
            "tree 0: node 0 has no child 1",
        ),
        (
            tree(
                json!({"nodeid": 0, "cover": 1, "split": "x", "split_condition": 1, "yes": 1, "no": 2, "missing": 3}),
            ),
            "`missing` is none of its children",
        ),
        (
            refuse(json!({"model": linear, "decisions": [{"below": 1, "decision": "a"}]})),
            "nothing is said about results from 1.000000 on, behind `a`",
        ),
        (
            refuse(json!({"model": linear, "decisions": [{"decision": "a"}, {"decision": "b"}]})),
            "only the last may have no `below`",
        ),
        (
            refuse(
                json!({"model": linear, "link": "identity", "points": {"at": 1, "odds": 1, "double": 1, "min": 0, "max": 1}}),
            ),
            "`link` must be `logistic`",
        ),
        (
            refuse(
                json!({"model": {"linear": {"intercept": 0, "coefficients": {}, "means": {"x": 1}}}}),
            ),
            "`means` has `x`, which has no coefficient",
        ),
    ] {
        assert!(message.contains(part), "{message}");
    }
}
