//! Limits with hysteresis: raised above the limit, cleared only at or below a lower mark, so that a measure that
//! wavers about its limit is reported once.

use std::collections::BTreeMap;

use millstream_udf::prelude::*;

/// What a limit is set on. All are amounts of money.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// The sum of the holdings' values without their signs.
    GrossExposure,
    /// The size of the sum of the holdings' values.
    NetExposure,
    /// The largest holding.
    Concentration,
    /// The loss of the period.
    Loss,
    /// Value at risk at the highest level of confidence.
    ValueAtRisk,
    /// Expected shortfall at the highest level of confidence.
    ExpectedShortfall,
}

impl Measure {
    /// Its name in a configuration and in an output.
    pub fn name(self) -> &'static str {
        match self {
            Self::GrossExposure => "gross_exposure",
            Self::NetExposure => "net_exposure",
            Self::Concentration => "concentration",
            Self::Loss => "loss",
            Self::ValueAtRisk => "value_at_risk",
            Self::ExpectedShortfall => "expected_shortfall",
        }
    }
}

/// A limit in minor units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// What is limited.
    pub measure: Measure,
    /// A measure above this is a breach.
    pub limit: i64,
    /// A breach is over once the measure is at or below this.
    pub clear: i64,
}

/// A limit that was breached, or is kept again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crossing {
    /// The limit.
    pub limit: Limit,
    /// What was measured.
    pub value: i64,
    /// Whether the breach begins.
    pub raised: bool,
    /// When the breach began, in milliseconds since 1970 UTC.
    pub since: i64,
}

/// The limits that are breached, with the time since when.
pub type Breaches = BTreeMap<Measure, i64>;

/// Compares what was measured at a time with the limits, and gives what has changed. A measure that is `None` is unknown, and
/// changes nothing; a breach of a limit that is no longer set is forgotten.
pub fn check(
    limits: &[Limit],
    measured: impl Fn(Measure) -> Option<i64>,
    at: i64,
    breaches: &mut Breaches,
) -> Vec<Crossing> {
    breaches.retain(|measure, _| limits.iter().any(|limit| limit.measure == *measure));
    let mut crossings = Vec::new();
    for limit in limits {
        let Some(value) = measured(limit.measure) else { continue };
        let since = breaches.get(&limit.measure).copied();
        match since {
            None if value > limit.limit => {
                breaches.insert(limit.measure, at);
                crossings.push(Crossing { limit: *limit, value, raised: true, since: at });
            }
            Some(since) if value <= limit.clear => {
                breaches.remove(&limit.measure);
                crossings.push(Crossing { limit: *limit, value, raised: false, since });
            }
            _ => {}
        }
    }
    crossings
}
