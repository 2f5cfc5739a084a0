//! Triage and reserves through the UDF.

use millstream_udf::testing::{Harness, Refusal};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::InsuranceClaims;

const DAY_MS: i64 = 86_400_000;
/// 1 January 2026.
const NEW_YEAR: i64 = 1_767_225_600_000;

fn harness(config: Value) -> Harness<InsuranceClaims> {
    let mut all = json!({"currency": "EUR"});
    for (key, value) in config.as_object().expect("settings") {
        all[key] = value.clone();
    }
    Harness::with_config(all).key_from("/line").event_time_from("/ts")
}

/// A claim for a loss on 10 January 2026 that was reported two days later.
fn claim(id: &str) -> Value {
    json!({
        "line": "motor", "type": "claim", "ts": NEW_YEAR + 11 * DAY_MS, "claim_id": id, "policy_id": format!("p-{id}"),
        "cause": "collision", "amount_minor": 200_000, "loss_date": "2026-01-10", "policy_begins": "2024-05-01",
        "payee": format!("garage-{id}"),
    })
}

fn with(mut event: Value, changes: Value) -> Value {
    for (key, value) in changes.as_object().expect("changes") {
        event[key] = value.clone();
    }
    event
}

/// The last claim's decision and codes.
fn triaged(claims: &[Value]) -> String {
    let mut harness = harness(json!({}));
    assert_eq!(harness.send_all(claims.iter().cloned()), []);
    let last = harness.take("triage").pop().expect("a claim");
    let reasons = last["reasons"].as_array().expect("reasons").iter();
    let codes: Vec<_> = reasons.map(|reason| reason["code"].as_str().expect("a code")).collect();
    format!("{} {}", last["decision"].as_str().expect("a decision"), codes.join(" "))
}

#[test]
fn an_ordinary_claim_goes_the_fast_track() {
    let mut harness = harness(json!({}));
    harness.send(claim("1")).unwrap();
    let expected = r#"{"claim_id":"1","decision":"fast_track","line":"motor","reasons":[],"score":0,"ts":1768176000000,"type":"triage"}"#;
    assert_eq!(harness.take_lines("triage"), [expected]);
}

#[test]
fn each_indicator_has_its_bound() {
    let one = |changes: Value| triaged(&[with(claim("1"), changes)]);
    assert_eq!(one(json!({"loss_date": "2025-12-13"})), "fast_track ");
    assert_eq!(one(json!({"loss_date": "2025-12-12"})), "fast_track late_report");
    assert_eq!(one(json!({"policy_begins": "2025-12-27"})), "fast_track ");
    assert_eq!(one(json!({"policy_begins": "2025-12-28"})), "adjuster early_loss");
    assert_eq!(one(json!({"amount_minor": 999_999})), "fast_track ");
    assert_eq!(one(json!({"amount_minor": 1_000_000})), "adjuster large_amount");
    let large_and_early = json!({"amount_minor": 1_000_000, "policy_begins": "2026-02-01", "loss_date": "2025-12-01"});
    assert_eq!(one(large_and_early), "investigate early_loss large_amount late_report");
}

#[test]
fn duplicates_are_of_one_policy_day_and_cause_and_nearly_one_amount() {
    let again = |changes: Value| {
        let second = with(with(claim("2"), json!({"policy_id": "p-1"})), changes);
        triaged(&[claim("1"), second])
    };
    assert_eq!(again(json!({})), "investigate duplicate_claim");
    assert_eq!(again(json!({"amount_minor": 180_000})), "investigate duplicate_claim");
    assert_eq!(again(json!({"amount_minor": 179_999})), "fast_track ");
    assert_eq!(again(json!({"cause": "glass"})), "fast_track ");
    assert_eq!(again(json!({"loss_date": "2026-01-09"})), "fast_track ");
    assert_eq!(again(json!({"policy_id": "p-2"})), "fast_track ");
}

#[test]
fn frequent_claims_and_shared_payees_are_noticed() {
    let of_policy = |day: &str, id: &str| {
        with(claim(id), json!({"policy_id": "p", "loss_date": day, "policy_begins": "2020-01-01"}))
    };
    let year = |first: &str| {
        triaged(&[
            of_policy(first, "1"),
            of_policy("2025-12-20", "2"),
            of_policy("2026-01-10", "3"),
        ])
    };
    assert_eq!(year("2025-01-11"), "adjuster frequent_claims");
    assert_eq!(year("2025-01-10"), "fast_track ");
    let paid_to = |id: &str, policy: &str| {
        with(claim(id), json!({"payee": "one garage", "policy_id": policy}))
    };
    assert_eq!(
        triaged(&[paid_to("1", "a"), paid_to("2", "b"), paid_to("3", "c")]),
        "adjuster shared_payee"
    );
    let glass = with(paid_to("3", "a"), json!({"cause": "glass"}));
    assert_eq!(triaged(&[paid_to("1", "a"), paid_to("2", "b"), glass]), "fast_track ");
}

/// A year's payments of claims of three years, by hand: the factors are 300/200 (two rows) and 165/150.
#[test]
fn a_small_triangle_by_hand() {
    let mut harness = harness(json!({}));
    let mid = |year: i64| {
        NEW_YEAR - 2 * 365 * DAY_MS - DAY_MS / 2 + (year - 2024) * 365 * DAY_MS + 200 * DAY_MS
    };
    for (id, year) in [("a", 2024), ("b", 2025), ("c", 2026)] {
        let loss = json!({"ts": mid(year), "loss_date": format!("{year}-06-01"), "policy_begins": "2020-01-01"});
        harness.send(with(claim(id), loss)).unwrap();
    }
    for (id, year, paid) in [
        ("a", 2024, 100),
        ("a", 2025, 50),
        ("a", 2026, 15),
        ("b", 2025, 100),
        ("b", 2026, 50),
        ("c", 2026, 80),
    ] {
        harness.send(json!({"line": "motor", "type": "payment", "ts": mid(year), "claim_id": id, "amount_minor": paid})).unwrap();
    }
    harness.send(json!({"line": "motor", "type": "valuation", "ts": mid(2026)})).unwrap();
    let reserve = harness.take("reserve").pop().expect("a valuation");
    assert_eq!(reserve["factors"], json!([1.5, 1.1]));
    let of = |name: &str| {
        reserve["origins"]
            .as_array()
            .expect("rows")
            .iter()
            .map(|row| row[name].as_i64().expect("minor units"))
            .collect::<Vec<_>>()
    };
    assert_eq!(of("ultimate_minor"), [165, 165, 132]);
    assert_eq!(of("reserve_minor"), [0, 15, 52]);
    assert_eq!((&reserve["reserve_minor"], &reserve["period"]), (&json!(67), &json!("2026-01")));
    // No row differs from the factors: there is no error to estimate.
    assert_eq!(reserve["standard_error_minor"], json!(0));
}

#[test]
fn what_makes_no_sense_is_refused() {
    let mut harness = harness(json!({}));
    harness.send(claim("1")).unwrap();
    let payment = |changes: Value| {
        with(
            json!({"line": "motor", "type": "payment", "ts": NEW_YEAR, "claim_id": "1", "amount_minor": 1}),
            changes,
        )
    };
    for (bad, why) in [
        (claim("1"), "claim `1` was reported before"),
        (
            with(claim("2"), json!({"loss_date": "2026-01-13"})),
            "a loss on 2026-01-13, after it was reported",
        ),
        (
            with(claim("2"), json!({"loss_date": "13.1.2026"})),
            "`loss_date` is `13.1.2026`, which is no date",
        ),
        (with(claim("2"), json!({"amount_minor": 0})), "a claim of 0; it must be above 0"),
        (
            with(claim("2"), json!({"cause": "a\nb"})),
            "`cause` must have 1 to 128 bytes and no control characters",
        ),
        (payment(json!({"claim_id": "9"})), "claim `9` is not known"),
        (payment(json!({"ts": NEW_YEAR - 1})), "a payment before the loss of claim `1`"),
        (payment(json!({"type": "valuation"})), "nothing was paid up to the period of valuation"),
        (
            payment(json!({"type": "x"})),
            "`x` is no type; it must be `claim`, `payment` or `valuation`",
        ),
    ] {
        assert_eq!(harness.send(bad), Err(Refusal::Failed(why.into())));
    }
}

#[test]
fn the_configuration_is_checked() {
    use millstream_udf::Udf;
    let refused = |config: Value| {
        InsuranceClaims::create(Some(&config.to_string()))
            .err()
            .map(|error| error.message().to_owned())
            .unwrap_or_default()
    };
    assert_eq!(refused(json!({"currency": "EUR"})), "");
    assert_eq!(
        refused(json!({"currency": "EUR", "period_months": 5})),
        "`period_months` is 5; it must be 1, 3, 6 or 12"
    );
    let small = json!({"currency": "EUR", "triage": {"investigation_points": 19}});
    assert_eq!(refused(small), "`triage.investigation_points` is 19; it must be 20 to 10000");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// Scores are the sums of their reasons, decisions follow from scores, and the reserve's rows add up to what was paid
    /// and is to be paid; whatever the batches of calls.
    #[test]
    fn everything_reconciles(
        claims in prop::collection::vec((0..3_i64, 0..3_u8, 0..3_u8, 1..2_000_000_i64, prop::collection::vec((0..3_i64, 1..500_000_i64), 0..4)), 3..20),
        batch in 2..64_usize,
    ) {
        let mut events = Vec::new();
        let mut paid = 0;
        for (i, (year, policy, payee, amount, payments)) in claims.iter().enumerate() {
            let ts = NEW_YEAR + year * 366 * DAY_MS + 40 * DAY_MS;
            events.push(with(claim(&format!("c{i}")), json!({
                "ts": ts, "loss_date": format!("{}-01-2{policy}", 2026 + year), "policy_id": format!("p{policy}"),
                "payee": format!("g{payee}"), "amount_minor": amount,
            })));
            for (later, amount) in payments {
                let in_time = year + later <= 2;
                paid += if in_time { *amount } else { 0 };
                events.push(json!({"line": "motor", "type": "payment", "ts": ts + later * 366 * DAY_MS, "claim_id": format!("c{i}"), "amount_minor": amount}));
            }
        }
        events.push(json!({"line": "motor", "type": "valuation", "ts": NEW_YEAR + 2 * 366 * DAY_MS + 300 * DAY_MS}));
        let mut one = harness(json!({}));
        let refused = one.send_all(events.clone());
        // A triangle may be too thin for factors: then there is no valuation.
        prop_assert!(refused.iter().all(|(i, _)| *i == events.len() - 1), "{:?}", refused);
        let mut many = harness(json!({})).batches_of(batch);
        prop_assert_eq!(many.send_all(events).len(), refused.len());
        let triaged = one.take("triage");
        prop_assert_eq!(&many.take("triage"), &triaged);
        prop_assert_eq!(triaged.len(), claims.len());
        for claim in triaged {
            let sum: i64 = claim["reasons"].as_array().expect("reasons").iter().map(|reason| reason["points"].as_i64().expect("points")).sum();
            prop_assert_eq!(&claim["score"], &json!(sum));
            let decision = if sum >= 60 { "investigate" } else if sum >= 20 { "adjuster" } else { "fast_track" };
            prop_assert_eq!(&claim["decision"], decision);
        }
        for reserve in one.take("reserve") {
            prop_assert_eq!(&reserve["paid_minor"], &json!(paid));
            let sum = |name: &str| reserve["origins"].as_array().expect("rows").iter().map(|row| row[name].as_i64().expect("minor units")).sum::<i64>();
            for name in ["paid_minor", "ultimate_minor", "reserve_minor"] {
                prop_assert_eq!(&reserve[name], &json!(sum(name)));
            }
            prop_assert_eq!(sum("ultimate_minor"), sum("paid_minor") + sum("reserve_minor"));
        }
    }
}
