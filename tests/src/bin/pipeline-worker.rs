//! A process that runs the pipelines of manifests until it is killed or one of them fails, and tells how far they are:
//! `pipeline-worker URL DATA COMPILED CHECKPOINT_MS [MANIFEST PARTITIONS]...`; partitions 0 are as the manifest says. It
//! writes a line `NAME NUMBER` for each number of `millstream_tests::progress` that has grown.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Error, Result, bail};
use millstream_engine::spec::PipelineSpec;
use millstream_log::connect::{ConnectOptions, connect};
use millstream_tests::manifest::{pipeline, sandbox};
use millstream_tests::node::{start, watch, worker};

#[tokio::main]
async fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [url, data, compiled, interval, manifests @ ..] = args.as_slice() else {
        bail!("usage: pipeline-worker URL DATA COMPILED CHECKPOINT_MS [MANIFEST PARTITIONS]...")
    };
    let interval: u64 = interval.parse().context("CHECKPOINT_MS is a number")?;
    let sandbox = sandbox(Path::new(compiled));
    let pipelines: Vec<PipelineSpec> = manifests
        .chunks_exact(2)
        .map(|arguments| {
            let partitions: u16 = arguments[1].parse().context("PARTITIONS is a number")?;
            let partitions = Some(partitions).filter(|partitions| *partitions > 0);
            let mut pipeline = pipeline(&sandbox, Path::new(&arguments[0]), partitions);
            pipeline.checkpoint_interval_ms = interval;
            Ok(pipeline)
        })
        .collect::<Result<_>>()?;
    let names: Vec<String> = pipelines.iter().map(|pipeline| pipeline.name.clone()).collect();
    let told = RefCell::new(BTreeMap::new());
    let note = |name: &str, value: u64| {
        let mut told = told.borrow_mut();
        if value > told.get(name).copied().unwrap_or(0) {
            told.insert(name.to_owned(), value);
            println!("{name} {value}");
        }
    };
    let worker = worker(connect(ConnectOptions::to(url)).await?, Path::new(data)).await;
    let worker = worker.map_err(Error::msg)?;
    let running = async {
        start(&worker, pipelines, note).await.map_err(Error::msg)?;
        std::future::pending().await
    };
    tokio::select! {
        ended = running => ended,
        why = watch(&worker, &names, note) => bail!("{why}"),
    }
}
