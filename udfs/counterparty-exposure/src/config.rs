//! The stage's `config`: currency, periods, and limits by counterparty.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use finance::Currency;
use finance::limits::{Limit, WrittenLimit, checked};
use millstream_udf::prelude::*;

/// Periods of a rolling total, at most.
const ROLLING_MAX: u128 = 60;
/// Netting sets of a counterparty in a period, at most.
const SETS_MAX: u128 = 64;
/// The same of all periods of a rolling total together: they are summed up in one call, which fuel bounds.
const ROLLING_SETS_MAX: u128 = 960;

/// What a limit is set on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// Without netting, of a period.
    Gross,
    /// With netting, of a period.
    Net,
    /// Without netting, of the rolling total.
    RollingGross,
    /// With netting, of the rolling total.
    RollingNet,
}

impl Measure {
    /// Its name in a configuration and in an output.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gross => "gross",
            Self::Net => "net",
            Self::RollingGross => "rolling_gross",
            Self::RollingNet => "rolling_net",
        }
    }
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The settings as they are written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Written {
    currency: Currency,
    #[serde(default = "minute", with = "millstream_udf::duration")]
    period: Duration,
    #[serde(default = "five_minutes", with = "millstream_udf::duration")]
    rolling: Duration,
    #[serde(default)]
    limits: Vec<WrittenLimit<Measure>>,
    #[serde(default)]
    counterparties: BTreeMap<String, Vec<WrittenLimit<Measure>>>,
}

fn minute() -> Duration {
    Duration::from_secs(60)
}

fn five_minutes() -> Duration {
    Duration::from_secs(300)
}

/// All settings, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// What values and limits are in.
    pub currency: Currency,
    /// Length of a period, milliseconds.
    pub period_ms: i64,
    /// Length of the rolling total, milliseconds: some whole periods.
    pub rolling_ms: i64,
    /// Netting sets of a counterparty in a period, at most.
    pub sets_max: usize,
    limits: Vec<Limit<Measure>>,
    counterparties: BTreeMap<String, Vec<Limit<Measure>>>,
}

impl Written {
    /// The configuration, if it makes sense.
    pub fn checked(self) -> Result<Config> {
        let (period, rolling) = (self.period.as_millis(), self.rolling.as_millis());
        ensure!(
            (1_000..=86_400_000).contains(&period),
            "`period` is {period} ms; it must be 1s to 1d"
        );
        ensure!(
            rolling % period == 0 && (1..=ROLLING_MAX).contains(&(rolling / period)),
            "`rolling` is {rolling} ms; it must be 1 to {ROLLING_MAX} times `period`, which is {period} ms"
        );
        let currency = self.currency;
        let limits = checked(self.limits, currency)
            .map_err(|error| Error::from(error).context("`limits`"))?;
        let counterparties = self.counterparties.into_iter().map(|(name, limits)| {
            let limits = checked(limits, currency).map_err(|error| {
                Error::from(error).context(format_args!("`counterparties` of `{name}`"))
            })?;
            Ok((name, limits))
        });
        Ok(Config {
            currency,
            period_ms: period as i64,
            rolling_ms: rolling as i64,
            sets_max: (ROLLING_SETS_MAX / (rolling / period)).min(SETS_MAX) as usize,
            limits,
            counterparties: counterparties.collect::<Result<_>>()?,
        })
    }
}

impl Config {
    /// The limits of a counterparty: its own, or else those of all.
    pub fn limits(&self, counterparty: &str) -> &[Limit<Measure>] {
        self.counterparties.get(counterparty).unwrap_or(&self.limits)
    }

    /// How long a period is.
    pub fn period(&self) -> Duration {
        Duration::from_millis(self.period_ms as u64)
    }
}
