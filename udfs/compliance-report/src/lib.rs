//! Regulatory reports per period: made when the period is over, corrected in new versions by late data, with totals that
//! reconcile to the records they come from, and digests of both.

mod body;
mod config;
mod periods;
mod totals;

use finance::calendar::Date;
use millstream_udf::prelude::*;

use crate::body::Body;
use crate::config::Config;
use crate::periods::{Period, Periods};
use crate::totals::Totals;

/// Bytes of an id or class, at most.
const NAME_BYTES_MAX: usize = 128;

/// A record that a report adds up. The key is what the report is about: a customer, a branch, a legal entity.
#[derive(Input)]
struct Item<'a> {
    txn_id: &'a str,
    ts: i64,
    class: &'a str,
    amount_minor: i64,
    currency: &'a str,
}

/// A version of a report.
#[derive(Output)]
#[output(tag = "type", value = "report")]
struct Report<'a> {
    report: &'a str,
    subject: &'a str,
    period: &'a str,
    version: i64,
    /// `period_end` or `late_data`.
    reason: &'a str,
    body: RawJson<'a>,
    /// SHA-256 of the body's text.
    digest: &'a str,
}

/// A record that came when its period was closed.
#[derive(Output)]
#[output(tag = "type", value = "late")]
struct Late<'a> {
    report: &'a str,
    subject: &'a str,
    period: &'a str,
    txn_id: &'a str,
    ts: i64,
    class: &'a str,
    amount_minor: i64,
    /// `period_closed`.
    reason: &'a str,
}

/// The outputs.
#[derive(Outputs)]
struct Out {
    report: Emit<Report<'static>>,
    late: Emit<Late<'static>>,
}

/// What is kept of a subject.
#[derive(States)]
struct Subject {
    /// By the period's last day, as a Julian day.
    periods: Map<i32, Totals>,
}

/// The UDF.
struct ComplianceReport {
    config: Config,
    periods: Periods,
}

#[udf(name = "compliance-report", version = "1.0.0", state = Subject, outputs = Out)]
impl ComplianceReport {
    fn new(config: Config) -> Result<Self> {
        let config = config.checked()?;
        Ok(Self { periods: config.periods(), config })
    }

    fn process(
        &self,
        item: Item<'_>,
        subject: &mut Subject,
        out: &mut Out,
        ctx: &mut Context<'_>,
    ) -> Result<()> {
        let period = self.check(&item)?;
        let (last_ms, closing_ms) = (period.end_ms - 1, self.closing_ms(&period));
        if ctx.watermark() >= closing_ms {
            out.late.emit(Late {
                report: &self.config.report,
                subject: ctx.key_text()?,
                period: &period.name,
                txn_id: item.txn_id,
                ts: item.ts,
                class: item.class,
                amount_minor: item.amount_minor,
                reason: "period_closed",
            });
            return Ok(());
        }
        let key = period.last.to_julian_day();
        let mut totals = subject.periods.get(&key).unwrap_or_default();
        totals.add(item.txn_id, item.class, item.ts, item.amount_minor)?;
        if ctx.watermark() >= last_ms {
            self.file(&period, &mut totals, ctx.key_text()?, "late_data", out)?;
        } else {
            ctx.set_timer(Self::FILING, last_ms);
        }
        subject.periods.insert(&key, &totals);
        ctx.set_timer(Self::PURGING, closing_ms);
        Ok(())
    }

    /// Periods are over: their reports are made.
    #[timer(event_time)]
    fn filing(
        &self,
        subject: &mut Subject,
        out: &mut Out,
        ctx: &mut TimerContext<'_>,
    ) -> Result<()> {
        let Some(period) = self.periods.of(ctx.time()) else { return Ok(()) };
        let key = period.last.to_julian_day();
        if let Some(mut totals) = subject.periods.get(&key) {
            self.file(&period, &mut totals, ctx.key_text()?, "period_end", out)?;
            subject.periods.insert(&key, &totals);
        }
        Ok(())
    }

    /// Periods take no more records. Its name comes behind `filing`, and so does the timer at the same time.
    #[timer(event_time)]
    fn purging(&self, subject: &mut Subject, ctx: &mut TimerContext<'_>) {
        let open = |last: i32| {
            let last = Date::from_julian_day(last).ok();
            let period = last.and_then(|last| self.periods.ending(last));
            period.is_some_and(|period| self.closing_ms(&period) > ctx.time())
        };
        while let Some((last, _)) = subject.periods.first()
            && !open(last)
        {
            subject.periods.remove(&last);
        }
    }
}

impl ComplianceReport {
    /// The period of a record that makes sense.
    fn check(&self, item: &Item<'_>) -> Result<Period> {
        for (field, name) in [("txn_id", item.txn_id), ("class", item.class)] {
            ensure!(
                (1..=NAME_BYTES_MAX).contains(&name.len()) && !name.contains('\n'),
                "`{field}` must have 1 to {NAME_BYTES_MAX} bytes and no line break"
            );
        }
        let currency = self.config.currency;
        ensure!(
            item.currency == currency.code(),
            "an amount in {}; it must be in {currency}",
            item.currency
        );
        match self.periods.of(item.ts) {
            Some(period) => Ok(period),
            None => bail!("`ts` is {}, which is in no period", item.ts),
        }
    }

    /// When a period takes no more records.
    fn closing_ms(&self, period: &Period) -> i64 {
        (period.end_ms - 1).saturating_add(self.config.lateness_ms())
    }

    /// Emits the next version, if there is anything to report or to correct.
    fn file(
        &self,
        period: &Period,
        totals: &mut Totals,
        subject: &str,
        reason: &str,
        out: &mut Out,
    ) -> Result<()> {
        let body = Body::new(subject, &period.name, totals, &self.config)?;
        if !body.is_due() && totals.versions == 0 {
            return Ok(());
        }
        let (text, digest) = body.sealed()?;
        let version = body.version;
        out.report.emit(Report {
            report: &self.config.report,
            subject,
            period: &period.name,
            version: version.into(),
            reason,
            body: RawJson(&text),
            digest: &digest,
        });
        totals.versions = version;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
