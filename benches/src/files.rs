//! The fraud job from file to file with a given budget for the cache of keyed state, in a process of its own: what `millstream run
//! --local` does with the budget that a runtime has.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, thread};

use anyhow::{Context, Result, ensure};
use millstream_engine::local::{LocalOptions, run as run_local};
use millstream_state::{Budgets, Shared};

use crate::worker;

/// Arguments of the subcommand.
#[derive(clap::Args)]
pub struct Args {
    #[arg(long)]
    input: PathBuf,
    #[arg(long)]
    output: PathBuf,
    /// The cache of keyed state, in MiB; the database below it has the runtime's defaults
    #[arg(long)]
    cache: usize,
    #[arg(long)]
    partitions: u16,
}

/// The command that runs the job so.
pub fn command(input: &Path, output: &Path, cache_mib: usize, partitions: u16) -> Result<Command> {
    let mut command = Command::new(env::current_exe()?);
    command.arg("files").arg("--input").arg(input).arg("--output").arg(output);
    command.args(["--cache", &cache_mib.to_string(), "--partitions", &partitions.to_string()]);
    Ok(command)
}

/// The subcommand.
pub fn run(args: &Args) -> Result<()> {
    let open = |path: &Path| format!("failed to open {}", path.display());
    let input = File::open(&args.input).with_context(|| open(&args.input))?;
    let output = File::create(&args.output).with_context(|| open(&args.output))?;
    let spec = worker::fraud(args.partitions, &worker::module()?)?;
    let folder = tempfile::Builder::new().prefix("millstream-bench-").tempdir()?;
    let budgets = Budgets { cache_bytes: args.cache << 20, ..Budgets::default() };
    let options = LocalOptions {
        data: folder.path().to_owned(),
        shared: Shared::new(budgets),
        threads: thread::available_parallelism()?.get(),
        dead_letters: None,
    };
    let stats = run_local(&spec, vec![Box::new(input)], Box::new(output), options)?;
    ensure!(stats.dead_letters == 0, "{} dead letters", stats.dead_letters);
    Ok(())
}
