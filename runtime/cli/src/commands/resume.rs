//! `millstream resume`: go on after a pause or a stop.

use clap::Args;
use millstream_control::api::pipelines::Resume as Request;
use millstream_control::api::status::Phase;

use super::lifecycle::{print, wait_for_phase};
use crate::actor::actor;
use crate::cli::App;
use crate::connection::{Remote, block_on};
use crate::exit::Exit;
use crate::failure::Failure;

/// Go on after a pause or a stop, where it was
#[derive(Args)]
pub struct Resume {
    /// The pipeline
    name: String,

    /// Return when it is running, at most after `--timeout`
    #[arg(long)]
    wait: bool,
}

impl Resume {
    /// Asks for it.
    pub fn run(self, app: &App) -> Result<Exit, Failure> {
        block_on(async {
            let remote = Remote::connect(app).await?;
            let request = Request { pipeline: self.name.clone(), by: actor() };
            let mut info = remote.call(&request).await?;
            if self.wait {
                info = wait_for_phase(&remote, &self.name, Phase::Running).await?;
            }
            print(app, &info, "resume requested")
        })
    }
}
