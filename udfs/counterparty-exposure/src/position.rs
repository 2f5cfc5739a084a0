//! What counterparties owe and are owed, by netting set, in minor units of the reporting currency.

use std::collections::BTreeMap;

use millstream_udf::prelude::*;

/// A trade as it goes into a period.
pub struct Valued<'a> {
    /// Without one nothing nets with it.
    pub netting_set: Option<&'a str>,
    /// Minor units: above 0 if the counterparty owes it, below if it is owed.
    pub value: i64,
}

/// Both sides of a netting set. 128 bits hold any sum of amounts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sides {
    /// What the counterparty owes.
    pub claims: i128,
    /// What it is owed, as a number above 0.
    pub debts: i128,
}

/// The trades of a time, by netting set; those without one come first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    pub trades: u64,
    pub sets: BTreeMap<Option<String>, Sides>,
}

impl Position {
    /// Whether a trade of this set has room among so many sets.
    pub fn has_room(&self, netting_set: Option<&str>, sets_max: usize) -> bool {
        self.sets.len() < sets_max || self.sets.keys().any(|set| set.as_deref() == netting_set)
    }

    /// Takes all trades of another in.
    pub fn join(&mut self, other: &Self) {
        self.trades += other.trades;
        for (set, sides) in &other.sets {
            let own = self.sets.entry(set.clone()).or_default();
            own.claims += sides.claims;
            own.debts += sides.debts;
        }
    }

    /// What each set would cost if the counterparty failed and nothing netted: its claims.
    pub fn gross(&self) -> impl Iterator<Item = (Option<&str>, i128)> {
        self.sets.iter().map(|(set, sides)| (set.as_deref(), sides.claims))
    }

    /// What each set would cost with netting: its claims less its debts, or nothing. Without a set nothing nets.
    pub fn net(&self) -> impl Iterator<Item = (Option<&str>, i128)> {
        self.sets.iter().map(|(set, sides)| match set {
            Some(set) => (Some(set.as_str()), (sides.claims - sides.debts).max(0)),
            None => (None, sides.claims),
        })
    }
}

impl Aggregate for Position {
    type Input<'i> = Valued<'i>;
    type Result = Self;

    fn add(&mut self, trade: &Valued<'_>) {
        self.trades += 1;
        let sides = self.sets.entry(trade.netting_set.map(str::to_owned)).or_default();
        let value = i128::from(trade.value);
        sides.claims += value.max(0);
        sides.debts += (-value).max(0);
    }

    fn merge(&mut self, other: Self) {
        self.join(&other);
    }

    fn result(&self) -> Self {
        self.clone()
    }
}
