//! The order of closing decides.

use millstream_udf::testing::{Harness, Record};
use serde_json::json;

use super::*;

/// Auctions with their times of closing and prices, of the key 7, in batches.
fn run(of: &str, closings: &[(i64, i64, i64)], batch: usize) -> Harness<Averages> {
    let mut harness = Harness::with_config(json!({"of": of})).with_bound(5).batches_of(batch);
    let records = closings.iter().map(|(auction, time, price)| {
        Record::json(json!({"auction": auction, "price": price})).key("7").event_time(*time)
    });
    assert_eq!(harness.send_all(records), []);
    harness.end_of_input();
    harness
}

#[test]
fn a_category_is_averaged_once_for_all_that_closes_at_a_time() {
    for batch in [1, 10] {
        let closings = [(1, 20, 100), (2, 18, 301), (3, 20, 200), (4, 25, 1)];
        let found = run("category", &closings, batch).take_lines("categories");
        let average = |auctions: i64, average: i64, time: i64| {
            format!(r#"{{"auctions":{auctions},"average":{average},"category":7,"time":{time}}}"#)
        };
        // 601 / 3 and 602 / 4, halves up.
        assert_eq!(found, [average(1, 301, 18), average(3, 200, 20), average(4, 151, 25)]);
    }
}

#[test]
fn a_seller_has_ten_prices_in_the_order_of_closing() {
    let mut closings: Vec<_> = (1..=12).map(|i| (i, 100 + i / 2, 10 * i)).collect();
    closings.swap(0, 2);
    closings.swap(4, 5);
    for batch in [1, 10] {
        let found = run("seller", &closings, batch).take("sellers");
        let found: Vec<_> = found
            .iter()
            .map(|item| (item["auction"].as_i64().unwrap(), item["average"].as_i64().unwrap()))
            .collect();
        let averages = [10, 15, 20, 25, 30, 35, 40, 45, 50, 55, 65, 75];
        assert_eq!(found, (1..=12).zip(averages).collect::<Vec<_>>());
    }
}

#[test]
fn late_records_are_told() {
    let found = run("seller", &[(1, 20, 100), (2, 14, 300)], 1).take_lines("late");
    assert_eq!(found, [r#"{"auction":2,"time":14}"#]);
}
