//! What is kept of a customer.

use millstream_udf::prelude::*;

use crate::bandit::Bandit;
use crate::interests::Interests;

/// Products with points, at most.
pub const PRODUCTS_MAX: usize = 32;
/// Categories with points, at most.
pub const CATEGORIES_MAX: usize = 16;
/// Products of the running session, at most.
pub const SESSION_MAX: usize = 4;
/// Products kept as seen together with one product, and looked at when recommending.
pub const TOGETHER_MAX: usize = 8;

/// All states. In the role `learn` the key is no customer but a context: it has `bandits` and `tried` alone.
#[derive(States)]
pub struct Customer {
    pub behaviour: Value<Behaviour>,
    /// What the customer has bought. A product may be recommended again two years later.
    #[state(ttl = "730d")]
    pub owned: Map<String, ()>,
    /// Per product those seen together with it.
    #[state(ttl = "90d")]
    pub together: Map<String, Companions>,
    /// What is tried out, by the category at hand.
    #[state(ttl = "365d")]
    pub bandits: Map<String, Bandit>,
    /// Products that are tried out, with the category at hand when they were shown last and were not clicked on since. In the
    /// role `learn` products and customers, by [`shown_to`].
    #[state(ttl = "7d")]
    pub tried: Map<String, String>,
}

/// The entry of a product that was shown to a customer.
pub fn shown_to(product: &str, customer: &str) -> String {
    format!("{}:{product}{customer}", product.len())
}

/// Interests and the running session.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Behaviour {
    pub products: Interests<PRODUCTS_MAX>,
    pub categories: Interests<CATEGORIES_MAX>,
    /// The last products and when, newest last.
    pub session: Vec<(String, i64)>,
}

/// Products seen together with one product.
pub type Companions = Interests<TOGETHER_MAX>;

impl Behaviour {
    /// Adds a product to the session, and gives those that were in it already.
    pub fn join_session(&mut self, product: &str, at_ms: i64, session_ms: i64) -> Vec<String> {
        self.session.retain(|(other, seen_ms)| {
            other != product && at_ms.abs_diff(*seen_ms) <= session_ms.unsigned_abs()
        });
        let companions = self.session.iter().map(|(other, _)| other.clone()).collect();
        if self.session.len() >= SESSION_MAX {
            self.session.remove(0);
        }
        self.session.push((product.to_owned(), at_ms));
        companions
    }
}

impl Customer {
    /// Counts two products as seen together, both ways.
    pub fn pair(&mut self, a: &str, b: &str, at_ms: i64, half_life_ms: i64) {
        for (one, other) in [(a, b), (b, a)] {
            let mut companions = self.together.get(one).unwrap_or_default();
            companions.add(other, 1, at_ms, half_life_ms);
            self.together.insert(one, &companions);
        }
    }

    /// The products seen together with one, with thousandths of a point.
    pub fn companions(&self, product: &str, now_ms: i64, half_life_ms: i64) -> Vec<(String, i64)> {
        let companions = self.together.get(product).unwrap_or_default();
        companions
            .iter()
            .map(|interest| (interest.id.clone(), interest.at(now_ms, half_life_ms)))
            .collect()
    }
}
