//! `udfs`: what the shipped UDFs cost, each on its example's records, beside a stage that only passes the same records on.
//!
//! An example is small, so its records, without those that it refuses, are repeated: later in event time, and with keys of their own. Pipeline and baseline are
//! `millstream run --local`, processes of their own, one after the other; what they take is the system's account of the
//! process, fuel is what the engine counted. Results are checked before any figure is printed.

mod cases;
mod repeat;

use std::env;
use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use self::cases::{CASES, Case, Records};
use crate::child::{self, Usage};
use crate::lines::Lines;
use crate::report::{self, Figure};
use crate::transactions::{self, Plan};

/// Names the program under test.
const PROGRAM_VARIABLE: &str = "MILLSTREAM_BIN";
/// The module of the baseline.
const FILTER: &str = "udfs/dist/filter.wasm";
/// Accounts of generated transactions, and the exponent of their popularity.
const ACCOUNTS: (usize, f64) = (100_000, 1.0);
const SEED: u32 = 1;
const MILLION: f64 = 1e6;

/// Arguments of the subcommand.
#[derive(clap::Args)]
pub struct Args {
    /// Records of each UDF at least: the example's are repeated whole
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..))]
    records: u64,

    /// UDFs to run, instead of all
    #[arg(long, value_name = "NAME", value_delimiter = ',', value_parser = cases::names())]
    udf: Vec<String>,

    /// Partitions of every stage, at each of which the outputs are checked; the figures are those of the first
    #[arg(long, value_name = "N", value_delimiter = ',', default_values_t = [4, 1], value_parser = clap::value_parser!(u16).range(1..=256))]
    partitions: Vec<u16>,

    /// How often each is run, alternately; the figures are of the run with the least CPU time
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    runs: u16,

    /// Folder of the examples
    #[arg(long, value_name = "DIR", default_value = "examples")]
    examples: PathBuf,

    /// Print one JSON object a line: `name`, `value`, `unit`, `baseline`, `ratio`
    #[arg(long)]
    json: bool,
}

/// The subcommand.
pub fn run(args: &Args) -> Result<()> {
    let program = env::var_os(PROGRAM_VARIABLE)
        .with_context(|| format!("{PROGRAM_VARIABLE} must name the millstream program"))?;
    let mut figures = Vec::new();
    for case in CASES {
        if args.udf.is_empty() || args.udf.iter().any(|name| name == case.udf) {
            let folder = tempfile::Builder::new().prefix("millstream-bench-").tempdir()?;
            let job = Job { args, program: &program, case, folder: folder.path() };
            figures.extend(job.measure().with_context(|| format!("{} fails", case.udf))?);
        }
    }
    report::print(&figures, args.json)?;
    Ok(())
}

/// What `--stats` says of a run.
#[derive(Deserialize)]
struct Stats {
    records: u64,
    outputs: u64,
    dead_letters: u64,
    stages: Vec<Stage>,
}

/// A line of `--dead-letters`.
#[derive(Deserialize)]
struct Letter {
    payload: String,
}

#[derive(Deserialize)]
struct Stage {
    udf: String,
    records: u64,
    fuel: u64,
}

impl Stats {
    /// Fuel per record of a UDF, in whichever stages it is.
    fn fuel(&self, udf: &str) -> Result<f64> {
        let stages = || self.stages.iter().filter(|stage| stage.udf == udf);
        let records: u64 = stages().map(|stage| stage.records).sum();
        ensure!(records > 0, "no stage of `{udf}` has had a record");
        Ok(stages().map(|stage| stage.fuel).sum::<u64>() as f64 / records as f64)
    }
}

/// A run and what it took.
struct Ran {
    usage: Usage,
    stats: Stats,
}

impl Ran {
    fn rate(&self) -> f64 {
        self.stats.records as f64 / self.usage.wall.as_secs_f64()
    }

    /// CPU-seconds per million records.
    fn cost(&self) -> f64 {
        self.usage.cpu.as_secs_f64() * MILLION / self.stats.records as f64
    }
}

/// A UDF on its records.
struct Job<'a> {
    args: &'a Args,
    program: &'a OsString,
    case: &'a Case,
    folder: &'a Path,
}

impl Job<'_> {
    /// Runs and checks all that is asked for.
    fn measure(&self) -> Result<Vec<Figure>> {
        let pipeline = self.args.examples.join(self.case.example).join("pipeline.yaml");
        let passing = self.passing_pipeline()?;
        let inputs = self.records()?;
        let one = [("records".to_owned(), inputs[0].1.clone())];
        let (&measured, others) =
            self.args.partitions.split_first().context("there must be a number of partitions")?;

        // Compiles the modules, unless that was done before: the runs that count find them compiled.
        let none: Vec<_> = inputs
            .iter()
            .map(|(name, _)| Ok((name.clone(), self.empty()?)))
            .collect::<Result<_>>()?;
        self.millstream(&pipeline, &none, measured)?;
        self.millstream(&passing, &[("records".to_owned(), self.empty()?)], measured)?;

        let (mut ours, mut baseline) = (Vec::new(), Vec::new());
        let mut expected = None;
        for _ in 0..self.args.runs {
            baseline.push(self.millstream(&passing, &one, measured)?);
            ours.push(self.millstream(&pipeline, &inputs, measured)?);
            self.check(&mut expected, measured)?;
        }
        for &partitions in others {
            self.millstream(&pipeline, &inputs, partitions)?;
            self.check(&mut expected, partitions)?;
        }
        let (ours, baseline) = (least(ours), least(baseline));
        let Stats { records, outputs, dead_letters, .. } = ours.stats;
        eprintln!(
            "{}: {records} records, {outputs} outputs, {dead_letters} dead letters",
            self.case.udf
        );
        self.figures(&ours, &baseline)
    }

    fn figures(&self, ours: &Ran, baseline: &Ran) -> Result<Vec<Figure>> {
        let name = |what: &str| format!("udfs/{}/{what}", self.case.udf);
        let passing = baseline.stats.fuel("filter")?;
        Ok(vec![
            Figure::against(name("throughput"), "records/s", ours.rate(), baseline.rate()),
            Figure::against(name("cpu"), "CPU-s per million records", ours.cost(), baseline.cost()),
            Figure::against(
                name("fuel"),
                "fuel per record",
                ours.stats.fuel(self.case.udf)?,
                passing,
            ),
        ])
    }

    /// Outputs are the same at every number of partitions.
    fn check(&self, expected: &mut Option<Lines>, partitions: u16) -> Result<()> {
        let found = Lines::of(&self.output())?;
        let expected = expected.get_or_insert_with(|| found.clone());
        ensure!(
            found == *expected,
            "{} lines at {partitions} partitions, {} before; the multisets of lines are not equal",
            found.count,
            expected.count
        );
        Ok(())
    }

    /// The records of each source, by its name.
    fn records(&self) -> Result<Vec<(String, PathBuf)>> {
        let Records::Repeated { sources, renewed } = self.case.records else {
            let path = self.folder.join("transactions");
            let (accounts, zipf) = ACCOUNTS;
            let plan = Plan { records: self.args.records, accounts, zipf, seed: SEED };
            transactions::write_file(plan, "", &path)?;
            return Ok(vec![("transactions".to_owned(), path)]);
        };
        let folder = self.args.examples.join(self.case.example);
        let path = |source: &str| folder.join(source).with_extension("ndjson");
        let as_they_are: Vec<_> =
            sources.iter().map(|source| ((*source).to_owned(), path(source))).collect();
        let refused = self.check_example(&folder, &as_they_are)?;

        // A refused record costs a call of its own, and examples have one in every few.
        let taken = |(_, path): &(String, PathBuf)| {
            let text = fs::read_to_string(path)
                .with_context(|| format!("failed to read {}", path.display()))?;
            let lines = text.lines().filter(|line| !refused.iter().any(|refused| refused == line));
            Ok(lines.map(str::to_owned).collect())
        };
        let taken: Vec<Vec<String>> = as_they_are.iter().map(taken).collect::<Result<_>>()?;
        let period = repeat::period_ms(&taken);
        let lines: usize = taken.iter().map(Vec::len).sum();
        let times = self.args.records.div_ceil(lines.max(1) as u64);
        let write = |(source, lines): (&&str, &Vec<String>)| {
            let path = self.folder.join(source);
            repeat::write_file(lines, times, period, renewed, &path)?;
            Ok(((*source).to_owned(), path))
        };
        sources.iter().zip(&taken).map(write).collect()
    }

    /// The example gives what its folder says. Returns the records that became dead letters.
    fn check_example(&self, folder: &Path, inputs: &[(String, PathBuf)]) -> Result<Vec<String>> {
        let letters = self.folder.join("dead-letters");
        let pipeline = folder.join("pipeline.yaml");
        let mut command = self.command(&pipeline, inputs, 1);
        child::run(command.arg("--dead-letters").arg(&letters))?;
        let mut expected = Lines::default();
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if name.starts_with("expected.") && name.ends_with(".ndjson") {
                fs::read_to_string(&path)?.lines().for_each(|line| expected.add(line.as_bytes()));
            }
        }
        let is_same = Lines::of(&self.output())? == expected;
        ensure!(is_same, "the example does not give what is expected of it");
        let payload = |line: &str| Ok(serde_json::from_str::<Letter>(line)?.payload);
        fs::read_to_string(&letters)?.lines().map(payload).collect()
    }

    /// A pipeline that passes every record on, byte for byte.
    fn passing_pipeline(&self) -> Result<PathBuf> {
        let path = self.folder.join("passing.yaml");
        let filter = std::path::absolute(FILTER)?;
        let text = format!(
            "name: passing\nsources:\n  records: {{ stream: RECORDS }}\nstages:\n  pass:\n    \
             module: {{ file: {:?} }}\n    inputs: {{ records: {{ key: {{ pointer: /{} }} }} }}\n    \
             config: {{ where: \"true\" }}\n    outputs: {{ output: passed }}\n    on-error: dead-letter\n\
             sinks:\n  passed: {{ subject: passed }}\n",
            filter, self.case.key
        );
        fs::write(&path, text)?;
        Ok(path)
    }

    fn empty(&self) -> Result<PathBuf> {
        let path = self.folder.join("empty");
        File::create(&path)?;
        Ok(path)
    }

    fn output(&self) -> PathBuf {
        self.folder.join("output")
    }

    /// A run of a pipeline.
    fn millstream(
        &self,
        pipeline: &Path,
        inputs: &[(String, PathBuf)],
        partitions: u16,
    ) -> Result<Ran> {
        let stats = self.folder.join("stats.json");
        let mut command = self.command(pipeline, inputs, partitions);
        let usage = child::run(command.arg("--stats").arg(&stats))?;
        let stats = serde_json::from_slice(&fs::read(&stats)?)?;
        Ok(Ran { usage, stats })
    }

    fn command(&self, pipeline: &Path, inputs: &[(String, PathBuf)], partitions: u16) -> Command {
        let mut command = Command::new(self.program);
        command.args(["run", "--local", "-f"]).arg(pipeline);
        for (name, path) in inputs {
            command.arg("--input");
            // The name of the only source need not be known.
            match inputs {
                [_] => command.arg(path),
                _ => command.arg(named(name, path)),
            };
        }
        command.arg("--output").arg(self.output());
        command.args(["--partitions", &partitions.to_string()]);
        command.stdin(Stdio::null()).stderr(Stdio::null());
        command
    }
}

/// `SOURCE=FILE`.
fn named(source: &str, file: &Path) -> OsString {
    let mut input = OsString::from(source);
    input.push("=");
    input.push(file);
    input
}

/// The run with the least CPU time.
fn least(mut runs: Vec<Ran>) -> Ran {
    runs.sort_by_key(|ran| ran.usage.cpu);
    runs.swap_remove(0)
}
