//! Values trades in the reporting currency at the rate that was in force at their time: a temporal join by currency.

mod config;

use finance::{Currency, Exact, Money};
use millstream_udf::prelude::*;

use crate::config::Config;

/// Digits of rates behind the point.
const RATE_DIGITS: u8 = 8;
/// Bytes of an id or a name, at most.
const NAME_BYTES_MAX: usize = 128;

/// A trade. The key is its currency.
#[derive(Input, Serialize, Deserialize)]
struct Trade {
    trade_id: String,
    counterparty: String,
    netting_set: Option<String>,
    amount_minor: i64,
}

/// What one unit of the key's currency is worth in the reporting currency from now on.
#[derive(Input)]
struct Quote {
    /// Without it there is no rate from now on.
    rate: Option<Decimal<RATE_DIGITS>>,
}

/// A rate in units of 10^-8.
#[derive(Clone, Serialize, Deserialize)]
struct Rate(i64);

/// A trade and what it is worth.
#[derive(Output)]
#[output(tag = "type", value = "valued")]
struct Valued<'a> {
    trade_id: &'a str,
    counterparty: &'a str,
    netting_set: Option<&'a str>,
    ts: i64,
    amount_minor: i64,
    currency: &'a str,
    value_minor: i64,
    value_currency: &'a str,
    /// Nothing for a trade in the reporting currency.
    rate: Option<Json<Exact>>,
    rate_ts: Option<i64>,
}

/// A trade that cannot be valued.
#[derive(Output)]
#[output(tag = "type", value = "unvalued")]
struct Unvalued<'a> {
    trade_id: &'a str,
    counterparty: &'a str,
    ts: i64,
    amount_minor: i64,
    currency: &'a str,
    /// `no_rate`, `stale_rate` or `out_of_range`.
    reason: &'a str,
}

/// A trade that came when the watermark of its input had reached its event time: it is not valued.
#[derive(Output)]
#[output(tag = "type", value = "late_trade")]
struct LateTrade<'a> {
    trade_id: &'a str,
    counterparty: &'a str,
    ts: i64,
    amount_minor: i64,
    currency: &'a str,
}

/// A rate that came too late: trades of its time may have been valued without it. It is ignored.
#[derive(Output)]
#[output(tag = "type", value = "late_rate")]
struct LateRate<'a> {
    currency: &'a str,
    ts: i64,
}

/// The outputs.
#[derive(Outputs)]
struct Out {
    valued: Emit<Valued<'static>>,
    unvalued: Emit<Unvalued<'static>>,
    late_trade: Emit<LateTrade<'static>>,
    late_rate: Emit<LateRate<'static>>,
}

/// What is kept of a currency.
#[derive(States)]
struct Rated {
    trades: TemporalJoin<Trade, Rate>,
}

/// The UDF.
struct TradeValuation {
    config: Config,
}

#[udf(name = "trade-valuation", version = "1.0.0", state = Rated, outputs = Out)]
impl TradeValuation {
    fn new(config: Config) -> Result<Self> {
        ensure!(!config.max_age.is_zero(), "`max_age` must be above 0");
        Ok(Self { config })
    }

    #[input]
    fn trades(
        &self,
        trade: Trade,
        rated: &mut Rated,
        out: &mut Out,
        ctx: &mut Context<'_>,
    ) -> Result<()> {
        let currency = Currency::from_code(ctx.key_text()?)?;
        let set = trade.netting_set.as_deref();
        for (field, name) in [
            ("trade_id", Some(&*trade.trade_id)),
            ("counterparty", Some(&*trade.counterparty)),
            ("netting_set", set),
        ] {
            let bytes = name.map_or(1, str::len);
            ensure!(
                (1..=NAME_BYTES_MAX).contains(&bytes),
                "`{field}` has {bytes} bytes; it must have 1 to {NAME_BYTES_MAX}"
            );
        }
        ensure!(trade.amount_minor != 0, "a trade of nothing");
        if let Some(late) = rated.trades.push(trade) {
            out.late_trade.emit(LateTrade {
                trade_id: &late.trade_id,
                counterparty: &late.counterparty,
                ts: ctx.event_time(),
                amount_minor: late.amount_minor,
                currency: currency.code(),
            });
        }
        Ok(())
    }

    #[input]
    fn rates(
        &self,
        quote: Quote,
        rated: &mut Rated,
        out: &mut Out,
        ctx: &mut Context<'_>,
    ) -> Result<()> {
        let currency = Currency::from_code(ctx.key_text()?)?;
        ensure!(
            currency != self.config.currency,
            "a rate of {currency}, which is the reporting currency"
        );
        let late = match quote.rate {
            Some(rate) => {
                ensure!(rate > Decimal::ZERO, "a rate of {rate}; it must be above 0");
                rated.trades.set(Rate(rate.units())).is_some()
            }
            None => rated.trades.remove(),
        };
        if late {
            out.late_rate.emit(LateRate { currency: currency.code(), ts: ctx.event_time() });
        }
        Ok(())
    }

    #[join(trades = AsOf)]
    fn value(
        &self,
        joined: Versioned<Trade, Rate>,
        out: &mut Out,
        ctx: &FiredContext<'_>,
    ) -> Result<()> {
        let currency = Currency::from_code(ctx.key_text()?)?;
        let Versioned { record: trade, version, since } = joined;
        let Trade { trade_id, counterparty, netting_set, amount_minor } = &trade;
        let (ts, amount_minor) = (ctx.time(), *amount_minor);
        let amount = Money::new(amount_minor, currency);
        // There is none of the reporting currency.
        let rate = version.zip(since).map(|(Rate(units), since)| {
            let rate = Exact::new(units, RATE_DIGITS);
            (rate, since)
        });
        match self.worth(amount, rate, ts) {
            Ok(value) => out.valued.emit(Valued {
                trade_id,
                counterparty,
                netting_set: netting_set.as_deref(),
                ts,
                amount_minor,
                currency: currency.code(),
                value_minor: value.minor,
                value_currency: value.currency.code(),
                rate: rate.map(|(rate, _)| Json(rate)),
                rate_ts: rate.map(|(_, since)| since),
            }),
            Err(reason) => out.unvalued.emit(Unvalued {
                trade_id,
                counterparty,
                ts,
                amount_minor,
                currency: currency.code(),
                reason,
            }),
        }
        Ok(())
    }
}

impl TradeValuation {
    /// The amount in the reporting currency, at a rate and since when that was in force; or the reason why not.
    fn worth(
        &self,
        amount: Money,
        rate: Option<(Exact, i64)>,
        ts: i64,
    ) -> Result<Money, &'static str> {
        let Config { currency, max_age, rounding } = self.config;
        if amount.currency == currency {
            return Ok(amount);
        }
        let (rate, since) = rate.ok_or("no_rate")?;
        if u128::from(ts.abs_diff(since)) > max_age.as_millis() {
            return Err("stale_rate");
        }
        amount.converted(currency, rate, rounding).map_err(|_| "out_of_range")
    }
}

#[cfg(test)]
mod tests;
