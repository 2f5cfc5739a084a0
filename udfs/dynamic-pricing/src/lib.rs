//! Quotes prices to customers from market data, volatility and inventory, with margins by customer and size, within bounds, and says what the price
//! is made of. Prices are in millionths; the only float is one logarithm of the configuration.

mod config;
mod quote;

use finance::{Exact, Money, Rounding};
use millstream_udf::prelude::*;

use crate::config::{Config, Written};
use crate::quote::{Market, Product, Quote, Side};

/// Prices and quantities, at most: 10^9.
const UNITS_MAX: i64 = 1_000_000_000_000_000;

/// Market data, inventory, or a request. The key is the product.
#[derive(Input)]
struct Record<'a> {
    id: &'a str,
    #[field(rename = "type")]
    kind: &'a str,
    bid: Option<Decimal<6>>,
    ask: Option<Decimal<6>>,
    quantity: Option<Decimal<6>>,
    side: Option<&'a str>,
    customer: Option<&'a str>,
    tier: Option<&'a str>,
}

/// A price for a customer.
#[derive(Output)]
#[output(tag = "type", value = "quote")]
struct QuoteItem<'a> {
    id: &'a str,
    product: &'a str,
    customer: Option<&'a str>,
    ts: i64,
    valid_until: i64,
    side: &'a str,
    quantity: Decimal<6>,
    currency: &'a str,
    price: Decimal<6>,
    /// Price times quantity.
    amount: Json<Exact>,
    mid: Decimal<6>,
    /// Standard deviation of the mid price's moves.
    volatility: Decimal<6>,
    /// What was added to the mid price.
    reasons: Json<Vec<Reason>>,
}

#[derive(Serialize)]
struct Reason {
    code: &'static str,
    effect: Exact,
}

/// A request that gets no price.
#[derive(Output)]
#[output(tag = "type", value = "declined")]
struct Declined<'a> {
    id: &'a str,
    product: &'a str,
    customer: Option<&'a str>,
    ts: i64,
    reason: &'a str,
}

/// A market that is older than the one that is known.
#[derive(Output)]
#[output(tag = "type", value = "late")]
struct Late<'a> {
    id: &'a str,
    product: &'a str,
    ts: i64,
}

/// The outputs.
#[derive(Outputs)]
struct Out {
    quotes: Emit<QuoteItem<'static>>,
    declined: Emit<Declined<'static>>,
    late: Emit<Late<'static>>,
}

/// What is kept.
#[derive(States)]
struct Kept {
    product: Value<Product>,
}

/// The UDF.
struct DynamicPricing {
    config: Config,
}

#[udf(name = "dynamic-pricing", version = "1.0.0", state = Kept, outputs = Out)]
impl DynamicPricing {
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
        let (name, ts) = (ctx.key_text()?, ctx.event_time());
        match record.kind {
            "market" => {
                let market = record.market(ts)?;
                if !kept.product.get_or_default().observe(market, &self.config) {
                    out.late.emit(Late { id: record.id, product: name, ts });
                }
            }
            "inventory" => kept.product.get_or_default().inventory = record.quantity()?.units(),
            "request" => {
                let product = kept.product.get().cloned().unwrap_or_default();
                self.request(&record, &product, name, ts, out)?;
            }
            other => bail!("`{other}` is no type of record"),
        }
        Ok(())
    }
}

impl DynamicPricing {
    fn request(
        &self,
        record: &Record<'_>,
        product: &Product,
        name: &str,
        ts: i64,
        out: &mut Out,
    ) -> Result<()> {
        let (side, quantity) = (record.side()?, record.quantity()?);
        ensure!(quantity > Decimal::ZERO, "a request for {quantity} pieces");
        let margin = match record.tier {
            None => 0,
            Some(tier) => match self.config.tiers.get(tier) {
                Some(margin) => *margin,
                None => bail!("`{tier}` is no configured tier"),
            },
        };
        let quoted = product.quote(side, quantity.units(), margin, ts, &self.config);
        let Quote { price, mid, parts } = match quoted {
            Ok(quote) => quote,
            Err(reason) => {
                let customer = record.customer;
                out.declined.emit(Declined { id: record.id, product: name, customer, ts, reason });
                return Ok(());
            }
        };
        let exact = i128::from(price) * i128::from(quantity.units());
        let amount = Money::rounded(exact, 12, self.config.currency, Rounding::HalfEven)?;
        // The root of 10^-12 is in millionths.
        let volatility = product.variance(&self.config).unsigned_abs().isqrt() as i64;
        let reasons =
            parts.iter().map(|(code, part)| Reason { code, effect: Exact::new(*part, 6) });
        out.quotes.emit(QuoteItem {
            id: record.id,
            product: name,
            customer: record.customer,
            ts,
            valid_until: ts.saturating_add(self.config.validity_ms),
            side: if side == Side::Buy { "buy" } else { "sell" },
            quantity,
            currency: self.config.currency.code(),
            price: Decimal::from_units(price),
            amount: Json(amount.exact()),
            mid: Decimal::from_units(mid),
            volatility: Decimal::from_units(volatility),
            reasons: Json(reasons.collect()),
        });
        Ok(())
    }
}

impl Record<'_> {
    fn market(&self, ts: i64) -> Result<Market> {
        let (Some(bid), Some(ask)) = (self.bid, self.ask) else {
            bail!("a `market` record needs `bid` and `ask`")
        };
        ensure!(bid > Decimal::ZERO && bid <= ask, "a bid of {bid} and an ask of {ask}");
        ensure!(ask.units() <= UNITS_MAX, "an ask of {ask} is above 10^9");
        Ok(Market { bid: bid.units(), ask: ask.units(), ts })
    }

    fn quantity(&self) -> Result<Decimal<6>> {
        let Some(quantity) = self.quantity else { bail!("`{}` needs `quantity`", self.kind) };
        ensure!(quantity.units().abs() <= UNITS_MAX, "{quantity} pieces are above 10^9");
        Ok(quantity)
    }

    fn side(&self) -> Result<Side> {
        match self.side {
            Some("buy") => Ok(Side::Buy),
            Some("sell") => Ok(Side::Sell),
            other => {
                bail!("a request to {}: it must be `buy` or `sell`", other.unwrap_or("nothing"))
            }
        }
    }
}

#[cfg(test)]
mod tests;
