//! Follows money from account to account, one transfer per stage, and finds what comes back to the account where it began.
//! Ways that money has gone meet the transfers that leave the account where they end, in an interval join: a stage finds
//! the circles that are one transfer longer than those of the stage before.

mod config;
mod path;

use millstream_udf::prelude::*;

use crate::config::Config;
use crate::path::{Leg, Next, Path};

/// Bytes of an id or an account, at most: they bound the state.
const NAME_BYTES_MAX: usize = 128;
/// Transfers of a way, at most: stages of a pipeline.
const LEGS_MAX: usize = 16;
/// Ways that are kept of an account, at most.
const PATHS_MAX: u32 = 1_000;
/// Items of an account at one time, at most: a host takes 100 on average.
const ITEMS_MAX: u32 = 100;

/// A way that ends at the account, which is the key. A transfer alone is the shortest one.
#[derive(Input)]
struct Arrival<'a> {
    txn_id: &'a str,
    ts: i64,
    debtor: &'a str,
    creditor: &'a str,
    amount_minor: i64,
    currency: &'a str,
    /// Left out of a transfer.
    legs: Option<Json<Vec<Leg>>>,
}

/// A transfer that leaves the account, which is the key.
#[derive(Input)]
struct Transfer<'a> {
    txn_id: &'a str,
    ts: i64,
    debtor: &'a str,
    creditor: &'a str,
    amount_minor: i64,
    currency: &'a str,
}

/// Money that is back where it began.
#[derive(Output)]
#[output(tag = "type", value = "circle")]
struct Circle<'a> {
    account: &'a str,
    began_ts: i64,
    ts: i64,
    currency: &'a str,
    sent_minor: i64,
    returned_minor: i64,
    /// Those it has gone through, from `account` to `account`.
    accounts: Json<Vec<&'a str>>,
    txn_ids: Json<Vec<&'a str>>,
    /// `there_and_back` or `circle`.
    reason: &'a str,
}

/// A way for the next stage; an [`Arrival`] there.
#[derive(Output)]
#[output(tag = "type", value = "path")]
struct Going<'a> {
    /// Of the last transfer, as all but `debtor`.
    txn_id: &'a str,
    ts: i64,
    /// Where the money came from at first.
    debtor: &'a str,
    creditor: &'a str,
    amount_minor: i64,
    currency: &'a str,
    legs: Json<&'a [Leg]>,
}

/// What is not followed.
#[derive(Output)]
#[output(tag = "type", value = "unfollowed")]
struct Unfollowed<'a> {
    txn_id: &'a str,
    ts: i64,
    account: &'a str,
    /// `late`, `too_many_paths` or `too_many_at_once`.
    reason: &'a str,
}

/// The outputs.
#[derive(Outputs)]
struct Out {
    circle: Emit<Circle<'static>>,
    path: Emit<Going<'static>>,
    unfollowed: Emit<Unfollowed<'static>>,
}

/// What is kept of an account.
#[derive(States)]
struct Account {
    followed: IntervalJoin<Path, Leg>,
    #[state(ttl = "1d")]
    told: Value<Told>,
}

/// How many items were emitted at a time.
#[derive(Default, Serialize, Deserialize)]
struct Told {
    ts: i64,
    items: u32,
}

impl Told {
    /// The number that one more item has at this time, from 1.
    fn next(&mut self, ts: i64) -> u32 {
        let before = if self.ts == ts { self.items } else { 0 };
        *self = Self { ts, items: before.saturating_add(1) };
        self.items
    }
}

/// The UDF.
struct RoundTrips {
    config: Config,
    /// A transfer is behind the last one of the way, and within the window of it.
    interval: Interval,
}

#[udf(name = "round-trips", version = "1.0.0", state = Account, outputs = Out)]
impl RoundTrips {
    fn new(config: Config) -> Result<Self> {
        let config = config.checked()?;
        let interval = Interval::within(config.window).lower_exclusive();
        Ok(Self { config, interval })
    }

    #[input]
    fn paths(
        &self,
        arrival: Arrival<'_>,
        account: &mut Account,
        out: &mut Out,
        ctx: &mut Context<'_>,
    ) -> Result<()> {
        let Arrival { txn_id, ts, debtor, creditor, amount_minor, currency, legs } = arrival;
        let transfer = Transfer { txn_id, ts, debtor, creditor, amount_minor, currency };
        let leg = self.checked(&transfer, ctx.event_time())?;
        is_key("creditor", creditor, ctx)?;
        let legs = match legs {
            Some(Json(legs)) => {
                ensure!(legs.last() == Some(&leg), "the last of `legs` is another transfer");
                legs
            }
            None => vec![leg],
        };
        let count = legs.len();
        ensure!(
            (1..LEGS_MAX).contains(&count),
            "a way of {count} transfers; it must have 1 to {}",
            LEGS_MAX - 1
        );
        if amount_minor < self.config.min_minor {
            return Ok(());
        }
        let crowded = account.followed.kept().0 >= PATHS_MAX;
        let path = Path { debtor: debtor.to_owned(), legs };
        let reason = match crowded {
            true => "too_many_paths",
            false if account.followed.left(path).is_some() => "late",
            false => return Ok(()),
        };
        out.unfollowed.emit(Unfollowed { txn_id, ts, account: creditor, reason });
        Ok(())
    }

    #[input]
    fn transfers(
        &self,
        transfer: Transfer<'_>,
        account: &mut Account,
        out: &mut Out,
        ctx: &mut Context<'_>,
    ) -> Result<()> {
        let leg = self.checked(&transfer, ctx.event_time())?;
        is_key("debtor", transfer.debtor, ctx)?;
        if transfer.amount_minor >= self.config.min_minor && account.followed.right(leg).is_some() {
            let Transfer { txn_id, ts, debtor, .. } = transfer;
            out.unfollowed.emit(Unfollowed { txn_id, ts, account: debtor, reason: "late" });
        }
        Ok(())
    }

    #[join(followed = self.interval)]
    fn followed(
        &self,
        joined: Joined<Path, Leg>,
        account: &mut Account,
        out: &mut Out,
        ctx: &FiredContext<'_>,
    ) -> Result<()> {
        // The join is an inner one.
        let Joined::Pair { left: path, right: leg, .. } = joined else { return Ok(()) };
        let (Some(began_ts), Some(sent_minor)) = (path.began_ms(), path.first_minor()) else {
            bail!("a way without transfers");
        };
        let (leg_id, ts, amount_minor) = (leg.txn_id.clone(), leg.ts, leg.amount_minor);
        let is_in_time = ts.saturating_sub(began_ts) <= self.config.window_ms();
        if !is_in_time || !self.config.is_near(amount_minor, sent_minor) {
            return Ok(());
        }
        let currency = self.config.currency.code();
        let Some(next) = path.then(leg) else { return Ok(()) };
        match account.told.get_or_default().next(ts) {
            ..ITEMS_MAX => {}
            ITEMS_MAX => {
                let (txn_id, account) = (&leg_id[..], ctx.key_text()?);
                out.unfollowed.emit(Unfollowed { txn_id, ts, account, reason: "too_many_at_once" });
                return Ok(());
            }
            _ => return Ok(()),
        }
        match next {
            Next::Closed(path) => {
                let reason = if path.legs.len() == 2 { "there_and_back" } else { "circle" };
                out.circle.emit(Circle {
                    account: &path.debtor,
                    began_ts,
                    ts,
                    currency,
                    sent_minor,
                    returned_minor: amount_minor,
                    accounts: Json(path.accounts().collect()),
                    txn_ids: Json(path.legs.iter().map(|leg| leg.txn_id.as_str()).collect()),
                    reason,
                });
            }
            Next::Longer(path) => {
                let Some(last) = path.legs.last() else { bail!("a way without transfers") };
                out.path.emit(Going {
                    txn_id: &last.txn_id,
                    ts,
                    debtor: &path.debtor,
                    creditor: &last.creditor,
                    amount_minor,
                    currency,
                    legs: Json(&path.legs),
                });
            }
        }
        Ok(())
    }
}

impl RoundTrips {
    /// The leg that a transfer is, if it makes sense.
    fn checked(&self, transfer: &Transfer<'_>, event_time: i64) -> Result<Leg> {
        let Transfer { txn_id, ts, debtor, creditor, amount_minor, currency } = *transfer;
        for (field, text) in [("txn_id", txn_id), ("debtor", debtor), ("creditor", creditor)] {
            let bytes = text.len();
            ensure!(
                (1..=NAME_BYTES_MAX).contains(&bytes),
                "`{field}` has {bytes} bytes; it must have 1 to {NAME_BYTES_MAX}"
            );
        }
        ensure!(debtor != creditor, "`debtor` and `creditor` are both `{debtor}`");
        let expected = self.config.currency;
        ensure!(currency == expected.code(), "an amount in {currency}; it must be in {expected}");
        ensure!(amount_minor > 0, "an amount of {amount_minor}; it must be above 0");
        ensure!(ts == event_time, "`ts` is {ts}, and the event time is {event_time}");
        Ok(Leg { txn_id: txn_id.to_owned(), creditor: creditor.to_owned(), amount_minor, ts })
    }
}

/// Refuses a record whose key is another account than the one where it belongs: the manifest names a wrong field.
fn is_key(field: &str, account: &str, ctx: &Context<'_>) -> Result<()> {
    let key = ctx.key_text()?;
    ensure!(key == account, "the key is `{key}`, and `{field}` is `{account}`");
    Ok(())
}

#[cfg(test)]
mod tests;
