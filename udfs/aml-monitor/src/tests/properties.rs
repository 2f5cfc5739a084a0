//! What holds for all accounts.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{harness, txn};
use crate::config::Config;
use crate::movements::{Direction, MOVEMENTS_MAX, Movement, Movements};
use crate::rules::judge;

const MINUTE_MS: i64 = 60_000;

fn movement() -> impl Strategy<Value = (i64, bool, bool, i64)> {
    (0..3_000 * 60 * MINUTE_MS, any::<bool>(), any::<bool>(), 1..1_500_000_i64)
}

fn kind(out: bool, cash: bool, amount: i64) -> String {
    format!("{} {} {amount}", if out { "out" } else { "in" }, if cash { "cash" } else { "wire" })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// The score is the sum of the reasons' points, structured sums are the sum of their parts, and calls' batches
    /// do not show.
    #[test]
    fn scores_and_totals_reconcile(history in prop::collection::vec(movement(), 1..60), batch in 2..64_usize) {
        let records: Vec<Value> = history.iter().enumerate().map(|(i, &(ts, out, cash, amount))| {
            let mut txn = txn(&kind(out, cash, amount), ts);
            txn["txn_id"] = format!("t{i}").into();
            txn
        }).collect();
        let mut one = harness(json!({}));
        let mut batches = harness(json!({})).batches_of(batch);
        prop_assert_eq!(one.send_all_to("transactions", records.clone()), []);
        prop_assert_eq!(batches.send_all_to("transactions", records), []);
        let alerts = one.take("alert");
        prop_assert_eq!(&batches.take("alert"), &alerts);
        let amount = |id: &Value| history[id.as_str().expect("an id")[1..].parse::<usize>().expect("an index")].3;
        for alert in &alerts {
            let reasons = alert["reasons"].as_array().expect("reasons");
            let points: i64 = reasons.iter().map(|reason| reason["points"].as_i64().expect("points")).sum();
            prop_assert_eq!(&alert["score"], &json!(points));
            prop_assert_eq!(&alert["decision"], if points >= 100 { "hold" } else { "review" });
            for reason in reasons.iter().filter(|reason| reason["code"] == "structuring") {
                let parts = reason["txn_ids"].as_array().expect("ids");
                prop_assert_eq!(&reason["total_minor"], &json!(parts.iter().map(amount).sum::<i64>()));
                prop_assert_eq!(&reason["count"], &json!(parts.len()));
                prop_assert!(parts.iter().all(|id| (500_000..=1_000_000).contains(&amount(id))));
            }
        }
    }

    /// State is bounded whatever comes.
    #[test]
    fn movements_are_bounded_and_in_order(history in prop::collection::vec(movement(), 1..600)) {
        let config: Config = serde_json::from_str(r#"{"currency": "USD"}"#).expect("a configuration");
        let mut movements = Movements::default();
        for (ts, out, cash, amount) in history {
            let direction = if out { Direction::Out } else { Direction::In };
            judge(&mut movements, &Movement::new("t", ts, direction, cash, amount), &config);
            let kept = movements.open(crate::movements::Rule::Rapid, i64::MAX, |_| true);
            prop_assert!(kept.len() <= MOVEMENTS_MAX);
            prop_assert!(kept.windows(2).all(|pair| movements.at(pair[0]).ts <= movements.at(pair[1]).ts));
        }
    }
}
