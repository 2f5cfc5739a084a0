//! `millstream run`: the runtime against an existing NATS, or with `--local` a pipeline over files.

use std::path::PathBuf;

use clap::Args;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::local::LocalArgs;

/// Run the runtime against an existing NATS server, or one pipeline over files with --local
#[derive(Args)]
pub struct Run {
    /// Folder for keyed state; for local runs a temporary one is made in it
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,

    #[command(flatten)]
    local: LocalArgs,
}

impl Run {
    /// Runs until the input ends (`--local`).
    pub fn run(self) -> Result<Exit, Failure> {
        self.local.run(self.data.as_deref())
    }
}
