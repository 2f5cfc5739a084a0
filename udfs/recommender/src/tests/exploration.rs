//! Trying out products, learning from clicks, cold start and diversity.

use millstream_udf::testing::Harness;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{action, harness, last, pair};
use crate::Recommender;

const MINUTE_MS: i64 = 60_000;

/// Four products in two categories, all of which are tried out.
fn config(changes: Value) -> Value {
    let listed = |id: &str, category: &str| json!({"product_id": id, "category": category});
    let mut config = json!({
        "top": 3,
        "catalogue": [listed("t1", "toys"), listed("t2", "toys"), listed("g1", "games"), listed("g2", "games")],
        "explore": {"slots": 1, "products": ["t1", "t2", "g1", "g2"]},
    });
    for (key, value) in changes.as_object().expect("changes") {
        config[key] = value.clone();
    }
    config
}

/// The products tried out with the last recommendation.
fn tried(harness: &mut Harness<Recommender>) -> Vec<String> {
    let items = last(harness).into_iter();
    items.filter(|(_, code)| code == "explored").map(|(id, _)| id).collect()
}

#[test]
fn a_customer_of_whom_nothing_is_known_gets_what_is_tried_out() {
    let mut harness = harness(config(json!({})));
    harness.send(action("view", "x", "food", 0)).unwrap();
    let expected = concat!(
        r#"{"customer_id":"c1","items":[{"product_id":"t1","reason":{"code":"explored","category":"food","shown":0,"clicked":0},"score":0.0},"#,
        r#"{"product_id":"t2","reason":{"code":"explored","category":"food","shown":0,"clicked":0},"score":0.0},"#,
        r#"{"product_id":"g1","reason":{"code":"explored","category":"food","shown":0,"clicked":0},"score":0.0}],"#,
        r#""product_id":"x","ts":0,"type":"recommendation"}"#
    );
    assert_eq!(harness.take_lines("recommendation"), [expected]);
    // What was never shown is next; then the first of equals.
    harness.send(action("view", "x", "food", 1)).unwrap();
    assert_eq!(tried(&mut harness), ["g2", "t1", "t2"]);
    // Another category at hand has its own experience.
    harness.send(action("view", "y", "music", 2)).unwrap();
    assert_eq!(tried(&mut harness)[0], "t1");
}

#[test]
fn a_click_counts_once_for_the_category_it_was_shown_with() {
    let mut harness = harness(config(json!({"top": 1})));
    for ts in 0..4 {
        harness.send(action("view", "x", "food", ts)).unwrap();
    }
    // All were shown once with food. The click itself leads to a recommendation with games at hand.
    harness.send(action("click", "g1", "games", 5)).unwrap();
    harness.send(action("click", "g1", "games", 6)).unwrap();
    harness.take("recommendation");
    harness.send(action("view", "x", "food", 7)).unwrap();
    let item = harness.take("recommendation")[0]["items"][0].clone();
    assert_eq!(
        item["reason"],
        json!({"code": "explored", "category": "food", "shown": 1, "clicked": 1})
    );
    assert_eq!(item["product_id"], "g1");
}

#[test]
fn what_is_owned_or_at_hand_is_not_tried_out() {
    let mut harness = harness(config(json!({})));
    harness.send(action("purchase", "t1", "toys", 0)).unwrap();
    harness.send(action("view", "t2", "toys", 1)).unwrap();
    let items = last(&mut harness);
    assert_eq!(items, [pair("g1", "explored"), pair("g2", "explored")]);
}

#[test]
fn kept_places_do_not_go_to_the_known() {
    let mut harness = harness(config(json!({"session_minutes": 1})));
    for (i, product) in ["a", "b", "c", "d"].into_iter().enumerate() {
        harness.send(action("cart", product, "food", i as i64 * 5 * MINUTE_MS)).unwrap();
    }
    let codes: Vec<_> = last(&mut harness).into_iter().map(|(_, code)| code).collect();
    assert_eq!(codes, ["viewed", "viewed", "explored"]);
}

#[test]
fn a_category_takes_no_more_than_its_places() {
    let mut harness = harness(config(json!({"category_max": 1})));
    harness.send(action("view", "x", "toys", 0)).unwrap();
    assert_eq!(last(&mut harness), [pair("t1", "category"), pair("g1", "explored")]);
}

#[test]
fn the_configuration_is_checked() {
    use millstream_udf::Udf;
    let refused = |changes: Value| {
        Recommender::create(Some(&config(changes).to_string()))
            .err()
            .map(|error| error.message().to_owned())
    };
    assert_eq!(refused(json!({})), None);
    for (changes, why) in [
        (
            json!({"explore": {"slots": 4, "products": ["t1"]}}),
            "`explore.slots` is 4; it must be 1 to `top`, which is 3",
        ),
        (
            json!({"explore": {"slots": 1, "products": []}}),
            "`explore.products` has 0 entries; it must have 1 to 64",
        ),
        (
            json!({"explore": {"slots": 1, "products": ["z"]}}),
            "`z` is to be tried out, and is not in the catalogue",
        ),
        (json!({"category_max": 0}), "`category_max` is 0; it must be 1 or more"),
    ] {
        assert_eq!(refused(changes).as_deref(), Some(why));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    /// Never too many items, none twice, none owned, no crowded category; and the same again from the same events in other batches.
    #[test]
    fn recommendations_keep_their_bounds(
        actions in prop::collection::vec((0..4_usize, 0..6_usize, 0..30_i64), 1..80), category_max in 1..4_usize, batch in 2..40_usize,
    ) {
        let products = [("t1", "toys"), ("t2", "toys"), ("g1", "games"), ("g2", "games"), ("x", "food"), ("y", "food")];
        let mut ts = 0;
        let actions: Vec<_> = actions.into_iter().map(|(kind, product, minutes)| {
            ts += minutes * MINUTE_MS;
            let (product, category) = products[product];
            action(["view", "cart", "purchase", "click"][kind], product, category, ts)
        }).collect();
        let run = |batch| {
            let mut harness = harness(config(json!({"category_max": category_max}))).batches_of(batch);
            assert_eq!(harness.send_all(actions.clone()), []);
            harness.take("recommendation")
        };
        let recommended = run(1);
        for item in &recommended {
            let mut ids: Vec<_> = item["items"].as_array().expect("items").iter().map(|item| item["product_id"].as_str().expect("an id")).collect();
            prop_assert!(ids.len() <= 3);
            let toys = ids.iter().filter(|id| id.starts_with('t')).count();
            let games = ids.iter().filter(|id| id.starts_with('g')).count();
            prop_assert!(toys.max(games) <= category_max);
            let owned = |id: &str| actions.iter().any(|action| action["type"] == "purchase" && action["product_id"] == id && action["ts"].as_i64() < item["ts"].as_i64());
            prop_assert!(!ids.iter().any(|id| owned(id)));
            ids.sort_unstable();
            let count = ids.len();
            ids.dedup();
            prop_assert_eq!(ids.len(), count);
        }
        prop_assert_eq!(run(batch), recommended);
    }
}
