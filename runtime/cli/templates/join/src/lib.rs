//! Brings orders together with their payments, and reports orders that were not paid in time.
//!
//! Two inputs with the same key, the order. Records wait until the watermark has reached their event time, so the result
//! does not depend on how the two come among each other.

use std::time::Duration;

use millstream_udf::prelude::*;

/// The stage's `config` in `pipeline.yaml`.
#[derive(Deserialize)]
struct Config {
    /// From the order to its payment.
    #[serde(with = "millstream_udf::duration")]
    within: Duration,
}

/// A record of the input `orders`. It is kept until it is paid, so the type owns what it holds.
#[derive(Clone, Input, Serialize, Deserialize)]
struct Order {
    customer: String,
    amount: Decimal<2>,
}

/// A record of the input `payments`.
#[derive(Clone, Input, Serialize, Deserialize)]
struct Payment {
    payment: String,
    amount: Decimal<2>,
}

/// What goes out for an order and its payment.
#[derive(Output)]
struct Paid<'a> {
    order: &'a str,
    customer: &'a str,
    payment: &'a str,
    /// What is still to be paid, or was paid too much if it is below zero.
    open: Decimal<2>,
    /// From the order to the payment.
    after_ms: i64,
}

/// What goes out for an order without a payment in time.
#[derive(Output)]
struct Unpaid<'a> {
    order: &'a str,
    customer: &'a str,
    amount: Decimal<2>,
}

/// What goes out for a record that came too late to be joined.
#[derive(Output)]
struct Late<'a> {
    order: &'a str,
    payment: Option<&'a str>,
}

/// The outputs; `pipeline.yaml` says where each goes.
#[derive(Outputs)]
struct Out {
    paid: Emit<Paid<'static>>,
    unpaid: Emit<Unpaid<'static>>,
    late: Emit<Late<'static>>,
}

/// What is kept of an order.
#[derive(States)]
struct Open {
    paying: IntervalJoin<Order, Payment>,
}

/// The function.
struct Paying {
    within: Duration,
}

#[udf(name = "{{name}}", state = Open, outputs = Out)]
impl Paying {
    fn new(config: Config) -> Result<Self> {
        Ok(Paying { within: config.within })
    }

    #[input]
    fn orders(
        &self,
        order: Order,
        open: &mut Open,
        out: &mut Out,
        ctx: &mut Context<'_>,
    ) -> Result<()> {
        if open.paying.left(order).is_some() {
            out.late.emit(Late { order: ctx.key_text()?, payment: None });
        }
        Ok(())
    }

    #[input]
    fn payments(
        &self,
        payment: Payment,
        open: &mut Open,
        out: &mut Out,
        ctx: &mut Context<'_>,
    ) -> Result<()> {
        if let Some(late) = open.paying.right(payment) {
            out.late.emit(Late { order: ctx.key_text()?, payment: Some(&late.payment) });
        }
        Ok(())
    }

    #[join(paying = Interval::within(self.within).left_outer())]
    fn paying(
        &self,
        joined: Joined<Order, Payment>,
        out: &mut Out,
        ctx: &FiredContext<'_>,
    ) -> Result<()> {
        let order = ctx.key_text()?;
        match joined {
            Joined::Pair { left, left_time, right, right_time } => {
                let Some(open) = left.amount.checked_sub(right.amount) else {
                    bail!("what is open of order {order} is too large");
                };
                out.paid.emit(Paid {
                    order,
                    customer: &left.customer,
                    payment: &right.payment,
                    open,
                    after_ms: right_time - left_time,
                });
            }
            Joined::Left { left, .. } => {
                out.unpaid.emit(Unpaid { order, customer: &left.customer, amount: left.amount });
            }
            // Payments without an order are not asked for: that would be `right_outer`.
            Joined::Right { .. } => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
