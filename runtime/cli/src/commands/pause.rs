//! `millstream pause`: stop reading, keep everything in place.

use clap::Args;
use millstream_control::api::pipelines::Pause as Request;
use millstream_control::api::status::Phase;

use super::lifecycle::{print, wait_for_phase};
use crate::actor::actor;
use crate::cli::App;
use crate::connection::{Remote, block_on};
use crate::exit::Exit;
use crate::failure::Failure;

/// Stop reading; everything stays in place, and `resume` goes on at once
#[derive(Args)]
pub struct Pause {
    /// The pipeline
    name: String,

    /// Return when it is paused, at most after `--timeout`
    #[arg(long)]
    wait: bool,
}

impl Pause {
    /// Asks for it.
    pub fn run(self, app: &App) -> Result<Exit, Failure> {
        block_on(async {
            let remote = Remote::connect(app).await?;
            let request = Request { pipeline: self.name.clone(), by: actor() };
            let mut info = remote.call(&request).await?;
            if self.wait {
                info = wait_for_phase(&remote, &self.name, Phase::Paused).await?;
            }
            print(app, &info, "pause requested")
        })
    }
}
