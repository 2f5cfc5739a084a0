//! The rules, straight: for each account a list of what waits and a list of small ones, looked through as a
//! whole at every step.

use serde_json::json;

/// A transaction.
#[derive(Clone, Debug)]
pub struct Txn {
    pub txn_id: String,
    pub account_id: String,
    pub amount: f64,
    pub ts: i64,
}

/// All lines for transactions that arrive in this order, sorted.
pub fn expected(arrivals: &[Txn], bound_ms: i64) -> Vec<String> {
    let mut lines = Vec::new();
    let mut waiting: Vec<&Txn> = Vec::new();
    let mut open: Vec<&Txn> = Vec::new();
    let (mut max, mut watermark) = (i64::MIN, i64::MIN);
    for txn in arrivals {
        if txn.ts <= watermark {
            lines.push(json!({"type": "late", "txn_id": txn.txn_id, "account_id": txn.account_id, "ts": txn.ts}));
        } else {
            waiting.push(txn);
        }
        if txn.ts > max {
            max = txn.ts;
            watermark = max - bound_ms - 1;
            reach(watermark, &mut waiting, &mut open, &mut lines);
        }
    }
    reach(i64::MAX, &mut waiting, &mut open, &mut lines);
    let mut lines: Vec<_> = lines.iter().map(ToString::to_string).collect();
    lines.sort_unstable();
    lines
}

/// The watermark reaches a time.
fn reach<'t>(
    watermark: i64,
    waiting: &mut Vec<&'t Txn>,
    open: &mut Vec<&'t Txn>,
    lines: &mut Vec<serde_json::Value>,
) {
    // A stable sort: arrival decides where event time does not.
    waiting.sort_by_key(|txn| txn.ts);
    while !waiting.is_empty() && waiting[0].ts <= watermark {
        let txn = waiting.remove(0);
        expire(txn.ts, |small| small.account_id == txn.account_id, open, lines);
        if txn.amount > 500.0 {
            open.retain(|small| {
                let matches = small.account_id == txn.account_id;
                if matches {
                    lines.push(json!({"type": "match", "account_id": txn.account_id, "small_txn_id": small.txn_id,
                        "small_ts": small.ts, "large_txn_id": txn.txn_id, "large_ts": txn.ts}));
                }
                !matches
            });
        }
        if txn.amount < 1.0 {
            open.push(txn);
        }
    }
    expire(watermark, |_| true, open, lines);
}

fn expire(
    time: i64,
    concerns: impl Fn(&Txn) -> bool,
    open: &mut Vec<&Txn>,
    lines: &mut Vec<serde_json::Value>,
) {
    open.retain(|small| {
        let stays = !concerns(small) || time < small.ts + 60_000;
        if !stays {
            lines.push(json!({"type": "timeout", "account_id": small.account_id, "small_txn_id": small.txn_id, "small_ts": small.ts}));
        }
        stays
    });
}
