//! `millstream describe`: all about one pipeline.

use std::collections::BTreeSet;

use clap::Args;
use millstream_control::api::pipelines::{Describe as Request, Described, PipelineInfo};
use millstream_control::api::status::{PartitionStatus, Phase};
use serde::Serialize;

use super::get::{phase, short};
use crate::cli::App;
use crate::connection::{Remote, block_on};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Cell, Listed, Tone, units};

/// Show all about one pipeline: what is wanted, how each partition is, the manifest
#[derive(Args)]
pub struct Describe {
    /// The pipeline
    name: String,

    /// Print the manifest as it was applied, and nothing else
    #[arg(long)]
    manifest: bool,
}

/// One partition as a line.
#[derive(Serialize)]
struct Line<'a> {
    stage: &'a str,
    #[serde(flatten)]
    partition: &'a PartitionStatus,
}

impl Describe {
    /// Prints it.
    pub fn run(self, app: &App) -> Result<Exit, Failure> {
        let request = Request { pipeline: self.name };
        let described = block_on(async { Remote::connect(app).await?.call(&request).await })?;
        if self.manifest {
            app.out.line(described.manifest.trim_end())?;
            return Ok(Exit::Ok);
        }
        let info = &described.info;
        app.out.one(&described, &info.name, || pairs(info))?;
        if app.out.is_for_people() {
            partitions(app, &described)?;
        }
        Ok(Exit::Ok)
    }
}

fn pairs(info: &PipelineInfo) -> Vec<(String, Cell)> {
    let mut pairs = vec![
        ("name".to_owned(), Cell::text(&info.name)),
        ("phase".to_owned(), phase(info)),
        ("revision".to_owned(), Cell::text(info.revision.to_string())),
        ("incarnation".to_owned(), Cell::text(&info.incarnation)),
        ("created".to_owned(), Cell::text(units::time(info.created_at_ms))),
        (
            "changed".to_owned(),
            Cell::text(format!("{} by {}", units::time(info.changed_at_ms), info.by)),
        ),
    ];
    if let Some(waiting) = info.dead_letters {
        pairs.push(("dead letters".to_owned(), Cell::text(units::count(waiting))));
    }
    for (stage, digest) in &info.modules {
        pairs.push((format!("module of {stage}"), Cell::text(format!("sha256:{digest}"))));
    }
    if let Some(reason) = info.status.as_ref().and_then(|status| status.reason.as_ref()) {
        pairs.push(("reason".to_owned(), Cell::toned(reason, Tone::Bad)));
    }
    pairs
}

fn partitions(app: &App, described: &Described) -> Result<(), Failure> {
    let Some(status) = &described.info.status else {
        return Ok(());
    };
    let lines: Vec<_> = status
        .stages
        .iter()
        .flat_map(|stage| {
            stage.partitions.iter().map(|partition| Line { stage: &stage.name, partition })
        })
        .collect();
    if lines.is_empty() {
        return Ok(());
    }
    app.out.line("")?;
    app.out.list(&lines, "no partition runs")?;
    for Line { stage, partition } in &lines {
        if let Some(reason) = &partition.reason {
            let text = crate::output::table::printable(reason);
            app.out.line(&format!("\n{stage}/{}: {text}", partition.partition))?;
        }
    }
    for stage in &status.stages {
        // Most often it is the same for all partitions.
        let holders: BTreeSet<_> =
            stage.partitions.iter().filter_map(|p| p.held_back_by.as_deref()).collect();
        for holder in holders {
            let text = format!("\n{}: its watermark is held back by `{holder}`", stage.name);
            app.out.line(&text)?;
        }
    }
    Ok(())
}

impl Listed for Line<'_> {
    const COLUMNS: &'static [&'static str] = &[
        "PARTITION",
        "PHASE",
        "COMMIT",
        "RECORDS",
        "OUTPUTS",
        "DEAD",
        "SINCE",
        "RECORDS/S",
        "LAG",
        "WATERMARK",
    ];
    const WIDE: &'static [&'static str] =
        &["OUTPUTS/S", "GENERATION", "MODULE", "CHECKPOINT", "POSITIONS"];

    fn name(&self) -> String {
        format!("{}/{}", self.stage, self.partition.partition)
    }

    fn cells(&self) -> Vec<Cell> {
        let p = self.partition;
        let phase = match p.phase {
            Phase::Starting => Cell::toned("starting", Tone::Warn),
            Phase::Running => Cell::toned("running", Tone::Good),
            Phase::Paused => Cell::text("paused"),
            Phase::Stopped => Cell::text("stopped"),
            Phase::Failed => Cell::toned("failed", Tone::Bad),
        };
        let positions: Vec<_> = p
            .positions
            .iter()
            .map(|at| {
                let idle = if at.idle { " (idle)" } else { "" };
                format!("{}={}/{}{idle}", at.source, at.position, at.last)
            })
            .collect();
        let checkpoint = p.checkpoint.as_ref().map(|stored| {
            format!(
                "{} at {} ({})",
                stored.commit,
                units::time(stored.at_ms),
                units::bytes(stored.size)
            )
        });
        vec![
            Cell::text(self.name()),
            phase,
            Cell::number(units::count(p.commit)),
            Cell::number(units::count(p.records)),
            Cell::number(units::count(p.outputs)),
            Cell::number(units::count(p.dead_letters)),
            Cell::text(units::time(p.since_ms)),
            Cell::number(format!("{:.0}", p.records_per_second)),
            Cell::number(units::count(p.positions.iter().map(|at| at.lag).sum())),
            Cell::optional(p.watermark.map(units::time)),
            Cell::number(format!("{:.0}", p.outputs_per_second)),
            Cell::number(p.generation.to_string()),
            Cell::text(short(&p.module)),
            Cell::optional(checkpoint),
            Cell::text(positions.join(" ")),
        ]
    }
}
