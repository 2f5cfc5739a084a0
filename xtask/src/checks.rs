//! The rules of `cargo xtask tidy`.
//!
//! A rule is a pure function from facts (a file's text, a dependency graph) to findings, so that a unit test can
//! show that it fails when it should. `files` and `policy` read files; nothing else here does I/O.

pub mod book;
pub mod catalogue;
pub mod features;
pub mod files;
pub mod layers;
pub mod length;
pub mod licences;
pub mod links;
pub mod module_docs;
pub mod policy;
pub mod purity;
pub mod words;

use std::fmt;

/// One violation of a rule.
#[derive(Debug, PartialEq, Eq)]
pub struct Finding {
    /// Where: a file, `file:line`, or a package.
    pub place: String,
    /// What is wrong there and what would be right.
    pub message: String,
}

impl Finding {
    /// A finding at a place.
    pub fn new(place: impl Into<String>, message: impl Into<String>) -> Self {
        Self { place: place.into(), message: message.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}
