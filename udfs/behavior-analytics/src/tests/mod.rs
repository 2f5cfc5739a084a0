//! Profiles, sessions and drift through the UDF.

use millstream_udf::testing::{Harness, Refusal};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::BehaviorAnalytics;

const MINUTE_MS: i64 = 60_000;
const DAY_MS: i64 = 86_400_000;

fn harness(config: Value) -> Harness<BehaviorAnalytics> {
    let mut all = json!({"currency": "EUR"});
    for (key, value) in config.as_object().expect("settings") {
        all[key] = value.clone();
    }
    Harness::with_config(all).key_from("/customer_id").event_time_from("/ts")
}

fn view(category: &str, ts: i64) -> Value {
    json!({"customer_id": "c", "type": "view", "ts": ts, "category": category})
}

fn purchase(amount: i64, ts: i64) -> Value {
    json!({"customer_id": "c", "type": "purchase", "ts": ts, "category": "books", "amount_minor": amount, "currency": "EUR"})
}

#[test]
fn a_profile_follows_every_purchase_and_falls_with_time() {
    let mut harness = harness(json!({}));
    harness.send(purchase(6_000, 0)).unwrap();
    let first = r#"{"customer_id":"c","days_since_last":0,"frequency":1,"monetary":2,"previous_segment":null,"#;
    let line = harness.take_lines("profile").pop().expect("a profile");
    assert!(
        line.starts_with(&first.replace(
            r#""previous_segment":null,"#,
            r#""purchases":1,"reason":"purchase","recency":5,"#
        )),
        "{line}"
    );
    assert!(line.contains(r#""repeat_buying":{"x":0,"t_x_days":0,"T_days":0}"#), "{line}");
    harness.send(purchase(4_000, DAY_MS)).unwrap();
    harness.take("profile");
    harness.end_of_input();
    let falls: Vec<_> = harness
        .take("profile")
        .iter()
        .map(|p| {
            (
                p["recency"].clone(),
                p["days_since_last"].clone(),
                p["segment"].clone(),
                p["previous_segment"].clone(),
            )
        })
        .collect();
    let fall = |recency: i64, days: i64, segment: &str, previous: Option<&str>| {
        (json!(recency), json!(days), json!(segment), json!(previous))
    };
    let expected = [
        fall(4, 8, "promising", None),
        fall(3, 31, "promising", None),
        fall(2, 91, "lost", Some("promising")),
        fall(1, 181, "lost", None),
    ];
    assert_eq!(falls, expected);
    assert_eq!(harness.pending_timers(), []);
}

#[test]
fn sessions_end_after_a_pause() {
    let mut harness = harness(json!({})).with_bound(0);
    for record in [
        view("books", 0),
        view("camping", 10 * MINUTE_MS),
        purchase(999, 39 * MINUTE_MS),
        view("books", 69 * MINUTE_MS + 1),
    ] {
        harness.send(record).unwrap();
    }
    harness.send(view("books", 70 * MINUTE_MS)).unwrap();
    let session = r#"{"actions":3,"amount_minor":999,"categories":["books","camping"],"customer_id":"c","duration_ms":2340000,"purchases":1,"reason":"purchase","start":0,"type":"session"}"#;
    assert_eq!(harness.take_lines("session"), [session]);
    harness.send(view("books", MINUTE_MS)).unwrap();
    assert_eq!(harness.take("late").len(), 1);
    harness.end_of_input();
    assert_eq!(harness.take("session")[0]["reason"], "no_purchase");
}

#[test]
fn drift_is_reported_when_it_begins_and_ends() {
    let mut harness = harness(json!({"drift": {"min_actions": 5}}));
    (0..200).for_each(|day| {
        harness.send(view(if day < 60 { "books" } else { "camping" }, day * DAY_MS)).unwrap()
    });
    let drift = harness.take("drift");
    let reasons: Vec<_> =
        drift.iter().map(|item| item["reason"].as_str().expect("a reason")).collect();
    assert_eq!(reasons, ["preferences_drifted", "preferences_steady"]);
    assert_eq!(drift[0]["lately"][0][0], "camping");
}

#[test]
fn what_makes_no_sense_is_refused() {
    let mut harness = harness(json!({}));
    let with = |field: &str, value: Value| {
        let mut record = purchase(1, 0);
        record[field] = value;
        record
    };
    for (bad, why) in [
        (with("amount_minor", Value::Null), "a purchase needs `amount_minor` and `currency`"),
        (with("amount_minor", json!(0)), "a purchase of 0; it must be above 0"),
        (with("currency", json!("USD")), "a purchase in USD; it must be in EUR"),
        (with("category", json!("")), "`category` has 0 bytes; it must have 1 to 64"),
    ] {
        assert_eq!(harness.send(bad), Err(Refusal::Failed(why.into())));
    }
}

#[test]
fn the_configuration_is_checked() {
    use millstream_udf::Udf;
    let refused = |config: Value| {
        BehaviorAnalytics::create(Some(&config.to_string()))
            .err()
            .map(|error| error.message().to_owned())
            .unwrap_or_default()
    };
    assert_eq!(refused(json!({"currency": "EUR"})), "");
    for (rfm, why) in [
        (
            json!({"recency_days": [9, 8, 7, 6]}),
            "`rfm.recency_days` is [9, 8, 7, 6]; it must rise from the best score on",
        ),
        (
            json!({"frequency": [1, 2, 3, 4]}),
            "`rfm.frequency` is [1, 2, 3, 4]; it must fall from the best score on",
        ),
    ] {
        assert_eq!(refused(json!({"currency": "EUR", "rfm": rfm})), why);
    }
    let drift = json!({"currency": "EUR", "drift": {"long_days": 3}});
    assert_eq!(refused(drift), "`drift.long_days` is 3; it must be 7 to 36525");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// Sessions and late actions hold every action, the last profile every purchase; batches of calls do not show.
    #[test]
    fn everything_is_counted_once(events in prop::collection::vec((0..600 * MINUTE_MS, 0..5_u8, 1..10_000_i64, 0..90 * MINUTE_MS), 1..60), batch in 2..40_usize) {
        let mut events: Vec<_> = events.into_iter().map(|(ts, kind, amount, delay)| {
            (ts + delay, if kind == 0 { purchase(amount, ts) } else { view(&format!("c{kind}"), ts) })
        }).collect();
        events.sort_by_key(|(arrival, _)| *arrival);
        let run = |batch| {
            let mut harness = harness(json!({})).with_bound(MINUTE_MS).batches_of(batch);
            assert_eq!(harness.send_all(events.iter().map(|(_, event)| event.clone())), []);
            harness.end_of_input();
            ["profile", "session", "drift", "late"].map(|output| harness.take(output))
        };
        let [profiles, sessions, drift, late] = run(1);
        let sum = |name: &str| sessions.iter().map(|session| session[name].as_i64().expect("a number")).sum::<i64>();
        prop_assert_eq!(sum("actions") + late.len() as i64, events.len() as i64);
        let bought: Vec<i64> = events.iter().filter_map(|(_, event)| event["amount_minor"].as_i64()).collect();
        if let Some(last) = profiles.last() {
            prop_assert_eq!(&last["purchases"], &json!(bought.len()));
            prop_assert_eq!(&last["total_minor"], &json!(bought.iter().sum::<i64>()));
        }
        prop_assert_eq!(run(batch), [profiles, sessions, drift, late]);
    }
}
