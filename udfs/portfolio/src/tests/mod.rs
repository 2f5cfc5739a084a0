//! The rules through the harness, an example from the literature, and what holds for all portfolios.

mod properties;

use millstream_udf::Udf;
use millstream_udf::testing::{Harness, Refusal};
use serde_json::{Value, json};

use crate::Portfolios;

const DAY_MS: i64 = 86_400_000;

fn harness(config: Value) -> Harness<Portfolios> {
    Harness::with_config(config).key_from("/portfolio").event_time_from("/ts")
}

fn cash(amount: &str) -> Value {
    json!({"id": "c", "type": "cash", "portfolio": "p", "amount": amount, "ts": 0})
}

fn price(instrument: &str, price: &str) -> Value {
    json!({"id": "q", "type": "price", "portfolio": "p", "instrument": instrument, "price": price, "ts": 1})
}

fn trade(day: i64, instrument: &str, quantity: i64, price: &str) -> Value {
    json!({"id": format!("t{day}"), "type": "trade", "portfolio": "p", "instrument": instrument, "quantity": quantity, "price": price, "ts": day * DAY_MS})
}

fn review(day: i64) -> Value {
    json!({"id": "r", "type": "review", "portfolio": "p", "ts": day * DAY_MS})
}

/// J. K. Lasser's Your Income Tax 2013, section 30.2, "Earmarking stock lots": 100 shares of Acme Steel bought at $77 in 1998, 200 at $84 in 1999
/// and 100 at $105 in 2000. 100 are sold at $90. Who names the lot of 2000 has a loss of $1,500; who names none has sold the first
/// lot, with a gain.
#[test]
fn lasser_acme_steel() {
    let gain = |order: &str| {
        let mut harness =
            harness(json!({"currency": "USD", "targets": {"ACME": 1}, "lots": order}));
        let records = [
            trade(0, "ACME", 100, "77"),
            trade(365, "ACME", 200, "84"),
            trade(731, "ACME", 100, "105"),
            trade(1_000, "ACME", -100, "90"),
        ];
        assert_eq!(harness.send_all(records), []);
        harness.take("sales")[0]["gain"].as_f64()
    };
    assert_eq!(gain("hifo"), Some(-1_500.0));
    assert_eq!(gain("lifo"), Some(-1_500.0));
    assert_eq!(gain("fifo"), Some(1_300.0));
}

#[test]
fn items_say_everything() {
    let mut harness = harness(
        json!({"currency": "EUR", "targets": {"BOND": "0.4", "EQ": 0.6}, "min_trade": 100}),
    );
    let records = [
        cash("10000.00"),
        trade(0, "EQ", 50, "100"),
        trade(1, "BOND", 40, "100"),
        price("EQ", "130"),
        review(400),
    ];
    assert_eq!(harness.send_all(records), []);
    let valuations = harness.take_lines("valuations");
    let expected = concat!(
        r#"{"cash":1000.00,"currency":"EUR","drift":-0.0522,"furthest":"BOND","id":"r","portfolio":"p","positions":["#,
        r#"{"instrument":"BOND","quantity":40.000000,"price":100.000000,"value":4000.00,"cost":4000.00,"weight":0.3478,"target":0.4000,"drift":-0.0522},"#,
        r#"{"instrument":"EQ","quantity":50.000000,"price":130.000000,"value":6500.00,"cost":5000.00,"weight":0.5652,"target":0.6000,"drift":-0.0348}],"#,
        r#""realized":0.00,"reason":"review","ts":34560000000,"type":"valuation","unrealized":1500.00,"value":11500.00}"#
    );
    assert_eq!(valuations.last().map(String::as_str), Some(expected));
    let expected = concat!(
        r#"{"cash_after":10.00,"currency":"EUR","gain":0.00,"id":"r","not_traded":[],"off_target":1000.00,"off_target_after":10.00,"#,
        r#""portfolio":"p","trades":[{"instrument":"BOND","side":"buy","quantity":6.000000,"value":600.00,"reason":"underweight"},"#,
        r#"{"instrument":"EQ","side":"buy","quantity":3.000000,"value":390.00,"reason":"underweight"}],"ts":34560000000,"type":"proposal"}"#
    );
    assert_eq!(harness.take_lines("proposals").last().map(String::as_str), Some(expected));
}

#[test]
fn sales_name_their_lots_and_terms() {
    let mut harness = harness(json!({"currency": "EUR", "targets": {"A": "0.5"}}));
    let records = [
        cash("100"),
        trade(0, "A", 10, "10"),
        trade(365, "A", 10, "12"),
        trade(366, "A", -15, "20"),
    ];
    assert_eq!(harness.send_all(records), []);
    let sale = harness.take_lines("sales").pop().unwrap_or_default();
    let expected = concat!(
        r#"{"currency":"EUR","gain":140.00,"id":"t366","instrument":"A","lots":["#,
        r#"{"acquired":0,"quantity":10.000000,"cost":100.00,"proceeds":200.00,"gain":100.00,"term":"long"},"#,
        r#"{"acquired":31536000000,"quantity":5.000000,"cost":60.00,"proceeds":100.00,"gain":40.00,"term":"short"}],"#,
        r#""portfolio":"p","proceeds":300.00,"ts":31622400000,"type":"sale"}"#
    );
    assert_eq!(sale, expected);
}

#[test]
fn drift_is_reported_when_it_begins_and_ends() {
    let mut harness = harness(json!({"currency": "EUR", "targets": {"A": 0.5}, "band": 0.1}));
    let mut records = vec![cash("1000"), trade(0, "A", 50, "10")];
    records.extend(["11", "16", "17", "12", "11"].map(|at| price("A", at)));
    assert_eq!(harness.send_all(records), []);
    let reasons: Vec<_> = harness
        .take("valuations")
        .iter()
        .map(|item| format!("{} {}", item["reason"], item["drift"]))
        .collect();
    // With all in cash, half of it is missing in A; then 50 pieces at 16 are 800 of 1,300.
    let expected = [
        r#""drift_out_of_band" -0.5"#,
        r#""drift_back_in_band" 0.0"#,
        r#""drift_out_of_band" 0.1154"#,
        r#""drift_back_in_band" 0.0455"#,
    ];
    assert_eq!(reasons, expected);
    assert_eq!(harness.take("proposals").len(), 2);
}

#[test]
fn what_is_not_traded_has_a_reason() {
    let config = json!({"currency": "EUR", "targets": {"A": 0.3, "B": 0.3, "C": 0.3, "D": 0.05}, "min_trade": 50, "step": 5});
    let mut harness = harness(config);
    let records = [
        cash("130"),
        trade(0, "A", 10, "10"),
        trade(0, "X", 2, "10"),
        price("B", "4"),
        price("D", "3"),
        review(1),
    ];
    assert_eq!(harness.send_all(records), []);
    let proposal = harness.take("proposals").pop().unwrap_or_default();
    // The whole is 130; A holds 100 of its 39, X 20 of nothing.
    let brief = |field: &str| {
        let items = proposal[field].as_array().cloned().unwrap_or_default();
        items
            .iter()
            .map(|item| format!("{} {}", item["instrument"], item["reason"]))
            .collect::<Vec<_>>()
    };
    assert_eq!(brief("trades"), [r#""A" "overweight""#]);
    let left = [
        r#""B" "below_min_trade""#,
        r#""C" "no_price""#,
        r#""D" "below_min_trade""#,
        r#""X" "below_min_trade""#,
    ];
    assert_eq!(brief("not_traded"), left);
}

#[test]
fn nothing_is_bought_with_cash_that_is_not_there() {
    let mut harness =
        harness(json!({"currency": "EUR", "targets": {"A": 0.5, "B": 0.4}, "min_trade": 300}));
    // X is worth too little to be sold, so that A gets what there is and B nothing.
    let records = [
        cash("1500"),
        trade(0, "X", 25, "10"),
        trade(0, "X", 25, "10"),
        trade(0, "A", 50, "10"),
        price("B", "1"),
        price("X", "4"),
        price("A", "1"),
        review(1),
    ];
    assert_eq!(harness.send_all(records), []);
    let proposal = harness.take("proposals").pop().unwrap_or_default();
    assert_eq!(proposal["trades"][0]["reason"], "underweight");
    let left = r#"[{"instrument":"B","reason":"not_enough_cash"},{"instrument":"X","reason":"below_min_trade"}]"#;
    assert_eq!(proposal["not_traded"].to_string(), left);
    assert_eq!(proposal["cash_after"], 175.0);
}

#[test]
fn records_that_make_no_sense_are_refused() {
    let mut harness = harness(json!({"currency": "EUR", "targets": {}}));
    let record = |more: Value| {
        let mut record = json!({"id": "x", "portfolio": "p", "ts": 0});
        record.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        record
    };
    for (bad, why) in [
        (trade(0, "A", -1, "5"), "a sale of 1.000000 `A`, of which 0.000000 are held"),
        (trade(0, "A", 0, "5"), "a trade of nothing"),
        (price("A", "0"), "a price of 0.000000; it must be above 0, and at most 10^9"),
        (cash("0.005"), "not an amount in EUR: `0.0050` has more than 2 digits behind the point"),
        (record(json!({"type": "gift"})), "`gift` is no type of record"),
        (record(json!({"type": "cash"})), "a `cash` record without `amount`"),
        (record(json!({"type": "price", "price": 1})), "a `price` without `instrument`"),
    ] {
        assert_eq!(harness.send(bad), Err(Refusal::Failed(why.into())));
    }
}

#[test]
fn the_configuration_is_checked() {
    let refuse = |config: Value| {
        Portfolios::create(Some(&config.to_string()))
            .err()
            .map(|e| e.to_string())
            .unwrap_or_default()
    };
    assert_eq!(refuse(json!({"currency": "EUR", "targets": {"A": 1}})), "");
    for (config, part) in [
        (
            json!({"currency": "EUR", "targets": {"A": 0.7, "B": "0.4"}}),
            "`targets` add up to 1.1000",
        ),
        (json!({"currency": "EUR", "targets": {"A": -0.1}}), "the target of `A` is -0.1000"),
        (json!({"currency": "EUR", "targets": {}, "band": 0}), "`band` is 0.0000"),
        (json!({"currency": "EUR", "targets": {}, "step": 0}), "`step` is 0.000000"),
        (json!({"currency": "EUR", "targets": {}, "min_trade": -1}), "`min_trade` is -1.00 EUR"),
        (json!({"currency": "EUR", "targets": {}, "lots": "best"}), "unknown variant `best`"),
    ] {
        let message = refuse(config);
        assert!(message.contains(part), "{message}");
    }
}
