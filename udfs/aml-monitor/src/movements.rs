//! What is kept of an account: its latest movements in the order of their event time.

use millstream_udf::prelude::*;

/// Movements kept, at most; the oldest make room. About 12 kB.
pub const MOVEMENTS_MAX: usize = 256;

/// Which way money went, seen from the account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Direction {
    In,
    Out,
}

/// The rules that look at several movements. A movement counts for one alert of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    Structuring = 1,
    Rapid = 2,
    RoundTrip = 4,
}

/// Money that moved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Movement {
    pub txn_id: String,
    pub ts: i64,
    pub direction: Direction,
    pub cash: bool,
    /// Minor units, above 0.
    pub amount: i64,
    /// The rules that have reported it, as bits.
    reported: u8,
}

impl Movement {
    /// A movement that no rule has reported.
    pub fn new(txn_id: &str, ts: i64, direction: Direction, cash: bool, amount: i64) -> Self {
        Self { txn_id: txn_id.to_owned(), ts, direction, cash, amount, reported: 0 }
    }
}

/// The latest movements.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Movements {
    /// In the order of event time; of one time in the order of arrival.
    list: Vec<Movement>,
    /// The newest event time ever seen.
    newest_ms: Option<i64>,
}

impl Movements {
    /// The newest event time so far.
    pub fn newest_ms(&self) -> Option<i64> {
        self.newest_ms
    }

    /// Takes a movement in, and forgets what is older than `kept_ms`.
    pub fn add(&mut self, movement: Movement, kept_ms: i64) {
        let newest = self.newest_ms.map_or(movement.ts, |newest| newest.max(movement.ts));
        self.newest_ms = Some(newest);
        let place = self.list.partition_point(|other| other.ts <= movement.ts);
        self.list.insert(place, movement);
        let oldest = newest.saturating_sub(kept_ms);
        let old = self.list.partition_point(|other| other.ts <= oldest);
        let crowded = self.list.len().saturating_sub(MOVEMENTS_MAX);
        self.list.drain(..old.max(crowded));
    }

    /// Indexes of the movements within a window that ends with the newest one, that a rule has not reported and that
    /// fit; the oldest first.
    pub fn open(&self, rule: Rule, window_ms: i64, fits: impl Fn(&Movement) -> bool) -> Vec<usize> {
        let since = self.newest_ms.unwrap_or_default().saturating_sub(window_ms);
        let open = |movement: &Movement| {
            movement.ts > since && movement.reported & rule as u8 == 0 && fits(movement)
        };
        self.list.iter().enumerate().filter(|(_, m)| open(m)).map(|(i, _)| i).collect()
    }

    /// The movement at an index that [`Self::open`] has given.
    pub fn at(&self, index: usize) -> &Movement {
        &self.list[index]
    }

    /// The sum of amounts, of at most [`MOVEMENTS_MAX`] movements: it fits 128 bits.
    pub fn total(&self, indexes: &[usize]) -> i128 {
        indexes.iter().map(|&index| i128::from(self.list[index].amount)).sum()
    }

    /// Marks movements as reported by a rule.
    pub fn report(&mut self, rule: Rule, indexes: &[usize]) {
        for &index in indexes {
            self.list[index].reported |= rule as u8;
        }
    }
}
