//! Scores each card transaction against the account's past, and raises an alert when a large
//! one comes within a minute of a small one: the mark of a stolen card being tried out.

use millstream_udf::prelude::*;

/// Amounts below this are small.
const SMALL_BELOW: f64 = 1.00;
/// Amounts above this are large.
const LARGE_ABOVE: f64 = 500.00;
/// How long a small transaction is remembered, in milliseconds of event time.
const SMALL_LIFE_MS: i64 = 60_000;

/// A card transaction. The key is the account.
#[derive(Input)]
struct Transaction<'a> {
    txn_id: &'a str,
    amount: f64,
    ts: i64,
}

/// How far the amount is from the account's mean, in standard deviations.
#[derive(Output)]
#[output(tag = "type", value = "score")]
struct Score<'a> {
    txn_id: &'a str,
    account_id: &'a str,
    ts: i64,
    n: i64,
    dt: i64,
    score: f64,
}

/// A large transaction within a minute of a small one.
#[derive(Output)]
#[output(tag = "type", value = "alert")]
struct Alert<'a> {
    txn_id: &'a str,
    account_id: &'a str,
    ts: i64,
    amount: f64,
    small_txn_id: &'a str,
    small_ts: i64,
}

/// A small transaction that no other followed within a minute.
#[derive(Output)]
#[output(tag = "type", value = "expired")]
struct Expired<'a> {
    account_id: &'a str,
    small_txn_id: &'a str,
    small_ts: i64,
    timer_ts: i64,
}

/// The outputs.
#[derive(Outputs)]
struct Out {
    score: Emit<Score<'static>>,
    alert: Emit<Alert<'static>>,
    expired: Emit<Expired<'static>>,
}

/// What is kept of an account.
#[derive(States)]
struct Account {
    profile: Value<Profile>,
    small: Value<Small>,
}

/// The account's past, as sums.
#[derive(Clone, Copy, Default, Serialize, Deserialize)]
struct Profile {
    count: i64,
    sum: f64,
    sum_of_squares: f64,
    last_ts: i64,
}

/// The last transaction, if it was small and less than a minute ago.
#[derive(Serialize, Deserialize)]
struct Small {
    txn_id: String,
    ts: i64,
}

impl Profile {
    /// Distance of an amount from the mean so far, in standard deviations; 0 while unknown.
    fn score(&self, amount: f64) -> f64 {
        if self.count < 2 {
            return 0.0;
        }
        let n = self.count as f64;
        let mean = self.sum / n;
        let variance = self.sum_of_squares / n - mean * mean;
        if variance > 0.0 { (amount - mean) / variance.sqrt() } else { 0.0 }
    }

    /// Time since the last transaction; negative when this one is late, -1 for the first.
    fn since_last(&self, ts: i64) -> i64 {
        if self.count == 0 { -1 } else { ts - self.last_ts }
    }

    fn add(&mut self, amount: f64, ts: i64) {
        self.count += 1;
        self.sum += amount;
        self.sum_of_squares += amount * amount;
        self.last_ts = ts;
    }
}

/// The UDF.
#[derive(Default)]
struct CardFraud;

#[udf(name = "card-fraud", version = "1.0.0", state = Account, outputs = Out)]
impl CardFraud {
    fn process(
        &self,
        txn: Transaction<'_>,
        account: &mut Account,
        out: &mut Out,
        ctx: &mut Context<'_>,
    ) -> Result<()> {
        let Transaction { txn_id, amount, ts } = txn;
        let account_id = ctx.key_text()?;

        let profile = account.profile.get_or_default();
        let (score, dt) = (profile.score(amount), profile.since_last(ts));
        profile.add(amount, ts);
        out.score.emit(Score { txn_id, account_id, ts, n: profile.count, dt, score });

        if let Some(small) = account.small.take() {
            ctx.delete_timer(Self::SMALL_EXPIRED, small.ts + SMALL_LIFE_MS);
            if amount > LARGE_ABOVE && ts - small.ts <= SMALL_LIFE_MS {
                out.alert.emit(Alert {
                    txn_id,
                    account_id,
                    ts,
                    amount,
                    small_txn_id: &small.txn_id,
                    small_ts: small.ts,
                });
            }
        }
        if amount < SMALL_BELOW {
            account.small.set(Small { txn_id: txn_id.to_owned(), ts });
            ctx.set_timer(Self::SMALL_EXPIRED, ts + SMALL_LIFE_MS);
        }
        Ok(())
    }

    #[timer(event_time)]
    fn small_expired(
        &self,
        account: &mut Account,
        out: &mut Out,
        ctx: &mut TimerContext<'_>,
    ) -> Result<()> {
        if let Some(small) = account.small.take() {
            out.expired.emit(Expired {
                account_id: ctx.key_text()?,
                small_txn_id: &small.txn_id,
                small_ts: small.ts,
                timer_ts: ctx.time(),
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
