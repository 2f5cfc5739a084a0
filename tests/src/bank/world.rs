//! What the areas of a bank have in common: chance, customers, the calendar, the streams, bookings, and what is true.

use std::collections::BTreeMap;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

use super::credit::Borrower;
use super::ledger::Booking;
use super::orders::Foreign;
use super::people::{Customer, customers};
use super::truth::Truth;
use crate::load::Lines;

/// Midnight of Monday, the 5th of January 2026, UTC.
pub(super) const BEGIN_MS: i64 = 1_767_571_200_000;
/// Days that the streams last.
pub(super) const DAYS: i64 = 60;
/// A minute, in milliseconds.
pub(super) const MINUTE_MS: i64 = 60_000;
/// An hour, in milliseconds.
pub(super) const HOUR_MS: i64 = 60 * MINUTE_MS;
/// A day, in milliseconds.
pub(super) const DAY_MS: i64 = 24 * HOUR_MS;
/// Event time of the last record of a stream, a year behind the others: all that waits for event time fires.
pub(super) const CLOSING_MS: i64 = BEGIN_MS + 425 * DAY_MS;
/// Who the last records are of. What waits for event time behind them never comes out: totals leave them out where it would.
pub(super) const CLOSING: &str = "closing";

/// A bank that is being made up.
pub(super) struct World {
    pub random: StdRng,
    pub people: Vec<Customer>,
    pub bookings: Vec<Booking>,
    /// Payments in other currencies than the euro.
    pub foreign: Vec<Foreign>,
    /// What is known of those who have loans.
    pub borrowers: Vec<Borrower>,
    /// Prices at the end of a day, in cents, by instrument and day.
    pub closes: BTreeMap<(&'static str, i64), i64>,
    /// What a euro costs, in hundred thousandths, by currency and event time.
    pub rates: BTreeMap<(&'static str, i64), i64>,
    pub truth: Truth,
    feeds: BTreeMap<&'static str, Lines>,
    /// Customers below this have a part in something that was planted.
    actors: usize,
    ids: u32,
}

impl World {
    pub fn new(seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        Self {
            people: customers(&mut random),
            random,
            bookings: Vec::new(),
            foreign: Vec::new(),
            borrowers: Vec::new(),
            closes: BTreeMap::new(),
            rates: BTreeMap::new(),
            truth: Truth::default(),
            feeds: BTreeMap::new(),
            actors: 0,
            ids: 0,
        }
    }

    /// A customer who has no part in anything else that is planted.
    pub fn actor(&mut self) -> Customer {
        self.actors += 1;
        self.people[self.actors - 1].clone()
    }

    /// A new id with a prefix.
    pub fn id(&mut self, prefix: &str) -> String {
        self.ids += 1;
        format!("{prefix}{}", self.ids)
    }

    /// A moment of a day, between 8:00 and 20:00.
    pub fn moment(&mut self, day: i64) -> i64 {
        BEGIN_MS + day * DAY_MS + self.random.random_range(8 * HOUR_MS..20 * HOUR_MS)
    }

    /// A day from `first` on that leaves `after` days until the end.
    pub fn day(&mut self, first: i64, after: i64) -> i64 {
        self.random.random_range(first..DAYS - after)
    }

    /// Puts a record into a stream, where it arrives up to `delay_ms_max` after its event time.
    pub fn send(&mut self, stream: &'static str, ts: i64, delay_ms_max: i64, record: &Value) {
        self.feeds.entry(stream).or_default().push(&mut self.random, ts, delay_ms_max, record);
    }

    /// Puts a line into a stream as it is.
    pub fn line(&mut self, stream: &'static str, arrival_ms: i64, line: String) {
        self.feeds.entry(stream).or_default().line(arrival_ms, line);
    }

    /// Lines that are no record, at any time; pipelines make dead letters of them.
    pub fn garble(&mut self, stream: &'static str, count: usize) {
        for number in 0..count {
            let (day, line) = (self.day(0, 0), format!("{{\"garbled\":{number},\"ts\":"));
            let at = self.moment(day);
            self.line(stream, at, line);
            self.truth.add(format!("{stream} garbled"), 1);
        }
    }

    /// The streams and what is true of them.
    pub fn end(self) -> (BTreeMap<&'static str, Vec<u8>>, Truth) {
        let feeds = self.feeds.into_iter().map(|(stream, lines)| (stream, lines.bytes()));
        (feeds.collect(), self.truth)
    }
}

/// The day of a time from 1970 on, like `2026-01-05`.
pub(super) fn date(ts: i64) -> String {
    let mut day = ts.div_euclid(DAY_MS);
    let is_leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let mut year = 1970;
    while day >= 365 + i64::from(is_leap(year)) {
        day -= 365 + i64::from(is_leap(year));
        year += 1;
    }
    let february = 28 + i64::from(is_leap(year));
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30] {
        if day < length {
            break;
        }
        (day, month) = (day - length, month + 1);
    }
    format!("{year}-{month:02}-{:02}", day + 1)
}

/// An object with the fields of both.
pub(super) fn with(mut record: Value, more: &Value) -> Value {
    for (name, value) in more.as_object().into_iter().flatten() {
        record[name] = json!(value);
    }
    record
}
