//! Portfolios of customers in the three funds of the bank's own desk, at the same prices, read by `portfolio`. Planted: customers who pay a
//! bonus in, who switch from bonds to gold, and who sell what they have not.

use std::collections::BTreeSet;

use rand::RngExt;
use serde_json::{Value, json};

use super::outcome::{Outcome, text, units};
use super::truth::Truth;
use super::verdict::Verdict;
use super::world::{BEGIN_MS, DAY_MS, DAYS, HOUR_MS, World};
use crate::load::decimal;

/// The stream.
const PORTFOLIOS: &str = "PORTFOLIOS";
/// The pipeline.
const PIPELINE: &str = "portfolio";

/// Funds, and their targets in percent; `pipelines/portfolio.yaml` says the same.
const FUNDS: [(&str, i64); 3] = [("WORLD", 50), ("BONDS", 30), ("GOLD", 15)];
const BONDS: usize = 1;
const GOLD: usize = 2;
/// How many customers have a portfolio.
const OWNERS: usize = 24;
/// How many of them pay a bonus in, switch, and sell what they have not.
const PLANTED: [usize; 3] = [4, 5, 2];
/// A bonus and what is switched, in percent of what was paid in first.
const BONUS: i64 = 45;
const SWITCHED: i64 = 22;
/// Days until a bonus is invested.
const IDLE_DAYS: i64 = 4;
/// When all portfolios are reviewed, behind everything else.
const REVIEW_MS: i64 = BEGIN_MS + DAYS * DAY_MS;
/// Lines that are no record.
const GARBLED: usize = 2;

/// A portfolio, as it should be.
struct Portfolio {
    owner: String,
    cash: i64,
    pieces: [i64; 3],
    /// Prices at which the pieces that may be sold were bought.
    bought: [i64; 3],
    last_ts: i64,
}

pub(super) fn plant(world: &mut World) {
    world.garble(PORTFOLIOS, GARBLED);
    let owners: Vec<String> =
        world.people.iter().rev().take(OWNERS).map(|customer| customer.id.clone()).collect();
    let [bonus, switched, oversold] = PLANTED;
    for (number, owner) in owners.into_iter().enumerate() {
        let portfolio =
            Portfolio { owner, cash: 0, pieces: [0; 3], bought: [0; 3], last_ts: i64::MIN };
        let gets_bonus = number < bonus;
        let switches = !gets_bonus && number < bonus + switched;
        let oversells = number >= OWNERS - oversold;
        if gets_bonus || switches {
            world.truth.plant(PIPELINE, &portfolio.owner);
        }
        keep(world, portfolio, gets_bonus, switches, oversells);
    }
}

/// Two months of a portfolio: prices in the evening, money and trades in the morning at the price of the evening before.
fn keep(
    world: &mut World,
    mut portfolio: Portfolio,
    gets_bonus: bool,
    switches: bool,
    oversells: bool,
) {
    let paid_in = world.random.random_range(8_000_000..30_000_000);
    let changed = world.random.random_range(3..6) * 7 + 1;
    let mut prices = [0; 3];
    for day in 0..DAYS {
        let morning = BEGIN_MS + day * DAY_MS + 9 * HOUR_MS;
        if day == 1 {
            portfolio.pay_in(world, morning, paid_in);
            portfolio.invest(world, morning, paid_in, prices);
            portfolio.bought = prices;
        }
        if gets_bonus && day == changed {
            portfolio.pay_in(world, morning, paid_in * BONUS / 100);
        }
        if gets_bonus && day == changed + IDLE_DAYS {
            portfolio.invest(world, morning, paid_in * BONUS / 100, prices);
        }
        if switches && day == changed {
            portfolio.switch(world, morning, paid_in * SWITCHED / 100, prices);
        }
        if oversells && day == changed {
            let more = json!({
                "instrument": FUNDS[BONDS].0,
                "quantity": -portfolio.pieces[BONDS] - 1,
                "price": decimal(prices[BONDS]),
            });
            portfolio.send(world, morning, "trade", more);
            world.truth.add("PORTFOLIOS refused", 1);
        }
        for (fund, (instrument, _)) in FUNDS.into_iter().enumerate() {
            if let Some(price) = world.closes.get(&(instrument, day)).copied() {
                prices[fund] = price;
                let more = json!({ "instrument": instrument, "price": decimal(price) });
                portfolio.send(world, morning + 9 * HOUR_MS, "price", more);
            }
        }
    }
    portfolio.send(world, REVIEW_MS, "review", json!({}));
    let held: i64 = portfolio.pieces.iter().zip(prices).map(|(pieces, price)| pieces * price).sum();
    world.truth.add("PORTFOLIOS value", held + portfolio.cash);
    world.truth.add("PORTFOLIOS kept", 1);
}

impl Portfolio {
    fn pay_in(&mut self, world: &mut World, ts: i64, cents: i64) {
        self.cash += cents;
        self.send(world, ts, "cash", json!({ "amount": decimal(cents) }));
    }

    /// Buys whole pieces for an amount, by the targets.
    fn invest(&mut self, world: &mut World, ts: i64, cents: i64, prices: [i64; 3]) {
        for (fund, (_, percent)) in FUNDS.into_iter().enumerate() {
            self.trade(world, ts, fund, cents * percent / 100 / prices[fund], prices[fund]);
        }
    }

    /// Sells bonds for gold of as many pieces as the same amount buys.
    fn switch(&mut self, world: &mut World, ts: i64, cents: i64, prices: [i64; 3]) {
        let sold = cents / prices[BONDS];
        self.trade(world, ts, BONDS, -sold, prices[BONDS]);
        self.trade(world, ts, GOLD, cents / prices[GOLD], prices[GOLD]);
        world.truth.add("PORTFOLIOS sales", 1);
        world.truth.add("PORTFOLIOS proceeds", sold * prices[BONDS]);
        world.truth.add("PORTFOLIOS gains", sold * (prices[BONDS] - self.bought[BONDS]));
    }

    fn trade(&mut self, world: &mut World, ts: i64, fund: usize, pieces: i64, price: i64) {
        self.pieces[fund] += pieces;
        self.cash -= pieces * price;
        let more =
            json!({ "instrument": FUNDS[fund].0, "quantity": pieces, "price": decimal(price) });
        self.send(world, ts, "trade", more);
    }

    /// Sends a record with these fields as well, after all that was sent before.
    fn send(&mut self, world: &mut World, ts: i64, kind: &str, mut record: Value) {
        self.last_ts = ts.max(self.last_ts.saturating_add(1));
        record["id"] = json!(world.id("f"));
        record["type"] = json!(kind);
        record["portfolio"] = json!(self.owner);
        record["ts"] = json!(self.last_ts);
        world.send(PORTFOLIOS, self.last_ts, 0, &record);
    }
}

pub(super) fn judge(truth: &Truth, outcome: &Outcome, verdict: &mut Verdict) {
    // All begin with nothing, which is far from the targets, and the review at the end asks for a proposal.
    let is_first = |proposal: &&Value| proposal["ts"].as_i64() < Some(BEGIN_MS + 2 * DAY_MS);
    let proposals = || outcome.of(PIPELINE, "proposal");
    let drifted: BTreeSet<String> = proposals()
        .filter(|proposal| !is_first(proposal) && proposal["ts"].as_i64() < Some(REVIEW_MS))
        .map(|proposal| text(&proposal["portfolio"]))
        .collect();
    verdict.found(PIPELINE, &truth.planted(PIPELINE), &drifted, (100, 60));

    let kept = truth.total("PORTFOLIOS kept");
    verdict.equal("first proposals", &(proposals().filter(is_first).count() as i128), &kept);
    let reviews = outcome.of(PIPELINE, "valuation").filter(|value| value["reason"] == "review");
    let (mut reviewed, mut value) = (0, 0);
    for review in reviews {
        reviewed += 1;
        value += units(&review["value"], 2);
    }
    verdict.equal(
        "portfolios at the end and their value in cents",
        &[reviewed, value],
        &[kept, truth.total("PORTFOLIOS value")],
    );
    let sum = |field| outcome.of(PIPELINE, "sale").map(|sale| units(&sale[field], 2)).sum();
    verdict.equal(
        "sales, proceeds and gains in cents",
        &[outcome.count(PIPELINE, "sale"), sum("proceeds"), sum("gain")],
        &["sales", "proceeds", "gains"].map(|what| truth.total(&format!("PORTFOLIOS {what}"))),
    );
    let off = proposals().filter(|proposal| {
        let trades = proposal["trades"].as_array().into_iter().flatten();
        let traded: i128 = trades.map(|trade| units(&trade["value"], 2)).sum();
        units(&proposal["off_target"], 2) - traded != units(&proposal["off_target_after"], 2)
    });
    verdict.equal("proposals that lower less than they trade", &off.count(), &0);
    let letters = outcome.letters(PIPELINE).len() as i128;
    let refused = truth.total("PORTFOLIOS garbled") + truth.total("PORTFOLIOS refused");
    verdict.equal("dead letters of portfolio", &letters, &refused);
}
