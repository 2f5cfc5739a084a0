//! The stage's `config`: which transfers are followed, and for how long.

use std::time::Duration;

use finance::Currency;
use millstream_udf::prelude::*;

/// The longest time from the first transfer to the last.
const WINDOW_MAX: Duration = Duration::from_secs(366 * 86_400);
/// Hundredths of a percent in the whole.
const WHOLE_BPS: i64 = 10_000;

/// The settings.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// ISO 4217 code of all amounts.
    pub currency: Currency,
    /// Smaller transfers, in minor units, are not followed.
    #[serde(default = "min_minor")]
    pub min_minor: i64,
    /// By how much a later transfer may differ from the first, in hundredths of a percent.
    #[serde(default = "tolerance_bps")]
    pub tolerance_bps: i64,
    /// From the first transfer to the last, at most.
    #[serde(default = "window", with = "millstream_udf::duration")]
    pub window: Duration,
}

fn min_minor() -> i64 {
    500_000
}

fn tolerance_bps() -> i64 {
    200
}

fn window() -> Duration {
    Duration::from_secs(30 * 86_400)
}

impl Config {
    /// The configuration, if it makes sense.
    pub fn checked(self) -> Result<Self> {
        ensure!(
            !self.window.is_zero() && self.window <= WINDOW_MAX,
            "`window` is {:?}; it must be above 0 and at most 366d",
            self.window
        );
        ensure!(
            (0..WHOLE_BPS).contains(&self.tolerance_bps),
            "`tolerance_bps` is {}; it must be 0 to {}",
            self.tolerance_bps,
            WHOLE_BPS - 1
        );
        ensure!(self.min_minor > 0, "`min_minor` is {}; it must be above 0", self.min_minor);
        Ok(self)
    }

    /// The longest time from the first transfer to the last, in milliseconds.
    pub fn window_ms(&self) -> i64 {
        // Checked to be a year at most.
        self.window.as_millis() as i64
    }

    /// Whether an amount is near enough to the first of its way.
    pub fn is_near(&self, amount_minor: i64, first_minor: i64) -> bool {
        let difference = i128::from(amount_minor.abs_diff(first_minor));
        difference * i128::from(WHOLE_BPS)
            <= i128::from(first_minor) * i128::from(self.tolerance_bps)
    }
}
