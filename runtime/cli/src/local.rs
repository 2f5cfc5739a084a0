//! A pipeline over files: no NATS, the same sandbox, state and operator.

use std::fs::{self, File};
use std::io::{self, BufWriter, ErrorKind, Read, Write};
use std::num::{NonZeroU16, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::thread;

use clap::Args;
use millstream_control::errors;
use millstream_control::manifest::resolve;
use millstream_core::ids::Incarnation;
use millstream_engine::EngineError;
use millstream_engine::executor::Totals;
use millstream_engine::local::{LocalOptions, LocalStats, run};
use millstream_engine::spec::{PipelineSpec, StageSpec};
use millstream_state::{Budgets, Shared};
use serde_json::{Value, json};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::manifest::{self, Loaded};
use crate::output::format::say;
use crate::output::{progress, units};

/// Bytes that outputs are gathered to before they are written.
const WRITE_BYTES: usize = 1 << 20;

/// What only `run --local` takes.
#[derive(Args)]
#[command(next_help_heading = "Local runs")]
pub struct LocalArgs {
    /// Run one pipeline over files, without NATS: JSON lines in, JSON lines out, until the input ends
    #[arg(long, requires_all = ["manifest", "input", "output"])]
    pub local: bool,

    /// The manifest; `-` is standard input
    #[arg(
        id = "manifest",
        short = 'f',
        long = "file",
        value_name = "PIPELINE",
        requires = "local"
    )]
    manifest: Option<PathBuf>,

    /// Where records come from, one per line; `-` is standard input. A pipeline of several sources takes one for each:
    /// `--input payments=FILE --input settlements=FILE`
    #[arg(long, value_name = "[SOURCE=]FILE", requires = "local")]
    input: Vec<String>,

    /// Where outputs of all sinks go, one per line; `-` is standard output
    #[arg(long, value_name = "FILE", requires = "local")]
    output: Option<PathBuf>,

    /// Where dead letters go, one JSON document per line; without it they are only counted
    #[arg(long, value_name = "FILE", requires = "local")]
    dead_letters: Option<PathBuf>,

    /// Where the figures of the run go, as one JSON document: of each stage the records, timers, calls and fuel too
    #[arg(long, value_name = "FILE", requires = "local")]
    stats: Option<PathBuf>,

    /// Partitions of every stage, instead of the manifest's number
    #[arg(long, value_name = "N", requires = "local")]
    partitions: Option<NonZeroU16>,

    /// Threads that call UDFs; by default one per processor
    #[arg(long, value_name = "N", requires = "local")]
    threads: Option<NonZeroUsize>,
}

impl LocalArgs {
    /// Runs the pipeline. `data` is where state goes that does not fit its cache; without it to a
    /// temporary folder.
    pub fn run(self, data: Option<&Path>) -> Result<Exit, Failure> {
        // clap has seen to it that the three are there.
        let missing =
            |name: &str| Failure::coded(errors::USAGE, format!("`--local` needs `{name}`"));
        let manifest = self.manifest.as_deref().ok_or_else(|| missing("--file"))?;
        let output = self.output.as_deref().ok_or_else(|| missing("--output"))?;
        let spec = spec(&manifest::load(manifest)?, self.partitions)?;
        let inputs = inputs(&spec, &self.input)?;
        let stdin = Path::new("-");
        if inputs.iter().chain([&manifest]).filter(|path| **path == stdin).count() > 1 {
            return Err(Failure::coded(
                errors::USAGE,
                "only one of the manifest and the inputs can be standard input",
            ));
        }
        let threads = self.threads.map_or_else(processors, NonZeroUsize::get);
        let bar = progress::over_bytes(inputs.iter().map(|path| size(path)).sum(), "processing");
        let readers: Vec<Box<dyn Read + Send>> = inputs
            .iter()
            .map(|path| Ok(Box::new(bar.wrap_read(open(path)?)) as Box<dyn Read + Send>))
            .collect::<Result<_, Failure>>()?;
        let written = Written {
            outputs: create(output)?,
            dead_letters: self.dead_letters.as_deref().map(create).transpose()?,
        };
        let stats = over(&spec, readers, written, threads, data);
        bar.finish_and_clear();
        let stats = stats?;
        report(&stats, self.dead_letters.is_some());
        if let Some(path) = &self.stats {
            let written = fs::write(path, figures(&spec, &stats).to_string() + "\n");
            written.map_err(|error| Failure::file("write", path, &error))?;
        }
        Ok(Exit::Ok)
    }
}

/// Where a run writes.
pub struct Written {
    /// Outputs of all sinks, one per line.
    pub outputs: Box<dyn Write + Send>,
    /// Dead letters, one JSON document per line; without it they are only counted.
    pub dead_letters: Option<Box<dyn Write + Send>>,
}

/// Runs a pipeline over inputs, one per source in the order of the manifest, until they end. `data` is as in
/// [`LocalArgs::run`].
pub fn over(
    spec: &PipelineSpec,
    inputs: Vec<Box<dyn Read + Send>>,
    written: Written,
    threads: usize,
    data: Option<&Path>,
) -> Result<LocalStats, Failure> {
    let folder = StateFolder::make(data)?;
    let options = LocalOptions {
        data: folder.path.clone(),
        shared: Shared::new(Budgets::default()),
        threads,
        dead_letters: written.dead_letters,
    };
    run(spec, inputs, written.outputs, options).map_err(failed)
}

/// The pipeline, resolved against the module files it names.
pub fn spec(loaded: &Loaded, partitions: Option<NonZeroU16>) -> Result<PipelineSpec, Failure> {
    if let [stage, ..] = loaded.registry_stages()[..] {
        return Err(Failure::coded(
            errors::NOT_LOCAL,
            format!("stage {stage} takes its module from the registry, and a local run has none"),
        )
        .at(loaded.document.at(&format!("stages.{stage}.module")).to_string())
        .help("name the module by file: `module: { file: ... }`"));
    }
    let modules = loaded.compile(&manifest::sandbox()?)?;
    let mut spec = resolve(&loaded.document, &modules, Incarnation::default())
        .map_err(|problems| loaded.refuse(problems))?;
    for stage in &mut spec.stages {
        stage.partitions = partitions.map_or(stage.partitions, NonZeroU16::get);
    }
    Ok(spec)
}

/// One path per source of the pipeline, from `[SOURCE=]FILE`s.
fn inputs<'a>(spec: &PipelineSpec, given: &'a [String]) -> Result<Vec<&'a Path>, Failure> {
    let usage = |message: String| Failure::coded(errors::USAGE, message);
    let names: Vec<&str> = spec.sources.iter().map(|source| source.name.as_str()).collect();
    let mut paths: Vec<Option<&Path>> = vec![None; names.len()];
    for given in given {
        let named = given.split_once('=').and_then(|(name, path)| {
            names.iter().position(|known| *known == name).map(|source| (source, path))
        });
        let (source, path) = match (named, names.as_slice()) {
            (Some(named), _) => named,
            (None, [_]) => (0, given.as_str()),
            (None, _) => {
                return Err(usage(format!(
                    "`--input {given}` names none of the pipeline's sources"
                ))
                .help(format!(
                    "write `--input SOURCE=FILE`; the sources are {}",
                    names.join(", ")
                )));
            }
        };
        if paths[source].replace(Path::new(path)).is_some() {
            return Err(usage(format!("the source `{}` has two inputs", names[source])));
        }
    }
    let found = names.iter().zip(paths).map(|(name, path)| {
        path.ok_or_else(|| {
            usage(format!("the source `{name}` has no input"))
                .help(format!("add `--input {name}=FILE`"))
        })
    });
    found.collect()
}

/// The folder of the run's state, emptied before and removed after.
struct StateFolder {
    path: PathBuf,
    // Removed when the run is over.
    _folder: tempfile::TempDir,
}

impl StateFolder {
    fn make(data: Option<&Path>) -> Result<Self, Failure> {
        let mut builder = tempfile::Builder::new();
        builder.prefix("millstream-local-");
        let made = match data {
            Some(folder) => {
                std::fs::create_dir_all(folder).and_then(|()| builder.tempdir_in(folder))
            }
            None => builder.tempdir(),
        };
        let folder = made.map_err(|error| {
            let place = data.map_or_else(std::env::temp_dir, Path::to_owned);
            Failure::file("make a folder for state in", &place, &error)
        })?;
        Ok(StateFolder { path: folder.path().to_owned(), _folder: folder })
    }
}

fn processors() -> usize {
    thread::available_parallelism().map_or(1, NonZeroUsize::get)
}

/// Bytes of a file; 0 where that is not known.
fn size(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |metadata| metadata.len())
}

fn open(path: &Path) -> Result<Box<dyn Read + Send>, Failure> {
    if path == Path::new("-") {
        return Ok(Box::new(io::stdin()));
    }
    let file = File::open(path).map_err(|error| Failure::file("read", path, &error))?;
    Ok(Box::new(file))
}

fn create(path: &Path) -> Result<Box<dyn Write + Send>, Failure> {
    if path == Path::new("-") {
        return Ok(Box::new(BufWriter::with_capacity(WRITE_BYTES, io::stdout())));
    }
    let file = File::create(path).map_err(|error| Failure::file("write", path, &error))?;
    Ok(Box::new(BufWriter::with_capacity(WRITE_BYTES, file)))
}

fn report(stats: &LocalStats, kept: bool) {
    say(&format!(
        "{} records, {} outputs",
        units::count(stats.records),
        units::count(stats.outputs)
    ));
    if stats.dead_letters == 0 {
        return;
    }
    say(&format!("{} dead letters", units::count(stats.dead_letters)));
    if let Some(first) = &stats.first_dead_letter {
        say(&format!("  the first: {first}"));
    }
    if !kept {
        say("  `--dead-letters FILE` keeps them");
    }
}

/// What `--stats` writes.
fn figures(spec: &PipelineSpec, stats: &LocalStats) -> Value {
    let stage = |(stage, totals): (&StageSpec, &Totals)| {
        json!({
            "name": stage.name,
            "udf": stage.module.description().name,
            "records": totals.records,
            "timers": totals.timers,
            "outputs": totals.outputs,
            "dead_letters": totals.dead_letters,
            "calls": totals.calls,
            "fuel": totals.fuel,
        })
    };
    json!({
        "records": stats.records,
        "outputs": stats.outputs,
        "dead_letters": stats.dead_letters,
        "stages": spec.stages.iter().zip(&stats.stages).map(stage).collect::<Vec<_>>(),
    })
}

fn failed(error: EngineError) -> Failure {
    match &error {
        // A reader that went away (`| head`) is the end, not a failure of ours.
        EngineError::Io { cause, .. } if cause.kind() == ErrorKind::BrokenPipe => {
            std::process::exit(Exit::Ok.number().into())
        }
        EngineError::Pointer { .. } | EngineError::Inputs { .. } | EngineError::Start { .. } => {
            Failure::coded(errors::NOT_LOCAL, error.to_string())
        }
        EngineError::Halted { .. } => Failure::coded(errors::STOPPED_AT_RECORD, error.to_string())
            .help("`on-error: dead-letter` in the stage sets the record aside and goes on"),
        _ => Failure::coded(errors::LOCAL_RUN, error.to_string()),
    }
}
