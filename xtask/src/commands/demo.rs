//! `cargo xtask demo`: builds everything, then becomes the demonstration.

use std::convert::Infallible;
use std::ffi::OsString;
use std::process::Command;

use anyhow::Result;

use super::{build, setup};
use crate::process::exec;
use crate::tools::nats;
use crate::workspace::Workspace;

/// The program that demonstrates: a binary of the crate `millstream-tests`.
const DRIVER: &str = "demo";

/// Arguments of the subcommand.
#[derive(clap::Args)]
pub struct Args {
    /// Arguments for the demonstration itself.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<OsString>,
}

/// The subcommand.
pub fn run(workspace: &Workspace, args: &Args) -> Result<()> {
    become_driver(workspace, DRIVER, &args.rest).map(|never| match never {})
}

/// Sets up, builds, and becomes a driver: a binary of the workspace that starts the runtime and the server by itself.
pub fn become_driver(workspace: &Workspace, driver: &str, args: &[OsString]) -> Result<Infallible> {
    let server = setup::ensure()?;
    let binary = build::build(workspace, &[driver])?;
    exec(
        Command::new(workspace.binary(driver))
            .args(args)
            .env(build::BINARY_VARIABLE, binary)
            .env(nats::VARIABLE, server)
            .current_dir(&workspace.root),
    )
}
