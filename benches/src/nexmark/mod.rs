//! `nexmark`: queries of the Nexmark benchmark from file to file, each checked against a reference and beside its rate.
//!
//! The pipelines are those in `benches/nexmark`. Pipeline and reference are processes of their own, one after the other, on the same
//! events; what they take is the system's account of the process. Outputs are compared as multisets of lines, at each number
//! of partitions, before any figure is printed.

mod generator;
mod query;
pub mod reference;

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use self::generator::Plan;
use self::query::{Query, Source};
use crate::child::{self, Usage};
use crate::lines::Lines;
use crate::report::{self, Figure};

/// Names the program under test.
const PROGRAM_VARIABLE: &str = "MILLSTREAM_BIN";
const MILLION: f64 = 1e6;

/// Arguments of the subcommand.
#[derive(clap::Args)]
pub struct Args {
    /// Events to generate: one person, three auctions and 46 bids of each 50
    #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    records: u64,

    /// Events a second of event time
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    rate: u64,

    /// Seed of the generator
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u32,

    /// Queries to run, instead of all
    #[arg(long, value_name = "QUERY", value_enum, value_delimiter = ',')]
    query: Vec<Query>,

    /// Partitions of every stage, at each of which the outputs are checked; the figures are those of the first
    #[arg(long, value_name = "N", value_delimiter = ',', default_values_t = [4, 1], value_parser = clap::value_parser!(u16).range(1..=256))]
    partitions: Vec<u16>,

    /// How often each is run, alternately; the figures are of the run with the least CPU time
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    runs: u16,

    /// Folder of the pipelines
    #[arg(long, value_name = "DIR", default_value = "benches/nexmark")]
    pipelines: PathBuf,

    /// Print one JSON object a line: `name`, `value`, `unit`, `baseline`, `ratio`
    #[arg(long)]
    json: bool,
}

/// The subcommand.
pub fn run(args: &Args) -> Result<()> {
    let program = env::var_os(PROGRAM_VARIABLE)
        .with_context(|| format!("{PROGRAM_VARIABLE} must name the millstream program"))?;
    let folder = tempfile::Builder::new().prefix("millstream-bench-").tempdir()?;
    let plan = Plan { events: args.records, rate: args.rate, seed: args.seed };
    generator::write_files(plan, folder.path())?;
    let queries = match args.query.is_empty() {
        true => Query::ALL,
        false => &args.query,
    };
    let mut figures = Vec::new();
    for &query in queries {
        let job = Job { args, program: &program, query, folder: folder.path() };
        figures.extend(job.measure()?);
    }
    report::print(&figures, args.json)?;
    Ok(())
}

/// A query over the events of a folder.
struct Job<'a> {
    args: &'a Args,
    program: &'a OsStr,
    query: Query,
    folder: &'a Path,
}

impl Job<'_> {
    /// Runs and checks all that is asked for.
    fn measure(&self) -> Result<[Figure; 3]> {
        let query = self.query.name();
        let mut records = 0;
        for source in self.query.sources() {
            records += Lines::of(&source.file(self.folder))?.count;
        }
        let (&measured, others) =
            self.args.partitions.split_first().context("there must be a number of partitions")?;
        let (output, expected) = (self.folder.join("output"), self.folder.join("reference"));
        // Compiles the modules, unless that was done before: the runs that count find them compiled.
        child::run(&mut self.millstream(&self.no_events()?, &output, measured)?)?;
        let (mut ours, mut native) = (Vec::new(), Vec::new());
        for _ in 0..self.args.runs {
            native.push(child::run(&mut reference::command(self.query, self.folder, &expected)?)?);
            ours.push(self.checked(measured, &output, &expected)?);
        }
        for &partitions in others {
            self.checked(partitions, &output, &expected)?;
        }
        eprintln!(
            "{query}: {records} records, {} results, as expected",
            Lines::of(&expected)?.count
        );
        Ok(figures(&query, records as f64, least(ours), least(native)))
    }

    /// Runs the pipeline. Fails if it does, or gives anything else than the reference.
    fn checked(&self, partitions: u16, output: &Path, expected: &Path) -> Result<Usage> {
        let usage = child::run(&mut self.millstream(self.folder, output, partitions)?)?;
        let (found, wanted) = (Lines::of(output)?, Lines::of(expected)?);
        ensure!(
            found == wanted,
            "{} at {partitions} partitions gives {} lines, the reference {}; the multisets of lines are not equal",
            self.query.name(),
            found.count,
            wanted.count
        );
        Ok(usage)
    }

    /// A folder whose sources have no events.
    fn no_events(&self) -> Result<PathBuf> {
        let folder = self.folder.join("none");
        std::fs::create_dir_all(&folder)?;
        for source in self.query.sources() {
            File::create(source.file(&folder))?;
        }
        Ok(folder)
    }

    /// The pipeline over the events of a folder.
    fn millstream(&self, events: &Path, output: &Path, partitions: u16) -> Result<Command> {
        let pipeline = self.args.pipelines.join(self.query.name()).join("pipeline.yaml");
        let mut command = Command::new(self.program);
        command.args(["run", "--local", "-f"]).arg(pipeline);
        for &source in self.query.sources() {
            command.arg("--input").arg(input(source, events));
        }
        command.arg("--output").arg(output).args(["--partitions", &partitions.to_string()]);
        command.stdin(Stdio::null()).stderr(Stdio::null());
        Ok(command)
    }
}

/// `SOURCE=FILE`.
fn input(source: Source, events: &Path) -> OsString {
    let mut input = OsString::from(source.name());
    input.push("=");
    input.push(source.file(events));
    input
}

fn figures(query: &str, records: f64, ours: Usage, native: Usage) -> [Figure; 3] {
    let name = |what: &str| format!("nexmark/{query}/{what}");
    let rate = |usage: Usage| records / usage.wall.as_secs_f64();
    let cost = |usage: Usage| usage.cpu.as_secs_f64() * MILLION / records;
    let per_core = |usage: Usage| records / usage.cpu.as_secs_f64();
    [
        Figure::against(name("throughput"), "records/s", rate(ours), rate(native)),
        Figure::against(name("cpu"), "CPU-s per million records", cost(ours), cost(native)),
        Figure::against(
            name("per-core"),
            "records per CPU-second",
            per_core(ours),
            per_core(native),
        ),
    ]
}

/// The run with the least CPU time.
fn least(mut usages: Vec<Usage>) -> Usage {
    usages.sort_by_key(|usage| usage.cpu);
    usages[0]
}
