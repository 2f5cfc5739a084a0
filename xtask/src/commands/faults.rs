//! `cargo xtask faults`: builds everything, then becomes the fault harness.

use std::ffi::OsString;

use anyhow::Result;

use super::{build, setup};
use crate::modules;
use crate::process::exec;
use crate::tools::nats;
use crate::workspace::Workspace;

/// The harness and the program of its nodes: binaries of the crate `millstream-tests`.
const PROGRAMS: [&str; 2] = ["faults", "fault-node"];

/// Arguments of the subcommand.
#[derive(clap::Args)]
pub struct Args {
    /// Arguments for the harness itself: `--seed N`, `--minutes N`, `--servers 3`, `--planted`, `--json`.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<OsString>,
}

/// The subcommand.
pub fn run(workspace: &Workspace, args: &Args) -> Result<()> {
    let server = setup::ensure()?;
    build::build(workspace, &PROGRAMS)?;
    modules::FOR_TESTS.build(workspace)?;
    let mut command = std::process::Command::new(workspace.binary(PROGRAMS[0]));
    command.args(&args.rest).env(nats::VARIABLE, server).current_dir(&workspace.root);
    exec(&mut command).map(|never| match never {})
}
