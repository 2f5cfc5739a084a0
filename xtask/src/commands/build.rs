//! `cargo xtask build`: the binary and every shipped module.

use std::path::PathBuf;

use anyhow::Result;

use crate::modules;
use crate::process::{cargo, run as run_command, say};
use crate::python;
use crate::tools::ensure_build_tools;
use crate::workspace::Workspace;

/// The binary that users get.
pub const BINARY: &str = "millstream";

/// Names [`BINARY`] for the processes that start it: tests, the demo and the benchmarks.
pub const BINARY_VARIABLE: &str = "MILLSTREAM_BIN";

/// Arguments of the subcommand.
#[derive(clap::Args)]
pub struct Args {
    /// Also build the modules that only tests load, into `tests/guests/dist`.
    #[arg(long)]
    test_modules: bool,

    /// Also build the module of examples/python, which takes python3 with venv and the package index
    #[arg(long)]
    python: bool,
}

/// The subcommand.
pub fn run(workspace: &Workspace, args: &Args) -> Result<()> {
    ensure_build_tools()?;
    if args.test_modules {
        modules::FOR_TESTS.build(workspace)?;
    }
    if args.python {
        python::Guest::new(workspace)?.build()?;
    }
    build(workspace, &[])?;
    say(&format!("built {}", workspace.binary(BINARY).display()));
    Ok(())
}

/// Builds the binary, these others of the workspace, and the shipped modules. Returns the binary's path.
///
/// Always with `--workspace`: the features of dependencies are then those of every other build, and nothing is compiled
/// twice.
pub fn build(workspace: &Workspace, others: &[&str]) -> Result<PathBuf> {
    say("build the binary");
    let mut command = cargo();
    command
        .args(["build", "--release", "--workspace", "--bin", BINARY])
        .current_dir(&workspace.root);
    for other in others {
        command.args(["--bin", other]);
    }
    run_command(&mut command)?;
    modules::SHIPPED.build(workspace)?;
    Ok(workspace.binary(BINARY))
}
