//! The stage's `config`: weights and half-lives.

use finance::Currency;
use millstream_udf::prelude::*;

use crate::scorecard::Scorecard;

/// Milliseconds of a day.
pub const DAY_MS: i64 = 86_400_000;
/// Internal units of a point.
pub const MILLI: i64 = 1_000;
/// The largest number of points a setting may have, far above any score.
const POINTS_MAX: i64 = 100_000;
/// The longest time a setting may have, in days: a century.
const DAYS_MAX: i64 = 36_525;

/// All settings, each with a default. Points are whole points, times whole days of event time.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// ISO 4217 code of all amounts.
    pub currency: Currency,
    /// The score of a customer about whom nothing is known.
    pub base: i64,
    /// The lowest score.
    pub floor: i64,
    /// The highest score.
    pub ceiling: i64,
    /// For a repayment in full; a partial one earns its share.
    pub repayment: i64,
    /// All repayments together earn no more.
    pub repayment_max: i64,
    /// Half-life of what repayments earned.
    pub repayment_half_life_days: i64,
    /// For a payment missed by 30 days or less, by up to 60, and by more.
    pub missed: [i64; 3],
    /// Half-life of what missed payments cost.
    pub missed_half_life_days: i64,
    /// For an enquiry.
    pub enquiry: i64,
    /// Half-life of what enquiries cost.
    pub enquiry_half_life_days: i64,
    /// At full utilisation of the limit.
    pub utilisation: i64,
    /// Utilisation in percent up to which nothing is lost.
    pub utilisation_free_percent: i64,
    /// After so long without an event the score is computed once more.
    pub rescore_days: i64,
    /// How applications are scored.
    pub scorecard: Option<Scorecard>,
    /// Another configuration that is run beside this one and decides nothing.
    pub challenger: Option<Box<Config>>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            currency: Currency::EUR,
            base: 600,
            floor: 300,
            ceiling: 850,
            repayment: 12,
            repayment_max: 180,
            repayment_half_life_days: 365,
            missed: [45, 75, 120],
            missed_half_life_days: 365,
            enquiry: 8,
            enquiry_half_life_days: 90,
            utilisation: 120,
            utilisation_free_percent: 30,
            rescore_days: 30,
            scorecard: None,
            challenger: None,
        }
    }
}

impl Config {
    /// The configuration, if its numbers make sense.
    pub fn checked(mut self) -> Result<Self> {
        if let Some(challenger) = self.challenger.take() {
            ensure!(challenger.challenger.is_none(), "a challenger has no challenger");
            ensure!(
                challenger.currency == self.currency,
                "the challenger's `currency` is {}; it must be {}, as the champion's",
                challenger.currency,
                self.currency
            );
            let checked = challenger.checked().map_err(|error| error.context("`challenger`"))?;
            self.challenger = Some(Box::new(checked));
        }
        if let Some(scorecard) = &self.scorecard {
            scorecard.check()?;
        }
        let [light, medium, severe] = self.missed;
        let points = [
            ("repayment", self.repayment),
            ("repayment_max", self.repayment_max),
            ("missed[0]", light),
            ("missed[1]", medium),
            ("missed[2]", severe),
            ("enquiry", self.enquiry),
            ("utilisation", self.utilisation),
            ("floor", self.floor),
            ("ceiling", self.ceiling),
        ];
        for (name, value) in points {
            ensure!(
                (0..=POINTS_MAX).contains(&value),
                "`{name}` is {value}; it must be 0 to {POINTS_MAX} points"
            );
        }
        let days = [
            ("repayment_half_life_days", self.repayment_half_life_days),
            ("missed_half_life_days", self.missed_half_life_days),
            ("enquiry_half_life_days", self.enquiry_half_life_days),
            ("rescore_days", self.rescore_days),
        ];
        for (name, value) in days {
            ensure!(
                (1..=DAYS_MAX).contains(&value),
                "`{name}` is {value}; it must be 1 to {DAYS_MAX} days"
            );
        }
        let free = self.utilisation_free_percent;
        ensure!(
            (0..100).contains(&free),
            "`utilisation_free_percent` is {free}; it must be 0 to 99"
        );
        ensure!(
            self.floor <= self.base && self.base <= self.ceiling,
            "`base` is {}, outside `floor` {} to `ceiling` {}",
            self.base,
            self.floor,
            self.ceiling
        );
        Ok(self)
    }
}
