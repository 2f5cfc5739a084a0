//! The stage's `config`.

use std::time::Duration;

use millstream_udf::prelude::*;

/// All settings, each with a default.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// A transfer of this much and more is large.
    pub large_cents: i64,
    /// From the password reset to the transfer, less than this.
    #[serde(with = "millstream_udf::duration")]
    pub within: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self { large_cents: 100_000, within: Duration::from_secs(3_600) }
    }
}

impl Config {
    /// Refuses what makes no sense.
    pub fn check(&self) -> Result<()> {
        ensure!(self.large_cents > 0, "`large_cents` is {}: it must be above 0", self.large_cents);
        ensure!(!self.within.is_zero(), "`within` must be above 0");
        Ok(())
    }
}
