//! The stage's `config`.

use std::collections::BTreeMap;

use finance::exact::{Exact, Fixed};
use finance::{Currency, Money};
use millstream_udf::prelude::*;

use crate::lots::Order;
use crate::portfolio::INSTRUMENTS_MAX;

/// Weights have four digits behind the point.
pub const WEIGHT_ONE: i64 = 10_000;
/// One piece, in the units of quantities.
const PIECE: i64 = 1_000_000;

/// The settings as they are written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Written {
    currency: Currency,
    targets: BTreeMap<String, Fixed<4>>,
    #[serde(default = "five_percent")]
    band: Fixed<4>,
    #[serde(default)]
    min_trade: Fixed<4>,
    #[serde(default = "piece")]
    step: Fixed<6>,
    #[serde(default)]
    lots: Order,
    #[serde(default = "year")]
    long_term_days: i64,
}

fn five_percent() -> Fixed<4> {
    Fixed(500)
}

fn piece() -> Fixed<6> {
    Fixed(PIECE)
}

fn year() -> i64 {
    365
}

/// All settings, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// What everything is in.
    pub currency: Currency,
    /// Target weights in 1/10000 of the whole; what is left is cash.
    pub targets: BTreeMap<String, i64>,
    /// How far a weight may be from its target, in 1/10000 of the whole.
    pub band: i64,
    /// Trades of less are not proposed, in minor units.
    pub min_trade: i64,
    /// Proposals are multiples of it, in millionths of a piece.
    pub step: i64,
    /// Which lots are sold first.
    pub lots: Order,
    /// What was held for more days is long-term.
    pub long_term_days: i64,
}

impl Written {
    /// The configuration, if its numbers make sense.
    pub fn checked(self) -> Result<Config> {
        let targets: BTreeMap<String, i64> =
            self.targets.into_iter().map(|(name, weight)| (name, weight.0)).collect();
        ensure!(
            targets.len() <= INSTRUMENTS_MAX,
            "`targets` has {} instruments; it may have {INSTRUMENTS_MAX}",
            targets.len()
        );
        for (name, weight) in &targets {
            ensure!(
                (0..=WEIGHT_ONE).contains(weight),
                "the target of `{name}` is {}; it must be 0 to 1",
                Exact::new(*weight, 4)
            );
        }
        let sum: i64 = targets.values().sum();
        ensure!(sum <= WEIGHT_ONE, "`targets` add up to {}; they may have 1", Exact::new(sum, 4));
        let band = self.band.0;
        ensure!(
            (1..=WEIGHT_ONE).contains(&band),
            "`band` is {}; it must be above 0, and at most 1",
            Exact::new(band, 4)
        );
        let min_trade = Money::from_units(self.min_trade.0, 4, self.currency)?;
        ensure!(min_trade.minor >= 0, "`min_trade` is {min_trade}; it must not be negative");
        let step = self.step.0;
        ensure!(step > 0, "`step` is {}; it must be above 0", Exact::new(step, 6));
        let days = self.long_term_days;
        ensure!((0..=36_525).contains(&days), "`long_term_days` is {days}; it must be 0 to 36525");
        Ok(Config {
            currency: self.currency,
            targets,
            band,
            min_trade: min_trade.minor,
            step,
            lots: self.lots,
            long_term_days: days,
        })
    }
}
