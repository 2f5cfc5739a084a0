//! What is kept of a book: holdings, last prices, past moves; what a period does to it, and what it is worth in the scenarios
//! of the past. Prices and quantities are in millionths, money in minor units.

use std::collections::BTreeMap;

use finance::{Currency, Money, Rounding, mul_div};
use millstream_udf::prelude::*;

use crate::config::Shock;
use crate::limits::Breaches;

/// Digits behind the point of prices and quantities.
pub const SCALE: u8 = 6;
/// Instruments of a book, at most.
pub const INSTRUMENTS_MAX: usize = 2_000;
/// Reports that the count of exceptions goes back: a year of trading days, as in the Basel framework.
pub const BACKTEST_REPORTS: u64 = 250;

/// What happened in a period, whatever the order of arrival: each instrument's last price, and its trades' sums.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Period {
    instruments: BTreeMap<String, Activity>,
}

/// An instrument's period.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Activity {
    /// Time and price of the last quotation.
    price: Option<(i64, i64)>,
    /// Time and price of the last trade: the price until there is a quotation.
    traded: Option<(i64, i64)>,
    /// What was bought, less what was sold.
    quantity: i64,
    /// What was paid for it, less what was received, in 10^-12 of a major unit.
    cost: i128,
}

/// One record of a book.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event<'e> {
    /// Event time.
    pub ts: i64,
    /// The instrument.
    pub instrument: &'e str,
    /// The price of one piece.
    pub price: i64,
    /// Pieces bought (above 0) or sold, if it is a trade.
    pub quantity: Option<i64>,
}

impl Aggregate for Period {
    type Input<'i> = Event<'i>;
    type Result = Self;

    fn add(&mut self, event: &Event<'_>) {
        if !self.instruments.contains_key(event.instrument) {
            self.instruments.insert(event.instrument.to_owned(), Activity::default());
        }
        let Some(activity) = self.instruments.get_mut(event.instrument) else { return };
        let last = match event.quantity {
            Some(_) => &mut activity.traded,
            None => &mut activity.price,
        };
        if last.is_none_or(|(ts, _)| event.ts >= ts) {
            *last = Some((event.ts, event.price));
        }
        let quantity = event.quantity.unwrap_or(0);
        activity.quantity = activity.quantity.saturating_add(quantity);
        activity.cost += i128::from(quantity) * i128::from(event.price);
    }

    fn merge(&mut self, other: Self) {
        for (instrument, later) in other.instruments {
            let activity = self.instruments.entry(instrument).or_default();
            activity.price = later.price.or(activity.price);
            activity.traded = later.traded.or(activity.traded);
            activity.quantity = activity.quantity.saturating_add(later.quantity);
            activity.cost += later.cost;
        }
    }

    fn result(&self) -> Self {
        self.clone()
    }
}

/// The moves of one period: instrument by its place in the book, price before and behind.
pub type Moves = Vec<(u32, i64, i64)>;

/// An instrument in a book.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instrument {
    /// Its name.
    pub name: String,
    /// Pieces held; negative if sold short.
    pub quantity: i64,
    /// The last price.
    pub price: i64,
    /// Whether the price is a quotation, not that of a trade.
    quoted: bool,
}

/// A book. An instrument keeps its place for ever, since past moves refer to it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Book {
    /// The instruments, in the order of their first appearance.
    pub instruments: Vec<Instrument>,
    /// Number of the next scenario.
    pub next_scenario: u64,
    /// Reports given.
    pub reports: u64,
    /// Numbers of the reports, of the last [`BACKTEST_REPORTS`], whose loss was beyond what was forecast.
    pub exceptions: Vec<u64>,
    /// The value at risk of the last report, at the highest level.
    pub forecast: Option<i64>,
    /// Limits that are breached.
    pub breaches: Breaches,
}

/// What a period did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closed {
    /// Profit, or loss if negative: change of value less what was paid for trades.
    pub profit: i64,
    /// The part of it that the holdings from before would have made without trades: what a forecast is compared with.
    pub hypothetical: i64,
    /// The moves of quoted prices.
    pub moves: Moves,
}

impl Book {
    /// Applies a period: trades and closing prices.
    pub fn close(&mut self, period: Period, currency: Currency) -> Result<Closed> {
        let (mut profit, mut hypothetical, mut moves) = (0_i128, 0_i128, Vec::new());
        let mut by_name: Vec<usize> = (0..self.instruments.len()).collect();
        by_name.sort_unstable_by(|a, b| self.instruments[*a].name.cmp(&self.instruments[*b].name));
        for (name, activity) in period.instruments {
            let known = by_name.binary_search_by(|place| self.instruments[*place].name.cmp(&name));
            let known = known.ok().map(|found| by_name[found]);
            let place = known.unwrap_or(self.instruments.len());
            if known.is_none() {
                ensure!(
                    place < INSTRUMENTS_MAX,
                    "a book of more than {INSTRUMENTS_MAX} instruments"
                );
                self.instruments.push(Instrument { name, quantity: 0, price: 0, quoted: false });
            }
            let instrument = &mut self.instruments[place];
            let before = (instrument.quantity, instrument.price);
            let quotation = activity.price.map(|(_, price)| price);
            if let Some(price) = quotation {
                if instrument.quoted {
                    moves.push((place as u32, instrument.price, price));
                }
                instrument.price = price;
                instrument.quoted = true;
            } else if let (false, Some((_, price))) = (instrument.quoted, activity.traded) {
                instrument.price = price;
            }
            let unchanged = value(before.0, instrument.price, currency)?;
            instrument.quantity =
                instrument.quantity.checked_add(activity.quantity).ok_or_else(|| {
                    Error::new(format_args!("too many pieces of `{}`", instrument.name))
                })?;
            let value_before = value(before.0, before.1, currency)?;
            let value_now = value(instrument.quantity, instrument.price, currency)?;
            let cost =
                Money::rounded(activity.cost, 2 * SCALE, currency, Rounding::HalfEven)?.minor;
            profit += i128::from(value_now) - i128::from(value_before) - i128::from(cost);
            hypothetical += i128::from(unchanged) - i128::from(value_before);
        }
        Ok(Closed { profit: fit(profit)?, hypothetical: fit(hypothetical)?, moves })
    }

    /// The value of each instrument's holding.
    pub fn values(&self, currency: Currency) -> Result<Vec<i64>> {
        self.instruments
            .iter()
            .map(|instrument| value(instrument.quantity, instrument.price, currency))
            .collect()
    }

    /// What each instrument in `moves` would lose if its price moved so again: its place and its loss. One that did not
    /// move loses nothing.
    pub fn losses(
        &self,
        moves: &Moves,
        values: &[i64],
        shock: Shock,
        currency: Currency,
    ) -> impl Iterator<Item = Result<(usize, i64)>> {
        moves.iter().filter_map(move |(place, before, behind)| {
            let place = *place as usize;
            let instrument = &self.instruments[place];
            if instrument.quantity == 0 {
                return None;
            }
            let change = behind - before;
            let gain: Result<i64> = match shock {
                Shock::Relative => {
                    let (value, change) = (values[place].into(), change.into());
                    mul_div(value, change, (*before).into(), Rounding::HalfEven).ok_or_else(|| {
                        let name = &instrument.name;
                        Error::new(format_args!(
                            "a move of `{name}` is outside the range of 64 bits"
                        ))
                    })
                }
                Shock::Absolute => value(instrument.quantity, change, currency),
            };
            Some(gain.map(|gain| (place, -gain)))
        })
    }

    /// Counts a report whose holdings made `hypothetical`: was the loss beyond the forecast?
    pub fn backtest(&mut self, hypothetical: i64) {
        self.reports += 1;
        if self.forecast.is_some_and(|forecast| -hypothetical > forecast) {
            self.exceptions.push(self.reports);
        }
        let oldest = self.reports.saturating_sub(BACKTEST_REPORTS);
        self.exceptions.retain(|report| *report > oldest);
    }
}

/// What so many pieces are worth, rounded to the minor unit.
fn value(quantity: i64, price: i64, currency: Currency) -> Result<i64> {
    let exact = i128::from(quantity) * i128::from(price);
    Ok(Money::rounded(exact, 2 * SCALE, currency, Rounding::HalfEven)?.minor)
}

/// An amount that is the sum of others.
pub fn fit(minor: i128) -> Result<i64> {
    match i64::try_from(minor) {
        Ok(minor) => Ok(minor),
        Err(_) => bail!("a sum of {minor} minor units is outside the range of 64 bits"),
    }
}
