//! `millstream-bench NAME`: measures Millstream beside a baseline, in the same run on the same machine.
//!
//! What exists and what it gave is in `benches/README.md`.

mod child;
mod local;
mod random;
mod report;
mod transactions;

use anyhow::Result;
use clap::Parser;

// The runtime's own, so that the baseline does not lose by its allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures Millstream beside a baseline.
#[derive(Parser)]
#[command(name = "millstream-bench", disable_help_subcommand = true)]
enum Benchmark {
    /// The fraud job from file to file, against the same function as plain Rust
    Local(local::Args),
    /// The baseline of `local`, in a process of its own
    #[command(hide = true)]
    NativeFraud(local::native::Args),
}

fn main() -> Result<()> {
    match Benchmark::parse() {
        Benchmark::Local(args) => local::run(&args),
        Benchmark::NativeFraud(args) => local::native::run(&args),
    }
}
