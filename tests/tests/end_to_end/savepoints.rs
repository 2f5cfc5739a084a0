//! Savepoints and rescaling: what a pipeline has published up to the barrier, and what goes on from there publishes, are
//! together what one uninterrupted run gives.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use millstream_core::ids::Incarnation;
use millstream_core::seal::Seal;
use millstream_engine::spec::PipelineSpec;
use millstream_engine::status::Phase;
use millstream_engine::worker::{Life, Worker};
use millstream_tests::broker::Broker;
use millstream_tests::fraud::{fraud, on_fraud_streams};
use millstream_tests::golden_job::{GoldenJob, broker, worker};
use millstream_tests::sorted_lines;
use millstream_tests::stages::{Path as Way, stages};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::kills::seed;

/// The configuration of a tumbling job, whose golden is `tumbling`.
const TUMBLING: &str = r#"{"type":"tumbling","window":{"tumbling":"1m"}}"#;
/// How often a worker is killed on its way.
const KILLS: u32 = 4;
/// Latest moment of a kill after the beginning of what it interrupts.
const KILLED_WITHIN: Duration = Duration::from_millis(400);

/// Another life of a pipeline, with other partitions.
fn next_life(spec: &PipelineSpec, life: u128, partitions: u16) -> PipelineSpec {
    // Lives differ in their first digits, as random ones do.
    let incarnation = Incarnation(life << 100 | life);
    let mut next = spec.clone();
    next.incarnation = incarnation;
    next.log = Some(PipelineSpec::seeded_log(&spec.name, incarnation));
    next.stages.iter_mut().for_each(|stage| stage.partitions = partitions);
    next
}

/// Rescales a pipeline as the control plane does, without a record.
pub async fn rescale(
    worker: &Worker,
    old: &PipelineSpec,
    life: u128,
    partitions: u16,
) -> PipelineSpec {
    let savepoint = format!("rescale-{life}");
    worker.savepoint(&old.name, &savepoint, true).await.unwrap();
    let next = next_life(old, life, partitions);
    worker.restore(&savepoint, &next).await.unwrap();
    let log = old.log.clone();
    let before = Life { incarnation: old.incarnation, log, checkpoint_store: None };
    let seal = Seal { life: next.incarnation, revision: old.recorded };
    worker.seal(&savepoint, &before, &seal).await.unwrap();
    worker.apply(next.clone()).await.unwrap();
    worker.retire(&old.name, &before).await.unwrap();
    assert!(worker.forget_savepoint(&savepoint).await.unwrap());
    next
}

/// Feeds a job while it is rescaled to each of these numbers of partitions, and checks what it gives.
async fn check_rescaled(job: GoldenJob, spec: PipelineSpec, numbers: &[u16]) {
    let broker = broker().await;
    let data = tempfile::tempdir().unwrap();
    let worker = worker(&broker, data.path()).await;
    worker.apply(spec.clone()).await.unwrap();
    let parts = job.parts(numbers.len() + 1);
    let (mut spec, mut life) = (spec, 1);
    for (&partitions, part) in numbers.iter().zip(&parts) {
        life += 1;
        let fed = broker.publish_lines("tx", part);
        (spec, ()) = tokio::join!(rescale(&worker, &spec, life, partitions), fed);
    }
    broker.publish_lines("tx", &parts[numbers.len()]).await;
    broker.read("RESULTS", job.outputs()).await;
    let status = worker.status(&spec.name).await.unwrap();
    assert_eq!(status.phase, Phase::Running);
    let found: Vec<_> = status.stages.iter().map(|stage| stage.partitions.len()).collect();
    assert!(found.iter().all(|found| *found == usize::from(*numbers.last().unwrap())));
    worker.stop(&spec.name, true).await.unwrap();
    job.is_exact(&broker).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timers_and_state_are_dealt_out_by_key_under_load() {
    let job = GoldenJob::fraud("input_inorder", "fraud");
    check_rescaled(job, fraud(0, 4), &[7, 2]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn windows_are_dealt_out_by_key_under_load() {
    let spec = on_fraud_streams("windows", "window-sums", TUMBLING, 5_000, 4);
    check_rescaled(GoldenJob::new("input_disorder", "tumbling"), spec, &[7, 2, 1]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stages_that_read_each_other_are_rescaled_together() {
    for way in [Way::One, Way::Two, Way::Chained] {
        let spec = stages(TUMBLING, way, (3, 4));
        check_rescaled(GoldenJob::new("input_disorder", "tumbling"), spec, &[5, 2]).await;
    }
}

/// The original ends at the barrier, and another pipeline of another name and number of partitions goes on from there, into the
/// same sink.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_pipeline_has_given_and_what_goes_on_from_it_gives_is_the_whole() {
    let job = GoldenJob::fraud("input_disorder", "fraud_disorder");
    let broker = broker().await;
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let one = worker(&broker, first.path()).await;
    one.apply(fraud(5_000, 4)).await.unwrap();
    let taking = async {
        broker.read("RESULTS", 2_000).await;
        one.savepoint("fraud", "middle", true).await.unwrap()
    };
    let (taken, ()) = tokio::join!(taking, broker.publish_lines("tx", &job.records));
    assert_eq!(taken.stages[0].partitions, 4);
    one.stop("fraud", false).await.unwrap();
    assert!(one.savepoint("fraud", "again", false).await.is_err(), "it does not run");
    drop((one, first));
    let given = broker.count("RESULTS").await;
    assert!(given < job.outputs() as u64, "all {given} outputs were there at the barrier");

    let two = worker(&broker, second.path()).await;
    let found = two.savepoints().await.unwrap();
    assert_eq!(found.iter().map(|found| found.name.as_str()).collect::<Vec<_>>(), ["middle"]);
    let mut copy = fraud(5_000, 3);
    copy.name = "copy".into();
    let copy = next_life(&copy, 2, 3);
    two.restore("middle", &copy).await.unwrap();
    two.apply(copy).await.unwrap();
    broker.read("RESULTS", job.outputs()).await;
    two.stop("copy", true).await.unwrap();
    job.is_exact(&broker).await;
    assert!(two.forget_savepoint("middle").await.unwrap());
    assert!(!two.forget_savepoint("middle").await.unwrap());
}

/// The node that switches lives may die behind the seals, and an owner that nobody knew of wake up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_goes_on_in_a_sealed_life_by_the_record_that_is_to_be_replaced() {
    let job = GoldenJob::fraud("input_disorder", "fraud_disorder");
    let broker = broker().await;
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (one, two) = (worker(&broker, first.path()).await, worker(&broker, second.path()).await);
    let old = fraud(5_000, 4);
    one.apply(old.clone()).await.unwrap();
    let taking = async {
        broker.read("RESULTS", 2_000).await;
        one.savepoint("fraud", "middle", true).await.unwrap()
    };
    tokio::join!(taking, broker.publish_lines("tx", &job.records));
    let life = Life { incarnation: old.incarnation, ..Life::default() };
    let seal = |revision| Seal { life: Incarnation(9), revision };
    for _ in 0..2 {
        one.seal("middle", &life, &seal(4)).await.unwrap();
    }
    let fenced = async |worker: &Worker| {
        let status = async || worker.status("fraud").await.filter(|status| status.fenced);
        broker.until(status).await
    };
    for recorded in [3, 4] {
        two.apply(PipelineSpec { recorded, ..old.clone() }).await.unwrap();
        fenced(&two).await;
    }
    let given = broker.count("RESULTS").await;
    two.apply(PipelineSpec { recorded: 5, ..old.clone() }).await.unwrap();
    one.go_on("fraud");
    broker.read("RESULTS", job.outputs()).await;
    fenced(&one).await;
    assert!(given < job.outputs() as u64, "all {given} outputs were there at the barrier");
    two.stop("fraud", true).await.unwrap();
    job.is_exact(&broker).await;
    let late = one.seal("middle", &life, &seal(6)).await.unwrap_err();
    assert!(late.contains("it has gone on"), "{late}");
}

/// A pipeline does not notice that a savepoint is taken of it, and what begins from it does not disturb it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pipeline_goes_on_behind_its_savepoint() {
    let job = GoldenJob::fraud("input_inorder", "fraud");
    let broker = broker().await;
    broker.stream("COPY", &["copy"]).await;
    let data = tempfile::tempdir().unwrap();
    let worker = worker(&broker, data.path()).await;
    worker.apply(fraud(0, 4)).await.unwrap();
    let saving = async {
        broker.read("RESULTS", 1_000).await;
        worker.savepoint("fraud", "one", false).await.unwrap();
        let again = worker.savepoint("fraud", "one", false).await.unwrap_err();
        assert_eq!(again, "there is a savepoint `one` already");
        // One that is paused is at rest as well.
        worker.hold("fraud", true).await;
        worker.savepoint("fraud", "two", false).await.unwrap();
        worker.hold("fraud", false).await;
    };
    let (first_half, rest) = job.halves();
    tokio::join!(saving, broker.publish_lines("tx", first_half));
    broker.publish_lines("tx", rest).await;
    let mut copy = fraud(0, 2);
    copy.name = "copy".into();
    copy.sinks[0].subject = "copy".into();
    let copy = next_life(&copy, 2, 2);
    worker.restore("two", &copy).await.unwrap();
    worker.apply(copy).await.unwrap();
    job.is_exact(&broker).await;
    worker.stop("fraud", true).await.unwrap();
    worker.stop("copy", true).await.unwrap();
    let copied = broker.count("COPY").await as usize;
    let copied = broker.read("COPY", copied).await;
    let mut expected = sorted_lines(&job.expected).into_iter();
    assert!(!copied.is_empty());
    for line in sorted_lines(&copied) {
        assert!(expected.any(|known| known == line), "{line} is there too often or nobody's");
    }
}

/// What does not fit is refused before anything is made of it, and a file that is damaged is named.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_fit_is_refused() {
    let broker = broker().await;
    let (data, store) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let worker = worker(&broker, data.path()).await;
    let mut spec = fraud(0, 2);
    spec.checkpoint_store = Some(format!("file://{}", store.path().display()));
    worker.apply(spec.clone()).await.unwrap();
    broker.publish_lines("tx", &GoldenJob::fraud("input_inorder", "fraud").parts(10)[0]).await;
    broker.read("RESULTS", 1).await;
    worker.savepoint("fraud", "s", false).await.unwrap();
    let next = next_life(&spec, 2, 3);
    let restore = async |spec: &PipelineSpec| worker.restore("s", spec).await.unwrap_err();

    let mut other = next.clone();
    other.stages[0].name = "other".into();
    assert_eq!(restore(&other).await, "stage `other` is not in savepoint `s`");
    let mut other = next.clone();
    other.sources[0].name = "elsewhere".into();
    let refused = restore(&other).await;
    assert_eq!(refused, "stage `fraud` reads elsewhere, in savepoint `s` it reads transactions");
    let unknown = worker.restore("t", &next).await.unwrap_err();
    assert_eq!(unknown, "there is no savepoint `t`");

    let tables = files(&store.path().join("documents/savepoints/s"), ".sst");
    let table = tables.first().expect("there is state");
    let whole = std::fs::read(table).unwrap();
    let mut damaged = whole.clone();
    damaged[whole.len() / 2] ^= 1;
    let partition = if table.to_string_lossy().contains("/fraud/0/") { 0 } else { 1 };
    let of = format!("savepoint `s`, stage `fraud`, partition {partition}: ");
    let name = table.file_name().unwrap().to_string_lossy().into_owned();
    for (bytes, fact) in [
        (Some(damaged), "has hash"),
        (Some(whole[1..].to_vec()), "bytes, expected"),
        (None, "missing"),
    ] {
        match bytes {
            Some(bytes) => std::fs::write(table, bytes).unwrap(),
            None => std::fs::remove_file(table).unwrap(),
        }
        let refused = restore(&next).await;
        assert!(refused.starts_with(&of) && refused.contains(&name), "{refused}");
        assert!(refused.contains(fact), "{refused}");
    }
    std::fs::write(table, whole).unwrap();
    worker.restore("s", &next).await.unwrap();
    worker.unrestore(&next).await;
    worker.stop("fraud", false).await.unwrap();
}

/// All files below a folder whose names end so.
fn files(folder: &Path, end: &str) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        match path.is_dir() {
            true => found.extend(files(&path, end)),
            false => found.extend(path.to_string_lossy().ends_with(end).then_some(path)),
        }
    }
    found.sort();
    found
}

/// A worker in a runtime of its own, which ends wherever it is when it is dropped.
struct Mortal {
    runtime: Option<tokio::runtime::Runtime>,
    worker: Arc<Worker>,
}

impl Mortal {
    async fn start(broker: &Broker, data: &Path) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = { runtime }.worker_threads(2).enable_all().build().unwrap();
        let (connection, data) = (broker.connection().await, data.to_owned());
        let started =
            runtime.spawn(async move { millstream_tests::node::worker(connection, &data).await });
        let worker = Arc::new(started.await.unwrap().unwrap());
        Self { runtime: Some(runtime), worker }
    }

    /// Does something with the worker, in its runtime; none if it is killed before that is done.
    async fn within<T: Send + 'static, F: Future<Output = T> + Send + 'static>(
        &self,
        limit: Option<Duration>,
        doing: impl FnOnce(Arc<Worker>) -> F,
    ) -> Option<T> {
        let runtime = self.runtime.as_ref().expect("taken when dropped");
        let doing = runtime.spawn(doing(Arc::clone(&self.worker)));
        match limit {
            Some(limit) => tokio::time::timeout(limit, doing).await.ok().map(|done| done.unwrap()),
            None => Some(doing.await.unwrap()),
        }
    }
}

impl Drop for Mortal {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Workers die while a savepoint is taken, and while it is restored; each successor has an empty folder.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_doubled_when_workers_die_meanwhile() {
    let mut random = StdRng::seed_from_u64(seed(7));
    let mut moment = || random.random_range(Duration::ZERO..KILLED_WITHIN);
    let job = GoldenJob::fraud("input_disorder", "fraud_disorder");
    let broker = broker().await;
    let spec = fraud(5_000, 4);
    let (first_half, rest) = job.halves();
    broker.publish_lines("tx", first_half).await;
    let mut tries = 0;
    // Killed so often at most; then it is left to finish.
    let limit = |tries: u32, moment: Duration| (tries <= KILLS).then_some(moment);
    loop {
        tries += 1;
        let data = tempfile::tempdir().unwrap();
        let node = Mortal::start(&broker, data.path()).await;
        let (own, limit) = (spec.clone(), limit(tries, moment()));
        let apply = |worker: Arc<Worker>| async move { worker.apply(own).await.unwrap() };
        node.within(None, apply).await;
        let take = |worker: Arc<Worker>| async move { worker.savepoint("fraud", "s", true).await };
        match node.within(limit, take).await {
            None => continue,
            Some(taken) => {
                // One that was killed behind the last write has taken it; but whoever asked did not hear of it, and the
                // pipeline has gone on: it is of no use.
                if taken.is_err() {
                    let forget =
                        |worker: Arc<Worker>| async move { worker.forget_savepoint("s").await };
                    assert!(node.within(None, forget).await.unwrap().unwrap(), "{taken:?}");
                    continue;
                }
                let stop = |worker: Arc<Worker>| async move { worker.stop("fraud", false).await };
                node.within(None, stop).await.unwrap().unwrap();
                break;
            }
        }
    }
    broker.publish_lines("tx", rest).await;
    tries = 0;
    let next = loop {
        tries += 1;
        let data = tempfile::tempdir().unwrap();
        let node = Mortal::start(&broker, data.path()).await;
        // Whoever restores again does so for another life.
        let next = next_life(&spec, 10 + u128::from(tries), 3);
        let own = next.clone();
        let restore = |worker: Arc<Worker>| async move { worker.restore("s", &own).await };
        if let Some(restored) = node.within(limit(tries, moment()), restore).await {
            restored.unwrap();
            break next;
        }
    };
    let data = tempfile::tempdir().unwrap();
    let last = worker(&broker, data.path()).await;
    last.apply(next).await.unwrap();
    broker.read("RESULTS", job.outputs()).await;
    last.stop("fraud", true).await.unwrap();
    job.is_exact(&broker).await;
}
