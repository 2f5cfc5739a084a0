//! A process that runs the fraud pipeline until it is killed or the pipeline stops:
//! `fraud-worker URL DATA PARTITIONS REPLICAS [consume] [transactional]`: the stream's records vanish once they are acknowledged;
//! the sink is transactional. For tests that kill and pause an owner, or let it die by itself: with
//! `MILLSTREAM_CRASH=before:append-commit@3` it does when it reaches that crash point for the third time; with `MILLSTREAM_PAUSE` it
//! stops there until it is told to go on.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use millstream_engine::ingest;
use millstream_engine::spec::PipelineSpec;
use millstream_engine::worker::Worker;
use millstream_log::connect::{ConnectOptions, connect};
use millstream_state::{Budgets, Shared};
use millstream_tests::crash::crash_as_told;
use millstream_tests::fraud::{SOURCE, fraud, transactional};

/// How often the pipeline is asked whether it still runs.
const ASK_EVERY: Duration = Duration::from_millis(100);

#[tokio::main]
async fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [url, data, partitions, replicas, rest @ ..] = args.as_slice() else {
        bail!("usage: fraud-worker URL DATA PARTITIONS REPLICAS [consume] [transactional]")
    };
    let replicas = replicas.parse().context("REPLICAS is a number")?;
    crash_as_told()?;
    let partitions = partitions.parse().context("PARTITIONS is a number")?;
    let is = |wanted: &str| rest.iter().any(|word| word == wanted);
    let mut pipeline =
        if is("transactional") { transactional(0, partitions) } else { fraud(0, partitions) };
    if is("consume") {
        ingest::insert([SOURCE], &mut pipeline);
    }
    // Often, so that kills meet checkpoints and trimming as well.
    pipeline.checkpoint_interval_ms = 200;
    // As a node does: what cannot be started now, because the server is away, is started later.
    let worker = loop {
        match start(url, &PathBuf::from(data), replicas, pipeline.clone()).await {
            Ok(worker) => break worker,
            Err(error) => eprintln!("pipeline does not start yet: {error}"),
        }
        tokio::time::sleep(ASK_EVERY).await;
    };
    loop {
        tokio::time::sleep(ASK_EVERY).await;
        if let Some(reason) = worker.status("fraud").await.and_then(|status| status.reason) {
            bail!("{reason}");
        }
    }
}

async fn start(url: &str, data: &Path, replicas: usize, pipeline: PipelineSpec) -> Result<Worker> {
    let connection = connect(ConnectOptions::to(url)).await?;
    let shared = Shared::new(Budgets::default());
    let worker = Worker::start(connection, data, shared, replicas).await;
    let worker = worker.map_err(anyhow::Error::msg)?;
    worker.apply(pipeline).await.map_err(anyhow::Error::msg)?;
    Ok(worker)
}
