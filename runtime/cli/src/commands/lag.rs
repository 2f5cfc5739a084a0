//! `millstream lag`: how far pipelines are behind their sources.

use clap::Args;
use millstream_control::api::pipelines::{Lag as Request, LagEntry};

use crate::cli::App;
use crate::connection::{Remote, block_on};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Cell, Listed, Tone, units};

/// Show how far each partition is behind its sources, in stream sequences
#[derive(Args)]
pub struct Lag {
    /// The pipeline; without it: all
    name: Option<String>,
}

impl Lag {
    /// Prints one line per partition and source.
    pub fn run(self, app: &App) -> Result<Exit, Failure> {
        let request = Request { pipeline: self.name };
        let report = block_on(async { Remote::connect(app).await?.call(&request).await })?;
        app.out.list(&report.entries, "no partition runs")?;
        Ok(Exit::Ok)
    }
}

impl Listed for LagEntry {
    const COLUMNS: &'static [&'static str] =
        &["PIPELINE", "STAGE", "PARTITION", "SOURCE", "POSITION", "LAST", "LAG"];

    fn name(&self) -> String {
        format!("{}/{}/{}/{}", self.pipeline, self.stage, self.partition, self.source)
    }

    fn cells(&self) -> Vec<Cell> {
        let tone = if self.lag == 0 { Tone::Good } else { Tone::Plain };
        vec![
            Cell::text(&self.pipeline),
            Cell::text(&self.stage),
            Cell::number(self.partition.to_string()),
            Cell::text(&self.source),
            Cell::number(units::count(self.position)),
            Cell::number(units::count(self.last)),
            Cell::toned_number(units::count(self.lag), tone),
        ]
    }
}
