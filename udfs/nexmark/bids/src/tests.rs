//! Counts, the highest, sessions.

use millstream_udf::testing::{Harness, Record};
use serde_json::{Value, json};

use super::*;

/// Bidders with prices and times, of the key 7, in batches.
fn run(config: Value, bids: &[(i64, i64, i64)], batch: usize) -> Harness<BidWindows> {
    let mut harness = Harness::with_config(config).with_bound(500).batches_of(batch);
    let records = bids.iter().map(|(bidder, price, time)| {
        Record::json(json!({"bidder": bidder, "price": price})).key("7").event_time(*time)
    });
    assert_eq!(harness.send_all(records), []);
    harness.end_of_input();
    harness
}

#[test]
fn a_bid_counts_in_each_window_that_slides_over_it() {
    let config = json!({"give": "counts", "window": {"sliding": {"size": "10s", "slide": "2s"}}});
    let bids = [(1, 5, 20_000), (2, 5, 21_999), (3, 5, 22_000)];
    let found = run(config, &bids, 2).take("counts");
    let found: Vec<_> =
        found.iter().map(|item| (item["start"].clone(), item["bids"].clone())).collect();
    let expected = [12, 14, 16, 18, 20, 22].map(|s| json!(s * 1_000)).into_iter();
    let counts = [2, 3, 3, 3, 3, 1].map(|n| json!(n));
    assert_eq!(found, expected.zip(counts).collect::<Vec<_>>());
}

#[test]
fn all_of_the_highest_bids_are_given() {
    let bids = [(1, 50, 20_000), (2, 70, 20_400), (3, 70, 20_100), (4, 1, 30_000)];
    for batch in [1, 10] {
        let found = run(json!({"give": "highest"}), &bids, batch).take_lines("highest");
        let highest = |bidder: i64, price: i64, time: i64, start: i64| {
            format!(
                r#"{{"auction":7,"bidder":{bidder},"end":{},"price":{price},"start":{start},"time":{time}}}"#,
                start + 10_000
            )
        };
        let expected = [
            highest(2, 70, 20_400, 20_000),
            highest(3, 70, 20_100, 20_000),
            highest(4, 1, 30_000, 30_000),
        ];
        assert_eq!(found, expected);
    }
}

#[test]
fn a_session_ends_when_nobody_bids_for_the_gap() {
    let config = json!({"give": "sessions", "window": {"session": "10s"}});
    let bids = [(1, 1, 0), (1, 1, 10_000), (1, 1, 9_800), (1, 1, 20_001)];
    let found = run(config, &bids, 1).take_lines("sessions");
    let session = |bids: i64, start: i64, end: i64| {
        format!(r#"{{"bidder":7,"bids":{bids},"end":{end},"start":{start}}}"#)
    };
    assert_eq!(found, [session(3, 0, 20_000), session(1, 20_001, 30_001)]);
}

#[test]
fn late_bids_are_told() {
    let bids = [(1, 1, 10_600), (2, 1, 9_000)];
    let found = run(json!({"give": "highest"}), &bids, 1).take_lines("late");
    assert_eq!(found, [r#"{"key":"7","time":9000}"#]);
}
