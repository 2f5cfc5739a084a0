//! Routes by each criterion, value dates of published calendars, and that netted payments settle what was routed.

use millstream_udf::testing::{Harness, Refusal};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::Payments;

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;
/// Thursday, 2 April 2026, midnight UTC; Good Friday is the next day.
const MAUNDY_THURSDAY: i64 = 1_775_088_000_000;

/// Two routes in euro and one in dollars.
fn config() -> Value {
    json!({
        "routes": [
            {"name": "sct", "currencies": ["EUR"], "countries": ["DE", "FR"], "max_minor": 10_000_000, "fee_minor": 20,
             "cut_off": "14:00", "utc_offset_minutes": 120, "calendars": ["target"], "settlement_days": 1, "netting": "multilateral"},
            {"name": "rtgs", "currencies": ["EUR"], "fee_minor": 500, "fee_bps": 1,
             "cut_off": "17:00", "utc_offset_minutes": 120, "calendars": ["target"], "risk_points": 20},
            {"name": "wire", "currencies": ["USD"], "fee_minor": 1_500, "cut_off": "16:00", "utc_offset_minutes": -240, "calendars": ["fed", "target"]},
        ],
        // Closing days of TARGET in 2026 as the European Central Bank publishes them, and of Fedwire around the 4th of July.
        "calendars": {
            "target": {"holidays": ["2026-01-01", "2026-04-03", "2026-04-06", "2026-05-01", "2026-12-25", "2026-12-26"]},
            "fed": {"holidays": ["2026-05-25", "2026-06-19", "2026-07-03"]},
        },
        "country_risk": {"ZZ": 90},
    })
}

fn harness(config: Value) -> Harness<Payments> {
    Harness::with_config(config).key_from("/currency").event_time_from("/ts")
}

fn payment(id: &str, ts: i64, amount: i64) -> Value {
    json!({
        "payment_id": id, "ts": ts, "debtor": "a", "creditor": "b", "amount_minor": amount, "currency": "EUR", "country": "DE",
    })
}

fn with(mut payment: Value, changes: Value) -> Value {
    for (key, value) in changes.as_object().expect("changes") {
        payment[key] = value.clone();
    }
    payment
}

/// The route, value date and cost of a payment, or `none`; then the codes of the other routes.
fn routed(config: Value, payment: Value) -> String {
    let mut harness = harness(config);
    harness.send(payment).unwrap();
    let (routed, unroutable) = (harness.take("routed"), harness.take("unroutable"));
    let decision = routed.first().or(unroutable.first()).expect("a decision");
    let codes = decision["rejected"].as_array().expect("a list").iter();
    let codes: Vec<_> = codes.map(|other| other["code"].as_str().expect("a code")).collect();
    match decision["route"].as_str() {
        Some(route) => {
            let date = decision["value_date"].as_str().expect("a date");
            format!("{route} {date} {} ({})", decision["cost_minor"], codes.join(" "))
        }
        None => format!("none ({})", codes.join(" ")),
    }
}

#[test]
fn the_cheapest_route_that_may_take_it() {
    let noon = MAUNDY_THURSDAY - DAY_MS + 10 * HOUR_MS;
    let route = |changes: Value| routed(config(), with(payment("p", noon, 100_000), changes));
    assert_eq!(route(json!({})), "sct 2026-04-02 20 (dearer currency)");
    assert_eq!(route(json!({"country": "IT"})), "rtgs 2026-04-01 510 (country currency)");
    assert_eq!(
        route(json!({"amount_minor": 10_000_001})),
        "rtgs 2026-04-01 1500 (amount currency)"
    );
    assert_eq!(
        route(json!({"needed_by": "2026-04-01"})),
        "rtgs 2026-04-01 510 (too_late currency)"
    );
    assert_eq!(route(json!({"risk_points": 81})), "sct 2026-04-02 20 (risk currency)");
    assert_eq!(route(json!({"country": "ZZ"})), "none (country risk currency)");
    assert_eq!(route(json!({"currency": "JPY"})), "none (currency currency currency)");
}

/// TARGET is closed on Good Friday and Easter Monday. Directive (EU) 2015/2366 (PSD2), article 78: what comes behind the
/// cut-off time is received on the following business day; article 83: it has value on the business day after that.
#[test]
fn value_dates_over_easter() {
    let thursday = |local: &str, changes: Value| {
        let (hour, minute) = local.split_once(':').expect("a time");
        let minutes: i64 =
            hour.parse::<i64>().expect("hours") * 60 + minute.parse::<i64>().expect("minutes");
        let ts = MAUNDY_THURSDAY + (minutes - 120) * 60_000;
        routed(config(), with(payment("p", ts, 100_000), changes))
    };
    assert_eq!(thursday("14:00", json!({})), "sct 2026-04-07 20 (dearer currency)");
    assert_eq!(thursday("14:01", json!({})), "sct 2026-04-08 20 (dearer currency)");
    assert_eq!(
        thursday("14:01", json!({"needed_by": "2026-04-07"})),
        "rtgs 2026-04-02 510 (too_late currency)"
    );
    assert_eq!(
        thursday("17:01", json!({"needed_by": "2026-04-06"})),
        "none (too_late too_late currency)"
    );
    // Just behind midnight in Frankfurt it is Good Friday.
    assert_eq!(thursday("24:01", json!({})), "sct 2026-04-08 20 (dearer currency)");
}

/// A wire in dollars needs both places open: 3 July 2026 is a holiday in the United States, since the 4th is a Saturday.
#[test]
fn two_calendars_are_joined() {
    let friday = MAUNDY_THURSDAY + 92 * DAY_MS + 12 * HOUR_MS;
    let dollars = json!({"currency": "USD", "country": "US"});
    assert_eq!(
        routed(config(), with(payment("p", friday, 1), dollars)),
        "wire 2026-07-06 1500 (currency currency)"
    );
}

#[test]
fn waiting_may_cost() {
    let mut config = config();
    config["day_cost_bps"] = 2.into();
    let noon = MAUNDY_THURSDAY + 10 * HOUR_MS;
    // Five days at 0.02 % of 1,000.00 are 1.00; of 50,000.00 they are 50.00, more than the dearer route.
    assert_eq!(
        routed(config.clone(), payment("p", noon, 100_000)),
        "sct 2026-04-07 20 (dearer currency)"
    );
    assert_eq!(
        routed(config, payment("p", noon, 5_000_000)),
        "rtgs 2026-04-02 1000 (dearer currency)"
    );
}

#[test]
fn netted_payments_settle_at_the_end_of_their_cycle() {
    let mut harness = harness(config());
    let pays = |id: &str, minute: i64, debtor: &str, creditor: &str, amount: i64| {
        with(
            payment(id, MAUNDY_THURSDAY + minute * 60_000, amount),
            json!({"debtor": debtor, "creditor": creditor}),
        )
    };
    for (id, minute, debtor, creditor, amount) in [
        ("1", 0, "a", "b", 700),
        ("2", 59, "b", "c", 500),
        ("3", 30, "b", "a", 100),
        ("4", 60, "c", "a", 9),
    ] {
        harness.send(pays(id, minute, debtor, creditor, amount)).unwrap();
    }
    harness.advance_watermark(MAUNDY_THURSDAY + HOUR_MS - 1);
    let netted = r#"{"currency":"EUR","end":1775091600000,"gross_minor":1300,"net_minor":600,"netting_set":"EUR","payments":3,"positions":[{"participant":"a","net_minor":-600},{"participant":"b","net_minor":100},{"participant":"c","net_minor":500}],"reason":"multilateral","route":"sct","start":1775088000000,"transfers":[],"type":"netted"}"#;
    assert_eq!(harness.take_lines("netted"), [netted]);
    harness.take("routed");
    harness.send(pays("5", 59, "a", "b", 1)).unwrap();
    let late = harness.take("routed").pop().expect("a decision");
    assert_eq!((&late["settlement"], &late["reason"]), (&json!("gross"), &json!("cycle_closed")));
}

#[test]
fn what_makes_no_sense_is_refused() {
    let mut harness = harness(config());
    for (changes, why) in [
        (json!({"amount_minor": 0}), "an amount of 0; it must be above 0"),
        (json!({"creditor": "a"}), "`a` is debtor and creditor"),
        (json!({"currency": "XAU"}), "`XAU` is no currency of ISO 4217 with a minor unit"),
        (json!({"needed_by": "soon"}), "`needed_by` is `soon`, which is no date like 2026-12-25"),
        (json!({"risk_points": -1}), "`risk_points` is -1; it must be 0 to 10000"),
        (json!({"debtor": ""}), "`debtor` has 0 bytes; it must have 1 to 64"),
    ] {
        assert_eq!(
            harness.send(with(payment("p", 0, 1), changes)),
            Err(Refusal::Failed(why.into()))
        );
    }
}

#[test]
fn the_configuration_is_checked() {
    use millstream_udf::Udf;
    let refused = |change: &dyn Fn(&mut Value)| {
        let mut config = config();
        change(&mut config);
        Payments::create(Some(&config.to_string()))
            .err()
            .map(|error| error.message().to_owned())
            .unwrap_or_default()
    };
    assert_eq!(refused(&|_| {}), "");
    assert_eq!(
        refused(&|config| config["routes"] = json!([])),
        "`routes` is 0; it must be 1 to 32"
    );
    assert_eq!(
        refused(&|config| config["routes"][1]["name"] = "sct".into()),
        "route `sct` is named twice"
    );
    assert_eq!(
        refused(&|config| config["routes"][0]["calendars"] = json!(["x"])),
        "route `sct` names calendar `x`, which is not there"
    );
    assert_eq!(
        refused(&|config| config["routes"][0]["fee_bps"] = 10_001.into()),
        "`sct.fee_bps` is 10001; it must be 0 to 10000"
    );
    for wrong in ["24:00", "9:00", "+9:00", "09:60", "0900"] {
        let message = refused(&|config| config["routes"][0]["cut_off"] = wrong.into());
        assert!(message.contains("is no time of day like 15:30"), "{wrong}: {message}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// Every payment gets one decision; the decision is within what was asked; cycles settle exactly what was routed into them.
    #[test]
    fn decisions_and_cycles_reconcile(
        payments in prop::collection::vec((0..40 * HOUR_MS, 0..3_usize, 0..3_usize, 1..20_000_000_i64, 0..4_i64, 0..120_i64), 1..60),
        batch in 1..40_usize,
    ) {
        let names = ["a", "b", "c"];
        let sent: Vec<_> = payments.iter().enumerate().filter(|(_, (_, from, to, ..))| from != to).map(|(i, (at, from, to, amount, days, risk))| {
            let needed_by = ["2026-04-02", "2026-04-03", "2026-04-07", "2026-04-10"][*days as usize];
            with(payment(&format!("p{i}"), MAUNDY_THURSDAY + at, *amount), json!({
                "debtor": names[*from], "creditor": names[*to], "needed_by": needed_by, "risk_points": risk,
            }))
        }).collect();
        let mut harness = harness(config()).with_bound(2 * HOUR_MS).batches_of(batch);
        prop_assert_eq!(harness.send_all(sent.clone()), []);
        harness.end_of_input();
        let (routed, unroutable) = (harness.take("routed"), harness.take("unroutable"));
        prop_assert_eq!(routed.len() + unroutable.len(), sent.len());
        for decision in routed.iter().chain(&unroutable) {
            let others = decision["rejected"].as_array().expect("a list").len();
            prop_assert_eq!(others + usize::from(decision.get("route").is_some()), 3);
        }
        let mut into_cycles = 0;
        for decision in &routed {
            let asked = sent.iter().find(|payment| payment["payment_id"] == decision["payment_id"]).expect("it was sent");
            prop_assert!(decision["value_date"].as_str() <= asked["needed_by"].as_str());
            prop_assert!(decision["risk_points"].as_i64() <= Some(100));
            if decision["settlement"] == "multilateral" {
                into_cycles += decision["amount_minor"].as_i64().expect("an amount");
            }
        }
        let netted = harness.take("netted");
        let gross: i64 = netted.iter().map(|cycle| cycle["gross_minor"].as_i64().expect("an amount")).sum();
        prop_assert_eq!(gross, into_cycles);
        for cycle in netted {
            let positions = cycle["positions"].as_array().expect("a list").iter();
            prop_assert_eq!(positions.map(|position| position["net_minor"].as_i64().expect("an amount")).sum::<i64>(), 0);
        }
    }
}
