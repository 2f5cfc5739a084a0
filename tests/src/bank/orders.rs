//! Payments between banks in three currencies, and what the clearing house says of them, read by `payments` and `payment-settlement`. Planted:
//! payments to a country that nobody may pay, payments that are never settled, and settlements of nothing.

use std::collections::{BTreeMap, BTreeSet};

use rand::RngExt;
use serde_json::json;

use super::outcome::{Outcome, integer, text};
use super::truth::Truth;
use super::verdict::Verdict;
use super::world::{CLOSING, CLOSING_MS, DAYS, MINUTE_MS, World};
use crate::load::decimal;

/// The streams.
const PAYMENTS: &str = "PAYMENTS";
const CLEARING: &str = "CLEARING";
/// The pipelines.
const ROUTING: &str = "payments";
const SETTLEMENT: &str = "payment-settlement";
/// Use cases, as they are planted.
const UNROUTABLE: &str = "payments nobody may send";
const OVERDUE: &str = "payment-settlement overdue";
const UNKNOWN: &str = "payment-settlement unknown";
const SHORT: &str = "payment-settlement differences";

/// Payments of a day.
const PER_DAY: usize = 14;
/// Banks.
const BANKS: usize = 12;
/// The country that nobody may pay; `pipelines/payments.yaml` says the same.
const FORBIDDEN: &str = "ZZ";
/// The currency that goes through the clearing house; others go from bank to bank.
const CLEARED: &str = "EUR";
/// How often each is planted: forbidden, never settled, settled for less, settlements of nothing.
const PLANTED: [usize; 4] = [6, 8, 6, 6];
/// Records arrive up to so much later, less than the watermarks allow for.
const DELAY_MS: i64 = 3_000;
/// Lines that are no record, in each stream.
const GARBLED: usize = 3;

/// A payment in another currency than the euro.
#[derive(Clone)]
pub(super) struct Foreign {
    pub id: String,
    pub ts: i64,
    pub currency: &'static str,
    pub cents: i64,
}

/// What is not usual of a payment.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Oddity {
    Forbidden,
    Unsettled,
    Short,
    None,
}

pub(super) fn plant(world: &mut World) {
    world.garble(PAYMENTS, GARBLED);
    world.garble(CLEARING, GARBLED);
    let [forbidden, unsettled, short, unknown] = PLANTED;
    for (count, oddity) in
        [(forbidden, Oddity::Forbidden), (unsettled, Oddity::Unsettled), (short, Oddity::Short)]
    {
        for _ in 0..count {
            let day = world.day(0, 1);
            pay(world, day, oddity);
        }
    }
    for day in 0..DAYS {
        for _ in 0..PER_DAY {
            pay(world, day, Oddity::None);
        }
    }
    for _ in 0..unknown {
        let (day, cents) = (world.day(0, 1), world.random.random_range(10_000..900_000));
        let (ts, payment) = (world.moment(day), world.id("nothing"));
        settle(world, ts, &payment, cents);
        world.truth.plant(UNKNOWN, payment);
    }
    let last = json!({
        "payment_id": CLOSING, "ts": CLOSING_MS, "debtor": "bank0", "creditor": "bank1", "country": "DE",
        "amount_minor": 100, "amount": decimal(100), "currency": CLEARED,
    });
    world.send(PAYMENTS, CLOSING_MS, 0, &last);
    count(world, CLEARED, 100);
    settle(world, CLOSING_MS, CLOSING, 100);
}

fn count(world: &mut World, currency: &str, cents: i64) {
    world.truth.add("PAYMENTS records", 1);
    world.truth.add(format!("PAYMENTS minor {currency}"), cents);
}

/// A payment and its settlement, if there is one.
fn pay(world: &mut World, day: i64, oddity: Oddity) {
    let (ts, id) = (world.moment(day), world.id("p"));
    let debtor = world.random.random_range(0..BANKS);
    let creditor = (debtor + world.random.random_range(1..BANKS)) % BANKS;
    let currency = match oddity {
        Oddity::Unsettled | Oddity::Short => CLEARED,
        _ => [CLEARED, CLEARED, CLEARED, "USD", "GBP"][world.random.random_range(0..5)],
    };
    let country = match oddity {
        Oddity::Forbidden => FORBIDDEN,
        _ => ["DE", "FR", "NL", "AT", "US", "GB", "JP"][world.random.random_range(0..7)],
    };
    let cents = world.random.random_range(5_000..30_000_000);
    let record = json!({
        "payment_id": id,
        "ts": ts,
        "debtor": format!("bank{debtor}"),
        "creditor": format!("bank{creditor}"),
        "country": country,
        "amount_minor": cents,
        "amount": decimal(cents),
        "currency": currency,
    });
    world.send(PAYMENTS, ts, DELAY_MS, &record);
    count(world, currency, cents);
    if oddity == Oddity::Forbidden {
        world.truth.plant(UNROUTABLE, &id);
    }
    if currency != CLEARED {
        world.foreign.push(Foreign { id, ts, currency, cents });
        return;
    }
    world.truth.add("PAYMENTS cleared", 1);
    let later = ts + world.random.random_range(MINUTE_MS..25 * MINUTE_MS);
    match oddity {
        Oddity::None => settle(world, later, &id, cents),
        Oddity::Short => {
            let less = world.random.random_range(1..1_000);
            settle(world, later, &id, cents - less);
            world.truth.plant(SHORT, id);
        }
        Oddity::Forbidden | Oddity::Unsettled => world.truth.plant(OVERDUE, id),
    }
}

fn settle(world: &mut World, ts: i64, payment: &str, cents: i64) {
    let record = json!({ "settlement_id": world.id("s"), "payment_id": payment, "amount": decimal(cents), "ts": ts });
    world.send(CLEARING, ts, DELAY_MS, &record);
    world.truth.add("CLEARING records", i64::from(payment != CLOSING));
}

pub(super) fn judge(truth: &Truth, outcome: &Outcome, verdict: &mut Verdict) {
    let of = |pipeline, kind| -> BTreeSet<String> {
        outcome.of(pipeline, kind).map(|output| text(&output["payment_id"])).collect()
    };
    verdict.found(UNROUTABLE, &truth.planted(UNROUTABLE), &of(ROUTING, "unroutable"), (100, 90));
    verdict.found(OVERDUE, &truth.planted(OVERDUE), &of(SETTLEMENT, "overdue"), (100, 95));
    verdict.found(UNKNOWN, &truth.planted(UNKNOWN), &of(SETTLEMENT, "unknown"), (100, 95));
    let short =
        outcome.of(SETTLEMENT, "settled").filter(|settled| !settled["difference"].is_null());
    let short = short.map(|settled| text(&settled["payment_id"])).collect();
    verdict.found(SHORT, &truth.planted(SHORT), &short, (100, 95));

    let payments = truth.total("PAYMENTS records");
    let routed = outcome.count(ROUTING, "routed") + outcome.count(ROUTING, "unroutable");
    verdict.equal("payments routed or not", &routed, &payments);
    let mut minor = outcome.sums(ROUTING, "routed", "currency", "amount_minor");
    for (currency, more) in outcome.sums(ROUTING, "unroutable", "currency", "amount_minor") {
        *minor.entry(currency).or_default() += more;
    }
    verdict.equal(
        "minor units by currency routed or not",
        &minor,
        &truth.totals("PAYMENTS minor "),
    );
    netted(outcome, verdict);
    let settled = outcome.count(SETTLEMENT, "settled") + outcome.count(SETTLEMENT, "overdue");
    verdict.equal("payments settled or overdue", &settled, &truth.total("PAYMENTS cleared"));
    let settlements = outcome.count(SETTLEMENT, "settled") + outcome.count(SETTLEMENT, "unknown");
    verdict.equal("settlements", &settlements, &truth.total("CLEARING records"));
    verdict.equal("late payments", &outcome.count(SETTLEMENT, "late"), &0);
    let garbled = [truth.total("PAYMENTS garbled"), truth.total("CLEARING garbled")];
    let letters = |pipeline| outcome.letters(pipeline).len() as i128;
    verdict.equal("dead letters of payments", &letters(ROUTING), &garbled[0]);
    verdict.equal(
        "dead letters of payment-settlement",
        &letters(SETTLEMENT),
        &garbled.iter().sum(),
    );
}

/// Netting holds every payment that settles net, and what some pay others get.
fn netted(outcome: &Outcome, verdict: &mut Verdict) {
    let mut gross = BTreeMap::new();
    let net = outcome.of(ROUTING, "routed").filter(|routed| routed["settlement"] != "gross");
    for routed in net.filter(|routed| routed["payment_id"] != CLOSING) {
        *gross.entry(text(&routed["currency"])).or_default() += integer(&routed["amount_minor"]);
    }
    let in_cycles = outcome.sums(ROUTING, "netted", "currency", "gross_minor");
    verdict.equal("minor units netted by currency", &in_cycles, &gross);
    let off = outcome.of(ROUTING, "netted").filter(|cycle| {
        let positions = cycle["positions"].as_array().into_iter().flatten();
        let positions: Vec<i128> =
            positions.map(|position| integer(&position["net_minor"])).collect();
        let gets: i128 = positions.iter().filter(|net| **net > 0).sum();
        positions.iter().sum::<i128>() != 0 || gets > integer(&cycle["gross_minor"])
    });
    verdict.equal("cycles in which not all that is paid is got", &off.count(), &0);
}
