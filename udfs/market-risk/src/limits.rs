//! What limits may be set on.

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

impl std::fmt::Display for Measure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// A limit of a book.
pub type Limit = finance::limits::Limit<Measure>;
/// The limits that are breached, with the time since when.
pub type Breaches = finance::limits::Breaches<Measure>;
