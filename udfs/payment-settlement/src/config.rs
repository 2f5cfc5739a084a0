//! The stage's configuration.

use std::time::Duration;

use finance::Currency;
use millstream_udf::prelude::*;

/// The longest time between a payment and its settlement that may be configured: a year.
const WITHIN_MAX: Duration = Duration::from_hours(366 * 24);

/// The currency, and how far a payment and its settlement may lie apart.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// ISO 4217 code of all amounts.
    pub currency: Currency,
    /// From the payment to its settlement.
    #[serde(with = "millstream_udf::duration")]
    within: Duration,
    /// From a settlement to its payment: clocks differ.
    #[serde(with = "millstream_udf::duration")]
    before: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self { currency: Currency::EUR, within: Duration::from_hours(2), before: Duration::ZERO }
    }
}

impl Config {
    /// The interval of the join.
    pub fn interval(&self) -> Result<Interval> {
        for (name, time) in [("within", self.within), ("before", self.before)] {
            ensure!(time <= WITHIN_MAX, "`{name}` is {time:?}; at most {WITHIN_MAX:?} are allowed");
        }
        let ms = |time: Duration| time.as_millis() as i64;
        Ok(Interval::ms(-ms(self.before), ms(self.within)).left_outer().right_outer())
    }
}
