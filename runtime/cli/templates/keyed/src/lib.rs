//! Adds up what each account spends, and raises an alert when a payment takes the sum past the limit.
//!
//! The key of a record is its account: `pipeline.yaml` says where to find it. All records of an account come here
//! in order, and the state at hand is always that of the record's account.

use millstream_udf::prelude::*;

/// The stage's `config` in `pipeline.yaml`.
#[derive(Deserialize)]
struct Config {
    /// Spending above this raises an alert, in cents.
    limit_cents: i64,
}

/// One record. The fields are taken from the payload's JSON; a record that lacks one becomes a dead letter.
#[derive(Input)]
struct Payment<'a> {
    id: &'a str,
    amount: Decimal<2>,
}

/// What goes out for every payment.
#[derive(Output)]
#[output(tag = "type", value = "total")]
struct Total<'a> {
    account: &'a str,
    payment: &'a str,
    payments: i64,
    total: Decimal<2>,
}

/// What goes out when the limit is passed.
#[derive(Output)]
#[output(tag = "type", value = "alert")]
struct Alert<'a> {
    account: &'a str,
    payment: &'a str,
    total: Decimal<2>,
}

/// The outputs; `pipeline.yaml` says where each goes.
#[derive(Outputs)]
struct Out {
    total: Emit<Total<'static>>,
    alert: Emit<Alert<'static>>,
}

/// What is kept of an account.
#[derive(States)]
struct Account {
    spent: Value<Spent>,
}

/// The account's payments so far.
#[derive(Default, Serialize, Deserialize)]
struct Spent {
    payments: i64,
    total: Decimal<2>,
}

/// The function.
struct Spending {
    limit: Decimal<2>,
}

#[udf(name = "{{name}}", state = Account, outputs = Out)]
impl Spending {
    fn new(config: Config) -> Result<Self> {
        ensure!(config.limit_cents >= 0, "limit_cents is {}, it cannot be negative", config.limit_cents);
        Ok(Spending { limit: Decimal::from_units(config.limit_cents) })
    }

    fn process(
        &self,
        payment: Payment<'_>,
        account: &mut Account,
        out: &mut Out,
        ctx: &mut Context<'_>,
    ) -> Result<()> {
        // An `Err` makes this record a dead letter; its state and outputs are as if it had never come.
        ensure!(payment.amount > Decimal::ZERO, "payment {} is not above zero", payment.id);
        let name = ctx.key_text()?;

        let spent = account.spent.get_or_default();
        let before = spent.total;
        let Some(total) = before.checked_add(payment.amount) else {
            bail!("the sum of account {name} is too large");
        };
        spent.payments += 1;
        spent.total = total;

        out.total.emit(Total { account: name, payment: payment.id, payments: spent.payments, total });
        if before <= self.limit && total > self.limit {
            out.alert.emit(Alert { account: name, payment: payment.id, total });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
