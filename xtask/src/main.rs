//! `cargo xtask`: the project's own commands, so that a newcomer needs to know one word.
//!
//! - `commands` holds one file per subcommand.
//! - `tools` finds or fetches what the machine must have.
//! - `checks` are the rules of `cargo xtask tidy`: pure functions from text to findings.
//! - `markdown` reads pages, and `book` is how they are laid out as a book.
//! - `modules` builds the WebAssembly modules, which live in cargo workspaces of their own; `python` the one in Python.
//!
//! Data goes to stdout and talk to stderr; a command that failed exits with a status other than 0.

mod book;
mod checks;
mod commands;
mod markdown;
mod modules;
mod process;
mod python;
mod tools;
mod workspace;

use std::process::ExitCode;

use clap::Parser;

use commands::Command;

/// Build, check, test, demonstrate and measure Millstream.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

fn main() -> ExitCode {
    match Cli::parse().command.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
