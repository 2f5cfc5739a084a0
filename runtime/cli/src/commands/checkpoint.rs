//! `millstream checkpoint`: take and list checkpoints.

use clap::{Args, Subcommand};
use millstream_control::api::checkpoints::{CheckpointInfo, List, Now, Show};

use crate::cli::App;
use crate::connection::{Remote, block_on};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::format::say;
use crate::output::{Cell, Listed, progress, units};

/// Take, list or show checkpoints of a pipeline
#[derive(Args)]
pub struct Checkpoint {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Checkpoint every partition that changed, and return when all are stored
    Now {
        /// The pipeline
        name: String,
    },
    /// List stored checkpoints
    Ls {
        /// The pipeline
        name: String,
    },
    /// Show one partition's checkpoints with their files
    Show {
        /// The pipeline
        name: String,
        /// The partition
        partition: u16,
        /// The stage; may be left out when there is one
        #[arg(long)]
        stage: Option<String>,
    },
}

impl Checkpoint {
    /// Does it, and prints the checkpoints.
    pub fn run(self, app: &App) -> Result<Exit, Failure> {
        block_on(async {
            let remote = Remote::connect(app).await?;
            let (answer, files) = match self.what {
                What::Now { name } => {
                    let bar = progress::spinner("storing checkpoints");
                    let answer = remote.call(&Now { pipeline: name }).await;
                    bar.finish_and_clear();
                    (answer?, false)
                }
                What::Ls { name } => (remote.call(&List { pipeline: name }).await?, false),
                What::Show { name, partition, stage } => {
                    (remote.call(&Show { pipeline: name, stage, partition }).await?, true)
                }
            };
            app.out.list(&answer.checkpoints, "no checkpoints are stored")?;
            if files && app.out.is_for_people() {
                print_files(app, &answer.checkpoints)?;
            }
            Ok(Exit::Ok)
        })
    }
}

fn print_files(app: &App, checkpoints: &[CheckpointInfo]) -> Result<(), Failure> {
    for checkpoint in checkpoints {
        app.out.line(&format!("\nfiles of commit {}:", checkpoint.commit))?;
        if checkpoint.files.is_empty() {
            say("(none: the state fits the manifest)");
        }
        for file in &checkpoint.files {
            let size = units::bytes(file.size);
            app.out.line(&format!("  {:<24} {size:>10}  {}", file.name, file.hash))?;
        }
    }
    Ok(())
}

impl Listed for CheckpointInfo {
    const COLUMNS: &'static [&'static str] = &["STAGE", "PARTITION", "COMMIT", "STORED", "SIZE"];

    fn name(&self) -> String {
        format!("{}/{}/{}", self.stage, self.partition, self.commit)
    }

    fn cells(&self) -> Vec<Cell> {
        vec![
            Cell::text(&self.stage),
            Cell::number(self.partition.to_string()),
            Cell::number(self.commit.to_string()),
            Cell::text(units::time(self.at_ms)),
            Cell::number(units::bytes(self.size)),
        ]
    }
}
