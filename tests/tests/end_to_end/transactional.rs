//! Transactional sinks: exactly once however long an owner sleeps, which a duplicate window cannot promise.

use std::collections::BTreeMap;
use std::time::Duration;

use millstream_core::egress::MessageId;
use millstream_engine::crash::CrashPoint;
use millstream_engine::status::Phase;
use millstream_tests::broker::Broker;
use millstream_tests::fraud::transactional;
use millstream_tests::golden_job::{GoldenJob, worker};
use millstream_tests::sorted_lines;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::kills::seed;
use crate::owner::Owner;
use crate::savepoints::rescale;

/// Subject of the outputs.
const OUTPUTS: &str = "fraud";
/// Subjects of the cursor records.
const CURSORS: &str = "millstream.cursor.RESULTS.>";
/// How long the sink remembers ids where an owner sleeps for longer.
const WINDOW: Duration = Duration::from_secs(2);

fn job() -> GoldenJob {
    GoldenJob::fraud("input_inorder", "fraud")
}

async fn broker_with_source() -> Broker {
    let broker = Broker::start().await;
    broker.stream("TRANSACTIONS", &["tx"]).await;
    broker
}

/// Waits until the sink is there and holds so many outputs.
async fn until_outputs(broker: &Broker, count: usize) {
    broker.until(|| async { broker.has_stream("RESULTS").await.then_some(()) }).await;
    let held = || async { broker.count_on("RESULTS", OUTPUTS).await };
    broker.until(|| async { (held().await >= count).then_some(()) }).await;
}

/// The outputs, one a line.
async fn outputs(broker: &Broker) -> Vec<u8> {
    let found = broker.count_on("RESULTS", OUTPUTS).await;
    let records = broker.read_on("RESULTS", OUTPUTS, found).await;
    records.iter().flat_map(|record| [&record.payload[..], b"\n"].concat()).collect()
}

/// Checks that each output is there once, and nothing besides but cursor records; those of one life of the pipeline also in
/// the order of the log.
async fn assert_exact(broker: &Broker, job: &GoldenJob) {
    let expected = sorted_lines(&job.expected);
    until_outputs(broker, expected.len()).await;
    let found = broker.count_on("RESULTS", OUTPUTS).await;
    assert_eq!(found, expected.len(), "each output is there once");
    let (mut lines, mut last) = (Vec::new(), BTreeMap::new());
    for record in broker.read_on("RESULTS", OUTPUTS, found).await {
        lines.extend_from_slice(&record.payload);
        lines.push(b'\n');
        let id = record.headers["Millstream-Output"].strip_prefix("fraud.fraud.").unwrap();
        let id: MessageId = id.parse().unwrap();
        let place = (id.commit, id.index);
        let before = last.insert(id.partition, place);
        assert!(before < Some(place), "partition {}: {before:?} before {place:?}", id.partition);
    }
    assert_eq!(sorted_lines(&lines), expected);
    let cursors = broker.count_on("RESULTS", CURSORS).await;
    assert_eq!(broker.count("RESULTS").await, (found + cursors) as u64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fraud_through_a_transactional_sink_equals_flink() {
    let (broker, job) = (broker_with_source().await, job());
    broker.publish_lines("tx", &job.records).await;
    let data = tempfile::tempdir().unwrap();
    let worker = worker(&broker, data.path()).await;
    worker.apply(transactional(0, 4)).await.unwrap();
    until_outputs(&broker, job.outputs()).await;
    worker.stop("fraud", true).await.unwrap();
    assert_exact(&broker, &job).await;
    assert_eq!(broker.count_on("RESULTS", CURSORS).await, 4, "one record per partition");
}

/// Owners that are killed with batches under way, each followed by another in an empty folder; after some the server is killed too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn outputs_are_exact_behind_20_killed_owners_and_a_killed_server() {
    const KILLS: usize = 20;
    let mut random = StdRng::seed_from_u64(seed(71));
    let (mut broker, job) = (broker_with_source().await, job());
    let mut fed = 0;
    for (kill, part) in job.parts(KILLS).iter().enumerate() {
        let data = tempfile::tempdir().unwrap();
        let owner = Owner::start_transactional(&broker, data.path());
        broker.publish_lines("tx", part).await;
        if kill % 7 == 3 {
            broker.restart().await;
        }
        // Any moment is as good as another; what is left is the next owner's.
        until_outputs(&broker, random.random_range(0..fed + 1)).await;
        fed += sorted_lines(part).len();
        owner.kill();
    }
    let data = tempfile::tempdir().unwrap();
    let _last = Owner::start_transactional(&broker, data.path());
    assert_exact(&broker, &job).await;
}

/// An owner that falls asleep right before it publishes, for longer than a sink may remember ids, while another goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_owner_that_wakes_up_behind_the_window_doubles_nothing() {
    let (broker, job) = (broker_with_source().await, job());
    let (first_data, second_data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let parts = job.parts(3);
    broker.publish_lines("tx", &parts[0]).await;
    let point: CrashPoint = "before:publish-output".parse().unwrap();
    let first = Owner::start_drowsy(&broker, first_data.path(), (point, 3));
    broker.until(|| async { first.is_stopped().then_some(()) }).await;
    broker.publish_lines("tx", &parts[1]).await;
    let _second = Owner::start_transactional(&broker, second_data.path());
    until_outputs(&broker, 10_000).await;
    // The time itself is what is waited for.
    tokio::time::sleep(2 * WINDOW).await;
    first.signal("CONT");
    broker.publish_lines("tx", &parts[2]).await;
    let said = first.end().await;
    assert!(said.contains("another node took the partition over"), "{said}");
    assert_exact(&broker, &job).await;
    until_outputs(&broker, job.outputs()).await;
    assert_eq!(sorted_lines(&outputs(&broker).await), sorted_lines(&job.expected));
}

/// Each life goes on behind the cursor records of the one before, whatever the number of partitions.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rescaled_pipeline_goes_on_in_its_transactional_sink() {
    let (broker, job) = (broker_with_source().await, job());
    let data = tempfile::tempdir().unwrap();
    let worker = worker(&broker, data.path()).await;
    let mut spec = transactional(0, 4);
    worker.apply(spec.clone()).await.unwrap();
    let parts = job.parts(4);
    for (life, partitions) in [(2, 7), (3, 2), (4, 4)] {
        let fed = broker.publish_lines("tx", &parts[life as usize - 2]);
        (spec, ()) = tokio::join!(rescale(&worker, &spec, life, partitions), fed);
    }
    broker.publish_lines("tx", &parts[3]).await;
    until_outputs(&broker, job.outputs()).await;
    assert_eq!(worker.status("fraud").await.unwrap().phase, Phase::Running);
    worker.stop("fraud", true).await.unwrap();
    let outputs = outputs(&broker).await;
    assert_eq!(sorted_lines(&outputs), sorted_lines(&job.expected));
    assert_eq!(broker.count_on("RESULTS", CURSORS).await, 7, "of the lives before as well");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_without_atomic_batches_is_refused_and_the_error_says_how_to_go_on() {
    let broker = broker_with_source().await;
    broker.stream("RESULTS", &[OUTPUTS]).await;
    let data = tempfile::tempdir().unwrap();
    let worker = worker(&broker, data.path()).await;
    let refused = worker.apply(transactional(0, 1)).await.unwrap_err();
    assert_eq!(
        refused,
        "sink `results`: stream RESULTS has allow_atomic = false; a transactional sink needs allow_atomic = true: change the stream, or remove it and it is made"
    );
}
