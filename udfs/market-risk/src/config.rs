//! The stage's `config`.

use std::collections::BTreeMap;
use std::time::Duration;

use finance::Currency;
use finance::exact::{self, Fixed};
use finance::limits::{WrittenLimit, checked};
use millstream_udf::prelude::*;

use crate::limits::{Limit, Measure};

/// Hundredths of a percent in one: levels of confidence have four digits behind the point.
pub const LEVEL_ONE: i64 = 10_000;
/// Scenarios of the simulation, at most: four years of trading days.
const WINDOW_MAX: u32 = 1_000;
/// Levels of confidence, at most.
const LEVELS_MAX: usize = 4;

/// How the past moves of a price are put on today's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Shock {
    /// As a share of the price: for equities, currencies, commodities.
    #[default]
    Relative,
    /// As a difference: for rates and spreads.
    Absolute,
}

/// The settings as they are written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Written {
    currency: Currency,
    #[serde(default = "day", with = "millstream_udf::duration")]
    period: Duration,
    #[serde(default = "year")]
    window: u32,
    #[serde(default = "month")]
    min_scenarios: u32,
    #[serde(default = "levels")]
    confidence: Vec<Fixed<4>>,
    #[serde(default)]
    shock: Shock,
    #[serde(default)]
    limits: Vec<WrittenLimit<Measure>>,
    #[serde(default)]
    books: BTreeMap<String, Vec<WrittenLimit<Measure>>>,
}

fn day() -> Duration {
    Duration::from_secs(86_400)
}

fn year() -> u32 {
    250
}

fn month() -> u32 {
    20
}

fn levels() -> Vec<Fixed<4>> {
    vec![Fixed(9_900)]
}

/// All settings, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// What prices and results are in.
    pub currency: Currency,
    /// Length of a period: one scenario each.
    pub period: Duration,
    /// Scenarios of the simulation, at most: the newest.
    pub window: u32,
    /// With fewer scenarios there is no value at risk.
    pub min_scenarios: u32,
    /// Levels of confidence in 1/10000, rising.
    pub levels: Vec<i64>,
    /// How past moves are put on today's prices.
    pub shock: Shock,
    limits: Vec<Limit>,
    books: BTreeMap<String, Vec<Limit>>,
}

impl Written {
    /// The configuration, if its numbers make sense.
    pub fn checked(self) -> Result<Config> {
        ensure!(!self.period.is_zero(), "`period` must be above 0");
        ensure!(
            (1..=WINDOW_MAX).contains(&self.window),
            "`window` is {}; it must be 1 to {WINDOW_MAX} periods",
            self.window
        );
        ensure!(
            (1..=self.window).contains(&self.min_scenarios),
            "`min_scenarios` is {}; it must be 1 to `window`, which is {}",
            self.min_scenarios,
            self.window
        );
        let levels: Vec<i64> = self.confidence.iter().map(|level| level.0).collect();
        ensure!(
            (1..=LEVELS_MAX).contains(&levels.len()),
            "`confidence` has {} levels; it must have 1 to {LEVELS_MAX}",
            levels.len()
        );
        for level in &levels {
            ensure!(
                (LEVEL_ONE / 2..LEVEL_ONE).contains(level),
                "`confidence` of {}; it must be at least 0.5 and below 1",
                exact::Exact::new(*level, 4)
            );
        }
        ensure!(levels.is_sorted_by(|a, b| a < b), "`confidence` must rise");
        let currency = self.currency;
        let limits = checked(self.limits, currency)
            .map_err(|error| Error::from(error).context("`limits`"))?;
        let books = self.books.into_iter().map(|(book, limits)| {
            let limits = checked(limits, currency)
                .map_err(|error| Error::from(error).context(format_args!("`books` of `{book}`")))?;
            Ok((book, limits))
        });
        Ok(Config {
            currency,
            period: self.period,
            window: self.window,
            min_scenarios: self.min_scenarios,
            levels,
            shock: self.shock,
            limits,
            books: books.collect::<Result<_>>()?,
        })
    }
}

impl Config {
    /// The limits of a book: its own, or else those of all.
    pub fn limits(&self, book: &str) -> &[Limit] {
        self.books.get(book).unwrap_or(&self.limits)
    }
}
