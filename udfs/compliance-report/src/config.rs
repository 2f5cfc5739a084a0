//! The stage's `config`: what the report is, for which periods, and its lines.

use std::time::Duration;

use finance::{Calendar, Currency};
use millstream_udf::prelude::*;

use crate::periods::{Kind, Periods};

/// Lines of a report, at most.
const LINES_MAX: usize = 64;

/// All settings.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The report's name.
    pub report: String,
    /// ISO 4217 code of all amounts.
    pub currency: Currency,
    pub period: Kind,
    #[serde(default)]
    pub utc_offset_minutes: i32,
    /// Weekends and holidays, for business days.
    #[serde(default)]
    pub calendar: Calendar,
    /// How long after its end a period still takes records. Each makes a new version of the report.
    #[serde(default, with = "millstream_udf::duration")]
    pub lateness: Duration,
    pub lines: Vec<Line>,
}

/// A line of the report.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    pub code: String,
    /// The classes of records that it adds up. A class may be in several lines.
    pub classes: Vec<String>,
    /// The line is reported only if it is above this.
    pub threshold_minor: Option<i64>,
}

impl Config {
    /// The configuration, if it makes sense.
    pub fn checked(self) -> Result<Self> {
        ensure!(!self.report.is_empty(), "`report` is empty");
        let offset = self.utc_offset_minutes;
        ensure!(
            (-1_440..=1_440).contains(&offset),
            "`utc_offset_minutes` is {offset}; it must be -1440 to 1440"
        );
        let lines = self.lines.len();
        ensure!(
            (1..=LINES_MAX).contains(&lines),
            "`lines` has {lines} entries; it must have 1 to {LINES_MAX}"
        );
        for (i, line) in self.lines.iter().enumerate() {
            let twice = self.lines[..i].iter().any(|other| other.code == line.code);
            ensure!(!twice, "line `{}` is named twice", line.code);
            ensure!(!line.classes.is_empty(), "line `{}` adds up no class", line.code);
        }
        Ok(self)
    }

    /// How time is divided.
    pub fn periods(&self) -> Periods {
        Periods {
            kind: self.period,
            utc_offset_minutes: self.utc_offset_minutes,
            calendar: self.calendar.clone(),
        }
    }

    /// [`Self::lateness`] in milliseconds.
    pub fn lateness_ms(&self) -> i64 {
        i64::try_from(self.lateness.as_millis()).unwrap_or(i64::MAX)
    }
}
