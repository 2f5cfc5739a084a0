//! Owners that are killed and paused, a server that is killed: the outputs are exact all the same.

use std::time::Duration;

use millstream_engine::crash::{CrashPoint, Step};
use millstream_engine::planted::Bug;
use millstream_tests::broker::Broker;
use millstream_tests::faults::damage::{How, What};
use millstream_tests::faults::fault::{Fault, Led, Parting};
use millstream_tests::faults::{Options, planted, run};
use millstream_tests::golden_job::{GoldenJob, broker, make_streams};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::kills::seed;
use crate::owner::Owner;

/// Kills of the owner in one run.
const KILLS: usize = 20;

fn job() -> GoldenJob {
    GoldenJob::fraud("input_inorder", "fraud")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_kills_of_the_owner_under_load_lose_and_double_nothing() {
    let mut random = StdRng::seed_from_u64(seed(17));
    let (broker, job) = (broker().await, job());
    let data = tempfile::tempdir().unwrap();
    let mut published = 0;
    for part in job.parts(KILLS) {
        let owner = Owner::start(&broker, data.path());
        published += part.split(|b| *b == b'\n').filter(|l| !l.is_empty()).count();
        broker.publish_lines("tx", &part).await;
        // Any moment between the first new output and the last is as good as another: how many
        // outputs are waited for is random. Several outputs of the part may never come before the kill.
        let wanted = random.random_range(0..published);
        let found =
            tokio::time::timeout(Duration::from_secs(30), broker.read("RESULTS", wanted)).await;
        found.expect("the outputs come");
        owner.kill();
    }
    let _last = Owner::start(&broker, data.path());
    job.is_exact(&broker).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_owner_that_wakes_up_writes_nothing_that_counts() {
    let (broker, job) = (broker().await, job());
    let (first_data, second_data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let parts = job.parts(3);
    broker.publish_lines("tx", &parts[0]).await;
    let first = Owner::start(&broker, first_data.path());
    broker.read("RESULTS", 1_000).await;
    first.signal("STOP");
    broker.publish_lines("tx", &parts[1]).await;
    let _second = Owner::start(&broker, second_data.path());
    broker.read("RESULTS", 10_000).await;
    first.signal("CONT");
    broker.publish_lines("tx", &parts[2]).await;
    let said = first.end().await;
    assert!(said.contains("another node took the partition over"), "{said}");
    job.is_exact(&broker).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_of_the_server_lose_and_double_nothing() {
    let (mut broker, job) = (broker().await, job());
    let data = tempfile::tempdir().unwrap();
    let _owner = Owner::start(&broker, data.path());
    for part in job.parts(4) {
        broker.publish_lines("tx", &part).await;
        broker.restart().await;
    }
    job.is_exact(&broker).await;
}

/// The streams whose leader is lost: source, sink and log.
const STREAMS: [&str; 3] = ["TRANSACTIONS", "RESULTS", "MILLSTREAM_LOG_fraud"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn losses_of_the_leaders_of_three_servers_lose_and_double_nothing() {
    let (mut broker, job) = (Broker::start_replicated().await, job());
    make_streams(&broker).await;
    let mut random = StdRng::seed_from_u64(seed(29));
    let data = tempfile::tempdir().unwrap();
    let _owner = Owner::start(&broker, data.path());
    let mut published = 0;
    for (part, stream) in job.parts(STREAMS.len()).into_iter().zip(STREAMS) {
        broker.publish_lines("tx", &part).await;
        let before = published;
        published += part.split(|b| *b == b'\n').filter(|l| !l.is_empty()).count();
        // In the middle of the part, as a rule: most records give one output.
        broker.read("RESULTS", random.random_range(before..published) * 9 / 10).await;
        broker.lose_leader(stream, &STREAMS).await;
    }
    job.is_exact(&broker).await;
}

/// The program of the harness's nodes.
const NODE: &str = env!("CARGO_BIN_EXE_fault-node");

/// A short run of what `cargo xtask faults` does at length: whole nodes that share the partitions of a pipeline.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_under_all_kinds_of_faults_give_what_the_model_says() {
    let faults = [
        Fault::Kill { back_after_ms: 200 },
        Fault::Crash { point: CrashPoint::Before(Step::AppendCommit), count: 7 },
        Fault::Swap,
        Fault::Crash { point: CrashPoint::After(Step::PublishOutput), count: 11 },
        Fault::Damage { what: What::Table, how: How::Flip },
        Fault::Clock { by_ms: 600_000 },
        Fault::Part { parting: Parting::Stalled, for_ms: 3_000 },
        Fault::Damage { what: What::Database, how: How::Cut },
        Fault::KillServer { leads: Led::Source },
        Fault::Crash { point: CrashPoint::Before(Step::UploadManifest), count: 1 },
        Fault::StoreError,
        Fault::Rescale { partitions: (5, 2) },
        Fault::FullDisk,
        Fault::Drain,
        Fault::Part { parting: Parting::Cut, for_ms: 1_000 },
        Fault::Clock { by_ms: -600_000 },
        Fault::Pause,
    ];
    let options = Options {
        seed: seed(61),
        program: NODE.into(),
        servers: 1,
        nodes: 2,
        lasts: Duration::from_secs(300),
        faults: Some((0..).map(|number| number % 2).zip(faults).map(|(n, f)| (f, n)).collect()),
        only: None,
        patience: Duration::from_secs(120),
        bug: None,
    };
    let report = run(&options).await.expect("the cluster starts");
    assert!(report.is_clean(), "{report}");
    assert_eq!(report.faults(), faults.len() as u64, "{report}");
}

/// The harness sees what it is there for; `cargo xtask faults --planted` shows it for all bugs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn planted_bugs_are_seen_by_the_harness() {
    for bug in [Bug::SourceOneAhead, Bug::RedoOneLate, Bug::EgressBeforeCommit] {
        let caught = planted::catch(bug, seed(67), NODE.as_ref()).await.expect("nodes start");
        assert!(caught.seed.is_some(), "{bug}: {}", caught.how);
    }
}
