//! `nodes`: the throughput of two workers that share the partitions of a job, against one with all of them.
//!
//! Each worker has one core, the first and the second, and the server what it takes of both. The job computes much for each
//! record, so that the server is not the limit: it says how much of a core that took.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::broker::Broker;
use crate::child::Background;
use crate::report::{self, Figure};
use crate::transactions::{Plan, write_file};
use crate::worker::{self, SINK, SINK_SUBJECT, SOURCE, SOURCE_SUBJECT, UNTIL_RUNNING};

/// Accounts of the transactions, all equally popular.
const ACCOUNTS: usize = 100_000;

/// Arguments of the subcommand.
#[derive(clap::Args)]
pub struct Args {
    /// Records
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..))]
    records: u64,

    /// Elements of the list that is gone through for each record
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u16).range(1..))]
    work: u16,

    /// Partitions of the job
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(2..))]
    partitions: u16,

    /// Runs, of which the median counts
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..))]
    runs: u16,

    /// Seed of the records
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u32,

    /// Print one JSON object a line: `name`, `value`, `unit`, `baseline`, `ratio`
    #[arg(long)]
    json: bool,
}

/// What one run gave.
struct Outcome {
    records_per_second: f64,
    /// Of the server, in cores.
    server: f64,
}

/// The subcommand.
pub fn run(args: &Args) -> Result<()> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(compare(args))
}

async fn compare(args: &Args) -> Result<()> {
    let (mut one, mut two) = (Vec::new(), Vec::new());
    for run in 1..=args.runs {
        for (nodes, outcomes) in [(1, &mut one), (2, &mut two)] {
            let outcome = measure(args, nodes).await?;
            eprintln!(
                "run {run} of {}: {nodes} of them: {:.0} records/s, server {:.2} cores",
                args.runs, outcome.records_per_second, outcome.server
            );
            outcomes.push(outcome);
        }
    }
    let median = |mut outcomes: Vec<Outcome>| {
        outcomes.sort_by(|a, b| a.records_per_second.total_cmp(&b.records_per_second));
        outcomes.swap_remove(outcomes.len() / 2)
    };
    let (one, two) = (median(one), median(two));
    let figures = [
        Figure::against(
            "nodes/throughput",
            "records/s",
            two.records_per_second,
            one.records_per_second,
        ),
        Figure::against("nodes/server-cpu", "cores", two.server, one.server),
    ];
    report::print(&figures, args.json)?;
    Ok(())
}

async fn measure(args: &Args, nodes: u16) -> Result<Outcome> {
    let broker = Broker::start().await?;
    let url = broker.server.url();
    broker.create(SOURCE, SOURCE_SUBJECT).await?;
    broker.create(SINK, SINK_SUBJECT).await?;
    let scratch = tempfile::Builder::new().prefix("millstream-bench-").tempdir()?;
    let input = scratch.path().join("transactions.ndjson");
    let Args { records, seed, .. } = *args;
    let plan = Plan { records: records - 1, accounts: ACCOUNTS, zipf: 0.0, seed };
    write_file(plan, crate::transactions::CLOSER, &input)?;

    let mut workers = Vec::new();
    for number in 0..nodes {
        let data = scratch.path().join(format!("data-{number}"));
        let mut command = worker::command(&url, &data, 1, args.partitions)?;
        let texts =
            [("--work", args.work), ("--core", number), ("--number", number), ("--of", nodes)];
        for (name, value) in texts {
            command.args([name, &value.to_string()]);
        }
        workers.push(Background::start(&mut command)?);
    }
    for worker in &mut workers {
        worker.ask(UNTIL_RUNNING)?;
    }
    let (begun, cpu) = (Instant::now(), broker.cpu()?);
    let published = broker.publish_file(SOURCE_SUBJECT, &input).await?;
    ensure!(published == args.records, "{published} records were published");
    let done = broker.until(SINK, published, &mut workers[0]).await?;
    let (took, server): (Duration, Duration) = (done - begun, broker.cpu()? - cpu);
    for worker in workers {
        worker.finish()?;
    }
    let found = broker.count(SINK).await?;
    ensure!(found == published, "{found} outputs of {published} records");
    Ok(Outcome {
        records_per_second: published as f64 / took.as_secs_f64(),
        server: server.as_secs_f64() / took.as_secs_f64(),
    })
}
