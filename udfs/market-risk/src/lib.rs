//! Watches the market risk of a book: what it is worth, what it gained or lost in each period, what it could lose (value at
//! risk and expected shortfall by historical simulation), and which limits that breaks. No floats anywhere.

mod backtest;
mod book;
mod config;
mod limits;
mod tail;

use finance::Exact;
use finance::limits::{Crossing, check};
use millstream_udf::prelude::*;

use crate::book::{BACKTEST_REPORTS, Book, Event, Moves, Period, SCALE, fit};
use crate::config::{Config, Shock, Written};
use crate::limits::Measure;
use crate::tail::{Tail, tail};

/// Reasons of a value at risk that name an instrument; what is left is one more.
const REASONS_MAX: usize = 10;
/// Prices and quantities, at most, so that their product is far from the end of 128 bits.
const UNITS_MAX: i64 = 1_000_000_000_000_000;

/// A price, or a trade. The key is the book.
#[derive(Input)]
struct Record<'a> {
    id: &'a str,
    #[field(rename = "type")]
    kind: &'a str,
    instrument: &'a str,
    price: Decimal<6>,
    quantity: Option<Decimal<6>>,
}

/// A book at the end of a period.
#[derive(Output)]
#[output(tag = "type", value = "risk")]
struct Risk<'a> {
    book: &'a str,
    /// End of the period.
    ts: i64,
    currency: &'a str,
    gross_exposure: Json<Exact>,
    net_exposure: Json<Exact>,
    /// Profit of the period, negative for a loss.
    profit: Json<Exact>,
    /// Past periods that the simulation took.
    scenarios: i64,
    tails: Json<Vec<LevelOfRisk>>,
    /// Losses beyond the forecast in the last 250 reports.
    exceptions: i64,
    zone: Option<&'a str>,
    plus_factor: Option<Json<Exact>>,
}

/// The tail at one level of confidence.
#[derive(Serialize)]
struct LevelOfRisk {
    confidence: Exact,
    value_at_risk: Exact,
    expected_shortfall: Exact,
    /// End of the period whose moves would cost the value at risk.
    scenario_ts: i64,
    /// What each instrument would lose then: they add up to the value at risk.
    reasons: Vec<Reason>,
}

/// Why a value at risk is what it is.
#[derive(Serialize)]
struct Reason {
    code: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    instrument: Option<String>,
    loss: Exact,
}

/// A limit was breached, or is kept again.
#[derive(Output)]
#[output(tag = "type", value = "limit")]
struct LimitEvent<'a> {
    book: &'a str,
    ts: i64,
    measure: &'a str,
    /// `above_limit` or `back_within`.
    reason: &'a str,
    currency: &'a str,
    value: Json<Exact>,
    limit: Json<Exact>,
    clear: Json<Exact>,
    since: i64,
}

/// A record that came when its period was closed.
#[derive(Output)]
#[output(tag = "type", value = "late")]
struct Late<'a> {
    id: &'a str,
    book: &'a str,
    ts: i64,
}

/// The outputs.
#[derive(Outputs)]
struct Out {
    risk: Emit<Risk<'static>>,
    limits: Emit<LimitEvent<'static>>,
    late: Emit<Late<'static>>,
}

/// What is kept of a book.
#[derive(States)]
struct Kept {
    periods: Windows<Period>,
    book: Value<Book>,
    /// Past periods by their number: end and moves.
    scenarios: Map<u64, (i64, Moves)>,
}

/// The UDF.
struct MarketRisk {
    config: Config,
}

#[udf(name = "market-risk", version = "1.0.0", state = Kept, outputs = Out)]
impl MarketRisk {
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
        let ts = ctx.event_time();
        let event = record.event(ts, self.config.shock)?;
        if kept.periods.add(&event).is_late() {
            out.late.emit(Late { id: record.id, book: ctx.key_text()?, ts });
        }
        Ok(())
    }

    /// A period is over.
    #[window(periods = Window::tumbling(self.config.period))]
    fn close(
        &self,
        period: Fired<Period>,
        kept: &mut Kept,
        out: &mut Out,
        ctx: &FiredContext<'_>,
    ) -> Result<()> {
        let Config { currency, shock, .. } = self.config;
        let name = ctx.key_text()?;
        let book = kept.book.get_or_default();
        let closed = book.close(period.result, currency)?;
        book.backtest(closed.hypothetical);
        if !closed.moves.is_empty() {
            kept.scenarios.insert(&book.next_scenario, &(period.end, closed.moves));
            book.next_scenario += 1;
        }
        let oldest = book.next_scenario.saturating_sub(self.config.window.into());
        while let Some((number, _)) = kept.scenarios.first().filter(|(number, _)| *number < oldest)
        {
            kept.scenarios.remove(&number);
        }

        let values = book.values(currency)?;
        let gross = fit(values.iter().map(|value| i128::from(*value).abs()).sum())?;
        let net = fit(values.iter().map(|value| i128::from(*value)).sum())?;
        let largest = values.iter().map(|value| value.saturating_abs()).max().unwrap_or(0);

        let mut numbers = Vec::new();
        let mut losses = Vec::new();
        for (number, (_, moves)) in kept.scenarios.iter() {
            losses.push(fit(book
                .losses(&moves, &values, shock, currency)
                .try_fold(0, |sum, loss| loss.map(|(_, loss)| sum + i128::from(loss)))?)?);
            numbers.push(number);
        }
        let enough = losses.len() >= self.config.min_scenarios as usize;
        let levels = if enough { &self.config.levels[..] } else { &[] };
        let tails: Vec<(i64, Tail)> =
            levels.iter().map(|level| (*level, tail(&losses, *level))).collect();
        let highest = tails.last().map(|(_, tail)| *tail);

        let exact = |minor| Json(currency.exact(minor));
        let mut described = Vec::with_capacity(tails.len());
        for (level, tail) in &tails {
            let Some((end, moves)) = kept.scenarios.get(&numbers[tail.scenario]) else { continue };
            let parts =
                book.losses(&moves, &values, shock, currency).collect::<Result<Vec<_>>>()?;
            described.push(LevelOfRisk {
                confidence: Exact::new(*level, 4),
                value_at_risk: currency.exact(tail.value_at_risk),
                expected_shortfall: currency.exact(tail.expected_shortfall),
                scenario_ts: end,
                reasons: self.reasons(book, &parts),
            });
        }
        let zone = (book.reports > BACKTEST_REPORTS
            && self.config.levels.last() == Some(&backtest::LEVEL))
        .then(|| backtest::zone(book.exceptions.len()));
        out.risk.emit(Risk {
            book: name,
            ts: period.end,
            currency: currency.code(),
            gross_exposure: exact(gross),
            net_exposure: exact(net),
            profit: exact(closed.profit),
            scenarios: losses.len() as i64,
            tails: Json(described),
            exceptions: book.exceptions.len() as i64,
            zone: zone.map(|zone| zone.name),
            plus_factor: zone.map(|zone| Json(zone.plus)),
        });

        book.forecast = highest.map(|tail| tail.value_at_risk);
        let measured = |measure| match measure {
            Measure::GrossExposure => Some(gross),
            Measure::NetExposure => Some(net.saturating_abs()),
            Measure::Concentration => Some(largest),
            Measure::Loss => Some(closed.profit.saturating_neg()),
            Measure::ValueAtRisk => highest.map(|tail| tail.value_at_risk),
            Measure::ExpectedShortfall => highest.map(|tail| tail.expected_shortfall),
        };
        for crossing in check(self.config.limits(name), measured, period.end, &mut book.breaches) {
            let reason = crossing.reason();
            let Crossing { limit, value, since, .. } = crossing;
            out.limits.emit(LimitEvent {
                book: name,
                ts: period.end,
                measure: limit.measure.name(),
                reason,
                currency: currency.code(),
                value: exact(value),
                limit: exact(limit.limit),
                clear: exact(limit.clear),
                since,
            });
        }
        Ok(())
    }
}

impl MarketRisk {
    /// What each instrument loses in a scenario, the largest effect first.
    fn reasons(&self, book: &Book, losses: &[(usize, i64)]) -> Vec<Reason> {
        let currency = self.config.currency;
        let mut losses: Vec<_> = losses.iter().filter(|(_, loss)| *loss != 0).collect();
        losses.sort_by_key(|(place, loss)| {
            (std::cmp::Reverse(loss.unsigned_abs()), &book.instruments[*place].name)
        });
        let (named, others) = losses.split_at(losses.len().min(REASONS_MAX));
        let mut reasons: Vec<Reason> = named
            .iter()
            .map(|(place, loss)| Reason {
                code: "instrument",
                instrument: Some(book.instruments[*place].name.clone()),
                loss: currency.exact(*loss),
            })
            .collect();
        if !others.is_empty() {
            let loss = others.iter().map(|(_, loss)| loss).sum();
            reasons.push(Reason { code: "others", instrument: None, loss: currency.exact(loss) });
        }
        reasons
    }
}

impl Record<'_> {
    fn event(&self, ts: i64, shock: Shock) -> Result<Event<'_>> {
        let price = self.price.units();
        ensure!(shock == Shock::Absolute || price > 0, "a price of {}", self.price);
        ensure!(price.abs() <= UNITS_MAX, "a price of {} is above 10^{}", self.price, 15 - SCALE);
        let quantity = match self.kind {
            "price" => None,
            "trade" => {
                let Some(quantity) = self.quantity else { bail!("a trade without `quantity`") };
                ensure!(quantity != Decimal::ZERO, "a trade of nothing");
                ensure!(
                    quantity.units().abs() <= UNITS_MAX,
                    "a trade of {quantity} pieces is above 10^{}",
                    15 - SCALE
                );
                Some(quantity.units())
            }
            other => bail!("`{other}` is neither `price` nor `trade`"),
        };
        Ok(Event { ts, instrument: self.instrument, price, quantity })
    }
}

#[cfg(test)]
mod tests;
