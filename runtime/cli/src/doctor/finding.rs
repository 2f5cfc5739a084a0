//! One judgement.

use serde::Serialize;

use crate::output::{Cell, Listed, Tone};

/// How something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// As it should be.
    Ok,
    /// Cannot be known from here; a person must look.
    Unknown,
    /// Works, and will hurt some day.
    Warn,
    /// Does not work, or loses data.
    Fail,
}

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at.
    pub check: String,
    /// How it is.
    pub level: Level,
    /// The value found, with the limit.
    pub found: String,
    /// What to do; none when all is well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
}

impl Finding {
    /// All is well.
    pub fn ok(check: impl Into<String>, found: impl Into<String>) -> Self {
        Finding { check: check.into(), level: Level::Ok, found: found.into(), advice: None }
    }

    /// Works, and will hurt.
    pub fn warn(
        check: impl Into<String>,
        found: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Finding { level: Level::Warn, advice: Some(advice.into()), ..Finding::ok(check, found) }
    }

    /// Does not work.
    pub fn fail(
        check: impl Into<String>,
        found: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Finding { level: Level::Fail, advice: Some(advice.into()), ..Finding::ok(check, found) }
    }

    /// Cannot be known from here.
    pub fn unknown(
        check: impl Into<String>,
        found: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Finding { level: Level::Unknown, advice: Some(advice.into()), ..Finding::ok(check, found) }
    }
}

impl Listed for Finding {
    const COLUMNS: &'static [&'static str] = &["CHECK", "", "FOUND", "WHAT TO DO"];

    fn name(&self) -> String {
        self.check.clone()
    }

    fn cells(&self) -> Vec<Cell> {
        let level = match self.level {
            Level::Ok => Cell::toned("ok", Tone::Good),
            Level::Unknown => Cell::text("?"),
            Level::Warn => Cell::toned("warn", Tone::Warn),
            Level::Fail => Cell::toned("FAIL", Tone::Bad),
        };
        let advice = self.advice.as_deref().unwrap_or_default();
        vec![Cell::text(&self.check), level, Cell::text(&self.found), Cell::text(advice)]
    }
}
