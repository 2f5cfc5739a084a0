//! How often and how much, lately: counters that fade, and the cards that were seen.

use decay::decay;
use millstream_udf::prelude::*;

/// Cards that are remembered of a key, at most: the newest.
const CARDS_MAX: usize = 16;
/// A card is forgotten after so many half-lives.
const CARD_HALF_LIVES: i64 = 4;
/// Counters stay below this, so that adding to them cannot overflow.
const COUNTER_MAX: i64 = i64::MAX / 4;

/// Counters of a key, as of the newest event time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Velocity {
    as_of: i64,
    /// Transactions, in thousandths.
    count: i64,
    /// Hundredths of a major unit.
    amount: i64,
    /// Cards and when they were seen last, the oldest first.
    cards: Vec<(String, i64)>,
}

/// What is known of a key right behind a transaction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reading {
    /// Transactions, in thousandths.
    pub count_milli: i64,
    /// Hundredths of a major unit.
    pub amount_cents: i64,
    /// Cards that were seen within four half-lives.
    pub cards: i64,
}

impl Velocity {
    /// Takes a transaction in: it counts as one and fades by half per half-life. One that comes late has faded since.
    pub fn add(&mut self, card: &str, cents: i64, at: i64, half_life_ms: i64) -> Reading {
        let newest = if self.count == 0 { at } else { self.as_of.max(at) };
        let since = newest.saturating_sub(self.as_of);
        let age = newest.saturating_sub(at);
        let grown = |counter: i64, by: i64| {
            let by = decay(by, age, half_life_ms);
            (decay(counter, since, half_life_ms) + by).min(COUNTER_MAX)
        };
        self.count = grown(self.count, 1_000);
        self.amount = grown(self.amount, cents.clamp(0, COUNTER_MAX));
        self.as_of = newest;
        let seen = self.cards.iter().position(|(other, _)| other == card);
        let last = seen.map_or(at, |place| self.cards.remove(place).1.max(at));
        let place = self.cards.partition_point(|(_, seen)| *seen <= last);
        self.cards.insert(place, (card.to_owned(), last));
        let forgotten = newest.saturating_sub(CARD_HALF_LIVES.saturating_mul(half_life_ms));
        self.cards.retain(|(_, seen)| *seen >= forgotten);
        let surplus = self.cards.len().saturating_sub(CARDS_MAX);
        self.cards.drain(..surplus);
        Reading {
            count_milli: self.count,
            amount_cents: self.amount,
            cards: self.cards.len() as i64,
        }
    }
}
