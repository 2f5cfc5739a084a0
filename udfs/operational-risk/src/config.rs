//! The stage's `config`.

use std::collections::BTreeMap;
use std::time::Duration;

use finance::charts::{CusumChart, EwmaChart, ONE, VALUE_MAX};
use finance::exact::{Exact, Fixed};
use millstream_udf::prelude::*;

use crate::indicator::Thresholds;

/// The longest time a setting may have, in milliseconds: a year.
const TIME_MS_MAX: u128 = 366 * 86_400_000;
/// Intervals that a mean is learned from, and that a unit may be quiet, at most.
const INTERVALS_MAX: u32 = 10_000;
/// Steps of escalation, at most.
const STEPS_MAX: usize = 10;

/// The settings as they are written.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Written {
    #[serde(with = "millstream_udf::duration")]
    interval: Duration,
    learn: u32,
    quiet_after: u32,
    lambda: Fixed<6>,
    width: Fixed<6>,
    allowance: Fixed<6>,
    limit: Fixed<6>,
    units: BTreeMap<String, Baseline>,
    indicators: BTreeMap<String, WrittenThresholds>,
    escalation: Vec<Wait>,
}

/// Mean and standard deviation of a unit's events per interval.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Baseline {
    mean: Fixed<6>,
    deviation: Option<Fixed<6>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenThresholds {
    amber: Fixed<6>,
    red: Fixed<6>,
    #[serde(default)]
    margin: Fixed<6>,
}

#[derive(Debug, Deserialize)]
struct Wait(#[serde(with = "millstream_udf::duration")] Duration);

impl Default for Written {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(3_600),
            learn: 24,
            quiet_after: 24,
            lambda: Fixed(ONE / 5),
            width: Fixed(3 * ONE),
            allowance: Fixed(ONE / 2),
            limit: Fixed(5 * ONE),
            units: BTreeMap::new(),
            indicators: BTreeMap::new(),
            escalation: Vec::new(),
        }
    }
}

/// All settings, checked. Numbers are in millionths.
#[derive(Clone, Debug)]
pub struct Config {
    /// Length of an interval.
    pub interval_ms: i64,
    /// Intervals that the mean is learned from.
    pub learn: u32,
    /// After so many intervals without an event a unit is no longer watched.
    pub quiet_after: u32,
    lambda: i64,
    width: i64,
    allowance: i64,
    limit: i64,
    units: BTreeMap<String, (i64, i64)>,
    /// Thresholds by indicator.
    pub indicators: BTreeMap<String, Thresholds>,
    /// How long an indicator is red before each step.
    pub escalation_ms: Vec<i64>,
}

impl Written {
    /// The configuration, if its numbers make sense.
    pub fn checked(self) -> Result<Config> {
        for (name, value, least, most) in [
            ("lambda", self.lambda, 1, ONE),
            ("width", self.width, 1, 100 * ONE),
            ("allowance", self.allowance, 0, 100 * ONE),
            ("limit", self.limit, 1, 1_000 * ONE),
        ] {
            ensure!(
                (least..=most).contains(&value.0),
                "`{name}` is {}; it must be {} to {}",
                Exact::new(value.0, 6),
                Exact::new(least, 6),
                Exact::new(most, 6)
            );
        }
        for (name, count) in [("learn", self.learn), ("quiet_after", self.quiet_after)] {
            ensure!(
                (1..=INTERVALS_MAX).contains(&count),
                "`{name}` is {count}; it must be 1 to {INTERVALS_MAX} intervals"
            );
        }
        let mut units = BTreeMap::new();
        for (unit, Baseline { mean, deviation }) in self.units {
            let deviation = deviation.map_or_else(|| deviation_of(mean.0), |fixed| fixed.0);
            let most = VALUE_MAX / 1_000;
            ensure!(
                (0..=most).contains(&mean.0) && (1..=most).contains(&deviation),
                "`units` of `{unit}`: a mean of {} with a deviation of {}",
                Exact::new(mean.0, 6),
                Exact::new(deviation, 6)
            );
            units.insert(unit, (mean.0, deviation));
        }
        let mut indicators = BTreeMap::new();
        for (name, WrittenThresholds { amber, red, margin }) in self.indicators {
            ensure!(amber != red, "`indicators` of `{name}`: `amber` and `red` are equal");
            ensure!(margin.0 >= 0, "`indicators` of `{name}`: `margin` is negative");
            indicators.insert(name, Thresholds { amber: amber.0, red: red.0, margin: margin.0 });
        }
        ensure!(
            self.escalation.len() <= STEPS_MAX,
            "`escalation` has {} steps; it may have {STEPS_MAX}",
            self.escalation.len()
        );
        let waits = self.escalation.into_iter().map(|Wait(wait)| milliseconds("escalation", wait));
        let escalation_ms = waits.collect::<Result<Vec<i64>>>()?;
        ensure!(escalation_ms.is_sorted_by(|a, b| a < b), "`escalation` must rise");
        Ok(Config {
            interval_ms: milliseconds("interval", self.interval)?,
            learn: self.learn,
            quiet_after: self.quiet_after,
            lambda: self.lambda.0,
            width: self.width.0,
            allowance: self.allowance.0,
            limit: self.limit.0,
            units,
            indicators,
            escalation_ms,
        })
    }
}

fn milliseconds(name: &str, time: Duration) -> Result<i64> {
    let ms = time.as_millis();
    ensure!((1..=TIME_MS_MAX).contains(&ms), "`{name}` is {time:?}; it must be 1ms to 366d");
    Ok(ms as i64)
}

/// Events that come one by one are spread like the root of their mean (Poisson); at least one event.
pub fn deviation_of(mean: i64) -> i64 {
    finance::charts::sqrt(mean).max(ONE)
}

impl Config {
    /// Mean and deviation that are given for a unit.
    pub fn given(&self, unit: &str) -> Option<(i64, i64)> {
        self.units.get(unit).copied()
    }

    /// The charts of a unit with this mean and deviation.
    pub fn charts(&self, (mean, deviation): (i64, i64)) -> (EwmaChart, CusumChart) {
        let deviations =
            |count: i64| (i128::from(count) * i128::from(deviation) / i128::from(ONE)) as i64;
        (
            EwmaChart { mean, deviation, lambda: self.lambda, width: self.width },
            CusumChart {
                mean,
                allowance: deviations(self.allowance),
                limit: deviations(self.limit),
            },
        )
    }
}
