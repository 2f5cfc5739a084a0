//! Finds each small card transaction of an account that a large one follows within a minute, in the order of
//! event time, as a pattern.

use std::time::Duration;

use millstream_udf::pattern::{Found, Pattern, PatternState};
use millstream_udf::prelude::*;

/// Amounts below this are small.
const SMALL_BELOW: f64 = 1.00;
/// Amounts above this are large.
const LARGE_ABOVE: f64 = 500.00;
/// A large transaction this long after a small one is too late.
const WITHIN: Duration = Duration::from_secs(60);

/// A card transaction. The key is the account.
#[derive(Input, Serialize, Deserialize)]
struct Transaction {
    txn_id: String,
    amount: f64,
}

/// A small transaction and the first large one behind it.
#[derive(Output)]
#[output(tag = "type", value = "match")]
struct Match<'a> {
    account_id: &'a str,
    small_txn_id: &'a str,
    small_ts: i64,
    large_txn_id: &'a str,
    large_ts: i64,
}

/// A small transaction that no large one followed in time.
#[derive(Output)]
#[output(tag = "type", value = "timeout")]
struct Timeout<'a> {
    account_id: &'a str,
    small_txn_id: &'a str,
    small_ts: i64,
}

/// A transaction that came when the watermark had reached its event time.
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
    #[output(rename = "match")]
    matched: Emit<Match<'static>>,
    timeout: Emit<Timeout<'static>>,
    late: Emit<Late<'static>>,
}

/// What is kept of an account.
#[derive(States)]
struct Account {
    transactions: PatternState<Transaction>,
}

/// The UDF.
struct SmallThenLarge {
    pattern: Pattern<Transaction>,
}

impl Default for SmallThenLarge {
    fn default() -> Self {
        let pattern = Pattern::begin("small")
            .when(|txn: &Transaction| txn.amount < SMALL_BELOW)
            .followed_by("large")
            .when(|txn| txn.amount > LARGE_ABOVE)
            .within(WITHIN)
            .build();
        Self { pattern }
    }
}

#[udf(name = "small-then-large", version = "1.0.0", state = Account, outputs = Out)]
impl SmallThenLarge {
    fn process(
        &self,
        txn: Transaction,
        account: &mut Account,
        out: &mut Out,
        ctx: &mut Context<'_>,
    ) -> Result<()> {
        if let Some(late) = account.transactions.accept(txn, Self::TRANSACTIONS, ctx) {
            let account_id = ctx.key_text()?;
            out.late.emit(Late { txn_id: &late.txn_id, account_id, ts: ctx.event_time() });
        }
        Ok(())
    }

    #[timer(event_time)]
    fn transactions(
        &self,
        account: &mut Account,
        out: &mut Out,
        ctx: &mut TimerContext<'_>,
    ) -> Result<()> {
        let account_id = ctx.key_text()?;
        for found in account.transactions.advance(&self.pattern, Self::TRANSACTIONS, ctx)? {
            match found {
                Found::Match(found) => {
                    let (small, large) = (&found["small"], &found["large"]);
                    out.matched.emit(Match {
                        account_id,
                        small_txn_id: &small.txn_id,
                        small_ts: small.event_time(),
                        large_txn_id: &large.txn_id,
                        large_ts: large.event_time(),
                    });
                }
                // More than a thousand small ones in a minute: the oldest are no longer waited for.
                Found::Timeout(open) | Found::Dropped(open) => {
                    let small = &open["small"];
                    out.timeout.emit(Timeout {
                        account_id,
                        small_txn_id: &small.txn_id,
                        small_ts: small.event_time(),
                    });
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
