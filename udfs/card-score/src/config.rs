//! The stage's `config`: which of the two stages it is, and what adds how many points.

use std::collections::BTreeMap;
use std::time::Duration;

use finance::Currency;
use finance::exact::{Exact, Fixed};
use millstream_udf::prelude::*;

/// The highest score.
pub const SCORE_MAX: i64 = 1_000;
/// The longest half-life, in milliseconds: a year.
const HALF_LIFE_MS_MAX: u128 = 366 * 86_400_000;

/// The settings.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What the stage does.
    pub role: Role,
    /// ISO 4217 code of all amounts.
    #[serde(default = "euro")]
    pub currency: Currency,
    /// Half-life of counts and amounts.
    #[serde(default = "hour", with = "millstream_udf::duration")]
    pub half_life: Duration,
    /// What adds points, by signal. Only for `score`.
    #[serde(default)]
    pub signals: BTreeMap<String, Ramp>,
    /// Points by merchant, and by merchant category. Only for `score`.
    #[serde(default)]
    pub merchants: BTreeMap<String, i64>,
    #[serde(default)]
    pub categories: BTreeMap<String, i64>,
    /// From these scores on a transaction is reviewed, or declined.
    #[serde(default = "review")]
    pub review: i64,
    #[serde(default = "decline")]
    pub decline: i64,
}

/// What a stage does.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Counts by the key, and passes transactions on with the counts under this name.
    Velocity(String),
    /// Counts by the card, which is the key, and scores.
    Score,
}

/// Points that grow evenly from none at `from` to all of them at `to` and beyond.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ramp {
    /// In the signal's unit, with up to three digits.
    pub from: Fixed<3>,
    pub to: Fixed<3>,
    /// At most this many.
    pub points: i64,
}

fn euro() -> Currency {
    Currency::EUR
}

fn hour() -> Duration {
    Duration::from_secs(3_600)
}

fn review() -> i64 {
    400
}

fn decline() -> i64 {
    700
}

impl Ramp {
    /// The points of a value in thousandths, rounded down.
    pub fn points(&self, milli: i64) -> i64 {
        let (from, to) = (i128::from(self.from.0), i128::from(self.to.0));
        let above = (i128::from(milli) - from).clamp(0, to - from);
        (above * i128::from(self.points) / (to - from)) as i64
    }
}

/// Signals that are always there; those of other stages are `NAME_count`, `NAME_amount` and `NAME_cards`.
pub const OWN_SIGNALS: [&str; 4] = ["amount", "card_count", "card_amount", "travel_speed"];

impl Config {
    /// The configuration, if it makes sense.
    pub fn checked(self) -> Result<Self> {
        let half_life = self.half_life.as_millis();
        ensure!(
            (1..=HALF_LIFE_MS_MAX).contains(&half_life),
            "`half_life` is {:?}; it must be 1ms to 366d",
            self.half_life
        );
        if let Role::Velocity(name) = &self.role {
            ensure!(
                !name.is_empty() && name != "card",
                "`role`: a velocity cannot be named `{name}`"
            );
            ensure!(
                self.signals.is_empty() && self.merchants.is_empty() && self.categories.is_empty(),
                "`role: {{ velocity: {name} }}` gives no points: leave `signals`, `merchants` and `categories` to `score`"
            );
        }
        for (name, ramp) in &self.signals {
            let known = OWN_SIGNALS.contains(&&name[..])
                || ["_count", "_amount", "_cards"].iter().any(|ending| name.ends_with(ending));
            ensure!(known, "`{name}` is no signal");
            ensure!(
                ramp.from < ramp.to,
                "`signals` of `{name}`: `from` is {} and `to` {}; it must be more",
                Exact::new(ramp.from.0, 3),
                Exact::new(ramp.to.0, 3)
            );
        }
        let points = self.signals.values().map(|ramp| &ramp.points);
        for points in points.chain(self.merchants.values()).chain(self.categories.values()) {
            ensure!(
                (0..=SCORE_MAX).contains(points),
                "{points} points; they must be 0 to {SCORE_MAX}"
            );
        }
        let (review, decline) = (self.review, self.decline);
        ensure!(
            0 < review && review <= decline && decline <= SCORE_MAX + 1,
            "`review` is {review} and `decline` {decline}; they must rise, and be 1 to {}",
            SCORE_MAX + 1
        );
        Ok(self)
    }

    /// The half-life in milliseconds.
    pub fn half_life_ms(&self) -> i64 {
        // Checked to be a year at most.
        self.half_life.as_millis() as i64
    }
}
