//! Applications for a larger limit, with what the bank knows of the customer from the loans, read by `model-score`. To be declined: customers who
//! have stopped paying.

use rand::RngExt;
use serde_json::{Value, json};

use super::outcome::{Outcome, integer, text, units};
use super::truth::Truth;
use super::verdict::Verdict;
use super::world::{DAYS, World};

/// The stream.
const APPLICATIONS: &str = "APPLICATIONS";
/// The pipeline.
const PIPELINE: &str = "model-score";

/// Missed payments of those who have stopped paying; who forgot one has less.
const STOPPED: i64 = 2;
/// Applications with an income that is no number.
const WORDY: usize = 3;
/// Records arrive up to so much later.
const DELAY_MS: i64 = 20_000;
/// Lines that are no record.
const GARBLED: usize = 2;

pub(super) fn plant(world: &mut World) {
    world.garble(APPLICATIONS, GARBLED);
    for borrower in world.borrowers.clone() {
        let mut features = json!({
            "utilisation": borrower.used as f64 / 100.0,
            "delinquencies": borrower.missed,
            "enquiries": borrower.enquiries,
            "age_months": world.random.random_range(6..240),
            "income": borrower.income / 100,
        });
        // Not everybody says what they earn.
        if world.random.random_bool(0.05) {
            features["income"] = Value::Null;
        }
        let id = apply(world, &borrower.id, features);
        world.truth.add("APPLICATIONS scored", 1);
        if borrower.missed >= STOPPED {
            world.truth.plant(PIPELINE, id);
        }
    }
    for _ in 0..WORDY {
        let customer = world.people[0].id.clone();
        apply(world, &customer, json!({ "income": "enough" }));
        world.truth.add("APPLICATIONS refused", 1);
    }
}

/// Sends an application of the last days; gives its id.
fn apply(world: &mut World, customer: &str, features: Value) -> String {
    let (day, id) = (world.day(DAYS - 3, 0), world.id("w"));
    let ts = world.moment(day);
    let record = json!({ "id": id, "customer_id": customer, "ts": ts, "features": features });
    world.send(APPLICATIONS, ts, DELAY_MS, &record);
    id
}

pub(super) fn judge(truth: &Truth, outcome: &Outcome, verdict: &mut Verdict) {
    let scores = || outcome.of(PIPELINE, "score");
    let declined = scores().filter(|score| score["decision"] == "decline");
    let declined = declined.map(|score| text(&score["id"])).collect();
    verdict.found(PIPELINE, &truth.planted(PIPELINE), &declined, (100, 60));

    let scored = outcome.count(PIPELINE, "score");
    verdict.equal("applications scored", &scored, &truth.total("APPLICATIONS scored"));
    let off = scores().filter(|score| {
        let reasons = score["reasons"].as_array().into_iter().flatten();
        let effects: i128 = reasons.map(|reason| units(&reason["effect"], 6)).sum();
        let sum = score["sum"].as_f64().unwrap_or(f64::NAN);
        // The sum is rounded, so that the last digit may differ.
        let result = 1.0 / (1.0 + (-sum).exp());
        let points = 600.0 - 20.0 / 2_f64.ln() * (sum + 50_f64.ln());
        units(&score["expected"], 6) + effects != units(&score["sum"], 6)
            || (result - score["result"].as_f64().unwrap_or(f64::NAN)).abs() > 1e-6
            || integer(&score["points"]) != points.round() as i128
    });
    verdict.equal("scores that are not what their reasons come to", &off.count(), &0);
    let letters = outcome.letters(PIPELINE).len() as i128;
    let refused = truth.total("APPLICATIONS garbled") + truth.total("APPLICATIONS refused");
    verdict.equal("dead letters of model-score", &letters, &refused);
}
