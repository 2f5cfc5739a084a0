//! The command line: what is global, and the root of the tree of commands.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser};

use crate::commands::Command;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::units::parse_duration;
use crate::output::{Format, Output};

/// Stateful stream processing on NATS JetStream with WebAssembly functions.
///
/// Start with `millstream dev`: a private NATS server and the runtime in one command.
#[derive(Parser)]
#[command(
    name = "millstream",
    version,
    propagate_version = true,
    disable_help_subcommand = true,
    max_term_width = 110,
    after_long_help = Exit::table(),
    after_help = "Exit codes and examples: `millstream --help`."
)]
pub struct Cli {
    #[command(flatten)]
    global: Global,

    #[command(subcommand)]
    command: Command,
}

/// Options that every command takes.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// Context of the `nats` CLI to connect with; without it the selected one counts, if there is one
    #[arg(long, global = true, value_name = "NAME")]
    pub context: Option<String>,

    /// NATS server to connect to, instead of a context's
    #[arg(short = 's', long, global = true, value_name = "URL")]
    pub server: Option<String>,

    /// Credentials file, instead of a context's
    #[arg(long, global = true, value_name = "FILE")]
    pub creds: Option<PathBuf>,

    /// File with the seed of the nkey that requests are signed with; without it the context's nkey or credentials sign
    #[arg(long, global = true, value_name = "FILE", env = "MILLSTREAM_NKEY", hide_env = true)]
    pub nkey: Option<PathBuf>,

    /// Number of the cluster that requests are signed for; without it the one that answered before at this server
    #[arg(long, global = true, value_name = "ID", env = "MILLSTREAM_CLUSTER", hide_env = true)]
    pub cluster: Option<String>,

    /// How long to wait for an answer: 500ms, 5s, 2m
    #[arg(long, global = true, value_name = "DURATION", default_value = "10s", value_parser = parse_duration)]
    pub timeout: Duration,

    /// How to print data
    #[arg(
        short = 'o',
        long = "format",
        global = true,
        value_enum,
        value_name = "FORMAT",
        default_value = "table"
    )]
    pub format: Format,
}

/// What a command has at hand.
pub struct App {
    /// The global options.
    pub global: Global,
    /// Where data goes.
    pub out: Output,
}

impl Cli {
    /// Runs the command that was asked for.
    pub fn run(self) -> Result<Exit, Failure> {
        let app = App { out: Output::new(self.global.format), global: self.global };
        self.command.run(&app)
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_tree_of_commands_is_consistent() {
        Cli::command().debug_assert();
    }
}
