//! A worker that runs several pipelines and tells how far they are: in this process with threads and a folder of its
//! own, or as the whole of a process that is killed.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use millstream_engine::spec::PipelineSpec;
use millstream_engine::status::PositionStatus;
use millstream_engine::worker::Worker;
use millstream_log::connect::Connection;
use millstream_state::{Budgets, Shared};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

use crate::broker::Broker;
use crate::progress::{CHECKPOINTS, PATIENCE, Progress, STARTED, positions};

/// How often pipelines are asked how far they are.
const ASK_EVERY: Duration = Duration::from_millis(5);

/// Starts a worker that keeps its state in `data`.
///
/// # Errors
/// Why it does not start.
pub async fn worker(connection: Connection, data: &Path) -> Result<Worker, String> {
    Worker::start(connection, data, Shared::new(Budgets::default()), 1).await
}

/// Starts pipelines, all at once, and notes each that has started.
///
/// # Errors
/// Why one does not start.
pub async fn start(
    worker: &Worker,
    pipelines: Vec<PipelineSpec>,
    note: impl Fn(&str, u64),
) -> Result<(), String> {
    let apply = |pipeline: PipelineSpec| async {
        let name = pipeline.name.clone();
        worker.apply(pipeline).await.map_err(|why| format!("{name}: {why}"))
    };
    let mut starting: FuturesUnordered<_> = pipelines.into_iter().map(apply).collect();
    let mut started = 0;
    while let Some(result) = starting.next().await {
        result?;
        started += 1;
        note(STARTED, started);
    }
    Ok(())
}

/// Notes how far pipelines are, until one of them fails; why.
pub async fn watch(worker: &Worker, pipelines: &[String], note: impl Fn(&str, u64)) -> String {
    let mut checkpoints = BTreeMap::new();
    let mut stored = 0;
    loop {
        for name in pipelines {
            let Some(status) = worker.status(name).await else { continue };
            if let Some(why) = status.reason {
                return format!("{name}: {why}");
            }
            positions(name, &status).iter().for_each(|(source, position)| note(source, *position));
            for stage in &status.stages {
                for partition in &stage.partitions {
                    let commit = partition.checkpoint.as_ref().map(|checkpoint| checkpoint.commit);
                    let place = (name, &stage.name[..], partition.partition);
                    let place = (place.0.clone(), place.1.to_owned(), place.2);
                    // What is there at first was stored by somebody else.
                    let known = checkpoints.insert(place, commit);
                    stored += u64::from(known.is_some_and(|known| known != commit));
                }
            }
        }
        note(CHECKPOINTS, stored);
        tokio::time::sleep(ASK_EVERY).await;
    }
}

/// A worker in this process.
pub struct Node {
    pipelines: Vec<String>,
    worker: Arc<Worker>,
    /// Taken when dropped.
    runtime: Option<Runtime>,
    _data: TempDir,
}

impl Node {
    /// Starts one with an empty folder and so many threads, and its pipelines. Panics if one does not start.
    pub async fn start(
        broker: &Broker,
        threads: usize,
        pipelines: Vec<PipelineSpec>,
        progress: &Arc<Progress>,
    ) -> Self {
        let data = tempfile::tempdir().expect("a temporary folder");
        let runtime = Builder::new_multi_thread().worker_threads(threads).enable_all().build();
        let runtime = runtime.expect("threads");
        let names: Vec<String> = pipelines.iter().map(|pipeline| pipeline.name.clone()).collect();
        let (url, path) = (broker.server.url(), data.path().to_owned());
        let (watched, progress) = (names.clone(), Arc::clone(progress));
        let starting = runtime.spawn(async move {
            let connection = millstream_log::connect::ConnectOptions::to(&url);
            let connection = millstream_log::connect::connect(connection).await;
            let worker = worker(connection.expect("the server answers"), &path).await;
            let worker = Arc::new(worker.expect("the worker starts"));
            let note = Arc::clone(&progress);
            let begun = start(&worker, pipelines, |name, value| note.note(name, value)).await;
            begun.expect("the pipelines start");
            let running = Arc::clone(&worker);
            tokio::spawn(async move {
                let why = watch(&running, &watched, |name, value| progress.note(name, value)).await;
                eprintln!("a pipeline failed: {why}");
            });
            worker
        });
        let worker = starting.await.expect("the worker starts");
        Self { pipelines: names, worker, runtime: Some(runtime), _data: data }
    }

    /// Calls the worker for each pipeline at the same time, on its own threads.
    async fn each<T: Send + 'static, F: Future<Output = Result<T, String>> + Send + 'static>(
        &self,
        call: impl Fn(Arc<Worker>, String) -> F,
    ) -> Vec<(String, T)> {
        let runtime = self.runtime.as_ref().expect("taken when dropped");
        let calls = self.pipelines.iter().map(|name| {
            let called = runtime.spawn(call(Arc::clone(&self.worker), name.clone()));
            async move {
                let answer = called.await.expect("no panic");
                (name.clone(), answer.unwrap_or_else(|why| panic!("{name}: {why}")))
            }
        });
        futures::future::join_all(calls).await
    }

    /// Stores a checkpoint of every partition that has changed.
    pub async fn checkpoint(&self) {
        self.each(|worker, name| async move { worker.checkpoint(&name).await }).await;
    }

    /// Waits until all `readers`, the partitions of a pipeline that read a source, have committed its records up to a
    /// sequence.
    pub async fn until_read(&self, pipeline: &str, source: &str, readers: usize, sequence: u64) {
        let have_read = async || {
            let status = self.worker.status(pipeline).await.expect("the pipeline runs");
            let partitions = status.stages.iter().flat_map(|stage| &stage.partitions);
            let positions = partitions.flat_map(|partition| &partition.positions);
            let has_read = |position: &&PositionStatus| {
                position.source == source && position.position >= sequence
            };
            positions.filter(has_read).count()
        };
        let read = async {
            while have_read().await < readers {
                tokio::time::sleep(ASK_EVERY).await;
            }
        };
        let read = tokio::time::timeout(PATIENCE, read).await;
        read.unwrap_or_else(|_| panic!("{pipeline} does not read {source} up to {sequence}"));
    }

    /// Processes what the sources of a pipeline hold, and stops it.
    pub async fn finish(&self, pipeline: &str) {
        let (worker, name) = (Arc::clone(&self.worker), pipeline.to_owned());
        let runtime = self.runtime.as_ref().expect("taken when dropped");
        let stopped = runtime.spawn(async move { worker.stop(&name, true).await });
        let stopped = stopped.await.expect("no panic");
        stopped.unwrap_or_else(|why| panic!("{pipeline}: {why}"));
    }

    /// Processes what the sources hold, stops, and removes the folder.
    pub async fn stop(self) {
        self.each(|worker, name| async move { worker.stop(&name, true).await }).await;
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
