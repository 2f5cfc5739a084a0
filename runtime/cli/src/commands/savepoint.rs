//! `millstream savepoint`: keep the whole of a pipeline under a name, and begin others from it.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use millstream_control::api::pipelines::Outcome;
use millstream_control::api::savepoints::{Create, List, Remove, Restore, SavepointInfo};
use millstream_control::api::status::Phase;

use super::apply::print;
use super::lifecycle::wait_for_phase;
use crate::actor::actor;
use crate::cli::App;
use crate::connection::{LONG, Remote, block_on};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::manifest;
use crate::output::format::say;
use crate::output::{Cell, Listed, progress, units};

/// Keep the whole of a pipeline under a name, list what is kept, begin another pipeline from it
#[derive(Args)]
pub struct Savepoint {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Stop all partitions at a common place of each source, and store what they hold
    ///
    /// The pipeline goes on as soon as its state is linked; storing it goes on beside. Its partitions come to one
    /// node for it, and go back afterwards.
    Create {
        /// The pipeline
        pipeline: String,

        /// Name of the savepoint; by default the pipeline's with the time
        #[arg(long)]
        name: Option<String>,

        /// Stop the pipeline at that place: nothing is read, computed or published beyond it
        #[arg(long)]
        stop: bool,
    },
    /// List savepoints
    Ls,
    /// Create a pipeline that goes on from a savepoint
    ///
    /// The manifest has a name that no pipeline has, the stages and inputs of the savepoint, any number of partitions, and says which sinks the
    /// pipeline writes.
    Restore {
        /// The savepoint
        name: String,

        /// The manifest; `-` is standard input
        #[arg(short, long, value_name = "FILE")]
        file: PathBuf,

        /// Return when the pipeline runs, at most after `--timeout`
        #[arg(long)]
        wait: bool,
    },
    /// Remove a savepoint
    Rm {
        /// The savepoint
        name: String,
    },
}

impl Savepoint {
    /// Does it.
    pub fn run(self, app: &App) -> Result<Exit, Failure> {
        let loaded = match &self.what {
            What::Restore { file, .. } => Some(manifest::load(file)?),
            _ => None,
        };
        block_on(async {
            let remote = Remote::connect(app).await?;
            let patient = || remote.with_timeout(app.global.timeout.max(LONG));
            match self.what {
                What::Create { pipeline, name, stop } => {
                    let bar = progress::spinner("storing the savepoint");
                    let request = Create { pipeline, name, stop, by: actor() };
                    let taken = patient().call(&request).await;
                    bar.finish_and_clear();
                    app.out.list(&[taken?], "no savepoint")?;
                }
                What::Ls => {
                    let found = remote.call(&List {}).await?;
                    app.out.list(&found.savepoints, "no savepoints are stored")?;
                }
                What::Restore { name, wait, .. } => {
                    let Some(loaded) = loaded else { return Ok(Exit::Ok) };
                    let bar = progress::spinner("restoring the savepoint");
                    let manifest = loaded.upload(&remote).await?;
                    let request =
                        Restore { savepoint: name, manifest, by: actor(), ..Restore::default() };
                    let applied = loaded.ask(&patient(), &request).await;
                    bar.finish_and_clear();
                    let applied = applied?;
                    if applied.outcome == Outcome::Proposed {
                        print(app, &applied, false)?;
                        return Ok(Exit::Ok);
                    }
                    if wait {
                        wait_for_phase(&remote, &applied.pipeline, Phase::Running).await?;
                    }
                    app.out.event(&applied, &applied.pipeline, |_| {
                        format!(
                            "pipeline {}: created from savepoint {}",
                            applied.pipeline, request.savepoint
                        )
                    })?;
                }
                What::Rm { name } => {
                    let removed = remote.call(&Remove { savepoint: name }).await?;
                    say(&format!("savepoint {}: removed", removed.savepoint));
                }
            }
            Ok(Exit::Ok)
        })
    }
}

impl Listed for SavepointInfo {
    const COLUMNS: &'static [&'static str] = &["NAME", "PIPELINE", "TAKEN", "PARTITIONS", "SIZE"];

    fn name(&self) -> String {
        self.name.clone()
    }

    fn cells(&self) -> Vec<Cell> {
        let partitions: u32 = self.stages.iter().map(|stage| u32::from(stage.partitions)).sum();
        vec![
            Cell::text(&self.name),
            Cell::text(&self.pipeline),
            Cell::text(units::time(self.at_ms)),
            Cell::number(partitions.to_string()),
            Cell::number(units::bytes(self.size)),
        ]
    }
}
