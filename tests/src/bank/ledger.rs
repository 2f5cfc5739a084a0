//! The ledger: salaries, rents, cash and transfers of all customers, read by `aml-monitor` and `compliance-report` once they have been
//! checked. Planted: five kinds of laundering money, and customers who come close.

use std::collections::{BTreeMap, BTreeSet};

use rand::RngExt;
use serde_json::{Value, json};

use super::outcome::{Outcome, integer, text};
use super::people::{Customer, iban};
use super::truth::Truth;
use super::verdict::Verdict;
use super::world::{BEGIN_MS, CLOSING, DAY_MS, DAYS, HOUR_MS, MINUTE_MS, World, date};

/// Streams.
const SANCTIONS: &str = "SANCTIONS";
/// The pipelines.
const AML: &str = "aml-monitor";
const REPORTS: &str = "compliance-report";

/// How often each kind of laundering is planted.
const STRUCTURED: usize = 10;
const PASSED_ON: usize = 8;
const ROUND_TRIPS: usize = 8;
const WOKEN: usize = 8;
const SANCTIONED: usize = 8;
/// How often each kind of coming close is.
const CLOSE: usize = 3;
/// Days of silence that make an account dormant; `pipelines/aml-monitor.yaml` says the same.
const DORMANT_DAYS: i64 = 40;
/// Cash of a person and day above this is reported; `pipelines/compliance-report.yaml` says the same.
const REPORTED_MINOR: i64 = 1_000_000;

/// Names of the sanctions list, each as a payment writes it.
const LISTED: [(&str, &str); 6] = [
    ("Orlan Shipping Limited", "ORLAN SHIPPING LIMITED"),
    ("Viktor Andreyevich Morozenko", "Morozenko Viktor Andreyevich"),
    ("Banco Comercial del Istmo", "Banco Comercial del Istmo"),
    ("Zarqan Petrochemical Trading", "Zarqan Petrochemical Tradng"),
    ("Hélène Dubraskaya", "Helene Dubraskaya"),
    ("Tamar Export House", "Tamar Exports House"),
];
/// Names that only sound like it, and one that was taken off it.
const NOT_LISTED: [&str; 4] = ["Orlanda Shoes", "Viktoria Moor", "Comercial Istria", TAKEN_OFF];
const TAKEN_OFF: &str = "Nordlicht Reederei";

/// A movement on an account.
#[derive(Clone)]
pub(super) struct Booking {
    pub ts: i64,
    pub customer: String,
    pub account: String,
    pub branch: &'static str,
    pub currency: &'static str,
    /// `in` or `out`, seen from the account.
    pub direction: &'static str,
    /// `cash` or `transfer`.
    pub channel: &'static str,
    pub amount_minor: i64,
    pub counterparty: String,
    /// That something which must be found rests on it: nothing bad may happen to it.
    pub matters: bool,
}

impl Booking {
    pub fn transfer(
        who: &Customer,
        ts: i64,
        direction: &'static str,
        amount_minor: i64,
        counterparty: &str,
    ) -> Self {
        Self {
            ts,
            customer: who.id.clone(),
            account: who.account.clone(),
            branch: who.branch,
            currency: who.currency,
            direction,
            channel: "transfer",
            amount_minor,
            counterparty: counterparty.to_owned(),
            matters: false,
        }
    }

    fn cash(who: &Customer, ts: i64, direction: &'static str, amount_minor: i64) -> Self {
        Self { channel: "cash", ..Self::transfer(who, ts, direction, amount_minor, "counter") }
    }

    /// What reports make of it: `cash_in`, `transfer_out` and so on.
    fn class(&self) -> String {
        format!("{}_{}", self.channel, self.direction)
    }

    /// As the core system sends it.
    pub fn data(&self, world: &mut World) -> Value {
        json!({
            "txn_id": world.id("b"),
            "ts": self.ts,
            "customer_id": self.customer,
            "account_id": self.account,
            "branch": self.branch,
            "direction": self.direction,
            "channel": self.channel,
            "class": self.class(),
            "amount_minor": self.amount_minor,
            "currency": self.currency,
            "counterparty": self.counterparty,
            "counterparty_iban": iban(&mut world.random),
            "value_date": date(self.ts),
        })
    }

    /// Counts it as one that has passed the checks.
    pub fn count(&self, truth: &mut Truth) {
        let Self { currency, branch, customer, .. } = self;
        truth.add("LEDGER records", 1);
        truth.add(format!("LEDGER minor {currency}"), self.amount_minor);
        if customer == CLOSING {
            return;
        }
        truth.add(format!("LEDGER branch minor {branch} {currency}"), self.amount_minor);
        truth.add(format!("LEDGER branch count {branch} {currency}"), 1);
        if self.channel == "cash" {
            let day = (self.ts - BEGIN_MS).div_euclid(DAY_MS);
            truth
                .add(format!("LEDGER cash {customer} {day} {}", self.direction), self.amount_minor);
        }
    }
}

pub(super) fn plant(world: &mut World) {
    list(world);
    let dormant = launder(world);
    come_close(world);
    let people = world.people.clone();
    for customer in &people {
        let until = match dormant.contains(&customer.id) {
            true => 6,
            false => DAYS,
        };
        everyday(world, customer, until);
    }
}

/// The sanctions list, which is there before anything is paid. One entry is taken off it again.
fn list(world: &mut World) {
    let mut changes: Vec<Value> = LISTED
        .iter()
        .enumerate()
        .map(|(number, (name, _))| json!({"action": "put", "id": format!("S{number}"), "name": name}))
        .collect();
    changes.push(json!({"action": "put", "id": "S90", "name": TAKEN_OFF}));
    changes.push(json!({"action": "remove", "id": "S90"}));
    for (number, mut change) in changes.into_iter().enumerate() {
        let ts = BEGIN_MS - DAY_MS + number as i64 * MINUTE_MS;
        change["ts"] = json!(ts);
        world.send(SANCTIONS, ts, 0, &change);
    }
}

/// What everybody does until a day.
fn everyday(world: &mut World, customer: &Customer, until: i64) {
    for month in 0..2 {
        let salary = month * 30 + world.random.random_range(0..3);
        let transfers = [
            (salary, "in", customer.income, "employer"),
            (month * 30 + 4, "out", customer.income * 3 / 10, "landlord"),
            (month * 30 + 9, "out", customer.income / 20, "insurance"),
            (month * 30 + 15, "out", world.random.random_range(3_000..15_000), "power"),
        ];
        for (day, direction, amount, other) in transfers {
            if day < until {
                let ts = world.moment(day);
                world.bookings.push(Booking::transfer(customer, ts, direction, amount, other));
            }
        }
    }
    for day in 0..until {
        let ts = world.moment(day);
        let booking = match world.random.random_range(0..1_000) {
            0..90 => Booking::cash(customer, ts, "out", world.random.random_range(2..40) * 1_000),
            90..150 => {
                let other = &world.people[world.random.random_range(0..world.people.len())].name;
                let other = other.clone();
                let direction = ["in", "out"][world.random.random_range(0..2)];
                Booking::transfer(
                    customer,
                    ts,
                    direction,
                    world.random.random_range(1_000..40_000),
                    &other,
                )
            }
            // A car, a kitchen, an inheritance.
            150..152 => Booking::transfer(
                customer,
                ts,
                "out",
                world.random.random_range(500_000..2_500_000),
                "dealer",
            ),
            152..153 => Booking::transfer(
                customer,
                ts,
                "in",
                world.random.random_range(500_000..2_000_000),
                "notary",
            ),
            153..253 if customer.trades => {
                Booking::cash(customer, ts, "in", world.random.random_range(60_000..300_000))
            }
            // The week before a holiday.
            253..257 if customer.trades => {
                Booking::cash(customer, ts, "in", world.random.random_range(300_000..1_150_000))
            }
            _ => continue,
        };
        world.bookings.push(booking);
    }
}

/// Books what something that was planted rests on.
fn book(world: &mut World, booking: Booking) {
    world.bookings.push(Booking { matters: true, ..booking });
}

/// Plants all kinds of laundering; gives the customers who wake up, and must be silent before.
fn launder(world: &mut World) -> BTreeSet<String> {
    let mut dormant = BTreeSet::new();
    let plant = |world: &mut World, customer: &Customer, code: &str| {
        world.truth.plant(AML, format!("{} {code}", customer.account));
    };
    for _ in 0..STRUCTURED {
        let (customer, day) = (world.actor(), world.day(1, 4));
        let mut ts = world.moment(day);
        for _ in 0..world.random.random_range(2..5) {
            let amount = world.random.random_range(5_200..9_900) * 100;
            book(world, Booking::cash(&customer, ts, "in", amount));
            ts += world.random.random_range(2 * HOUR_MS..12 * HOUR_MS);
        }
        plant(world, &customer, "structuring");
    }
    for _ in 0..PASSED_ON {
        let (customer, day) = (world.actor(), world.day(1, 4));
        let (mut ts, mut all) = (world.moment(day), 0);
        for _ in 0..world.random.random_range(1..4) {
            let amount = world.random.random_range(700_000..1_900_000);
            let sender = format!("Company {}", world.random.random_range(0..50));
            book(world, Booking::transfer(&customer, ts, "in", amount, &sender));
            (ts, all) = (ts + world.random.random_range(HOUR_MS..3 * HOUR_MS), all + amount);
        }
        let out = all * world.random.random_range(94..99) / 100;
        for part in [out / 3, out - out / 3] {
            book(world, Booking::transfer(&customer, ts, "out", part, "Harbour Holdings"));
            ts += world.random.random_range(HOUR_MS..4 * HOUR_MS);
        }
        plant(world, &customer, "rapid_in_out");
    }
    for _ in 0..ROUND_TRIPS {
        let (customer, day) = (world.actor(), world.day(1, 27));
        let amount = world.random.random_range(900_000..4_000_000);
        let ts = world.moment(day);
        book(world, Booking::transfer(&customer, ts, "out", amount, "Harbour Holdings"));
        let back_after = world.random.random_range(4..25);
        let later = world.moment(day + back_after);
        let back = amount - amount * world.random.random_range(0..180) / 10_000;
        book(world, Booking::transfer(&customer, later, "in", back, "Meadow Consulting"));
        plant(world, &customer, "round_trip");
    }
    for _ in 0..WOKEN {
        let (customer, day) = (world.actor(), world.day(6 + DORMANT_DAYS + 2, 1));
        let ts = world.moment(day);
        let amount = world.random.random_range(250_000..900_000);
        book(world, Booking::transfer(&customer, ts, "in", amount, "Meadow Consulting"));
        plant(world, &customer, "dormant_account");
        // What was transferred in the app would wake it.
        world.bookings.retain(|booking| booking.customer != customer.id || booking.matters);
        dormant.insert(customer.id);
    }
    for number in 0..SANCTIONED {
        let (customer, day) = (world.actor(), world.day(1, 1));
        let ts = world.moment(day);
        let amount = world.random.random_range(20_000..400_000);
        let (_, written) = LISTED[number % LISTED.len()];
        book(world, Booking::transfer(&customer, ts, "out", amount, written));
        plant(world, &customer, "sanctioned_name");
    }
    dormant
}

/// Customers who do nearly the same. One innocent of each of the first two kinds does just the same, and is found in vain.
fn come_close(world: &mut World) {
    for _ in 0..CLOSE {
        // Below the least part that is looked at; below the threshold together.
        let (customer, ts) = close(world);
        book(world, Booking::cash(&customer, ts, "in", 820_000));
        book(world, Booking::cash(&customer, ts + 5 * HOUR_MS, "in", 310_000));
        // A third stays.
        let (customer, ts) = close(world);
        book(world, Booking::transfer(&customer, ts, "in", 2_400_000, "notary"));
        book(world, Booking::transfer(&customer, ts + 6 * HOUR_MS, "out", 1_600_000, "dealer"));
        // Comes back with a loss.
        let (customer, ts) = close(world);
        book(world, Booking::transfer(&customer, ts, "out", 1_500_000, "broker"));
        book(world, Booking::transfer(&customer, ts + 9 * DAY_MS, "in", 1_150_000, "broker"));
    }
    for name in NOT_LISTED {
        let (customer, ts) = close(world);
        book(world, Booking::transfer(&customer, ts, "out", 45_000, name));
    }
    let (shop, ts) = close(world);
    book(world, Booking::cash(&shop, ts, "in", 640_000));
    book(world, Booking::cash(&shop, ts + 20 * HOUR_MS, "in", 580_000));
    let (buyer, ts) = close(world);
    book(world, Booking::transfer(&buyer, ts, "in", 3_000_000, "parents"));
    book(world, Booking::transfer(&buyer, ts + 3 * HOUR_MS, "out", 2_900_000, "notary"));
}

fn close(world: &mut World) -> (Customer, i64) {
    let (customer, day) = (world.actor(), world.day(1, 12));
    let ts = world.moment(day);
    (customer, ts)
}

pub(super) fn judge(truth: &Truth, outcome: &Outcome, verdict: &mut Verdict) {
    let alerts = outcome.of(AML, "alert").flat_map(|alert| {
        let reasons = alert["reasons"].as_array().into_iter().flatten();
        reasons.map(|reason| format!("{} {}", text(&alert["account_id"]), text(&reason["code"])))
    });
    verdict.found(AML, &truth.planted(AML), &alerts.collect(), (95, 75));
    let off = outcome.of(AML, "alert").filter(|alert| {
        let points = alert["reasons"].as_array().into_iter().flatten();
        points.map(|reason| integer(&reason["points"])).sum::<i128>() != integer(&alert["score"])
    });
    verdict.equal("alerts whose points are not their score", &off.count(), &0);
    for pipeline in [AML, REPORTS] {
        let letters = outcome.letters(pipeline).len();
        verdict.equal(&format!("dead letters of {pipeline}"), &letters, &0);
    }

    // The last version of a report holds all records of its subject and period.
    let mut last = BTreeMap::new();
    for report in outcome.of(REPORTS, "report") {
        let [name, subject, period] = ["report", "subject", "period"].map(|of| text(&report[of]));
        let name = [name, subject, text(&report["body"]["currency"]), period];
        let known = last.entry(name).or_insert(report);
        if integer(&report["version"]) > integer(&known["version"]) {
            *known = report;
        }
    }
    let (mut minor, mut count) = (BTreeMap::new(), BTreeMap::new());
    let mut cash = BTreeSet::new();
    for ([name, subject, currency, period], report) in &last {
        let (body, inputs) = (&report["body"], &report["body"]["inputs"]);
        if name == "turnover" {
            let of = format!("{subject} {currency}");
            *minor.entry(of.clone()).or_default() += integer(&inputs["total_minor"]);
            *count.entry(of).or_default() += integer(&inputs["count"]);
        }
        for line in body["lines"].as_array().into_iter().flatten() {
            if name == "cash" && line["reason"] == "above_threshold" {
                cash.insert(format!("{subject} {period} {}", text(&line["code"])));
            }
        }
    }
    verdict.equal(
        "minor units by branch and currency",
        &minor,
        &truth.totals("LEDGER branch minor "),
    );
    verdict.equal("bookings by branch and currency", &count, &truth.totals("LEDGER branch count "));
    let expected = truth.totals("LEDGER cash ").into_iter();
    let expected =
        expected.filter(|(_, total)| *total > i128::from(REPORTED_MINOR)).map(|(name, _)| {
            let parts: Vec<&str> = name.split(' ').collect();
            let day: i64 = parts[1].parse().expect("a day");
            format!("{} {} cash_{}", parts[0], date(BEGIN_MS + day * DAY_MS), parts[2])
        });
    verdict.found("compliance-report cash", &expected.collect(), &cash, (100, 100));
    verdict.equal("late records of reports", &outcome.count(REPORTS, "late"), &0);
}
