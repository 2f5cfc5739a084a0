//! The test runner: cargo-nextest where it is installed, `cargo test` where it is not.
//!
//! nextest is not installed by us: compiling it takes longer than it saves, and every test passes under both.

use crate::process::{answers, cargo_program};

/// What runs the tests.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Runner {
    /// `cargo nextest run`: a process per test, its settings in `.config/nextest.toml`.
    Nextest,
    /// `cargo test`.
    CargoTest,
}

impl Runner {
    /// Looks for nextest.
    pub fn find() -> Self {
        if answers(&cargo_program(), &["nextest", "--version"]) {
            Self::Nextest
        } else {
            Self::CargoTest
        }
    }

    /// Arguments for cargo that run every test of a workspace except those in documentation.
    pub fn args(self) -> &'static [&'static str] {
        match self {
            Self::Nextest => &["nextest", "run", "--release", "--workspace"],
            Self::CargoTest => &[
                "test",
                "--release",
                "--workspace",
                "--no-fail-fast",
                "--lib",
                "--bins",
                "--tests",
            ],
        }
    }

    /// Further arguments that run the ignored tests of a module of the end-to-end tests, and no others.
    pub fn ignored_of(self, module: &str) -> Vec<String> {
        match self {
            Self::Nextest => {
                vec!["--run-ignored=only".into(), "-E".into(), format!("test(/^{module}::/)")]
            }
            Self::CargoTest => vec!["--".into(), "--ignored".into(), format!("{module}::")],
        }
    }
}
