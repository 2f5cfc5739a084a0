//! What is kept of a portfolio, and what records do to it. Prices and quantities are in millionths, money in minor units.

use std::collections::BTreeMap;

use finance::{Currency, Money, Rounding};
use millstream_udf::prelude::*;

use crate::lots::{Lot, Order, Sold, sell};

/// Digits behind the point of prices and quantities.
pub const SCALE: u8 = 6;
/// Instruments of a portfolio, at most.
pub const INSTRUMENTS_MAX: usize = 200;
/// Lots of an instrument, at most.
const LOTS_MAX: usize = 1_000;

/// A portfolio. Its lots are kept apart, since few records need them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Portfolio {
    /// Cash; negative if it is owed.
    pub cash: i64,
    /// Holdings and followed prices by instrument.
    pub holdings: BTreeMap<String, Holding>,
    /// Gains of all sales, less losses.
    pub realized: i64,
    /// Whether a weight was out of its band when last looked at.
    pub drifted: bool,
}

/// An instrument of a portfolio.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holding {
    /// The last price.
    pub price: i64,
    /// Pieces held: those of its lots.
    pub quantity: i64,
    /// What they cost: the sum of its lots.
    pub cost: i64,
}

impl Holding {
    /// What the pieces are worth.
    pub fn value(&self, currency: Currency) -> Result<i64> {
        worth(self.quantity, self.price, currency)
    }
}

impl Portfolio {
    /// Money comes in, or goes out.
    pub fn transfer(&mut self, amount: i64) -> Result<()> {
        self.cash = sum([self.cash, amount])?;
        Ok(())
    }

    /// A price is quoted.
    pub fn quote(&mut self, instrument: &str, price: i64) -> Result<()> {
        self.holding(instrument)?.price = price;
        Ok(())
    }

    /// Pieces were bought: `lots` are the instrument's.
    pub fn buy(
        &mut self,
        lots: &mut Vec<Lot>,
        (instrument, quantity, price): (&str, i64, i64),
        at: i64,
        currency: Currency,
    ) -> Result<()> {
        let cost = worth(quantity, price, currency)?;
        let cash = sum([self.cash, -cost])?;
        ensure!(lots.len() < LOTS_MAX, "more than {LOTS_MAX} lots of `{instrument}`");
        let holding = self.holding(instrument)?;
        holding.quantity = sum([holding.quantity, quantity])?;
        holding.cost = sum([holding.cost, cost])?;
        holding.price = price;
        lots.push(Lot { acquired: at, quantity, cost });
        self.cash = cash;
        Ok(())
    }

    /// Pieces were sold: `lots` are the instrument's. Gives those that they came from.
    pub fn sell(
        &mut self,
        lots: &mut Vec<Lot>,
        (instrument, quantity, price): (&str, i64, i64),
        order: Order,
        currency: Currency,
    ) -> Result<Vec<Sold>> {
        let proceeds = worth(quantity, price, currency)?;
        let cash = sum([self.cash, proceeds])?;
        let holding = self.holding(instrument)?;
        let held = holding.quantity;
        ensure!(
            quantity <= held,
            "a sale of {} `{instrument}`, of which {} are held",
            Decimal::<SCALE>::from_units(quantity),
            Decimal::<SCALE>::from_units(held)
        );
        let sold = sell(lots, order, quantity, proceeds);
        holding.price = price;
        holding.quantity -= quantity;
        holding.cost -= sold.iter().map(|part| part.cost).sum::<i64>();
        self.cash = cash;
        self.realized = sum(sold.iter().map(Sold::gain).chain([self.realized]))?;
        Ok(sold)
    }

    fn holding(&mut self, instrument: &str) -> Result<&mut Holding> {
        if !self.holdings.contains_key(instrument) {
            ensure!(
                self.holdings.len() < INSTRUMENTS_MAX,
                "a portfolio of more than {INSTRUMENTS_MAX} instruments"
            );
        }
        Ok(self.holdings.entry(instrument.to_owned()).or_default())
    }
}

/// What so many pieces are worth, rounded to the minor unit, a half to even.
pub fn worth(quantity: i64, price: i64, currency: Currency) -> Result<i64> {
    let exact = i128::from(quantity) * i128::from(price);
    Ok(Money::rounded(exact, 2 * SCALE, currency, Rounding::HalfEven)?.minor)
}

/// A sum that fits.
pub fn sum(parts: impl IntoIterator<Item = i64>) -> Result<i64> {
    let sum: i128 = parts.into_iter().map(i128::from).sum();
    match i64::try_from(sum) {
        Ok(sum) => Ok(sum),
        Err(_) => bail!("a sum of {sum} is outside the range of 64 bits"),
    }
}
