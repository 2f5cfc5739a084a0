//! The stage's `config`.

use std::time::Duration;

use millstream_udf::prelude::*;

/// Types of events that reset a credential, at most.
const RESETS_MAX: usize = 16;

/// All settings, each with a default.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// A transfer of this much and more is large.
    pub large_cents: i64,
    /// From the credential reset to the transfer, less than this.
    #[serde(with = "millstream_udf::duration")]
    pub within: Duration,
    /// Whether a payee must be added or changed behind the new device, and the transfer go to that one.
    pub changed_payee: bool,
    /// Types of events that reset a credential.
    pub resets: Vec<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            large_cents: 100_000,
            within: Duration::from_secs(3_600),
            changed_payee: false,
            resets: vec!["password_reset".into(), "credential_reset".into()],
        }
    }
}

impl Config {
    /// Refuses what makes no sense.
    pub fn check(&self) -> Result<()> {
        ensure!(self.large_cents > 0, "`large_cents` is {}: it must be above 0", self.large_cents);
        ensure!(!self.within.is_zero(), "`within` must be above 0");
        ensure!(
            (1..=RESETS_MAX).contains(&self.resets.len()),
            "`resets` has {} types; it must have 1 to {RESETS_MAX}",
            self.resets.len()
        );
        Ok(())
    }
}
