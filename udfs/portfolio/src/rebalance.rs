//! How far a portfolio is from its target weights, and the trades that bring it closer.

use finance::{Rounding, allocate, mul_div};
use millstream_udf::prelude::*;

use crate::config::{Config, WEIGHT_ONE};
use crate::lots::{Lot, Sold, sell};
use crate::portfolio::{Portfolio, SCALE, sum, worth};

/// An instrument beside its target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// The instrument.
    pub instrument: String,
    /// Pieces held, in millionths.
    pub quantity: i64,
    /// The last price, in millionths; 0 if there was none.
    pub price: i64,
    /// What the pieces cost.
    pub cost: i64,
    /// What they are worth.
    pub value: i64,
    /// What they should be worth.
    pub target: i64,
    /// The share of the whole, and what it should be, in 1/10000.
    pub weight: i64,
    pub target_weight: i64,
}

impl Position {
    /// How far the weight is from its target, in 1/10000 of the whole.
    pub fn drift(&self) -> i64 {
        self.weight - self.target_weight
    }
}

/// A portfolio beside its targets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Valuation {
    /// Holdings and cash.
    pub total: i64,
    /// All instruments that are held or have a target, by name.
    pub positions: Vec<Position>,
}

impl Valuation {
    /// Values a portfolio at the last prices. The targets' amounts and cash add up to the whole.
    pub fn of(portfolio: &Portfolio, config: &Config) -> Result<Self> {
        let mut positions = Vec::new();
        for (instrument, holding) in &portfolio.holdings {
            let target_weight = config.targets.get(instrument).copied().unwrap_or(0);
            let quantity = holding.quantity;
            if quantity == 0 && target_weight == 0 {
                continue;
            }
            positions.push(Position {
                instrument: instrument.clone(),
                quantity,
                price: holding.price,
                cost: holding.cost,
                value: holding.value(config.currency)?,
                target: 0,
                weight: 0,
                target_weight,
            });
        }
        for (instrument, weight) in &config.targets {
            if *weight > 0 && !portfolio.holdings.contains_key(instrument) {
                positions.push(Position {
                    instrument: instrument.clone(),
                    quantity: 0,
                    price: 0,
                    cost: 0,
                    value: 0,
                    target: 0,
                    weight: 0,
                    target_weight: *weight,
                });
            }
        }
        positions.sort_by(|a, b| a.instrument.cmp(&b.instrument));
        let total = sum(positions.iter().map(|position| position.value).chain([portfolio.cash]))?;
        // A portfolio that owes more than it holds has no weights.
        if total > 0 {
            let targets = positions.iter().map(|position| position.target_weight);
            let cash = WEIGHT_ONE - targets.clone().sum::<i64>();
            let weights: Vec<u64> = targets.chain([cash]).map(i64::unsigned_abs).collect();
            let targets = allocate(total, &weights).unwrap_or_default();
            for (position, target) in positions.iter_mut().zip(targets) {
                position.target = target;
                let weight = mul_div(
                    position.value.into(),
                    WEIGHT_ONE.into(),
                    total.into(),
                    Rounding::HalfEven,
                );
                let Some(weight) = weight else {
                    bail!("a weight is outside the range of 64 bits")
                };
                position.weight = weight;
            }
        }
        Ok(Self { total, positions })
    }

    /// The instrument that is furthest from its target, by weight.
    pub fn furthest(&self) -> Option<&Position> {
        self.positions.iter().max_by_key(|position| position.drift().abs())
    }

    /// What would have to be traded to be at the targets.
    pub fn distance(&self) -> i64 {
        self.positions.iter().map(|position| (position.value - position.target).abs()).sum()
    }
}

/// Why a trade is proposed, or is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// More is held than the target.
    Overweight,
    /// Less is held than the target.
    Underweight,
    /// It has no target: all is sold.
    NoTarget,
    /// Underweight, and less is bought than the target wants, for want of cash.
    CutToCash,
    /// Not proposed: less than the smallest trade, or than one step.
    BelowMinTrade,
    /// Not proposed: there is no price.
    NoPrice,
    /// Not proposed: there is no cash for it.
    NotEnoughCash,
}

impl Why {
    /// The reason code.
    pub fn code(self) -> &'static str {
        match self {
            Self::Overweight => "overweight",
            Self::Underweight => "underweight",
            Self::NoTarget => "no_target",
            Self::CutToCash => "cut_to_cash",
            Self::BelowMinTrade => "below_min_trade",
            Self::NoPrice => "no_price",
            Self::NotEnoughCash => "not_enough_cash",
        }
    }
}

/// A trade that is proposed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trade {
    /// Place of the instrument in the valuation.
    pub place: usize,
    /// Bought, or sold if negative, in millionths of a piece.
    pub quantity: i64,
    /// What that is worth, without sign.
    pub value: i64,
    /// Why.
    pub why: Why,
    /// Of a sale: the lots that would go.
    pub lots: Vec<Sold>,
}

/// What is proposed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proposal {
    /// The trades, sales first.
    pub trades: Vec<Trade>,
    /// Places of the instruments that are off target and are not traded.
    pub left: Vec<(usize, Why)>,
}

impl Proposal {
    /// The trades that bring the portfolio closer to its targets. No trade goes beyond its target, and none is paid with cash that
    /// is not there; so each lowers [`Valuation::distance`] by its value. `lots_of` gives an instrument's lots.
    pub fn of(
        portfolio: &Portfolio,
        lots_of: impl Fn(&str) -> Vec<Lot>,
        valuation: &Valuation,
        config: &Config,
    ) -> Result<Self> {
        let mut proposal = Self::default();
        if valuation.total <= 0 {
            return Ok(proposal);
        }
        let mut buys = Vec::new();
        let mut cash = i128::from(portfolio.cash);
        for (place, position) in valuation.positions.iter().enumerate() {
            let gap = position.target - position.value;
            if gap == 0 {
                continue;
            }
            if position.price == 0 {
                proposal.left.push((place, Why::NoPrice));
                continue;
            }
            let all = position.target_weight == 0;
            let quantity =
                if all { position.quantity } else { pieces(gap.abs(), position.price, config)? };
            let value = worth(quantity, position.price, config.currency)?;
            if quantity == 0 || value < config.min_trade {
                proposal.left.push((place, Why::BelowMinTrade));
            } else if gap > 0 {
                let why = Why::Underweight;
                buys.push(Trade { place, quantity, value, why, lots: Vec::new() });
            } else {
                let why = if all { Why::NoTarget } else { Why::Overweight };
                let mut lots = lots_of(&position.instrument);
                let lots = sell(&mut lots, config.lots, quantity, value);
                cash += i128::from(value);
                proposal.trades.push(Trade { place, quantity: -quantity, value, why, lots });
            }
        }
        // The largest needs come first; the smaller ones get what is left.
        buys.sort_by_key(|trade| std::cmp::Reverse(trade.value));
        for mut trade in buys {
            let price = valuation.positions[trade.place].price;
            if i128::from(trade.value) > cash {
                let affordable = i64::try_from(cash.max(0)).unwrap_or(i64::MAX);
                trade.quantity = pieces(affordable, price, config)?;
                trade.value = worth(trade.quantity, price, config.currency)?;
                trade.why = Why::CutToCash;
            }
            if trade.quantity == 0 || trade.value < config.min_trade {
                proposal.left.push((trade.place, Why::NotEnoughCash));
                continue;
            }
            cash -= i128::from(trade.value);
            proposal.trades.push(trade);
        }
        proposal.left.sort_unstable_by_key(|(place, _)| *place);
        Ok(proposal)
    }

    /// Gains of the sales, less losses.
    pub fn gain(&self) -> i64 {
        self.trades.iter().flat_map(|trade| &trade.lots).map(Sold::gain).sum()
    }

    /// What the trades add to the cash.
    pub fn cash(&self) -> i64 {
        self.trades.iter().map(|trade| -trade.quantity.signum() * trade.value).sum()
    }

    /// What is traded in all.
    pub fn turnover(&self) -> i64 {
        self.trades.iter().map(|trade| trade.value).sum()
    }
}

/// The pieces that `amount` pays for, in whole steps.
fn pieces(amount: i64, price: i64, config: &Config) -> Result<i64> {
    let per_major = i128::from(config.currency.minor_per_major()) * i128::from(price);
    let exact = 10_i128.pow(2 * u32::from(SCALE)) * i128::from(amount) / per_major;
    let steps = exact / i128::from(config.step) * i128::from(config.step);
    match i64::try_from(steps) {
        Ok(pieces) => Ok(pieces),
        Err(_) => bail!("{steps} millionths of a piece are outside the range of 64 bits"),
    }
}
