//! Values through the UDF: which rate counts, what cannot be valued, and any order of arrival against a search.

use millstream_udf::Udf;
use millstream_udf::testing::{Harness, Refusal};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::TradeValuation;

fn harness(config: Value) -> Harness<TradeValuation> {
    let mut all = json!({"currency": "EUR"});
    for (key, value) in config.as_object().expect("settings") {
        all[key] = value.clone();
    }
    Harness::with_config(all).key_from("/currency").event_time_from("/ts")
}

fn trade(id: &str, currency: &str, amount_minor: i64, ts: i64) -> Value {
    json!({"trade_id": id, "counterparty": "acme", "currency": currency, "amount_minor": amount_minor, "ts": ts})
}

fn rate(currency: &str, rate: &str, ts: i64) -> Value {
    json!({"currency": currency, "rate": rate, "ts": ts})
}

/// Id, value and time of the rate, or id and reason.
fn brief(items: Vec<Value>) -> Vec<String> {
    items
        .iter()
        .map(|item| match item.get("reason") {
            Some(reason) => format!("{} {reason}", item["trade_id"]),
            None => format!("{} {} {}", item["trade_id"], item["value_minor"], item["rate_ts"]),
        })
        .collect()
}

#[test]
fn a_trade_is_valued_at_the_rate_of_its_time() {
    let mut desk = harness(json!({}));
    desk.send_to("trades", trade("t1", "USD", 10_000, 19)).unwrap();
    desk.send_to("trades", trade("t2", "USD", -10_000, 20)).unwrap();
    desk.send_to("rates", rate("USD", "0.9", 20)).unwrap();
    desk.send_to("rates", rate("USD", "0.8", 10)).unwrap();
    desk.send_to("trades", trade("t3", "EUR", 5, 1)).unwrap();
    desk.end_of_input();
    assert_eq!(
        desk.take_lines("valued"),
        [
            r#"{"amount_minor":5,"counterparty":"acme","currency":"EUR","trade_id":"t3","ts":1,"type":"valued","value_currency":"EUR","value_minor":5}"#,
            r#"{"amount_minor":10000,"counterparty":"acme","currency":"USD","rate":0.80000000,"rate_ts":10,"trade_id":"t1","ts":19,"type":"valued","value_currency":"EUR","value_minor":8000}"#,
            r#"{"amount_minor":-10000,"counterparty":"acme","currency":"USD","rate":0.90000000,"rate_ts":20,"trade_id":"t2","ts":20,"type":"valued","value_currency":"EUR","value_minor":-9000}"#,
        ]
    );
}

#[test]
fn minor_units_differ_and_halves_go_to_even() {
    let mut desk = harness(json!({}));
    for (currency, value) in [("JPY", "0.005"), ("KWD", "3.0"), ("GBP", "0.5")] {
        desk.send_to("rates", rate(currency, value, 0)).unwrap();
    }
    for (id, currency, amount) in
        [("yen", "JPY", 1_001), ("fils", "KWD", 1_500), ("odd", "GBP", 3), ("even", "GBP", 5)]
    {
        desk.send_to("trades", trade(id, currency, amount, 1)).unwrap();
    }
    desk.end_of_input();
    let mut found = brief(desk.take("valued"));
    found.sort();
    // 1,001 yen are 5.005 euros, and half a cent goes to the even one.
    assert_eq!(found, [r#""even" 2 0"#, r#""fils" 450 0"#, r#""odd" 2 0"#, r#""yen" 500 0"#]);
}

#[test]
fn what_cannot_be_valued_says_why() {
    let mut desk = harness(json!({"max_age": "1s"}));
    desk.send_to("trades", trade("early", "USD", 1, 9)).unwrap();
    desk.send_to("rates", rate("USD", "20", 10)).unwrap();
    desk.send_to("trades", trade("large", "USD", i64::MAX, 1_010)).unwrap();
    desk.send_to("trades", trade("old", "USD", 1, 1_011)).unwrap();
    desk.send_to("rates", json!({"currency": "USD", "ts": 1_012})).unwrap();
    desk.send_to("trades", trade("suspended", "USD", 1, 1_012)).unwrap();
    desk.end_of_input();
    assert_eq!(
        brief(desk.take("unvalued")),
        [
            r#""early" "no_rate""#,
            r#""large" "out_of_range""#,
            r#""old" "stale_rate""#,
            r#""suspended" "no_rate""#
        ]
    );
    assert_eq!(desk.take_lines("valued"), [""; 0]);
}

#[test]
fn late_records_are_told() {
    let mut desk = harness(json!({})).with_bound(10);
    desk.send_to("trades", trade("t1", "USD", 1, 100)).unwrap();
    desk.send_to("trades", trade("t2", "USD", 1, 89)).unwrap();
    desk.send_to("rates", rate("USD", "1", 50)).unwrap();
    desk.send_to("rates", rate("USD", "2", 39)).unwrap();
    assert_eq!(
        desk.take_lines("late_trade"),
        [
            r#"{"amount_minor":1,"counterparty":"acme","currency":"USD","trade_id":"t2","ts":89,"type":"late_trade"}"#
        ]
    );
    assert_eq!(desk.take_lines("late_rate"), [r#"{"currency":"USD","ts":39,"type":"late_rate"}"#]);
}

#[test]
fn what_makes_no_sense_is_refused() {
    let mut desk = harness(json!({}));
    let named = |field: &str, name: &str| {
        let mut trade = trade("t", "USD", 1, 0);
        trade[field] = name.into();
        trade
    };
    for (input, bad, why) in [
        ("trades", trade("t", "USD", 0, 0), "a trade of nothing"),
        ("trades", trade("", "USD", 1, 0), "`trade_id` has 0 bytes; it must have 1 to 128"),
        ("trades", named("netting_set", ""), "`netting_set` has 0 bytes; it must have 1 to 128"),
        ("trades", trade("t", "XAU", 1, 0), "`XAU` is no currency of ISO 4217 with a minor unit"),
        ("rates", rate("USD", "-1", 0), "a rate of -1.00000000; it must be above 0"),
        ("rates", rate("EUR", "1", 0), "a rate of EUR, which is the reporting currency"),
    ] {
        assert_eq!(desk.send_to(input, bad), Err(Refusal::Failed(why.into())));
    }
    let refused = TradeValuation::create(Some(r#"{"currency": "EURO"}"#)).err().unwrap();
    assert!(refused.message().contains("`EURO`"), "{}", refused.message());
}

/// Whether it is a trade, its currency, amount or rate, time, and how much later it comes.
type Step = (bool, usize, i64, i64, i64);

/// What a trade is worth, by looking through all rates: the last to come of the newest up to its time.
fn searched(rates: &[(usize, i64, i64)], currency: usize, amount: i64, ts: i64) -> Option<i64> {
    let valid = rates.iter().filter(|(other, _, since)| *other == currency && *since <= ts);
    // The last of the maxima is the one that came last.
    let (_, rate, _) = valid.max_by_key(|(_, _, since)| *since)?;
    // Rates are in quarters: the value times four is a whole number, so a half is exact.
    let quarters = amount * rate;
    let (floor, rest) = (quarters.div_euclid(4), quarters.rem_euclid(4));
    Some(floor + i64::from(rest > 2 || (rest == 2 && floor.rem_euclid(2) == 1)))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn any_order_and_batch_gives_what_a_search_gives(
        steps in prop::collection::vec((any::<bool>(), 0..3_usize, 1..1_000_i64, 0..100_i64, 0..40_i64), 1..80),
        batch in 1..40_usize,
    ) {
        const CURRENCIES: [&str; 3] = ["USD", "GBP", "CHF"];
        let mut steps: Vec<Step> = steps;
        steps.sort_by_key(|(_, _, _, ts, delay)| ts + delay);
        let rates: Vec<_> = steps.iter().filter(|step| !step.0).map(|step| (step.1, step.2, step.3)).collect();
        let mut desk = harness(json!({})).with_bound(50).batches_of(batch);
        let records = steps.iter().enumerate().map(|(i, (is_trade, currency, n, ts, _))| {
            let code = CURRENCIES[*currency];
            if *is_trade {
                ("trades", trade(&format!("t{i}"), code, *n, *ts))
            } else {
                ("rates", rate(code, &finance::Exact::new(n * 25, 2).to_string(), *ts))
            }
        });
        let refused = desk.send_mixed(records.collect::<Vec<_>>());
        prop_assert_eq!(refused, []);
        desk.end_of_input();
        prop_assert_eq!(desk.take("late_trade").len() + desk.take("late_rate").len(), 0);
        let mut found: Vec<(String, Option<i64>)> = desk.take("valued").into_iter().chain(desk.take("unvalued"))
            .map(|item| (item["trade_id"].as_str().expect("an id").to_owned(), item["value_minor"].as_i64()))
            .collect();
        found.sort();
        let mut expected: Vec<_> = steps.iter().enumerate().filter(|(_, step)| step.0)
            .map(|(i, (_, currency, amount, ts, _))| (format!("t{i}"), searched(&rates, *currency, *amount, *ts)))
            .collect();
        expected.sort();
        prop_assert_eq!(found, expected);
    }
}
