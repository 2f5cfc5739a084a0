//! The fraud function as plain Rust, over all records at once: what the pipeline has to have given.

use std::collections::{BTreeSet, HashMap};

use serde_json::{Value, json};

use crate::feed::Card;

/// The pipeline's bound on disorder, in milliseconds.
const WATERMARK_BOUND_MS: i64 = 2_000;
/// How long a small transaction is remembered, in milliseconds.
const SMALL_LIFE_MS: i64 = 60_000;

/// What is known of an account.
#[derive(Default)]
struct Account<'a> {
    count: i64,
    sum: f64,
    sum_of_squares: f64,
    last_ts: i64,
    small: Option<&'a Card>,
}

/// The outputs, by type.
#[derive(Default)]
pub struct Expected {
    /// One per transaction.
    pub scores: Vec<Value>,
    /// Large ones right after small ones.
    pub alerts: Vec<Value>,
    /// Small ones that nothing followed in time.
    pub expired: Vec<Value>,
}

/// All outputs for the transactions in the order of their arrival.
pub fn expected(cards: &[Card]) -> Expected {
    let mut out = Expected::default();
    let mut accounts: HashMap<&str, Account<'_>> = HashMap::new();
    let mut timers = BTreeSet::new();
    let mut newest = i64::MIN;
    for card in cards {
        let Card { txn_id, account_id, amount, ts } = card;
        let account = accounts.entry(account_id).or_default();
        let score = account.score(*amount);
        let dt = if account.count == 0 { -1 } else { ts - account.last_ts };
        account.count += 1;
        account.sum += amount;
        account.sum_of_squares += amount * amount;
        account.last_ts = *ts;
        out.scores.push(json!({
            "type": "score", "txn_id": txn_id, "account_id": account_id, "ts": ts,
            "n": account.count, "dt": dt, "score": score,
        }));
        if let Some(small) = account.small.take() {
            timers.remove(&(small.ts + SMALL_LIFE_MS, account_id.as_str()));
            if *amount > 500.0 && ts - small.ts <= SMALL_LIFE_MS {
                out.alerts.push(json!({
                    "type": "alert", "txn_id": txn_id, "account_id": account_id, "ts": ts,
                    "amount": amount, "small_txn_id": small.txn_id, "small_ts": small.ts,
                }));
            }
        }
        if *amount < 1.0 {
            account.small = Some(card);
            timers.insert((ts + SMALL_LIFE_MS, account_id.as_str()));
        }
        // Only an advance of the watermark fires timers, be they ever so late.
        if *ts > newest {
            newest = *ts;
            let watermark = newest - WATERMARK_BOUND_MS - 1;
            while let Some((timer_ts, key)) = timers.first().copied() {
                if timer_ts > watermark {
                    break;
                }
                timers.pop_first();
                if let Some(small) = accounts.get_mut(key).and_then(|account| account.small.take())
                {
                    out.expired.push(json!({
                        "type": "expired", "account_id": key, "small_txn_id": small.txn_id,
                        "small_ts": small.ts, "timer_ts": timer_ts,
                    }));
                }
            }
        }
    }
    out
}

impl Account<'_> {
    /// Distance from the mean so far, in standard deviations.
    fn score(&self, amount: f64) -> f64 {
        if self.count < 2 {
            return 0.0;
        }
        let n = self.count as f64;
        let mean = self.sum / n;
        let variance = self.sum_of_squares / n - mean * mean;
        if variance > 0.0 { (amount - mean) / variance.sqrt() } else { 0.0 }
    }
}
