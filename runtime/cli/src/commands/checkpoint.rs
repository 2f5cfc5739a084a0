//! `millstream checkpoint`: take, list and verify checkpoints.

use clap::{Args, Subcommand};
use millstream_control::api::checkpoints::{
    CheckpointFault, CheckpointInfo, CheckpointVerified, List, Now, Show, Verify,
};

use crate::cli::App;
use crate::connection::{LONG, Remote, block_on};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::format::say;
use crate::output::table::printable;
use crate::output::{Cell, Listed, Tone, progress, units};

/// Take, list, show or verify checkpoints of a pipeline
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
    /// Read stored checkpoints back, and check length and hash of every file
    ///
    /// Exits with 8 if a file is damaged or missing, after it has named all of them. A partition restores from the newest
    /// checkpoint that is whole.
    Verify {
        /// The pipeline
        name: String,
        /// Only of this stage
        #[arg(long)]
        stage: Option<String>,
        /// Only of this partition
        #[arg(long)]
        partition: Option<u16>,
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
                What::Verify { name, stage, partition } => {
                    let request = Verify { pipeline: name, stage, partition };
                    return verify(app, &remote, &request).await;
                }
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

async fn verify(app: &App, remote: &Remote, request: &Verify) -> Result<Exit, Failure> {
    let bar = progress::spinner("reading checkpoints back");
    let answer = remote.with_timeout(app.global.timeout.max(LONG)).call(request).await;
    bar.finish_and_clear();
    let verified = answer?.checkpoints;
    app.out.list(&verified, "no checkpoints are stored")?;
    let is_whole = verified.iter().all(|checkpoint| checkpoint.faults.is_empty());
    if app.out.is_for_people() {
        for checkpoint in &verified {
            for CheckpointFault { file, fact } in &checkpoint.faults {
                let name = Listed::name(checkpoint);
                app.out.line(&printable(&format!("{name}: {file}: {fact}")))?;
            }
        }
    }
    Ok(if is_whole { Exit::Ok } else { Exit::Differs })
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

impl Listed for CheckpointVerified {
    const COLUMNS: &'static [&'static str] =
        &["STAGE", "PARTITION", "COMMIT", "STORED", "FILES", "SIZE", "STATE"];

    fn name(&self) -> String {
        format!("{}/{}/{}", self.stage, self.partition, self.commit)
    }

    fn cells(&self) -> Vec<Cell> {
        let state = match self.faults.len() {
            0 => Cell::toned("whole", Tone::Good),
            faults => Cell::toned(format!("{faults} damaged"), Tone::Bad),
        };
        vec![
            Cell::text(&self.stage),
            Cell::number(self.partition.to_string()),
            Cell::number(self.commit.to_string()),
            Cell::text(units::time(self.at_ms)),
            Cell::number(self.files.to_string()),
            Cell::number(units::bytes(self.size)),
            state,
        ]
    }
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
