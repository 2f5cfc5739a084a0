//! A made-up bank: two months of correlated streams with planted frauds, launderers, outages and bad data, what was planted, and
//! the judgement of what pipelines made of it. The same seed gives the same bytes.
//!
//! Each area is one file, which plants and judges: what is put into the streams stands beside what must be found. Areas share
//! customers, and hand money on to each other: a transfer in the app is booked in the ledger.

mod app;
mod applications;
mod cards;
mod claims;
mod credit;
mod delivery;
mod fx;
mod ledger;
mod markets;
mod operations;
mod orders;
mod outcome;
mod people;
mod portfolio;
mod pricing;
mod run;
mod shop;
mod truth;
mod verdict;
mod world;

use std::collections::BTreeMap;

pub use outcome::Outcome;
pub use run::run;
pub use verdict::Verdict;

use truth::Truth;
use world::World;

/// The records of all streams, and what was planted among them.
pub struct Bank {
    /// What everything was drawn from.
    pub seed: u64,
    /// Lines by stream, in the order of their arrival.
    pub feeds: BTreeMap<&'static str, Vec<u8>>,
    truth: Truth,
}

impl Bank {
    /// Makes up a bank.
    pub fn new(seed: u64) -> Self {
        let mut world = World::new(seed);
        app::plant(&mut world);
        cards::plant(&mut world);
        ledger::plant(&mut world);
        delivery::plant(&mut world);
        credit::plant(&mut world);
        shop::plant(&mut world);
        claims::plant(&mut world);
        operations::plant(&mut world);
        markets::plant(&mut world);
        orders::plant(&mut world);
        fx::plant(&mut world);
        pricing::plant(&mut world);
        portfolio::plant(&mut world);
        applications::plant(&mut world);
        let (feeds, truth) = world.end();
        Self { seed, feeds, truth }
    }

    /// Compares what came out of the pipelines with what was planted.
    pub fn judge(&self, outcome: &Outcome) -> Verdict {
        let mut verdict = Verdict::default();
        for judge in [
            delivery::judge,
            ledger::judge,
            app::judge,
            cards::judge,
            credit::judge,
            shop::judge,
            claims::judge,
            operations::judge,
            markets::judge,
            orders::judge,
            fx::judge,
            pricing::judge,
            portfolio::judge,
            applications::judge,
        ] {
            judge(&self.truth, outcome, &mut verdict);
        }
        verdict
    }

    /// Records in a stream.
    pub fn records(&self, stream: &str) -> usize {
        let lines = self.feeds[stream].split(|byte| *byte == b'\n');
        lines.filter(|line| !line.is_empty()).count()
    }
}
