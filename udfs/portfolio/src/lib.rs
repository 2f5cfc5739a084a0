//! Values a portfolio, says how far its weights are from their targets, and proposes the trades that bring it back, with the tax lots
//! that sales would take. No floats anywhere.

mod config;
mod lots;
mod portfolio;
mod rebalance;

use finance::calendar::DAY_MS;
use finance::{Exact, Money};
use millstream_udf::prelude::*;

use crate::config::{Config, Written};
use crate::lots::{Lot, Sold};
use crate::portfolio::{Portfolio, SCALE};
use crate::rebalance::{Proposal, Valuation};

/// Prices and quantities, at most, so that their product is far from the end of 128 bits.
const UNITS_MAX: i64 = 1_000_000_000_000_000;

/// What happens to a portfolio, which is the key.
#[derive(Input)]
struct Record<'a> {
    id: &'a str,
    #[field(rename = "type")]
    kind: &'a str,
    instrument: Option<&'a str>,
    quantity: Option<Decimal<6>>,
    price: Option<Decimal<6>>,
    amount: Option<Decimal<4>>,
}

/// What a portfolio is worth.
#[derive(Output)]
#[output(tag = "type", value = "valuation")]
struct ValuationItem<'a> {
    id: &'a str,
    portfolio: &'a str,
    ts: i64,
    /// `review`, `drift_out_of_band` or `drift_back_in_band`.
    reason: &'a str,
    currency: &'a str,
    value: Json<Exact>,
    cash: Json<Exact>,
    unrealized: Json<Exact>,
    realized: Json<Exact>,
    /// The instrument furthest from its target.
    furthest: Option<&'a str>,
    drift: Json<Exact>,
    positions: Json<Vec<PositionItem>>,
}

#[derive(Serialize)]
struct PositionItem {
    instrument: String,
    quantity: Exact,
    price: Exact,
    value: Exact,
    cost: Exact,
    weight: Exact,
    target: Exact,
    drift: Exact,
}

/// What to trade.
#[derive(Output)]
#[output(tag = "type", value = "proposal")]
struct ProposalItem<'a> {
    id: &'a str,
    portfolio: &'a str,
    ts: i64,
    currency: &'a str,
    /// What is off target, before the trades and behind them; the difference is what is traded.
    off_target: Json<Exact>,
    off_target_after: Json<Exact>,
    cash_after: Json<Exact>,
    gain: Json<Exact>,
    trades: Json<Vec<TradeItem>>,
    not_traded: Json<Vec<NotTraded>>,
}

#[derive(Serialize)]
struct TradeItem {
    instrument: String,
    side: &'static str,
    quantity: Exact,
    value: Exact,
    reason: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    lots: Vec<LotItem>,
}

#[derive(Serialize)]
struct NotTraded {
    instrument: String,
    reason: &'static str,
}

/// A part of a lot that is sold.
#[derive(Serialize)]
struct LotItem {
    acquired: i64,
    quantity: Exact,
    cost: Exact,
    proceeds: Exact,
    gain: Exact,
    term: &'static str,
}

/// A sale that was made.
#[derive(Output)]
#[output(tag = "type", value = "sale")]
struct Sale<'a> {
    id: &'a str,
    portfolio: &'a str,
    ts: i64,
    instrument: &'a str,
    currency: &'a str,
    proceeds: Json<Exact>,
    gain: Json<Exact>,
    lots: Json<Vec<LotItem>>,
}

/// The outputs.
#[derive(Outputs)]
struct Out {
    valuations: Emit<ValuationItem<'static>>,
    proposals: Emit<ProposalItem<'static>>,
    sales: Emit<Sale<'static>>,
}

/// What is kept.
#[derive(States)]
struct Kept {
    portfolio: Value<Portfolio>,
    /// By instrument.
    lots: Map<String, Vec<Lot>>,
}

/// The UDF.
struct Portfolios {
    config: Config,
}

#[udf(name = "portfolio", version = "1.0.0", state = Kept, outputs = Out)]
impl Portfolios {
    fn new(config: Written) -> Result<Self> {
        Ok(Self { config: config.checked()? })
    }

    fn process(
        &self,
        record: Record<'_>,
        kept: &mut Kept,
        out: &mut Out,
        ctx: &mut Context<'_>,
    ) -> Result<()> {
        let currency = self.config.currency;
        let (name, ts) = (ctx.key_text()?, ctx.event_time());
        let portfolio = kept.portfolio.get_or_default();
        let mut review = false;
        match record.kind {
            "review" => review = true,
            "cash" => {
                let Some(amount) = record.amount else { bail!("a `cash` record without `amount`") };
                portfolio.transfer(Money::from_units(amount.units(), 4, currency)?.minor)?;
            }
            "price" => portfolio.quote(record.instrument()?, record.price()?)?,
            "trade" => {
                let (instrument, price) = (record.instrument()?, record.price()?);
                let quantity = record.quantity()?;
                let mut lots = kept.lots.get(instrument).unwrap_or_default();
                if quantity > 0 {
                    portfolio.buy(&mut lots, (instrument, quantity, price), ts, currency)?;
                    kept.lots.insert(instrument, &lots);
                } else {
                    let trade = (instrument, -quantity, price);
                    let sold = portfolio.sell(&mut lots, trade, self.config.lots, currency)?;
                    kept.lots.insert(instrument, &lots);
                    out.sales.emit(Sale {
                        id: record.id,
                        portfolio: name,
                        ts,
                        instrument,
                        currency: currency.code(),
                        proceeds: self.exact(sold.iter().map(|part| part.proceeds).sum()),
                        gain: self.exact(sold.iter().map(Sold::gain).sum()),
                        lots: Json(self.lots(&sold, ts)),
                    });
                }
            }
            other => bail!("`{other}` is no type of record"),
        }
        let valuation = Valuation::of(portfolio, &self.config)?;
        let drift = valuation.furthest().map_or(0, |position| position.drift().abs());
        let drifted = drift > self.config.band;
        let turned = drifted != portfolio.drifted;
        portfolio.drifted = drifted;
        let reason = match (review, turned, drifted) {
            (true, ..) => "review",
            (false, true, true) => "drift_out_of_band",
            (false, true, false) => "drift_back_in_band",
            (false, false, _) => return Ok(()),
        };
        self.valued(record.id, name, ts, reason, portfolio, &valuation, out);
        if review || drifted {
            let lots = &kept.lots;
            self.propose(record.id, name, ts, portfolio, lots, &valuation, out)?;
        }
        Ok(())
    }
}

impl Portfolios {
    fn exact(&self, minor: i64) -> Json<Exact> {
        Json(self.config.currency.exact(minor))
    }

    #[expect(clippy::too_many_arguments, reason = "one item's fields")]
    fn valued(
        &self,
        id: &str,
        name: &str,
        ts: i64,
        reason: &str,
        portfolio: &Portfolio,
        valuation: &Valuation,
        out: &mut Out,
    ) {
        let currency = self.config.currency;
        let positions = valuation.positions.iter().map(|position| PositionItem {
            instrument: position.instrument.clone(),
            quantity: Exact::new(position.quantity, SCALE),
            price: Exact::new(position.price, SCALE),
            value: currency.exact(position.value),
            cost: currency.exact(position.cost),
            weight: Exact::new(position.weight, 4),
            target: Exact::new(position.target_weight, 4),
            drift: Exact::new(position.drift(), 4),
        });
        let unrealized =
            valuation.positions.iter().map(|position| position.value - position.cost).sum();
        let furthest = valuation.furthest();
        out.valuations.emit(ValuationItem {
            id,
            portfolio: name,
            ts,
            reason,
            currency: currency.code(),
            value: self.exact(valuation.total),
            cash: self.exact(portfolio.cash),
            unrealized: self.exact(unrealized),
            realized: self.exact(portfolio.realized),
            furthest: furthest.map(|position| &position.instrument[..]),
            drift: Json(Exact::new(furthest.map_or(0, |position| position.drift()), 4)),
            positions: Json(positions.collect()),
        });
    }

    #[expect(clippy::too_many_arguments, reason = "one item's fields")]
    fn propose(
        &self,
        id: &str,
        name: &str,
        ts: i64,
        portfolio: &Portfolio,
        lots: &Map<String, Vec<Lot>>,
        valuation: &Valuation,
        out: &mut Out,
    ) -> Result<()> {
        let currency = self.config.currency;
        let lots_of = |instrument: &str| lots.get(instrument).unwrap_or_default();
        let proposal = Proposal::of(portfolio, lots_of, valuation, &self.config)?;
        let instrument = |place: usize| valuation.positions[place].instrument.clone();
        let trades = proposal.trades.iter().map(|trade| TradeItem {
            instrument: instrument(trade.place),
            side: if trade.quantity > 0 { "buy" } else { "sell" },
            quantity: Exact::new(trade.quantity.abs(), SCALE),
            value: currency.exact(trade.value),
            reason: trade.why.code(),
            lots: self.lots(&trade.lots, ts),
        });
        let not_traded = proposal
            .left
            .iter()
            .map(|(place, why)| NotTraded { instrument: instrument(*place), reason: why.code() });
        let off_target = valuation.distance();
        out.proposals.emit(ProposalItem {
            id,
            portfolio: name,
            ts,
            currency: currency.code(),
            off_target: self.exact(off_target),
            off_target_after: self.exact(off_target - proposal.turnover()),
            cash_after: self.exact(portfolio.cash + proposal.cash()),
            gain: self.exact(proposal.gain()),
            trades: Json(trades.collect()),
            not_traded: Json(not_traded.collect()),
        });
        Ok(())
    }

    fn lots(&self, sold: &[Sold], ts: i64) -> Vec<LotItem> {
        let currency = self.config.currency;
        let long_term_ms = self.config.long_term_days * DAY_MS;
        sold.iter()
            .map(|part| LotItem {
                acquired: part.acquired,
                quantity: Exact::new(part.quantity, SCALE),
                cost: currency.exact(part.cost),
                proceeds: currency.exact(part.proceeds),
                gain: currency.exact(part.gain()),
                term: if ts.saturating_sub(part.acquired) > long_term_ms {
                    "long"
                } else {
                    "short"
                },
            })
            .collect()
    }
}

impl<'a> Record<'a> {
    fn instrument(&self) -> Result<&'a str> {
        match self.instrument {
            Some(instrument) => Ok(instrument),
            None => bail!("a `{}` without `instrument`", self.kind),
        }
    }

    /// A price above 0.
    fn price(&self) -> Result<i64> {
        let Some(price) = self.price else { bail!("a `{}` without `price`", self.kind) };
        ensure!(
            (1..=UNITS_MAX).contains(&price.units()),
            "a price of {price}; it must be above 0, and at most 10^9"
        );
        Ok(price.units())
    }

    fn quantity(&self) -> Result<i64> {
        let Some(quantity) = self.quantity else { bail!("a trade without `quantity`") };
        ensure!(quantity != Decimal::ZERO, "a trade of nothing");
        ensure!(quantity.units().abs() <= UNITS_MAX, "a trade of {quantity} pieces is above 10^9");
        Ok(quantity.units())
    }
}

#[cfg(test)]
mod tests;
