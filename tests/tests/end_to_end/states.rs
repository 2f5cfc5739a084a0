//! States that expire by event time, and states whose types change: over files, and through JetStream while modules are
//! swapped.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use millstream_engine::spec::PipelineSpec;
use millstream_engine::status::Phase;
use millstream_engine::worker::Worker;
use millstream_sandbox::{Limits, Sandbox};
use millstream_state::{Budgets, Shared};
use millstream_tests::broker::Broker;
use millstream_tests::files::outputs_over_files;
use millstream_tests::fraud::fraud;
use millstream_tests::{golden, guest, sorted_lines};
use serde_json::{Value, json};

use crate::savepoints::rescale;

/// Out-of-orderness of the source, and the life of what expires, milliseconds.
const BOUND_MS: i64 = 5_000;
const TTL_MS: i64 = 60_000;

/// The streams of the fraud job with one of the modules `totals`.
fn totals(module: &str, partitions: u16) -> PipelineSpec {
    let sandbox = Sandbox::new(Limits::default(), None).unwrap();
    let module = Arc::new(sandbox.compile(&guest(module)).unwrap());
    let mut spec = fraud(BOUND_MS, partitions);
    spec.name = "totals".into();
    let stage = &mut spec.stages[0];
    stage.outputs = vec![vec![0]; module.description().outputs.len()];
    stage.module = module.into();
    spec
}

/// What is known of an account: in units of 0.01, with the event time at which it expires.
#[derive(Default)]
struct Account {
    sum: i64,
    recent: Vec<i64>,
    categories: BTreeMap<String, i64>,
    last: Option<(i64, i64)>,
}

/// What the modules must say to each transaction, by one rule: seen is what expires behind the watermark that the
/// source had reached before the transaction.
fn reference(input: &[u8]) -> Vec<u8> {
    let mut accounts: BTreeMap<String, Account> = BTreeMap::new();
    let (mut max, mut out) = (i64::MIN, Vec::new());
    for line in str::from_utf8(input).unwrap().lines() {
        let txn: Value = serde_json::from_str(line).unwrap();
        let text = |name: &str| txn[name].as_str().unwrap().to_owned();
        let at = txn["ts"].as_i64().unwrap();
        let units = (txn["amount"].as_f64().unwrap() * 100.0).round() as i64;
        let watermark = if max == i64::MIN { i64::MIN } else { max - BOUND_MS - 1 };
        max = max.max(at);
        let expiry = at + TTL_MS;
        let account = accounts.entry(text("account_id")).or_default();
        account.sum += units;
        account.recent.retain(|expiry| *expiry > watermark);
        account.categories.retain(|_, expiry| *expiry > watermark);
        let before = account.last.filter(|(_, expiry)| *expiry > watermark);
        account.last = Some((units, expiry));
        account.recent.push(expiry);
        account.categories.insert(text("merchant_category"), expiry);
        let live = |expiries: &mut dyn Iterator<Item = &i64>| {
            expiries.filter(|expiry| **expiry > watermark).count()
        };
        let before = before.map(|(units, _)| format!("\"before\":{},", decimal(units)));
        let line = format!(
            "{{{}\"categories\":{},\"recent\":{},\"sum\":{},\"txn_id\":{}}}\n",
            before.unwrap_or_default(),
            live(&mut account.categories.values()),
            live(&mut account.recent.iter()),
            decimal(account.sum),
            json!(text("txn_id")),
        );
        out.extend_from_slice(line.as_bytes());
    }
    out
}

fn decimal(units: i64) -> String {
    format!("{}.{:02}", units / 100, units % 100)
}

#[test]
fn what_expires_by_event_time_depends_on_the_record_and_its_watermark_alone() {
    let input = golden("input_disorder");
    let wanted = reference(&input);
    for (module, partitions, cache_bytes) in
        [("totals", 1, 64 << 20), ("totals", 8, 16 << 10), ("totals-migrated", 3, 16 << 10)]
    {
        let spec = totals(module, partitions);
        let found = outputs_over_files(&spec, "input_disorder", cache_bytes);
        let (found, wanted) = (sorted_lines(&found), sorted_lines(&wanted));
        assert_eq!(found.len(), wanted.len());
        for (found, wanted) in found.iter().zip(&wanted) {
            assert_eq!(found, wanted, "{module} at {partitions} partitions");
        }
    }
}

async fn worker(broker: &Broker, data: &Path) -> Worker {
    let shared = Shared::new(Budgets { cache_bytes: 64 << 10, ..Budgets::default() });
    Worker::start(broker.connection().await, data, shared, 1).await.unwrap()
}

/// Why `totals-incompatible` is refused.
async fn refusal(worker: &Worker) -> String {
    worker.apply(totals("totals-incompatible", 4)).await.expect_err("it does not fit")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn states_are_migrated_by_a_swap_under_load_and_one_that_does_not_fit_is_refused() {
    let broker = Broker::start().await;
    broker.stream("TRANSACTIONS", &["tx"]).await;
    broker.stream("RESULTS", &["fraud"]).await;
    let records = golden("input_disorder");
    let wanted = reference(&records);
    let wanted = sorted_lines(&wanted);
    let lines: Vec<&[u8]> = records.split_inclusive(|b| *b == b'\n').collect();
    let parts: Vec<Vec<u8>> =
        lines.chunks(lines.len().div_ceil(4)).map(<[&[u8]]>::concat).collect();

    let data = tempfile::tempdir().unwrap();
    let first = worker(&broker, data.path()).await;
    first.apply(totals("totals", 4)).await.unwrap();
    broker.publish_lines("tx", &parts[0]).await;
    broker.read("RESULTS", lines.len() / 8).await;

    // The old one goes on, as if nothing had been asked.
    let before = first.status("totals").await.unwrap().stages[0].module.clone();
    let why = refusal(&first).await;
    assert!(
        why.contains("state `sum` may hold elements of schema version 1, which the new module, whose version is 3, does not read"),
        "{why}"
    );
    let status = first.status("totals").await.unwrap();
    assert_eq!((status.phase, status.stages[0].module.clone()), (Phase::Running, before.clone()));
    assert!(status.stages[0].partitions.iter().all(|p| p.module == before));

    // The new one takes over what is there, in the middle of the load.
    let (load, swap) =
        (broker.publish_lines("tx", &parts[1]), first.apply(totals("totals-migrated", 4)));
    let ((), swapped) = tokio::join!(load, swap);
    swapped.unwrap();
    broker.read("RESULTS", lines.len() / 2).await;
    assert!(refusal(&first).await.contains("schema version 2"));
    assert!(first.apply(totals("totals", 4)).await.is_err(), "there may be version 2 now");

    // What was stored says by itself what it holds.
    first.checkpoint("totals").await.unwrap();
    first.stop("totals", false).await.unwrap();
    drop(first);
    let second = worker(&broker, data.path()).await;
    let why = refusal(&second).await;
    assert!(why.contains("state `sum` may hold items of version 1"), "{why}");
    second.apply(totals("totals-migrated", 4)).await.unwrap();
    broker.publish_lines("tx", &parts[2]).await;
    broker.publish_lines("tx", &parts[3]).await;

    let found = broker.read("RESULTS", wanted.len()).await;
    second.stop("totals", true).await.unwrap();
    assert_eq!(broker.count("RESULTS").await, wanted.len() as u64);
    for (found, wanted) in sorted_lines(&found).iter().zip(&wanted) {
        assert_eq!(found, wanted);
    }
}

/// Values, lists and maps that expire by event time, dealt out among other partitions under load.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn states_that_expire_are_dealt_out_by_key() {
    let broker = Broker::start().await;
    broker.stream("TRANSACTIONS", &["tx"]).await;
    broker.stream("RESULTS", &["fraud"]).await;
    let records = golden("input_disorder");
    let wanted = reference(&records);
    let wanted = sorted_lines(&wanted);
    let lines: Vec<&[u8]> = records.split_inclusive(|b| *b == b'\n').collect();
    let parts: Vec<Vec<u8>> =
        lines.chunks(lines.len().div_ceil(3)).map(<[&[u8]]>::concat).collect();
    let data = tempfile::tempdir().unwrap();
    let worker = worker(&broker, data.path()).await;
    let mut spec = totals("totals", 4);
    worker.apply(spec.clone()).await.unwrap();
    for (life, partitions, part) in [(2, 7, &parts[0]), (3, 2, &parts[1])] {
        let fed = broker.publish_lines("tx", part);
        (spec, ()) = tokio::join!(rescale(&worker, &spec, life, partitions), fed);
    }
    broker.publish_lines("tx", &parts[2]).await;
    let found = broker.read("RESULTS", wanted.len()).await;
    worker.stop("totals", true).await.unwrap();
    assert_eq!(broker.count("RESULTS").await, wanted.len() as u64);
    for (found, wanted) in sorted_lines(&found).iter().zip(&wanted) {
        assert_eq!(found, wanted);
    }
}
