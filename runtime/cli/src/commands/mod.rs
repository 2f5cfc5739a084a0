//! The commands, one file each. A command takes its own options as a clap struct, has the global ones in
//! [`App`], and returns how it ended.

mod completion;
mod explain;

use clap::Subcommand;

use crate::cli::App;
use crate::exit::Exit;
use crate::failure::Failure;

/// The commands, in the order of `--help`.
#[derive(Subcommand)]
pub enum Command {
    Explain(explain::Explain),
    Completion(completion::Completion),
}

impl Command {
    /// Runs it.
    pub fn run(self, app: &App) -> Result<Exit, Failure> {
        match self {
            Command::Explain(command) => command.run(app),
            Command::Completion(command) => command.run(),
        }
    }
}
