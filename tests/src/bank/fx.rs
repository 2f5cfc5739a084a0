//! What the euro costs in four currencies, and amounts to convert, read by `fx`: payments in other currencies become euros, customers buy
//! travel money. Planted: hours in which the rates of a currency are not told, and a currency that has none.

use std::collections::BTreeSet;

use rand::RngExt;
use serde_json::json;

use super::orders::Foreign;
use super::outcome::{Outcome, text};
use super::truth::Truth;
use super::verdict::Verdict;
use super::world::{BEGIN_MS, CLOSING_MS, DAY_MS, DAYS, HOUR_MS, MINUTE_MS, World};

/// The stream.
const FX: &str = "FX";
/// The pipeline.
const PIPELINE: &str = "fx";
/// The use case.
const UNPRICED: &str = "fx unpriced";

/// Currencies, what a euro costs at first, and half the spread, both in hundred thousandths.
const QUOTED: [(&str, i64, i64); 4] =
    [("USD", 108_000, 10), ("GBP", 85_000, 10), ("JPY", 16_300_000, 2_000), ("CHF", 93_000, 30)];
/// A currency that has no rate.
const UNQUOTED: &str = "SEK";
/// Rates are told from half past seven on, as often as this.
const EVERY_MS: i64 = 45 * MINUTE_MS;
/// Days on which the rates of a currency are not told from 11:00 until 15:00.
const SILENT: usize = 8;
/// Customers who ask for money that has no rate, and for money that has.
const TRAVELLERS: [usize; 2] = [5, 150];
/// The margin, in hundredths of a percent, and the oldest rate; `pipelines/fx.yaml` says the same.
const MARGIN_BPS: i64 = 30;
const MAX_AGE_MS: i64 = HOUR_MS;
/// Records arrive up to so much later, less than the watermarks allow for.
const DELAY_MS: i64 = 25_000;
/// Lines that are no record.
const GARBLED: usize = 3;

pub(super) fn plant(world: &mut World) {
    world.garble(FX, GARBLED);
    for (currency, first, half) in QUOTED {
        rates(world, currency, first, half);
    }
    for Foreign { id, ts, currency, cents } in world.foreign.clone() {
        convert(world, ts, &id, currency, cents, false);
    }
    for (count, is_quoted) in TRAVELLERS.into_iter().zip([false, true]) {
        for _ in 0..count {
            let (day, cents) = (world.day(0, 1), world.random.random_range(5_000..200_000));
            let currency = match is_quoted {
                true => QUOTED[world.random.random_range(0..QUOTED.len())].0,
                false => UNQUOTED,
            };
            let (ts, id) = (world.moment(day), world.id("t"));
            convert(world, ts, &id, currency, cents, true);
        }
    }
    let last =
        json!({ "type": "rate", "pair": "EUR/USD", "ts": CLOSING_MS, "bid": "1", "ask": "1" });
    world.send(FX, CLOSING_MS, 0, &last);
}

/// Rates of a currency, from day to day.
fn rates(world: &mut World, currency: &'static str, first: i64, half: i64) {
    let silent: BTreeSet<i64> = (0..SILENT).map(|_| world.day(0, 1)).collect();
    let mut mid = first;
    for day in 0..DAYS {
        let opening = BEGIN_MS + day * DAY_MS + 15 * HOUR_MS / 2;
        for ts in (opening..opening + 13 * HOUR_MS).step_by(EVERY_MS as usize) {
            mid += mid * world.random.random_range(-8..9) / 10_000;
            let hour = (ts - BEGIN_MS) % DAY_MS / HOUR_MS;
            if silent.contains(&day) && (11..15).contains(&hour) {
                continue;
            }
            let price = |units: i64| format!("{}.{:05}", units / 100_000, units % 100_000);
            let record = json!({
                "type": "rate",
                "pair": format!("EUR/{currency}"),
                "ts": ts,
                "bid": price(mid - half),
                "ask": price(mid + half),
            });
            world.send(FX, ts, DELAY_MS, &record);
            world.rates.insert((currency, ts), mid);
        }
    }
}

/// An amount to convert, from euros or into them, and what must come of it.
fn convert(
    world: &mut World,
    ts: i64,
    id: &str,
    currency: &'static str,
    cents: i64,
    from_euros: bool,
) {
    let from = if from_euros { "EUR" } else { currency };
    let record = json!({
        "type": "conversion",
        "conversion_id": id,
        "pair": format!("EUR/{currency}"),
        "ts": ts,
        "from": from,
        "amount_minor": cents,
    });
    world.send(FX, ts, DELAY_MS, &record);
    world.truth.add("FX conversions", 1);
    world.truth.add(format!("FX from {from}"), cents);
    let in_force = world.rates.range((currency, i64::MIN)..=(currency, ts)).next_back();
    let reason = match in_force {
        None => "no_rate",
        Some(((_, since), _)) if ts - since > MAX_AGE_MS => "stale_rate",
        Some((_, mid)) => {
            let to = if from_euros { currency } else { "EUR" };
            let amount = exact(currency, *mid, cents, from_euros);
            world.truth.add(format!("FX to {to}"), amount);
            return;
        }
    };
    world.truth.plant(UNPRICED, format!("{id} {reason}"));
}

/// The amount in minor units of the other currency, rounded as `pipelines/fx.yaml` says.
fn exact(currency: &str, mid: i64, cents: i64, from_euros: bool) -> i64 {
    let quoted = QUOTED.iter().find(|(known, ..)| *known == currency);
    let half = quoted.map_or(0, |(.., half)| *half);
    let one = 100_000 * 10_000;
    let (numerator, mut denominator) = match from_euros {
        true => (i128::from(cents) * i128::from((mid - half) * (10_000 - MARGIN_BPS)), one),
        false => (i128::from(cents) * one, i128::from((mid + half) * (10_000 + MARGIN_BPS))),
    };
    // Yen have no minor unit.
    denominator *= if currency == "JPY" { 100 } else { 1 };
    let amount = match currency {
        "JPY" => numerator / denominator,
        _ => (2 * numerator + denominator) / (2 * denominator),
    };
    // Francs come in multiples of five centimes.
    let amount = if currency == "CHF" { (amount + 2) / 5 * 5 } else { amount };
    i64::try_from(amount).expect("amounts are small")
}

pub(super) fn judge(truth: &Truth, outcome: &Outcome, verdict: &mut Verdict) {
    let unpriced = outcome.of(PIPELINE, "unpriced").map(|unpriced| {
        format!("{} {}", text(&unpriced["conversion_id"]), text(&unpriced["reason"]))
    });
    verdict.found(UNPRICED, &truth.planted(UNPRICED), &unpriced.collect(), (100, 100));

    let answered = outcome.count(PIPELINE, "converted") + outcome.count(PIPELINE, "unpriced");
    verdict.equal("conversions priced or not", &answered, &truth.total("FX conversions"));
    let into = outcome.sums(PIPELINE, "converted", "to", "to_minor");
    verdict.equal("minor units by currency converted into", &into, &truth.totals("FX to "));
    let mut from = outcome.sums(PIPELINE, "converted", "from", "from_minor");
    for (currency, more) in outcome.sums(PIPELINE, "unpriced", "from", "from_minor") {
        *from.entry(currency).or_default() += more;
    }
    verdict.equal("minor units by currency to convert", &from, &truth.totals("FX from "));
    // What is paid in these currencies is what `payments` has routed.
    for currency in ["USD", "GBP"] {
        let paid = truth.total(&format!("PAYMENTS minor {currency}"));
        let converted = from.get(currency).copied().unwrap_or(0);
        verdict.equal(&format!("payments in {currency} to convert"), &converted, &paid);
    }
    let letters = outcome.letters(PIPELINE).len() as i128;
    verdict.equal("dead letters of fx", &letters, &truth.total("FX garbled"));
}
