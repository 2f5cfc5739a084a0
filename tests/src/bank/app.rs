//! The bank's app: visits of customers, read by `account-takeover` and `session-analytics`. Planted: stolen accounts, and customers
//! whose new phone looks almost like that. What is transferred in the app is booked in the ledger.

use std::collections::BTreeSet;

use rand::RngExt;
use serde_json::{Value, json};

use super::ledger::Booking;
use super::outcome::{Outcome, integer, text};
use super::people::Customer;
use super::truth::Truth;
use super::verdict::Verdict;
use super::world::{CLOSING, CLOSING_MS, DAYS, HOUR_MS, MINUTE_MS, World, with};
use crate::load::decimal;

/// The stream.
const APP: &str = "APP";
/// Use cases, as they are planted.
const TAKEOVER: &str = "account-takeover";
const NEAR_MISS: &str = "account-takeover near misses";
const ABANDONED: &str = "session-analytics abandoned payees";
/// The pipelines.
const SESSIONS: &str = "session-analytics";

/// Accounts that are stolen.
const STOLEN: usize = 10;
/// Customers with a new phone: without a large transfer; with one from the old phone; who were identified; who do all that a thief does.
const HARMLESS: [usize; 4] = [6, 4, 4, 1];
/// How often a customer is there on a day.
const VISITS_PER_DAY: f64 = 0.2;
/// Events arrive up to so much later, less than the watermarks allow for.
const DELAY_MS: i64 = 45_000;
/// Lines that are no record.
const GARBLED: usize = 6;

/// Somebody is in the app.
struct Visit {
    who: Customer,
    device: String,
    ts: i64,
}

impl Visit {
    fn begin(who: &Customer, ts: i64) -> Self {
        Self { who: who.clone(), device: who.phone.clone(), ts }
    }

    /// An event of a type, up to a minute and a half behind the one before. Gives its time.
    fn does(&mut self, world: &mut World, kind: &str, more: &Value) -> i64 {
        self.ts += world.random.random_range(4_000..90_000);
        let record = json!({
            "event_id": world.id("e"),
            "type": kind,
            "customer_id": self.who.id,
            "account_id": self.who.account,
            "device": self.device,
            "ts": self.ts,
        });
        world.send(APP, self.ts, DELAY_MS, &with(record, more));
        world.truth.add("APP records", 1);
        self.ts
    }

    /// A transfer, which is booked as well.
    fn transfers(&mut self, world: &mut World, cents: i64, payee: &str) {
        let more = json!({ "amount": decimal(cents), "payee": payee });
        let ts = self.does(world, "transfer", &more);
        let booking = Booking::transfer(&self.who, ts, "out", cents, payee);
        world.bookings.push(booking);
    }
}

pub(super) fn plant(world: &mut World) {
    world.garble(APP, GARBLED);
    for _ in 0..STOLEN {
        steal(world);
    }
    for (kind, count) in HARMLESS.into_iter().enumerate() {
        for _ in 0..count {
            new_phone(world, kind);
        }
    }
    let people = world.people.clone();
    for customer in &people {
        for day in 0..DAYS {
            if world.random.random_bool(VISITS_PER_DAY) {
                visit(world, customer, day);
            }
        }
    }
    let record = json!({
        "event_id": CLOSING, "type": "login", "customer_id": CLOSING, "account_id": CLOSING, "device": CLOSING, "ts": CLOSING_MS,
    });
    world.send(APP, CLOSING_MS, 0, &record);
}

/// An everyday visit, between 8:00 and 20:00.
fn visit(world: &mut World, customer: &Customer, day: i64) {
    let mut visit = Visit::begin(customer, world.moment(day));
    visit.does(world, "login", &json!({}));
    for _ in 0..world.random.random_range(1..5) {
        let page = ["balance", "cards", "savings", "help"][world.random.random_range(0..4)];
        visit.does(world, "view", &json!({ "page": page }));
    }
    let payee = format!("payee{}", world.random.random_range(0..400));
    match world.random.random_range(0..20) {
        0 => {
            visit.does(world, "payee_added", &json!({ "payee": payee }));
            let cents = world.random.random_range(2_000..60_000);
            visit.transfers(world, cents, &payee);
        }
        // Has to look for the account number, and leaves it.
        1 => {
            visit.does(world, "payee_added", &json!({ "payee": payee }));
            world.truth.plant(ABANDONED, format!("{} day {day}", customer.id));
        }
        2..5 => {
            let cents = world.random.random_range(1_000..90_000);
            visit.transfers(world, cents, &payee);
        }
        _ => {}
    }
}

/// At night, when the customer sleeps: a reset, a new device, a payee and a large transfer to it.
fn steal(world: &mut World) {
    let (customer, day) = (world.actor(), world.day(3, 3));
    let mut visit = Visit::begin(&customer, world.moment(day) + 14 * HOUR_MS);
    visit.does(world, "password_reset", &json!({}));
    visit.device = format!("stranger-{}", customer.id);
    visit.does(world, "device_added", &json!({ "device": visit.device }));
    visit.does(world, "login", &json!({}));
    visit.ts += world.random.random_range(0..4 * MINUTE_MS);
    let payee = format!("mule{}", world.random.random_range(0..20));
    visit.does(world, "view", &json!({ "page": "balance" }));
    visit.does(world, "payee_added", &json!({ "payee": payee }));
    let cents = world.random.random_range(150_000..480_000);
    visit.transfers(world, cents, &payee);
    world.truth.plant(TAKEOVER, &customer.account);
}

/// A customer has a new phone, and resets the password for it.
fn new_phone(world: &mut World, kind: usize) {
    let (customer, day) = (world.actor(), world.day(3, 3));
    let mut visit = Visit::begin(&customer, world.moment(day) + 14 * HOUR_MS);
    visit.does(world, "password_reset", &json!({}));
    visit.device = format!("new-{}", customer.phone);
    visit.does(world, "device_added", &json!({ "device": visit.device }));
    let large = world.random.random_range(150_000..300_000);
    match kind {
        0 => visit.transfers(world, large / 10, "landlord"),
        1 => {
            visit.does(world, "payee_added", &json!({ "payee": "garage" }));
            visit.device = customer.phone.clone();
            visit.transfers(world, large, "garage");
        }
        2 => {
            visit.does(world, "identity_verified", &json!({}));
            visit.does(world, "payee_added", &json!({ "payee": "garage" }));
            visit.transfers(world, large, "garage");
        }
        _ => {
            visit.does(world, "payee_added", &json!({ "payee": "dealer" }));
            visit.transfers(world, large, "dealer");
        }
    }
    if kind < 2 {
        world.truth.plant(NEAR_MISS, &customer.account);
    }
}

pub(super) fn judge(truth: &Truth, outcome: &Outcome, verdict: &mut Verdict) {
    let accounts = |kind| -> BTreeSet<String> {
        outcome.of(TAKEOVER, kind).map(|output| text(&output["account_id"])).collect()
    };
    verdict.found(TAKEOVER, &truth.planted(TAKEOVER), &accounts("takeover"), (100, 85));
    verdict.found(NEAR_MISS, &truth.planted(NEAR_MISS), &accounts("near_miss"), (100, 85));
    let abandoned = outcome.of(SESSIONS, "abandoned").map(|output| {
        let day = (integer(&output["start"]) - i128::from(super::world::BEGIN_MS))
            .div_euclid(i128::from(super::world::DAY_MS));
        format!("{} day {day}", text(&output["customer_id"]))
    });
    verdict.found(ABANDONED, &truth.planted(ABANDONED), &abandoned.collect(), (95, 85));
    let events = outcome.of(SESSIONS, "session").map(|session| integer(&session["events"]));
    let events = events.sum::<i128>() + outcome.count(SESSIONS, "late");
    verdict.equal("events of sessions", &events, &truth.total("APP records"));
    for pipeline in [TAKEOVER, SESSIONS] {
        let letters = outcome.letters(pipeline).len() as i128;
        let what = format!("dead letters of {pipeline}");
        verdict.equal(&what, &letters, &truth.total("APP garbled"));
    }
    verdict.equal("late events of accounts", &outcome.count(TAKEOVER, "late"), &0);
}
