//! Watches what counterparties owe: gross and net exposure per minute, a rolling total, and limits with hysteresis.

mod config;
mod position;

use std::collections::VecDeque;

use finance::limits::{Breaches, check};
use millstream_udf::prelude::*;

use crate::config::{Config, Measure, Written};
use crate::position::{Position, Valued};

/// Bytes of a netting set's name, at most.
const NAME_BYTES_MAX: usize = 128;
/// Netting sets that a breach of a limit names.
const REASONS_MAX: usize = 3;

/// A trade and what it is worth. The key is the counterparty.
#[derive(Input)]
struct Trade<'a> {
    trade_id: &'a str,
    netting_set: Option<&'a str>,
    value_minor: i64,
    value_currency: &'a str,
}

/// The exposure of a period, and of the last ones together.
#[derive(Output)]
#[output(tag = "type", value = "exposure")]
struct Exposure<'a> {
    counterparty: &'a str,
    start: i64,
    end: i64,
    currency: &'a str,
    trades: i64,
    gross_minor: Json<i128>,
    net_minor: Json<i128>,
    rolling_trades: i64,
    rolling_gross_minor: Json<i128>,
    rolling_net_minor: Json<i128>,
    /// `trades`, or `silence` where only the rolling total has changed or time has passed.
    reason: &'a str,
}

/// A limit was breached, or is kept again.
#[derive(Output)]
#[output(tag = "type", value = "limit")]
struct LimitEvent<'a> {
    counterparty: &'a str,
    ts: i64,
    measure: &'a str,
    /// `above_limit` or `back_within`.
    reason: &'a str,
    currency: &'a str,
    value_minor: i64,
    limit_minor: i64,
    clear_minor: i64,
    since: i64,
    /// What the value is made of: it adds up to it.
    reasons: Json<Vec<Reason>>,
}

/// A part of a measure.
#[derive(Serialize)]
struct Reason {
    /// `netting_set`, `unnetted` or `others`.
    code: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    netting_set: Option<String>,
    value_minor: i128,
}

/// A trade that came when its period was closed.
#[derive(Output)]
#[output(tag = "type", value = "late")]
struct Late<'a> {
    trade_id: &'a str,
    counterparty: &'a str,
    ts: i64,
    value_minor: i64,
    currency: &'a str,
}

/// The outputs.
#[derive(Outputs)]
struct Out {
    exposure: Emit<Exposure<'static>>,
    limits: Emit<LimitEvent<'static>>,
    late: Emit<Late<'static>>,
}

/// What is kept of a counterparty beside its open periods.
#[derive(Default, Serialize, Deserialize)]
struct Book {
    /// End of the last period that was reported.
    reported: Option<i64>,
    /// The periods of the rolling total that have trades, by their end.
    recent: VecDeque<(i64, Position)>,
    breaches: Breaches<Measure>,
}

/// What is kept of a counterparty.
#[derive(States)]
struct Counterparty {
    periods: Windows<Position>,
    book: Value<Book>,
}

/// The UDF.
struct CounterpartyExposure {
    config: Config,
}

#[udf(name = "counterparty-exposure", version = "1.0.0", state = Counterparty, outputs = Out)]
impl CounterpartyExposure {
    fn new(config: Written) -> Result<Self> {
        Ok(Self { config: config.checked()? })
    }

    fn process(
        &self,
        trade: Trade<'_>,
        counterparty: &mut Counterparty,
        out: &mut Out,
        ctx: &mut Context<'_>,
    ) -> Result<()> {
        let Trade { trade_id, netting_set, value_minor, value_currency } = trade;
        let (Config { currency, period_ms, sets_max, .. }, ts) = (&self.config, ctx.event_time());
        ensure!(
            value_currency == currency.code(),
            "a value in {value_currency}; it must be in {currency}"
        );
        let bytes = netting_set.map_or(1, str::len);
        ensure!(
            (1..=NAME_BYTES_MAX).contains(&bytes),
            "`netting_set` has {bytes} bytes; it must have 1 to {NAME_BYTES_MAX}"
        );
        let full = counterparty.periods.open().any(|(start, end, position)| {
            (start..end).contains(&ts) && !position.has_room(netting_set, *sets_max)
        });
        ensure!(!full, "more than {sets_max} netting sets in one period");
        let valued = Valued { netting_set, value: value_minor };
        if counterparty.periods.add(&valued).is_late() {
            out.late.emit(Late {
                trade_id,
                counterparty: ctx.key_text()?,
                ts,
                value_minor,
                currency: currency.code(),
            });
            return Ok(());
        }
        // The window itself fires a millisecond before its end.
        let next_end = ts.div_euclid(*period_ms).saturating_add(2).saturating_mul(*period_ms);
        ctx.set_timer(Self::SILENCE, next_end);
        Ok(())
    }

    /// A period with trades is over.
    #[window(periods = Window::tumbling(self.config.period()))]
    fn close(
        &self,
        period: Fired<Position>,
        counterparty: &mut Counterparty,
        out: &mut Out,
        ctx: &FiredContext<'_>,
    ) -> Result<()> {
        let book = counterparty.book.get_or_default();
        self.report(ctx.key_text()?, period.end, period.result, book, out);
        Ok(())
    }

    /// A period is over, maybe one without trades.
    #[timer(event_time)]
    fn silence(
        &self,
        counterparty: &mut Counterparty,
        out: &mut Out,
        ctx: &mut TimerContext<'_>,
    ) -> Result<()> {
        let Some(book) = counterparty.book.get_mut() else { return Ok(()) };
        let end = ctx.time();
        if book.reported.is_none_or(|reported| reported < end) {
            self.report(ctx.key_text()?, end, Position::default(), book, out);
        }
        // Without recent trades all measures are 0, and so no limit is breached.
        if book.recent.is_empty() {
            counterparty.book.clear();
        } else {
            ctx.set_timer(Self::SILENCE, end.saturating_add(self.config.period_ms));
        }
        Ok(())
    }
}

impl CounterpartyExposure {
    /// Reports a period, and what it does to the limits.
    fn report(
        &self,
        counterparty: &str,
        end: i64,
        position: Position,
        book: &mut Book,
        out: &mut Out,
    ) {
        let Config { currency, period_ms, rolling_ms, .. } = self.config;
        let oldest = end.saturating_sub(rolling_ms);
        book.recent.retain(|(end, _)| *end > oldest);
        let mut rolling = position.clone();
        book.recent.iter().for_each(|(_, earlier)| rolling.join(earlier));
        let reason = if position.trades > 0 { "trades" } else { "silence" };
        out.exposure.emit(Exposure {
            counterparty,
            start: end.saturating_sub(period_ms),
            end,
            currency: currency.code(),
            trades: position.trades as i64,
            gross_minor: Json(total(position.gross())),
            net_minor: Json(total(position.net())),
            rolling_trades: rolling.trades as i64,
            rolling_gross_minor: Json(total(rolling.gross())),
            rolling_net_minor: Json(total(rolling.net())),
            reason,
        });
        self.check_limits(counterparty, end, &position, &rolling, book, out);
        if position.trades > 0 {
            book.recent.push_back((end, position));
        }
        book.reported = Some(end);
    }

    fn check_limits(
        &self,
        counterparty: &str,
        end: i64,
        position: &Position,
        rolling: &Position,
        book: &mut Book,
        out: &mut Out,
    ) {
        let parts = |measure| -> Vec<(Option<&str>, i128)> {
            match measure {
                Measure::Gross => position.gross().collect(),
                Measure::Net => position.net().collect(),
                Measure::RollingGross => rolling.gross().collect(),
                Measure::RollingNet => rolling.net().collect(),
            }
        };
        // What does not fit is above any limit.
        let measured =
            |measure| Some(i64::try_from(total(parts(measure).into_iter())).unwrap_or(i64::MAX));
        let limits = self.config.limits(counterparty);
        for crossing in check(limits, measured, end, &mut book.breaches) {
            let limit = crossing.limit;
            out.limits.emit(LimitEvent {
                counterparty,
                ts: end,
                measure: limit.measure.name(),
                reason: crossing.reason(),
                currency: self.config.currency.code(),
                value_minor: crossing.value,
                limit_minor: limit.limit,
                clear_minor: limit.clear,
                since: crossing.since,
                reasons: Json(reasons(parts(limit.measure))),
            });
        }
    }
}

fn total<'a>(parts: impl Iterator<Item = (Option<&'a str>, i128)>) -> i128 {
    parts.map(|(_, value)| value).sum()
}

/// The largest parts, and the others as one.
fn reasons(mut parts: Vec<(Option<&str>, i128)>) -> Vec<Reason> {
    parts.retain(|(_, value)| *value > 0);
    // The order of the sets decides between equal ones: the sort is stable.
    parts.sort_by_key(|(_, value)| std::cmp::Reverse(*value));
    let others = total(parts.iter().skip(REASONS_MAX).copied());
    let mut reasons: Vec<Reason> = parts
        .into_iter()
        .take(REASONS_MAX)
        .map(|(set, value_minor)| Reason {
            code: if set.is_some() { "netting_set" } else { "unnetted" },
            netting_set: set.map(str::to_owned),
            value_minor,
        })
        .collect();
    if others > 0 {
        reasons.push(Reason { code: "others", netting_set: None, value_minor: others });
    }
    reasons
}

#[cfg(test)]
mod tests;
