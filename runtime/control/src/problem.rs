//! What goes wrong, as data: a code, one fact, what to do, and where. The same
//! value is printed by the CLI, sent over the API and pinned by tests.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::errors::Code;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Names the help page (`docs/errors/MSxxxx.md`).
    pub code: Code,
    /// One fact, with the value found and the limit.
    pub message: String,
    /// What would be right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// Where in a manifest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<Location>,
}

/// A place in a manifest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Location {
    /// As the user named it; `-` is standard input.
    pub file: String,
    /// From 1; 0 if the problem is not at a place (the file cannot be read).
    pub line: u64,
    /// From 1, in characters.
    pub column: u64,
    /// Field path, as in `stages.fraud.inputs.transactions.key`; empty for the whole document.
    pub field: String,
}

impl Problem {
    /// A problem without help or location.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Problem { code, message: message.into(), help: None, location: None }
    }

    /// With what would be right.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// With its place.
    #[must_use]
    pub fn at(mut self, location: Location) -> Self {
        self.location = Some(location);
        self
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        Ok(())
    }
}

/// `file:line:column: MS1003: field: message` and the help on a second line.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(location) = &self.location {
            write!(f, "{location}: ")?;
        }
        write!(f, "{}: ", self.code)?;
        if let Some(field) =
            self.location.as_ref().map(|l| l.field.as_str()).filter(|p| !p.is_empty())
        {
            write!(f, "{field}: ")?;
        }
        f.write_str(&self.message)?;
        if let Some(help) = &self.help {
            write!(f, "\n  help: {help}")?;
        }
        Ok(())
    }
}

/// At least one problem: why a request or a manifest was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    /// `Ok` if there are none, otherwise all of them.
    pub fn refuse(problems: Vec<Problem>) -> Result<(), Problems> {
        if problems.is_empty() { Ok(()) } else { Err(Problems(problems)) }
    }

    /// Whether one of them has this code.
    pub fn has(&self, code: Code) -> bool {
        self.0.iter().any(|problem| problem.code == code)
    }
}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Problems(vec![problem])
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}
