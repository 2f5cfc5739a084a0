//! Sessions and funnels through the UDF.

mod model;

use millstream_udf::Udf;
use millstream_udf::testing::{Harness, Refusal};
use serde_json::{Value, json};

use crate::SessionAnalytics;

const MINUTE: i64 = 60_000;

fn harness(config: Value) -> Harness<SessionAnalytics> {
    Harness::with_config(config).key_from("/customer_id").event_time_from("/ts")
}

fn event(id: &str, kind: &str, page: Option<&str>, device: &str, ts: i64) -> Value {
    json!({"customer_id": "c", "event_id": id, "type": kind, "page": page, "device": device, "ts": ts})
}

/// Events on one phone, a second apart, each on the page of its name.
fn walk(kinds: &[&str]) -> Vec<Value> {
    let event = |(i, kind): (usize, &&str)| {
        event(&format!("e{i}"), kind, Some(kind), "phone", i as i64 * 1_000)
    };
    kinds.iter().enumerate().map(event).collect()
}

fn sessions(config: Value, events: Vec<Value>) -> (Vec<Value>, Vec<Value>) {
    let mut app = harness(config);
    assert_eq!(app.send_all(events), []);
    app.end_of_input();
    assert_eq!(app.stored_elements("c"), 0);
    (app.take("session"), app.take("abandoned"))
}

#[test]
fn a_customer_who_confirms_converts_in_whatever_order_the_events_come() {
    let mut events = walk(&["login", "help", "view", "add_payee", "view", "confirm"]);
    events.reverse();
    let mut app = harness(json!({}));
    assert_eq!(app.send_all(events), []);
    app.end_of_input();
    let session = r#"{"bounced":false,"converted":true,"customer_id":"c","device_changes":0,"devices":1,"duration_ms":5000,"entry_page":"login","events":6,"exit_page":"confirm","funnel":[{"step":"login","after_ms":0},{"step":"view","after_ms":2000},{"step":"add_payee","after_ms":3000},{"step":"confirm","after_ms":5000}],"pages":5,"reason":"converted","start":0,"step":"confirm","type":"session"}"#;
    assert_eq!(app.take_lines("session"), [session]);
    assert_eq!(app.take_lines("abandoned"), [""; 0]);
}

#[test]
fn steps_count_in_their_order_only() {
    for (kinds, step, reason) in [
        (&["view", "confirm", "login"][..], json!("login"), "browsed"),
        (&["login", "confirm", "add_payee"], json!("login"), "browsed"),
        (&["login", "view", "confirm"], json!("view"), "abandoned"),
        (&["help", "rates"], Value::Null, "browsed"),
    ] {
        let (sessions, _) = sessions(json!({}), walk(kinds));
        assert_eq!(sessions[0].get("step").cloned().unwrap_or_default(), step, "{kinds:?}");
        assert_eq!(sessions[0]["reason"], reason, "{kinds:?}");
    }
}

#[test]
fn an_abandoned_funnel_says_where_and_why() {
    let steps = ["login", "view", "add_payee"];
    let stopped = walk(&steps);
    let mut elsewhere = stopped.clone();
    elsewhere.push(event("x", "help", Some("help"), "phone", 9_000));
    let mut changed = elsewhere.clone();
    changed.push(event("y", "login", None, "laptop", 10_000));
    for (events, reason, waited) in [
        (stopped, "stopped", 0),
        (elsewhere, "went_elsewhere", 7_000),
        (changed, "device_changed", 8_000),
    ] {
        let (sessions, abandoned) = sessions(json!({}), events);
        assert_eq!(
            abandoned,
            [
                json!({"type": "abandoned", "customer_id": "c", "start": 0, "step": "add_payee", "step_ts": 2_000,
                "next_step": "confirm", "waited_ms": waited, "device": "phone", "reason": reason})
            ]
        );
        assert_eq!(sessions[0]["device_changes"], i64::from(reason == "device_changed"));
    }
    let (_, abandoned) = sessions(json!({"abandoned_from": "add_payee"}), walk(&steps[..2]));
    assert!(abandoned.is_empty(), "{abandoned:?}");
}

#[test]
fn a_bounce_is_one_page_and_short() {
    let bounced = |last_page: &str, last: i64| {
        let events = vec![
            event("a", "open", Some("home"), "d", 0),
            event("b", "open", Some(last_page), "d", last),
        ];
        let (sessions, _) = sessions(json!({}), events);
        (sessions[0]["bounced"].as_bool(), sessions[0]["reason"].as_str() == Some("bounced"))
    };
    assert_eq!(bounced("home", 9_999), (Some(true), true));
    assert_eq!(bounced("home", 10_000), (Some(false), false));
    assert_eq!(bounced("rates", 1), (Some(false), false));
}

#[test]
fn sessions_end_after_a_pause_and_late_events_are_told() {
    let mut app = harness(json!({"gap": "10m"})).with_bound(15 * MINUTE);
    for (id, minute) in [("a", 0), ("b", 20), ("c", 10), ("d", 60), ("e", 29)] {
        app.send(event(id, "open", None, "d", minute * MINUTE)).unwrap();
    }
    assert_eq!(
        app.take_lines("late"),
        [r#"{"customer_id":"c","event_id":"e","ts":1740000,"type":"late"}"#]
    );
    let first = &app.take("session")[0];
    // Pauses of exactly the gap: windows that touch are one session.
    assert_eq!([&first["start"], &first["duration_ms"], &first["events"]], [0, 20 * MINUTE, 3]);
    app.end_of_input();
    assert_eq!(app.take("session").len(), 1);
}

#[test]
fn a_session_has_an_end() {
    let mut app = harness(json!({"gap": "1m"}));
    let events = |from: i64| (0..1_000).map(move |i| event("e", "open", None, "d", from + i));
    assert_eq!(app.send_all(events(0)), []);
    // Whatever would belong to it, on either side.
    for ts in [-MINUTE, 500, 999 + MINUTE] {
        let refused = app.send(event("e", "open", None, "d", ts));
        assert_eq!(refused, Err(Refusal::Failed("more than 1000 events in a session".into())));
    }
    for ts in [-MINUTE - 1, 1_000 + MINUTE] {
        app.send(event("e", "open", None, "d", ts)).unwrap();
    }
    app.end_of_input();
    let counts: Vec<_> = app.take("session").iter().map(|s| s["events"].as_i64()).collect();
    assert_eq!(counts, [Some(1), Some(1_000), Some(1)]);
}

#[test]
fn what_makes_no_sense_is_refused() {
    let mut app = harness(json!({}));
    let refused = app.send(event("a", "", None, "d", 0));
    assert_eq!(refused, Err(Refusal::Failed("`type` has 0 bytes; it must have 1 to 128".into())));
    for (config, why) in [
        (json!({"funnel": ["login"]}), "`funnel` has 1 steps; it must have 2 to 16"),
        (json!({"funnel": ["a", "b", "a"]}), "`funnel` has the step `a` twice"),
        (
            json!({"abandoned_from": "pay"}),
            "`abandoned_from` is `pay`, which is no step of `funnel`",
        ),
        (
            json!({"gap": "5s"}),
            "`engaged_after` is 10000 ms; it must not be above `gap`, which is 5000 ms",
        ),
    ] {
        let error = SessionAnalytics::create(Some(&config.to_string())).err().unwrap();
        assert_eq!(error.message(), why);
    }
}
