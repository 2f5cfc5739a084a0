//! Scorecards, and champion and challenger.

use millstream_udf::testing::{Harness, Refusal};
use serde_json::{Value, json};

use super::{event, missed, repayment};
use crate::CreditScore;
use crate::config::DAY_MS;

fn card(cut_off: i64, points: i64) -> Value {
    let age = json!({"name": "age", "attributes": [{"below": 30, "points": 10}, {"from": 30, "points": points}]});
    json!({"base": 5, "cut_off": cut_off, "characteristics": [age]})
}

fn harness(config: Value) -> Harness<CreditScore> {
    Harness::with_config(config).key_from("/customer_id").event_time_from("/ts")
}

#[test]
fn applications_are_scored_and_compared() {
    let mut harness =
        harness(json!({"scorecard": card(30, 25), "challenger": {"scorecard": card(50, 40)}}));
    harness
        .send(event("application", 1, json!({"attributes": {"age": 40, "shoe_size": 43}})))
        .unwrap();
    let application = r#"{"customer_id":"c1","decision":"accept","event_id":"application-1","reasons":[{"code":"age","points":25,"short":0}],"score":30,"ts":86400000,"type":"application"}"#;
    assert_eq!(harness.take_lines("application"), [application]);
    let comparison = r#"{"challenger":45,"challenger_decision":"decline","champion":30,"champion_decision":"accept","customer_id":"c1","event_id":"application-1","reason":"differ","ts":86400000,"type":"comparison"}"#;
    assert_eq!(harness.take_lines("comparison"), [comparison]);
    // An application leaves no trace in the customer's file.
    assert_eq!(harness.stored_elements("c1"), 0);
}

#[test]
fn applications_that_cannot_be_scored_are_refused() {
    let application = |more: Value| event("application", 1, more);
    for (config, record, why) in [
        (
            json!({}),
            application(json!({"attributes": {}})),
            "an application, and there is no `scorecard`",
        ),
        (
            json!({"scorecard": card(1, 1)}),
            application(json!({})),
            "an `application` needs `attributes`",
        ),
        (
            json!({"scorecard": card(1, 1)}),
            application(json!({"attributes": {}})),
            "`age` is missing",
        ),
    ] {
        assert_eq!(harness(config).send(record), Err(Refusal::Failed(why.into())));
    }
}

#[test]
fn a_challenger_follows_the_same_events_and_decides_nothing() {
    let events = [repayment(1, "250"), missed(2, 90), event("enquiry", 3, json!({}))];
    let run = |config: Value| {
        let mut harness = harness(config);
        assert_eq!(harness.send_all(events.clone()), []);
        harness.end_of_input();
        ["score", "band", "comparison"].map(|output| harness.take(output))
    };
    let [scores, bands, none] = run(json!({}));
    assert_eq!(none, [json!(null); 0]);
    let [same_scores, same_bands, comparisons] =
        run(json!({"challenger": {"missed": [45, 75, 20], "enquiry": 100}}));
    assert_eq!((&same_scores, same_bands), (&scores, bands));
    // One for each score; the last is that of the timer.
    assert_eq!(comparisons.len(), scores.len());
    let column = |name: &str| comparisons.iter().map(|item| item[name].clone()).collect::<Vec<_>>();
    assert_eq!(
        column("champion"),
        scores.iter().map(|item| item["score"].clone()).collect::<Vec<_>>()
    );
    // 600 + 12, then less 20, less 100 as the 12 fade; a month later 11.3, 18.9 and 79.4 points are left. Rounded down.
    assert_eq!(column("challenger"), [612, 591, 491, 513].map(|score| json!(score)));
    assert_eq!(column("reason"), ["agree", "differ", "agree", "agree"].map(|reason| json!(reason)));
    assert_eq!(comparisons[3]["ts"], json!(33 * DAY_MS));
}

#[test]
fn the_same_configuration_as_challenger_always_agrees() {
    let mut harness = harness(json!({"challenger": {}}));
    for day in 0..40 {
        harness
            .send(if day % 3 == 0 { missed(day, 1 + day) } else { repayment(day, "100") })
            .unwrap();
    }
    harness.end_of_input();
    assert!(
        harness
            .take("comparison")
            .iter()
            .all(|item| item["champion"] == item["challenger"] && item["reason"] == "agree")
    );
}

#[test]
fn challengers_are_checked() {
    use millstream_udf::Udf;
    let refused = |config: Value| {
        CreditScore::create(Some(&config.to_string())).err().map(|error| error.message().to_owned())
    };
    assert_eq!(
        refused(json!({"challenger": {"challenger": {}}})).as_deref(),
        Some("a challenger has no challenger")
    );
    let bad = json!({"challenger": {"enquiry_half_life_days": 0}});
    assert_eq!(
        refused(bad).as_deref(),
        Some("`challenger`: `enquiry_half_life_days` is 0; it must be 1 to 36525 days")
    );
}
