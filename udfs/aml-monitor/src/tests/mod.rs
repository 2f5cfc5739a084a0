//! The rules one by one, on published examples where there are any.

mod properties;

use millstream_udf::testing::{Harness, Refusal};
use serde_json::{Value, json};

use crate::AmlMonitor;

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;

fn harness(mut config: Value) -> Harness<AmlMonitor> {
    config["currency"] = "USD".into();
    Harness::with_config(config).key_from("/account_id").event_time_from("/ts")
}

/// A transaction of the account `a`, such as `in cash 750000`; its id is `t` and its time.
fn txn(what: &str, ts: i64) -> Value {
    let words: Vec<&str> = what.split(' ').collect();
    json!({
        "account_id": "a", "txn_id": format!("t{ts}"), "ts": ts, "direction": words[0], "channel": words[1],
        "amount_minor": words[2].parse::<i64>().expect("an amount"), "currency": "USD",
    })
}

/// The codes of the alerts, as `t1: structuring, ...`.
fn alerts(config: Value, transactions: &[(&str, i64)]) -> Vec<String> {
    let mut harness = harness(config);
    assert_eq!(
        harness.send_all_to("transactions", transactions.iter().map(|(what, ts)| txn(what, *ts))),
        []
    );
    let codes = |alert: &Value| {
        let reasons = alert["reasons"].as_array().expect("reasons").iter();
        let codes: Vec<_> =
            reasons.map(|reason| reason["code"].as_str().expect("a code")).collect();
        format!("{}: {}", alert["txn_id"].as_str().expect("an id"), codes.join(", "))
    };
    harness.take("alert").iter().map(codes).collect()
}

/// FinCEN, "Notice to Customers: A CTR Reference Guide" (2009), example 1: John has $15,000 in cash and deposits
/// $7,500 in the morning and $7,500 later that day. Example 2: Jane cashes a $9,000 check on a Monday and another
/// $9,000 check the following day.
#[test]
fn the_examples_of_fincen_are_structuring() {
    let mut john = harness(json!({}));
    john.send_to("transactions", txn("in cash 750000", 9 * HOUR_MS)).unwrap();
    john.send_to("transactions", txn("in cash 750000", 15 * HOUR_MS)).unwrap();
    let expected = r#"{"account_id":"a","amount_minor":750000,"currency":"USD","decision":"review","reasons":[{"code":"structuring","count":2,"total_minor":1500000,"txn_ids":["t32400000","t54000000"],"points":60}],"score":60,"ts":54000000,"txn_id":"t54000000","type":"alert"}"#;
    assert_eq!(john.take_lines("alert"), [expected]);
    let jane = [("out cash 900000", 0), ("out cash 900000", DAY_MS)];
    assert_eq!(alerts(json!({}), &jane), ["t86400000: structuring"]);
}

#[test]
fn what_is_no_structuring() {
    let hours = |h| h * HOUR_MS;
    for harmless in [
        // Above the threshold: reported anyway.
        vec![("in cash 1000001", 0), ("in cash 1000001", hours(1))],
        // Together not above it.
        vec![("in cash 500000", 0), ("in cash 500000", hours(1))],
        // Small sums of a shop.
        vec![("in cash 499999", 0), ("in cash 499999", hours(1)), ("in cash 499999", hours(2))],
        // Not cash; in and out are not added up (31 CFR 1010.313).
        vec![("in wire 900000", 0), ("in cash 900000", hours(1)), ("out cash 700000", hours(30))],
        // Too long ago.
        vec![("in cash 900000", 0), ("in cash 900000", 2 * DAY_MS)],
    ] {
        assert_eq!(alerts(json!({}), &harmless), [""; 0], "{harmless:?}");
    }
}

#[test]
fn a_part_counts_for_one_alert() {
    let parts: Vec<_> = (0..5).map(|hour| ("in cash 600000", hour * HOUR_MS)).collect();
    assert_eq!(alerts(json!({}), &parts), ["t3600000: structuring", "t10800000: structuring"]);
}

#[test]
fn a_late_part_counts_within_the_window() {
    let parts = [("in cash 900000", DAY_MS), ("in cash 900000", 0)];
    assert_eq!(alerts(json!({}), &parts), ["t0: structuring"]);
}

#[test]
fn what_leaves_soon_after_it_came() {
    let through = |last, at| [("in wire 600000", 0), ("out wire 300000", HOUR_MS), (last, at)];
    assert_eq!(
        alerts(json!({}), &through("out wire 240000", 2 * HOUR_MS)),
        ["t7200000: rapid_in_out"]
    );
    assert_eq!(alerts(json!({}), &through("out wire 239999", 2 * HOUR_MS)), [""; 0]);
    assert_eq!(alerts(json!({}), &through("out wire 240000", DAY_MS)), [""; 0]);
    // What went out before anything came does not count.
    let before = [("out wire 600000", 0), ("in wire 620000", 1), ("out wire 100", 2)];
    assert_eq!(alerts(json!({"round_trip": {"tolerance_bps": 0}}), &before), [""; 0]);
}

#[test]
fn what_comes_back() {
    let back = |amount, at| [("out wire 1000000", 0), (amount, at)];
    assert_eq!(alerts(json!({}), &back("in wire 980000", 5 * DAY_MS)), ["t432000000: round_trip"]);
    assert_eq!(alerts(json!({}), &back("in wire 1020000", 5 * DAY_MS)), ["t432000000: round_trip"]);
    for harmless in
        [("in wire 979999", DAY_MS), ("in cash 990000", DAY_MS), ("in wire 990000", 30 * DAY_MS)]
    {
        assert_eq!(alerts(json!({}), &back(harmless.0, harmless.1)), [""; 0], "{harmless:?}");
    }
    let twice = [("out wire 1000000", 0), ("in wire 1000000", 1), ("in wire 1000000", 2)];
    assert_eq!(alerts(json!({}), &twice), ["t1: round_trip"]);
}

#[test]
fn an_account_that_wakes_up() {
    let wakes = |amount, days| [("in wire 100", 0), (amount, days * DAY_MS)];
    let day_180 = ["t15552000000: dormant_account"];
    assert_eq!(alerts(json!({}), &wakes("out wire 200000", 180)), day_180);
    assert_eq!(alerts(json!({}), &wakes("out wire 200000", 179)), [""; 0]);
    assert_eq!(alerts(json!({}), &wakes("out wire 199999", 180)), [""; 0]);
}

#[test]
fn a_listed_counterparty_is_held_and_points_add_up() {
    let config = json!({"sanctions": {"list": [{"id": "s-7", "name": "Orlan Shipping Ltd"}]}});
    let mut harness = harness(config);
    harness.send_to("transactions", txn("out wire 1000000", 0)).unwrap();
    let mut payment = txn("in wire 1000000", DAY_MS);
    payment["counterparty"] = "ORLAN SHIPING LTD".into();
    harness.send_to("transactions", payment).unwrap();
    let alert = harness.take("alert").pop().expect("an alert");
    assert_eq!((&alert["decision"], &alert["score"]), (&json!("hold"), &json!(140)));
    let expected = json!({"code": "sanctioned_name", "entry_id": "s-7", "listed_name": "Orlan Shipping Ltd", "points": 100, "similarity_milli": 989});
    assert_eq!(alert["reasons"][0], expected);
    assert_eq!(alert["reasons"][1]["code"], "round_trip");
}

#[test]
fn changes_of_the_list_hold_for_what_comes_behind_them() {
    let mut harness = harness(json!({}));
    let pay = |harness: &mut Harness<AmlMonitor>, ts: i64| {
        let mut payment = txn("out wire 100", ts);
        payment["counterparty"] = "Orlan Shiping".into();
        harness.send_to("transactions", payment).unwrap();
        harness.take("alert").len()
    };
    let put = |name: &str| json!({"action": "put", "id": "s-1", "name": name, "aliases": ["OSL"], "ts": 0});
    let change =
        |harness: &mut Harness<AmlMonitor>, change: Value| harness.send_to("sanctions", change);
    assert_eq!(pay(&mut harness, 1), 0);
    change(&mut harness, put("Orlan Shipping")).unwrap();
    assert_eq!(pay(&mut harness, 2), 1);
    change(&mut harness, put("Somebody Else")).unwrap();
    assert_eq!(pay(&mut harness, 3), 0);
    change(&mut harness, put("Orlan Shipping")).unwrap();
    assert_eq!(harness.with_broadcast(|lists| lists.entries.get()).as_deref(), Some(&1));
    change(&mut harness, json!({"action": "remove", "id": "s-1", "ts": 0})).unwrap();
    change(&mut harness, json!({"action": "remove", "id": "s-1", "ts": 0})).unwrap();
    assert_eq!(pay(&mut harness, 4), 0);
    assert_eq!(harness.with_broadcast(|lists| lists.entries.get()).as_deref(), Some(&0));
    for (bad, why) in [
        (json!({"action": "put", "id": "s-1", "ts": 0}), "to `put` an entry needs its `name`"),
        (
            json!({"action": "put", "id": "s-1", "name": "?", "ts": 0}),
            "entry `s-1` has a name without letters: `?`",
        ),
        (
            json!({"action": "drop", "id": "s-1", "ts": 0}),
            "`drop` is no action; it must be `put` or `remove`",
        ),
        (json!({"action": "remove", "id": "", "ts": 0}), "`id` has 0 bytes; it must have 1 to 64"),
    ] {
        assert_eq!(change(&mut harness, bad), Err(Refusal::Failed(why.into())));
    }
}

#[test]
fn transactions_that_make_no_sense_are_refused() {
    let mut harness = harness(json!({}));
    let with = |field: &str, value: Value| {
        let mut txn = txn("in cash 1", 0);
        txn[field] = value;
        txn
    };
    for (bad, why) in [
        (with("direction", "up".into()), "`up` is no direction; it must be `in` or `out`"),
        (with("currency", "EUR".into()), "an amount in EUR; it must be in USD"),
        (with("amount_minor", 0.into()), "an amount of 0; it must be above 0"),
        (with("txn_id", "".into()), "`txn_id` has 0 bytes; it must have 1 to 64"),
    ] {
        assert_eq!(harness.send_to("transactions", bad), Err(Refusal::Failed(why.into())));
    }
}

#[test]
fn the_configuration_is_checked() {
    use millstream_udf::Udf;
    let refused = |mut config: Value| {
        if config.get("currency").is_none() {
            config["currency"] = "USD".into();
        }
        AmlMonitor::create(Some(&config.to_string()))
            .err()
            .map(|error| error.message().to_owned())
            .unwrap_or_default()
    };
    assert_eq!(refused(json!({})), "");
    assert!(refused(json!({"currency": "XYZ"})).contains("`XYZ` is no currency of ISO 4217"));
    assert_eq!(
        refused(json!({"structuring": {"count": 1}})),
        "`structuring.count` is 1; it must be 2 to 20"
    );
    assert_eq!(
        refused(json!({"rapid": {"window": "367d"}})),
        "`rapid.window` must be above 0 and at most 366 days"
    );
    assert!(refused(json!({"rapid": {"windo": "1d"}})).contains("unknown field `windo`"));
}

/// The shipped example, read in the order of event times.
#[test]
fn the_example_gives_what_is_expected() {
    let lines = |input: &'static str, text: &str| -> Vec<(&'static str, Value)> {
        text.lines()
            .map(|line| (input, serde_json::from_str(line).expect("a line is JSON")))
            .collect()
    };
    let mut records =
        lines("sanctions", include_str!("../../../../examples/aml-monitor/sanctions.ndjson"));
    records.extend(lines(
        "transactions",
        include_str!("../../../../examples/aml-monitor/transactions.ndjson"),
    ));
    records.sort_by_key(|(_, record)| record["ts"].as_i64());
    let list = json!([{"id": "EX-003", "name": "Banco Comercial del Istmo"}]);
    let mut harness = harness(json!({"sanctions": {"list": list}}));
    let mut refused = Vec::new();
    for (input, record) in records {
        let id = record["txn_id"].clone();
        if harness.send_to(input, record).is_err() {
            refused.push(id);
        }
    }
    assert_eq!(refused, ["e1"]);
    let mut alerts = harness.take_lines("alert");
    alerts.sort();
    let expected: Vec<&str> =
        include_str!("../../../../examples/aml-monitor/expected.ndjson").lines().collect();
    assert_eq!(alerts, expected);
}
