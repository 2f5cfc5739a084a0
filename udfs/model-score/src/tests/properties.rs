//! What holds for all models.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::score;
use crate::config::Points;
use crate::explain::Explained;
use crate::trees::{Ensemble, Node, Tree, WrittenNode};

const FEATURES: [&str; 4] = ["a", "b", "c", "d"];

/// A tree of up to this depth; nodes are numbered as they are made.
fn tree(depth: u32) -> impl Strategy<Value = Value> {
    let leaf = (-100..100_i32, 1..50_u32)
        .prop_map(|(value, cover)| json!({"leaf": value, "cover": cover}));
    leaf.prop_recursive(depth, 64, 2, |inner| {
        (0..FEATURES.len(), -3..4_i32, inner.clone(), inner, any::<bool>()).prop_map(|(feature, bound, yes, no, left)| {
            let cover = yes["cover"].as_u64().unwrap_or(0) + no["cover"].as_u64().unwrap_or(0);
            json!({"split": FEATURES[feature], "split_condition": bound, "cover": cover, "left": left, "children": [yes, no]})
        })
    })
    .prop_map(|mut root| {
        number(&mut root, &mut 0);
        root
    })
}

fn number(node: &mut Value, next: &mut u32) {
    node["nodeid"] = json!(*next);
    *next += 1;
    if node.get("children").is_some() {
        number(&mut node["children"][0], next);
        number(&mut node["children"][1], next);
        node["yes"] = node["children"][0]["nodeid"].clone();
        node["no"] = node["children"][1]["nodeid"].clone();
        node["missing"] =
            if node["left"] == true { node["yes"].clone() } else { node["no"].clone() };
    }
}

fn record() -> impl Strategy<Value = BTreeMap<String, Option<f64>>> {
    let value = prop::option::of((-4..5_i32).prop_map(f64::from));
    prop::collection::vec(value, 4)
        .prop_map(|values| FEATURES.map(str::to_owned).into_iter().zip(values).collect())
}

/// What a tree gives when only the features of a subset are known: those it does not know go both ways, by cover.
fn of_subset(tree: &Value, record: &BTreeMap<String, Option<f64>>, known: &[&str]) -> f64 {
    if let Some(leaf) = tree["leaf"].as_f64() {
        return leaf;
    }
    let [yes, no] = [&tree["children"][0], &tree["children"][1]];
    let feature = tree["split"].as_str().expect("a feature");
    if known.contains(&feature) {
        let goes_left = match record[feature] {
            Some(value) => value < tree["split_condition"].as_f64().expect("a bound"),
            None => tree["left"] == true,
        };
        return of_subset(if goes_left { yes } else { no }, record, known);
    }
    let cover = |node: &Value| node["cover"].as_f64().expect("a cover");
    let sum = cover(yes) * of_subset(yes, record, known) + cover(no) * of_subset(no, record, known);
    sum / (cover(yes) + cover(no))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// The definition of the Shapley value, over all subsets.
    #[test]
    fn shares_are_shapley_values(tree in tree(5), record in record()) {
        let written: WrittenNode = serde_json::from_value(tree.clone()).expect("a tree");
        let ensemble = Ensemble::new(0.0, vec![written]).expect("a tree");
        let explained = ensemble.explain(&record);
        prop_assert!((explained.expected - of_subset(&tree, &record, &[])).abs() < 1e-9);
        let weight = [1.0 / 4.0, 1.0 / 12.0, 1.0 / 12.0, 1.0 / 4.0];
        for (feature, share) in &explained.shares {
            let others: Vec<&str> = FEATURES.into_iter().filter(|other| other != feature).collect();
            let mut value = 0.0;
            for mask in 0..8_u32 {
                let mut known: Vec<&str> = (0..3).filter(|i| mask >> i & 1 == 1).map(|i| others[i]).collect();
                let without = of_subset(&tree, &record, &known);
                let size = known.len();
                known.push(feature);
                value += weight[size] * (of_subset(&tree, &record, &known) - without);
            }
            prop_assert!((share - value).abs() < 1e-6, "{feature}: {share} {value}");
        }
    }

    #[test]
    fn reasons_add_up_exactly(trees in prop::collection::vec(tree(4), 1..5), record in record(), reasons in 0..5_usize) {
        let config = json!({"model": {"xgboost": {"base_score": 0.3, "trees": trees}}, "reasons": reasons});
        let item = score(config, json!(record));
        let millionths = |value: &Value| finance::exact::parse(&format!("{:.6}", value.as_f64().expect("a number")), 6).expect("millionths");
        let effects: i64 = item["reasons"].as_array().expect("reasons").iter().map(|reason| millionths(&reason["effect"])).sum();
        prop_assert_eq!(millionths(&item["expected"]) + effects, millionths(&item["sum"]));
        let result = item["result"].as_f64().expect("a number");
        prop_assert!((0.0..=1.0).contains(&result));
    }

    #[test]
    fn rounding_moves_no_share_by_more_than_what_floats_lose(shares in prop::collection::vec(-1e3..1e3_f64, 1..20), expected in -1e3..1e3_f64) {
        let sum = shares.iter().fold(expected, |sum, share| sum + share);
        let shares: Vec<_> = shares.iter().map(|share| ("f", *share)).collect();
        let rounded = Explained { sum, expected, shares: shares.clone() }.rounded().expect("numbers");
        prop_assert_eq!(rounded.shares.iter().map(|(_, share)| share).sum::<i64>(), rounded.sum - rounded.expected);
        for ((_, exact), (_, share)) in shares.iter().zip(&rounded.shares) {
            prop_assert!((*share as f64 - exact * 1e6).abs() <= 1.001);
        }
    }

    #[test]
    fn points_fall_as_risk_grows(a in -50.0..50.0_f64, b in -50.0..50.0_f64) {
        let points = Points { at: 600, odds: 50.0, double: 20.0, min: 300, max: 850 };
        let (safe, risky) = (points.of(a.min(b)), points.of(a.max(b)));
        prop_assert!(300 <= risky && risky <= safe && safe <= 850);
    }
}

#[test]
fn a_tree_of_one_leaf_has_no_shares() {
    let tree = Tree { nodes: vec![Node::Leaf(1.5)], cover: vec![3.0] };
    let mut shares = [];
    crate::shapley::add_shares(&tree, &[], 0, crate::shapley::Path::root(), &mut shares);
    let written: WrittenNode =
        serde_json::from_value(json!({"nodeid": 0, "leaf": 1.5, "cover": 3})).expect("a tree");
    let explained = Ensemble::new(0.5, vec![written]).expect("a tree");
    let explained = explained.explain(&BTreeMap::new());
    assert_eq!((explained.sum, explained.expected, explained.shares.len()), (2.0, 2.0, 0));
}
