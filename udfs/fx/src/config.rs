//! The stage's `config`: margin, age of rates, and rounding by currency.

use std::collections::BTreeMap;
use std::time::Duration;

use finance::{Currency, Money, Rounding};
use millstream_udf::prelude::*;

/// All settings, each with a default.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Taken from the customer on top of the spread, in hundredths of a percent of the rate.
    pub margin_bps: i64,
    /// A rate that is older than this is not used.
    #[serde(with = "millstream_udf::duration")]
    pub max_age: Duration,
    /// How amounts are rounded where `currencies` says nothing else.
    pub rounding: Rounding,
    /// Rules by the currency that is converted to.
    pub currencies: BTreeMap<String, Rule>,
}

/// How amounts of a currency are rounded.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    pub rounding: Option<Rounding>,
    /// To multiples of so many minor units, such as 5 for cash in Swiss francs.
    #[serde(default = "one")]
    pub increment_minor: i64,
}

fn one() -> i64 {
    1
}

impl Default for Config {
    fn default() -> Self {
        Self {
            margin_bps: 0,
            max_age: Duration::from_secs(86_400),
            rounding: Rounding::HalfUp,
            currencies: BTreeMap::new(),
        }
    }
}

impl Config {
    /// The configuration, if it makes sense.
    pub fn checked(self) -> Result<Self> {
        let margin = self.margin_bps;
        ensure!((0..=5_000).contains(&margin), "`margin_bps` is {margin}; it must be 0 to 5000");
        for (code, rule) in &self.currencies {
            Currency::from_code(code)?;
            ensure!(
                (1..=1_000_000).contains(&rule.increment_minor),
                "`increment_minor` of {code} is {}; it must be 1 to 1000000",
                rule.increment_minor
            );
        }
        Ok(self)
    }

    /// How amounts of a currency are rounded to its minor unit.
    pub fn rounding(&self, currency: Currency) -> Rounding {
        let rule = self.currencies.get(currency.code()).and_then(|rule| rule.rounding);
        rule.unwrap_or(self.rounding)
    }

    /// The amount in multiples that can be paid.
    pub fn payable(&self, amount: Money) -> Result<Money> {
        let increment =
            self.currencies.get(amount.currency.code()).map_or(1, |rule| rule.increment_minor);
        Ok(amount.rounded_to(increment, self.rounding(amount.currency))?)
    }
}
