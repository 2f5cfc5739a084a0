//! Watches an account for signs of money laundering: structuring below reporting thresholds, rapid in-and-out, round
//! trips, the wake-up of a dormant account, and counterparties whose names resemble sanctioned ones.

mod config;
mod movements;
mod rules;
mod sanctions;

use millstream_udf::prelude::*;

use crate::config::Config;
use crate::movements::{Direction, Movement, Movements};
use crate::rules::{Finding, judge};
use crate::sanctions::SanctionsList;

/// Bytes of a transaction's id, at most: it keeps the state bounded.
const ID_BYTES_MAX: usize = 64;

/// A movement of money on an account. The key is the account.
#[derive(Input)]
struct Transaction<'a> {
    txn_id: &'a str,
    ts: i64,
    /// `in` or `out`.
    direction: &'a str,
    /// `cash`, or any other way.
    channel: &'a str,
    amount_minor: i64,
    currency: &'a str,
    counterparty: Option<&'a str>,
}

/// A suspicion. The points of the reasons add up to the score.
#[derive(Output)]
#[output(tag = "type", value = "alert")]
struct Alert<'a> {
    account_id: &'a str,
    txn_id: &'a str,
    ts: i64,
    amount_minor: i64,
    currency: &'a str,
    score: i64,
    /// `hold` or `review`.
    decision: &'a str,
    reasons: Json<Vec<Reason>>,
}

/// A finding and what it counts.
#[derive(Serialize)]
struct Reason {
    #[serde(flatten)]
    finding: Finding,
    points: i64,
}

/// The outputs.
#[derive(Outputs)]
struct Out {
    alert: Emit<Alert<'static>>,
}

/// What is kept of an account.
#[derive(States)]
struct Account {
    movements: Value<Movements>,
}

/// The UDF.
struct AmlMonitor {
    config: Config,
    list: SanctionsList,
}

#[udf(name = "aml-monitor", version = "1.0.0", state = Account, outputs = Out)]
impl AmlMonitor {
    fn new(config: Config) -> Result<Self> {
        let mut config = config.checked()?;
        let list = SanctionsList::new(std::mem::take(&mut config.sanctions.list))?;
        Ok(Self { config, list })
    }

    fn process(
        &self,
        txn: Transaction<'_>,
        account: &mut Account,
        out: &mut Out,
        ctx: &mut Context<'_>,
    ) -> Result<()> {
        let arrived = self.movement(&txn)?;
        let mut findings = judge(account.movements.get_or_default(), &arrived, &self.config);
        let least = self.config.sanctions.similarity_milli;
        let listed = txn.counterparty.and_then(|name| self.list.screen(name, least));
        findings.extend(listed.map(|resemblance| Finding::SanctionedName { resemblance }));
        if findings.is_empty() {
            return Ok(());
        }
        let mut reasons: Vec<Reason> = findings
            .into_iter()
            .map(|finding| Reason { points: finding.points(&self.config), finding })
            .collect();
        reasons.sort_by_key(|reason| std::cmp::Reverse(reason.points));
        let score = reasons.iter().map(|reason| reason.points).sum();
        out.alert.emit(Alert {
            account_id: ctx.key_text()?,
            txn_id: txn.txn_id,
            ts: txn.ts,
            amount_minor: txn.amount_minor,
            currency: txn.currency,
            score,
            decision: if score >= self.config.hold_points { "hold" } else { "review" },
            reasons: Json(reasons),
        });
        Ok(())
    }
}

impl AmlMonitor {
    /// The movement that a transaction is, if it makes sense.
    fn movement(&self, txn: &Transaction<'_>) -> Result<Movement> {
        let direction = match txn.direction {
            "in" => Direction::In,
            "out" => Direction::Out,
            other => bail!("`{other}` is no direction; it must be `in` or `out`"),
        };
        ensure!(
            txn.currency == self.config.currency.code(),
            "an amount in {}; it must be in {}",
            txn.currency,
            self.config.currency
        );
        ensure!(txn.amount_minor > 0, "an amount of {}; it must be above 0", txn.amount_minor);
        let bytes = txn.txn_id.len();
        ensure!(
            (1..=ID_BYTES_MAX).contains(&bytes),
            "`txn_id` has {bytes} bytes; it must have 1 to {ID_BYTES_MAX}"
        );
        Ok(Movement::new(txn.txn_id, txn.ts, direction, txn.channel == "cash", txn.amount_minor))
    }
}

#[cfg(test)]
mod tests;
