//! `millstream stop`: free what a pipeline holds on its node.

use clap::Args;
use millstream_control::api::pipelines::Stop as Request;
use millstream_control::api::status::Phase;

use super::lifecycle::{print, wait_for_phase};
use crate::actor::actor;
use crate::cli::App;
use crate::connection::{Remote, block_on};
use crate::exit::Exit;
use crate::failure::Failure;

/// Stop a pipeline; its log and state stay, and `resume` or `apply` starts it where it was
#[derive(Args)]
pub struct Stop {
    /// The pipeline
    name: String,

    /// First process what its sources hold now, and publish all outputs
    #[arg(long)]
    drain: bool,

    /// Return when it is stopped, at most after `--timeout`
    #[arg(long)]
    wait: bool,
}

impl Stop {
    /// Asks for it.
    pub fn run(self, app: &App) -> Result<Exit, Failure> {
        block_on(async {
            let remote = Remote::connect(app).await?;
            let request = Request { pipeline: self.name.clone(), drain: self.drain, by: actor() };
            let mut info = remote.call(&request).await?;
            if self.wait {
                info = wait_for_phase(&remote, &self.name, Phase::Stopped).await?;
            }
            print(app, &info, if self.wait { "stopped" } else { "stop requested" })
        })
    }
}
