//! The bank's insurance: a year of claims and payments in three lines, read by `insurance-claims`. Planted: claims that are made twice,
//! rings that share an account, and staged losses.

use std::collections::BTreeSet;

use rand::RngExt;
use serde_json::{Value, json};

use super::outcome::{Outcome, integer, text};
use super::people::iban;
use super::truth::Truth;
use super::verdict::Verdict;
use super::world::{BEGIN_MS, DAY_MS, DAYS, HOUR_MS, World, date};

/// The stream.
const CLAIMS: &str = "CLAIMS";
/// The pipeline.
const PIPELINE: &str = "insurance-claims";

/// Lines of business.
const LINES: [&str; 3] = ["home", "liability", "motor"];
/// Claims of each line, policies of each, and the days before the others' begin on which claims begin.
const CLAIMS_PER_LINE: usize = 120;
const POLICIES: usize = 400;
const BEFORE_DAYS: i64 = 300;
/// Of each line: claims that are made twice, policies of a ring, staged losses.
const TWICE: usize = 3;
const RING: usize = 5;
const STAGED: usize = 3;
/// From so many policies on a payee is shared; `pipelines/insurance-claims.yaml` says the same.
const SHARED_FROM: usize = 3;
/// Lines that are no record.
const GARBLED: usize = 3;

/// A claim that is being made.
#[derive(Clone)]
struct Claim {
    line: &'static str,
    ts: i64,
    policy: String,
    cause: &'static str,
    amount_minor: i64,
    loss_day: i64,
    /// Day on which the policy began, against the begin of all.
    begun: i64,
    payee: String,
}

impl Claim {
    /// Something that happens to somebody honest.
    fn new(world: &mut World, line: &'static str) -> Self {
        let day = world.random.random_range(-BEFORE_DAYS..DAYS - 5);
        let loss_day = day - world.random.random_range(0..21);
        Self {
            line,
            ts: world.moment(day),
            policy: format!("{line}-{}", world.random.random_range(0..POLICIES)),
            cause: ["collision", "theft", "water", "storm"][world.random.random_range(0..4)],
            amount_minor: world.random.random_range(20_000..900_000),
            loss_day,
            begun: loss_day - world.random.random_range(2..2_000),
            payee: iban(&mut world.random),
        }
    }

    /// Sends it, and payments behind it; gives its id.
    fn send(&self, world: &mut World) -> String {
        let id = world.id("k");
        let record = json!({
            "type": "claim",
            "line": self.line,
            "ts": self.ts,
            "claim_id": id,
            "policy_id": self.policy,
            "cause": self.cause,
            "amount_minor": self.amount_minor,
            "loss_date": date(BEGIN_MS + self.loss_day * DAY_MS),
            "policy_begins": date(BEGIN_MS + self.begun * DAY_MS),
            "payee": self.payee,
        });
        post(world, self.ts, &record);
        let mut left = self.amount_minor;
        for _ in 0..world.random.random_range(1..4) {
            let ts = self.ts + world.random.random_range(DAY_MS..120 * DAY_MS);
            let paid = left / 2 + 1;
            left -= paid;
            if ts < BEGIN_MS + DAYS * DAY_MS {
                let record = json!({
                    "type": "payment", "line": self.line, "ts": ts, "claim_id": id, "amount_minor": paid,
                });
                post(world, ts, &record);
                world.truth.add(format!("CLAIMS paid {}", self.line), paid);
            }
        }
        world.truth.add("CLAIMS claims", 1);
        id
    }
}

fn post(world: &mut World, ts: i64, record: &Value) {
    world.send(CLAIMS, ts, 0, record);
}

pub(super) fn plant(world: &mut World) {
    world.garble(CLAIMS, GARBLED);
    for line in LINES {
        for _ in 0..CLAIMS_PER_LINE {
            Claim::new(world, line).send(world);
        }
        for _ in 0..TWICE {
            let first = Claim::new(world, line);
            first.send(world);
            let ts = first.ts + world.random.random_range(HOUR_MS..DAY_MS);
            let amount_minor = first.amount_minor * world.random.random_range(93..100) / 100;
            let second =
                Claim { ts, amount_minor, payee: iban(&mut world.random), ..first }.send(world);
            world.truth.plant(PIPELINE, format!("{second} duplicate_claim"));
        }
        let payee = iban(&mut world.random);
        let mut ring: Vec<Claim> =
            (0..RING).map(|_| Claim { payee: payee.clone(), ..Claim::new(world, line) }).collect();
        ring.sort_by_key(|claim| claim.ts);
        for (number, claim) in ring.iter().enumerate() {
            let id = claim.send(world);
            if number + 1 >= SHARED_FROM {
                world.truth.plant(PIPELINE, format!("{id} shared_payee"));
            }
        }
        for _ in 0..STAGED {
            let staged = Claim::new(world, line);
            let loss_day =
                (staged.ts - BEGIN_MS).div_euclid(DAY_MS) - world.random.random_range(32..60);
            let begun = loss_day - world.random.random_range(1..12);
            let amount_minor = world.random.random_range(1_050_000..3_000_000);
            let id = Claim { loss_day, begun, amount_minor, ..staged }.send(world);
            world.truth.plant(PIPELINE, format!("{id} early_loss"));
        }
        // At the end somebody asks what the line still has to pay.
        let ts = BEGIN_MS + DAYS * DAY_MS;
        post(world, ts, &json!({ "type": "valuation", "line": line, "ts": ts }));
    }
}

pub(super) fn judge(truth: &Truth, outcome: &Outcome, verdict: &mut Verdict) {
    let found = outcome.of(PIPELINE, "triage").flat_map(|triage| {
        let reasons = triage["reasons"].as_array().into_iter().flatten();
        let codes = reasons.map(|reason| text(&reason["code"]));
        let signs = codes
            .filter(|code| ["duplicate_claim", "shared_payee", "early_loss"].contains(&&code[..]));
        signs.map(|code| format!("{} {code}", text(&triage["claim_id"])))
    });
    let found: BTreeSet<String> = found.collect();
    verdict.found(PIPELINE, &truth.planted(PIPELINE), &found, (100, 80));
    verdict.equal(
        "claims triaged",
        &outcome.count(PIPELINE, "triage"),
        &truth.total("CLAIMS claims"),
    );
    let paid = outcome.sums(PIPELINE, "reserve", "line", "paid_minor");
    verdict.equal("minor units paid by line", &paid, &truth.totals("CLAIMS paid "));
    let off = outcome.of(PIPELINE, "reserve").filter(|reserve| {
        let origins = reserve["origins"].as_array().into_iter().flatten();
        let sum = |field: &str| origins.clone().map(|origin| integer(&origin[field])).sum::<i128>();
        ["paid_minor", "ultimate_minor", "reserve_minor"]
            .iter()
            .any(|field| sum(field) != integer(&reserve[*field]))
    });
    verdict.equal("reserves whose years do not add up", &off.count(), &0);
    let letters = outcome.letters(PIPELINE).len() as i128;
    verdict.equal("dead letters of insurance-claims", &letters, &truth.total("CLAIMS garbled"));
}
