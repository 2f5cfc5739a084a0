//! Counts and sums an account's transactions per window of event time. The manifest says which windows.

use millstream_udf::prelude::*;

/// Amounts of more cents than this are refused: above, a double does not hold every cent.
const CENTS_MAX: f64 = 9_007_199_254_740_992.0;

/// The stage's `config`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    /// How the windows are laid out, such as `tumbling: 1m`.
    window: Window,
    /// What the sums have as their `type`.
    #[serde(rename = "type", default = "sum")]
    kind: String,
}

fn sum() -> String {
    "sum".into()
}

/// A card transaction. The key is the account.
#[derive(Input)]
struct Transaction<'a> {
    txn_id: &'a str,
    amount: f64,
    ts: i64,
}

/// What a window holds.
#[derive(Clone, Copy, Default, Serialize, Deserialize)]
struct Totals {
    count: i64,
    cents: i64,
}

impl Aggregate for Totals {
    /// An amount in cents.
    type Input<'i> = i64;
    type Result = Self;

    fn add(&mut self, cents: &i64) {
        self.count += 1;
        self.cents += cents;
    }

    fn merge(&mut self, other: Self) {
        self.count += other.count;
        self.cents += other.cents;
    }

    fn result(&self) -> Self {
        *self
    }
}

/// What is kept of an account.
#[derive(States)]
struct Account {
    windows: Windows<Totals>,
}

/// A window that fired.
#[derive(Output)]
struct Sum<'a> {
    #[field(rename = "type")]
    kind: &'a str,
    account_id: &'a str,
    start: i64,
    end: i64,
    count: i64,
    sum_cents: i64,
    sum: f64,
}

/// A transaction that came too late for its window.
#[derive(Output)]
#[output(tag = "type", value = "late")]
struct Late<'a> {
    txn_id: &'a str,
    account_id: &'a str,
    ts: i64,
}

/// The outputs.
#[derive(Outputs)]
struct Out {
    sums: Emit<Sum<'static>>,
    late: Emit<Late<'static>>,
}

/// The UDF.
struct WindowSums {
    config: Config,
}

#[udf(name = "window-sums", version = "1.0.0", state = Account, outputs = Out)]
impl WindowSums {
    fn new(config: Config) -> Result<Self> {
        Ok(Self { config })
    }

    fn process(
        &self,
        txn: Transaction<'_>,
        account: &mut Account,
        out: &mut Out,
        ctx: &mut Context<'_>,
    ) -> Result<()> {
        let Transaction { txn_id, amount, ts } = txn;
        let cents = (amount * 100.0).round();
        ensure!(
            cents.abs() <= CENTS_MAX,
            "an amount of {amount} is above the limit of {} cents",
            CENTS_MAX
        );
        if account.windows.add(&(cents as i64)).is_late() {
            out.late.emit(Late { txn_id, account_id: ctx.key_text()?, ts });
        }
        Ok(())
    }

    #[window(windows = self.config.window)]
    fn window(&self, window: Fired<Totals>, out: &mut Out, ctx: &FiredContext<'_>) -> Result<()> {
        let Fired { start, end, result: Totals { count, cents }, .. } = window;
        out.sums.emit(Sum {
            kind: &self.config.kind,
            account_id: ctx.key_text()?,
            start,
            end,
            count,
            sum_cents: cents,
            sum: cents as f64 / 100.0,
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests;
