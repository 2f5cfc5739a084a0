//! Triages insurance claims by indicators of duplicates and fraud, and estimates the reserves of a line of business by
//! chain ladder, with their standard error.

mod chain_ladder;
mod config;
mod line;
mod triage;

use finance::calendar::{Date, date_of, parse_date};
use finance::{Exact, Rounding, divide};
use millstream_udf::prelude::*;

use crate::chain_ladder::{Row, estimate};
use crate::config::Config;
use crate::line::{Line, period, period_name};
use crate::triage::{Claim, Reason, decision, indicators};

/// Bytes of an id, cause or payee, at most.
const TEXT_BYTES_MAX: usize = 128;
/// Digits of a development factor that are given out.
const FACTOR_DIGITS: u8 = 6;

/// A claim, a payment for one, or the wish for a valuation. The key is the line of business.
#[derive(Input)]
struct Event<'a> {
    /// `claim`, `payment` or `valuation`.
    #[field(rename = "type")]
    kind: &'a str,
    ts: i64,
    claim_id: Option<&'a str>,
    policy_id: Option<&'a str>,
    cause: Option<&'a str>,
    amount_minor: Option<i64>,
    loss_date: Option<&'a str>,
    policy_begins: Option<&'a str>,
    payee: Option<&'a str>,
}

/// Who should look at a claim.
#[derive(Output)]
#[output(tag = "type", value = "triage")]
struct Triaged<'a> {
    line: &'a str,
    claim_id: &'a str,
    ts: i64,
    score: i64,
    decision: &'a str,
    reasons: Json<Vec<Reason>>,
}

/// The reserves of a line as of the end of a period.
#[derive(Output)]
#[output(tag = "type", value = "reserve")]
struct Reserve<'a> {
    line: &'a str,
    ts: i64,
    period: &'a str,
    currency: &'a str,
    /// How the reserves came about.
    reason: &'a str,
    paid_minor: i64,
    ultimate_minor: i64,
    reserve_minor: i64,
    standard_error_minor: Option<i64>,
    factors: Json<Vec<Exact>>,
    origins: Json<Vec<Origin>>,
}

/// The reserve of a period of origin.
#[derive(Serialize)]
struct Origin {
    period: String,
    paid_minor: i64,
    ultimate_minor: i64,
    reserve_minor: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    standard_error_minor: Option<i64>,
}

/// The outputs.
#[derive(Outputs)]
struct Out {
    triage: Emit<Triaged<'static>>,
    reserve: Emit<Reserve<'static>>,
}

/// The UDF.
struct InsuranceClaims {
    config: Config,
}

#[udf(name = "insurance-claims", version = "1.0.0", state = Line, outputs = Out)]
impl InsuranceClaims {
    fn new(config: Config) -> Result<Self> {
        Ok(Self { config: config.checked()? })
    }

    fn process(
        &self,
        event: Event<'_>,
        line: &mut Line,
        out: &mut Out,
        ctx: &mut Context<'_>,
    ) -> Result<()> {
        let today = day(event.ts)?;
        match event.kind {
            "claim" => self.on_claim(&event, today, line, out, ctx),
            "payment" => self.on_payment(&event, today, line),
            "valuation" => self.on_valuation(event.ts, today, line, out, ctx),
            other => bail!("`{other}` is no type; it must be `claim`, `payment` or `valuation`"),
        }
    }
}

impl InsuranceClaims {
    fn on_claim(
        &self,
        event: &Event<'_>,
        today: Date,
        line: &mut Line,
        out: &mut Out,
        ctx: &Context<'_>,
    ) -> Result<()> {
        let date = |value: Option<&str>, name: &str| {
            let text = text(value, name)?;
            parse_date(text)
                .ok_or_else(|| Error::new(format_args!("`{name}` is `{text}`, which is no date")))
        };
        let claim = Claim {
            claim_id: text(event.claim_id, "claim_id")?,
            policy_id: text(event.policy_id, "policy_id")?,
            cause: text(event.cause, "cause")?,
            amount: amount(event)?,
            reported_on: today,
            lost_on: date(event.loss_date, "loss_date")?,
            policy_begins: date(event.policy_begins, "policy_begins")?,
            payee: event.payee.map(|payee| text(Some(payee), "payee")).transpose()?,
        };
        ensure!(claim.amount > 0, "a claim of {}; it must be above 0", claim.amount);
        ensure!(claim.lost_on <= today, "a loss on {}, after it was reported", claim.lost_on);
        let id = claim.claim_id;
        ensure!(!line.claims.contains(id), "claim `{id}` was reported before");
        line.claims.insert(id, &period(claim.lost_on, self.config.period_months));
        let known = line.acquaint(&claim);
        let reasons = indicators(&claim, &known, &self.config.triage);
        let score = reasons.iter().map(|reason| reason.points).sum();
        out.triage.emit(Triaged {
            line: ctx.key_text()?,
            claim_id: id,
            ts: event.ts,
            score,
            decision: decision(score, &self.config.triage),
            reasons: Json(reasons),
        });
        Ok(())
    }

    /// Payments go into the triangle; recoveries are payments below 0.
    fn on_payment(&self, event: &Event<'_>, today: Date, line: &mut Line) -> Result<()> {
        let id = text(event.claim_id, "claim_id")?;
        let Some(origin) = line.claims.get(id) else { bail!("claim `{id}` is not known") };
        let development = period(today, self.config.period_months) - origin;
        let Ok(development) = u32::try_from(development) else {
            bail!("a payment before the loss of claim `{id}`")
        };
        let cell = (origin, development);
        let paid = line.triangle.get(&cell).unwrap_or(0).checked_add(amount(event)?);
        let Some(paid) = paid else { bail!("payments of a period leave the range of 64 bits") };
        line.triangle.insert(&cell, &paid);
        Ok(())
    }

    fn on_valuation(
        &self,
        ts: i64,
        today: Date,
        line: &mut Line,
        out: &mut Out,
        ctx: &Context<'_>,
    ) -> Result<()> {
        let months = self.config.period_months;
        let valued_in = period(today, months);
        let estimate = estimate(&line.payments(), valued_in)?;
        let sum = |of: fn(&Row) -> i64| {
            let sum = estimate.rows.iter().try_fold(0_i64, |sum, row| sum.checked_add(of(row)));
            sum.ok_or_else(|| Error::new("the line's amounts leave the range of 64 bits"))
        };
        let factor = |(numerator, denominator): &(i128, i128)| {
            let units = numerator
                .checked_mul(10_i128.pow(FACTOR_DIGITS.into()))
                .map(|numerator| divide(numerator, *denominator, Rounding::HalfEven));
            Exact::new(units.and_then(|u| i64::try_from(u).ok()).unwrap_or(i64::MAX), FACTOR_DIGITS)
        };
        out.reserve.emit(Reserve {
            line: ctx.key_text()?,
            ts,
            period: &period_name(valued_in, months),
            currency: self.config.currency.code(),
            reason: "chain_ladder",
            paid_minor: sum(|row| row.paid)?,
            ultimate_minor: sum(|row| row.ultimate)?,
            reserve_minor: sum(Row::reserve)?,
            standard_error_minor: estimate.standard_error,
            factors: Json(estimate.factors.iter().map(factor).collect()),
            origins: Json(
                estimate
                    .rows
                    .iter()
                    .map(|row| Origin {
                        period: period_name(row.origin, months),
                        paid_minor: row.paid,
                        ultimate_minor: row.ultimate,
                        reserve_minor: row.reserve(),
                        standard_error_minor: row.standard_error,
                    })
                    .collect(),
            ),
        });
        Ok(())
    }
}

fn day(ts: i64) -> Result<Date> {
    date_of(ts, 0).ok_or_else(|| Error::new(format_args!("`ts` is {ts}, which is no date")))
}

fn amount(event: &Event<'_>) -> Result<i64> {
    event
        .amount_minor
        .ok_or_else(|| Error::new(format_args!("a {} needs `amount_minor`", event.kind)))
}

/// A text that is there, short and without control characters.
fn text<'a>(value: Option<&'a str>, name: &str) -> Result<&'a str> {
    let Some(text) = value else { bail!("`{name}` is missing") };
    ensure!(
        (1..=TEXT_BYTES_MAX).contains(&text.len()) && !text.contains(char::is_control),
        "`{name}` must have 1 to {TEXT_BYTES_MAX} bytes and no control characters"
    );
    Ok(text)
}

#[cfg(test)]
mod tests;
