//! `millstream apply`: create or change pipelines.

use std::path::PathBuf;

use clap::Args;
use millstream_control::api::pipelines::{Applied, Apply as Request, Change, Desired, Outcome};
use millstream_control::api::status::Phase;

use super::lifecycle::wait_for_phase;
use crate::actor::actor;
use crate::cli::App;
use crate::connection::{Remote, block_on};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::manifest;
use crate::output::format::say;
use crate::output::table::printable;

/// Create or change pipelines; a running one takes the change at a commit boundary
#[derive(Args)]
pub struct Apply {
    /// The manifest; `-` is standard input; may be given several times
    #[arg(short, long = "file", required = true, value_name = "FILE")]
    files: Vec<PathBuf>,

    /// Say what would change, and change nothing
    #[arg(long)]
    dry_run: bool,

    /// Refuse unless the pipeline is at this revision; 0: unless there is none
    #[arg(long, value_name = "N")]
    if_revision: Option<u64>,

    /// Return when the pipelines run (or are paused or stopped, if that is wanted), at most after `--timeout`
    #[arg(long, conflicts_with = "dry_run")]
    wait: bool,
}

impl Apply {
    /// Applies all manifests in order. All are read before the first is applied.
    pub fn run(self, app: &App) -> Result<Exit, Failure> {
        let loaded: Vec<_> =
            self.files.iter().map(|file| manifest::load(file)).collect::<Result<_, _>>()?;
        block_on(async {
            let remote = Remote::connect(app).await?;
            for one in &loaded {
                let request = Request {
                    manifest: one.upload(&remote).await?,
                    dry_run: self.dry_run,
                    if_revision: self.if_revision,
                    by: actor(),
                    ..Request::default()
                };
                let applied = one.ask(&remote, &request).await?;
                if self.wait && applied.outcome != Outcome::Proposed {
                    let phase = match applied.desired {
                        Desired::Running | Desired::Deleted => Phase::Running,
                        Desired::Paused => Phase::Paused,
                        Desired::Stopped => Phase::Stopped,
                    };
                    wait_for_phase(&remote, &applied.pipeline, phase).await?;
                }
                print(app, &applied, self.dry_run)?;
            }
            Ok(Exit::Ok)
        })
    }
}

/// Says what an apply did.
pub fn print(app: &App, applied: &Applied, dry_run: bool) -> Result<(), Failure> {
    if !app.out.is_for_people() {
        return app.out.event(applied, &applied.pipeline, |_| String::new());
    }
    let done = match (applied.outcome, dry_run) {
        (Outcome::Created, false) => "created",
        (Outcome::Created, true) => "would be created",
        (Outcome::Changed, false) => "changed",
        (Outcome::Changed, true) => "would be changed",
        (Outcome::Unchanged, _) => "unchanged",
        (Outcome::Proposed, _) => "proposed",
    };
    say(&format!("pipeline {}: {done} (revision {})", applied.pipeline, applied.revision));
    for change in &applied.changes {
        say(&format!("  {}", line(change)));
    }
    if let Some(id) = &applied.proposal {
        say(&format!("  an approver must consent: `millstream change approve {id}`"));
        return Ok(());
    }
    let name = &applied.pipeline;
    match applied.desired {
        Desired::Paused => say(&format!("  it is paused: `millstream resume {name}`")),
        Desired::Stopped => say(&format!("  it is stopped: `millstream resume {name}`")),
        Desired::Running | Desired::Deleted => {}
    }
    Ok(())
}

/// One changed field in words: `stages.fraud.module: old -> new`.
pub fn line(change: &Change) -> String {
    let field = &change.field;
    let line = match (&change.old, &change.new) {
        (Some(old), Some(new)) => format!("{field}: {old} -> {new}"),
        (None, Some(new)) => format!("{field}: added {new}"),
        (Some(old), None) => format!("{field}: removed {old}"),
        (None, None) => field.clone(),
    };
    printable(&line)
}
