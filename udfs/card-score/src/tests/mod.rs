//! The rules through the harness, an example from the literature, and what holds for all transactions.

use millstream_udf::Udf;
use millstream_udf::testing::{Harness, Refusal};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::CardScore;
use crate::config::Ramp;
use crate::travel::{Place, distance_m, speed_milli};
use crate::velocity::Velocity;

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 3_600_000;

fn scoring(more: Value) -> Value {
    let mut config = json!({"role": "score"});
    config.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    config
}

fn harness(config: Value) -> Harness<CardScore> {
    Harness::with_config(config).key_from("/card_id").event_time_from("/ts")
}

fn txn(minute: i64, amount: &str) -> Value {
    json!({"id": format!("t{minute}"), "ts": minute * MINUTE_MS, "card_id": "c", "merchant_id": "m", "amount": amount})
}

fn at(minute: i64, latitude: &str, longitude: &str) -> Value {
    let mut txn = txn(minute, "1");
    txn["latitude"] = latitude.into();
    txn["longitude"] = longitude.into();
    txn
}

fn place(latitude: i64, longitude: i64, at: i64) -> Place {
    Place { latitude, longitude, at }
}

/// Rosetta Code, "Haversine formula": from Nashville (36.12, -86.67) to Los Angeles (33.94, -118.40) it is 2,886.444 km with a radius of 6,371 km.
#[test]
fn rosetta_nashville_to_los_angeles() {
    let (bna, lax) = (place(36_120_000, -86_670_000, 0), place(33_940_000, -118_400_000, HOUR_MS));
    assert_eq!(distance_m(&bna, &lax), 2_886_444);
    assert_eq!(speed_milli(&bna, &lax), 2_886_444);
    assert_eq!(distance_m(&place(0, 180_000_000, 0), &place(0, -180_000_000, 0)), 0);
}

#[test]
fn an_item_says_everything() {
    let config = scoring(json!({
        "signals": {"amount": {"from": 100, "to": 1100, "points": 500}, "merchant_cards": {"from": 1, "to": 5, "points": 200}},
        "merchants": {"m": 150}, "categories": {"7995": 100}, "review": 400, "decline": 700,
    }));
    let mut harness = harness(config);
    let mut txn = txn(0, "600.00");
    txn["category"] = "7995".into();
    txn["velocities"] = json!({"merchant": {"count_milli": 5000, "amount_minor": 1, "cards": 3}});
    harness.send(txn).unwrap();
    let expected = concat!(
        r#"{"amount":600.00,"card_id":"c","currency":"EUR","decision":"review","id":"t0","merchant_id":"m","reasons":["#,
        r#"{"code":"amount","points":250,"value":600.000},{"code":"merchant","points":150},{"code":"category","points":100},"#,
        r#"{"code":"merchant_cards","points":100,"value":3.000}],"score":600,"ts":0,"type":"card_score"}"#
    );
    assert_eq!(harness.take_lines("scores"), [expected]);
}

#[test]
fn transactions_pass_through_with_their_velocity() {
    let mut harness = harness(json!({"role": {"velocity": "device"}, "half_life": "1h"}));
    let mut second = txn(60, "20.00");
    second["card_id"] = "d".into();
    second["latitude"] = "1.5".into();
    second["velocities"] = json!({"merchant": {"count_milli": 1, "amount_minor": 2, "cards": 3}});
    for mut txn in [txn(0, "10.00"), second] {
        txn["device_id"] = "dev".into();
        let txn = millstream_udf::testing::Record::json(txn).key("dev");
        harness.send(txn).unwrap();
    }
    let expected = [
        concat!(
            r#"{"amount":10.00,"card_id":"c","currency":"EUR","device_id":"dev","id":"t0","merchant_id":"m","ts":0,"#,
            r#""velocities":{"device":{"count_milli":1000,"amount_minor":1000,"cards":1}}}"#
        ),
        concat!(
            r#"{"amount":20.00,"card_id":"d","currency":"EUR","device_id":"dev","id":"t60","latitude":1.500000,"merchant_id":"m","ts":3600000,"#,
            r#""velocities":{"device":{"count_milli":1500,"amount_minor":2500,"cards":2},"merchant":{"count_milli":1,"amount_minor":2,"cards":3}}}"#
        ),
    ];
    assert_eq!(harness.take_lines("transactions"), expected);
}

#[test]
fn many_transactions_in_a_short_time_add_points_until_they_fade() {
    let config = scoring(
        json!({"signals": {"card_count": {"from": 2, "to": 6, "points": 400}}, "half_life": "30m"}),
    );
    let mut harness = harness(config);
    let minutes = [0, 0, 0, 0, 30, 600];
    assert_eq!(harness.send_all(minutes.map(|minute| txn(minute, "5"))), []);
    let scores: Vec<_> = harness.take("scores").iter().map(|item| item["score"].as_i64()).collect();
    assert_eq!(scores, [Some(0), Some(0), Some(100), Some(200), Some(100), Some(0)]);
}

#[test]
fn a_card_cannot_be_in_two_cities_at_once() {
    let config =
        scoring(json!({"signals": {"travel_speed": {"from": 300, "to": 900, "points": 600}}}));
    let mut harness = harness(config);
    let records = [
        at(0, "50.1109", "8.6821"), // Frankfurt
        at(1, "50.1109", "8.6821"),
        at(61, "48.2082", "16.3738"), // Vienna, 597 km: in an hour, at 597 km/h
        at(30, "48.2082", "16.3738"), // late, and on the way
        at(62, "38.7223", "-9.1393"), // Lisbon, a minute later
        txn(63, "1"),
    ];
    assert_eq!(harness.send_all(records), []);
    let scores: Vec<_> =
        harness.take("scores").iter().map(|item| item["score"].as_i64().unwrap_or(-1)).collect();
    assert_eq!(scores, [0, 0, 297, 0, 600, 0]);
}

#[test]
fn scores_end_at_the_maximum_and_say_so() {
    let config = scoring(json!({"merchants": {"m": 900}, "categories": {"x": 400}}));
    let mut harness = harness(config);
    let mut txn = txn(0, "1");
    txn["category"] = "x".into();
    harness.send(txn).unwrap();
    let item = harness.take("scores").remove(0);
    assert_eq!((&item["score"], &item["decision"]), (&json!(1000), &json!("decline")));
    assert_eq!(item["reasons"][2], json!({"code": "at_maximum", "points": -300}));
}

#[test]
fn records_that_make_no_sense_are_refused() {
    let mut harness = harness(scoring(json!({})));
    for (record, why) in [
        (txn(0, "-1"), "an amount of -1.00 EUR"),
        (at(0, "91", "0"), "a latitude of 91.000000"),
        (at(0, "0", "-181"), "a longitude of -181.000000"),
    ] {
        assert_eq!(harness.send(record), Err(Refusal::Failed(why.into())));
    }
}

/// Minor units of ISO 4217: a yen has no smaller coin, a dinar has a thousand.
#[test]
fn amounts_have_the_digits_of_their_currency() {
    let value = |code: &str, amount: &str| {
        let signals = json!({"amount": {"from": 0, "to": 100, "points": 100}});
        let mut harness = harness(scoring(json!({"currency": code, "signals": signals})));
        let mut txn = txn(0, amount);
        txn["currency"] = code.into();
        harness.send(txn).map_err(|refusal| refusal.to_string())?;
        let score = harness.take("scores")[0].clone();
        assert_eq!(score["currency"], code);
        Ok((score["amount"].to_string(), score["reasons"][0]["value"].to_string()))
    };
    let of = |amount: &str, value: &str| Ok((amount.to_owned(), value.to_owned()));
    assert_eq!(value("JPY", "50"), of("50", "50.0"));
    assert_eq!(value("BHD", "50.125"), of("50.125", "50.125"));
    assert_eq!(value("EUR", "50.5"), of("50.5", "50.5"));
    let refused: Result<_, String> = value("JPY", "50.5");
    assert!(refused.is_err_and(|why| why.contains("not an amount in JPY")));
    let mut other = txn(0, "5");
    other["currency"] = "USD".into();
    let refused = harness(scoring(json!({}))).send(other).map_err(|refusal| refusal.to_string());
    assert!(refused.is_err_and(|why| why.contains("an amount in USD where EUR is needed")));
}

#[test]
fn the_configuration_is_checked() {
    let refuse = |config: Value| {
        CardScore::create(Some(&config.to_string()))
            .err()
            .map(|e| e.to_string())
            .unwrap_or_default()
    };
    assert_eq!(refuse(scoring(json!({}))), "");
    for (config, part) in [
        (json!({}), "missing field `role`"),
        (json!({"role": {"velocity": "card"}}), "a velocity cannot be named `card`"),
        (json!({"role": {"velocity": "m"}, "merchants": {"a": 1}}), "gives no points"),
        (
            scoring(json!({"signals": {"luck": {"from": 0, "to": 1, "points": 1}}})),
            "`luck` is no signal",
        ),
        (
            scoring(json!({"signals": {"amount": {"from": 1, "to": 1, "points": 1}}})),
            "`from` is 1.000 and `to` 1.000",
        ),
        (scoring(json!({"merchants": {"a": 1001}})), "1001 points; they must be 0 to 1000"),
        (scoring(json!({"review": 800})), "`review` is 800 and `decline` 700"),
        (scoring(json!({"half_life": "0"})), "`half_life` is 0ns"),
    ] {
        let message = refuse(config);
        assert!(message.contains(part), "{message}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn reasons_add_up_to_the_score_which_stays_in_bounds(amounts in prop::collection::vec((0..600_i64, 0..500_000_i64, -90..=90_i64, -180..=180_i64), 1..30)) {
        let ramp = |to: i64, points: i64| json!({"from": 0, "to": to, "points": points});
        let config = scoring(json!({
            "signals": {"amount": ramp(1_000, 300), "card_count": ramp(8, 300), "card_amount": ramp(9_000, 300), "travel_speed": ramp(900, 500)},
            "merchants": {"m": 77},
        }));
        let mut harness = harness(config);
        let records = amounts.iter().map(|(minute, cents, latitude, longitude)| {
            let mut record = at(*minute, &latitude.to_string(), &longitude.to_string());
            record["amount"] = finance::Exact::new(*cents, 2).to_string().into();
            record
        });
        prop_assert_eq!(harness.send_all(records), []);
        for item in harness.take("scores") {
            let score = item["score"].as_i64().expect("a score");
            prop_assert!((0..=1_000).contains(&score));
            let reasons = item["reasons"].as_array().expect("reasons");
            prop_assert_eq!(reasons.iter().filter_map(|reason| reason["points"].as_i64()).sum::<i64>(), score);
        }
    }

    #[test]
    fn points_grow_with_the_value(a in any::<i64>(), b in any::<i64>(), from in 0..1_000_i64, width in 1..1_000_i64, points in 0..=1_000_i64) {
        let ramp = Ramp { from: finance::exact::Fixed(from), to: finance::exact::Fixed(from + width), points };
        let (low, high) = (ramp.points(a.min(b)), ramp.points(a.max(b)));
        prop_assert!(0 <= low && low <= high && high <= points);
    }

    /// The order of arrival matters by rounding only.
    #[test]
    fn late_transactions_count_as_if_in_time(mut times in prop::collection::vec(0..4 * HOUR_MS, 1..20)) {
        let count = |times: &[i64]| {
            let mut velocity = Velocity::default();
            times.iter().map(|at| velocity.add("c", 100, *at, HOUR_MS)).next_back().expect("a reading").count_milli
        };
        let arrived = count(&times);
        times.sort_unstable();
        prop_assert!((arrived - count(&times)).abs() <= 2 * times.len() as i64);
    }

    #[test]
    fn distances_are_those_of_a_sphere(a in (-90_000_000..=90_000_000_i64, -180_000_000..=180_000_000_i64), b in (-90_000_000..=90_000_000_i64, -180_000_000..=180_000_000_i64)) {
        let (a, b) = (place(a.0, a.1, 0), place(b.0, b.1, 0));
        let distance = distance_m(&a, &b);
        prop_assert_eq!(distance, distance_m(&b, &a));
        prop_assert!((0..=20_015_087).contains(&distance));
        prop_assert_eq!(distance_m(&a, &a), 0);
    }
}
