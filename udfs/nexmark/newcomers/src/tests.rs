//! Who is new in a window, and sells in it.

use millstream_udf::testing::{Harness, Record};
use serde_json::json;

use super::*;

fn person(id: &str, time: i64) -> (&'static str, Record) {
    ("persons", Record::json(json!({"name": "Ada"})).key(id).event_time(time))
}

fn auction(seller: &str, time: i64) -> (&'static str, Record) {
    ("auctions", Record::json(json!({"id": 1})).key(seller).event_time(time))
}

#[test]
fn a_person_is_given_once_however_the_inputs_arrive() {
    let mut events = vec![
        auction("7", 10_001),
        auction("7", 19_999),
        person("7", 10_000),
        person("8", 10_000),
        auction("8", 20_000),
        auction("9", 10_000),
    ];
    for _ in 0..events.len() {
        events.rotate_left(1);
        let mut harness = Harness::<Newcomers>::with_config(json!({"window": {"tumbling": "10s"}}));
        assert_eq!(harness.send_mixed(events.clone()), []);
        harness.end_of_input();
        let expected = r#"{"end":20000,"id":7,"name":"Ada","start":10000}"#;
        assert_eq!(harness.take_lines("newcomers"), [expected]);
        assert_eq!(["7", "8", "9"].map(|key| harness.stored_elements(key)), [0, 0, 0]);
    }
}

#[test]
fn late_records_are_told() {
    let mut harness = Harness::<Newcomers>::new();
    harness.advance_watermark(9_999);
    harness.send_mixed([person("7", 9_999), auction("7", 5)]);
    let late =
        |input: &str, time: i64| format!(r#"{{"input":"{input}","person":"7","time":{time}}}"#);
    assert_eq!(harness.take_lines("late"), [late("persons", 9_999), late("auctions", 5)]);
}
