//! The rules through the harness, and what holds for all units.

use std::collections::BTreeMap;

use millstream_udf::Udf;
use millstream_udf::testing::{Harness, Refusal};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::OperationalRisk;
use crate::indicator::{Level, Thresholds};

const HOUR_MS: i64 = 3_600_000;

fn harness(config: Value) -> Harness<OperationalRisk> {
    Harness::with_config(config).key_from("/unit").event_time_from("/ts").with_bound(0)
}

fn events(hour: i64, count: i64) -> Value {
    json!({"id": format!("e{hour}"), "type": "event", "unit": "u", "count": count, "ts": hour * HOUR_MS + 1})
}

fn reading(minute: i64, indicator: &str, value: &str) -> Value {
    json!({"id": format!("k{minute}"), "type": "indicator", "unit": "u", "indicator": indicator, "value": value, "ts": minute * 60_000})
}

/// Sends counts by hour, from hour 0 on; gives anomalies as `hour state reason`.
fn anomalies(config: Value, counts: &[i64]) -> Vec<String> {
    let mut harness = harness(config);
    let records = counts.iter().enumerate().filter(|(_, count)| **count > 0);
    assert_eq!(harness.send_all(records.map(|(hour, count)| events(hour as i64, *count))), []);
    harness.end_of_input();
    let brief = |item: &Value| {
        let hour = item["ts"].as_i64().unwrap_or(0) / HOUR_MS;
        format!(
            "{hour} {} {}",
            item["state"].as_str().unwrap_or(""),
            item["reason"].as_str().unwrap_or("")
        )
    };
    harness.take("anomalies").iter().map(brief).collect()
}

#[test]
fn a_burst_is_found_at_once_and_a_small_shift_in_time() {
    let config = || json!({"units": {"u": {"mean": 10, "deviation": 2}}, "quiet_after": 1});
    assert_eq!(
        anomalies(config(), &[10, 11, 30, 10]),
        [
            "3 raised ewma_high",
            "3 raised cusum_high",
            "5 cleared ewma_high",
            "5 cleared cusum_high"
        ]
    );
    // One and a half deviations more, each hour: the sum grows by one deviation.
    let found = anomalies(config(), &[13; 7]);
    assert_eq!(
        found,
        [
            "5 raised ewma_high",
            "6 raised cusum_high",
            "8 cleared ewma_high",
            "8 cleared cusum_high"
        ]
    );
}

#[test]
fn silence_is_an_anomaly_and_ends_the_watch() {
    let config = json!({"units": {"u": {"mean": 9}}, "quiet_after": 4});
    let mut harness = harness(config);
    harness.send(events(0, 9)).unwrap();
    harness.end_of_input();
    let found: Vec<_> = harness
        .take("anomalies")
        .iter()
        .map(|item| (item["ts"].as_i64().unwrap_or(0) / HOUR_MS, item["reason"].clone()))
        .collect();
    assert_eq!(found, [(3, json!("ewma_low")), (4, json!("cusum_low"))]);
    assert_eq!(harness.pending_timers(), []);
}

#[test]
fn what_is_usual_is_learned() {
    let mut counts = vec![4, 0, 8, 4, 4, 4];
    assert_eq!(anomalies(json!({"learn": 6, "quiet_after": 2}), &counts), Vec::<String>::new());
    counts.extend([4, 4, 20]);
    let found = anomalies(json!({"learn": 6, "quiet_after": 1}), &counts[2..]);
    assert_eq!(
        found,
        [
            "7 raised ewma_high",
            "7 raised cusum_high",
            "8 cleared ewma_high",
            "8 cleared cusum_high"
        ]
    );
}

#[test]
fn an_item_says_everything() {
    let mut harness =
        harness(json!({"units": {"u": {"mean": "10", "deviation": 2}}, "quiet_after": 1}));
    harness.send(events(5, 30)).unwrap();
    harness.advance_watermark(6 * HOUR_MS);
    let expected = [
        r#"{"count":30,"deviation":2.000000,"limit":12.000000,"mean":10.000000,"reason":"ewma_high","since":21600000,"state":"raised","ts":21600000,"type":"anomaly","unit":"u","value":14.000000}"#,
        r#"{"count":30,"deviation":2.000000,"limit":10.000000,"mean":10.000000,"reason":"cusum_high","since":21600000,"state":"raised","ts":21600000,"type":"anomaly","unit":"u","value":19.000000}"#,
    ];
    assert_eq!(harness.take_lines("anomalies"), expected);
}

#[test]
fn indicators_change_level_with_hysteresis() {
    let config = json!({"indicators": {"backlog": {"amber": 100, "red": 200, "margin": 10}, "uptime": {"amber": "99.9", "red": 99.5}}});
    let mut harness = harness(config);
    let records = [
        ("backlog", "99"),
        ("backlog", "100"),
        ("backlog", "90"),
        ("backlog", "89.9"),
        ("backlog", "250"),
        ("backlog", "195"),
        ("backlog", "50"),
        ("uptime", "99.95"),
        ("uptime", "99.9"),
        ("uptime", "99.4"),
        ("uptime", "100"),
    ];
    assert_eq!(
        harness.send_all(
            records.iter().enumerate().map(|(i, (name, value))| reading(i as i64, name, value))
        ),
        []
    );
    let brief = |item: &Value| {
        format!(
            "{} {} {} {}",
            item["value"],
            item["from"].as_str().unwrap_or(""),
            item["to"].as_str().unwrap_or(""),
            item["reason"].as_str().unwrap_or("")
        )
    };
    let found: Vec<_> = harness.take("levels").iter().map(brief).collect();
    let expected = [
        "100.0 green amber threshold_reached",
        "89.9 amber green back_within",
        "250.0 green red threshold_reached",
        "50.0 red green back_within",
        "99.9 green amber threshold_reached",
        "99.4 amber red threshold_reached",
        "100.0 red green back_within",
    ];
    assert_eq!(found, expected);
}

#[test]
fn red_for_too_long_is_escalated_step_by_step() {
    let config = json!({"indicators": {"backlog": {"amber": 1, "red": 2}, "age": {"amber": 1, "red": 2}}, "escalation": ["30m", "2h"]});
    let mut harness = harness(config);
    let records = [
        reading(0, "backlog", "5"),
        reading(10, "age", "5"),
        reading(45, "age", "0"),
        reading(60, "backlog", "6"),
        reading(300, "backlog", "0"),
        reading(310, "backlog", "3"),
    ];
    assert_eq!(harness.send_all(records), []);
    let mut escalations = harness.take_lines("escalations");
    // The reading that clears `age` comes before the watermark reaches what was due before it.
    escalations.sort();
    let expected = [
        r#"{"indicator":"age","reason":"red_for_too_long","since":600000,"step":1,"ts":2400000,"type":"escalation","unit":"u","value":5.000000}"#,
        r#"{"indicator":"backlog","reason":"red_for_too_long","since":0,"step":1,"ts":1800000,"type":"escalation","unit":"u","value":5.000000}"#,
        r#"{"indicator":"backlog","reason":"red_for_too_long","since":0,"step":2,"ts":7200000,"type":"escalation","unit":"u","value":6.000000}"#,
    ];
    assert_eq!(escalations, expected);
}

#[test]
fn what_comes_too_late_is_named() {
    let mut harness = harness(json!({"indicators": {"k": {"amber": 1, "red": 2}}}));
    for record in
        [events(0, 1), events(2, 1), events(0, 1), reading(200, "k", "0"), reading(199, "k", "0")]
    {
        harness.send(record).unwrap();
    }
    let reasons: Vec<_> = harness.take("late").iter().map(|item| item["reason"].clone()).collect();
    assert_eq!(reasons, [json!("interval_closed"), json!("newer_reading_known")]);
}

#[test]
fn records_that_make_no_sense_are_refused() {
    let mut harness = harness(json!({}));
    for (record, why) in [
        (events(0, 0), "0 events; it must be 1 to 1000000000"),
        (reading(0, "k", "1"), "`k` is no configured indicator"),
        (
            json!({"id": "x", "type": "indicator", "unit": "u", "ts": 0}),
            "a reading without `indicator`",
        ),
        (
            json!({"id": "x", "type": "gift", "unit": "u", "ts": 0}),
            "`gift` is neither `event` nor `indicator`",
        ),
    ] {
        assert_eq!(harness.send(record), Err(Refusal::Failed(why.into())));
    }
}

#[test]
fn the_configuration_is_checked() {
    let refuse = |config: Value| {
        OperationalRisk::create(Some(&config.to_string()))
            .err()
            .map(|e| e.to_string())
            .unwrap_or_default()
    };
    assert_eq!(refuse(json!({})), "");
    for (config, part) in [
        (json!({"lambda": 0}), "`lambda` is 0.000000; it must be 0.000001 to 1.000000"),
        (json!({"learn": 0}), "`learn` is 0; it must be 1 to 10000 intervals"),
        (json!({"interval": "0"}), "`interval` is 0ns"),
        (json!({"units": {"u": {"mean": -1}}}), "`units` of `u`: a mean of -1.000000"),
        (
            json!({"indicators": {"k": {"amber": 1, "red": 1}}}),
            "`indicators` of `k`: `amber` and `red` are equal",
        ),
        (json!({"escalation": ["2h", "1h"]}), "`escalation` must rise"),
    ] {
        let message = refuse(config);
        assert!(message.contains(part), "{message}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 64, ..ProptestConfig::default() })]

    /// The order of arrival within the watermark's bound and the size of batches do not show.
    #[test]
    fn only_counts_per_interval_matter(counts in prop::collection::vec(0..40_i64, 1..40), batch in 1..50_usize) {
        let config = || json!({"learn": 5, "quiet_after": 3});
        let in_order = anomalies(config(), &counts);
        let mut harness = Harness::<OperationalRisk>::with_config(config()).key_from("/unit").event_time_from("/ts").with_bound(100 * HOUR_MS).batches_of(batch);
        let mut records = Vec::new();
        for (hour, count) in counts.iter().enumerate().rev() {
            records.extend((0..*count).map(|_| events(hour as i64, 1)));
        }
        prop_assert_eq!(harness.send_all(records), []);
        harness.end_of_input();
        prop_assert_eq!(harness.take("anomalies").len(), in_order.len());
        prop_assert_eq!(harness.take_lines("late"), [""; 0]);
    }

    /// Of each signal, raised and cleared come in turns.
    #[test]
    fn signals_are_raised_and_cleared_in_turns(counts in prop::collection::vec(0..60_i64, 1..80)) {
        let mut on: BTreeMap<String, bool> = BTreeMap::new();
        for line in anomalies(json!({"units": {"u": {"mean": 20}}, "quiet_after": 3}), &counts) {
            let mut words = line.split(' ').skip(1);
            let (state, reason) = (words.next(), words.next().unwrap_or("").to_owned());
            let was_on = on.insert(reason, state == Some("raised")).unwrap_or(false);
            prop_assert_eq!(was_on, state == Some("cleared"));
        }
    }

    #[test]
    fn a_worse_value_never_has_a_better_level(a in any::<i32>(), b in any::<i32>(), amber in any::<i32>(), red in any::<i32>(), margin in 0..1_000_i64) {
        prop_assume!(amber != red);
        let thresholds = Thresholds { amber: amber.into(), red: red.into(), margin };
        for level in [Level::Green, Level::Amber, Level::Red] {
            let of = |value: i32| thresholds.level(value.into(), level);
            let (low, high) = (of(a.min(b)), of(a.max(b)));
            let (better, worse) = if red > amber { (low, high) } else { (high, low) };
            prop_assert!(better <= worse);
        }
    }
}
