//! `cargo xtask bench NAME`: builds everything, then becomes the benchmark.

use std::ffi::OsString;

use anyhow::Result;

use super::demo::become_driver;
use crate::tools::native::look_for_python;
use crate::workspace::Workspace;

/// The program that measures: the binary of the crate `millstream-bench`.
const DRIVER: &str = "millstream-bench";

/// Arguments of the subcommand.
#[derive(clap::Args)]
pub struct Args {
    /// The benchmark's name and its arguments; `--help` lists them.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "NAME")]
    rest: Vec<OsString>,
}

/// The subcommand.
pub fn run(workspace: &Workspace, args: &Args) -> Result<()> {
    look_for_python();
    become_driver(workspace, DRIVER, &args.rest).map(|never| match never {})
}
