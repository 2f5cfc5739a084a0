//! The stage's `config`.

use std::collections::BTreeMap;
use std::time::Duration;

use finance::Currency;
use finance::exact::{Exact, Fixed};
use millstream_udf::prelude::*;

/// One, in millionths.
pub const ONE: i64 = 1_000_000;
/// Steps of size, at most.
const SIZES_MAX: usize = 20;

/// The settings as they are written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Written {
    currency: Currency,
    tick: Fixed<6>,
    risk_aversion: Fixed<6>,
    liquidity: Fixed<6>,
    #[serde(default = "one")]
    horizon: Fixed<6>,
    #[serde(default = "one")]
    lot: Fixed<6>,
    volatility: Fixed<6>,
    #[serde(default = "lambda")]
    lambda: Fixed<6>,
    #[serde(default)]
    tiers: BTreeMap<String, Fixed<6>>,
    #[serde(default)]
    sizes: Vec<Size>,
    #[serde(default = "percent")]
    max_deviation: Fixed<6>,
    max_inventory: Option<Fixed<6>>,
    #[serde(default = "ten_seconds", with = "millstream_udf::duration")]
    max_age: Duration,
    #[serde(default = "ten_seconds", with = "millstream_udf::duration")]
    validity: Duration,
}

/// A margin for requests of this size and more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Size {
    /// Pieces, in millionths.
    pub from: Fixed<6>,
    /// A share of the mid price, in millionths.
    pub margin: Fixed<6>,
}

fn one() -> Fixed<6> {
    Fixed(ONE)
}

/// The decay factor of RiskMetrics for daily data.
fn lambda() -> Fixed<6> {
    Fixed(940_000)
}

fn percent() -> Fixed<6> {
    Fixed(ONE / 100)
}

fn ten_seconds() -> Duration {
    Duration::from_secs(10)
}

/// All settings, checked. Numbers are in millionths.
#[derive(Clone, Debug)]
pub struct Config {
    /// What prices are in.
    pub currency: Currency,
    /// Prices are multiples of it.
    pub tick: i64,
    /// `gamma`.
    pub risk_aversion: i64,
    /// `(1 / gamma) * ln(1 + gamma / k)`: half of the spread that does not depend on volatility.
    pub liquidity_spread: i64,
    /// `T - t`, in updates of the market.
    pub horizon: i64,
    /// Pieces that count as one of inventory.
    pub lot: i64,
    /// Variance before the first move, in 10^-12.
    pub variance: i128,
    /// Weight of the past in the variance.
    pub lambda: i64,
    /// Margins by the customers' tier, as shares of the mid price.
    pub tiers: BTreeMap<String, i64>,
    /// Margins by size, rising.
    pub sizes: Vec<Size>,
    /// How far from the mid price a quote may be, as a share of it.
    pub max_deviation: i64,
    /// Pieces that inventory may have on either side.
    pub max_inventory: Option<i64>,
    /// Market data that is older is not quoted on.
    pub max_age_ms: i64,
    /// How long a quote holds.
    pub validity_ms: i64,
}

impl Written {
    /// The configuration, if its numbers make sense.
    pub fn checked(self) -> Result<Config> {
        for (name, value, least, most) in [
            ("tick", self.tick, 1, 1_000_000 * ONE),
            ("risk_aversion", self.risk_aversion, 1, 1_000 * ONE),
            ("liquidity", self.liquidity, 1, 1_000_000 * ONE),
            ("horizon", self.horizon, 0, 1_000_000 * ONE),
            ("lot", self.lot, 1, 1_000_000_000 * ONE),
            ("volatility", self.volatility, 0, 1_000_000 * ONE),
            ("lambda", self.lambda, 0, ONE),
            ("max_deviation", self.max_deviation, 0, ONE),
        ] {
            ensure!(
                (least..=most).contains(&value.0),
                "`{name}` is {}; it must be {} to {}",
                Exact::new(value.0, 6),
                Exact::new(least, 6),
                Exact::new(most, 6)
            );
        }
        let margins = self.tiers.values().chain(self.sizes.iter().map(|size| &size.margin));
        for margin in margins {
            ensure!(
                (-ONE..=ONE).contains(&margin.0),
                "a margin of {}; it must be -1 to 1, as a share of the mid price",
                Exact::new(margin.0, 6)
            );
        }
        ensure!(
            self.sizes.len() <= SIZES_MAX,
            "`sizes` has {} steps; it may have {SIZES_MAX}",
            self.sizes.len()
        );
        ensure!(self.sizes.is_sorted_by(|a, b| a.from < b.from), "`sizes` must rise");
        ensure!(
            self.max_inventory.is_none_or(|pieces| pieces.0 > 0),
            "`max_inventory` must be above 0"
        );
        let ms = |name: &str, time: Duration| {
            i64::try_from(time.as_millis())
                .map_err(|_| Error::new(format_args!("`{name}` is {time:?}: too long")))
        };
        let (gamma, k) = (self.risk_aversion.0 as f64, self.liquidity.0 as f64);
        let liquidity_spread = libm::log1p(gamma / k) / (gamma / ONE as f64) * ONE as f64;
        Ok(Config {
            currency: self.currency,
            tick: self.tick.0,
            risk_aversion: self.risk_aversion.0,
            // At most 1 / k, which is a million.
            liquidity_spread: libm::rint(liquidity_spread) as i64,
            horizon: self.horizon.0,
            lot: self.lot.0,
            variance: i128::from(self.volatility.0).pow(2),
            lambda: self.lambda.0,
            tiers: self.tiers.into_iter().map(|(tier, margin)| (tier, margin.0)).collect(),
            sizes: self.sizes,
            max_deviation: self.max_deviation.0,
            max_inventory: self.max_inventory.map(|pieces| pieces.0),
            max_age_ms: ms("max_age", self.max_age)?,
            validity_ms: ms("validity", self.validity)?,
        })
    }
}
