//! Published examples, reproduced.

use serde_json::{Value, json};

use super::score;

fn split(id: u32, feature: &str, cover: u32, no: Value, yes: Value) -> Value {
    // 0 is no, 1 is yes: below a half is the branch that XGBoost calls `yes`.
    let (no_id, yes_id) = (no["nodeid"].clone(), yes["nodeid"].clone());
    json!({"nodeid": id, "split": feature, "split_condition": 0.5, "yes": no_id, "no": yes_id, "missing": no_id, "cover": cover, "children": [no, yes]})
}

fn leaf(id: u32, value: i32, cover: u32) -> Value {
    json!({"nodeid": id, "leaf": value, "cover": cover})
}

fn effects(tree: Value, features: Value) -> (Value, Vec<String>) {
    let config =
        json!({"model": {"xgboost": {"base_score": 0, "trees": [tree]}}, "link": "identity"});
    let score = score(config, features);
    let reasons = score["reasons"].as_array().cloned().unwrap_or_default();
    let reasons = reasons
        .iter()
        .map(|reason| format!("{} {}", reason["code"].as_str().unwrap_or(""), reason["effect"]));
    (score["expected"].clone(), reasons.collect())
}

/// S. M. Lundberg, G. G. Erion, S.-I. Lee, Consistent Individualized Feature Attribution for Tree Ensembles, figure 1: of four equal groups model A gives 80
/// to those with fever and cough; model B gives 10 more to those who cough. Tree SHAP explains 80 by 30 and 30, and 90 by fever 30 and cough 35, where
/// other methods give cough less in B than in A.
#[test]
fn lundberg_fever_and_cough() {
    let sick = json!({"fever": 1, "cough": 1});
    let a =
        split(0, "fever", 4, leaf(1, 0, 2), split(2, "cough", 2, leaf(3, 0, 1), leaf(4, 80, 1)));
    assert_eq!(
        effects(a, sick.clone()),
        (json!(20.0), vec!["cough 30.0".into(), "fever 30.0".into()])
    );
    let without_fever = split(1, "fever", 2, leaf(3, 10, 1), leaf(4, 90, 1));
    let b = split(0, "cough", 4, leaf(2, 0, 2), without_fever);
    assert_eq!(effects(b, sick), (json!(25.0), vec!["cough 35.0".into(), "fever 30.0".into()]));
}

/// The example of logistic regression in Wikipedia, "Logistic regression": probability of passing an exam by hours of study.
#[test]
fn wikipedia_hours_of_study() {
    let config =
        || json!({"model": {"linear": {"intercept": -4.0777, "coefficients": {"hours": 1.5046}}}});
    let probability = |hours: f64| {
        format!("{:.2}", score(config(), json!({"hours": hours}))["result"].as_f64().unwrap_or(0.0))
    };
    assert_eq!(
        [1.0, 2.0, 3.0, 4.0, 5.0].map(probability),
        ["0.07", "0.26", "0.61", "0.87", "0.97"]
    );
}

/// N. Siddiqi, Credit Risk Scorecards (2006), chapter 6, scaling: 600 points at odds of 50 to 1, 20 points double the odds, so the factor is 28.8539 and the offset
/// 487.123; odds of 100 to 1 are 620 points.
#[test]
fn siddiqi_scaling() {
    let points = |odds: f64| {
        let config = json!({
            "model": {"linear": {"intercept": 0, "coefficients": {"log_odds_of_bad": 1}}},
            "points": {"at": 600, "odds": 50, "double": 20, "min": 0, "max": 1000},
        });
        score(config, json!({"log_odds_of_bad": -odds.ln()}))["points"].as_i64()
    };
    assert_eq!([50.0, 100.0, 25.0, 1.0].map(points), [Some(600), Some(620), Some(580), Some(487)]);
}
