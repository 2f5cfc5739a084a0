//! A linear model: a sum of coefficients times features. Under the logistic link it is logistic regression.

use std::collections::BTreeMap;

use millstream_udf::prelude::*;

use crate::config::FEATURES_MAX;
use crate::explain::Explained;

/// The model, as it is written.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Linear {
    /// The sum without features.
    intercept: f64,
    /// By feature.
    coefficients: BTreeMap<String, f64>,
    /// Means of the features, from which shares are counted and which stand in for what is missing; 0 unless given.
    #[serde(default)]
    means: BTreeMap<String, f64>,
}

impl Linear {
    /// The model, if its numbers make sense.
    pub fn checked(self) -> Result<Self> {
        ensure!(
            self.coefficients.len() <= FEATURES_MAX,
            "a model of {} features; {FEATURES_MAX} are allowed",
            self.coefficients.len()
        );
        for feature in self.means.keys() {
            ensure!(
                self.coefficients.contains_key(feature),
                "`means` has `{feature}`, which has no coefficient"
            );
        }
        Ok(self)
    }

    /// The sum of a record, from its expectation at the means: each share is `coefficient * (value - mean)`, which is the feature's
    /// Shapley value if features are independent (Lundberg and Lee 2017, corollary 1).
    pub fn explain<'m>(&'m self, features: &BTreeMap<String, Option<f64>>) -> Explained<'m> {
        let mean = |feature: &str| self.means.get(feature).copied().unwrap_or(0.0);
        let expected = self
            .coefficients
            .iter()
            .fold(self.intercept, |sum, (feature, coefficient)| sum + coefficient * mean(feature));
        let shares = self.coefficients.iter().map(|(feature, coefficient)| {
            let value = features.get(feature).copied().flatten();
            let share = value.map_or(0.0, |value| coefficient * (value - mean(feature)));
            (&feature[..], share)
        });
        let shares: Vec<_> = shares.collect();
        let sum = shares.iter().fold(expected, |sum, (_, share)| sum + share);
        Explained { sum, expected, shares }
    }
}
