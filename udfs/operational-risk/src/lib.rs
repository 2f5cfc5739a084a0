//! Watches operational risk: the rate of events of each process and site against what is usual (EWMA and CUSUM control charts), and key
//! risk indicators against thresholds, with escalation. No floats anywhere.

mod config;
mod indicator;
mod rate;

use std::collections::BTreeMap;

use millstream_udf::prelude::*;

use crate::config::{Config, Written};
use crate::indicator::{Indicator, Level, Step};
use crate::rate::{COUNT_MAX, Rate};

/// An event, or a reading of an indicator. The key is the unit: a process at a site.
#[derive(Input)]
struct Record<'a> {
    id: &'a str,
    #[field(rename = "type")]
    kind: &'a str,
    count: Option<i64>,
    indicator: Option<&'a str>,
    value: Option<Decimal<6>>,
}

/// A rate is not what it was, or is again.
#[derive(Output)]
#[output(tag = "type", value = "anomaly")]
struct Anomaly<'a> {
    unit: &'a str,
    /// End of the interval.
    ts: i64,
    /// `raised` or `cleared`.
    state: &'a str,
    reason: &'a str,
    /// Events of the interval.
    count: i64,
    mean: Decimal<6>,
    deviation: Decimal<6>,
    /// What the chart shows, and its limit.
    value: Decimal<6>,
    limit: Decimal<6>,
    since: i64,
}

/// An indicator has another level.
#[derive(Output)]
#[output(tag = "type", value = "level")]
struct LevelChange<'a> {
    id: &'a str,
    unit: &'a str,
    indicator: &'a str,
    ts: i64,
    from: &'a str,
    to: &'a str,
    /// `threshold_reached` or `back_within`.
    reason: &'a str,
    value: Decimal<6>,
    threshold: Decimal<6>,
}

/// An indicator has been red for too long.
#[derive(Output)]
#[output(tag = "type", value = "escalation")]
struct Escalation<'a> {
    unit: &'a str,
    indicator: &'a str,
    ts: i64,
    /// From 1.
    step: i64,
    reason: &'a str,
    value: Decimal<6>,
    since: i64,
}

/// A record that came too late to count.
#[derive(Output)]
#[output(tag = "type", value = "late")]
struct Late<'a> {
    id: &'a str,
    unit: &'a str,
    ts: i64,
    reason: &'a str,
}

/// The outputs.
#[derive(Outputs)]
struct Out {
    anomalies: Emit<Anomaly<'static>>,
    levels: Emit<LevelChange<'static>>,
    escalations: Emit<Escalation<'static>>,
    late: Emit<Late<'static>>,
}

/// What is kept of a unit.
#[derive(States)]
struct Unit {
    rate: Value<Rate>,
    indicators: Value<BTreeMap<String, Indicator>>,
}

/// The UDF.
struct OperationalRisk {
    config: Config,
}

#[udf(name = "operational-risk", version = "1.0.0", state = Unit, outputs = Out)]
impl OperationalRisk {
    fn new(config: Written) -> Result<Self> {
        Ok(Self { config: config.checked()? })
    }

    fn process(
        &self,
        record: Record<'_>,
        unit: &mut Unit,
        out: &mut Out,
        ctx: &mut Context<'_>,
    ) -> Result<()> {
        match record.kind {
            "event" => self.event(&record, unit, out, ctx),
            "indicator" => self.reading(&record, unit, out, ctx),
            other => bail!("`{other}` is neither `event` nor `indicator`"),
        }
    }

    /// An interval is over.
    #[timer(event_time)]
    fn close(&self, unit: &mut Unit, out: &mut Out, ctx: &mut TimerContext<'_>) -> Result<()> {
        let (name, end) = (ctx.key_text()?, ctx.time());
        let interval = self.config.interval_ms;
        let rate = unit.rate.get_or_default();
        // Of earlier intervals nothing is left, unless their length was another one.
        let behind = rate.open.split_off(&end);
        let count = std::mem::replace(&mut rate.open, behind).values().sum();
        for change in rate.close(count, end, name, &self.config) {
            out.anomalies.emit(Anomaly {
                unit: name,
                ts: end,
                state: if change.raised { "raised" } else { "cleared" },
                reason: change.signal.code(),
                count,
                mean: Decimal::from_units(change.mean),
                deviation: Decimal::from_units(change.deviation),
                value: Decimal::from_units(change.value),
                limit: Decimal::from_units(change.limit),
                since: change.since,
            });
        }
        if rate.quiet < self.config.quiet_after {
            let next = end.saturating_add(interval);
            ctx.set_timer(Self::CLOSE, next - next.rem_euclid(interval));
        }
        Ok(())
    }

    /// An indicator may have been red for too long.
    #[timer(event_time)]
    fn escalate(&self, unit: &mut Unit, out: &mut Out, ctx: &mut TimerContext<'_>) -> Result<()> {
        let (name, ts) = (ctx.key_text()?, ctx.time());
        let Some(indicators) = unit.indicators.get_mut() else { return Ok(()) };
        for (indicator, kept) in indicators {
            escalated(kept.escalate(ts, &self.config.escalation_ms), name, indicator, out);
        }
        Ok(())
    }
}

impl OperationalRisk {
    fn event(
        &self,
        record: &Record<'_>,
        unit: &mut Unit,
        out: &mut Out,
        ctx: &mut Context<'_>,
    ) -> Result<()> {
        let ts = ctx.event_time();
        let count = record.count.unwrap_or(1);
        ensure!((1..=COUNT_MAX).contains(&count), "{count} events; it must be 1 to {COUNT_MAX}");
        let interval = self.config.interval_ms;
        let start = ts - ts.rem_euclid(interval);
        let end = start.saturating_add(interval);
        let rate = unit.rate.get_or_default();
        if rate.closed.is_some_and(|closed| start < closed) || ctx.watermark() >= end {
            let reason = "interval_closed";
            out.late.emit(Late { id: record.id, unit: ctx.key_text()?, ts, reason });
            return Ok(());
        }
        let open = rate.open.entry(start).or_default();
        ensure!(*open <= COUNT_MAX - count, "an interval of more than {COUNT_MAX} events");
        *open += count;
        ctx.set_timer(Self::CLOSE, end);
        Ok(())
    }

    fn reading(
        &self,
        record: &Record<'_>,
        unit: &mut Unit,
        out: &mut Out,
        ctx: &mut Context<'_>,
    ) -> Result<()> {
        let (name, ts) = (ctx.key_text()?, ctx.event_time());
        let Some(indicator) = record.indicator else { bail!("a reading without `indicator`") };
        let Some(value) = record.value else { bail!("a reading without `value`") };
        let Some(thresholds) = self.config.indicators.get(indicator) else {
            bail!("`{indicator}` is no configured indicator")
        };
        let kept = unit.indicators.get_or_default().entry(indicator.to_owned()).or_default();
        if kept.reading.is_some_and(|(newest, _)| ts < newest) {
            let reason = "newer_reading_known";
            out.late.emit(Late { id: record.id, unit: name, ts, reason });
            return Ok(());
        }
        escalated(kept.escalate(ts, &self.config.escalation_ms), name, indicator, out);
        kept.reading = Some((ts, value.units()));
        let from = kept.level;
        let to = thresholds.level(value.units(), from);
        kept.level = to;
        if from == to {
            return Ok(());
        }
        // Timers of an indicator that is no longer red stay: another may have set the same, and they find nothing.
        kept.red_since = (to == Level::Red).then_some(ts);
        if to == Level::Red {
            kept.steps = 0;
            for wait in &self.config.escalation_ms {
                ctx.set_timer(Self::ESCALATE, ts.saturating_add(*wait));
            }
        }
        out.levels.emit(LevelChange {
            id: record.id,
            unit: name,
            indicator,
            ts,
            from: from.name(),
            to: to.name(),
            reason: if to > from { "threshold_reached" } else { "back_within" },
            value,
            threshold: Decimal::from_units(thresholds.of(to.max(from))),
        });
        Ok(())
    }
}

/// Gives steps of escalation out.
fn escalated(steps: Vec<Step>, unit: &str, indicator: &str, out: &mut Out) {
    for Step { number, due, since, value } in steps {
        out.escalations.emit(Escalation {
            unit,
            indicator,
            ts: due,
            step: number.into(),
            reason: "red_for_too_long",
            value: Decimal::from_units(value),
            since,
        });
    }
}

#[cfg(test)]
mod tests;
