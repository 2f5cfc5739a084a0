//! `millstream rescale`: another number of partitions.

use std::collections::BTreeMap;

use clap::Args;
use millstream_control::api::pipelines::Outcome;
use millstream_control::api::savepoints::Rescale as Request;
use millstream_control::api::status::Phase;

use super::lifecycle::wait_for_phase;
use crate::actor::actor;
use crate::cli::App;
use crate::connection::{LONG, Remote, block_on};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::progress;

/// Change the number of partitions of a running pipeline
///
/// All partitions stop at a common place of each source, their state and timers are dealt out by key among the new ones, and the pipeline
/// goes on from there under its name. The manifest on record changes with it: write the new number into your file too.
#[derive(Args)]
pub struct Rescale {
    /// The pipeline
    name: String,

    /// The stage; may be given several times; by default all stages
    #[arg(long = "stage", value_name = "STAGE")]
    stages: Vec<String>,

    /// Partitions of each of these stages
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    partitions: u16,

    /// Return when the new partitions run, at most after `--timeout`
    #[arg(long)]
    wait: bool,
}

impl Rescale {
    /// Asks for it.
    pub fn run(self, app: &App) -> Result<Exit, Failure> {
        block_on(async {
            let remote = Remote::connect(app).await?;
            let all = self.stages.is_empty().then_some(self.partitions);
            let stages: BTreeMap<String, u16> =
                self.stages.into_iter().map(|stage| (stage, self.partitions)).collect();
            let request = Request { pipeline: self.name, stages, all, by: actor() };
            let bar = progress::spinner("dealing state out");
            let patient = remote.with_timeout(app.global.timeout.max(LONG));
            let applied = patient.call(&request).await;
            bar.finish_and_clear();
            let applied = applied?;
            if self.wait {
                wait_for_phase(&remote, &applied.pipeline, Phase::Running).await?;
            }
            let done = match applied.outcome {
                Outcome::Unchanged => "unchanged",
                Outcome::Created | Outcome::Changed | Outcome::Proposed => "rescaled",
            };
            app.out.event(&applied, &applied.pipeline, |_| {
                let (name, revision) = (&applied.pipeline, applied.revision);
                let mut text = format!("pipeline {name}: {done} (revision {revision})");
                for change in &applied.changes {
                    let value = |value: &Option<String>| value.clone().unwrap_or_default();
                    let (old, new) = (value(&change.old), value(&change.new));
                    text.push_str(&format!("\n  {}: {old} -> {new}", change.field));
                }
                text
            })?;
            Ok(Exit::Ok)
        })
    }
}
