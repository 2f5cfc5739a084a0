//! The price of a request: M. Avellaneda, S. Stoikov, *High-frequency trading in a limit order book* (Quantitative Finance 8, 2008), with margins by
//! customer and size, and bounds. Everything is in millionths.

use finance::{Rounding, divide};
use millstream_udf::prelude::*;

use crate::config::{Config, ONE};

/// What is known of a product.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Product {
    /// The last bid and ask, and when they came.
    pub market: Option<Market>,
    /// Variance of the mid price's moves, in 10^-12; none before the first move.
    pub variance: Option<i128>,
    /// Pieces held; negative if they are owed.
    pub inventory: i64,
}

/// A market.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Market {
    pub bid: i64,
    pub ask: i64,
    pub ts: i64,
}

impl Market {
    /// Between bid and ask, a half millionth to even.
    pub fn mid(&self) -> i64 {
        divide(i128::from(self.bid) + i128::from(self.ask), 2, Rounding::HalfEven) as i64
    }
}

/// What the customer does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Buys from us, at our ask.
    Buy,
    /// Sells to us, at our bid.
    Sell,
}

impl Side {
    /// 1 where the price lies above the mid price, -1 below it.
    fn sign(self) -> i64 {
        match self {
            Self::Buy => 1,
            Self::Sell => -1,
        }
    }
}

/// A part of a price: its code, and what it adds to the mid price.
pub type Part = (&'static str, i64);

/// A price.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quote {
    pub price: i64,
    pub mid: i64,
    /// Mid price and parts add up to the price.
    pub parts: Vec<Part>,
}

impl Product {
    /// Takes a market in: `variance = lambda * variance + (1 - lambda) * move^2`, as in RiskMetrics (1996). Gives whether it is newer than
    /// what is known.
    pub fn observe(&mut self, market: Market, config: &Config) -> bool {
        if let Some(known) = self.market {
            if market.ts < known.ts {
                return false;
            }
            let square = i128::from(market.mid() - known.mid()).pow(2);
            let before = self.variance.unwrap_or(config.variance);
            let (lambda, one) = (i128::from(config.lambda), i128::from(ONE));
            // Prices are at most 10^15: the products fit.
            let sum = lambda * before + (one - lambda) * square;
            self.variance = Some(divide(sum, one, Rounding::HalfEven));
        }
        self.market = Some(market);
        true
    }

    /// The variance, in 10^-12.
    pub fn variance(&self, config: &Config) -> i128 {
        self.variance.unwrap_or(config.variance)
    }

    /// The price of so many pieces, or the reason why there is none.
    pub fn quote(
        &self,
        side: Side,
        quantity: i64,
        tier_margin: i64,
        now: i64,
        config: &Config,
    ) -> Result<Quote, &'static str> {
        let market = self.market.ok_or("no_market_data")?;
        if now.saturating_sub(market.ts) > config.max_age_ms {
            return Err("market_data_too_old");
        }
        let after = self.inventory.saturating_sub(side.sign() * quantity);
        let grows = after.unsigned_abs() > self.inventory.unsigned_abs();
        if grows
            && config.max_inventory.is_some_and(|most| after.unsigned_abs() > most.unsigned_abs())
        {
            return Err("inventory_limit");
        }
        let (mid, sign) = (market.mid(), side.sign());
        let one = i128::from(ONE);
        // gamma * sigma^2 * (T - t), in millionths.
        let aversion = i128::from(config.risk_aversion) * i128::from(config.horizon);
        let risk = multiply(aversion, self.variance(config), one.pow(3))?;
        let skew = multiply(-i128::from(self.inventory), risk.into(), config.lot.into())?;
        let risk_spread = divide(risk.into(), 2, Rounding::HalfEven) as i64;
        let of_mid = |margin: i64| multiply(mid.into(), margin.into(), one);
        let size = config.sizes.iter().rev().find(|size| quantity >= size.from.0);
        let mut parts: Vec<Part> = vec![
            ("inventory", skew),
            ("volatility", sign * risk_spread),
            ("liquidity", sign * config.liquidity_spread),
            ("tier", sign * of_mid(tier_margin)?),
            ("size", sign * of_mid(size.map_or(0, |size| size.margin.0))?),
        ];
        let exact = i128::from(mid) + parts.iter().map(|(_, part)| i128::from(*part)).sum::<i128>();
        // In our favour: asks go up, bids go down.
        let favour = if sign > 0 { Rounding::Ceiling } else { Rounding::Floor };
        let tick = i128::from(config.tick);
        let rounded = divide(exact, tick, favour) * tick;
        let room = i128::from(of_mid(config.max_deviation)?);
        let low = divide((i128::from(mid) - room).max(1), tick, Rounding::Ceiling) * tick;
        let high = divide(i128::from(mid) + room, tick, Rounding::Floor) * tick;
        if low > high {
            return Err("no_price_within_bounds");
        }
        let bounded = rounded.clamp(low, high);
        let fits = |value: i128| i64::try_from(value).map_err(|_| "price_out_of_range");
        parts.push(("rounding", fits(rounded - exact)?));
        parts.push(("bound", fits(bounded - rounded)?));
        parts.retain(|(_, part)| *part != 0);
        Ok(Quote { price: fits(bounded)?, mid, parts })
    }
}

/// `a * b / c`, rounded to the nearest.
fn multiply(a: i128, b: i128, c: i128) -> Result<i64, &'static str> {
    finance::mul_div(a, b, c, Rounding::HalfEven).ok_or("price_out_of_range")
}
