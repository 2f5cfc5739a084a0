//! Joins payments with their settlements by interval, and reports payments that were not settled in time and
//! settlements of no payment.

mod config;

use millstream_udf::prelude::*;

use config::Config;

/// A payment that was accepted; the payment is the key.
#[derive(Clone, Input, Serialize, Deserialize)]
struct Payment {
    amount: Decimal<2>,
    debtor: String,
}

/// What a clearing house says of a payment.
#[derive(Clone, Input, Serialize, Deserialize)]
struct Settlement {
    settlement_id: String,
    amount: Decimal<2>,
}

/// A payment and its settlement.
#[derive(Output)]
#[output(tag = "type", value = "settled")]
struct Settled<'a> {
    payment_id: &'a str,
    debtor: &'a str,
    amount: Decimal<2>,
    settlement_id: &'a str,
    /// What was settled less or more than paid; left out if it is the same.
    difference: Option<Decimal<2>>,
    payment_ts: i64,
    settlement_ts: i64,
}

/// A payment without settlement in time.
#[derive(Output)]
#[output(tag = "type", value = "overdue")]
struct Overdue<'a> {
    payment_id: &'a str,
    debtor: &'a str,
    amount: Decimal<2>,
    payment_ts: i64,
    due_ts: i64,
}

/// A settlement without payment.
#[derive(Output)]
#[output(tag = "type", value = "unknown")]
struct Unknown<'a> {
    payment_id: &'a str,
    settlement_id: &'a str,
    amount: Decimal<2>,
    settlement_ts: i64,
}

/// A record that came when the watermark of its input had reached its event time.
#[derive(Output)]
#[output(tag = "type", value = "late")]
struct Late<'a> {
    payment_id: &'a str,
    settlement_id: Option<&'a str>,
    amount: Decimal<2>,
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
    interval: Interval,
}

#[udf(name = "payment-settlement", version = "1.0.0", state = Open, outputs = Out)]
impl PaymentSettlement {
    fn new(config: Config) -> Result<Self> {
        Ok(Self { interval: config.interval()? })
    }

    #[input]
    fn payments(
        &self,
        payment: Payment,
        open: &mut Open,
        out: &mut Out,
        ctx: &mut Context<'_>,
    ) -> Result<()> {
        if let Some(late) = open.settling.left(payment) {
            out.late.emit(Late {
                payment_id: ctx.key_text()?,
                settlement_id: None,
                amount: late.amount,
                ts: ctx.event_time(),
            });
        }
        Ok(())
    }

    #[input]
    fn settlements(
        &self,
        settlement: Settlement,
        open: &mut Open,
        out: &mut Out,
        ctx: &mut Context<'_>,
    ) -> Result<()> {
        if let Some(late) = open.settling.right(settlement) {
            out.late.emit(Late {
                payment_id: ctx.key_text()?,
                settlement_id: Some(&late.settlement_id),
                amount: late.amount,
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
        let payment_id = ctx.key_text()?;
        match joined {
            Joined::Pair { left, left_time, right, right_time } => {
                let difference = right.amount.units() - left.amount.units();
                out.settled.emit(Settled {
                    payment_id,
                    debtor: &left.debtor,
                    amount: left.amount,
                    settlement_id: &right.settlement_id,
                    difference: (difference != 0).then_some(Decimal::from_units(difference)),
                    payment_ts: left_time,
                    settlement_ts: right_time,
                });
            }
            Joined::Left { left, left_time } => out.overdue.emit(Overdue {
                payment_id,
                debtor: &left.debtor,
                amount: left.amount,
                payment_ts: left_time,
                due_ts: ctx.time(),
            }),
            Joined::Right { right, right_time } => out.unknown.emit(Unknown {
                payment_id,
                settlement_id: &right.settlement_id,
                amount: right.amount,
                settlement_ts: right_time,
            }),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
