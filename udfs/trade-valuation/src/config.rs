//! The stage's `config`: the reporting currency, the age of rates, and rounding.

use std::time::Duration;

use finance::{Currency, Rounding};
use millstream_udf::prelude::*;

/// All settings.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What trades are valued in.
    pub currency: Currency,
    /// A rate that is older than this is not used.
    #[serde(default = "day", with = "millstream_udf::duration")]
    pub max_age: Duration,
    /// How a value is rounded to the minor unit.
    #[serde(default = "half_even")]
    pub rounding: Rounding,
}

fn day() -> Duration {
    Duration::from_secs(86_400)
}

/// Unlike a half that goes up, it adds nothing to the sum of many.
fn half_even() -> Rounding {
    Rounding::HalfEven
}
