//! `cargo xtask bank`: builds everything, then becomes the made-up bank.

use std::ffi::OsString;

use anyhow::Result;

use super::demo::become_driver;
use crate::workspace::Workspace;

/// The program: a binary of the crate `millstream-tests`.
const DRIVER: &str = "bank";

/// Arguments of the subcommand.
#[derive(clap::Args)]
pub struct Args {
    /// Arguments for the bank itself: `--seed N`, `--write FOLDER`.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<OsString>,
}

/// The subcommand.
pub fn run(workspace: &Workspace, args: &Args) -> Result<()> {
    become_driver(workspace, DRIVER, &args.rest).map(|never| match never {})
}
