//! The bank's operations: failed payments, rejects and incidents of six units, read by `operational-risk`. Planted: outages, bursts,
//! a rate that has shifted, and an indicator that stays red.

use std::collections::BTreeSet;

use rand::RngExt;
use serde_json::json;

use super::outcome::{Outcome, integer, text};
use super::truth::Truth;
use super::verdict::Verdict;
use super::world::{BEGIN_MS, CLOSING_MS, DAY_MS, HOUR_MS, MINUTE_MS, World};

/// The stream.
const OPERATIONS: &str = "OPERATIONS";
/// The pipeline.
const PIPELINE: &str = "operational-risk";
const INDICATORS: &str = "operational-risk indicators";

/// Units with their events per hour; `pipelines/operational-risk.yaml` says the same.
const UNITS: [(&str, i64); 6] = [
    ("cards/berlin", 24),
    ("cards/munich", 12),
    ("payments/berlin", 30),
    ("payments/munich", 16),
    ("settlement/berlin", 10),
    ("settlement/munich", 20),
];
/// Hours that units are watched, in the middle of all days.
const HOURS: i64 = 21 * 24;
const FIRST_DAY: i64 = 20;
/// Hours behind something in which it may still be signalled.
const AFTERMATH_HOURS: i64 = 14;
/// Readings of an indicator: every so many hours.
const READ_EVERY_HOURS: i64 = 6;
/// Events arrive up to so much later, less than the watermarks allow for.
const DELAY_MS: i64 = 3 * MINUTE_MS;
/// Lines that are no record.
const GARBLED: usize = 3;

/// What may happen to a unit: hours from and to, and its rate then, in percent.
struct Trouble {
    unit: usize,
    hours: std::ops::Range<i64>,
    percent: i64,
}

pub(super) fn plant(world: &mut World) {
    world.garble(OPERATIONS, GARBLED);
    let troubles = troubles(world);
    for (unit, (name, rate)) in UNITS.into_iter().enumerate() {
        for hour in 0..HOURS {
            let trouble = troubles
                .iter()
                .find(|trouble| trouble.unit == unit && trouble.hours.contains(&hour));
            let percent = trouble.map_or(100, |trouble| trouble.percent);
            happen(world, name, hour, rate * percent / 100);
        }
        read(world, unit, name);
    }
    let record = json!({ "id": "closing", "type": "event", "unit": "closing", "ts": CLOSING_MS });
    world.send(OPERATIONS, CLOSING_MS, 0, &record);
    world.truth.add("OPERATIONS records", 1);
}

/// Two troubles a unit, a week apart, and the end of the records, which is an outage of all.
fn troubles(world: &mut World) -> Vec<Trouble> {
    let mut troubles = Vec::new();
    for (unit, (name, _)) in UNITS.into_iter().enumerate() {
        for week in 0..2 {
            let from = 72 + week * 200 + world.random.random_range(0..100);
            let (lasts, percent, kind) = match (unit + week as usize) % 3 {
                0 => (world.random.random_range(6..11), 0, "outage"),
                1 => (world.random.random_range(2..4), 260, "burst"),
                _ => (world.random.random_range(14..20), 145, "shift"),
            };
            let hours = from..from + lasts;
            let label = format!("{name} {kind} from hour {from}");
            for hour in hours.start..hours.end + AFTERMATH_HOURS {
                world.truth.member(PIPELINE, format!("{name} {hour}"), &label);
            }
            world.truth.plant(PIPELINE, label);
            troubles.push(Trouble { unit, hours, percent });
        }
        let label = format!("{name} silent from hour {HOURS}");
        for hour in HOURS..HOURS + 48 {
            world.truth.member(PIPELINE, format!("{name} {hour}"), &label);
        }
        world.truth.plant(PIPELINE, label);
    }
    troubles
}

/// The events of an hour: about `mean` of them, in reports of up to four.
fn happen(world: &mut World, unit: &str, hour: i64, mean: i64) {
    // As many as of 4 times the mean tries of one in four: about three quarters of a Poisson distribution's variance.
    let mut left = (0..mean * 4).filter(|_| world.random.random_bool(0.25)).count();
    while left > 0 {
        let count = world.random.random_range(1..=left.min(4));
        left -= count;
        let ts =
            BEGIN_MS + FIRST_DAY * DAY_MS + hour * HOUR_MS + world.random.random_range(0..HOUR_MS);
        let record =
            json!({ "id": world.id("o"), "type": "event", "unit": unit, "count": count, "ts": ts });
        world.send(OPERATIONS, ts, DELAY_MS, &record);
        world.truth.add("OPERATIONS records", 1);
    }
}

/// The backlog of a unit. That of the first becomes amber, and red for more than a day; that of the second amber.
fn read(world: &mut World, unit: usize, name: &str) {
    let peak = [135, 70, 20, 20, 20, 20][unit];
    for hour in (0..HOURS).step_by(READ_EVERY_HOURS as usize) {
        let is_high = (240..280).contains(&hour);
        let value = if is_high { peak } else { 20 } + world.random.random_range(0..10);
        let ts = BEGIN_MS + FIRST_DAY * DAY_MS + hour * HOUR_MS;
        let record = json!({
            "id": world.id("o"), "type": "indicator", "unit": name, "indicator": "backlog", "value": value, "ts": ts,
        });
        world.send(OPERATIONS, ts, DELAY_MS, &record);
        world.truth.add("OPERATIONS records", 1);
    }
    if unit == 0 {
        world.truth.plant(INDICATORS, format!("{name} red"));
        world.truth.plant(INDICATORS, format!("{name} escalated"));
    }
    if unit == 1 {
        world.truth.plant(INDICATORS, format!("{name} amber"));
    }
}

pub(super) fn judge(truth: &Truth, outcome: &Outcome, verdict: &mut Verdict) {
    let raised = outcome.of(PIPELINE, "anomaly").filter(|anomaly| anomaly["state"] == "raised");
    let raised = raised.filter(|anomaly| anomaly["unit"] != "closing").map(|anomaly| {
        // `ts` is the end of the interval.
        let begin = i128::from(BEGIN_MS + FIRST_DAY * DAY_MS + HOUR_MS);
        let hour = (integer(&anomaly["ts"]) - begin).div_euclid(i128::from(HOUR_MS));
        truth.owner(PIPELINE, &format!("{} {hour}", text(&anomaly["unit"])))
    });
    verdict.found(PIPELINE, &truth.planted(PIPELINE), &raised.collect(), (85, 70));
    let levels =
        outcome.of(PIPELINE, "level").filter(|level| level["reason"] == "threshold_reached");
    let levels = levels.map(|level| format!("{} {}", text(&level["unit"]), text(&level["to"])));
    let escalated = outcome.of(PIPELINE, "escalation");
    let escalated = escalated.map(|escalation| format!("{} escalated", text(&escalation["unit"])));
    let found: BTreeSet<String> = levels.chain(escalated).collect();
    verdict.found(INDICATORS, &truth.planted(INDICATORS), &found, (100, 100));
    let letters = outcome.letters(PIPELINE).len() as i128;
    verdict.equal("dead letters of operational-risk", &letters, &truth.total("OPERATIONS garbled"));
    verdict.equal("late events of operations", &outcome.count(PIPELINE, "late"), &0);
}
