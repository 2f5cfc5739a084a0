//! The stage's `config`: the model, and what is made of its result.

use std::collections::BTreeMap;

use finance::exact::{Exact, Fixed};
use millstream_udf::prelude::*;

use crate::linear::Linear;
use crate::trees::{Ensemble, WrittenNode};

/// One, in millionths.
pub const ONE: i64 = 1_000_000;
/// Features of a model, at most.
pub const FEATURES_MAX: usize = 1_000;

/// The settings as they are written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Written {
    model: WrittenModel,
    #[serde(default)]
    link: Link,
    #[serde(default = "five")]
    reasons: usize,
    #[serde(default)]
    codes: BTreeMap<String, String>,
    #[serde(default)]
    decisions: Vec<Decision>,
    points: Option<Points>,
}

fn five() -> usize {
    5
}

/// Exactly one of the kinds.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenModel {
    xgboost: Option<Xgboost>,
    linear: Option<Linear>,
}

/// An ensemble that XGBoost has trained.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Xgboost {
    base_score: f64,
    trees: Vec<WrittenNode>,
}

/// How the sum of a model becomes its result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Link {
    /// `1 / (1 + exp(-sum))`: the sum is the logarithm of odds, the result a probability.
    #[default]
    Logistic,
    /// The sum itself.
    Identity,
}

/// What to do with results below a bound.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decision {
    /// Results below this; none for all that are left.
    pub below: Option<Fixed<6>>,
    /// Its name.
    pub decision: String,
}

/// How odds become points, as on scorecards.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Points {
    /// Points at these odds of good to bad.
    pub at: i64,
    pub odds: f64,
    /// Points that double the odds.
    pub double: f64,
    /// The range.
    pub min: i64,
    pub max: i64,
}

/// A model.
#[derive(Debug)]
pub enum Model {
    Trees(Ensemble),
    Linear(Linear),
}

/// All settings, checked.
#[derive(Debug)]
pub struct Config {
    /// The model.
    pub model: Model,
    /// How its sum becomes a result.
    pub link: Link,
    /// Reasons that are named; what is left is one more.
    pub reasons: usize,
    /// Reason codes by feature; a feature without one is its own.
    pub codes: BTreeMap<String, String>,
    /// What to do, the lowest bound first.
    pub decisions: Vec<Decision>,
    /// How odds become points.
    pub points: Option<Points>,
}

impl Written {
    /// The configuration, if it makes sense.
    pub fn checked(self) -> Result<Config> {
        let model = match (self.model.xgboost, self.model.linear) {
            (Some(Xgboost { base_score, trees }), None) => {
                // XGBoost keeps the base score as the result, and adds its logarithm of odds to the sum.
                let base = match self.link {
                    Link::Identity => base_score,
                    Link::Logistic => {
                        ensure!(
                            base_score > 0.0 && base_score < 1.0,
                            "`base_score` is {base_score}; it must be above 0 and below 1"
                        );
                        libm::log(base_score / (1.0 - base_score))
                    }
                };
                Model::Trees(Ensemble::new(base, trees)?)
            }
            (None, Some(linear)) => Model::Linear(linear.checked()?),
            _ => bail!("`model` needs either `xgboost` or `linear`"),
        };
        let count = self.decisions.len();
        for (i, decision) in self.decisions.iter().enumerate() {
            ensure!(
                decision.below.is_some() || i + 1 == count,
                "`decisions`: only the last may have no `below`"
            );
        }
        let bounds = self.decisions.iter().filter_map(|decision| decision.below);
        ensure!(
            bounds.collect::<Vec<_>>().is_sorted_by(|a, b| a < b),
            "`decisions`: `below` must rise"
        );
        if let Some(Decision { below: Some(bound), decision }) = self.decisions.last() {
            bail!(
                "`decisions`: nothing is said about results from {} on, behind `{decision}`",
                Exact::new(bound.0, 6)
            );
        }
        if let Some(points) = &self.points {
            ensure!(
                self.link == Link::Logistic,
                "`points` are made of odds: `link` must be `logistic`"
            );
            ensure!(
                points.odds > 0.0 && points.double > 0.0 && points.min <= points.max,
                "`points`: `odds` and `double` must be above 0, and `min` not above `max`"
            );
        }
        Ok(Config {
            model,
            link: self.link,
            reasons: self.reasons,
            codes: self.codes,
            decisions: self.decisions,
            points: self.points,
        })
    }
}

impl Points {
    /// Points of a logarithm of odds of bad to good: `at - double / ln 2 * (sum + ln odds)`, rounded and held within the range.
    pub fn of(&self, sum: f64) -> i64 {
        let factor = self.double / std::f64::consts::LN_2;
        let points = self.at as f64 - factor * (sum + libm::log(self.odds));
        // The cast saturates.
        (libm::rint(points) as i64).clamp(self.min, self.max)
    }
}
