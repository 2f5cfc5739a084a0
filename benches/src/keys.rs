//! `keys`: the fraud job from file to file over ever more accounts, against the same function as plain Rust.
//!
//! A few accounts make most of the transactions (Zipf), so that the hot ones stay in the cache of keyed state when the rest no longer
//! does.

use std::path::Path;

use anyhow::{Result, ensure};

use crate::child::{self, Usage};
use crate::files;
use crate::lines::Lines;
use crate::local;
use crate::report::{self, Figure};
use crate::transactions::{self, Plan};

const MILLION: f64 = 1e6;

/// Arguments of the subcommand.
#[derive(clap::Args)]
pub struct Args {
    /// Accounts
    #[arg(long, value_name = "N", value_delimiter = ',', default_values_t = [10_000, 100_000, 1_000_000, 10_000_000], value_parser = clap::value_parser!(u32).range(1..))]
    keys: Vec<u32>,

    /// Transactions to generate for each number of accounts
    #[arg(long, value_name = "N", default_value_t = 2_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    records: u64,

    /// Exponent of the accounts' popularity
    #[arg(long, value_name = "S", default_value_t = 1.0)]
    zipf: f64,

    /// Seed of the generator
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u32,

    /// The cache of keyed state, in MiB; a runtime has 256
    #[arg(long, value_name = "MIB", default_value_t = 256)]
    cache: usize,

    /// Partitions of the job
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..))]
    partitions: u16,

    /// How often each is run, alternately; the figures are of the fastest run of each
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..))]
    runs: u16,

    /// Print one JSON object a line: `name`, `value`, `unit`, `baseline`, `ratio`
    #[arg(long)]
    json: bool,
}

/// The subcommand.
pub fn run(args: &Args) -> Result<()> {
    let folder = tempfile::Builder::new().prefix("millstream-bench-").tempdir()?;
    let records = args.records as f64;
    let rate = |usage: Usage| records / usage.wall.as_secs_f64();
    let cost = |usage: Usage| usage.cpu.as_secs_f64() * MILLION / records;
    let (mut figures, mut rates) = (Vec::new(), Vec::new());
    for &keys in &args.keys {
        let (ours, native) = measure(args, keys, folder.path())?;
        let name = |what: &str| format!("keys/{what}@{keys}");
        rates.push((rate(ours), rate(native)));
        figures.push(Figure::against(name("throughput"), "records/s", rate(ours), rate(native)));
        let unit = "CPU-s per million records";
        figures.push(Figure::against(name("cpu"), unit, cost(ours), cost(native)));
        let resident = |usage: Usage| usage.resident_bytes as f64 / MILLION;
        let unit = "MB resident at most";
        figures.push(Figure::against(name("memory"), unit, resident(ours), resident(native)));
    }
    let (ours, native): (Vec<f64>, Vec<f64>) = rates.into_iter().unzip();
    let unit = "times from the slowest to the fastest";
    figures.push(Figure::against("keys/spread", unit, spread(&ours), spread(&native)));
    report::print(&figures, args.json)?;
    Ok(())
}

/// How many times the slowest the fastest is.
fn spread(rates: &[f64]) -> f64 {
    let fastest = rates.iter().copied().fold(0.0, f64::max);
    let slowest = rates.iter().copied().fold(f64::INFINITY, f64::min);
    fastest / slowest
}

/// The fastest run of Millstream and of the baseline.
fn measure(args: &Args, keys: u32, folder: &Path) -> Result<(Usage, Usage)> {
    let at = |name: &str| folder.join(name);
    let (input, output, native_output) =
        (at("input.ndjson"), at("output.ndjson"), at("native.ndjson"));
    let plan =
        Plan { records: args.records, accounts: keys as usize, zipf: args.zipf, seed: args.seed };
    transactions::write_file(plan, "", &input)?;
    let (mut ours, mut native) = (Vec::new(), Vec::new());
    for round in 1..=args.runs {
        native.push(child::run(&mut local::baseline(&input, &native_output)?)?);
        let mut command = files::command(&input, &output, args.cache, args.partitions)?;
        ours.push(child::run(&mut command)?);
        ensure!(
            Lines::of(&output)? == Lines::of(&native_output)?,
            "the outputs for {keys} accounts differ from the baseline's"
        );
        eprintln!("{keys} accounts: round {round} of {}", args.runs);
    }
    let fastest = |mut runs: Vec<Usage>| {
        runs.sort_by_key(|usage| usage.wall);
        runs[0]
    };
    Ok((fastest(ours), fastest(native)))
}
