//! The role `learn`: what all customers were shown and clicked on decides what the next one is shown.

use millstream_udf::Udf;
use millstream_udf::testing::{Harness, Refusal};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::Recommender;

const PRODUCTS: [&str; 4] = ["t1", "t2", "g1", "g2"];

/// Both stages have the same products; `role` and other changes.
fn config(changes: Value) -> Value {
    let listed = |id: &str| json!({"product_id": id, "category": if id.starts_with('t') { "toys" } else { "games" }});
    let mut config = json!({"top": 2, "catalogue": PRODUCTS.map(listed), "explore": {"slots": 2, "products": PRODUCTS}});
    for (key, value) in changes.as_object().expect("changes") {
        config[key] = value.clone();
    }
    config
}

fn learning() -> Harness<Recommender> {
    let harness = Harness::with_config(config(json!({"role": "learn"})));
    harness.key_from("/context").event_time_from("/ts")
}

/// Something a customer does on the page `home`.
fn action(kind: &str, customer: &str, product: &str, ts: i64) -> Value {
    json!({"type": kind, "customer_id": customer, "product_id": product, "category": "food", "context": "home", "ts": ts})
}

/// Candidates as `t1 1/2`: clicked of shown.
fn candidates(passed: &Value) -> Vec<String> {
    let brief = |candidate: &Value| {
        let id = candidate["product_id"].as_str().expect("an id");
        format!("{id} {}/{}", candidate["clicked"], candidate["shown"])
    };
    passed["candidates"].as_array().expect("a list").iter().map(brief).collect()
}

#[test]
fn a_customer_of_whom_nothing_is_known_gets_what_others_clicked_on() {
    let mut learning = learning();
    for (i, product) in PRODUCTS.into_iter().enumerate() {
        learning.send(action("impression", "c1", product, i as i64)).unwrap();
    }
    assert_eq!(learning.take_lines("actions"), [""; 0]);
    learning.send(action("click", "c1", "g1", 5)).unwrap();
    learning.send(action("view", "c2", "x", 6)).unwrap();
    let passed = learning.take("actions");
    assert_eq!((&passed[0]["type"], &passed[0]["customer_id"]), (&json!("click"), &json!("c1")));
    assert_eq!(candidates(&passed[1]), ["g1 1/1", "t1 0/1", "t2 0/1", "g2 0/1"]);
    // The stage by customer.
    let customer = Harness::<Recommender>::with_config(config(json!({})));
    let mut customer = customer.key_from("/customer_id").event_time_from("/ts");
    customer.send(passed[1].clone()).unwrap();
    let expected = concat!(
        r#"{"customer_id":"c2","items":[{"product_id":"g1","reason":{"code":"explored","category":"home","shown":1,"clicked":1},"score":0.0},"#,
        r#"{"product_id":"t1","reason":{"code":"explored","category":"home","shown":1,"clicked":0},"score":0.0}],"#,
        r#""product_id":"x","ts":6,"type":"recommendation"}"#
    );
    assert_eq!(customer.take_lines("recommendation"), [expected]);
    // Neither what is owned nor what is at hand.
    let mut bought = passed[1].clone();
    (bought["type"], bought["product_id"]) = (json!("purchase"), json!("g1"));
    customer.send(bought).unwrap();
    let mut at_hand = passed[1].clone();
    at_hand["product_id"] = json!("t1");
    customer.send(at_hand).unwrap();
    let items = customer.take("recommendation").pop().expect("an item");
    let ids: Vec<_> =
        items["items"].as_array().expect("a list").iter().map(|item| &item["product_id"]).collect();
    assert_eq!(ids, ["t2", "g2"]);
}

#[test]
fn a_click_counts_once_and_where_it_was_shown() {
    let mut learning = learning();
    learning.send(action("impression", "c1", "t1", 0)).unwrap();
    let mut elsewhere = action("click", "c1", "t1", 1);
    elsewhere["context"] = json!("cart");
    learning.send(elsewhere).unwrap();
    // Nobody showed it to c2.
    for (customer, ts) in [("c2", 2), ("c1", 3), ("c1", 4)] {
        learning.send(action("click", customer, "t1", ts)).unwrap();
    }
    let counts: Vec<_> =
        learning.take("actions").iter().map(|passed| candidates(passed)[3].clone()).collect();
    assert_eq!(counts[1..], ["t1 0/1", "t1 1/1", "t1 1/1"]);
}

#[test]
fn what_makes_no_sense_is_refused() {
    let mut learning = learning();
    let failed = |why: &str| Err(Refusal::Failed(why.into()));
    let gift = action("gift", "c1", "t1", 0);
    assert_eq!(learning.send(gift), failed("`gift` is no type of action"));
    let mut nobody = action("view", "c1", "t1", 0);
    nobody["customer_id"] = Value::Null;
    assert_eq!(learning.send(nobody), failed("`role: learn` needs the record's `customer_id`"));
    let mut other = action("view", "c1", "t1", 0);
    other["context"] = Value::Null;
    assert!(learning.send(other).is_err(), "it has no key");
    let refused = Recommender::create(Some(r#"{"role": "learn"}"#)).err();
    let why = "`role: learn` needs `explore`: the products to try out";
    assert_eq!(refused.map(|error| error.message().to_owned()).as_deref(), Some(why));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// What is counted is what was told: impressions, and of clicks the first after each of them; whatever the batches.
    #[test]
    fn impressions_and_clicks_are_counted(steps in prop::collection::vec((0..3_usize, 0..4_usize, 0..3_usize), 1..80), batch in 1..40_usize) {
        let kinds = ["impression", "click", "view"];
        let mut shown = [0; 4];
        let mut clicked = [0; 4];
        let mut open = std::collections::BTreeSet::new();
        for (kind, product, customer) in &steps {
            match kinds[*kind] {
                "impression" => {
                    shown[*product] += 1;
                    open.insert((product, customer));
                }
                "click" if open.remove(&(product, customer)) => clicked[*product] += 1,
                _ => {}
            }
        }
        let mut records: Vec<_> = steps.iter().enumerate()
            .map(|(ts, (kind, product, customer))| action(kinds[*kind], &format!("c{customer}"), PRODUCTS[*product], ts as i64)).collect();
        records.push(action("view", "c9", "x", 1_000));
        let mut learning = learning().batches_of(batch);
        prop_assert_eq!(learning.send_all(records), []);
        let mut counted = candidates(&learning.take("actions").pop().expect("an action"));
        counted.sort();
        let mut expected: Vec<_> = (0..4).map(|i| format!("{} {}/{}", PRODUCTS[i], clicked[i], shown[i])).collect();
        expected.sort();
        prop_assert_eq!(counted, expected);
    }
}
