//! Rates of the right time and side, published roundings, and bounds of what a conversion costs.

use millstream_udf::testing::{Harness, Refusal};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::Fx;

fn harness(config: Value) -> Harness<Fx> {
    Harness::with_config(config).key_from("/pair").event_time_from("/ts")
}

fn rate(pair: &str, ts: i64, bid: &str, ask: &str) -> Value {
    json!({"type": "rate", "pair": pair, "ts": ts, "bid": bid, "ask": ask})
}

fn conversion(pair: &str, ts: i64, from: &str, amount: i64) -> Value {
    json!({"type": "conversion", "pair": pair, "ts": ts, "conversion_id": format!("c{ts}"), "from": from, "amount_minor": amount})
}

/// The amount that comes of one conversion, or the reason why none does.
fn one(config: Value, pair: &str, bid: &str, ask: &str, from: &str, amount: i64) -> Value {
    let mut harness = harness(config);
    harness.send(rate(pair, 0, bid, ask)).unwrap();
    harness.send(conversion(pair, 1, from, amount)).unwrap();
    harness.end_of_input();
    match harness.take("converted").pop() {
        Some(converted) => converted["to_minor"].clone(),
        None => harness.take("unpriced")[0]["reason"].clone(),
    }
}

/// Regulation (EC) No 1103/97, articles 4 and 5: the rate of six significant figures is neither rounded nor inverted, cents are
/// rounded half up. Regulation (EU) 2025/1407 sets 1.95583 lev for a euro; 100 lev are 51.13 euros (51.12918...), and 1,000 are
/// 511.29, as they were in German marks, whose rate was the same.
#[test]
fn the_introduction_of_the_euro() {
    let lev = |from: &str, amount| one(json!({}), "EUR/BGN", "1.95583", "1.95583", from, amount);
    assert_eq!(lev("BGN", 10_000), 5_113);
    assert_eq!(lev("BGN", 100_000), 51_129);
    assert_eq!(lev("EUR", 10_000), 19_558);
    assert_eq!(lev("BGN", 1), 1);
    // A rate that was rounded to four digits would give 7.84 euros more.
    assert_eq!(lev("BGN", 100_000_000), 51_129_188);
}

#[test]
fn customers_sell_at_the_bid_and_buy_at_the_ask() {
    let mut harness = harness(json!({"margin_bps": 50}));
    harness.send(rate("EUR/USD", 1_000, "1.0800", "1.0802")).unwrap();
    harness.send(conversion("EUR/USD", 2_000, "EUR", 10_000)).unwrap();
    harness.send(conversion("EUR/USD", 3_000, "USD", 10_856)).unwrap();
    harness.end_of_input();
    // 100 * 1.08 * 0.995 = 107.46; 108.56 / (1.0802 * 1.005) = 99.99999...
    let sold = r#"{"conversion_id":"c2000","from":"EUR","from_minor":10000,"pair":"EUR/USD","rate":1.074600000000,"rate_ts":1000,"reason":"bid","to":"USD","to_minor":10746,"ts":2000,"type":"converted"}"#;
    let bought = r#"{"conversion_id":"c3000","from":"USD","from_minor":10856,"pair":"EUR/USD","rate":1.085601000000,"rate_ts":1000,"reason":"ask","to":"EUR","to_minor":10000,"ts":3000,"type":"converted"}"#;
    assert_eq!(harness.take_lines("converted"), [sold, bought]);
}

#[test]
fn amounts_have_the_digits_and_coins_of_their_currency() {
    assert_eq!(one(json!({}), "USD/JPY", "151.235", "151.235", "USD", 100), 151);
    assert_eq!(one(json!({}), "USD/JPY", "151.5", "151.5", "USD", 100), 152);
    let half_even = json!({"rounding": "half-even", "currencies": {"JPY": {"rounding": "down"}}});
    assert_eq!(one(half_even.clone(), "USD/JPY", "151.9", "151.9", "USD", 100), 151);
    assert_eq!(one(half_even, "USD/EUR", "0.125", "0.125", "USD", 100), 12);
    assert_eq!(one(json!({}), "BHD/USD", "2.65", "2.66", "BHD", 1), 0);
    assert_eq!(one(json!({}), "BHD/USD", "2.65", "2.66", "USD", 266), 1_000);
    let coins = json!({"currencies": {"CHF": {"increment_minor": 5}}});
    assert_eq!(one(coins, "EUR/CHF", "0.9373", "0.9373", "EUR", 10_000), 9_375);
}

#[test]
fn the_rate_is_that_of_the_conversions_time() {
    let mut harness = harness(json!({"max_age": "1m"})).with_bound(10_000);
    let sent = [
        conversion("EUR/USD", 500, "EUR", 100),
        rate("EUR/USD", 2_000, "1.20", "1.21"),
        conversion("EUR/USD", 2_000, "EUR", 100),
        conversion("EUR/USD", 1_999, "EUR", 100),
        // Both come behind what they concern, and in time.
        rate("EUR/USD", 1_000, "1.10", "1.11"),
        rate("EUR/USD", 2_000, "1.30", "1.31"),
        conversion("EUR/USD", 62_000, "EUR", 100),
        conversion("EUR/USD", 62_001, "EUR", 100),
        // Too late: the rate of its time is forgotten.
        rate("EUR/USD", 70_000, "1.40", "1.41"),
        conversion("EUR/USD", 1_500, "EUR", 100),
    ];
    assert_eq!(harness.send_all(sent), []);
    harness.end_of_input();
    let of = |items: Vec<Value>, what: &str| {
        items
            .iter()
            .map(|item| {
                format!("{} {}", item["conversion_id"].as_str().expect("an id"), item[what])
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(of(harness.take("converted"), "to_minor"), ["c1999 110", "c2000 130", "c62000 130"]);
    let unpriced = of(harness.take("unpriced"), "reason");
    assert_eq!(
        unpriced,
        [
            r#"c500 "no_rate_of_that_time""#,
            r#"c1500 "no_rate_of_that_time""#,
            r#"c62001 "stale_rate""#
        ]
    );
}

#[test]
fn what_makes_no_sense_is_refused() {
    let mut harness = harness(json!({}));
    for (bad, why) in [
        (rate("EURUSD", 0, "1", "1"), "`EURUSD` is no pair of currencies like `EUR/USD`"),
        (rate("EUR/EUR", 0, "1", "1"), "`EUR/EUR` is a pair of one currency"),
        (rate("EUR/XAU", 0, "1", "1"), "`XAU` is no currency of ISO 4217 with a minor unit"),
        (
            rate("EUR/USD", 0, "1.1", "1.0"),
            "a bid of 1.10000000 and an ask of 1.00000000; the bid must be above 0 and not above the ask",
        ),
        (conversion("EUR/USD", 0, "GBP", 1), "a conversion from GBP; it must be from EUR or USD"),
        (conversion("EUR/USD", 0, "EUR", 0), "an amount of 0; it must be above 0"),
        (
            json!({"type": "x", "pair": "EUR/USD", "ts": 0}),
            "`x` is no type; it must be `rate` or `conversion`",
        ),
    ] {
        assert_eq!(harness.send(bad), Err(Refusal::Failed(why.into())));
    }
    assert_eq!(one(json!({}), "EUR/VND", "4000000", "4000000", "EUR", i64::MAX), "out_of_range");
}

#[test]
fn the_configuration_is_checked() {
    use millstream_udf::Udf;
    let refused = |config: Value| {
        Fx::create(Some(&config.to_string())).err().map(|error| error.message().to_owned())
    };
    assert_eq!(refused(json!({})), None);
    assert_eq!(
        refused(json!({"margin_bps": 5_001})).as_deref(),
        Some("`margin_bps` is 5001; it must be 0 to 5000")
    );
    let coins = json!({"currencies": {"CHF": {"increment_minor": 0}}});
    assert_eq!(
        refused(coins).as_deref(),
        Some("`increment_minor` of CHF is 0; it must be 1 to 1000000")
    );
    assert!(refused(json!({"currencies": {"ABC": {}}})).is_some());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    /// Every conversion comes out once; there and back never gains; batches of calls do not show.
    #[test]
    fn nobody_gains_by_going_to_and_fro(
        amount in 1..1_000_000_000_i64, bid in 1_000_000..1_000_000_000_000_i64, spread in 0..1_000_000_i64, margin in 0..500_i64,
    ) {
        let text = |units: i64| format!("{}.{:08}", units / 100_000_000, units % 100_000_000);
        let config = json!({"margin_bps": margin, "rounding": "down"});
        let quote = one(config.clone(), "EUR/USD", &text(bid), &text(bid + spread), "EUR", amount);
        let quote = quote.as_i64().expect("an amount");
        prop_assume!(quote > 0);
        let back = one(config, "EUR/USD", &text(bid), &text(bid + spread), "USD", quote);
        prop_assert!(back.as_i64().expect("an amount") <= amount);
    }

    #[test]
    fn every_conversion_comes_out_once(events in prop::collection::vec((0..100_000_i64, 0..4_u8, 0..30_000_i64), 1..80), batch in 2..40_usize) {
        let mut events: Vec<_> = events.into_iter().enumerate().map(|(i, (ts, kind, delay))| {
            let mut event = match kind {
                0 => rate("EUR/USD", ts, "1.1", "1.2"),
                _ => conversion("EUR/USD", ts, "USD", 1 + i as i64),
            };
            event["conversion_id"] = format!("c{i}").into();
            (ts + delay, kind, event)
        }).collect();
        events.sort_by_key(|(arrival, _, _)| *arrival);
        let run = |batch| {
            let mut harness = harness(json!({})).with_bound(10_000).batches_of(batch);
            assert_eq!(harness.send_all(events.iter().map(|(_, _, event)| event.clone())), []);
            harness.end_of_input();
            (harness.take_lines("converted"), harness.take_lines("unpriced"))
        };
        let (converted, unpriced) = run(1);
        prop_assert_eq!(converted.len() + unpriced.len(), events.iter().filter(|(_, kind, _)| *kind > 0).count());
        prop_assert_eq!(run(batch), (converted, unpriced));
    }
}
