//! The subcommands, one file each.

mod bank;
mod bench;
mod book;
mod build;
mod demo;
mod faults;
mod setup;
mod test;
mod tidy;

use anyhow::Result;
use clap::Subcommand;

use crate::workspace::Workspace;

/// What `cargo xtask` can do.
#[derive(Subcommand)]
pub enum Command {
    /// Find or fetch what the machine lacks: the modules' target, libclang, a nats-server.
    Setup,
    /// Build the binary `millstream` and every shipped module.
    Build(build::Args),
    /// Run every check and every test; further arguments go to the test runner.
    Test(test::Args),
    /// Check format, lints, the rules of the code and the dependencies.
    Tidy,
    /// Build the book of the documentation.
    Book(book::Args),
    /// Build everything, then show it at work on a real nats-server.
    Demo(demo::Args),
    /// Build everything, then run all pipelines of a made-up bank and judge what they found.
    Bank(bank::Args),
    /// Build everything, then kill, part and damage nodes and servers under load, and compare with a model.
    Faults(faults::Args),
    /// Build everything, then run a benchmark by name.
    Bench(bench::Args),
}

impl Command {
    /// Runs the subcommand on the checkout it was called in.
    pub fn run(self) -> Result<()> {
        let workspace = Workspace::load()?;
        match self {
            Self::Setup => setup::run(),
            Self::Build(args) => build::run(&workspace, &args),
            Self::Test(args) => test::run(&workspace, &args),
            Self::Tidy => tidy::run(&workspace),
            Self::Book(args) => book::run(&workspace, &args),
            Self::Demo(args) => demo::run(&workspace, &args),
            Self::Bank(args) => bank::run(&workspace, &args),
            Self::Faults(args) => faults::run(&workspace, &args),
            Self::Bench(args) => bench::run(&workspace, &args),
        }
    }
}
