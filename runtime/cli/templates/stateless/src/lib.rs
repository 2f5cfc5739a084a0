//! Makes ledger entries of payments: drops the small ones, and adds a fee to the others.
//!
//! Each record stands for itself; nothing is kept. The order of an account's entries is that of its payments.

use millstream_udf::prelude::*;

/// The stage's `config` in `pipeline.yaml`.
#[derive(Deserialize)]
struct Config {
    /// Payments below this make no entry, in cents.
    min_cents: i64,
    /// The fee in hundredths of a percent of the amount.
    fee_basis_points: i64,
}

/// One record. The fields are taken from the payload's JSON; a record that lacks one becomes a dead letter.
#[derive(Input)]
struct Payment<'a> {
    id: &'a str,
    account: &'a str,
    amount: Decimal<2>,
    /// May be missing.
    reference: Option<&'a str>,
}

/// What goes out for a payment that is large enough.
#[derive(Output)]
struct Entry<'a> {
    account: &'a str,
    payment: &'a str,
    amount: Decimal<2>,
    fee: Decimal<2>,
    reference: Option<&'a str>,
}

/// The function.
struct Entries {
    config: Config,
}

#[udf(name = "{{name}}", outputs = Emit<Entry<'static>>)]
impl Entries {
    fn new(config: Config) -> Result<Self> {
        let points = config.fee_basis_points;
        ensure!((0..=10_000).contains(&points), "fee_basis_points is {points}, it goes from 0 to 10000");
        Ok(Entries { config })
    }

    fn process(&self, payment: Payment<'_>, out: &mut Emit<Entry<'static>>) -> Result<()> {
        let Payment { id, account, amount, reference } = payment;
        // An `Err` makes this record a dead letter.
        ensure!(amount >= Decimal::ZERO, "payment {id} is below zero");
        if amount.units() < self.config.min_cents {
            return Ok(());
        }
        let Some(fee) = amount.mul_ratio(self.config.fee_basis_points, 10_000) else {
            bail!("the fee of payment {id} is too large");
        };
        out.emit(Entry { account, payment: id, amount, fee, reference });
        Ok(())
    }
}

#[cfg(test)]
mod tests;
