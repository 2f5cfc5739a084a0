//! A key risk indicator: its level by thresholds with hysteresis, and how long it has been red. Values are in millionths.

use millstream_udf::prelude::*;

/// How bad an indicator is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Level {
    /// As it should be.
    #[default]
    Green,
    /// To be watched.
    Amber,
    /// To be acted on.
    Red,
}

impl Level {
    /// Its name in an output.
    pub fn name(self) -> &'static str {
        match self {
            Self::Green => "green",
            Self::Amber => "amber",
            Self::Red => "red",
        }
    }
}

/// Thresholds of an indicator. It is bad above them if `red` is above `amber`, else below them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thresholds {
    /// At this value and beyond it is amber.
    pub amber: i64,
    /// At this value and beyond it is red.
    pub red: i64,
    /// A level is left only when the value is back by more than this.
    pub margin: i64,
}

impl Thresholds {
    /// The level of a value, of an indicator that has had `level`.
    pub fn level(&self, value: i64, level: Level) -> Level {
        let worse_above = self.red > self.amber;
        let is_at = |threshold: i64, of: Level| {
            // How far the value is beyond the threshold; negative if it is on the good side.
            let difference = i128::from(value) - i128::from(threshold);
            let beyond = if worse_above { difference } else { -difference };
            let slack = if level >= of { i128::from(self.margin) } else { 0 };
            beyond >= -slack
        };
        if is_at(self.red, Level::Red) {
            Level::Red
        } else if is_at(self.amber, Level::Amber) {
            Level::Amber
        } else {
            Level::Green
        }
    }

    /// The threshold at which a level begins; that of amber for green.
    pub fn of(&self, level: Level) -> i64 {
        if level == Level::Red { self.red } else { self.amber }
    }
}

/// What is kept of an indicator.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Indicator {
    /// The last reading: when, and what.
    pub reading: Option<(i64, i64)>,
    /// The level.
    pub level: Level,
    /// Since when it is red.
    pub red_since: Option<i64>,
    /// Steps of escalation taken since then.
    pub steps: u32,
}

/// A step of escalation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// From 1.
    pub number: u32,
    /// When it was due.
    pub due: i64,
    /// Since when the indicator is red.
    pub since: i64,
    /// Its value.
    pub value: i64,
}

impl Indicator {
    /// Takes the steps that are due at `now`, for an indicator that has not been read since. The timers come when the watermark does;
    /// a reading that is ahead of it takes them itself, so that they do not depend on it.
    pub fn escalate(&mut self, now: i64, waits_ms: &[i64]) -> Vec<Step> {
        let (Some(since), Some((_, value))) = (self.red_since, self.reading) else {
            return Vec::new();
        };
        let mut steps = Vec::new();
        for wait in waits_ms.iter().skip(self.steps as usize) {
            let due = since.saturating_add(*wait);
            if due > now {
                break;
            }
            self.steps += 1;
            steps.push(Step { number: self.steps, due, since, value });
        }
        steps
    }
}
