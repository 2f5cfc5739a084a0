//! The rules over an account's movements: given the movements with the newest arrival among them, what is suspicious.

use millstream_udf::prelude::*;

use crate::config::Config;
use crate::movements::{Direction, Movement, Movements, Rule};
use crate::sanctions::Resemblance;

/// Milliseconds of a day.
const DAY_MS: i64 = 86_400_000;

/// Why a movement is suspicious, with what it rests on. Money in minor units.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum Finding {
    /// Cash in parts below the threshold that are together above it.
    Structuring { count: usize, total_minor: i64, txn_ids: Vec<String> },
    /// What came in has gone out.
    RapidInOut { in_minor: i64, out_minor: i64, txn_ids: Vec<String> },
    /// What went out has come back.
    RoundTrip { out_txn_id: String, out_minor: i64, back_minor: i64, days: i64 },
    /// After a long silence.
    DormantAccount { days: i64 },
    /// The counterparty is on the list.
    SanctionedName {
        #[serde(flatten)]
        resemblance: Resemblance,
    },
}

impl Finding {
    /// What the finding counts.
    pub fn points(&self, config: &Config) -> i64 {
        match self {
            Self::Structuring { .. } => config.structuring.points,
            Self::RapidInOut { .. } => config.rapid.points,
            Self::RoundTrip { .. } => config.round_trip.points,
            Self::DormantAccount { .. } => config.dormant.points,
            Self::SanctionedName { .. } => config.sanctions.points,
        }
    }
}

/// Takes a movement in; gives what the rules find in it, and marks what they have reported.
pub fn judge(movements: &mut Movements, arrived: &Movement, config: &Config) -> Vec<Finding> {
    let silent_ms = movements.newest_ms().map_or(0, |newest| arrived.ts.saturating_sub(newest));
    movements.add(arrived.clone(), config.kept_ms());
    let days = silent_ms / DAY_MS;
    let woken = days >= config.dormant.days && arrived.amount >= config.dormant.min_minor;
    let findings = [
        structuring(movements, arrived, config),
        rapid(movements, arrived, config),
        round_trip(movements, arrived, config),
        woken.then_some(Finding::DormantAccount { days }),
    ];
    findings.into_iter().flatten().collect()
}

fn structuring(movements: &mut Movements, arrived: &Movement, config: &Config) -> Option<Finding> {
    let config = &config.structuring;
    // Rounded up: a part is at least this share of the threshold.
    let floor = (config.threshold_minor * config.floor_percent + 99) / 100;
    let is_part = |movement: &Movement| {
        movement.cash
            && movement.direction == arrived.direction
            && (floor..=config.threshold_minor).contains(&movement.amount)
    };
    if !is_part(arrived) {
        return None;
    }
    let parts = movements.open(Rule::Structuring, config.window.as_millis() as i64, is_part);
    let total = movements.total(&parts);
    if parts.len() < config.count || total <= i128::from(config.threshold_minor) {
        return None;
    }
    movements.report(Rule::Structuring, &parts);
    Some(Finding::Structuring {
        count: parts.len(),
        total_minor: saturated(total),
        txn_ids: ids(movements, &parts),
    })
}

fn rapid(movements: &mut Movements, arrived: &Movement, config: &Config) -> Option<Finding> {
    if arrived.direction != Direction::Out {
        return None;
    }
    let config = &config.rapid;
    let window_ms = config.window.as_millis() as i64;
    let came = movements.open(Rule::Rapid, window_ms, |m| m.direction == Direction::In);
    let first_ms = movements.at(*came.first()?).ts;
    let went = movements
        .open(Rule::Rapid, window_ms, |m| m.direction == Direction::Out && m.ts >= first_ms);
    let (sum_in, sum_out) = (movements.total(&came), movements.total(&went));
    if sum_in < i128::from(config.min_minor)
        || sum_out * 100 < sum_in * i128::from(config.out_percent)
    {
        return None;
    }
    let mut all = [came, went].concat();
    all.sort_unstable();
    movements.report(Rule::Rapid, &all);
    Some(Finding::RapidInOut {
        in_minor: saturated(sum_in),
        out_minor: saturated(sum_out),
        txn_ids: ids(movements, &all),
    })
}

fn round_trip(movements: &mut Movements, arrived: &Movement, config: &Config) -> Option<Finding> {
    if arrived.direction != Direction::In || arrived.cash {
        return None;
    }
    let config = &config.round_trip;
    let difference = |m: &Movement| i128::from(m.amount.abs_diff(arrived.amount));
    let window_ms = config.window.as_millis() as i64;
    let matching = |m: &Movement| {
        m.direction == Direction::Out
            && !m.cash
            && m.ts <= arrived.ts
            && m.amount >= config.min_minor
            && difference(m) * 10_000 <= i128::from(m.amount) * i128::from(config.tolerance_bps)
    };
    let left = movements.open(Rule::RoundTrip, window_ms, matching);
    // The nearest amount; of equals the latest.
    let nearest = left.into_iter().rev().min_by_key(|&index| difference(movements.at(index)))?;
    movements.report(Rule::RoundTrip, &[nearest]);
    let out = movements.at(nearest);
    Some(Finding::RoundTrip {
        out_txn_id: out.txn_id.clone(),
        out_minor: out.amount,
        back_minor: arrived.amount,
        days: (arrived.ts - out.ts) / DAY_MS,
    })
}

fn ids(movements: &Movements, indexes: &[usize]) -> Vec<String> {
    indexes.iter().map(|&index| movements.at(index).txn_id.clone()).collect()
}

/// A sum for display: amounts near the limit of 64 bits do not occur, and must not trap.
fn saturated(total: i128) -> i64 {
    i64::try_from(total).unwrap_or(i64::MAX)
}
