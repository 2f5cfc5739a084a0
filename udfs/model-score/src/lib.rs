//! Scores records with a model that is given as configuration: logistic or linear regression, or a decision-tree ensemble exported from
//! XGBoost. Says what each feature adds to the sum. The same bits natively and in the sandbox: only IEEE operations, and `libm`.

mod config;
mod explain;
mod linear;
mod shapley;
mod trees;

use std::collections::BTreeMap;

use millstream_udf::prelude::*;

use crate::config::{Config, Link, Model, Written};
use crate::explain::millionths;

/// What is scored. The key is of no consequence: nothing is kept.
#[derive(Input)]
struct Record<'a> {
    id: &'a str,
    /// Numbers by name; a feature that is missing, or null, is unknown.
    features: Json<BTreeMap<String, Option<f64>>>,
}

/// A score and what made it.
#[derive(Output)]
#[output(tag = "type", value = "score")]
struct Score<'a> {
    id: &'a str,
    /// A probability, or the sum itself.
    result: Decimal<6>,
    points: Option<i64>,
    decision: Option<&'a str>,
    /// The model's sum: `expected` and all `effect`s.
    sum: Decimal<6>,
    /// What the sum is on average.
    expected: Decimal<6>,
    reasons: Json<Vec<Reason<'a>>>,
}

/// A feature's share of the sum.
#[derive(Serialize)]
struct Reason<'a> {
    code: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    feature: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<f64>,
    effect: finance::Exact,
}

/// The UDF.
struct ModelScore {
    config: Config,
}

#[udf(name = "model-score", version = "1.0.0", outputs = Emit<Score<'static>>)]
impl ModelScore {
    fn new(config: Written) -> Result<Self> {
        Ok(Self { config: config.checked()? })
    }

    fn process(&self, record: Record<'_>, out: &mut Emit<Score<'_>>) -> Result<()> {
        let features = &record.features.0;
        let explained = match &self.config.model {
            Model::Trees(ensemble) => ensemble.explain(features),
            Model::Linear(linear) => linear.explain(features),
        };
        let Some(rounded) = explained.rounded() else {
            bail!("the sum of {} cannot be told in millionths", explained.sum)
        };
        let result = match self.config.link {
            Link::Identity => rounded.sum,
            Link::Logistic => {
                millionths(1.0 / (1.0 + libm::exp(-explained.sum))).unwrap_or_default()
            }
        };
        let decision = self
            .config
            .decisions
            .iter()
            .find(|decision| decision.below.is_none_or(|bound| result < bound.0));
        let mut shares = rounded.shares;
        shares.retain(|(_, share)| *share != 0);
        shares.sort_by_key(|(feature, share)| (std::cmp::Reverse(share.unsigned_abs()), *feature));
        let effect = |millionths| finance::Exact::new(millionths, 6);
        let (named, others) = shares.split_at(shares.len().min(self.config.reasons));
        let mut reasons: Vec<Reason<'_>> = named
            .iter()
            .map(|(feature, share)| Reason {
                code: self.config.codes.get(*feature).map_or(*feature, String::as_str),
                feature: Some(feature),
                value: features.get(*feature).copied().flatten(),
                effect: effect(*share),
            })
            .collect();
        if !others.is_empty() {
            let sum = others.iter().map(|(_, share)| share).sum();
            reasons.push(Reason {
                code: "others",
                feature: None,
                value: None,
                effect: effect(sum),
            });
        }
        out.emit(Score {
            id: record.id,
            result: Decimal::from_units(result),
            points: self.config.points.map(|points| points.of(explained.sum)),
            decision: decision.map(|decision| &decision.decision[..]),
            sum: Decimal::from_units(rounded.sum),
            expected: Decimal::from_units(rounded.expected),
            reasons: Json(reasons),
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests;
