//! Counts and adds up each merchant's sales per window of event time.
//!
//! The key of a record is its merchant. A window is emitted once when the watermark has reached its end, and again with
//! each late record for as long as lateness is allowed; what comes later still goes to an output of its own.

use millstream_udf::prelude::*;

/// The stage's `config` in `pipeline.yaml`.
#[derive(Deserialize)]
struct Config {
    /// How the windows are laid out, such as `tumbling: 1m`.
    window: Window,
}

/// One record. The fields are taken from the payload's JSON; a record that lacks one becomes a dead letter.
#[derive(Input)]
struct Sale<'a> {
    id: &'a str,
    amount: Decimal<2>,
}

/// What a window holds of its sales.
#[derive(Default, Clone, Copy, Serialize, Deserialize)]
struct Totals {
    sales: i64,
    cents: i64,
}

impl Aggregate for Totals {
    type Input<'i> = Sale<'i>;
    type Result = Self;

    fn add(&mut self, sale: &Sale<'_>) {
        self.sales += 1;
        self.cents += sale.amount.units();
    }

    fn merge(&mut self, other: Self) {
        self.sales += other.sales;
        self.cents += other.cents;
    }

    fn result(&self) -> Self {
        *self
    }
}

/// What is kept of a merchant.
#[derive(States)]
struct Merchant {
    windows: Windows<Totals>,
}

/// What goes out for a window.
#[derive(Output)]
struct Turnover<'a> {
    merchant: &'a str,
    /// First millisecond of the window.
    start: i64,
    /// First millisecond behind it.
    end: i64,
    sales: i64,
    total: Decimal<2>,
}

/// What goes out for a sale whose window is gone.
#[derive(Output)]
struct Late<'a> {
    merchant: &'a str,
    sale: &'a str,
}

/// The outputs; `pipeline.yaml` says where each goes.
#[derive(Outputs)]
struct Out {
    turnover: Emit<Turnover<'static>>,
    late: Emit<Late<'static>>,
}

/// The function.
struct Sales {
    window: Window,
}

#[udf(name = "{{name}}", state = Merchant, outputs = Out)]
impl Sales {
    fn new(config: Config) -> Result<Self> {
        Ok(Sales { window: config.window })
    }

    fn process(
        &self,
        sale: Sale<'_>,
        merchant: &mut Merchant,
        out: &mut Out,
        ctx: &mut Context<'_>,
    ) -> Result<()> {
        // An `Err` makes this record a dead letter; its state and outputs are as if it had never come.
        ensure!(sale.amount > Decimal::ZERO, "sale {} is not above zero", sale.id);
        if merchant.windows.add(&sale).is_late() {
            out.late.emit(Late { merchant: ctx.key_text()?, sale: sale.id });
        }
        Ok(())
    }

    #[window(windows = self.window)]
    fn turnover(&self, fired: Fired<Totals>, out: &mut Out, ctx: &FiredContext<'_>) -> Result<()> {
        let Fired { start, end, result: Totals { sales, cents }, .. } = fired;
        let total = Decimal::from_units(cents);
        out.turnover.emit(Turnover { merchant: ctx.key_text()?, start, end, sales, total });
        Ok(())
    }
}

#[cfg(test)]
mod tests;
