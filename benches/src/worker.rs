//! The engine's worker with the fraud job, in a process of its own that can be killed.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;
use std::{env, fs, io, process, thread};

use anyhow::{Context, Error, Result, bail};
use millstream_core::ids::Incarnation;
use millstream_engine::spec::{
    OnError, OnGap, PipelineSpec, SinkSpec, SourceSpec, StageInput, StageSpec, Start,
};
use millstream_engine::worker::Worker;
use millstream_log::connect::{ConnectOptions, connect};
use millstream_sandbox::codec::{KeySource, TimeSource};
use millstream_sandbox::{Limits, Sandbox};
use millstream_state::{Budgets, Shared};

/// The stream that is read.
pub const SOURCE: &str = "TRANSACTIONS";
/// The subject that it captures.
pub const SOURCE_SUBJECT: &str = "tx";
/// The stream that is written.
pub const SINK: &str = "RESULTS";
/// The subject that is published to.
pub const SINK_SUBJECT: &str = "fraud";
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
    /// Checkpoints are this far apart, milliseconds
    #[arg(long, default_value_t = 10_000)]
    checkpoint_ms: u64,
}

/// The command that starts such a worker.
pub fn command(url: &str, data: &Path, life: u64, partitions: u16) -> Result<Command> {
    let mut command = Command::new(env::current_exe()?);
    command.args(["worker", "--url", url, "--data"]).arg(data);
    command.args(["--life", &life.to_string(), "--partitions", &partitions.to_string()]);
    Ok(command)
}

/// The subcommand: runs the job until its standard input ends.
pub fn run(args: &Args) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    end_with_input();
    runtime.block_on(serve(args))
}

/// Ends this process with its standard input, which ends when whoever started it lets go.
pub fn end_with_input() {
    thread::spawn(|| {
        let ended = io::stdin().read_to_end(&mut Vec::new());
        process::exit(i32::from(ended.is_err()));
    });
}

async fn serve(args: &Args) -> Result<()> {
    let worker = start(&args.url, &args.data).await?;
    let mut spec = fraud(args.partitions, &module()?)?;
    spec.incarnation = Incarnation(args.life);
    spec.checkpoint_interval_ms = args.checkpoint_ms;
    worker.apply(spec).await.map_err(Error::msg)?;
    loop {
        tokio::time::sleep(ASK_EVERY).await;
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
    let path = Path::new("udfs/dist/card-fraud.wasm");
    fs::read(path)
        .with_context(|| format!("failed to read {}; `cargo xtask build` makes it", path.display()))
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
        watermark_bound_ms: 0,
        on_gap: OnGap::Stop,
    };
    let stage = StageSpec {
        name: "fraud".to_owned(),
        partitions,
        outputs: vec![Some(0); module.description().outputs.len()],
        module,
        config: "{}".to_owned(),
        inputs: vec![StageInput { source: 0, key: KeySource::Pointer("/account_id".into()) }],
        on_error: OnError::DeadLetter,
    };
    Ok(PipelineSpec {
        name: PIPELINE.to_owned(),
        incarnation: Incarnation(1),
        sources: vec![source],
        stages: vec![stage],
        sinks: vec![SinkSpec { name: "results".to_owned(), subject: SINK_SUBJECT.to_owned() }],
        checkpoint_interval_ms: 10_000,
        checkpoint_store: None,
    })
}

/// Removes what a life of the job has left on the server and in its folder.
pub async fn forget(url: &str, data: &Path, life: u64) -> Result<()> {
    let worker = start(url, data).await?;
    worker.delete(PIPELINE, Incarnation(life.into()), None).await.map_err(Error::msg)
}
