//! What XGBoost 3.2.0 gives for the model in `xgboost.json`: six trees of depth 3 on five features, trained on random records of which 8 % of the values
//! are missing. `vectors.json` has records and XGBoost's `predict` with `output_margin`, plain, and with `pred_contribs`.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::score;
use crate::config::{Model, Written};

#[derive(Deserialize)]
struct Vectors {
    names: Vec<String>,
    rows: Vec<Vec<Option<f64>>>,
    margin: Vec<f32>,
    p: Vec<f64>,
    contribs: Vec<Vec<f64>>,
}

fn config() -> Value {
    let trees: Value = serde_json::from_str(include_str!("xgboost.json")).expect("trees");
    json!({"model": {"xgboost": {"base_score": 0.2, "trees": trees}}, "reasons": 9})
}

#[test]
fn xgboost_agrees() {
    let vectors: Vectors = serde_json::from_str(include_str!("vectors.json")).expect("vectors");
    let written: Written = serde_json::from_value(config()).expect("a configuration");
    let Model::Trees(ensemble) = written.checked().expect("it makes sense").model else {
        panic!("trees")
    };
    for (i, row) in vectors.rows.iter().enumerate() {
        let features: BTreeMap<_, _> =
            vectors.names.iter().cloned().zip(row.iter().copied()).collect();
        let explained = ensemble.explain(&features);
        let margin = explained.sum as f32;
        assert!(
            (margin - vectors.margin[i]).abs() <= f32::EPSILON * 4.0,
            "{margin} {}",
            vectors.margin[i]
        );
        let item = score(config(), json!(features));
        let result = item["result"].as_f64().expect("a number");
        assert!((result - vectors.p[i]).abs() < 1e-6, "{result} {}", vectors.p[i]);
        // The last of XGBoost's contributions is the expectation.
        let (expected, contribs) = vectors.contribs[i].split_last().expect("contributions");
        assert!((explained.expected - expected).abs() < 1e-5);
        for (feature, share) in &explained.shares {
            let place = vectors.names.iter().position(|name| name == feature).expect("a feature");
            assert!(
                (share - contribs[place]).abs() < 1e-5,
                "{feature}: {share} {}",
                contribs[place]
            );
        }
    }
    assert_eq!(vectors.rows.len(), 24);
}
