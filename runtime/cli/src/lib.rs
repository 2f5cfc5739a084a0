//! What the `millstream` binary does: a thin client of the control API, and the runtime itself (`run`, `dev`). It is a library only so
//! that tests can start nodes in which crash points are listened to.
//!
//! - `cli` is the command line: global options and the tree of commands.
//! - `commands` holds one file per command.
//! - `connection` turns the global options into a NATS connection and an API client.
//! - `signing` finds the key that requests are signed with, and remembers which cluster answers where.
//! - `output` prints data and shows progress; `failure` and `exit` say how a command ended.
//! - `compile` compiles modules in child processes, and is what such a child runs.
//! - `manifest` reads manifests and the module files they name; `local` runs a pipeline over files.
//! - `project` builds a project's modules; `cases` are its test cases.
//! - `runtime` is what `run` and `dev` start, with `worker` (the engine as the control plane knows it), `http` and
//!   `logging`; `streams` makes what `dev` needs, `sinks` reads what pipelines write.
//! - `docs` tests the documentation, and writes the references of commands and manifests.
//! - `doctor` is what `millstream doctor` looks at and how it judges.
//!
//! Architecture invariant: nothing here decides about data. What a manifest means, whether a change is allowed
//! and what a pipeline does live in the crates below; this one parses, asks and prints.

mod actor;
mod cases;
mod cli;
mod commands;
mod compile;
mod connection;
#[cfg(test)]
mod docs;
mod doctor;
mod exit;
mod failure;
mod http;
mod local;
mod logging;
mod manifest;
mod output;
mod project;
mod runtime;
mod signing;
mod sinks;
mod streams;
mod worker;

use std::process::ExitCode;

use clap::Parser;

use cli::Cli;
use output::format::say;
use output::style::Paint;

/// Does what the process's arguments say.
pub fn main() -> ExitCode {
    let exit = Cli::parse().run().unwrap_or_else(|failure| {
        say(&failure.render(Paint::stderr()));
        failure.exit
    });
    ExitCode::from(exit.number())
}
