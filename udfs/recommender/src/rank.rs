//! From interests to recommendations.

use std::collections::BTreeMap;

use millstream_udf::prelude::*;

use crate::config::{Config, HOUR_MS};
use crate::customer::Behaviour;

/// A product recommended to a customer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Recommendation {
    pub product_id: String,
    pub reason: Reason,
    /// Points, with three digits.
    pub score: f64,
}

/// What spoke most for a product.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "code")]
pub enum Reason {
    /// The customer has looked at it.
    Viewed,
    /// It is in the customer's favourite categories.
    Category { category: String },
    /// The customer looked at it together with the product at hand.
    Together { with: String },
    /// It is tried out: how often it was shown before with products of this category, and clicked on.
    Explored { category: String, shown: u32, clicked: u32 },
}

/// What speaks for a product, in thousandths of a point.
#[derive(Default)]
struct Case {
    viewed: i64,
    category: Option<(String, i64)>,
    together: i64,
}

/// The `top` products with the most points that are not owned, the most first; of equals the one whose name
/// comes first; of one category no more than `category_max`. `together` are products seen with `at_hand`, with thousandths of a point.
pub fn rank(
    behaviour: &Behaviour,
    together: &[(String, i64)],
    at_hand: &str,
    now_ms: i64,
    config: &Config,
    top: usize,
    mut owned: impl FnMut(&str) -> bool,
) -> Vec<Recommendation> {
    let product_half_life_ms = config.product_half_life_hours * HOUR_MS;
    let category_half_life_ms = config.category_half_life_hours * HOUR_MS;
    let mut cases: BTreeMap<&str, Case> = BTreeMap::new();
    for interest in behaviour.products.iter() {
        cases.entry(&interest.id).or_default().viewed = interest.at(now_ms, product_half_life_ms);
    }
    for (product, milli) in together {
        cases.entry(product).or_default().together = milli * config.together;
    }
    for listed in &config.catalogue {
        let milli = behaviour.categories.of(&listed.category, now_ms, category_half_life_ms);
        if milli > 0 {
            cases.entry(&listed.product_id).or_default().category =
                Some((listed.category.clone(), milli));
        }
    }
    let mut ranked: Vec<(i64, &str, Reason)> = cases
        .into_iter()
        .map(|(product, case)| {
            let (points, reason) = case.decide(at_hand);
            (points, product, reason)
        })
        .filter(|(points, product, _)| *points > 0 && *product != at_hand)
        .collect();
    ranked.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(b.1)));
    let not_owned = ranked.into_iter().filter(|(_, product, _)| !owned(product));
    let mut taken: BTreeMap<&str, usize> = BTreeMap::new();
    let diverse = not_owned.filter(|(_, product, _)| {
        let Some(most) = config.category_max else { return true };
        let Some(category) = config.category(product) else { return true };
        let taken = taken.entry(category).or_default();
        *taken += 1;
        *taken <= most
    });
    diverse
        .take(top)
        .map(|(milli, product, reason)| Recommendation {
            product_id: product.to_owned(),
            reason,
            score: milli as f64 / 1_000.0,
        })
        .collect()
}

impl Case {
    /// All points, and the largest part of them.
    fn decide(self, at_hand: &str) -> (i64, Reason) {
        let (category, of_category) = self.category.unwrap_or_default();
        let points = self.viewed + self.together + of_category;
        let reason = if self.together > 0 && self.together >= self.viewed.max(of_category) {
            Reason::Together { with: at_hand.to_owned() }
        } else if of_category > self.viewed {
            Reason::Category { category }
        } else {
            Reason::Viewed
        };
        (points, reason)
    }
}
