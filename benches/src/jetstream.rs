//! `jetstream`: preloaded records through the fraud job with exactly-once, against a bare loop that copies them.
//!
//! Both are processes of their own on the same server, one after the other in each round: from the start of the process
//! until the sink holds everything. What the sink then holds must be exact.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};
use millstream_log::egress::SinkWindow;

use crate::broker::Broker;
use crate::child::{self, Background};
use crate::copy::{self, How};
use crate::lines::Lines;
use crate::local;
use crate::report::{self, Figure};
use crate::transactions::{self, CLOSER, Plan};
use crate::worker::{self, SINK, SINK_SUBJECT, SOURCE, SOURCE_SUBJECT};

const MILLION: f64 = 1e6;

/// Arguments of the subcommand.
#[derive(clap::Args)]
pub struct Args {
    /// Transactions to generate
    #[arg(long, value_name = "N", default_value_t = 2_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    records: u64,

    /// Accounts they are spread over
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..))]
    accounts: u32,

    /// Seed of the generator
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u32,

    /// Partitions of the job
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..))]
    partitions: u16,

    /// Messages of the copying loop that may wait for their acknowledgement, instead of as many as the job's
    #[arg(long, value_name = "N")]
    in_flight: Option<usize>,

    /// How often each is run, alternately; the figures are of the fastest run of each
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..))]
    runs: u16,

    /// Print one JSON object a line: `name`, `value`, `unit`, `baseline`, `ratio`
    #[arg(long)]
    json: bool,
}

/// What moves the records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mover {
    Copy(How),
    Millstream,
}

/// What one run took.
#[derive(Clone, Copy)]
struct Run {
    wall: Duration,
    /// Of the process that moves the records.
    cpu: Duration,
    server_cpu: Duration,
}

/// The server with the records, and what must come out.
struct Bench<'a> {
    args: &'a Args,
    broker: Broker,
    folder: &'a Path,
    copied: Lines,
    computed: Lines,
}

/// The subcommand.
pub fn run(args: &Args) -> Result<()> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(compare(args))
}

async fn compare(args: &Args) -> Result<()> {
    let folder = tempfile::Builder::new().prefix("millstream-bench-").tempdir()?;
    let bench = Bench::prepare(args, folder.path()).await?;
    let movers = [
        Mover::Copy(How::Library),
        Mover::Copy(How::Lean),
        Mover::Copy(How::LeanWithIds),
        Mover::Millstream,
    ];
    let mut best = [None; 4];
    let mut life = 0;
    for round in 1..=args.runs {
        for (mover, best) in movers.into_iter().zip(&mut best) {
            life += 1;
            let run = bench.run(mover, life).await?;
            let rate = bench.copied.count as f64 / run.wall.as_secs_f64();
            eprintln!("round {round} of {}: {mover:?}: {rate:.0} records/s", args.runs);
            if best.is_none_or(|best: Run| run.wall < best.wall) {
                *best = Some(run);
            }
        }
    }
    if let [Some(library), Some(lean), Some(with_ids), Some(ours)] = best {
        let figures = figures(bench.copied.count as f64, ours, [library, lean, with_ids]);
        report::print(&figures, args.json)?;
    }
    Ok(())
}

fn figures(records: f64, ours: Run, [library, lean, with_ids]: [Run; 3]) -> [Figure; 7] {
    let rate = |run: Run| records / run.wall.as_secs_f64();
    let cost = |cpu: Duration| cpu.as_secs_f64() * MILLION / records;
    let (rates, costs) = ("records/s", "CPU-s per million records");
    let server = |run: Run| cost(run.server_cpu);
    [
        Figure::against("jetstream/throughput", rates, rate(ours), rate(library)),
        Figure::against("jetstream/throughput-lean", rates, rate(ours), rate(lean)),
        Figure::against("jetstream/throughput-lean-ids", rates, rate(ours), rate(with_ids)),
        Figure::against("jetstream/cpu", costs, cost(ours.cpu), cost(library.cpu)),
        Figure::against("jetstream/server-cpu", costs, server(ours), server(library)),
        Figure::against("jetstream/server-cpu-lean", costs, server(ours), server(lean)),
        Figure::against("jetstream/server-cpu-lean-ids", costs, server(ours), server(with_ids)),
    ]
}

impl<'a> Bench<'a> {
    async fn prepare(args: &'a Args, folder: &'a Path) -> Result<Self> {
        let (input, output) = (folder.join("input.ndjson"), folder.join("output.ndjson"));
        let plan = Plan {
            records: args.records,
            accounts: args.accounts as usize,
            zipf: 1.0,
            seed: args.seed,
        };
        transactions::write_file(plan, CLOSER, &input)?;
        child::run(&mut local::baseline(&input, &output)?)?;
        let (copied, computed) = (Lines::of(&input)?, Lines::of(&output)?);
        let broker = Broker::start().await?;
        broker.create(SOURCE, SOURCE_SUBJECT).await?;
        broker.publish_file(SOURCE_SUBJECT, &input).await?;
        fs::remove_file(&input)?;
        Ok(Bench { args, broker, folder, copied, computed })
    }

    async fn run(&self, mover: Mover, life: u64) -> Result<Run> {
        self.broker.create(SINK, SINK_SUBJECT).await?;
        let data = self.folder.join(format!("data-{life}"));
        let expected = if mover == Mover::Millstream { &self.computed } else { &self.copied };
        let server_before = self.broker.cpu()?;
        let mut process = Background::start(&mut self.command(mover, &data, life)?)?;
        let ended = self.broker.until(SINK, expected.count, &mut process).await?;
        let run = Run {
            wall: ended - process.started(),
            cpu: child::cpu_of(process.pid())?,
            server_cpu: self.broker.cpu()?.saturating_sub(server_before),
        };
        process.finish()?;
        let found = self.broker.lines(SINK).await?;
        ensure!(
            found == *expected,
            "the sink does not hold what it must after {mover:?}: {} messages of {}; the multisets are not equal",
            found.count,
            expected.count
        );
        self.broker.delete(SINK).await?;
        if mover == Mover::Millstream {
            worker::forget(&self.broker.server.url(), &data, life).await?;
        }
        Ok(run)
    }

    fn command(&self, mover: Mover, data: &Path, life: u64) -> Result<Command> {
        let (url, partitions) = (self.broker.server.url(), self.args.partitions);
        let Mover::Copy(how) = mover else {
            return worker::command(&url, data, life, partitions);
        };
        let in_flight =
            self.args.in_flight.unwrap_or(SinkWindow::default().messages * usize::from(partitions));
        copy::command(&url, how, in_flight)
    }
}
