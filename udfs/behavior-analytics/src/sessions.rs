//! Sessions: what a customer does without a longer pause, and what it tells.

use std::collections::BTreeSet;

use millstream_udf::prelude::*;

/// Categories kept of a session, at most; further ones are not counted.
pub const CATEGORIES_MAX: usize = 32;

/// An action as it goes into a session.
pub struct Action<'a> {
    pub ts: i64,
    pub category: &'a str,
    /// Minor units; none if nothing was bought.
    pub bought: Option<i64>,
}

/// The features of a session.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    pub first_ms: i64,
    pub last_ms: i64,
    pub actions: i64,
    pub purchases: i64,
    /// 128 bits hold any sum of amounts.
    pub amount: i128,
    pub categories: BTreeSet<String>,
}

impl Aggregate for Session {
    type Input<'i> = Action<'i>;
    type Result = Self;

    fn add(&mut self, action: &Action<'_>) {
        let first = self.actions == 0;
        self.first_ms = if first { action.ts } else { self.first_ms.min(action.ts) };
        self.last_ms = if first { action.ts } else { self.last_ms.max(action.ts) };
        self.actions += 1;
        if let Some(amount) = action.bought {
            self.purchases += 1;
            self.amount += i128::from(amount);
        }
        if self.categories.len() < CATEGORIES_MAX {
            self.categories.insert(action.category.to_owned());
        }
    }

    fn merge(&mut self, other: Self) {
        if self.actions == 0 {
            *self = other;
            return;
        }
        self.first_ms = self.first_ms.min(other.first_ms);
        self.last_ms = self.last_ms.max(other.last_ms);
        self.actions += other.actions;
        self.purchases += other.purchases;
        self.amount += other.amount;
        for category in other.categories {
            if self.categories.len() < CATEGORIES_MAX {
                self.categories.insert(category);
            }
        }
    }

    fn result(&self) -> Self {
        self.clone()
    }
}
