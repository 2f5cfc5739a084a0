//! Exposures and limits through the UDF.

mod model;

use millstream_udf::Udf;
use millstream_udf::testing::{Harness, Refusal};
use serde_json::{Value, json};

use crate::CounterpartyExposure;

const MINUTE: i64 = 60_000;

fn harness(config: Value) -> Harness<CounterpartyExposure> {
    let mut all = json!({"currency": "EUR"});
    for (key, value) in config.as_object().expect("settings") {
        all[key] = value.clone();
    }
    Harness::with_config(all).key_from("/counterparty").event_time_from("/ts")
}

fn trade(set: Option<&str>, value_minor: i64, ts: i64) -> Value {
    json!({"trade_id": format!("t{ts}"), "counterparty": "acme", "netting_set": set,
        "value_minor": value_minor, "value_currency": "EUR", "ts": ts})
}

/// End in minutes, gross, net, rolling gross, rolling net, reason.
fn brief(exposures: &[Value]) -> Vec<String> {
    exposures
        .iter()
        .map(|e| {
            format!(
                "{} {} {} {} {} {}",
                e["end"].as_i64().expect("an end") / MINUTE,
                e["gross_minor"],
                e["net_minor"],
                e["rolling_gross_minor"],
                e["rolling_net_minor"],
                e["reason"].as_str().expect("a reason"),
            )
        })
        .collect()
}

#[test]
fn netting_is_within_a_set_only() {
    let mut desk = harness(json!({"rolling": "1m"}));
    for (set, value) in [
        (Some("isda"), 100),
        (Some("isda"), -30),
        (Some("repo"), 20),
        (Some("repo"), -50),
        (None, 7),
        (None, -9),
    ] {
        desk.send(trade(set, value, 1)).unwrap();
    }
    desk.end_of_input();
    let exposures = desk.take("exposure");
    // Claims of 100, 20 and 7; net 70 of the one set, nothing of the other, and 7 that nothing is set off against.
    assert_eq!(brief(&exposures), ["1 127 77 127 77 trades", "2 0 0 0 0 silence"]);
    assert_eq!(exposures[0]["trades"], 6);
    assert_eq!(desk.stored_elements("acme"), 0);
    assert_eq!(desk.pending_timers(), []);
}

#[test]
fn the_rolling_total_nets_over_minutes_and_falls_in_silence() {
    let mut desk = harness(json!({"rolling": "3m"}));
    for record in
        [trade(Some("s"), 100, 0), trade(Some("s"), -60, MINUTE), trade(Some("s"), 5, 6 * MINUTE)]
    {
        desk.send(record).unwrap();
    }
    desk.end_of_input();
    assert_eq!(
        brief(&desk.take("exposure")),
        [
            "1 100 100 100 100 trades",
            "2 0 0 100 40 trades",
            "3 0 0 100 40 silence",
            "4 0 0 0 0 silence",
            "5 0 0 0 0 silence",
            "7 5 5 5 5 trades",
            "8 0 0 5 5 silence",
            "9 0 0 5 5 silence",
            "10 0 0 0 0 silence",
        ]
    );
}

#[test]
fn a_limit_is_raised_once_and_cleared_lower() {
    let mut desk = harness(json!({"rolling": "2m", "limits": [
        {"measure": "net", "limit": "1.00", "clear": "0.50"},
        {"measure": "rolling_gross", "limit": 2},
    ]}));
    for (minute, value) in [101, 100, 99, 51, 50, 101].into_iter().enumerate() {
        desk.send(trade(Some("s"), value, minute as i64 * MINUTE)).unwrap();
    }
    desk.end_of_input();
    let limits = desk.take("limits");
    let brief: Vec<String> = limits
        .iter()
        .map(|l| {
            let end = l["ts"].as_i64().expect("a time") / MINUTE;
            format!("{end} {} {} {}", l["measure"], l["reason"], l["value_minor"])
        })
        .collect();
    assert_eq!(
        brief,
        [
            r#"1 "net" "above_limit" 101"#,
            r#"2 "rolling_gross" "above_limit" 201"#,
            r#"4 "rolling_gross" "back_within" 150"#,
            r#"5 "net" "back_within" 50"#,
            r#"6 "net" "above_limit" 101"#,
            r#"7 "net" "back_within" 0"#,
        ]
    );
    assert_eq!(limits[3]["since"], MINUTE);
    assert_eq!(limits[2]["clear_minor"], 180);
}

#[test]
fn a_breach_says_what_it_is_made_of() {
    let mut desk = harness(
        json!({"limits": [{"measure": "gross", "limit": "0.01"}], "counterparties": {"other": []}}),
    );
    for (set, value) in
        [(Some("a"), 3), (Some("b"), 9), (None, 5), (Some("c"), 4), (Some("d"), 1), (Some("e"), -8)]
    {
        desk.send(trade(set, value, 0)).unwrap();
        let mut other = trade(set, value, 0);
        other["counterparty"] = "other".into();
        desk.send(other).unwrap();
    }
    desk.advance_watermark(MINUTE);
    let limits = desk.take("limits");
    assert_eq!(limits.len(), 1, "a counterparty with limits of its own has no others");
    assert_eq!(
        limits[0]["reasons"],
        json!([
            {"code": "netting_set", "netting_set": "b", "value_minor": 9},
            {"code": "unnetted", "value_minor": 5},
            {"code": "netting_set", "netting_set": "c", "value_minor": 4},
            {"code": "others", "value_minor": 4},
        ])
    );
}

#[test]
fn late_trades_are_told() {
    let mut desk = harness(json!({})).with_bound(5_000);
    desk.send(trade(None, 1, MINUTE + 4_999)).unwrap();
    desk.send(trade(None, 1, MINUTE - 1)).unwrap();
    desk.send(trade(None, 1, MINUTE + 5_000)).unwrap();
    desk.send(trade(None, 2, MINUTE - 2)).unwrap();
    assert_eq!(
        desk.take_lines("late"),
        [
            r#"{"counterparty":"acme","currency":"EUR","trade_id":"t59998","ts":59998,"type":"late","value_minor":2}"#
        ]
    );
}

#[test]
fn what_makes_no_sense_is_refused() {
    let mut desk = harness(json!({}));
    let mut dollars = trade(None, 1, 0);
    dollars["value_currency"] = "USD".into();
    let refused = |why: &str| Err(Refusal::Failed(why.into()));
    assert_eq!(desk.send(dollars), refused("a value in USD; it must be in EUR"));
    assert_eq!(
        desk.send(trade(Some(""), 1, 0)),
        refused("`netting_set` has 0 bytes; it must have 1 to 128")
    );
    for set in 0..64 {
        desk.send(trade(Some(&format!("s{set}")), 1, 0)).unwrap();
    }
    desk.send(trade(Some("s0"), 1, 0)).unwrap();
    assert_eq!(
        desk.send(trade(Some("s64"), 1, 0)),
        refused("more than 64 netting sets in one period")
    );
    desk.send(trade(Some("s64"), 1, MINUTE)).unwrap();
    // An hour has fewer in each minute.
    let mut hour = harness(json!({"rolling": "1h"}));
    for set in 0..16 {
        hour.send(trade(Some(&format!("s{set}")), 1, 0)).unwrap();
    }
    assert_eq!(
        hour.send(trade(Some("s16"), 1, 0)),
        refused("more than 16 netting sets in one period")
    );
}

#[test]
fn the_configuration_is_checked() {
    let refused = |config: Value| {
        CounterpartyExposure::create(Some(&config.to_string()))
            .err()
            .map(|error| error.message().to_owned())
            .unwrap_or_default()
    };
    assert_eq!(refused(json!({"currency": "EUR"})), "");
    for (config, why) in [
        (json!({"period": "1ms"}), "`period` is 1 ms; it must be 1s to 1d"),
        (
            json!({"rolling": "90s"}),
            "`rolling` is 90000 ms; it must be 1 to 60 times `period`, which is 60000 ms",
        ),
        (
            json!({"counterparties": {"acme": [{"measure": "net", "limit": 0}]}}),
            "`counterparties` of `acme`: the limit of `net` is 0.00; it must be above 0",
        ),
    ] {
        let mut config = config;
        config["currency"] = "EUR".into();
        assert_eq!(refused(config), why);
    }
}
