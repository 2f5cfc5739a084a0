//! Converts amounts between currencies at the rate that was in force at their time (a temporal join): at the bid or at the
//! ask, with a margin, rounded by the rules of the currency.

mod config;
mod rates;

use finance::{Currency, Exact, Money};
use millstream_udf::prelude::*;

use crate::config::Config;
use crate::rates::{Rate, Rates};

/// Digits of rates behind the point as they come.
const RATE_DIGITS: u8 = 8;
/// Digits of rates with a margin, which are exact.
const APPLIED_DIGITS: u8 = 12;
/// Bytes of an id, at most.
const ID_BYTES_MAX: usize = 128;

/// A rate or a conversion. The key is the pair, such as `EUR/USD`: base and quote currency.
#[derive(Input)]
struct Event<'a> {
    /// `rate` or `conversion`.
    #[field(rename = "type")]
    kind: &'a str,
    ts: i64,
    bid: Option<Decimal<RATE_DIGITS>>,
    ask: Option<Decimal<RATE_DIGITS>>,
    conversion_id: Option<&'a str>,
    from: Option<&'a str>,
    amount_minor: Option<i64>,
}

/// An amount, converted.
#[derive(Output)]
#[output(tag = "type", value = "converted")]
struct Converted<'a> {
    conversion_id: &'a str,
    ts: i64,
    pair: &'a str,
    from: &'a str,
    from_minor: i64,
    to: &'a str,
    to_minor: i64,
    /// With the margin.
    rate: Json<Exact>,
    rate_ts: i64,
    /// `bid` or `ask`.
    reason: &'a str,
}

/// An amount that could not be converted.
#[derive(Output)]
#[output(tag = "type", value = "unpriced")]
struct Unpriced<'a> {
    conversion_id: &'a str,
    ts: i64,
    pair: &'a str,
    from: &'a str,
    from_minor: i64,
    reason: &'a str,
}

/// The outputs.
#[derive(Outputs)]
struct Out {
    converted: Emit<Converted<'static>>,
    unpriced: Emit<Unpriced<'static>>,
}

/// A conversion that waits until all rates up to its time have come.
#[derive(Serialize, Deserialize)]
struct Waiting {
    conversion_id: String,
    /// Whether it is from the base currency.
    from_base: bool,
    amount_minor: i64,
}

/// What is kept of a pair.
#[derive(States)]
struct Pair {
    rates: Value<Rates>,
    /// By time and a running number.
    waiting: Map<(i64, u32), Waiting>,
    conversions: Value<u32>,
}

/// The UDF.
struct Fx {
    config: Config,
}

#[udf(name = "fx", version = "1.0.0", state = Pair, outputs = Out)]
impl Fx {
    fn new(config: Config) -> Result<Self> {
        Ok(Self { config: config.checked()? })
    }

    fn process(event: Event<'_>, pair: &mut Pair, ctx: &mut Context<'_>) -> Result<()> {
        let (base, quote) = currencies(ctx.key_text()?)?;
        match event.kind {
            "rate" => {
                let (Some(bid), Some(ask)) = (event.bid, event.ask) else {
                    bail!("a rate needs `bid` and `ask`");
                };
                ensure!(
                    bid > Decimal::ZERO && bid <= ask,
                    "a bid of {bid} and an ask of {ask}; the bid must be above 0 and not above the ask"
                );
                ensure!(
                    ask.units() <= i64::MAX / 20_000,
                    "an ask of {ask}; it must be at most {}",
                    Decimal::<RATE_DIGITS>::from_units(i64::MAX / 20_000)
                );
                let rate = Rate { ts: event.ts, bid: bid.units(), ask: ask.units() };
                pair.rates.get_or_default().add(rate, ctx.watermark())
            }
            "conversion" => {
                let (Some(id), Some(from), Some(amount_minor)) =
                    (event.conversion_id, event.from, event.amount_minor)
                else {
                    bail!("a conversion needs `conversion_id`, `from` and `amount_minor`");
                };
                ensure!(
                    (1..=ID_BYTES_MAX).contains(&id.len()),
                    "`conversion_id` has {} bytes; it must have 1 to {ID_BYTES_MAX}",
                    id.len()
                );
                ensure!(amount_minor > 0, "an amount of {amount_minor}; it must be above 0");
                ensure!(
                    from == base.code() || from == quote.code(),
                    "a conversion from {from}; it must be from {base} or {quote}"
                );
                let number = pair.conversions.get_or_default();
                *number = number.wrapping_add(1);
                let from_base = from == base.code();
                let waiting = Waiting { conversion_id: id.to_owned(), from_base, amount_minor };
                pair.waiting.insert(&(event.ts, *number), &waiting);
                ctx.set_timer(Self::PRICE, event.ts);
                Ok(())
            }
            other => bail!("`{other}` is no type; it must be `rate` or `conversion`"),
        }
    }

    /// All rates up to this time have come.
    #[timer(event_time)]
    fn price(&self, pair: &mut Pair, out: &mut Out, ctx: &mut TimerContext<'_>) -> Result<()> {
        let name = ctx.key_text()?;
        let (base, quote) = currencies(name)?;
        let rates = pair.rates.get().cloned().unwrap_or_default();
        while let Some((place, waiting)) = pair.waiting.first()
            && place.0 <= ctx.time()
        {
            pair.waiting.remove(&place);
            let ts = place.0;
            let Waiting { conversion_id, from_base, amount_minor } = &waiting;
            let (from, to) = if *from_base { (base, quote) } else { (quote, base) };
            let amount = Money::new(*amount_minor, from);
            match self.convert(amount, to, *from_base, ts, &rates) {
                Ok((converted, rate, rate_ts)) => out.converted.emit(Converted {
                    conversion_id,
                    ts,
                    pair: name,
                    from: from.code(),
                    from_minor: amount.minor,
                    to: to.code(),
                    to_minor: converted.minor,
                    rate: Json(rate),
                    rate_ts,
                    reason: if *from_base { "bid" } else { "ask" },
                }),
                Err(reason) => out.unpriced.emit(Unpriced {
                    conversion_id,
                    ts,
                    pair: name,
                    from: from.code(),
                    from_minor: amount.minor,
                    reason,
                }),
            }
        }
        Ok(())
    }
}

impl Fx {
    /// The amount in the other currency, the rate applied, and since when it is in force; or the reason why not.
    fn convert(
        &self,
        amount: Money,
        to: Currency,
        from_base: bool,
        ts: i64,
        rates: &Rates,
    ) -> Result<(Money, Exact, i64), &'static str> {
        let Some(rate) = rates.at(ts) else {
            return Err(if rates.is_empty() { "no_rate" } else { "no_rate_of_that_time" });
        };
        let max_age = self.config.max_age.as_millis();
        if u128::from(ts.abs_diff(rate.ts)) > max_age {
            return Err("stale_rate");
        }
        // Ten thousandths: the margin is exact, and always to the customer's cost.
        let (units, of_margin) = if from_base {
            (rate.bid, -self.config.margin_bps)
        } else {
            (rate.ask, self.config.margin_bps)
        };
        let applied = Exact::new(units * (10_000 + of_margin), APPLIED_DIGITS);
        let rounding = self.config.rounding(to);
        let converted = if from_base {
            amount.converted(to, applied, rounding)
        } else {
            // Divided by the rate: the inverse of a rate is not exact.
            amount.converted_by_inverse(to, applied, rounding)
        };
        let payable = converted.map_err(Error::from).and_then(|amount| self.config.payable(amount));
        payable.map(|amount| (amount, applied, rate.ts)).map_err(|_| "out_of_range")
    }
}

/// Base and quote currency of a pair.
fn currencies(pair: &str) -> Result<(Currency, Currency)> {
    let Some((base, quote)) = pair.split_once('/') else {
        bail!("`{pair}` is no pair of currencies like `EUR/USD`");
    };
    let (base, quote) = (Currency::from_code(base)?, Currency::from_code(quote)?);
    ensure!(base != quote, "`{pair}` is a pair of one currency");
    Ok((base, quote))
}

#[cfg(test)]
mod tests;
