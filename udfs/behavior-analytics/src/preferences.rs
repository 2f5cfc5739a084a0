//! Preferences: how a customer's actions spread over categories, lately and usually, and how far the two are apart.

use std::collections::BTreeMap;

use finance::fading::Passage;
use millstream_udf::prelude::*;

use crate::config::{DAY_MS, Drift};

/// Categories kept, at most; the weakest makes room.
pub const CATEGORIES_MAX: usize = 32;
/// Units of an action's weight: fine enough for what is cut off at each step of fading not to show.
const ONE: i64 = 1_000_000;
/// The most that a category can weigh, so that sums stay far from overflow.
const WEIGHT_MAX: i64 = 1 << 40;

/// Weights of categories that fade, as of the newest action.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preferences {
    /// Millionths of actions: lately and usually.
    weights: BTreeMap<String, (i64, i64)>,
    as_of_ms: i64,
    pub actions: i64,
    /// Whether they have drifted.
    pub drifted: bool,
}

impl Preferences {
    /// Takes an action in. What comes late has faded since.
    pub fn add(&mut self, category: &str, ts: i64, config: &Drift) {
        let (short_ms, long_ms) = (config.short_days * DAY_MS, config.long_days * DAY_MS);
        let passage = Passage::to(ts, (self.actions > 0).then_some(self.as_of_ms));
        for (short, long) in self.weights.values_mut() {
            *short = passage.left(*short, short_ms);
            *long = passage.left(*long, long_ms);
        }
        self.as_of_ms = passage.as_of_ms;
        let added = (passage.added(ONE, short_ms), passage.added(ONE, long_ms));
        if !self.weights.contains_key(category) && self.weights.len() >= CATEGORIES_MAX {
            let weakest = self.weights.iter().min_by_key(|(_, weights)| weights.1);
            if let Some(weakest) = weakest.map(|(name, _)| name.clone()) {
                self.weights.remove(&weakest);
            }
        }
        let (short, long) = self.weights.entry(category.to_owned()).or_default();
        *short = (*short + added.0).min(WEIGHT_MAX);
        *long = (*long + added.1).min(WEIGHT_MAX);
        self.actions += 1;
    }

    /// The categories with the largest shares lately, in thousandths, the largest first.
    pub fn lately(&self, top: usize) -> Vec<(String, i64)> {
        let sum: i64 = self.weights.values().map(|(short, _)| short).sum();
        let share = |short: i64| if sum == 0 { 0 } else { short * 1_000 / sum };
        let weights = self.weights.iter();
        let mut shares: Vec<_> =
            weights.map(|(name, (short, _))| (name.clone(), share(*short))).collect();
        shares.sort_by_key(|(_, share)| std::cmp::Reverse(*share));
        shares.truncate(top);
        shares
    }

    /// The total variation distance between what a customer does lately and usually, in thousandths: 0 for the same spread
    /// over categories, 1,000 for nothing in common. Rounded towards zero.
    pub fn distance_milli(&self) -> i64 {
        let sum =
            |of: fn(&(i64, i64)) -> i64| self.weights.values().map(|w| i128::from(of(w))).sum();
        let (short_sum, long_sum): (i128, i128) = (sum(|w| w.0), sum(|w| w.1));
        if short_sum == 0 || long_sum == 0 {
            return 0;
        }
        let apart = |(short, long): &(i64, i64)| {
            (i128::from(*short) * long_sum - i128::from(*long) * short_sum).abs()
        };
        let apart: i128 = self.weights.values().map(apart).sum();
        (apart * 500 / (short_sum * long_sum)) as i64
    }

    /// Whether the preferences have just begun or stopped to drift, with the distance: from `drifted_milli` on they have
    /// drifted, until they are at `steady_milli` or below.
    pub fn change(&mut self, config: &Drift) -> Option<i64> {
        if self.actions < config.min_actions {
            return None;
        }
        let distance = self.distance_milli();
        let drifted = match self.drifted {
            true => distance > config.steady_milli,
            false => distance >= config.drifted_milli,
        };
        (drifted != std::mem::replace(&mut self.drifted, drifted)).then_some(distance)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Two spreads by hand: half of the weight lately is where a third usually is, and so on.
    #[test]
    fn the_distance_is_the_share_that_moved() {
        let weights = [("a", (500, 1_000)), ("b", (500, 0)), ("c", (0, 2_000))];
        let weights = weights.map(|(name, weights)| (name.to_owned(), weights)).into();
        let preferences = Preferences { weights, ..Preferences::default() };
        // |1/2 - 1/3| + |1/2 - 0| + |0 - 2/3| = 4/3, of which half is the distance.
        assert_eq!(preferences.distance_milli(), 666);
        assert_eq!(preferences.lately(2), [("a".into(), 500), ("b".into(), 500)]);
        assert_eq!(Preferences::default().distance_milli(), 0);
    }

    #[test]
    fn drift_begins_and_ends_apart() {
        let config = Drift { min_actions: 5, ..Drift::default() };
        let mut preferences = Preferences::default();
        let mut changes = Vec::new();
        for day in 0..200 {
            preferences.add(if day < 60 { "books" } else { "camping" }, day * DAY_MS, &config);
            if let Some(distance) = preferences.change(&config) {
                changes.push((day, distance, preferences.drifted));
            }
        }
        assert_eq!(changes.len(), 2, "{changes:?}");
        assert!((60..80).contains(&changes[0].0) && changes[0].1 >= 400 && changes[0].2);
        assert!(changes[1].0 > changes[0].0 + 20 && changes[1].1 <= 200 && !changes[1].2);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn distances_and_shares_stay_in_bounds(actions in prop::collection::vec((0..60_u8, 0..400_i64), 1..150)) {
            let mut preferences = Preferences::default();
            for (category, day) in actions {
                preferences.add(&format!("c{category}"), day * DAY_MS, &Drift::default());
                prop_assert!((0..=1_000).contains(&preferences.distance_milli()));
                prop_assert!(preferences.weights.len() <= CATEGORIES_MAX);
                let shares: i64 = preferences.lately(CATEGORIES_MAX).iter().map(|(_, share)| share).sum();
                prop_assert!((0..=1_000).contains(&shares));
            }
        }
    }
}
