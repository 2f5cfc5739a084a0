//! The rules through the harness, and the file's properties.

mod models;
mod properties;

use millstream_udf::Udf;
use millstream_udf::testing::{Harness, Refusal};
use serde_json::{Value, json};

use crate::CreditScore;
use crate::config::DAY_MS;

fn harness() -> Harness<CreditScore> {
    Harness::new().key_from("/customer_id").event_time_from("/ts")
}

fn event(kind: &str, day: i64, more: Value) -> Value {
    let mut event = json!({"event_id": format!("{kind}-{day}"), "customer_id": "c1", "type": kind, "ts": day * DAY_MS});
    event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    event
}

fn repayment(day: i64, amount: &str) -> Value {
    event("repayment", day, json!({"amount": amount, "due": 250}))
}

fn missed(day: i64, days_late: i64) -> Value {
    event("missed_payment", day, json!({"days_late": days_late}))
}

/// Sends the events and gives the scores that came out.
fn scores(events: &[Value]) -> Vec<i64> {
    let mut harness = harness();
    assert_eq!(harness.send_all(events.iter().cloned()), []);
    harness.take("score").iter().map(|item| item["score"].as_i64().unwrap()).collect()
}

#[test]
fn an_item_says_everything() {
    let mut harness = harness();
    harness
        .send(event("utilisation", 1, json!({"balance": 6_500.00, "limit": "10000.00"})))
        .unwrap();
    let expected = concat!(
        r#"{"change":-60,"customer_id":"c1","event_id":"utilisation-1","reasons":[{"code":"utilisation","points":-60}],"#,
        r#""score":540,"ts":86400000,"type":"score","utilisation":65.00}"#
    );
    assert_eq!(harness.take_lines("score"), [expected]);
    let band =
        r#"{"customer_id":"c1","from":"fair","score":540,"to":"poor","ts":86400000,"type":"band"}"#;
    assert_eq!(harness.take_lines("band"), [band]);
}

#[test]
fn repayments_earn_their_share() {
    assert_eq!(scores(&[repayment(1, "250.00")]), [612]);
    assert_eq!(scores(&[repayment(1, "125")]), [606]);
    assert_eq!(scores(&[repayment(1, "1000000")]), [612]);
}

#[test]
fn missed_payments_cost_by_severity_and_fade() {
    for (days_late, score) in [(1, 555), (30, 555), (31, 525), (60, 525), (61, 480), (10_000, 480)]
    {
        assert_eq!(scores(&[missed(1, days_late)]), [score], "{days_late} days late");
    }
    // A year later half of the 120 points has come back; the enquiry costs 8.
    assert_eq!(scores(&[missed(1, 90), event("enquiry", 366, json!({}))]), [480, 532]);
}

#[test]
fn the_score_stays_between_floor_and_ceiling_and_says_so() {
    let mut harness = harness();
    for day in 1..5 {
        harness.send(missed(day, 90)).unwrap();
    }
    let last = harness.take("score").pop().unwrap();
    assert_eq!(last["score"], 300);
    assert_eq!(last["reasons"][1]["code"], "at_floor");
    assert!(
        scores(&(1..60).map(|day| repayment(day, "250")).collect::<Vec<_>>())
            .into_iter()
            .all(|score| score <= 780)
    );
}

#[test]
fn an_older_utilisation_does_not_replace_a_newer_one() {
    let utilisation =
        |day, balance: i64| event("utilisation", day, json!({"balance": balance, "limit": 100}));
    assert_eq!(
        scores(&[utilisation(2, 100), utilisation(1, 0), utilisation(3, 30)]),
        [480, 480, 600]
    );
    assert_eq!(scores(&[utilisation(1, 500)]), [480]);
}

#[test]
fn silence_is_rescored_once() {
    let mut harness = harness();
    harness.send(missed(1, 90)).unwrap();
    harness.send(missed(2, 90)).unwrap();
    assert_eq!(harness.pending_timers(), [("c1".into(), "rescore".into(), 32 * DAY_MS)]);
    harness.take("score");
    harness.end_of_input();
    let items = harness.take("score");
    assert_eq!(items.len(), 1);
    assert_eq!(
        (&items[0]["change"], &items[0]["ts"], items[0].get("event_id")),
        (&json!(13), &json!(32 * DAY_MS), None)
    );
}

#[test]
fn events_that_make_no_sense_are_refused() {
    let mut harness = harness();
    for (bad, why) in [
        (event("gift", 1, json!({})), "`gift` is no type of credit event"),
        (event("repayment", 1, json!({"amount": 1})), "a `repayment` event needs `due`"),
        (
            event("repayment", 1, json!({"amount": 1, "due": 0})),
            "a repayment of nothing due (0.00 EUR)",
        ),
        (event("repayment", 1, json!({"amount": -1, "due": 1})), "a repayment of -1.00 EUR"),
        (event("utilisation", 1, json!({"balance": 1, "limit": "0.00"})), "a limit of 0.00 EUR"),
        (missed(1, 0), "a missed payment that is 0 days late"),
    ] {
        assert_eq!(harness.send(bad), Err(Refusal::Failed(why.into())));
    }
    let third_digit = event("repayment", 1, json!({"amount": "1.005", "due": 2}));
    assert!(
        matches!(harness.send(third_digit), Err(Refusal::Failed(why)) if why.contains("not an amount in EUR"))
    );
    assert_eq!(harness.take_lines("score"), [""; 0]);
}

#[test]
fn amounts_are_in_the_configured_currency() {
    let in_currency = |code: &str| {
        let harness = Harness::with_config(json!({"currency": code}));
        harness.key_from("/customer_id").event_time_from("/ts")
    };
    let mut yen: Harness<CreditScore> = in_currency("JPY");
    yen.send(event("repayment", 0, json!({"amount": 50, "due": "100", "currency": "JPY"})))
        .unwrap();
    assert_eq!(yen.take("score")[0]["change"], 6);
    for (amount, currency, why) in [
        ("50.5", "JPY", "not an amount in JPY"),
        ("50", "USD", "an amount in USD where JPY is needed"),
        ("50", "XAU", "`XAU` is no currency of ISO 4217"),
    ] {
        let event =
            event("repayment", 1, json!({"amount": amount, "due": 100, "currency": currency}));
        let refused = yen.send(event).map_err(|refusal| refusal.to_string());
        assert!(refused.as_ref().is_err_and(|refused| refused.contains(why)), "{refused:?}");
    }
    let challenger = json!({"currency": "JPY", "challenger": {"currency": "USD"}});
    let refused = CreditScore::create(Some(&challenger.to_string())).err();
    let why = "the challenger's `currency` is USD; it must be JPY, as the champion's";
    assert_eq!(refused.map(|error| error.message().to_owned()).as_deref(), Some(why));
}

#[test]
fn the_configuration_is_checked() {
    let refuse = |config: Value| {
        CreditScore::create(Some(&config.to_string()))
            .err()
            .map(|e| e.to_string())
            .unwrap_or_default()
    };
    assert_eq!(refuse(json!({})), "");
    assert_eq!(refuse(json!({"base": 900})), "`base` is 900, outside `floor` 300 to `ceiling` 850");
    assert_eq!(
        refuse(json!({"enquiry_half_life_days": 0})),
        "`enquiry_half_life_days` is 0; it must be 1 to 36525 days"
    );
    assert!(refuse(json!({"bas": 1})).contains("unknown field `bas`"));
    let mut harness =
        Harness::<CreditScore>::with_config(json!({"enquiry": 100})).key_from("/customer_id");
    harness.send(event("enquiry", 1, json!({}))).unwrap();
    assert_eq!(harness.take("score")[0]["score"], 500);
}
