//! The rules one by one, and that neither batches nor the order of arrival show.

mod model;

use millstream_udf::testing::Harness;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::AccountTakeover;

const HOUR_MS: i64 = 3_600_000;

fn harness(config: Value) -> Harness<AccountTakeover> {
    Harness::with_config(config).key_from("/account_id").event_time_from("/ts").with_bound(60_000)
}

/// An event of the account `a`; `what` is its type, then its device or payee, and its amount in cents and its payee if
/// it has them.
fn event(what: &str, ts: i64) -> Value {
    let mut words = what.split(' ');
    let mut event =
        json!({"account_id": "a", "event_id": format!("e{ts}"), "type": words.next(), "ts": ts});
    if let Some(name) = words.next() {
        let field = if what.starts_with("payee") { "payee" } else { "device" };
        event[field] = name.into();
    }
    if let Some(cents) = words.next() {
        let cents: f64 = cents.parse().expect("an amount in cents");
        event["amount"] = (cents / 100.0).into();
    }
    if let Some(payee) = words.next() {
        event["payee"] = payee.into();
    }
    event
}

/// What is found, as `takeover e1 e3` and `near_miss e1`.
fn found(events: &[(&str, i64)]) -> Vec<String> {
    let items = found_with(json!({}), events);
    let brief = |item: &Value| {
        let ids = ["type", "reset_id", "transfer_id"].iter().filter_map(|id| item[id].as_str());
        ids.collect::<Vec<_>>().join(" ")
    };
    items.iter().map(brief).collect()
}

/// Takeovers, then near misses.
fn found_with(config: Value, events: &[(&str, i64)]) -> Vec<Value> {
    let mut harness = harness(config);
    let events = events.iter().map(|&(what, ts)| event(what, ts));
    assert_eq!(harness.send_all(events), []);
    harness.end_of_input();
    assert_eq!(harness.pending_timers(), []);
    assert_eq!(harness.take_lines("late"), [""; 0]);
    ["takeover", "near_miss"].into_iter().flat_map(|output| harness.take(output)).collect()
}

#[test]
fn reset_then_new_device_then_large_transfer_is_a_takeover() {
    let mut harness = harness(json!({}));
    for (what, ts) in
        [("password_reset", 1), ("login d2", 2), ("device_added d2", 3), ("transfer d2 100000", 4)]
    {
        harness.send(event(what, ts)).unwrap();
    }
    harness.end_of_input();
    let expected = r#"{"account_id":"a","amount":1000.00,"currency":"EUR","device":"d2","device_ts":3,"reason":"large_transfer","reset_id":"e1","reset_ts":1,"transfer_id":"e4","transfer_ts":4,"type":"takeover"}"#;
    assert_eq!(harness.take_lines("takeover"), [expected]);
    assert_eq!(harness.take_lines("near_miss"), [""; 0]);
}

#[test]
fn neither_a_small_transfer_nor_one_from_a_known_device_is() {
    let events = [
        ("password_reset", 1),
        ("device_added d2", 2),
        ("transfer d2 99999", 3),
        ("transfer d1 500000", 4),
    ];
    assert_eq!(found(&events), ["near_miss e1"]);
}

#[test]
fn a_verified_identity_ends_the_watch() {
    let events = [
        ("password_reset", 1),
        ("device_added d2", 2),
        ("identity_verified", 3),
        ("transfer d2 500000", 4),
    ];
    assert_eq!(found(&events), [""; 0]);
}

#[test]
fn an_hour_after_the_reset_it_is_a_near_miss() {
    let events = |ts| [("password_reset", 1), ("device_added d2", 2), ("transfer d2 500000", ts)];
    assert_eq!(found(&events(HOUR_MS)), ["takeover e1 e3600000"]);
    assert_eq!(found(&events(HOUR_MS + 1)), ["near_miss e1"]);
}

#[test]
fn a_reset_alone_is_not_reported() {
    assert_eq!(found(&[("password_reset", 1), ("transfer d2 500000", 2)]), [""; 0]);
}

#[test]
fn one_takeover_is_reported_once() {
    let events = [
        ("password_reset", 1),
        ("password_reset", 2),
        ("device_added d2", 3),
        ("transfer d2 500000", 4),
        ("transfer d2 500000", 5),
    ];
    assert_eq!(found(&events), ["takeover e1 e4"]);
}

/// Apache Flink's documentation of its pattern library. *Combining patterns*: over `a c b1 b2`, `a` followed by any `b` gives `a b1` and
/// `a b2`; here a is a reset, and the b are new devices, each of which the transfer may come from. *After match skip strategy*: over
/// `b1 b2 b3 c`, every b begins a sequence that c completes, and skipping past the last event leaves the one from b1; here
/// the b are resets.
#[test]
fn flinks_tables_of_contiguity_and_of_skipping() {
    let begun =
        [("password_reset", 1), ("login d0", 2), ("device_added d1", 3), ("device_added d2", 4)];
    for device in ["d1", "d2"] {
        let transfer = format!("transfer {device} 500000");
        let found = found_with(json!({}), &[&begun[..], &[(&*transfer, 5)]].concat());
        assert_eq!(found.len(), 1);
        assert_eq!((&found[0]["type"], &found[0]["device"]), (&json!("takeover"), &json!(device)));
    }
    let resets = [1, 2, 3].map(|ts| ("password_reset", ts));
    let rest = [("device_added d2", 4), ("transfer d2 500000", 5)];
    assert_eq!(found(&[&resets[..], &rest].concat()), ["takeover e1 e5"]);
}

#[test]
fn of_several_devices_one_near_miss_is_told() {
    let events = [("password_reset", 1), ("device_added d1", 2), ("device_added d2", 3)];
    let found = found_with(json!({}), &events);
    assert_eq!(found.len(), 1);
    assert_eq!((&found[0]["reset_id"], &found[0]["device"]), (&json!("e1"), &json!("d1")));
    // Whoever has shown an identity card may add devices.
    let transfer = ("transfer d2 500000", 5);
    for verified in [2, 4] {
        let mut events =
            vec![("password_reset", 1), ("device_added d1", 2), ("device_added d2", 4), transfer];
        events.insert(verified - 1, ("identity_verified", 3));
        let found = found_with(json!({}), &events);
        assert_eq!(found, [] as [Value; 0], "{events:?}");
    }
}

#[test]
fn amounts_are_in_the_configured_currency() {
    let mut harness = harness(json!({"currency": "JPY", "large_minor": 5_000}));
    let begun = [("password_reset", 1), ("device_added d2", 2)];
    assert_eq!(harness.send_all(begun.map(|(what, ts)| event(what, ts))), []);
    let mut transfer = event("transfer d2 500000", 3);
    transfer["amount"] = json!(5_000.5);
    let refused = harness.send(transfer.clone()).map_err(|refusal| refusal.to_string());
    assert!(refused.is_err_and(|why| why.contains("not an amount in JPY")));
    transfer["amount"] = json!("5000");
    transfer["currency"] = json!("USD");
    let refused = harness.send(transfer.clone()).map_err(|refusal| refusal.to_string());
    assert!(refused.is_err_and(|why| why.contains("an amount in USD where JPY is needed")));
    transfer["currency"] = json!("JPY");
    harness.send(transfer).unwrap();
    harness.end_of_input();
    let found = harness.take("takeover");
    assert_eq!((&found[0]["amount"], &found[0]["currency"]), (&json!(5_000), &json!("JPY")));
}

#[test]
fn any_credential_may_be_reset() {
    let events = |kind| [(kind, 1), ("device_added d2", 2), ("transfer d2 500000", 3)];
    assert_eq!(found(&events("credential_reset")), ["takeover e1 e3"]);
    assert_eq!(found(&events("pin_reset")), [""; 0]);
    let config = json!({"resets": ["pin_reset"]});
    assert_eq!(found_with(config, &events("pin_reset")).len(), 1);
}

/// Type, payee and reason of what is found if a changed payee is asked for.
fn to_changed_payee(events: &[(&str, i64)]) -> Vec<String> {
    let items = found_with(json!({"changed_payee": true}), events);
    let brief = |item: &Value| {
        let words = ["type", "payee", "reason"].iter().filter_map(|field| item[field].as_str());
        words.collect::<Vec<_>>().join(" ")
    };
    items.iter().map(brief).collect()
}

#[test]
fn a_changed_payee_may_be_asked_for() {
    let reset = [("credential_reset", 1), ("device_added d2", 2)];
    let with = |rest: &[(&'static str, i64)]| to_changed_payee(&[&reset[..], rest].concat());
    assert_eq!(
        with(&[("payee_changed p2", 3), ("transfer d2 500000 p2", 4)]),
        ["takeover p2 large_transfer_to_changed_payee"]
    );
    let two = [("payee_added p1", 3), ("payee_added p2", 4)];
    for payee in ["p1", "p2"] {
        let transfer = format!("transfer d2 500000 {payee}");
        let events = [&reset[..], &two, &[(&*transfer, 5)]].concat();
        let found = to_changed_payee(&events);
        assert_eq!(found, [format!("takeover {payee} large_transfer_to_changed_payee")]);
    }
    assert_eq!(with(&two), ["near_miss p1 no_large_transfer"], "once");
    // Near misses say which step did not come.
    assert_eq!(with(&[("transfer d2 500000 p1", 3)]), ["near_miss no_changed_payee"]);
    assert_eq!(
        with(&[("transfer d2 500000 p2", 3), ("payee_added p2", 4)]),
        ["near_miss p2 no_large_transfer"],
        "the transfer came first"
    );
    for transfer in ["transfer d2 500000 p1", "transfer d1 500000 p2", "transfer d2 99999 p2"] {
        let found = with(&[("payee_added p2", 3), (transfer, 4)]);
        assert_eq!(found, ["near_miss p2 no_large_transfer"], "{transfer}");
    }
    assert_eq!(
        with(&[("payee_added p2", 3), ("transfer d2 500000 p2", HOUR_MS + 1)]),
        ["near_miss p2 no_large_transfer"]
    );
    // A verified identity ends the watch at every step.
    let verified = |ts| ("identity_verified", ts);
    let (payee, transfer) = (("payee_added p2", 4), ("transfer d2 500000 p2", 6));
    assert_eq!(with(&[verified(3), payee, transfer]), [""; 0]);
    assert_eq!(with(&[payee, verified(5), transfer]), [""; 0]);
}

#[test]
fn late_events_are_named() {
    let mut harness = harness(json!({}));
    harness.send(event("login d1", 100_000)).unwrap();
    harness.send(event("password_reset", 39_999)).unwrap();
    harness.send(event("password_reset", 40_000)).unwrap();
    let expected = r#"{"account_id":"a","event_id":"e39999","ts":39999,"type":"late"}"#;
    assert_eq!(harness.take_lines("late"), [expected]);
}

#[test]
fn settings_are_checked() {
    use millstream_udf::Udf;
    let refused = |config| {
        AccountTakeover::create(Some(config)).err().map(|error| error.message().to_owned())
    };
    assert_eq!(refused(r#"{"large_minor": 5000, "within": "2h"}"#), None);
    assert_eq!(
        refused(r#"{"large_minor": 0}"#).as_deref(),
        Some("`large_minor` is 0; it must be above 0")
    );
    assert_eq!(refused(r#"{"within": "0"}"#).as_deref(), Some("`within` must be above 0"));
    assert_eq!(
        refused(r#"{"resets": []}"#).as_deref(),
        Some("`resets` has 0 types; it must have 1 to 16")
    );
    assert!(refused(r#"{"large": 1}"#).is_some());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Within the bound the order of arrival does not show, and batches never do.
    #[test]
    fn neither_batches_nor_disorder_show(
        drawn in prop::collection::vec((0..9_usize, 0..3_i64, 0..59_999_i64), 1..40),
        batch in 2..64_usize,
        changed_payee in any::<bool>(),
    ) {
        const KINDS: [&str; 9] = [
            "password_reset", "device_added d1", "device_added d2", "identity_verified",
            "transfer d1 200000 p1", "transfer d2 200000 p2", "transfer d2 100 p1",
            "payee_added p1", "payee_changed p2",
        ];
        let mut now = 0;
        let events: Vec<_> = drawn.iter().map(|&(kind, step, delay)| {
            now += step * 700_000 + 1;
            (event(KINDS[kind], now), now + delay)
        }).collect();
        let mut delayed = events.clone();
        delayed.sort_by_key(|(_, at)| *at);
        let run = |events: Vec<(Value, i64)>, batch| {
            let config = json!({"changed_payee": changed_payee});
            let mut harness = harness(config).batches_of(batch);
            assert_eq!(harness.send_all(events.into_iter().map(|(event, _)| event)), []);
            harness.end_of_input();
            ["takeover", "near_miss", "late"].map(|output| harness.take_lines(output))
        };
        let in_order = run(events, 1);
        prop_assert_eq!(&run(delayed.clone(), 1), &in_order);
        prop_assert_eq!(&run(delayed, batch), &in_order);
    }
}
