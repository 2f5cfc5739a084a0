//! Who gets which price, and any order of arrival against a search.

use millstream_udf::testing::{Harness, Refusal};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::PriceFanOut;

fn harness() -> Harness<PriceFanOut> {
    Harness::new().key_from("/instrument").event_time_from("/ts")
}

fn price(id: &str, instrument: &str, price: i64, ts: i64) -> Value {
    json!({"id": id, "instrument": instrument, "price": price, "ts": ts})
}

fn position(id: &str, kind: &str, book: &str, instrument: &str, ts: i64) -> Value {
    json!({"id": id, "type": kind, "book": book, "instrument": instrument, "quantity": "1.5", "price": 7, "ts": ts})
}

/// Type, id, book and time.
fn brief(items: &[Value]) -> Vec<String> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let fields = ["type", "id", "book", "ts"];
    items.iter().map(|item| fields.map(|field| text(&item[field])).join(" ")).collect()
}

#[test]
fn prices_go_to_the_books_that_follow() {
    let mut feed = harness();
    feed.send_to("prices", price("p1", "ALPHA", 10, 10)).unwrap();
    feed.send_to("positions", position("t1", "trade", "rates", "ALPHA", 20)).unwrap();
    feed.send_to("positions", position("f1", "follow", "desk", "ALPHA", 30)).unwrap();
    feed.send_to("prices", price("p2", "ALPHA", 11, 25)).unwrap();
    feed.send_to("prices", price("p3", "ALPHA", 12, 40)).unwrap();
    feed.send_to("prices", price("p4", "BETA", 12, 40)).unwrap();
    feed.send_to("positions", position("t2", "trade", "rates", "ALPHA", 50)).unwrap();
    feed.end_of_input();
    let items = feed.take("items");
    assert_eq!(
        brief(&items),
        [
            "price p1 rates 20",
            "trade t1 rates 20",
            "price p2 rates 25",
            "price p2 desk 30",
            "price p3 desk 40",
            "price p3 rates 40",
            "trade t2 rates 50",
        ]
    );
    assert_eq!(
        items[1],
        json!({"id": "t1", "type": "trade", "book": "rates", "instrument": "ALPHA", "quantity": 1.5, "price": 7.0, "ts": 20})
    );
    assert_eq!(
        items[0],
        json!({"id": "p1", "type": "price", "book": "rates", "instrument": "ALPHA", "price": 10.0, "ts": 20})
    );
}

/// Whichever comes first: of the same time the position counts before the price.
#[test]
fn of_the_same_time_the_book_is_there_first() {
    for position_first in [true, false] {
        let mut feed = harness();
        let trade = position("t1", "trade", "rates", "ALPHA", 20);
        if position_first {
            feed.send_to("positions", trade.clone()).unwrap();
        }
        feed.send_to("prices", price("p1", "ALPHA", 10, 20)).unwrap();
        if !position_first {
            feed.send_to("positions", trade).unwrap();
        }
        feed.end_of_input();
        assert_eq!(brief(&feed.take("items")), ["trade t1 rates 20", "price p1 rates 20"]);
    }
}

#[test]
fn what_comes_too_late_is_named() {
    let mut feed = harness();
    feed.advance_watermark(100);
    feed.send_to("prices", price("p1", "ALPHA", 10, 100)).unwrap();
    feed.send_to("positions", position("t1", "trade", "rates", "ALPHA", 99)).unwrap();
    assert_eq!(
        feed.take_lines("late"),
        [
            r#"{"id":"p1","instrument":"ALPHA","ts":100,"type":"late"}"#,
            r#"{"id":"t1","instrument":"ALPHA","ts":99,"type":"late"}"#
        ]
    );
}

#[test]
fn what_makes_no_sense_is_refused() {
    let mut feed = harness();
    let failed = |why: &str| Err(Refusal::Failed(why.into()));
    let gift = position("t", "gift", "rates", "ALPHA", 1);
    assert_eq!(
        feed.send_to("positions", gift),
        failed("`gift` is no type of position; it must be `trade` or `follow`")
    );
    let mut free = position("t", "trade", "rates", "ALPHA", 1);
    free["price"] = Value::Null;
    assert_eq!(feed.send_to("positions", free), failed("a `trade` needs `quantity` and `price`"));
    assert_eq!(
        feed.send_to("positions", position("t", "trade", "", "ALPHA", 1)),
        failed("`book` has 0 bytes; it must have 1 to 128")
    );
    for book in 0..50 {
        let follow = position("f", "follow", &format!("b{book}"), "ALPHA", 1);
        feed.send_to("positions", follow).unwrap();
    }
    feed.advance_watermark(1);
    assert_eq!(
        feed.send_to("positions", position("t", "trade", "other", "ALPHA", 2)),
        failed("50 books follow the instrument already")
    );
    feed.send_to("positions", position("t", "trade", "b7", "ALPHA", 2)).unwrap();
}

/// Whether a position, its book, its instrument, the time and how much later it comes.
type Step = (bool, usize, usize, i64, i64);

/// What each book gets, found by looking through all records for each of them.
fn searched(steps: &[Step]) -> Vec<String> {
    let mut expected = Vec::new();
    let first = |book: usize, instrument: usize| {
        let follows = |step: &&Step| step.0 && (step.1, step.2) == (book, instrument);
        steps.iter().filter(follows).map(|step| step.3).min()
    };
    for (i, (is_position, book, instrument, ts, _)) in steps.iter().enumerate() {
        if *is_position {
            expected.push(format!("trade r{i} b{book} {ts}"));
            continue;
        }
        for book in 0..3 {
            let Some(since) = first(book, *instrument) else { continue };
            let newer =
                |step: &Step| !step.0 && step.2 == *instrument && step.3 > *ts && step.3 < since;
            if since <= *ts {
                expected.push(format!("price r{i} b{book} {ts}"));
            } else if !steps.iter().any(newer) {
                expected.push(format!("price r{i} b{book} {since}"));
            }
        }
    }
    expected.sort();
    expected
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn gives_what_a_search_gives(
        steps in prop::collection::vec((any::<bool>(), 0..3_usize, 0..2_usize, 0..1_000_i64, 0..100_i64), 1..50), batch in 1..40_usize,
    ) {
        // Times differ: of two prices of one time the later arrival counts.
        let mut steps: Vec<Step> = steps.into_iter().enumerate().map(|(i, step)| (step.0, step.1, step.2, step.3 * 64 + i as i64, step.4 * 64)).collect();
        steps.sort_by_key(|step| step.3 + step.4);
        let mut feed = harness().with_bound(64 * 100).batches_of(batch);
        let records = steps.iter().enumerate().map(|(i, (is_position, book, instrument, ts, _))| {
            let (id, instrument) = (format!("r{i}"), format!("i{instrument}"));
            match is_position {
                true => ("positions", position(&id, "trade", &format!("b{book}"), &instrument, *ts)),
                false => ("prices", price(&id, &instrument, 1, *ts)),
            }
        });
        prop_assert_eq!(feed.send_mixed(records.collect::<Vec<_>>()), []);
        feed.end_of_input();
        prop_assert_eq!(feed.take_lines("late"), [""; 0]);
        prop_assert_eq!(feed.pending_timers(), []);
        let mut found = brief(&feed.take("items"));
        found.sort();
        prop_assert_eq!(found, searched(&steps));
    }
}
