//! Card transactions, read by `card-fraud`, `card-score` and `card-totals`. Planted: cards that are tried out, cards that are emptied,
//! cards that are in two places, and phones with the cards of many.

use std::collections::BTreeSet;

use rand::RngExt;
use serde_json::json;

use super::outcome::{Outcome, integer, text};
use super::people::{CITIES, Customer};
use super::truth::Truth;
use super::verdict::Verdict;
use super::world::{CLOSING, CLOSING_MS, DAYS, MINUTE_MS, World};
use crate::load::decimal;

/// The stream.
const CARDS: &str = "CARDS";
/// The pipelines.
const FRAUD: &str = "card-fraud";
const SCORE: &str = "card-score";
const TOTALS: &str = "card-totals";

/// Cards that are tried out with a small amount, cards that are emptied, cards in two places, phones with many cards.
const PROBED: usize = 10;
const EMPTIED: usize = 8;
const TRAVELLED: usize = 8;
const PHONES: usize = 3;
/// Cards in such a phone.
const CARDS_PER_PHONE: usize = 12;
/// Transactions of a customer on a day.
const PER_DAY: f64 = 0.45;
/// Customers that are elsewhere for a week.
const TRAVELLERS: f64 = 0.15;
/// Transactions arrive up to so much later, less than the watermarks allow for.
const DELAY_MS: i64 = 1_500;
/// Lines that are no record.
const GARBLED: usize = 5;

/// Merchants of everyday life: category (ISO 18245), share of 100, cents from and to.
const MERCHANTS: [(&str, u32, i64, i64); 6] = [
    ("5411", 45, 400, 9_000),
    ("5812", 25, 900, 6_500),
    ("5541", 14, 2_500, 9_500),
    ("5732", 8, 2_000, 70_000),
    ("5712", 4, 15_000, 120_000),
    ("7523", 4, 60, 600),
];

/// A transaction that is being made.
struct Purchase<'a> {
    who: &'a Customer,
    ts: i64,
    cents: i64,
    merchant: String,
    category: &'a str,
    device: String,
    /// Index into [`CITIES`]; none without the card.
    city: Option<usize>,
}

impl Purchase<'_> {
    /// Sends it; gives its id.
    fn send(&self, world: &mut World) -> String {
        let id = world.id("t");
        let mut record = json!({
            "id": id,
            "txn_id": id,
            "ts": self.ts,
            "card_id": self.who.card,
            "account_id": self.who.account,
            "merchant_id": self.merchant,
            "category": self.category,
            "device_id": self.device,
            "amount": decimal(self.cents),
        });
        if let Some(city) = self.city {
            let (_, latitude, longitude) = CITIES[city];
            record["latitude"] = json!(latitude);
            record["longitude"] = json!(longitude);
        }
        world.send(CARDS, self.ts, DELAY_MS, &record);
        world.truth.add("CARDS records", 1);
        if self.category != CLOSING {
            world.truth.add(format!("CARDS cents {}", self.category), self.cents);
            world.truth.add(format!("CARDS count {}", self.category), 1);
        }
        id
    }
}

pub(super) fn plant(world: &mut World) {
    world.garble(CARDS, GARBLED);
    for _ in 0..PROBED {
        probe(world);
    }
    for _ in 0..EMPTIED {
        empty(world);
    }
    for _ in 0..TRAVELLED {
        travel(world);
    }
    for number in 0..PHONES {
        phone(world, number);
    }
    let people = world.people.clone();
    for customer in &people {
        everyday(world, customer);
    }
    let closing =
        Customer { card: CLOSING.to_owned(), account: CLOSING.to_owned(), ..people[0].clone() };
    let purchase = Purchase {
        who: &closing,
        ts: CLOSING_MS,
        cents: 1_000,
        merchant: CLOSING.to_owned(),
        category: CLOSING,
        device: CLOSING.to_owned(),
        city: None,
    };
    purchase.send(world);
}

fn everyday(world: &mut World, customer: &Customer) {
    let away = world.random.random_bool(TRAVELLERS).then(|| {
        let day = world.day(2, 9);
        (day..day + 7, world.random.random_range(0..CITIES.len()))
    });
    for day in 0..DAYS {
        if !world.random.random_bool(PER_DAY) {
            continue;
        }
        let city = match &away {
            Some((days, city)) if days.contains(&day) => *city,
            _ => customer.city,
        };
        let mut roll = world.random.random_range(0..100);
        let merchant = MERCHANTS.iter().find(|(_, share, ..)| {
            let is_it = roll < *share;
            roll = roll.saturating_sub(*share);
            is_it
        });
        let (category, _, from, to) = *merchant.expect("the shares are 100 together");
        let purchase = Purchase {
            who: customer,
            ts: world.moment(day),
            cents: world.random.random_range(from..to),
            merchant: format!("{}-{category}-{}", CITIES[city].0, world.random.random_range(0..6)),
            category,
            device: format!("chip-{}", customer.card),
            city: Some(city),
        };
        purchase.send(world);
    }
}

/// A purchase on the internet.
fn online<'a>(
    world: &mut World,
    who: &'a Customer,
    ts: i64,
    cents: i64,
    device: String,
) -> Purchase<'a> {
    let merchant = format!("web-{}", world.random.random_range(0..30));
    Purchase { who, ts, cents, merchant, category: "5732", device, city: None }
}

/// A stolen number is tried out with a few cents, and less than a minute later with a large amount.
fn probe(world: &mut World) {
    let (customer, day) = (world.actor(), world.day(1, 1));
    let ts = world.moment(day);
    let small = world.random.random_range(10..95);
    let device = format!("bot-{}", customer.card);
    let first = online(world, &customer, ts, small, device.clone()).send(world);
    let later = ts + world.random.random_range(5_000..55_000);
    let large = world.random.random_range(52_000..190_000);
    let second = online(world, &customer, later, large, device).send(world);
    world.truth.plant(FRAUD, &second);
    for id in [first, second] {
        world.truth.member(SCORE, id, format!("probe {}", customer.card));
    }
}

/// A card is emptied with a dozen purchases in a quarter of an hour.
fn empty(world: &mut World) {
    let (customer, day) = (world.actor(), world.day(1, 1));
    let (mut ts, name) = (world.moment(day), format!("emptied {}", customer.card));
    for _ in 0..world.random.random_range(10..14) {
        ts += world.random.random_range(20_000..90_000);
        let cents = world.random.random_range(8_000..40_000);
        let id = online(world, &customer, ts, cents, format!("bot-{}", customer.card)).send(world);
        world.truth.member(SCORE, id, &name);
    }
    world.truth.plant(SCORE, name);
}

/// A card is used at home, and within the hour a thousand kilometres away.
fn travel(world: &mut World) {
    let (customer, day) = (world.actor(), world.day(1, 1));
    let (ts, name) = (world.moment(day), format!("travelled {}", customer.card));
    for (ts, city) in [
        (ts, customer.city),
        (
            ts + world.random.random_range(30..60) * MINUTE_MS,
            world.random.random_range(4..CITIES.len()),
        ),
    ] {
        let purchase = Purchase {
            who: &customer,
            ts,
            cents: world.random.random_range(3_000..30_000),
            merchant: format!("{}-5411-{}", CITIES[city].0, world.random.random_range(0..6)),
            category: "5411",
            device: format!("chip-{}", customer.card),
            city: Some(city),
        };
        let id = purchase.send(world);
        world.truth.member(SCORE, id, &name);
    }
    world.truth.plant(SCORE, name);
}

/// A phone pays with the cards of many, one after the other.
fn phone(world: &mut World, number: usize) {
    let day = world.day(1, 1);
    let (mut ts, name) = (world.moment(day), format!("phone {number}"));
    for _ in 0..CARDS_PER_PHONE {
        let customer = world.actor();
        ts += world.random.random_range(2 * MINUTE_MS..12 * MINUTE_MS);
        let cents = world.random.random_range(3_000..20_000);
        let id = online(world, &customer, ts, cents, format!("thief-{number}")).send(world);
        world.truth.member(SCORE, id, &name);
    }
    world.truth.plant(SCORE, name);
}

pub(super) fn judge(truth: &Truth, outcome: &Outcome, verdict: &mut Verdict) {
    let alerts: BTreeSet<String> =
        outcome.of(FRAUD, "alert").map(|alert| text(&alert["txn_id"])).collect();
    verdict.found(FRAUD, &truth.planted(FRAUD), &alerts, (100, 80));
    let flagged = outcome.of(SCORE, "card_score").filter(|score| score["decision"] != "approve");
    // A card that was tried out is stolen, too, even if it is not for this pipeline to find.
    let flagged = flagged.map(|score| truth.owner(SCORE, &text(&score["id"])));
    let flagged = flagged.filter(|owner| !owner.starts_with("probe ")).collect();
    verdict.found(SCORE, &truth.planted(SCORE), &flagged, (90, 60));

    let records = truth.total("CARDS records");
    verdict.equal("transactions scored by card-fraud", &outcome.count(FRAUD, "score"), &records);
    verdict.equal(
        "transactions scored by card-score",
        &outcome.count(SCORE, "card_score"),
        &records,
    );
    for pipeline in [FRAUD, SCORE, TOTALS] {
        let letters = outcome.letters(pipeline).len() as i128;
        let what = format!("dead letters of {pipeline}");
        verdict.equal(&what, &letters, &truth.total("CARDS garbled"));
    }
    let days = |field| outcome.sums(TOTALS, "card_totals", "category", field);
    verdict.equal("transactions by category", &days("transactions"), &truth.totals("CARDS count "));
    verdict.equal("cents by category", &days("cents"), &truth.totals("CARDS cents "));
    let scored = outcome.of(SCORE, "card_score").map(|score| integer(&score["score"]));
    verdict.equal(
        "scores within 0 and 1,000",
        &scored.filter(|score| !(0..=1_000).contains(score)).count(),
        &0,
    );
}
