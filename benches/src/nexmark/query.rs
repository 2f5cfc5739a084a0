//! The queries and what they read.

use std::path::{Path, PathBuf};

use clap::ValueEnum;

/// A query of the benchmark; what it asks is in `benches/nexmark/README.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Query {
    Q0,
    Q1,
    Q2,
    Q3,
    Q4,
    Q5,
    Q6,
    Q7,
    Q8,
    Q11,
}

/// A kind of event, which is a source of the pipelines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Somebody registers.
    Persons,
    /// An auction opens.
    Auctions,
    /// Somebody bids.
    Bids,
}

impl Query {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::Q0,
        Self::Q1,
        Self::Q2,
        Self::Q3,
        Self::Q4,
        Self::Q5,
        Self::Q6,
        Self::Q7,
        Self::Q8,
        Self::Q11,
    ];

    /// As in figures and in the names of folders.
    pub fn name(self) -> String {
        format!("{self:?}").to_lowercase()
    }

    /// What the query reads.
    pub fn sources(self) -> &'static [Source] {
        match self {
            Self::Q0 | Self::Q1 | Self::Q2 | Self::Q5 | Self::Q7 | Self::Q11 => &[Source::Bids],
            Self::Q3 | Self::Q8 => &[Source::Persons, Source::Auctions],
            Self::Q4 | Self::Q6 => &[Source::Auctions, Source::Bids],
        }
    }
}

impl Source {
    /// As in the pipelines.
    pub fn name(self) -> &'static str {
        match self {
            Self::Persons => "persons",
            Self::Auctions => "auctions",
            Self::Bids => "bids",
        }
    }

    /// Its file in a folder of events.
    pub fn file(self, folder: &Path) -> PathBuf {
        folder.join(self.name()).with_extension("ndjson")
    }
}
