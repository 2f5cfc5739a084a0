//! The stage's `config`: breakpoints of scores, segments, sessions and drift.

use std::time::Duration;

use finance::Currency;
use millstream_udf::prelude::*;

/// Milliseconds of a day.
pub const DAY_MS: i64 = 86_400_000;
/// Segments, at most.
const SEGMENTS_MAX: usize = 64;

/// All settings; all but the currency have a default.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// ISO 4217 code of all amounts.
    pub currency: Currency,
    /// A gap of this length ends a session.
    #[serde(default = "half_hour", with = "millstream_udf::duration")]
    pub session_gap: Duration,
    #[serde(default)]
    pub rfm: Rfm,
    #[serde(default)]
    pub drift: Drift,
}

/// Breakpoints of scores from 1 to 5, and names of segments.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rfm {
    /// Days since the last purchase, at most, for a score of 5, 4, 3 and 2.
    pub recency_days: [i64; 4],
    /// Purchases, at least, for a score of 5, 4, 3 and 2.
    pub frequency: [i64; 4],
    /// Sum of purchases in minor units, at least, for a score of 5, 4, 3 and 2.
    pub monetary_minor: [i64; 4],
    /// The first that fits names the customer's segment.
    pub segments: Vec<Segment>,
}

/// A segment: the least and the largest score of each kind.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Segment {
    pub name: String,
    #[serde(default = "all")]
    pub recency: (i64, i64),
    #[serde(default = "all")]
    pub frequency: (i64, i64),
    #[serde(default = "all")]
    pub monetary: (i64, i64),
}

/// When preferences have changed.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Drift {
    /// Half-life of what a customer has done lately.
    pub short_days: i64,
    /// Half-life of what a customer usually does.
    pub long_days: i64,
    /// Distance from which on preferences have drifted, in thousandths.
    pub drifted_milli: i64,
    /// Distance at which they are steady again, in thousandths.
    pub steady_milli: i64,
    /// Actions before drift is looked at.
    pub min_actions: i64,
}

fn half_hour() -> Duration {
    Duration::from_secs(1_800)
}

fn all() -> (i64, i64) {
    (1, 5)
}

impl Default for Rfm {
    fn default() -> Self {
        let segment = |name: &str, recency, frequency, monetary| Segment {
            name: name.into(),
            recency,
            frequency,
            monetary,
        };
        Self {
            recency_days: [7, 30, 90, 180],
            frequency: [20, 10, 5, 2],
            monetary_minor: [100_000, 50_000, 20_000, 5_000],
            segments: vec![
                segment("champion", (4, 5), (4, 5), (4, 5)),
                segment("loyal", (3, 5), (3, 5), all()),
                segment("new", (4, 5), (1, 1), all()),
                segment("promising", (3, 5), (1, 2), all()),
                segment("at_risk", (1, 2), (3, 5), all()),
                segment("lost", (1, 2), (1, 2), all()),
            ],
        }
    }
}

impl Default for Drift {
    fn default() -> Self {
        Self {
            short_days: 7,
            long_days: 90,
            drifted_milli: 400,
            steady_milli: 200,
            min_actions: 10,
        }
    }
}

fn within(name: &str, value: i64, least: i64, most: i64) -> Result<()> {
    ensure!((least..=most).contains(&value), "`{name}` is {value}; it must be {least} to {most}");
    Ok(())
}

impl Config {
    /// The configuration, if it makes sense.
    pub fn checked(self) -> Result<Self> {
        ensure!(!self.session_gap.is_zero(), "`session_gap` must be above 0");
        let Rfm { recency_days, frequency, monetary_minor, segments } = &self.rfm;
        ensure!(
            recency_days.is_sorted(),
            "`rfm.recency_days` is {recency_days:?}; it must rise from the best score on"
        );
        within("rfm.recency_days", recency_days[0], 0, 36_525)?;
        within("rfm.recency_days", recency_days[3], 0, 36_525)?;
        for (name, breakpoints) in [("frequency", frequency), ("monetary_minor", monetary_minor)] {
            ensure!(
                breakpoints.iter().rev().is_sorted(),
                "`rfm.{name}` is {breakpoints:?}; it must fall from the best score on"
            );
        }
        within("rfm.segments", segments.len() as i64, 0, SEGMENTS_MAX as i64)?;
        let drift = &self.drift;
        within("drift.short_days", drift.short_days, 1, 36_525)?;
        within("drift.long_days", drift.long_days, drift.short_days, 36_525)?;
        within("drift.drifted_milli", drift.drifted_milli, 1, 1_000)?;
        within("drift.steady_milli", drift.steady_milli, 0, drift.drifted_milli)?;
        within("drift.min_actions", drift.min_actions, 1, i64::MAX)?;
        Ok(self)
    }
}
