//! How often and how much, lately: counters that fade, and the cards that were seen.

use finance::fading::Passage;
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
    /// Minor units.
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
    /// Minor units.
    pub amount_minor: i64,
    /// Cards that were seen within four half-lives.
    pub cards: i64,
}

impl Velocity {
    /// Takes a transaction in: it counts as one and fades by half per half-life. One that comes late has faded since.
    pub fn add(&mut self, card: &str, minor: i64, at: i64, half_life_ms: i64) -> Reading {
        let passage = Passage::to(at, (self.count > 0).then_some(self.as_of));
        let newest = passage.as_of_ms;
        let grown = |counter: i64, by: i64| {
            (passage.left(counter, half_life_ms) + passage.added(by, half_life_ms)).min(COUNTER_MAX)
        };
        self.count = grown(self.count, 1_000);
        self.amount = grown(self.amount, minor.clamp(0, COUNTER_MAX));
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
            amount_minor: self.amount,
            cards: self.cards.len() as i64,
        }
    }
}
