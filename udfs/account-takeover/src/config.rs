//! The stage's `config`.

use std::time::Duration;

use finance::Currency;
use millstream_udf::prelude::*;

/// Types of events that reset a credential, at most.
const RESETS_MAX: usize = 16;

/// All settings, each with a default.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// ISO 4217 code of all amounts.
    pub currency: Currency,
    /// A transfer of so many minor units and more is large. Manifests from before other currencies call it `large_cents`.
    #[serde(alias = "large_cents")]
    pub large_minor: i64,
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
            currency: Currency::EUR,
            large_minor: 100_000,
            within: Duration::from_secs(3_600),
            changed_payee: false,
            resets: vec!["password_reset".into(), "credential_reset".into()],
        }
    }
}

impl Config {
    /// Refuses what makes no sense.
    pub fn check(&self) -> Result<()> {
        ensure!(self.large_minor > 0, "`large_minor` is {}; it must be above 0", self.large_minor);
        ensure!(!self.within.is_zero(), "`within` must be above 0");
        ensure!(
            (1..=RESETS_MAX).contains(&self.resets.len()),
            "`resets` has {} types; it must have 1 to {RESETS_MAX}",
            self.resets.len()
        );
        Ok(())
    }
}
