//! Made-up records for examples whose own input is small, the same for the same seed.

use std::collections::BTreeMap;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

/// Event time of the first record.
const BEGIN_MS: i64 = 1_700_000_000_000;

/// Lines of a source, in the order of their arrival.
#[derive(Default)]
pub(crate) struct Lines(Vec<(i64, String)>);

impl Lines {
    /// A record, which arrives up to `delay_ms_max` after its event time.
    pub(crate) fn push(&mut self, random: &mut StdRng, ts: i64, delay_ms_max: i64, record: &Value) {
        self.line(ts + random.random_range(0..=delay_ms_max), record.to_string());
    }

    /// A line, whatever it holds, which arrives at `arrival_ms`.
    pub(crate) fn line(&mut self, arrival_ms: i64, line: String) {
        self.0.push((arrival_ms, line));
    }

    /// The lines in the order of their arrival.
    pub(crate) fn bytes(mut self) -> Vec<u8> {
        self.0.sort();
        let lines: Vec<String> = self.0.into_iter().map(|(_, line)| line).collect();
        lines.join("\n").into_bytes()
    }
}

/// An amount with two digits, up to `cents_max`.
fn amount(random: &mut StdRng, cents_max: i64) -> Value {
    decimal(random.random_range(1..=cents_max))
}

/// A count of cents, not negative, as a number with two digits.
pub(crate) fn decimal(cents: i64) -> Value {
    let text = format!("{}.{:02}", cents / 100, cents % 100);
    serde_json::from_str(&text).expect("a number")
}

/// For `payment-settlement`: most payments are settled within half an hour, in one part or two, some after it or never;
/// some settlements are of no payment. Records arrive up to six seconds late, a second more than the watermarks
/// allow for.
pub fn settlements(seed: u64, payments: usize) -> BTreeMap<String, Vec<u8>> {
    let mut random = StdRng::seed_from_u64(seed);
    let (mut paid, mut settled) = (Lines::default(), Lines::default());
    let (mut ts, delay) = (BEGIN_MS, 6_000);
    for number in 0..payments {
        ts += random.random_range(0..2_000);
        let amount = amount(&mut random, 1_000_000);
        let id = format!("p{number}");
        let is_known = random.random_bool(0.97);
        if is_known {
            let record = json!({"payment_id": id, "amount": amount, "debtor": "acme", "ts": ts});
            paid.push(&mut random, ts, delay, &record);
        }
        for part in 0..random.random_range(0..=2) {
            let at = ts + random.random_range(-3_000..2_000_000);
            let settlement = format!("{id}-{part}");
            let record =
                json!({"settlement_id": settlement, "payment_id": id, "amount": amount, "ts": at});
            settled.push(&mut random, at, delay, &record);
        }
    }
    [("payments", paid), ("settlements", settled)]
        .map(|(source, lines)| (source.to_owned(), lines.bytes()))
        .into()
}

/// For `live-rules`: payments of 40 accounts in five countries, while ten rules change and end. Payments arrive
/// up to two and a half seconds late, half a second more than the watermarks allow for, rules up to eight.
pub fn rules(seed: u64, payments: usize) -> BTreeMap<String, Vec<u8>> {
    let mut random = StdRng::seed_from_u64(seed);
    let (mut paid, mut rules) = (Lines::default(), Lines::default());
    let mut ts = BEGIN_MS;
    for number in 0..payments {
        ts += random.random_range(0..500);
        let country = ["DE", "FR", "KY", "NL", "PA"][random.random_range(0..5)];
        let record = json!({
            "payment_id": format!("p{number}"),
            "account_id": format!("a{}", random.random_range(0..40)),
            "amount": amount(&mut random, 300_000),
            "country": country,
            "ts": ts,
        });
        paid.push(&mut random, ts, 2_500, &record);
        if random.random_bool(0.05) {
            let at = ts + random.random_range(-1_000..1_000);
            let mut record =
                json!({"rule_id": format!("r{}", random.random_range(0..10)), "ts": at});
            let rule = match random.random_range(0..4) {
                0 => None,
                1 => Some(json!({"min_cents": random.random_range(200_000..300_000)})),
                2 => Some(json!({"countries": [country], "min_cents": 250_000})),
                _ => Some(json!({"count": random.random_range(2..6), "within_ms": 20_000})),
            };
            if let Some(rule) = rule {
                record["rule"] = rule;
            }
            rules.push(&mut random, at, 8_000, &record);
        }
    }
    [("payments", paid), ("rules", rules)]
        .map(|(source, lines)| (source.to_owned(), lines.bytes()))
        .into()
}
