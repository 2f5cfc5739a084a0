//! `cargo xtask setup`: makes what is missing available on a new machine.

use std::path::PathBuf;

use anyhow::Result;

use crate::process::say;
use crate::tools::runner::Runner;
use crate::tools::{ensure_build_tools, native, nats};

/// The subcommand.
pub fn run() -> Result<()> {
    ensure()?;
    if Runner::find() == Runner::CargoTest {
        say("cargo-nextest is not installed: tests will run under `cargo test`");
    }
    native::look_for_python();
    say("everything is there");
    Ok(())
}

/// Everything that building and running need. Returns the path of the nats-server.
pub fn ensure() -> Result<PathBuf> {
    ensure_build_tools()?;
    let server = nats::nats_server()?;
    say(&format!("nats-server {} is {}", nats::version_of(&server)?, server.display()));
    Ok(server)
}
