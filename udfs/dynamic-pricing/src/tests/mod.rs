//! The rules through the harness, examples from the literature, and what holds for all quotes.

mod properties;

use millstream_udf::Udf;
use millstream_udf::testing::{Harness, Refusal};
use serde_json::{Value, json};

use crate::DynamicPricing;
use crate::config::{Config, Written};
use crate::quote::{Market, Product, Side};

fn config(more: Value) -> Value {
    let mut config = json!({"currency": "USD", "tick": "0.01", "risk_aversion": 0.1, "liquidity": 1.5, "volatility": 2, "max_deviation": 0.5});
    config.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    config
}

pub fn checked(more: Value) -> Config {
    serde_json::from_value::<Written>(config(more))
        .expect("a configuration")
        .checked()
        .expect("it makes sense")
}

fn harness(more: Value) -> Harness<DynamicPricing> {
    Harness::with_config(config(more)).key_from("/product").event_time_from("/ts")
}

fn market(ts: i64, bid: &str, ask: &str) -> Value {
    json!({"id": "m", "type": "market", "product": "p", "bid": bid, "ask": ask, "ts": ts})
}

fn inventory(quantity: i64) -> Value {
    json!({"id": "i", "type": "inventory", "product": "p", "quantity": quantity, "ts": 0})
}

fn request(ts: i64, side: &str, quantity: i64) -> Value {
    json!({"id": "r", "type": "request", "product": "p", "side": side, "quantity": quantity, "tier": "retail", "customer": "c", "ts": ts})
}

/// M. Avellaneda, S. Stoikov, High-frequency trading in a limit order book, section 3.3: with s = 100, T = 1, sigma = 2, k = 1.5 the spread of the inventory strategy, on
/// average over the time that is left, is 1.49 for gamma = 0.1 and 1.35 for 0.01, and it is `gamma sigma^2 (T - t) + (2 / gamma) ln(1 + gamma / k)` at any time.
#[test]
fn avellaneda_stoikov_spreads() {
    let spread = |gamma: &str, horizon: &str| {
        let config =
            checked(json!({"risk_aversion": gamma, "horizon": horizon, "tick": "0.000001"}));
        let mut product = Product::default();
        product.observe(Market { bid: 100_000_000, ask: 100_000_000, ts: 0 }, &config);
        let price = |side| product.quote(side, 1_000_000, 0, 0, &config).expect("a price").price;
        format!("{:.2}", (price(Side::Buy) - price(Side::Sell)) as f64 / 1e6)
    };
    assert_eq!(["0.1", "0.01"].map(|gamma| spread(gamma, "0.5")), ["1.49", "1.35"]);
    assert_eq!(spread("0.1", "1"), "1.69");
}

/// The same paper, equation (3.10): the reservation price is `s - q gamma sigma^2 (T - t)`, 0.4 lower for each piece at the beginning.
#[test]
fn avellaneda_stoikov_reservation_price() {
    let config = checked(json!({"tick": "0.000001"}));
    let mut product = Product { inventory: 3_000_000, ..Product::default() };
    product.observe(Market { bid: 99_000_000, ask: 101_000_000, ts: 0 }, &config);
    let quote = product.quote(Side::Buy, 1_000_000, 0, 0, &config).expect("a price");
    assert_eq!(quote.parts[0], ("inventory", -1_200_000));
}

/// J. C. Hull, Options, Futures, and Other Derivatives, chapter on estimating volatilities, EWMA: with lambda = 0.90, a volatility of 1 % and a move of
/// 2 % the new variance is 0.00013, a volatility of 1.14 %.
#[test]
fn hull_ewma() {
    let config = checked(json!({"lambda": 0.9, "volatility": "0.01"}));
    let mut product = Product::default();
    for (ts, mid) in [(0, 1_000_000), (1, 1_020_000)] {
        assert!(product.observe(Market { bid: mid, ask: mid, ts }, &config));
    }
    assert_eq!(product.variance(&config), 130_000_000);
}

#[test]
fn an_item_says_everything() {
    let sizes = json!([{"from": 100, "margin": 0.001}, {"from": 1000, "margin": "0.002"}]);
    let mut harness =
        harness(json!({"tiers": {"retail": 0.005}, "sizes": sizes, "lot": 100, "validity": "5s"}));
    let records = [
        market(0, "99.90", "100.10"),
        inventory(250),
        request(1_000, "buy", 400),
        request(2_000, "sell", 10),
    ];
    assert_eq!(harness.send_all(records), []);
    let expected = [
        concat!(
            r#"{"amount":40180.00,"currency":"USD","customer":"c","id":"r","mid":100.000000,"price":100.450000,"product":"p","quantity":400.000000,"#,
            r#""reasons":[{"code":"inventory","effect":-1.000000},{"code":"volatility","effect":0.200000},{"code":"liquidity","effect":0.645385},"#,
            r#"{"code":"tier","effect":0.500000},{"code":"size","effect":0.100000},{"code":"rounding","effect":0.004615}],"#,
            r#""side":"buy","ts":1000,"type":"quote","valid_until":6000,"volatility":2.000000}"#
        ),
        concat!(
            r#"{"amount":976.50,"currency":"USD","customer":"c","id":"r","mid":100.000000,"price":97.650000,"product":"p","quantity":10.000000,"#,
            r#""reasons":[{"code":"inventory","effect":-1.000000},{"code":"volatility","effect":-0.200000},{"code":"liquidity","effect":-0.645385},"#,
            r#"{"code":"tier","effect":-0.500000},{"code":"rounding","effect":-0.004615}],"#,
            r#""side":"sell","ts":2000,"type":"quote","valid_until":7000,"volatility":2.000000}"#
        ),
    ];
    assert_eq!(harness.take_lines("quotes"), expected);
}

#[test]
fn requests_without_a_price_get_a_reason() {
    let mut harness = harness(json!({"tiers": {"retail": 0}, "max_inventory": 100}));
    let mut reason = |records: Vec<Value>| {
        assert_eq!(harness.send_all(records), []);
        harness.take("declined").pop().map(|item| item["reason"].clone())
    };
    assert_eq!(reason(vec![request(0, "buy", 1)]), Some(json!("no_market_data")));
    assert_eq!(
        reason(vec![market(0, "1", "1"), request(10_001, "buy", 1)]),
        Some(json!("market_data_too_old"))
    );
    assert_eq!(reason(vec![inventory(60), request(0, "sell", 41)]), Some(json!("inventory_limit")));
    // What brings the inventory down is always welcome.
    assert_eq!(reason(vec![inventory(500), request(0, "buy", 100)]), None);
    assert_eq!(
        reason(vec![market(1, "0.004", "0.004"), request(1, "buy", 1)]),
        Some(json!("no_price_within_bounds"))
    );
}

#[test]
fn bounds_hold_and_say_so() {
    let mut harness = harness(json!({"tiers": {"retail": 0.9}, "max_deviation": 0.02}));
    assert_eq!(harness.send_all([market(0, "100", "100"), request(0, "buy", 1)]), []);
    let quote = harness.take("quotes").pop().unwrap_or_default();
    assert_eq!(quote["price"], 102.0);
    assert_eq!(
        quote["reasons"]
            .as_array()
            .and_then(|reasons| reasons.last())
            .map(|reason| &reason["code"]),
        Some(&json!("bound"))
    );
}

#[test]
fn an_older_market_is_late() {
    let mut harness = harness(json!({}));
    assert_eq!(harness.send_all([market(5, "1", "2"), market(4, "2", "3")]), []);
    assert_eq!(harness.take_lines("late"), [r#"{"id":"m","product":"p","ts":4,"type":"late"}"#]);
}

#[test]
fn records_that_make_no_sense_are_refused() {
    let mut harness = harness(json!({}));
    for (record, why) in [
        (market(0, "2", "1"), "a bid of 2.000000 and an ask of 1.000000"),
        (
            json!({"id": "x", "type": "market", "product": "p", "bid": 1, "ts": 0}),
            "a `market` record needs `bid` and `ask`",
        ),
        (request(0, "hold", 1), "a request to hold: it must be `buy` or `sell`"),
        (request(0, "buy", 0), "a request for 0.000000 pieces"),
        (request(0, "buy", 1), "`retail` is no configured tier"),
        (
            json!({"id": "x", "type": "gift", "product": "p", "ts": 0}),
            "`gift` is no type of record",
        ),
    ] {
        assert_eq!(harness.send(record), Err(Refusal::Failed(why.into())));
    }
}

#[test]
fn the_configuration_is_checked() {
    let refuse = |more: Value| {
        DynamicPricing::create(Some(&config(more).to_string()))
            .err()
            .map(|e| e.to_string())
            .unwrap_or_default()
    };
    assert_eq!(refuse(json!({})), "");
    for (more, part) in [
        (json!({"tick": 0}), "`tick` is 0.000000; it must be 0.000001 to"),
        (json!({"lambda": 2}), "`lambda` is 2.000000"),
        (json!({"tiers": {"a": 2}}), "a margin of 2.000000; it must be -1 to 1"),
        (
            json!({"sizes": [{"from": 2, "margin": 0}, {"from": 1, "margin": 0}]}),
            "`sizes` must rise",
        ),
        (json!({"max_inventory": 0}), "`max_inventory` must be above 0"),
        (json!({"gamma": 1}), "unknown field `gamma`"),
    ] {
        let message = refuse(more);
        assert!(message.contains(part), "{message}");
    }
}
