//! Loans: repayments, utilisation, enquiries and missed payments, read by `credit-score`. Planted: customers who stop paying.

use std::collections::{BTreeMap, BTreeSet};

use rand::RngExt;
use serde_json::{Value, json};

use super::outcome::{Outcome, integer, text};
use super::people::Customer;
use super::truth::Truth;
use super::verdict::Verdict;
use super::world::{CLOSING, CLOSING_MS, DAYS, World, with};
use crate::load::decimal;

/// The stream.
const CREDIT: &str = "CREDIT";
/// The pipeline.
const PIPELINE: &str = "credit-score";

/// Customers who stop paying; customers who forget a payment once.
const DEFAULTED: usize = 12;
const FORGOT: usize = 20;
/// Days between two reports of a customer.
const REPORTED_DAYS: i64 = 7;
/// Days on which those who stop paying are reported, and how many days late they are.
const MISSED: [(i64, i64); 3] = [(33, 20), (44, 45), (55, 75)];
/// The score that everybody begins with; `pipelines/credit-score.yaml` says the same.
const BASE: i128 = 640;
/// Events arrive up to so much later, less than the watermarks allow for.
const DELAY_MS: i64 = 30_000;
/// Lines that are no record.
const GARBLED: usize = 4;

/// What is known of a customer with a loan when the streams end.
#[derive(Clone)]
pub(super) struct Borrower {
    pub id: String,
    /// Minor units a month.
    pub income: i64,
    /// What is used of the limit, in percent.
    pub used: i64,
    pub enquiries: i64,
    pub missed: i64,
}

pub(super) fn plant(world: &mut World) {
    world.garble(CREDIT, GARBLED);
    let people = world.people.clone();
    let defaulted: BTreeSet<String> = (0..DEFAULTED).map(|_| world.actor().id).collect();
    let forgot: BTreeSet<String> = (0..FORGOT).map(|_| world.actor().id).collect();
    for customer in &people {
        let mut borrower = repay(world, customer, defaulted.contains(&customer.id));
        if forgot.contains(&customer.id) {
            let day = world.day(30, 2);
            let late = world.random.random_range(3..20);
            event(world, &customer.id, day, "missed_payment", &json!({ "days_late": late }));
            borrower.missed = 1;
        }
        if defaulted.contains(&customer.id) {
            borrower.missed = MISSED.len() as i64;
        }
        world.borrowers.push(borrower);
    }
    for customer in defaulted {
        for (day, late) in MISSED {
            event(world, &customer, day, "missed_payment", &json!({ "days_late": late }));
        }
        world.truth.plant(PIPELINE, customer);
    }
    let record =
        json!({ "event_id": CLOSING, "customer_id": CLOSING, "type": "enquiry", "ts": CLOSING_MS });
    world.send(CREDIT, CLOSING_MS, 0, &record);
    world.truth.add("CREDIT records", 1);
}

/// Weekly reports, with a repayment in every fourth week. Who stops paying uses what is left of the limit.
fn repay(world: &mut World, customer: &Customer, stops: bool) -> Borrower {
    let limit = customer.income * 2;
    let mut enquiries = 0;
    let mut used = world.random.random_range(2..35);
    for (week, day) in (world.random.random_range(0..REPORTED_DAYS)..DAYS)
        .step_by(REPORTED_DAYS as usize)
        .enumerate()
    {
        let has_stopped = stops && day > 28;
        used = match has_stopped {
            true => (used + 30).min(99),
            false => (used + world.random.random_range(-6..7)).clamp(0, 60),
        };
        let report = json!({ "balance": decimal(limit * used / 100), "limit": decimal(limit) });
        event(world, &customer.id, day, "utilisation", &report);
        if week % 4 == 1 && !has_stopped {
            let due = decimal(customer.income / 10);
            event(world, &customer.id, day, "repayment", &json!({ "amount": due, "due": due }));
        }
        if world.random.random_bool(0.03) {
            event(world, &customer.id, day, "enquiry", &json!({}));
            enquiries += 1;
        }
    }
    let (id, income) = (customer.id.clone(), customer.income);
    Borrower { id, income, used, enquiries, missed: 0 }
}

fn event(world: &mut World, customer: &str, day: i64, kind: &str, more: &Value) {
    let ts = world.moment(day);
    let record =
        json!({ "event_id": world.id("l"), "customer_id": customer, "type": kind, "ts": ts });
    world.send(CREDIT, ts, DELAY_MS, &with(record, more));
    world.truth.add("CREDIT records", 1);
}

pub(super) fn judge(truth: &Truth, outcome: &Outcome, verdict: &mut Verdict) {
    let poor = outcome.of(PIPELINE, "band").filter(|band| band["to"] == "poor");
    let poor = poor.map(|band| text(&band["customer_id"])).collect();
    verdict.found(PIPELINE, &truth.planted(PIPELINE), &poor, (95, 75));

    let scored = outcome.of(PIPELINE, "score").filter(|score| !score["event_id"].is_null());
    verdict.equal("events scored", &(scored.count() as i128), &truth.total("CREDIT records"));
    let letters = outcome.letters(PIPELINE).len() as i128;
    verdict.equal("dead letters of credit-score", &letters, &truth.total("CREDIT garbled"));
    // Each score begins where the one before it ended: no event is lost or counted twice.
    let (mut last, mut off) = (BTreeMap::new(), 0);
    for score in outcome.of(PIPELINE, "score") {
        let now = integer(&score["score"]);
        let before = last.insert(text(&score["customer_id"]), now).unwrap_or(BASE);
        off += i128::from(now - integer(&score["change"]) != before);
    }
    verdict.equal("scores that do not begin where the last one ended", &off, &0);
}
