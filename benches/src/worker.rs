//! The engine's worker with the fraud job, in a process of its own that can be killed.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;
use std::{env, fs, io, process, thread};

use anyhow::{Context, Error, Result, bail, ensure};
use millstream_core::ids::Incarnation;
use millstream_engine::spec::{
    Delivery, InputFrom, OnError, OnGap, PipelineSpec, SinkSpec, SourceSpec, StageInput, StageSpec,
    Start, WatermarkSpec,
};
use millstream_engine::status::Phase;
use millstream_engine::worker::{Life, Share, Worker};
use millstream_log::connect::{ConnectOptions, connect};
use millstream_sandbox::codec::{KeySource, TimeSource};
use millstream_sandbox::{Limits, Sandbox};
use millstream_state::{Budgets, Shared};
use tokio::sync::mpsc;
use tracing_subscriber::filter::LevelFilter;

/// The stream that is read.
pub const SOURCE: &str = "TRANSACTIONS";
/// The subject that it captures.
pub const SOURCE_SUBJECT: &str = "tx";
/// The stream that is written.
pub const SINK: &str = "RESULTS";
/// The subject that is published to.
pub const SINK_SUBJECT: &str = "fraud";
/// The stream that the hostile pipeline reads.
pub const HOSTILE: &str = "HOSTILE";
/// The subject that it captures.
pub const HOSTILE_SUBJECT: &str = "hostile";
/// Name of the pipeline.
pub const PIPELINE: &str = "fraud";
/// How often the pipeline is asked whether it still runs.
const ASK_EVERY: Duration = Duration::from_millis(100);

/// Arguments of the subcommand.
#[derive(clap::Args)]
pub struct Args {
    /// Server
    #[arg(long)]
    url: String,
    /// Folder of the state
    #[arg(long)]
    data: PathBuf,
    /// Number of the pipeline's life: with another one it begins anew
    #[arg(long)]
    life: u128,
    /// Partitions
    #[arg(long)]
    partitions: u16,
    /// Stand by for the partitions until told to run them
    #[arg(long)]
    standby: bool,
    /// Pass every transaction on that a list of so many elements lets pass, instead of the fraud job
    #[arg(long)]
    work: Option<u16>,
    /// Run a pipeline beside it whose guest does the worst that its records say
    #[arg(long)]
    hostile: bool,
    /// Core to run on
    #[arg(long)]
    core: Option<usize>,
    /// Which of the workers that share the partitions it is, from 0
    #[arg(long, default_value_t = 0)]
    number: u16,
    /// How many share the partitions
    #[arg(long, default_value_t = 1)]
    of: u16,
}

/// The command that starts such a worker.
pub fn command(url: &str, data: &Path, life: u64, partitions: u16) -> Result<Command> {
    let mut command = Command::new(env::current_exe()?);
    command.args(["worker", "--url", url, "--data"]).arg(data);
    command.args(["--life", &life.to_string(), "--partitions", &partitions.to_string()]);
    Ok(command)
}

/// The command that starts one that stands by for all partitions, until it is told to [`TAKE_OVER`].
pub fn standby_command(url: &str, data: &Path, life: u64, partitions: u16) -> Result<Command> {
    let mut command = command(url, data, life, partitions)?;
    command.arg("--standby");
    Ok(command)
}

/// What a worker is asked to do, a line on its standard input: store a checkpoint of every partition, and answer with their
/// bytes in a line on its standard output.
pub const CHECKPOINT: &str = "checkpoint";
/// Answer when all its partitions run.
pub const UNTIL_RUNNING: &str = "until-running";
/// Answer when everything is there to go on with all partitions.
pub const UNTIL_READY: &str = "until-ready";
/// Run all partitions; answer once they have begun.
pub const TAKE_OVER: &str = "take-over";

/// The subcommand: runs the job until its standard input ends.
pub fn run(args: &Args) -> Result<()> {
    // What an operator would be told of.
    tracing_subscriber::fmt().with_writer(io::stderr).with_max_level(LevelFilter::WARN).init();
    if let Some(core) = args.core {
        pin(core)?;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let (ask, asked) = mpsc::unbounded_channel();
    on_input(move |line| {
        // Nobody hears it when this process is ending.
        let _ = ask.send(line);
    });
    runtime.block_on(serve(args, asked))
}

/// Keeps this thread, and all that it starts, on one core.
fn pin(core: usize) -> Result<()> {
    // SAFETY: a set of cores is plain bits, for which zero is a value, and the pointer is to one that lives longer than the
    // call.
    let done = unsafe {
        let mut cores: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(core, &mut cores);
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &cores)
    };
    ensure!(done == 0, "core {core} cannot be had: {}", io::Error::last_os_error());
    Ok(())
}

/// Hands over the lines of the standard input, and ends this process with it, which is when whoever started it lets go.
pub fn on_input(mut take: impl FnMut(String) + Send + 'static) {
    thread::spawn(move || {
        for line in io::stdin().lines() {
            match line {
                Ok(line) => take(line),
                Err(_) => process::exit(1),
            }
        }
        process::exit(0)
    });
}

async fn serve(args: &Args, mut asked: mpsc::UnboundedReceiver<String>) -> Result<()> {
    let worker = start(&args.url, &args.data).await?;
    let mut spec = match args.work {
        Some(elements) => passing(args.partitions, elements)?,
        None => fraud(args.partitions, &module()?)?,
    };
    spec.incarnation = Incarnation(args.life);
    let mut whole = Share::whole(&spec);
    for partitions in whole.runs.values_mut() {
        partitions.retain(|partition| partition % args.of == args.number);
    }
    let share = match args.standby {
        true => Share { runs: whole.follows.clone(), follows: whole.runs.clone() },
        false => whole.clone(),
    };
    worker.apply_part(spec.clone(), &share).await.map_err(Error::msg)?;
    if args.hostile {
        worker.apply(hostile(args.partitions)?).await.map_err(Error::msg)?;
    }
    loop {
        tokio::select! {
            Some(line) = asked.recv() => match line.as_str() {
                CHECKPOINT => {
                    let stored = worker.checkpoint(PIPELINE).await.map_err(Error::msg)?;
                    println!("{}", stored.iter().map(|checkpoint| checkpoint.size).sum::<u64>());
                }
                UNTIL_RUNNING => {
                    while worker.status(PIPELINE).await.is_none_or(|s| s.phase != Phase::Running) {
                        tokio::time::sleep(ASK_EVERY).await;
                    }
                    println!("running");
                }
                UNTIL_READY => {
                    while worker.ready_all().get(PIPELINE) != Some(&whole.runs) {
                        tokio::time::sleep(ASK_EVERY).await;
                    }
                    println!("ready");
                }
                TAKE_OVER => {
                    worker.apply_part(spec.clone(), &whole).await.map_err(Error::msg)?;
                    println!("taken over");
                }
                _ => bail!("a worker cannot {line}"),
            },
            () = tokio::time::sleep(ASK_EVERY) => {}
        }
        if let Some(reason) = worker.status(PIPELINE).await.and_then(|status| status.reason) {
            bail!("{reason}");
        }
    }
}

/// A worker with the memory that the runtime gives one.
pub async fn start(url: &str, data: &Path) -> Result<Worker> {
    let connection = connect(ConnectOptions::to(url)).await?;
    let shared = Shared::new(Budgets::default());
    Worker::start(connection, data, shared, 1).await.map_err(Error::msg)
}

/// The shipped module `card-fraud`.
pub fn module() -> Result<Vec<u8>> {
    shipped("card-fraud")
}

fn shipped(name: &str) -> Result<Vec<u8>> {
    let path = Path::new("udfs/dist").join(name).with_extension("wasm");
    fs::read(&path)
        .with_context(|| format!("failed to read {}; `cargo xtask build` makes it", path.display()))
}

/// A pipeline around the test guest `misbehave`.
fn hostile(partitions: u16) -> Result<PipelineSpec> {
    let path = Path::new("tests/guests/dist/misbehave.wasm");
    let module = fs::read(path).with_context(|| {
        format!("failed to read {}; `cargo xtask build --test-modules` makes it", path.display())
    })?;
    let mut spec = fraud(partitions, &module)?;
    spec.name = "hostile".to_owned();
    spec.sources[0].stream = HOSTILE.to_owned();
    spec.sources[0].event_time = TimeSource::Broker;
    spec.stages[0].inputs[0].key = KeySource::Pointer("/id".into());
    spec.stages[0].outputs.fill(Vec::new());
    Ok(spec)
}

/// The fraud job: what `examples/flink-parity/fraud/pipeline.yaml` says, on a server.
pub fn fraud(partitions: u16, module: &[u8]) -> Result<PipelineSpec> {
    let module = Arc::new(Sandbox::new(Limits::default(), None)?.compile(module)?);
    let source = SourceSpec {
        name: "transactions".to_owned(),
        stream: SOURCE.to_owned(),
        subject: None,
        start: Start::Beginning,
        event_time: TimeSource::Pointer("/ts".into()),
        watermark: WatermarkSpec::default(),
        on_gap: OnGap::Stop,
        consumed: false,
    };
    let stage = StageSpec {
        name: "fraud".to_owned(),
        partitions,
        outputs: vec![vec![0]; module.description().outputs.len()],
        module: module.into(),
        config: "{}".to_owned(),
        inputs: vec![StageInput {
            from: InputFrom::Source(0),
            input: 0,
            key: KeySource::Pointer("/account_id".into()),
        }],
        on_error: OnError::DeadLetter,
        chained: Vec::new(),
    };
    Ok(PipelineSpec {
        name: PIPELINE.to_owned(),
        incarnation: Incarnation(1),
        log: None,
        recorded: 0,
        sources: vec![source],
        stages: vec![stage],
        sinks: vec![SinkSpec {
            name: "results".to_owned(),
            subject: SINK_SUBJECT.to_owned(),
            delivery: Delivery::Deduplicated,
        }],
        checkpoint_interval_ms: 10_000,
        checkpoint_store: None,
    })
}

/// Passes every transaction on, after having gone through a list of so many elements.
fn passing(partitions: u16, elements: u16) -> Result<PipelineSpec> {
    let mut spec = fraud(partitions, &shipped("filter")?)?;
    let list: Vec<String> = (0..elements).map(|element| element.to_string()).collect();
    spec.stages[0].config = format!(r#"{{"where":"[{}].all(n, n >= 0)"}}"#, list.join(","));
    Ok(spec)
}

/// Removes what a life of the job has left on the server and in its folder.
pub async fn forget(url: &str, data: &Path, life: u64) -> Result<()> {
    let worker = start(url, data).await?;
    let life = Life { incarnation: Incarnation(life.into()), ..Life::default() };
    worker.delete(PIPELINE, &life).await.map_err(Error::msg)
}
