//! The rules through the harness, examples from the literature, and what holds for all books.

mod literature;
mod properties;

use millstream_udf::Udf;
use millstream_udf::testing::{Harness, Refusal};
use serde_json::{Value, json};

use crate::MarketRisk;

pub const DAY_MS: i64 = 86_400_000;

pub fn harness(config: Value) -> Harness<MarketRisk> {
    Harness::with_config(config).key_from("/book").event_time_from("/ts")
}

pub fn price(day: i64, instrument: &str, price: &str) -> Value {
    json!({"id": format!("{instrument}{day}"), "type": "price", "book": "b", "instrument": instrument, "price": price, "ts": day * DAY_MS + 1})
}

pub fn trade(day: i64, instrument: &str, quantity: &str, price: &str) -> Value {
    json!({"id": format!("t{day}"), "type": "trade", "book": "b", "instrument": instrument, "quantity": quantity, "price": price, "ts": day * DAY_MS})
}

/// Sends all and closes all periods.
pub fn run(config: Value, records: Vec<Value>) -> (Vec<Value>, Vec<Value>) {
    let mut harness = harness(config);
    assert_eq!(harness.send_all(records), []);
    harness.end_of_input();
    (harness.take("risk"), harness.take("limits"))
}

#[test]
fn a_report_says_everything() {
    let config = json!({"currency": "EUR", "min_scenarios": 1});
    let records = vec![
        trade(0, "A", "10", "100"),
        price(0, "A", "101"),
        price(1, "A", "90.90"),
        trade(1, "A", "-4", "95"),
    ];
    let mut harness = harness(config);
    assert_eq!(harness.send_all(records), []);
    harness.end_of_input();
    let expected = [
        r#"{"book":"b","currency":"EUR","exceptions":0,"gross_exposure":1010.00,"net_exposure":1010.00,"profit":10.00,"scenarios":0,"tails":[],"ts":86400000,"type":"risk"}"#,
        concat!(
            r#"{"book":"b","currency":"EUR","exceptions":0,"gross_exposure":545.40,"net_exposure":545.40,"profit":-84.60,"scenarios":1,"#,
            r#""tails":[{"confidence":0.9900,"value_at_risk":54.54,"expected_shortfall":54.54,"scenario_ts":172800000,"#,
            r#""reasons":[{"code":"instrument","instrument":"A","loss":54.54}]}],"ts":172800000,"type":"risk"}"#
        ),
    ];
    assert_eq!(harness.take_lines("risk"), expected);
}

#[test]
fn what_a_period_did_depends_on_time_not_on_arrival() {
    let records = vec![
        trade(0, "A", "10", "100"),
        price(0, "A", "99"),
        price(1, "A", "98"),
        price(2, "A", "97"),
    ];
    let config = || json!({"currency": "EUR", "min_scenarios": 1});
    let (risk, _) = run(config(), records.clone());
    let (reversed, _) = run(config(), records.into_iter().rev().collect());
    assert_eq!(risk, reversed);
    let losses: Vec<_> = risk.iter().map(|report| report["profit"].as_f64()).collect();
    assert_eq!(losses, [Some(-10.0), Some(-10.0), Some(-10.0)]);
}

#[test]
fn limits_are_raised_once_and_cleared_lower() {
    let config = json!({"currency": "EUR", "limits": [
        {"measure": "gross_exposure", "limit": "1000.00", "clear": 950},
        {"measure": "loss", "limit": 100},
    ]});
    let prices = ["99", "101", "99", "102", "95", "96", "84", "84"];
    let mut records = vec![trade(0, "A", "10", "99")];
    records.extend(prices.iter().enumerate().map(|(day, at)| price(day as i64, "A", at)));
    let (_, limits) = run(config, records);
    let brief: Vec<String> = limits
        .iter()
        .map(|limit| {
            let day = limit["ts"].as_i64().unwrap_or(0) / DAY_MS;
            format!("{day} {} {} {}", limit["measure"], limit["reason"], limit["value"])
        })
        .collect();
    let expected = [
        "2 \"gross_exposure\" \"above_limit\" 1010.0",
        "5 \"gross_exposure\" \"back_within\" 950.0",
        "7 \"loss\" \"above_limit\" 120.0",
        "8 \"loss\" \"back_within\" 0.0",
    ];
    assert_eq!(brief, expected);
    assert_eq!(limits[1]["since"], 2 * DAY_MS);
}

#[test]
fn a_book_may_have_limits_of_its_own() {
    let config = json!({"currency": "EUR", "limits": [{"measure": "concentration", "limit": 1}], "books": {"b": []}});
    let (_, limits) = run(config, vec![trade(0, "A", "10", "99")]);
    assert_eq!(limits, Vec::<Value>::new());
}

#[test]
fn only_the_newest_scenarios_count() {
    let config =
        json!({"currency": "EUR", "window": 3, "min_scenarios": 2, "confidence": [0.5, "0.99"]});
    let mut records = vec![trade(0, "A", "1", "100"), price(0, "A", "100"), price(1, "A", "50")];
    records.extend((2..6).map(|day| price(day, "A", "50")));
    let (risk, _) = run(config, records);
    let scenarios: Vec<_> = risk.iter().map(|report| report["scenarios"].as_i64()).collect();
    assert_eq!(scenarios, [Some(0), Some(1), Some(2), Some(3), Some(3), Some(3)]);
    let at_risk = |report: &Value| report["tails"][1]["value_at_risk"].as_f64();
    assert_eq!(
        risk.iter().map(at_risk).collect::<Vec<_>>(),
        [None, None, Some(25.0), Some(25.0), Some(0.0), Some(0.0)]
    );
}

#[test]
fn losses_beyond_the_forecast_are_counted() {
    let config = json!({"currency": "EUR", "min_scenarios": 1});
    let mut records = vec![trade(0, "A", "1", "100")];
    let prices = ["100", "99", "98", "90", "90"];
    records.extend(prices.iter().enumerate().map(|(day, at)| price(day as i64, "A", at)));
    let (risk, _) = run(config, records);
    let exceptions: Vec<_> = risk.iter().map(|report| report["exceptions"].as_i64()).collect();
    // 99 to 98 is a loss of 1.00 where 0.99 was forecast.
    assert_eq!(exceptions, [Some(0), Some(0), Some(1), Some(2), Some(2)]);
}

#[test]
fn rates_move_by_differences() {
    let config = json!({"currency": "EUR", "min_scenarios": 1, "shock": "absolute"});
    let records = vec![
        trade(0, "R", "100", "-0.5"),
        price(0, "R", "-0.5"),
        price(1, "R", "-0.75"),
        price(2, "R", "0"),
    ];
    let (risk, _) = run(config, records);
    assert_eq!(risk[2]["tails"][0]["value_at_risk"], 25.0);
    assert_eq!(risk[2]["profit"], 75.0);
}

#[test]
fn what_comes_behind_its_period_is_late() {
    let mut harness = harness(json!({"currency": "EUR"}));
    harness.send(price(0, "A", "1")).unwrap();
    harness.advance_watermark(DAY_MS);
    harness.send(price(0, "A", "2")).unwrap();
    assert_eq!(harness.take_lines("late"), [r#"{"book":"b","id":"A0","ts":1,"type":"late"}"#]);
}

#[test]
fn records_that_make_no_sense_are_refused() {
    let mut harness = harness(json!({"currency": "EUR"}));
    for (record, why) in [
        (price(0, "A", "0"), "a price of 0.000000"),
        (price(0, "A", "1000000001"), "a price of 1000000001.000000 is above 10^9"),
        (trade(0, "A", "0", "1"), "a trade of nothing"),
        (
            json!({"id": "x", "type": "trade", "book": "b", "instrument": "A", "price": 1, "ts": 0}),
            "a trade without `quantity`",
        ),
        (
            json!({"id": "x", "type": "gift", "book": "b", "instrument": "A", "price": 1, "ts": 0}),
            "`gift` is neither `price` nor `trade`",
        ),
    ] {
        assert_eq!(harness.send(record), Err(Refusal::Failed(why.into())));
    }
}

#[test]
fn the_configuration_is_checked() {
    let refuse = |config: Value| {
        MarketRisk::create(Some(&config.to_string()))
            .err()
            .map(|e| e.to_string())
            .unwrap_or_default()
    };
    assert_eq!(refuse(json!({"currency": "EUR"})), "");
    let limit = |limit: Value| refuse(json!({"currency": "EUR", "limits": [limit]}));
    for (message, part) in [
        (refuse(json!({})), "missing field `currency`"),
        (refuse(json!({"currency": "XAU"})), "`XAU` is no currency"),
        (
            refuse(json!({"currency": "EUR", "window": 0})),
            "`window` is 0; it must be 1 to 1000 periods",
        ),
        (
            refuse(json!({"currency": "EUR", "window": 5})),
            "`min_scenarios` is 20; it must be 1 to `window`, which is 5",
        ),
        (refuse(json!({"currency": "EUR", "confidence": [1]})), "`confidence` of 1.0000"),
        (refuse(json!({"currency": "EUR", "confidence": [0.99, 0.95]})), "`confidence` must rise"),
        (limit(json!({"measure": "loss", "limit": 0})), "`limits`: the limit of `loss` is 0.00"),
        (
            limit(json!({"measure": "loss", "limit": 1, "clear": 2})),
            "`clear` of `loss` is 2.00; it must be 0 to the limit of 1.00",
        ),
        (limit(json!({"measure": "loss", "limit": "1.005"})), "`1.0050` has more than 2 digits"),
        (limit(json!({"measure": "fear", "limit": 1})), "unknown variant `fear`"),
    ] {
        assert!(message.contains(part), "{message}");
    }
}
