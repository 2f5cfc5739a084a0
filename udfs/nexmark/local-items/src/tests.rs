//! Either side first.

use millstream_udf::testing::{Harness, Refusal};
use serde_json::{Value, json};

use super::*;

fn person(id: i64) -> Value {
    json!({"id": id, "name": "Ada", "city": "Bend", "state": "OR"})
}

fn auction(id: i64, seller: i64) -> Value {
    json!({"id": id, "seller": seller})
}

fn harness() -> Harness<LocalItems> {
    Harness::new()
}

#[test]
fn each_pair_once_whichever_comes_first() {
    let mut harness = harness().key_from("/seller");
    for id in [1, 2] {
        harness.send_to("auctions", auction(id, 7)).unwrap();
    }
    harness.send_to("auctions", auction(3, 8)).unwrap();
    let mut harness = harness.key_from("/id");
    harness.send_to("persons", person(7)).unwrap();
    let mut harness = harness.key_from("/seller");
    harness.send_to("auctions", auction(4, 7)).unwrap();
    let item = |id: i64| format!(r#"{{"auction":{id},"city":"Bend","name":"Ada","state":"OR"}}"#);
    assert_eq!(harness.take_lines("output"), [item(1), item(2), item(4)]);
    assert_eq!(harness.stored_elements("7"), 1, "auctions are not kept beside the person");
}

#[test]
fn nobody_registers_twice() {
    let mut harness = harness().key_from("/id");
    harness.send_to("persons", person(7)).unwrap();
    let refused = harness.send_to("persons", person(7)).unwrap_err();
    assert!(matches!(refused, Refusal::Failed(why) if why.contains("registered before")));
}
