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
use crate::sanctions::{ENTRIES_MAX, Entry, Listing, screen};

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

/// A change of the sanctions list.
#[derive(Input)]
struct ListChange<'a> {
    /// `put` or `remove`.
    action: &'a str,
    id: &'a str,
    name: Option<&'a str>,
    aliases: Option<Json<Vec<String>>>,
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

/// What every partition has.
#[derive(States)]
struct Lists {
    /// By the entry's id.
    listed: BroadcastMap<String, Listing>,
    entries: BroadcastValue<u32>,
}

/// The UDF.
struct AmlMonitor {
    config: Config,
    /// The list of the configuration, in the order of ids.
    configured: Vec<(String, Listing)>,
}

#[udf(name = "aml-monitor", version = "1.1.0", state = Account, broadcast = Lists, outputs = Out)]
impl AmlMonitor {
    fn new(config: Config) -> Result<Self> {
        let mut config = config.checked()?;
        let entries = std::mem::take(&mut config.sanctions.list);
        let listed = entries.into_iter().map(|entry| Ok((entry.id.clone(), Listing::new(&entry)?)));
        let mut configured = listed.collect::<Result<Vec<_>>>()?;
        configured.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(Self { config, configured })
    }

    /// Changes of the list hold for what comes behind them.
    #[input(broadcast)]
    fn sanctions(change: ListChange<'_>, lists: &mut Lists) -> Result<()> {
        let ListChange { action, id, name, aliases } = change;
        let bytes = id.len();
        ensure!(
            (1..=ID_BYTES_MAX).contains(&bytes),
            "`id` has {bytes} bytes; it must have 1 to {ID_BYTES_MAX}"
        );
        let entries = lists.entries.get().map_or(0, |entries| *entries);
        let known = lists.listed.get(id).is_some();
        match (action, name) {
            ("put", Some(name)) => {
                ensure!(
                    known || (entries as usize) < ENTRIES_MAX,
                    "the sanctions list has more than {ENTRIES_MAX} entries"
                );
                let aliases = aliases.map(|Json(aliases)| aliases).unwrap_or_default();
                let entry = Entry { id: id.to_owned(), name: name.to_owned(), aliases };
                lists.listed.insert(id, &Listing::new(&entry)?);
                if !known {
                    lists.entries.set(entries + 1);
                }
            }
            ("put", None) => bail!("to `put` an entry needs its `name`"),
            ("remove", _) => {
                lists.listed.remove(id);
                if known {
                    lists.entries.set(entries.saturating_sub(1));
                }
            }
            (other, _) => bail!("`{other}` is no action; it must be `put` or `remove`"),
        }
        Ok(())
    }

    #[input]
    fn transactions(
        &self,
        txn: Transaction<'_>,
        account: &mut Account,
        lists: &Lists,
        out: &mut Out,
        ctx: &mut Context<'_>,
    ) -> Result<()> {
        let arrived = self.movement(&txn)?;
        let mut findings = judge(account.movements.get_or_default(), &arrived, &self.config);
        let least = self.config.sanctions.similarity_milli;
        let listed = txn.counterparty.and_then(|name| {
            let live = lists.listed.all();
            let configured = self.configured.iter().map(|(id, listing)| (&id[..], listing));
            screen(
                name,
                least,
                configured.chain(live.iter().map(|(id, listing)| (&id[..], &**listing))),
            )
        });
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
