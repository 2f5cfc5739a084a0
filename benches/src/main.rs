//! `millstream-bench NAME`: measures Millstream beside a baseline, in the same run on the same machine.
//!
//! What exists and what it gave is in `benches/README.md`.

mod broker;
mod checkpoint;
mod child;
mod copy;
mod files;
mod hostile;
mod jetstream;
mod keys;
mod latency;
mod lines;
mod local;
mod nexmark;
mod nodes;
mod open_loop;
mod publisher;
mod random;
mod recovery;
mod report;
mod swap;
mod transactions;
mod udfs;
mod worker;

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
    /// Records through a server with exactly-once, against a bare loop that copies them
    Jetstream(jetstream::Args),
    /// From a record's due time to its output at the sink, against the server's own two hops
    Latency(latency::Args),
    /// The delay of a good pipeline beside a hostile one, against the same without it
    Hostile(hostile::Args),
    /// From the SIGKILL of a worker with much state to new output, against one without
    Recovery(recovery::Args),
    /// The pauses of a partition for a checkpoint of much state, against its slices without one
    Checkpoint(checkpoint::Args),
    /// The pause of a module swap under load, against a stop and a start
    Swap(swap::Args),
    /// The fraud job from file to file over ever more accounts, against plain Rust
    Keys(keys::Args),
    /// Two workers that share the partitions of a job, against one with all of them
    Nodes(nodes::Args),
    /// Nexmark queries from file to file, checked against and beside a reference in plain Rust
    Nexmark(nexmark::Args),
    /// What each shipped UDF costs on its example's records, beside a stage that passes them on
    Udfs(udfs::Args),
    /// The baseline of `local`, in a process of its own
    #[command(hide = true)]
    NativeFraud(local::native::Args),
    /// The reference of `nexmark`, in a process of its own
    #[command(hide = true)]
    NexmarkReference(nexmark::reference::Args),
    /// The fraud job from file to file with a given cache, in a process of its own
    #[command(hide = true)]
    Files(files::Args),
    /// The job of the benchmarks on a server, in a process of its own
    #[command(hide = true)]
    Worker(worker::Args),
    /// The bare copying loop, in a process of its own
    #[command(hide = true)]
    Copy(copy::Args),
}

fn main() -> Result<()> {
    match Benchmark::parse() {
        Benchmark::Local(args) => local::run(&args),
        Benchmark::Jetstream(args) => jetstream::run(&args),
        Benchmark::Latency(args) => latency::run(&args),
        Benchmark::Hostile(args) => hostile::run(&args),
        Benchmark::Checkpoint(args) => checkpoint::run(&args),
        Benchmark::Recovery(args) => recovery::run(&args),
        Benchmark::Swap(args) => swap::run(&args),
        Benchmark::Keys(args) => keys::run(&args),
        Benchmark::Nodes(args) => nodes::run(&args),
        Benchmark::Nexmark(args) => nexmark::run(&args),
        Benchmark::Udfs(args) => udfs::run(&args),
        Benchmark::NexmarkReference(args) => nexmark::reference::run(&args),
        Benchmark::Files(args) => files::run(&args),
        Benchmark::NativeFraud(args) => local::native::run(&args),
        Benchmark::Worker(args) => worker::run(&args),
        Benchmark::Copy(args) => copy::run(&args),
    }
}
