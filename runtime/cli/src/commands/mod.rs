//! The commands, one file each. A command takes its own options as a clap struct, has the global ones in
//! [`App`], and returns how it ended.
//!
//! Two files serve several commands: `actor` (who changes something) and `lifecycle` (waiting for a change).

mod actor;
mod checkpoint;
mod completion;
mod delete;
mod describe;
mod dlq;
mod explain;
mod get;
mod info;
mod lag;
mod lifecycle;
mod new;
mod pause;
mod resume;
mod state;
mod stop;

use clap::Subcommand;

use crate::cli::App;
use crate::exit::Exit;
use crate::failure::Failure;

/// The commands, in the order of `--help`.
#[derive(Subcommand)]
pub enum Command {
    New(new::New),
    Get(get::Get),
    Describe(describe::Describe),
    Delete(delete::Delete),
    Pause(pause::Pause),
    Resume(resume::Resume),
    Stop(stop::Stop),
    Lag(lag::Lag),
    State(state::State),
    Dlq(dlq::Dlq),
    Checkpoint(checkpoint::Checkpoint),
    Info(info::Info),
    Explain(explain::Explain),
    Completion(completion::Completion),
}

impl Command {
    /// Runs it.
    pub fn run(self, app: &App) -> Result<Exit, Failure> {
        match self {
            Command::New(command) => command.run(app),
            Command::Get(command) => command.run(app),
            Command::Describe(command) => command.run(app),
            Command::Delete(command) => command.run(app),
            Command::Pause(command) => command.run(app),
            Command::Resume(command) => command.run(app),
            Command::Stop(command) => command.run(app),
            Command::Lag(command) => command.run(app),
            Command::State(command) => command.run(app),
            Command::Dlq(command) => command.run(app),
            Command::Checkpoint(command) => command.run(app),
            Command::Info(command) => command.run(app),
            Command::Explain(command) => command.run(app),
            Command::Completion(command) => command.run(),
        }
    }
}
