//! The rules through the harness.

mod exploration;
mod learning;

use millstream_udf::testing::{Harness, Refusal};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::Recommender;
use crate::config::HOUR_MS;
use crate::customer::{CATEGORIES_MAX, PRODUCTS_MAX, SESSION_MAX};

const DAY_MS: i64 = 24 * HOUR_MS;

fn harness(config: Value) -> Harness<Recommender> {
    Harness::with_config(config).key_from("/customer_id").event_time_from("/ts")
}

fn action(kind: &str, product: &str, category: &str, ts: i64) -> Value {
    json!({"customer_id": "c1", "type": kind, "product_id": product, "category": category, "ts": ts})
}

/// Product and reason of what the last action led to.
fn last(harness: &mut Harness<Recommender>) -> Vec<(String, String)> {
    let last =
        harness.take("recommendation").pop().map(|item| item["items"].clone()).unwrap_or(json!([]));
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    last.as_array()
        .unwrap()
        .iter()
        .map(|item| (text(&item["product_id"]), text(&item["reason"]["code"])))
        .collect()
}

fn pair(product: &str, reason: &str) -> (String, String) {
    (product.into(), reason.into())
}

#[test]
fn an_item_says_everything() {
    let mut harness = harness(json!({}));
    harness.send(action("view", "lamp", "home", 0)).unwrap();
    assert_eq!(harness.take_lines("recommendation"), [""; 0]);
    harness.send(action("view", "desk", "home", 1_000)).unwrap();
    let expected = concat!(
        r#"{"customer_id":"c1","items":[{"product_id":"lamp","reason":{"code":"together","with":"desk"},"score":2.999}],"#,
        r#""product_id":"desk","ts":1000,"type":"recommendation"}"#
    );
    assert_eq!(harness.take_lines("recommendation"), [expected]);
}

#[test]
fn interest_fades_and_stronger_signs_count_more() {
    let mut harness = harness(json!({"session_minutes": 1}));
    harness.send(action("cart", "old", "x", 0)).unwrap();
    harness.send(action("view", "new", "x", 10 * DAY_MS)).unwrap();
    harness.send(action("view", "other", "x", 10 * DAY_MS + HOUR_MS)).unwrap();
    // Ten days are more than three half-lives: 3 points are down to 0.3.
    assert_eq!(last(&mut harness), [pair("new", "viewed"), pair("old", "viewed")]);
    harness.send(action("cart", "old", "x", 10 * DAY_MS + 2 * HOUR_MS)).unwrap();
    harness.send(action("view", "other", "x", 10 * DAY_MS + 3 * HOUR_MS)).unwrap();
    assert_eq!(last(&mut harness)[0], pair("old", "viewed"));
}

#[test]
fn what_is_owned_is_never_recommended() {
    let mut harness = harness(
        json!({"catalogue": [{"product_id": "desk", "category": "home"}, {"product_id": "rug", "category": "home"}]}),
    );
    harness.send(action("view", "desk", "home", 0)).unwrap();
    harness.send(action("purchase", "desk", "home", 1)).unwrap();
    assert_eq!(last(&mut harness), [pair("rug", "category")]);
    harness.send(action("view", "lamp", "home", 2)).unwrap();
    assert_eq!(last(&mut harness), [pair("rug", "category")]);
    harness.send(action("view", "desk", "home", 3)).unwrap();
    assert_eq!(last(&mut harness), [pair("rug", "category"), pair("lamp", "together")]);
}

#[test]
fn products_seen_together_come_back_with_each_other() {
    let mut harness = harness(json!({"top": 1}));
    for (day, product) in [(0, "tent"), (0, "stove"), (40, "book"), (80, "tent")] {
        harness.send(action("view", product, "any", day * DAY_MS)).unwrap();
    }
    assert_eq!(last(&mut harness), [pair("stove", "together")]);
    harness.send(action("view", "book", "any", 120 * DAY_MS)).unwrap();
    assert_eq!(last(&mut harness), []);
}

#[test]
fn the_catalogue_serves_favourite_categories() {
    let mut harness = harness(json!({"catalogue": [
        {"product_id": "p1", "category": "books"}, {"product_id": "p2", "category": "music"}, {"product_id": "p3", "category": "cars"}
    ]}));
    harness.send(action("view", "b", "books", 0)).unwrap();
    harness.send(action("cart", "m", "music", DAY_MS)).unwrap();
    let items = last(&mut harness);
    assert_eq!(items, [pair("p2", "category"), pair("p1", "category"), pair("b", "viewed")]);
}

#[test]
fn actions_that_make_no_sense_are_refused() {
    let mut harness = harness(json!({}));
    assert_eq!(
        harness.send(action("steal", "p", "c", 0)),
        Err(Refusal::Failed("`steal` is no type of action".into()))
    );
    let long = "x".repeat(129);
    let why = "`product_id` has 129 bytes; it must have 1 to 128";
    assert_eq!(harness.send(action("view", &long, "c", 0)), Err(Refusal::Failed(why.into())));
    assert!(harness.send(action("view", "p", "", 0)).is_err());
}

#[test]
fn the_configuration_is_checked() {
    use millstream_udf::Udf;
    let refuse = |config: Value| {
        Recommender::create(Some(&config.to_string()))
            .err()
            .map(|e| e.to_string())
            .unwrap_or_default()
    };
    assert_eq!(refuse(json!({})), "");
    assert_eq!(refuse(json!({"top": 0})), "`top` is 0; it must be 1 to 20");
    assert_eq!(refuse(json!({"view": -1})), "`view` is -1; it must be 0 to 1000");
    assert!(
        refuse(json!({"catalogue": [{"product_id": "p"}]})).contains("missing field `category`")
    );
}

fn actions() -> impl Strategy<Value = Vec<Value>> {
    let action =
        (prop::sample::select(vec!["view", "cart", "purchase"]), 0..60_u8, 0..25_u8, 0..5 * DAY_MS)
            .prop_map(|(kind, product, category, ts)| {
                action(kind, &format!("p{product}"), &format!("c{category}"), ts)
            });
    prop::collection::vec(action, 1..150)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn state_is_bounded_items_are_ordered_and_batches_do_not_show(actions in actions(), batch in 1..50_usize) {
        let mut harness = harness(json!({"top": 20})).batches_of(batch);
        prop_assert_eq!(harness.send_all(actions.clone()), []);
        harness.with_state("c1", |customer| {
            let behaviour = customer.behaviour.get().expect("there were actions");
            assert!(behaviour.products.iter().count() <= PRODUCTS_MAX);
            assert!(behaviour.categories.iter().count() <= CATEGORIES_MAX);
            assert!(behaviour.session.len() <= SESSION_MAX);
        });
        let all = harness.take("recommendation");
        for recommendation in &all {
            let scores: Vec<f64> = recommendation["items"].as_array().unwrap().iter().map(|item| item["score"].as_f64().unwrap()).collect();
            prop_assert!(scores.is_sorted_by(|a, b| a >= b) && scores.iter().all(|score| *score > 0.0));
        }
        let mut one_by_one = self::harness(json!({"top": 20}));
        prop_assert_eq!(one_by_one.send_all(actions), []);
        prop_assert_eq!(all, one_by_one.take("recommendation"));
    }
}
