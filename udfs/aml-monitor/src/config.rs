//! The stage's `config`: what each rule looks for, and its points.

use std::time::Duration;

use finance::Currency;
use millstream_udf::prelude::*;

use crate::sanctions::{ENTRIES_MAX, Entry, FULL_MILLI};

/// Points of a rule, at most.
const POINTS_MAX: i64 = 1_000;
/// The longest window of a rule: what is older is forgotten.
const WINDOW_MAX: Duration = Duration::from_secs(366 * 86_400);

/// All settings; all but the currency have a default. Money is in minor units of `currency`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// ISO 4217 code of all amounts.
    pub currency: Currency,
    /// With this many points and more the payment is held; with fewer it is reviewed.
    #[serde(default = "hold_points")]
    pub hold_points: i64,
    #[serde(default)]
    pub structuring: Structuring,
    #[serde(default)]
    pub rapid: Rapid,
    #[serde(default)]
    pub round_trip: RoundTrip,
    #[serde(default)]
    pub dormant: Dormant,
    #[serde(default)]
    pub sanctions: Sanctions,
}

/// Cash in parts, each too small to be reported.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Structuring {
    pub points: i64,
    /// Cash above this is reported anyway.
    pub threshold_minor: i64,
    /// Smaller parts than this share of the threshold do not count.
    pub floor_percent: i64,
    /// Parts, at least.
    pub count: usize,
    #[serde(with = "millstream_udf::duration")]
    pub window: Duration,
}

/// Money that leaves soon after it came.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rapid {
    pub points: i64,
    /// What came in, at least.
    pub min_minor: i64,
    /// What went out, of what came in.
    pub out_percent: i64,
    #[serde(with = "millstream_udf::duration")]
    pub window: Duration,
}

/// Money that comes back.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RoundTrip {
    pub points: i64,
    /// What went out, at least.
    pub min_minor: i64,
    /// By how much what comes back may differ from what went out, in hundredths of a percent.
    pub tolerance_bps: i64,
    #[serde(with = "millstream_udf::duration")]
    pub window: Duration,
}

/// An account that wakes up.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Dormant {
    pub points: i64,
    pub days: i64,
    /// What moves, at least.
    pub min_minor: i64,
}

/// Counterparties on the list.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sanctions {
    pub points: i64,
    /// Similarity of names, in thousandths, from which on they are taken for the same.
    pub similarity_milli: i64,
    pub list: Vec<Entry>,
}

const fn days(days: u64) -> Duration {
    Duration::from_secs(days * 86_400)
}

fn hold_points() -> i64 {
    100
}

impl Default for Structuring {
    /// 31 CFR 1010.311 has currency transactions of more than $10,000 reported.
    fn default() -> Self {
        Self {
            points: 60,
            threshold_minor: 1_000_000,
            floor_percent: 50,
            count: 2,
            window: days(2),
        }
    }
}

impl Default for Rapid {
    fn default() -> Self {
        Self { points: 50, min_minor: 500_000, out_percent: 90, window: days(1) }
    }
}

impl Default for RoundTrip {
    fn default() -> Self {
        Self { points: 40, min_minor: 500_000, tolerance_bps: 200, window: days(30) }
    }
}

impl Default for Dormant {
    fn default() -> Self {
        Self { points: 30, days: 180, min_minor: 200_000 }
    }
}

impl Default for Sanctions {
    fn default() -> Self {
        Self { points: 100, similarity_milli: 920, list: Vec::new() }
    }
}

fn within(name: &str, value: i64, least: i64, most: i64) -> Result<()> {
    ensure!((least..=most).contains(&value), "`{name}` is {value}; it must be {least} to {most}");
    Ok(())
}

impl Config {
    /// The configuration, if its numbers make sense.
    pub fn checked(self) -> Result<Self> {
        for (name, points) in [
            ("structuring.points", self.structuring.points),
            ("rapid.points", self.rapid.points),
            ("round_trip.points", self.round_trip.points),
            ("dormant.points", self.dormant.points),
            ("sanctions.points", self.sanctions.points),
        ] {
            within(name, points, 0, POINTS_MAX)?;
        }
        within("hold_points", self.hold_points, 1, 5 * POINTS_MAX)?;
        // A thousand times these amounts still fits into 64 bits.
        for (name, amount) in [
            ("structuring.threshold_minor", self.structuring.threshold_minor),
            ("rapid.min_minor", self.rapid.min_minor),
            ("round_trip.min_minor", self.round_trip.min_minor),
            ("dormant.min_minor", self.dormant.min_minor),
        ] {
            within(name, amount, 1, i64::MAX / 1_000)?;
        }
        within("structuring.floor_percent", self.structuring.floor_percent, 0, 100)?;
        within("structuring.count", self.structuring.count as i64, 2, 20)?;
        within("rapid.out_percent", self.rapid.out_percent, 1, 100)?;
        within("round_trip.tolerance_bps", self.round_trip.tolerance_bps, 0, 5_000)?;
        within("dormant.days", self.dormant.days, 1, 36_525)?;
        within("sanctions.list", self.sanctions.list.len() as i64, 0, ENTRIES_MAX as i64)?;
        within("sanctions.similarity_milli", self.sanctions.similarity_milli, 500, FULL_MILLI)?;
        for (name, window) in [
            ("structuring.window", self.structuring.window),
            ("rapid.window", self.rapid.window),
            ("round_trip.window", self.round_trip.window),
        ] {
            ensure!(
                !window.is_zero() && window <= WINDOW_MAX,
                "`{name}` must be above 0 and at most 366 days"
            );
        }
        Ok(self)
    }

    /// How long movements are kept.
    pub fn kept_ms(&self) -> i64 {
        let longest = self.structuring.window.max(self.rapid.window).max(self.round_trip.window);
        longest.as_millis() as i64
    }
}
