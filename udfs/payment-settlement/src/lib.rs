//! Joins payments with their settlements by interval, and reports payments that were not settled in time and
//! settlements of no payment.

mod config;

use finance::{Currency, Exact, Money};
use millstream_udf::prelude::*;

use config::Config;

/// A payment that was accepted; the payment is the key.
#[derive(Input)]
struct Accepted {
    /// No more digits than the currency has.
    amount: Decimal<4>,
    currency: Option<String>,
    debtor: String,
}

/// What a clearing house says of a payment.
#[derive(Input)]
struct Cleared {
    settlement_id: String,
    amount: Decimal<4>,
    currency: Option<String>,
}

/// A payment as it is kept.
#[derive(Clone, Serialize, Deserialize)]
struct Payment {
    minor: i64,
    debtor: String,
}

/// A settlement as it is kept.
#[derive(Clone, Serialize, Deserialize)]
struct Settlement {
    settlement_id: String,
    minor: i64,
}

/// A payment and its settlement.
#[derive(Output)]
#[output(tag = "type", value = "settled")]
struct Settled<'a> {
    payment_id: &'a str,
    debtor: &'a str,
    amount: Json<Exact>,
    currency: &'a str,
    settlement_id: &'a str,
    /// What was settled less or more than paid; left out if it is the same.
    difference: Option<Json<Exact>>,
    payment_ts: i64,
    settlement_ts: i64,
    /// `same_amount` or `other_amount`.
    reason: &'a str,
}

/// A payment without settlement in time.
#[derive(Output)]
#[output(tag = "type", value = "overdue")]
struct Overdue<'a> {
    payment_id: &'a str,
    debtor: &'a str,
    amount: Json<Exact>,
    currency: &'a str,
    payment_ts: i64,
    due_ts: i64,
    /// `no_settlement_in_time`.
    reason: &'a str,
}

/// A settlement without payment.
#[derive(Output)]
#[output(tag = "type", value = "unknown")]
struct Unknown<'a> {
    payment_id: &'a str,
    settlement_id: &'a str,
    amount: Json<Exact>,
    currency: &'a str,
    settlement_ts: i64,
    /// `no_payment`.
    reason: &'a str,
}

/// A record that came when the watermark of its input had reached its event time.
#[derive(Output)]
#[output(tag = "type", value = "late")]
struct Late<'a> {
    payment_id: &'a str,
    settlement_id: Option<&'a str>,
    amount: Json<Exact>,
    currency: &'a str,
    ts: i64,
}

/// The outputs.
#[derive(Outputs)]
struct Out {
    settled: Emit<Settled<'static>>,
    overdue: Emit<Overdue<'static>>,
    unknown: Emit<Unknown<'static>>,
    late: Emit<Late<'static>>,
}

/// What is kept of a payment.
#[derive(States)]
struct Open {
    settling: IntervalJoin<Payment, Settlement>,
}

/// The UDF.
struct PaymentSettlement {
    currency: Currency,
    interval: Interval,
}

#[udf(name = "payment-settlement", version = "1.1.0", state = Open, outputs = Out)]
impl PaymentSettlement {
    fn new(config: Config) -> Result<Self> {
        Ok(Self { currency: config.currency, interval: config.interval()? })
    }

    #[input]
    fn payments(
        &self,
        accepted: Accepted,
        open: &mut Open,
        out: &mut Out,
        ctx: &mut Context<'_>,
    ) -> Result<()> {
        let Accepted { amount, currency, debtor } = accepted;
        let minor = self.minor(amount, currency.as_deref())?;
        if let Some(late) = open.settling.left(Payment { minor, debtor }) {
            out.late.emit(Late {
                payment_id: ctx.key_text()?,
                settlement_id: None,
                amount: self.exact(late.minor),
                currency: self.currency.code(),
                ts: ctx.event_time(),
            });
        }
        Ok(())
    }

    #[input]
    fn settlements(
        &self,
        cleared: Cleared,
        open: &mut Open,
        out: &mut Out,
        ctx: &mut Context<'_>,
    ) -> Result<()> {
        let Cleared { settlement_id, amount, currency } = cleared;
        let minor = self.minor(amount, currency.as_deref())?;
        if let Some(late) = open.settling.right(Settlement { settlement_id, minor }) {
            out.late.emit(Late {
                payment_id: ctx.key_text()?,
                settlement_id: Some(&late.settlement_id),
                amount: self.exact(late.minor),
                currency: self.currency.code(),
                ts: ctx.event_time(),
            });
        }
        Ok(())
    }

    #[join(settling = self.interval)]
    fn settling(
        &self,
        joined: Joined<Payment, Settlement>,
        out: &mut Out,
        ctx: &FiredContext<'_>,
    ) -> Result<()> {
        let (payment_id, currency) = (ctx.key_text()?, self.currency.code());
        match joined {
            Joined::Pair { left, left_time, right, right_time } => {
                let difference = right.minor.saturating_sub(left.minor);
                out.settled.emit(Settled {
                    payment_id,
                    debtor: &left.debtor,
                    amount: self.exact(left.minor),
                    currency,
                    settlement_id: &right.settlement_id,
                    difference: (difference != 0).then_some(self.exact(difference)),
                    payment_ts: left_time,
                    settlement_ts: right_time,
                    reason: if difference == 0 { "same_amount" } else { "other_amount" },
                });
            }
            Joined::Left { left, left_time } => out.overdue.emit(Overdue {
                payment_id,
                debtor: &left.debtor,
                amount: self.exact(left.minor),
                currency,
                payment_ts: left_time,
                due_ts: ctx.time(),
                reason: "no_settlement_in_time",
            }),
            Joined::Right { right, right_time } => out.unknown.emit(Unknown {
                payment_id,
                settlement_id: &right.settlement_id,
                amount: self.exact(right.minor),
                currency,
                settlement_ts: right_time,
                reason: "no_payment",
            }),
        }
        Ok(())
    }
}

impl PaymentSettlement {
    /// Minor units of an amount, if it is one of the configured currency.
    fn minor(&self, amount: Decimal<4>, stated: Option<&str>) -> Result<i64> {
        Ok(Money::stated(amount.units(), 4, stated, self.currency)?.minor)
    }

    /// The amount as it is written.
    fn exact(&self, minor: i64) -> Json<Exact> {
        Json(self.currency.exact(minor))
    }
}

#[cfg(test)]
mod tests;
