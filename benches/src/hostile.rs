//! `hostile`: the delay of a good pipeline's outputs at a steady rate, beside a pipeline of the same worker whose every record
//! makes its guest loop, take memory, trap or flood, against the same worker without that one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use millstream_hostile::{Command as Does, Ends};

use crate::broker::Broker;
use crate::child::Background;
use crate::latency::{self, Delays, PRIMER};
use crate::open_loop::{Receiver, Schedule, Sender};
use crate::report::{self, Figure};
use crate::worker::{self, HOSTILE, HOSTILE_SUBJECT, SINK, SINK_SUBJECT, SOURCE, SOURCE_SUBJECT};

/// Arguments of the subcommand.
#[derive(clap::Args)]
pub struct Args {
    /// Records a second of the good pipeline
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..))]
    rate: u32,

    /// Records a second of the hostile one
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    hostile_rate: u32,

    /// How long is measured
    #[arg(long, value_name = "S", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,

    /// How long records are sent before that
    #[arg(long, value_name = "S", default_value_t = 3)]
    warm_up: u32,

    /// Partitions of each pipeline
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..))]
    partitions: u16,

    /// How often each is run, alternately; the figures are of the run with the lowest p99 of each
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..))]
    runs: u16,

    /// Print one JSON object a line: `name`, `value`, `unit`, `baseline`, `ratio`
    #[arg(long)]
    json: bool,
}

/// Accounts and seed of the good pipeline's records.
const ACCOUNTS: u32 = 10_000;
const SEED: u32 = 1;

/// The subcommand.
pub fn run(args: &Args) -> Result<()> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(compare(args))
}

async fn compare(args: &Args) -> Result<()> {
    let mut best: [Option<Delays>; 2] = [None; 2];
    for round in 1..=args.runs {
        for (hostile, best) in [false, true].into_iter().zip(&mut best) {
            let delays = measure(args, hostile).await?;
            let name = if hostile { "hostile neighbour" } else { "alone" };
            eprintln!("round {round} of {}: {name}: {delays:?} ms", args.runs);
            if best.is_none_or(|best| delays.p99 < best.p99) {
                *best = Some(delays);
            }
        }
    }
    let [Some(quiet), Some(beside)] = best else { return Ok(()) };
    let figure = |what: &str, beside: f64, quiet: f64| {
        Figure::against(format!("hostile/{what}@{}", args.rate), "ms", beside, quiet)
    };
    let figures = [
        figure("p50", beside.p50, quiet.p50),
        figure("p99", beside.p99, quiet.p99),
        figure("max", beside.max, quiet.max),
    ];
    report::print(&figures, args.json)?;
    Ok(())
}

async fn measure(args: &Args, hostile: bool) -> Result<Delays> {
    let broker = Broker::start().await?;
    let url = broker.server.url();
    let streams = [(SOURCE, SOURCE_SUBJECT), (SINK, SINK_SUBJECT), (HOSTILE, HOSTILE_SUBJECT)];
    for (stream, subject) in streams {
        broker.create(stream, subject).await?;
    }
    let folder = tempfile::Builder::new().prefix("millstream-bench-").tempdir()?;
    let mut command = worker::command(&url, folder.path(), 1, args.partitions)?;
    if hostile {
        command.arg("--hostile");
    }
    let mut process = Background::start(&mut command)?;
    // Once a record of no schedule has come through, whatever is started has started.
    let primer = folder.path().join("primer.ndjson");
    std::fs::write(&primer, PRIMER)?;
    broker.publish_file(SOURCE_SUBJECT, &primer).await?;
    broker.until(SINK, 1, &mut process).await?;

    let ended = Arc::new(AtomicBool::new(false));
    let flood = hostile.then(|| tokio::spawn(flood(url.clone(), args.hostile_rate, ended.clone())));
    let skipped = u64::from(args.rate) * u64::from(args.warm_up);
    let records = skipped + u64::from(args.rate) * u64::from(args.seconds);
    let mut receiver = Receiver::start(&url, records as usize).await?;
    let schedule = Schedule::start_now(args.rate, records, ACCOUNTS, SEED)?;
    let sent = Sender::start(&url, &schedule).await?.wait().await?;
    let arrived = receiver.all(sent).await?;
    ended.store(true, Ordering::Relaxed);
    if let Some(flood) = flood {
        let hostile = flood.await??;
        ensure!(hostile > 0, "no hostile record was sent");
    }
    process.finish()?;
    latency::delays(&schedule, &arrived, skipped as usize).context("nothing was measured")
}

/// Sends records, so many a second, one after the other of all commands that trap; returns how many.
async fn flood(url: String, rate: u32, ended: Arc<AtomicBool>) -> Result<u64> {
    let client = async_nats::connect(url).await?;
    let traps = |does: &&Does| matches!(does.ends(), Ends::Trapped(_));
    let mut sent = 0;
    let mut every = tokio::time::interval(Duration::from_secs(1) / rate);
    for does in Does::ALL.iter().filter(traps).cycle() {
        every.tick().await;
        if ended.load(Ordering::Relaxed) {
            break;
        }
        let record = format!(r#"{{"id":"k{}","do":"{}"}}"#, sent % 100, does.name());
        client.publish(HOSTILE_SUBJECT, Bytes::from(record)).await?;
        sent += 1;
    }
    client.flush().await?;
    Ok(sent)
}
