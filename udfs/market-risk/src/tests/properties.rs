//! What holds for all books.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{price, run, trade};
use crate::tail::tail;

/// Cents of a number of a report.
fn cents(value: &Value) -> i64 {
    let text = value.to_string();
    finance::exact::parse(&text, 2).expect("an amount")
}

fn records() -> impl Strategy<Value = Vec<Value>> {
    let record =
        (0..40_i64, 0..4_usize, 1..100_000_i64, prop_oneof![Just(0), -5_000_000..5_000_000_i64]);
    prop::collection::vec(record, 1..120).prop_map(|records| {
        let instruments = ["A", "B", "C", "D"];
        records
            .into_iter()
            .map(|(day, i, at, quantity)| {
                let at = finance::Exact::new(at, 3).to_string();
                match quantity {
                    0 => price(day, instruments[i], &at),
                    _ => trade(
                        day,
                        instruments[i],
                        &finance::Exact::new(quantity, 4).to_string(),
                        &at,
                    ),
                }
            })
            .collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn the_tail_grows_with_confidence(losses in prop::collection::vec(-1_000_000..1_000_000_i64, 1..400), a in 5_000..10_000_i64, b in 5_000..10_000_i64) {
        let (low, high) = (tail(&losses, a.min(b)), tail(&losses, a.max(b)));
        prop_assert!(low.value_at_risk <= high.value_at_risk);
        prop_assert!(low.expected_shortfall <= high.expected_shortfall);
        prop_assert!(high.expected_shortfall >= high.value_at_risk);
        prop_assert_eq!(losses[high.scenario], high.value_at_risk);
        // No more than one minus the confidence of the losses are beyond it.
        let beyond = losses.iter().filter(|loss| **loss > high.value_at_risk).count() as i64;
        prop_assert!(beyond * 10_000 <= losses.len() as i64 * (10_000 - a.max(b)));
    }

    #[test]
    fn profits_add_up_to_the_value_less_what_was_paid(records in records()) {
        let (risk, _) = run(json!({"currency": "EUR", "min_scenarios": 1}), records.clone());
        let profit: i64 = risk.iter().map(|report| cents(&report["profit"])).sum();
        // What was paid, rounded once per instrument and day, as money changes hands.
        let mut paid: BTreeMap<(i64, String), i128> = BTreeMap::new();
        for record in records.iter().filter(|record| record["type"] == "trade") {
            let units = |field: &str, scale| i128::from(finance::exact::parse(record[field].as_str().expect("text"), scale).expect("a number"));
            let day = record["ts"].as_i64().expect("a time") / super::DAY_MS;
            *paid.entry((day, record["instrument"].to_string())).or_default() += units("quantity", 4) * units("price", 3);
        }
        let paid: i128 = paid.values().map(|exact| finance::divide(*exact, 100_000, finance::Rounding::HalfEven)).sum();
        let last = risk.last().expect("a report");
        prop_assert_eq!(i128::from(profit), i128::from(cents(&last["net_exposure"])) - paid);
        for report in &risk {
            prop_assert!(cents(&report["gross_exposure"]) >= cents(&report["net_exposure"]).abs());
        }
    }

    #[test]
    fn reasons_add_up_to_the_value_at_risk(records in records()) {
        let (risk, _) = run(json!({"currency": "EUR", "min_scenarios": 1, "confidence": [0.9, 0.95]}), records);
        for level in risk.iter().filter_map(|report| report["tails"].as_array()).flatten() {
            let reasons: i64 = level["reasons"].as_array().expect("reasons").iter().map(|reason| cents(&reason["loss"])).sum();
            prop_assert_eq!(reasons, cents(&level["value_at_risk"]));
        }
    }
}
