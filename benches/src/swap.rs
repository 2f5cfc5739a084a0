//! `swap`: the pause of the fraud job when its module is replaced under load, against stopping it and starting it anew.
//!
//! Twice over: as the engine reports it, and as a reader of the sink sees it, in the longest delay of a record that is due
//! around the swap.

use std::time::{Duration, Instant};

use anyhow::{Context, Error, Result};
use millstream_engine::spec::PipelineSpec;
use millstream_engine::worker::Worker;

use crate::broker::Broker;
use crate::open_loop::{Receiver, Schedule, Sender};
use crate::report::{self, Figure};
use crate::worker::{self, PIPELINE, SINK, SINK_SUBJECT, SOURCE, SOURCE_SUBJECT};

/// From one swap to the next, and from the start of the load to the first.
const BETWEEN: Duration = Duration::from_millis(1_000);
/// Records that are due this long after a swap count to it.
const AFTERWARDS: Duration = Duration::from_millis(50);
/// How long a stop and a start may take, for which records are prepared.
const RESTART_MAX: Duration = Duration::from_secs(60);

/// Arguments of the subcommand.
#[derive(clap::Args)]
pub struct Args {
    /// Records a second
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    rate: u32,

    /// Swaps
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u16).range(1..))]
    swaps: u16,

    /// Partitions of the job
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..))]
    partitions: u16,

    /// Seed of the records
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u32,

    /// Print one JSON object a line: `name`, `value`, `unit`, `baseline`, `ratio`
    #[arg(long)]
    json: bool,
}

/// The subcommand.
pub fn run(args: &Args) -> Result<()> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(measure(args))
}

async fn measure(args: &Args) -> Result<()> {
    let broker = Broker::start().await?;
    let url = broker.server.url();
    broker.create(SOURCE, SOURCE_SUBJECT).await?;
    broker.create(SINK, SINK_SUBJECT).await?;
    let folder = tempfile::Builder::new().prefix("millstream-bench-").tempdir()?;
    let worker = worker::start(&url, folder.path()).await?;
    // Compiled beforehand: what is measured is the swap of a module that was validated and stored.
    let versions = [version(args, 0)?, version(args, 1)?];
    worker.apply(versions[0].clone()).await.map_err(Error::msg)?;

    let prepared = BETWEEN * (u32::from(args.swaps) + 2) + RESTART_MAX;
    let records = prepared.as_secs() * u64::from(args.rate);
    let mut receiver = Receiver::start(&url, records as usize).await?;
    let schedule = Schedule::start_now(args.rate, records, 100_000, args.seed)?;
    let sender = Sender::start(&url, &schedule).await?;
    let (mut swaps, mut reported) = (Vec::new(), Vec::new());
    receiver.first_output(&schedule, Instant::now() + BETWEEN).await?;
    for swap in 1..=usize::from(args.swaps) {
        let next = versions[swap % 2].clone();
        let begun = Instant::now();
        let pause = worker.apply(next).await.map_err(Error::msg)?;
        reported.push(pause.context("the job was started anew")?.as_secs_f64() * 1e3);
        swaps.push((begun, Instant::now() + AFTERWARDS));
        receiver.first_output(&schedule, begun + BETWEEN).await?;
    }
    let restart = restart(&worker, &versions[0], &mut receiver, &schedule).await?;
    let sent = sender.stop().await?;
    let arrived = receiver.all(sent).await?;
    worker.shutdown().await;

    reported.sort_by(f64::total_cmp);
    // As long and as many, half-way between two swaps.
    let shift = BETWEEN / 2;
    let calm = swaps.iter().map(|(from, to)| (*from + shift, *to + shift)).collect::<Vec<_>>();
    let seen = longest_delays(&schedule, &arrived, &swaps);
    let calm = longest_delays(&schedule, &arrived, &calm);
    let p50 = |sorted: &[f64]| sorted[sorted.len() / 2];
    let max = |sorted: &[f64]| sorted[sorted.len() - 1];
    let figures = [
        Figure::against("swap/pause-p50", "ms", p50(&reported), restart),
        Figure::against("swap/pause-max", "ms", max(&reported), restart),
        Figure::against("swap/delay-p50", "ms", p50(&seen), p50(&calm)),
        Figure::against("swap/delay-max", "ms", max(&seen), max(&calm)),
    ];
    report::print(&figures, args.json)?;
    Ok(())
}

/// The same module under another digest: with one more custom section.
fn version(args: &Args, number: u8) -> Result<PipelineSpec> {
    let mut module = worker::module()?;
    module.extend_from_slice(&[0, 3, 1, b'v', number]);
    worker::fraud(args.partitions, &module)
}

/// Stops the job and starts it anew; milliseconds to the first output of a record that was due after the stop began.
async fn restart(
    worker: &Worker,
    spec: &PipelineSpec,
    receiver: &mut Receiver,
    schedule: &Schedule,
) -> Result<f64> {
    let begun = Instant::now();
    worker.stop(PIPELINE, false).await.map_err(Error::msg)?;
    let stopped = Instant::now();
    worker.apply(spec.clone()).await.map_err(Error::msg)?;
    let output = receiver.first_output(schedule, stopped).await?;
    Ok((output - begun).as_secs_f64() * 1e3)
}

/// For each span of time the longest delay of a record that was due in it, milliseconds, ascending.
fn longest_delays(
    schedule: &Schedule,
    arrived: &[Instant],
    spans: &[(Instant, Instant)],
) -> Vec<f64> {
    let longest = |&(from, to): &(Instant, Instant)| {
        let due = schedule.first_due(from)..schedule.first_due(to).min(arrived.len());
        due.map(|record| arrived[record].saturating_duration_since(schedule.due(record)))
            .max()
            .unwrap_or_default()
    };
    let mut delays: Vec<f64> = spans.iter().map(|span| longest(span).as_secs_f64() * 1e3).collect();
    delays.sort_by(f64::total_cmp);
    delays
}
