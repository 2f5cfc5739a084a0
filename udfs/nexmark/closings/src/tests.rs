//! What counts, and what is left over.

use millstream_udf::testing::{Harness, Record, Refusal};
use serde_json::json;

use super::*;

fn auction(time: i64, expires: i64) -> (&'static str, Record) {
    let record = json!({"seller": 5, "category": 10, "expires": expires});
    ("auctions", Record::json(record).key("1").event_time(time))
}

fn bid(price: i64, time: i64) -> (&'static str, Record) {
    ("bids", Record::json(json!({"price": price})).key("1").event_time(time))
}

#[test]
fn the_highest_bid_between_opening_and_expiry_counts_in_any_order() {
    let mut events = vec![
        bid(90, 99),
        bid(20, 100),
        auction(100, 200),
        bid(30, 200),
        bid(25, 150),
        bid(95, 201),
    ];
    for _ in 0..events.len() {
        events.rotate_left(1);
        let mut harness = Harness::<Closings>::new();
        assert_eq!(harness.send_mixed(events.clone()), []);
        harness.advance_watermark(199);
        assert_eq!(harness.take_lines("closings"), [""; 0]);
        harness.end_of_input();
        let expected = r#"{"auction":1,"category":10,"price":30,"seller":5}"#;
        assert_eq!(harness.take_lines("closings"), [expected]);
        assert_eq!((harness.stored_elements("1"), harness.pending_timers()), (0, vec![]));
    }
}

#[test]
fn an_auction_without_bids_closes_without_a_word() {
    let mut harness = Harness::<Closings>::new();
    harness.send_mixed([auction(100, 200)]);
    harness.end_of_input();
    assert_eq!(harness.take_lines("closings"), [""; 0]);
    assert_eq!(harness.stored_elements("1"), 0);
}

#[test]
fn bids_wait_for_their_auction_only_while_it_may_come() {
    let mut harness = Harness::<Closings>::new();
    harness.send_mixed([bid(10, 100), bid(20, 120)]);
    harness.advance_watermark(119);
    harness.send_mixed([auction(120, 150)]);
    harness.end_of_input();
    let expected = r#"{"auction":1,"category":10,"price":20,"seller":5}"#;
    assert_eq!(harness.take_lines("closings"), [expected]);
}

#[test]
fn late_records_are_told() {
    let mut harness = Harness::<Closings>::new();
    harness.advance_watermark(100);
    harness.send_mixed([bid(10, 100), auction(90, 300)]);
    let late =
        |input: &str, time: i64| format!(r#"{{"auction":"1","input":"{input}","time":{time}}}"#);
    assert_eq!(harness.take_lines("late"), [late("bids", 100), late("auctions", 90)]);
    assert_eq!(harness.stored_elements("1"), 0);
}

#[test]
fn an_auction_opens_once_and_before_it_expires() {
    let mut harness = Harness::<Closings>::new();
    let refused = harness.send_mixed([auction(100, 99), auction(100, 200), auction(110, 200)]);
    let [(0, Refusal::Failed(first)), (2, Refusal::Failed(second))] = &refused[..] else {
        panic!("{refused:?}")
    };
    assert!(first.contains("expires at 99") && second.contains("opened before"), "{refused:?}");
}
