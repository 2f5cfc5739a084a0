//! The stage's `config`.

use millstream_udf::prelude::*;

/// Routes, at most.
const ROUTES_MAX: usize = 100;

/// The settings.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// In order; the first that holds decides.
    pub routes: Vec<Route>,
    /// Where a record goes for which none holds.
    #[serde(default = "rest")]
    pub otherwise: Target,
    /// Whether a record goes to every route that holds, and not only to the first.
    #[serde(default)]
    pub all: bool,
}

/// One route.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// The condition.
    pub when: String,
    /// The output.
    pub to: Target,
}

/// An output, or none.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "lowercase")]
pub enum Target {
    A,
    B,
    C,
    D,
    E,
    F,
    G,
    H,
    Rest,
    /// Nowhere.
    Drop,
}

fn rest() -> Target {
    Target::Rest
}

impl Config {
    /// The configuration, if it makes sense.
    pub fn checked(self) -> Result<Self> {
        let count = self.routes.len();
        ensure!(
            (1..=ROUTES_MAX).contains(&count),
            "there are {count} routes; there must be 1 to {ROUTES_MAX}"
        );
        Ok(self)
    }
}
