//! The demonstration: a private nats-server, the runtime as a process, three pipelines under load; a module is swapped,
//! the runtime is killed and started again; and at the end the outputs prove that nothing was lost or doubled.
//!
//! `cargo xtask demo` builds what is needed and starts it.

mod board;
mod feed;
mod fraud;
mod proof;
mod runtime;
mod streams;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use async_nats::jetstream::Context;
use clap::Parser;
use millstream_log::server::{NatsServer, ServerOptions};
use millstream_tests::workspace;
use tokio::time::{Instant, sleep, sleep_until};

use crate::board::Board;
use crate::feed::Feed;
use crate::fraud::Expected;
use crate::runtime::Runtime;
use crate::streams::Output;

/// Names the binary of Millstream.
const BINARY_VARIABLE: &str = "MILLSTREAM_BIN";
/// The pipelines of `examples/`.
const PIPELINES: [&str; 3] = ["card-fraud", "credit-score", "recommender"];
/// The one whose module is swapped.
const SWAPPED: &str = "card-fraud";
/// How long the last outputs may take after the last input.
const CATCH_UP_TIMEOUT: Duration = Duration::from_secs(90);
/// How often the outputs are counted at the end.
const COUNT_EVERY: Duration = Duration::from_millis(200);
/// How long the runtime stays dead.
const DEAD: Duration = Duration::from_secs(1);

/// Shows Millstream at work, and proves that every input had exactly its outputs.
#[derive(Parser)]
struct Args {
    /// How long records are fed, in seconds
    #[arg(long, default_value_t = 24, value_parser = clap::value_parser!(u16).range(6..=3_600))]
    seconds: u16,

    /// Seed of the records
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

// One thread: the kernel ends the runtime when the thread that started it ends.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let args = Args::parse();
    let result = tokio::select! {
        result = run(&args) => result,
        _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted")),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Returns whether the proof holds.
async fn run(args: &Args) -> Result<bool> {
    let program = std::env::var_os(BINARY_VARIABLE).map(PathBuf::from).with_context(|| {
        format!("{BINARY_VARIABLE} names no millstream binary: start this with `cargo xtask demo`")
    })?;
    let folder = tempfile::Builder::new().prefix("millstream-demo-").tempdir()?;
    let server = NatsServer::start(ServerOptions::default()).await?;
    let jetstream = async_nats::jetstream::new(async_nats::connect(server.url()).await?);
    streams::create(&jetstream).await?;
    let mut runtime = Runtime::new(program, server.url(), folder.path());
    let story = Story { args, folder: folder.path(), server: &server, jetstream };
    let result = story.tell(&mut runtime).await;
    if !matches!(result, Ok(true)) {
        eprintln!("the last lines of the runtime's log:\n{}", runtime.last_words());
    }
    result
}

/// What everything happens with.
struct Story<'a> {
    args: &'a Args,
    folder: &'a Path,
    server: &'a NatsServer,
    jetstream: Context,
}

impl Story<'_> {
    /// From the first process to the proof. Returns whether it holds.
    async fn tell(&self, runtime: &mut Runtime) -> Result<bool> {
        let published = Arc::default();
        let mut board = Board::new(self.jetstream.clone(), Arc::clone(&published))?;
        let seconds = u64::from(self.args.seconds);
        let feed = Arc::new(Feed::new(self.args.seed, usize::from(self.args.seconds)));
        let expected = fraud::expected(&feed.cards);

        board.say(&format!("nats-server runs at {}", self.server.url()));
        let pid = runtime.start()?;
        board.during(runtime.ready()).await?;
        board.say(&format!("the runtime runs as process {pid}"));
        for pipeline in PIPELINES {
            let manifest = workspace().join("examples").join(pipeline).join("pipeline.yaml");
            let outcome = board.during(runtime.apply(&manifest)).await?;
            board.say(&format!("pipeline {pipeline}: {outcome}"));
        }

        let start = Instant::now();
        board.say(&format!("feed records for {seconds} s (seed {})", self.args.seed));
        let feeding = tokio::spawn(Arc::clone(&feed).publish(self.jetstream.clone(), published));
        board.during(until(start, seconds / 4)).await?;
        self.swap(runtime, &mut board).await?;
        board.during(until(start, seconds / 2)).await?;
        self.kill(runtime, &mut board).await?;
        board.during(async { feeding.await.context("feed")? }).await?;
        board.say("all records are fed; wait for the last outputs");
        let complete = board.during(self.complete(&feed, &expected)).await?;
        board.during(runtime.stop()).await?;
        board.say("the runtime has ended");
        board.finish();

        if !complete {
            println!("not all outputs came within {} s", CATCH_UP_TIMEOUT.as_secs());
        }
        println!("What the output streams hold, after a swap and a SIGKILL:");
        let mut holds = complete;
        for finding in proof::prove(&self.jetstream, &feed, &expected).await? {
            holds &= finding.print();
        }
        println!(
            "{}",
            match holds {
                true => "Proved: every input had exactly its outputs.",
                false => "NOT proved: see above.",
            }
        );
        Ok(holds)
    }

    /// Applies the pipeline with another module, and waits until it computes.
    async fn swap(&self, runtime: &Runtime, board: &mut Board) -> Result<()> {
        let (before, _) = board.during(runtime.module(SWAPPED)).await?;
        let manifest = another_version(self.folder)?;
        let outcome = board.during(runtime.apply(&manifest)).await?;
        let after = board.during(runtime.module_in_use(SWAPPED)).await?;
        if outcome != "changed" || before == after {
            bail!("{SWAPPED} runs {after} after {before}: {outcome}");
        }
        board.say(&format!(
            "swapped the module of {SWAPPED} while it ran: {before:.12} to {after:.12}"
        ));
        Ok(())
    }

    /// SIGKILL, a moment of silence, and a new process.
    async fn kill(&self, runtime: &mut Runtime, board: &mut Board) -> Result<()> {
        runtime.kill9().await?;
        board.say("killed the runtime with SIGKILL; records go on coming");
        board.during(until(Instant::now(), DEAD.as_secs())).await?;
        let pid = runtime.start()?;
        board.say(&format!("started the runtime again, as process {pid}"));
        board.during(runtime.ready()).await?;
        board.say("the new process answers");
        Ok(())
    }

    /// Waits until as many outputs are there as there have to be. Returns whether they came in time.
    async fn complete(&self, feed: &Feed, fraud: &Expected) -> Result<bool> {
        let wanted = [
            (Output::FraudScores, fraud.scores.len()),
            (Output::FraudAlerts, fraud.alerts.len()),
            (Output::FraudExpired, fraud.expired.len()),
            (Output::CreditScores, feed.credit.len()),
            (Output::Recommendations, feed.clicks.len()),
        ];
        let deadline = Instant::now() + CATCH_UP_TIMEOUT;
        for (output, wanted) in wanted {
            while streams::count(&self.jetstream, output).await? < wanted as u64 {
                if Instant::now() > deadline {
                    return Ok(false);
                }
                sleep(COUNT_EVERY).await;
            }
        }
        Ok(true)
    }
}

/// Waits until so many seconds after a start.
async fn until(start: Instant, seconds: u64) -> Result<()> {
    sleep_until(start + Duration::from_secs(seconds)).await;
    Ok(())
}

/// Writes another version of the module, and a manifest that names it: the same code with a custom section more, and
/// so with another digest. Returns the manifest's path.
fn another_version(folder: &Path) -> Result<PathBuf> {
    let module = format!("udfs/dist/{SWAPPED}.wasm");
    let mut bytes = millstream_tests::shipped_module(SWAPPED);
    // Section 0, its size, the size of its name, its name, and no content.
    bytes.extend_from_slice(b"\x00\x05\x04demo");
    let path = folder.join("another.wasm");
    std::fs::write(&path, bytes)?;
    let manifest = workspace().join("examples").join(SWAPPED).join("pipeline.yaml");
    let text = std::fs::read_to_string(&manifest)?;
    let named = format!("../../{module}");
    ensure!(text.contains(&named), "{} does not name {named}", manifest.display());
    let text = text.replace(&named, &path.display().to_string());
    let manifest = folder.join("pipeline.yaml");
    std::fs::write(&manifest, text)?;
    Ok(manifest)
}
