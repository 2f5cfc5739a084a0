//! `local`: the fraud job from file to file, against the same function as plain Rust.
//!
//! Both run as processes of their own, one after the other, on the same input; what they take is
//! the system's account of the process, start and end included. The outputs are compared as
//! multisets of lines, so that a figure for a wrong result cannot be.

pub mod native;

use std::env;
use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::child::{self, Usage};
use crate::files;
use crate::lines::Lines;
use crate::report::{self, Figure};
use crate::transactions::{self, Plan};

/// Names the program under test.
const PROGRAM_VARIABLE: &str = "MILLSTREAM_BIN";
/// Partitions of the pipeline.
const PARTITIONS: u16 = 4;
const MILLION: f64 = 1e6;

/// Arguments of the subcommand.
#[derive(clap::Args)]
pub struct Args {
    /// Transactions to generate
    #[arg(long, value_name = "N", default_value_t = 5_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    records: u64,

    /// Accounts they are spread over
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..))]
    accounts: u32,

    /// Exponent of the accounts' popularity
    #[arg(long, value_name = "S", default_value_t = 1.0)]
    zipf: f64,

    /// Seed of the generator
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u32,

    /// Transactions to use instead of generated ones, one JSON document a line
    #[arg(long, value_name = "FILE", conflicts_with_all = ["records", "accounts", "zipf", "seed"])]
    input: Option<PathBuf>,

    /// Pipeline to run
    #[arg(long, value_name = "FILE", default_value = "examples/flink-parity/fraud/pipeline.yaml")]
    pipeline: PathBuf,

    /// Partitions, instead of the pipeline's own number
    #[arg(long, value_name = "N")]
    partitions: Option<u16>,

    /// Threads that call the UDF, instead of one per processor
    #[arg(long, value_name = "N")]
    threads: Option<u16>,

    /// The cache of keyed state in MiB, instead of the runtime's 256: with 1, most accounts are only in the database
    #[arg(long, value_name = "MIB", conflicts_with_all = ["pipeline", "threads"])]
    cache: Option<usize>,

    /// How often each is run, alternately; the figures are of the run with the median CPU time
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..))]
    runs: u16,

    /// Print one JSON object a line: `name`, `value`, `unit`, `baseline`, `ratio`
    #[arg(long)]
    json: bool,
}

/// The subcommand.
pub fn run(args: &Args) -> Result<()> {
    let program = env::var_os(PROGRAM_VARIABLE)
        .with_context(|| format!("{PROGRAM_VARIABLE} must name the millstream program"))?;
    let folder = tempfile::Builder::new().prefix("millstream-bench-").tempdir()?;
    let at = |name: &str| folder.path().join(name);
    let input = match &args.input {
        Some(input) => input.clone(),
        None => generate(args, &at("input.ndjson"))?,
    };
    let records = Lines::of(&input)?.count;
    ensure!(records > 0, "{} has no records", input.display());
    let none = at("none.ndjson");
    File::create(&none)?;

    let (output, native_output) = (at("output.ndjson"), at("native.ndjson"));
    // Also compiles the module, unless that was done before: the runs that count find it compiled.
    let start = child::run(&mut millstream(args, &program, &none, &output)?)?;
    let mut ours = Vec::new();
    let mut native = Vec::new();
    for _ in 0..args.runs {
        native.push(child::run(&mut baseline(&input, &native_output)?)?);
        ours.push(child::run(&mut millstream(args, &program, &input, &output)?)?);
        let (found, expected) = (Lines::of(&output)?, Lines::of(&native_output)?);
        ensure!(
            found == expected,
            "the outputs differ: {} lines of millstream, {} of the baseline; the multisets of lines are not equal",
            found.count,
            expected.count
        );
    }
    report::print(&figures(records as f64, median(ours), median(native), start), args.json)?;
    Ok(())
}

fn figures(records: f64, ours: Usage, native: Usage, start: Usage) -> [Figure; 4] {
    let rate = |usage: Usage| records / usage.wall.as_secs_f64();
    let cost = |usage: Usage| usage.cpu.as_secs_f64() * MILLION / records;
    let resident = |usage: Usage| usage.resident_bytes as f64 / MILLION;
    [
        Figure::against("local/throughput", "records/s", rate(ours), rate(native)),
        Figure::against("local/cpu", "CPU-s per million records", cost(ours), cost(native)),
        Figure::against("local/memory", "MB resident at most", resident(ours), resident(native)),
        Figure::alone("local/start", "CPU-s of a run without records", start.cpu.as_secs_f64()),
    ]
}

fn generate(args: &Args, path: &Path) -> Result<PathBuf> {
    let plan = Plan {
        records: args.records,
        accounts: args.accounts as usize,
        zipf: args.zipf,
        seed: args.seed,
    };
    transactions::write_file(plan, "", path)?;
    Ok(path.to_owned())
}

/// The job on Millstream.
fn millstream(args: &Args, program: &OsStr, input: &Path, output: &Path) -> Result<Command> {
    if let Some(cache) = args.cache {
        return files::command(input, output, cache, args.partitions.unwrap_or(PARTITIONS));
    }
    let mut command = Command::new(program);
    command.args(["run", "--local", "-f"]).arg(&args.pipeline);
    command.arg("--input").arg(input).arg("--output").arg(output);
    if let Some(partitions) = args.partitions {
        command.args(["--partitions", &partitions.to_string()]);
    }
    if let Some(threads) = args.threads {
        command.args(["--threads", &threads.to_string()]);
    }
    command.stdin(Stdio::null());
    Ok(command)
}

/// The job as plain Rust.
pub fn baseline(input: &Path, output: &Path) -> Result<Command> {
    let mut command = Command::new(env::current_exe()?);
    command.arg("native-fraud").arg("--input").arg(input).arg("--output").arg(output);
    Ok(command)
}

/// The run in the middle by CPU time.
fn median(mut usages: Vec<Usage>) -> Usage {
    usages.sort_by_key(|usage| usage.cpu);
    usages[usages.len() / 2]
}
