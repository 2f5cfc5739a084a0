//! `latency`: from the moment a record is due to the arrival of its output at a reader of the sink, at a steady rate,
//! against a bare loop in the place of the job: the server's own two hops.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::broker::Broker;
use crate::child::Background;
use crate::copy::{self, How};
use crate::open_loop::{Receiver, Schedule, Sender};
use crate::report::{self, Figure};
use crate::worker::{self, SINK, SINK_SUBJECT, SOURCE, SOURCE_SUBJECT};

/// Messages of the bare loop that may wait for their acknowledgement: more than ever do.
const IN_FLIGHT: usize = 16_384;

/// Arguments of the subcommand.
#[derive(clap::Args)]
pub struct Args {
    /// Records a second
    #[arg(long, value_name = "N", value_delimiter = ',', default_values_t = [1_000, 10_000], value_parser = clap::value_parser!(u32).range(1..))]
    rates: Vec<u32>,

    /// How long is measured
    #[arg(long, value_name = "S", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,

    /// How long records are sent before that
    #[arg(long, value_name = "S", default_value_t = 3)]
    warm_up: u32,

    /// Accounts the records are spread over
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..))]
    accounts: u32,

    /// Seed of the records
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u32,

    /// Partitions of the job
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..))]
    partitions: u16,

    /// How often each is run, alternately; the figures are of the run with the lowest p99 of each
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..))]
    runs: u16,

    /// Print one JSON object a line: `name`, `value`, `unit`, `baseline`, `ratio`
    #[arg(long)]
    json: bool,
}

/// Delays in milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Delays {
    pub p50: f64,
    pub p99: f64,
    pub p999: f64,
    pub max: f64,
}

/// The subcommand.
pub fn run(args: &Args) -> Result<()> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(compare(args))
}

async fn compare(args: &Args) -> Result<()> {
    let mut figures = Vec::new();
    for &rate in &args.rates {
        let mut best: [Option<Delays>; 2] = [None; 2];
        for round in 1..=args.runs {
            for (millstream, best) in [false, true].into_iter().zip(&mut best) {
                let delays = measure(args, rate, millstream).await?;
                let name = if millstream { "millstream" } else { "bare loop" };
                eprintln!(
                    "round {round} of {} at {rate} records/s: {name}: {delays:?} ms",
                    args.runs
                );
                if best.is_none_or(|best| delays.p99 < best.p99) {
                    *best = Some(delays);
                }
            }
        }
        if let [Some(bare), Some(ours)] = best {
            figures.extend(compared(rate, ours, bare));
        }
    }
    report::print(&figures, args.json)?;
    Ok(())
}

fn compared(rate: u32, ours: Delays, bare: Delays) -> [Figure; 6] {
    let name = |what: &str| format!("latency/{what}@{rate}");
    let figure = |what: &str, ours: f64, bare: f64| Figure::against(name(what), "ms", ours, bare);
    [
        figure("p50", ours.p50, bare.p50),
        figure("p99", ours.p99, bare.p99),
        figure("p99.9", ours.p999, bare.p999),
        figure("max", ours.max, bare.max),
        Figure::alone(name("p50-added"), "ms", ours.p50 - bare.p50),
        Figure::alone(name("p99-added"), "ms", ours.p99 - bare.p99),
    ]
}

async fn measure(args: &Args, rate: u32, millstream: bool) -> Result<Delays> {
    let broker = Broker::start().await?;
    let url = broker.server.url();
    broker.create(SOURCE, SOURCE_SUBJECT).await?;
    broker.create(SINK, SINK_SUBJECT).await?;
    let folder = tempfile::Builder::new().prefix("millstream-bench-").tempdir()?;
    let mut command: Command = if millstream {
        worker::command(&url, folder.path(), 1, args.partitions)?
    } else {
        copy::command(&url, How::Lean, IN_FLIGHT)?
    };
    let mut process = Background::start(&mut command)?;
    // Once a record of no schedule has come through, whatever is started has started.
    let primer = folder.path().join("primer.ndjson");
    std::fs::write(&primer, PRIMER)?;
    broker.publish_file(SOURCE_SUBJECT, &primer).await?;
    broker.until(SINK, 1, &mut process).await?;

    let skipped = u64::from(rate) * u64::from(args.warm_up);
    let records = skipped + u64::from(rate) * u64::from(args.seconds);
    let mut receiver = Receiver::start(&url, records as usize).await?;
    let schedule = Schedule::start_now(rate, records, args.accounts, args.seed)?;
    let sender = Sender::start(&url, &schedule).await?;
    let sent = sender.wait().await?;
    let arrived = receiver.all(sent).await?;
    process.finish()?;
    delays(&schedule, &arrived, skipped as usize).context("nothing was measured")
}

/// A record whose event time is before all others', so that it moves no time.
pub const PRIMER: &str = r#"{"txn_id":"primer","account_id":"primer","customer_id":"c","amount":10.00,"currency":"EUR","merchant_category":"5411_grocery_stores","country":"DE","ts":1600000000000}"#;

/// The delays of the arrivals behind the first `skipped`.
pub fn delays(schedule: &Schedule, arrived: &[Instant], skipped: usize) -> Option<Delays> {
    let mut delays: Vec<Duration> = (skipped..arrived.len())
        .map(|record| arrived[record].saturating_duration_since(schedule.due(record)))
        .collect();
    delays.sort_unstable();
    let last = delays.len().checked_sub(1)?;
    let at = |share: f64| delays[(last as f64 * share).round() as usize].as_secs_f64() * 1e3;
    Some(Delays { p50: at(0.5), p99: at(0.99), p999: at(0.999), max: at(1.0) })
}
