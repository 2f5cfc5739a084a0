//! Exposures of random trades in random disorder and batches, against all trades of each minute summed up anew.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{MINUTE, harness};

/// Counterparty, netting set, value, time, and how much later it comes.
type Step = (usize, Option<u8>, i64, i64, i64);

/// Gross and net of the trades from `start` to before `end`.
fn exposure(trades: &[&Step], start: i64, end: i64) -> (i128, i128) {
    let within = || trades.iter().filter(|step| (start..end).contains(&step.3));
    let mut sets: BTreeMap<Option<u8>, i128> = BTreeMap::new();
    for step in within() {
        // Without a set only claims count.
        let value = if step.1.is_none() { step.2.max(0) } else { step.2 };
        *sets.entry(step.1).or_default() += i128::from(value);
    }
    let gross = within().map(|step| i128::from(step.2.max(0))).sum();
    (gross, sets.into_values().map(|value| value.max(0)).sum())
}

/// What must be reported of a counterparty, in order: exposures, and the crossings of a limit on the rolling net.
fn model(trades: &[&Step], rolling: i64, limit: i64, clear: i64) -> (Vec<Value>, Vec<Value>) {
    let (mut exposures, mut limits) = (Vec::new(), Vec::new());
    let mut breached = false;
    let last = trades.iter().map(|step| step.3).max().unwrap_or(0);
    for end in (1..).map(|n| n * MINUTE).take_while(|end| *end <= last + rolling + MINUTE) {
        let count = |start| trades.iter().filter(|step| (start..end).contains(&step.3)).count();
        // Reported while trades count, and once more when the last of them has gone.
        if count(end - rolling - MINUTE) == 0 {
            continue;
        }
        let (gross, net) = exposure(trades, end - MINUTE, end);
        let (rolling_gross, rolling_net) = exposure(trades, end - rolling, end);
        exposures.push(json!([end, gross, net, rolling_gross, rolling_net, count(end - rolling)]));
        if breached && rolling_net <= clear.into() || !breached && rolling_net > limit.into() {
            breached = !breached;
            limits.push(json!([end, if breached { "above_limit" } else { "back_within" }]));
        }
    }
    (exposures, limits)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn equals_sums_over_all_trades(
        steps in prop::collection::vec(
            (0..2_usize, prop::option::of(0..3_u8), -1_000..1_000_i64, 0..20 * MINUTE, 0..MINUTE),
            1..80,
        ),
        periods in 1..6_i64,
        limit in 1..1_500_i64,
        gap in 0..500_i64,
        batch in 1..40_usize,
    ) {
        let mut steps: Vec<Step> = steps;
        steps.sort_by_key(|step| step.3 + step.4);
        let (rolling, clear) = (periods * MINUTE, (limit - gap).max(0));
        let cents = |minor| finance::Exact::new(minor, 2).to_string();
        let mut desk = harness(json!({
            "rolling": format!("{periods}m"),
            "limits": [{"measure": "rolling_net", "limit": cents(limit), "clear": cents(clear)}],
        })).with_bound(MINUTE).batches_of(batch);
        let records = steps.iter().map(|(party, set, value, ts, _)| json!({
            "trade_id": "t", "counterparty": format!("c{party}"), "netting_set": set.map(|set| format!("s{set}")),
            "value_minor": value, "value_currency": "EUR", "ts": ts,
        }));
        prop_assert_eq!(desk.send_all(records.collect::<Vec<_>>()), []);
        desk.end_of_input();
        prop_assert_eq!(desk.pending_timers(), []);
        prop_assert_eq!(desk.take("late").len(), 0);
        let (exposures, limits) = (desk.take("exposure"), desk.take("limits"));
        for party in 0..2 {
            let name = json!(format!("c{party}"));
            prop_assert_eq!(desk.stored_elements(format!("c{party}")), 0);
            let of = |items: &[Value]| items.iter().filter(|item| item["counterparty"] == name).cloned().collect::<Vec<_>>();
            let trades: Vec<&Step> = steps.iter().filter(|step| step.0 == party).collect();
            let (expected, crossings) = model(&trades, rolling, limit, clear);
            let found: Vec<Value> = of(&exposures).iter().map(|e| json!([
                e["end"], e["gross_minor"], e["net_minor"], e["rolling_gross_minor"], e["rolling_net_minor"], e["rolling_trades"],
            ])).collect();
            prop_assert_eq!(found, expected);
            let of_limits = of(&limits);
            let found: Vec<Value> = of_limits.iter().map(|l| json!([l["ts"], l["reason"]])).collect();
            prop_assert_eq!(found, crossings);
            for limit in &of_limits {
                let sum: i64 = limit["reasons"].as_array().into_iter().flatten().filter_map(|part| part["value_minor"].as_i64()).sum();
                prop_assert_eq!(&json!(sum), &limit["value_minor"]);
            }
        }
        for e in &exposures {
            let number = |name: &str| e[name].as_i64().unwrap_or(-1);
            prop_assert!(0 <= number("net_minor") && number("net_minor") <= number("gross_minor"));
            prop_assert!(0 <= number("rolling_net_minor") && number("rolling_net_minor") <= number("rolling_gross_minor"));
        }
    }
}
