//! FinCEN's examples, corrections, and that reports reconcile to what came.

use millstream_udf::testing::{Harness, Refusal};
use proptest::prelude::*;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::ComplianceReport;
use crate::totals::hex;

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;
/// Monday, 5 January 2026.
const MONDAY: i64 = 1_767_571_200_000;

/// A currency transaction report: cash of a person and business day above $10,000, 31 CFR 1010.311 and 1010.313.
fn ctr() -> Value {
    json!({
        "report": "ctr", "currency": "USD", "period": "business_day", "lateness": "2d",
        "lines": [
            {"code": "cash_in", "classes": ["deposit", "exchange"], "threshold_minor": 1_000_000},
            {"code": "cash_out", "classes": ["withdrawal", "exchange"], "threshold_minor": 1_000_000},
        ],
    })
}

fn harness(config: Value) -> Harness<ComplianceReport> {
    Harness::with_config(config).key_from("/person").event_time_from("/ts")
}

fn item(id: &str, ts: i64, class: &str, amount: i64) -> Value {
    json!({"person": "p", "txn_id": id, "ts": ts, "class": class, "amount_minor": amount, "currency": "USD"})
}

/// The totals of the lines that are reported, as `cash_in 1100000`, of a day's items.
fn reported(items: &[(&str, i64)]) -> Vec<String> {
    let mut harness = harness(ctr());
    let items = items.iter().enumerate();
    let items =
        items.map(|(i, (class, amount))| item(&format!("t{i}"), MONDAY + i as i64, class, *amount));
    assert_eq!(harness.send_all(items), []);
    harness.end_of_input();
    let reports = harness.take("report");
    let lines =
        reports.iter().flat_map(|report| report["body"]["lines"].as_array().expect("lines"));
    lines
        .filter(|line| line["reported"] == true)
        .map(|line| format!("{} {}", line["code"].as_str().expect("a code"), line["total_minor"]))
        .collect()
}

/// FinCEN, instructions for the electronic Currency Transaction Report, items 25 and 27 (cash in and cash out): examples 1
/// to 3, and what 31 CFR 1010.311 calls more than $10,000.
#[test]
fn the_examples_of_fincens_instructions() {
    assert_eq!(reported(&[("deposit", 1_100_000), ("withdrawal", 300_000)]), ["cash_in 1100000"]);
    assert_eq!(
        reported(&[("deposit", 1_100_000), ("withdrawal", 1_200_000)]),
        ["cash_in 1100000", "cash_out 1200000"]
    );
    let with_exchange = [("deposit", 600_000), ("withdrawal", 400_000), ("exchange", 500_000)];
    assert_eq!(reported(&with_exchange), ["cash_in 1100000"]);
    assert_eq!(reported(&[("deposit", 1_000_000)]), [""; 0]);
    assert_eq!(reported(&[("deposit", 900_000), ("deposit", 100_001)]), ["cash_in 1000001"]);
}

#[test]
fn the_report_as_it_is_written() {
    let mut harness = harness(ctr());
    harness.send(item("t1", MONDAY, "deposit", 1_100_000)).unwrap();
    harness.send(item("t2", MONDAY, "fee", -500)).unwrap();
    harness.advance_watermark(MONDAY + DAY_MS - 2);
    assert_eq!(harness.take_lines("report"), [""; 0]);
    harness.advance_watermark(MONDAY + DAY_MS - 1);
    let lines = harness.take_lines("report");
    let start = r#"{"body":{"report":"ctr","subject":"p","period":"2026-01-05","version":1,"currency":"USD","lines":[{"code":"cash_in","count":1,"total_minor":1100000,"reported":true,"reason":"above_threshold"},{"code":"cash_out","count":0,"total_minor":0,"reported":false,"reason":"not_above_threshold"}],"classes":[{"class":"deposit","count":1,"total_minor":1100000,"in_report":true},{"class":"fee","count":1,"total_minor":-500,"in_report":false}],"inputs":{"count":2,"total_minor":1099500,"digest":"#;
    assert!(lines[0].starts_with(start), "{}", lines[0]);
    let body = &lines[0][r#"{"body":"#.len()
        ..lines[0]
            .find(r#","digest":"#)
            .map_or(0, |_| lines[0].rfind(r#","digest":"#).expect("a digest"))];
    let digest = hex(&Sha256::digest(body));
    assert!(
        lines[0].contains(&format!(
            r#","digest":"{digest}","period":"2026-01-05","reason":"period_end""#
        ))
    );
    harness.end_of_input();
    assert_eq!((harness.pending_timers(), harness.stored_elements("p")), (vec![], 0));
}

#[test]
fn late_data_makes_new_versions_until_the_period_is_closed() {
    let mut harness = harness(ctr());
    harness.send(item("t1", MONDAY, "deposit", 1_100_000)).unwrap();
    harness.advance_watermark(MONDAY + DAY_MS);
    harness.send(item("t2", MONDAY + 5, "deposit", -200_000)).unwrap();
    let reports = harness.take("report");
    let brief = |report: &Value| {
        (
            report["version"].clone(),
            report["reason"].clone(),
            report["body"]["lines"][0]["reported"].clone(),
        )
    };
    let expected = [
        (json!(1), json!("period_end"), json!(true)),
        // Below the threshold now: what was filed is corrected.
        (json!(2), json!("late_data"), json!(false)),
    ];
    assert_eq!(reports.iter().map(brief).collect::<Vec<_>>(), expected);
    harness.advance_watermark(MONDAY + 3 * DAY_MS - 1);
    harness.send(item("t3", MONDAY, "deposit", 7)).unwrap();
    assert_eq!(harness.take_lines("report"), [""; 0]);
    let late = r#"{"amount_minor":7,"class":"deposit","period":"2026-01-05","reason":"period_closed","report":"ctr","subject":"p","ts":1767571200000,"txn_id":"t3","type":"late"}"#;
    assert_eq!(harness.take_lines("late"), [late]);
}

/// FFIEC, BSA/AML Examination Manual: what is deposited over a weekend counts as received on the next business day.
#[test]
fn a_weekend_belongs_to_monday() {
    let mut harness = harness(ctr());
    harness.send(item("t1", MONDAY - DAY_MS, "deposit", 600_000)).unwrap();
    harness.send(item("t2", MONDAY + HOUR_MS, "deposit", 600_000)).unwrap();
    harness.end_of_input();
    assert_eq!(harness.take("report")[0]["body"]["lines"][0]["total_minor"], 1_200_000);
}

#[test]
fn what_makes_no_sense_is_refused() {
    let mut harness = harness(ctr());
    let mut euro = item("t", MONDAY, "deposit", 1);
    euro["currency"] = "EUR".into();
    for (bad, why) in [
        (euro, "an amount in EUR; it must be in USD"),
        (item("", MONDAY, "deposit", 1), "`txn_id` must have 1 to 128 bytes and no line break"),
        (item("t", MONDAY, "a\nb", 1), "`class` must have 1 to 128 bytes and no line break"),
        (item("t", i64::MAX, "deposit", 1), "`ts` is 9223372036854775807, which is in no period"),
    ] {
        assert_eq!(harness.send(bad), Err(Refusal::Failed(why.into())));
    }
}

#[test]
fn the_configuration_is_checked() {
    use millstream_udf::Udf;
    let refused = |change: (&str, Value)| {
        let mut config = ctr();
        config[change.0] = change.1;
        ComplianceReport::create(Some(&config.to_string()))
            .err()
            .map(|error| error.message().to_owned())
    };
    assert_eq!(refused(("report", json!("ctr"))), None);
    let line = json!({"code": "a", "classes": ["x"]});
    for (change, why) in [
        (("lines", json!([])), "`lines` has 0 entries; it must have 1 to 64"),
        (("lines", json!([line, line])), "line `a` is named twice"),
        (("lines", json!([{"code": "a", "classes": []}])), "line `a` adds up no class"),
        (
            ("utc_offset_minutes", json!(9_999)),
            "`utc_offset_minutes` is 9999; it must be -1440 to 1440",
        ),
    ] {
        assert_eq!(refused(change).as_deref(), Some(why));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// The last versions of all periods and what was late add up to all records, class by class; and a period's last version
    /// does not depend on the order of arrival, but for its number.
    #[test]
    fn reports_reconcile_to_their_inputs(
        items in prop::collection::vec((0..10 * DAY_MS, 0..4_usize, -1_000..1_000_i64, 0..3 * DAY_MS), 1..60),
        batch in 1..40_usize,
    ) {
        let classes = ["deposit", "withdrawal", "exchange", "other"];
        let config = json!({
            "report": "all", "currency": "USD", "period": "day", "lateness": "12h",
            "lines": [{"code": "in", "classes": ["deposit", "exchange"]}],
        });
        let mut items: Vec<_> = items.into_iter().enumerate().map(|(i, (ts, class, amount, delay))| {
            (item(&format!("t{i}"), MONDAY + ts, classes[class], amount), ts + delay, amount)
        }).collect();
        let total: i64 = items.iter().map(|(_, _, amount)| amount).sum();
        items.sort_by_key(|(_, arrival, _)| *arrival);
        let mut harness = harness(config).with_bound(HOUR_MS).batches_of(batch);
        prop_assert_eq!(harness.send_all(items.iter().map(|(item, _, _)| item.clone())), []);
        harness.end_of_input();
        let mut last = std::collections::BTreeMap::new();
        for report in harness.take("report") {
            let body = &report["body"];
            let classes = body["classes"].as_array().expect("classes");
            for name in ["count", "total_minor"] {
                let sum: i64 = classes.iter().map(|class| class[name].as_i64().expect("a number")).sum();
                prop_assert_eq!(&body["inputs"][name], &json!(sum));
            }
            let previous = last.insert(report["period"].as_str().expect("a name").to_owned(), body.clone());
            let version = previous.map_or(1, |body| body["version"].as_i64().expect("a number") + 1);
            prop_assert_eq!(&body["version"], &json!(version));
        }
        let late = harness.take("late");
        let sum = |values: &mut dyn Iterator<Item = &Value>| values.map(|value| value.as_i64().expect("a number")).sum::<i64>();
        let filed = sum(&mut last.values().map(|body| &body["inputs"]["total_minor"]));
        prop_assert_eq!(filed + sum(&mut late.iter().map(|item| &item["amount_minor"])), total);
        let counted = sum(&mut last.values().map(|body| &body["inputs"]["count"]));
        prop_assert_eq!(counted + late.len() as i64, items.len() as i64);
    }
}
