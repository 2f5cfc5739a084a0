//! Keeps a customer's credit score current: repayments raise it, missed payments, high utilisation and
//! enquiries lower it, and all but the utilisation fade with event time. Scores applications by a scorecard. Runs a
//! challenger beside the configuration that decides. No floats anywhere: the same events give the same score on every
//! machine.

mod config;
mod file;
mod scorecard;

use finance::{Currency, Money};
use millstream_udf::prelude::*;

use crate::config::{Config, DAY_MS};
use crate::file::{CreditFile, Event, Reason};
use crate::scorecard::{Answers, Scored, Share};

/// An event of a customer's credit. The key is the customer.
#[derive(Input)]
struct CreditEvent<'a> {
    event_id: &'a str,
    #[field(rename = "type")]
    kind: &'a str,
    ts: i64,
    amount: Option<Decimal<4>>,
    due: Option<Decimal<4>>,
    balance: Option<Decimal<4>>,
    limit: Option<Decimal<4>>,
    currency: Option<&'a str>,
    days_late: Option<i64>,
    attributes: Option<Json<Answers>>,
}

/// The score after an event, or after a time without one.
#[derive(Output)]
#[output(tag = "type", value = "score")]
struct Score<'a> {
    customer_id: &'a str,
    event_id: Option<&'a str>,
    ts: i64,
    score: i64,
    change: i64,
    /// Share of the limit in use, in percent.
    utilisation: Option<Decimal<2>>,
    reasons: Json<Vec<Reason>>,
}

/// The score has come into another band.
#[derive(Output)]
#[output(tag = "type", value = "band")]
struct Band<'a> {
    customer_id: &'a str,
    ts: i64,
    score: i64,
    from: &'a str,
    to: &'a str,
}

/// An application, scored by the scorecard. The points of the reasons and the card's base add up to the score.
#[derive(Output)]
#[output(tag = "type", value = "application")]
struct Application<'a> {
    customer_id: &'a str,
    event_id: &'a str,
    ts: i64,
    score: i64,
    /// `accept` or `decline`.
    decision: &'a str,
    reasons: Json<Vec<Share>>,
}

/// What the challenger says of the same event.
#[derive(Output)]
#[output(tag = "type", value = "comparison")]
struct Comparison<'a> {
    customer_id: &'a str,
    event_id: Option<&'a str>,
    ts: i64,
    champion: i64,
    challenger: i64,
    /// Band or decision of each.
    champion_decision: &'a str,
    challenger_decision: &'a str,
    /// `agree` or `differ`: whether the decisions do.
    reason: &'a str,
}

/// The outputs.
#[derive(Outputs)]
struct Out {
    score: Emit<Score<'static>>,
    band: Emit<Band<'static>>,
    application: Emit<Application<'static>>,
    comparison: Emit<Comparison<'static>>,
}

/// What is kept of a customer.
#[derive(States)]
struct Customer {
    file: Value<CreditFile>,
    challenger: Value<CreditFile>,
}

/// The UDF.
struct CreditScore {
    config: Config,
}

#[udf(name = "credit-score", version = "1.1.0", state = Customer, outputs = Out)]
impl CreditScore {
    fn new(config: Config) -> Result<Self> {
        Ok(Self { config: config.checked()? })
    }

    fn process(
        &self,
        input: CreditEvent<'_>,
        customer: &mut Customer,
        out: &mut Out,
        ctx: &mut Context<'_>,
    ) -> Result<()> {
        let customer_id = ctx.key_text()?;
        if input.kind == "application" {
            return self.on_application(&input, customer_id, out);
        }
        let event = input.event(self.config.currency)?;
        if let Some(config) = &self.config.challenger {
            customer.challenger.get_or_default().apply(event, input.ts, config)?;
        }
        let file = customer.file.get_or_default();
        file.apply(event, input.ts, &self.config)?;
        if let Some(at) = file.rescore_at_ms {
            ctx.delete_timer(Self::RESCORE, at);
        }
        let rescore_at =
            file.as_of_ms.unwrap_or(input.ts).saturating_add(self.config.rescore_days * DAY_MS);
        file.rescore_at_ms = Some(rescore_at);
        ctx.set_timer(Self::RESCORE, rescore_at);
        let score = self.publish(file, customer_id, Some(input.event_id), input.ts, out);
        self.compare(customer, score, (customer_id, Some(input.event_id), input.ts), out);
        Ok(())
    }

    /// Nothing has happened for a while: what has faded shows.
    #[timer(event_time)]
    fn rescore(
        &self,
        customer: &mut Customer,
        out: &mut Out,
        ctx: &mut TimerContext<'_>,
    ) -> Result<()> {
        if let Some(file) = customer.file.get_mut() {
            file.rescore_at_ms = None;
            file.advance(ctx.time(), &self.config);
            let score = self.publish(file, ctx.key_text()?, None, ctx.time(), out);
            if let Some((file, config)) =
                customer.challenger.get_mut().zip(self.config.challenger.as_deref())
            {
                file.advance(ctx.time(), config);
            }
            self.compare(customer, score, (ctx.key_text()?, None, ctx.time()), out);
        }
        Ok(())
    }
}

impl CreditScore {
    /// Scores an application, by the challenger's scorecard, too, if there is one.
    fn on_application(
        &self,
        input: &CreditEvent<'_>,
        customer_id: &str,
        out: &mut Out,
    ) -> Result<()> {
        let Some(scorecard) = &self.config.scorecard else {
            bail!("an application, and there is no `scorecard`");
        };
        let Some(Json(answers)) = &input.attributes else {
            bail!("an `application` needs `attributes`");
        };
        let CreditEvent { event_id, ts, .. } = *input;
        let decision = |scored: &Scored| if scored.accepted { "accept" } else { "decline" };
        let scored = scorecard.score(answers)?;
        if let Some(card) = self.config.challenger.as_ref().and_then(|c| c.scorecard.as_ref()) {
            let other = card.score(answers).map_err(|error| error.context("challenger"))?;
            let (champion_decision, challenger_decision) = (decision(&scored), decision(&other));
            out.comparison.emit(Comparison {
                customer_id,
                event_id: Some(event_id),
                ts,
                champion: scored.score,
                challenger: other.score,
                champion_decision,
                challenger_decision,
                reason: agreement(champion_decision, challenger_decision),
            });
        }
        out.application.emit(Application {
            customer_id,
            event_id,
            ts,
            score: scored.score,
            decision: decision(&scored),
            reasons: Json(scored.shares),
        });
        Ok(())
    }

    /// Gives out what the challenger says beside the champion's score.
    fn compare(
        &self,
        customer: &mut Customer,
        champion: i64,
        (customer_id, event_id, ts): (&str, Option<&str>, i64),
        out: &mut Out,
    ) {
        let challenger = self.config.challenger.as_ref().zip(customer.challenger.get());
        let Some((config, file)) = challenger else { return };
        let challenger = file.assess(config).score;
        let (champion_decision, challenger_decision) = (band(champion), band(challenger));
        out.comparison.emit(Comparison {
            customer_id,
            event_id,
            ts,
            champion,
            challenger,
            champion_decision,
            challenger_decision,
            reason: agreement(champion_decision, challenger_decision),
        });
    }

    /// Gives the score out, and the band if it is another one; returns the score.
    fn publish(
        &self,
        file: &mut CreditFile,
        customer_id: &str,
        event_id: Option<&str>,
        ts: i64,
        out: &mut Out,
    ) -> i64 {
        let assessment = file.assess(&self.config);
        let score = assessment.score;
        let previous = file.score.replace(score).unwrap_or(self.config.base);
        let utilisation = file.utilisation.map(|(used, _)| Decimal::from_units(used));
        let reasons = Json(assessment.reasons);
        out.score.emit(Score {
            customer_id,
            event_id,
            ts,
            score,
            change: score - previous,
            utilisation,
            reasons,
        });
        let (from, to) = (band(previous), band(score));
        if from != to {
            out.band.emit(Band { customer_id, ts, score, from, to });
        }
        score
    }
}

impl CreditEvent<'_> {
    fn event(&self, currency: Currency) -> Result<Event> {
        let money = |value: Option<Decimal<4>>, name: &str| -> Result<Money> {
            let Some(value) = value else { bail!("a `{}` event needs `{name}`", self.kind) };
            Ok(Money::stated(value.units(), 4, self.currency, currency)?)
        };
        Ok(match self.kind {
            "repayment" => Event::Repayment {
                amount: money(self.amount, "amount")?,
                due: money(self.due, "due")?,
            },
            "utilisation" => Event::Utilisation {
                balance: money(self.balance, "balance")?,
                limit: money(self.limit, "limit")?,
            },
            "missed_payment" => match self.days_late {
                Some(days_late) => Event::MissedPayment { days_late },
                None => bail!("a `missed_payment` event needs `days_late`"),
            },
            "enquiry" => Event::Enquiry,
            other => bail!("`{other}` is no type of credit event"),
        })
    }
}

/// Whether two decisions are the same.
fn agreement(champion: &str, challenger: &str) -> &'static str {
    if champion == challenger { "agree" } else { "differ" }
}

/// The usual names of ranges of scores.
fn band(score: i64) -> &'static str {
    match score {
        ..=579 => "poor",
        580..=669 => "fair",
        670..=739 => "good",
        740..=799 => "very_good",
        _ => "excellent",
    }
}

#[cfg(test)]
mod tests;
