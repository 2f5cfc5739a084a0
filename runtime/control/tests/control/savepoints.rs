//! Savepoints, pipelines that begin from them, and rescaling: what is recorded, and what the worker is asked to do.

use std::sync::Arc;

use millstream_control::api::checkpoints::Verify;
use millstream_control::api::local::{TakeSavepoint, Taking};
use millstream_control::api::pipelines::{
    Delete, Desired, Get, ManifestText, Outcome, PipelineInfo, Stop,
};
use millstream_control::api::savepoints::{Create, List, Remove, Rescale, Restore};
use millstream_control::api::status::Phase;
use millstream_control::client::Client;
use millstream_control::errors;
use millstream_control::registry::{PIPELINES_BUCKET, Pipelines};
use millstream_log::Name;
use millstream_log::kv::{BucketOptions, JetStreamKv};

use crate::support::{Cluster, PATIENCE, QUICK_LEASE, connect, guest, manifest};

fn create(name: Option<&str>, stop: bool) -> Create {
    Create { pipeline: "p".into(), name: name.map(str::to_owned), stop, by: "me".into() }
}

fn restore(savepoint: &str, text: &str) -> Restore {
    let manifest =
        ManifestText { file: "q.yaml".into(), text: text.into(), ..ManifestText::default() };
    Restore { savepoint: savepoint.into(), manifest, by: "me".into(), ..Restore::default() }
}

fn rescale(partitions: u16) -> Rescale {
    Rescale {
        pipeline: "p".into(),
        stages: [("work".to_owned(), partitions)].into(),
        all: None,
        by: "me".into(),
    }
}

/// A cluster that runs the pipeline `p`, and the reference of its module.
async fn cluster() -> (Cluster, String) {
    let cluster = Cluster::start().await;
    let module = cluster.push(guest(), false).await.unwrap().module;
    let reference = format!("{}@{}", module.name, module.version);
    cluster.apply(&manifest("p", &reference)).await.unwrap();
    cluster.node.worker.called("resume p").await;
    (cluster, reference)
}

#[tokio::test]
async fn savepoints_are_taken_listed_and_removed() {
    let (cluster, _) = cluster().await;
    let taken = cluster.ask(&create(Some("one"), false)).await;
    assert_eq!((taken.name.as_str(), taken.pipeline.as_str()), ("one", "p"));
    let unnamed = cluster.ask(&create(None, false)).await;
    assert!(unnamed.name.starts_with("p-"), "{}", unnamed.name);
    assert_eq!(cluster.ask(&List {}).await.savepoints, [taken, unnamed]);
    let wrong = cluster.refused(&create(Some("a b"), false)).await;
    assert_eq!(wrong.0[0].code, errors::SAVEPOINT_FAILED);

    let remove = |name: &str| Remove { savepoint: name.into() };
    cluster.ask(&remove("one")).await;
    let unknown = cluster.refused(&remove("one")).await;
    assert_eq!(unknown.0[0].code, errors::SAVEPOINT_UNKNOWN);
    assert_eq!(cluster.ask(&List {}).await.savepoints.len(), 1);

    // A pipeline that stops at the barrier rests until it has stopped.
    cluster.ask(&create(Some("last"), true)).await;
    let calls = cluster.node.worker.called("stop p").await;
    assert!(calls.contains(&"savepoint p stay".to_owned()), "{calls:?}");
    assert!(!calls.contains(&"go on p".to_owned()), "{calls:?}");
    let info = cluster.until("p", |info| info.desired == Desired::Stopped).await;
    assert_eq!(info.revision, 2);
    let stopped = cluster.refused(&create(None, false)).await;
    assert_eq!(stopped.0[0].code, errors::PIPELINE_NOT_RUNNING);
}

#[tokio::test]
async fn a_pipeline_is_created_from_a_savepoint() {
    let (cluster, module) = cluster().await;
    cluster.ask(&create(Some("one"), false)).await;
    let text = manifest("q", &module);
    let unknown = cluster.refused(&restore("two", &text)).await;
    assert_eq!(unknown.0[0].code, errors::SAVEPOINT_UNKNOWN);
    let exists = cluster.refused(&restore("one", &manifest("p", &module))).await;
    assert_eq!(exists.0[0].code, errors::PIPELINE_EXISTS);
    cluster.node.worker.refuse("q", Some("stage `work` does not fit"));
    let misfit = cluster.refused(&restore("one", &text)).await;
    assert_eq!(misfit.0[0].code, errors::SAVEPOINT_NOT_RESTORED);
    cluster.node.worker.refuse("q", None);

    let created = cluster.ask(&restore("one", &text)).await;
    assert_eq!((created.outcome, created.revision), (Outcome::Created, 1));
    let calls = cluster.node.worker.called("resume q").await;
    assert!(calls.contains(&"restore one q [2]".to_owned()), "{calls:?}");
    let spec = cluster.node.worker.spec("q").unwrap();
    let log = spec.log.expect("it has a log of its own");
    assert!(log.starts_with("q_"), "{log}");
    assert_eq!(cluster.node.worker.spec("p").unwrap().log, None);
}

#[tokio::test]
async fn a_rescaled_pipeline_goes_on_in_another_life_and_the_first_one_is_removed() {
    let (cluster, module) = cluster().await;
    let before = cluster.node.worker.spec("p").unwrap();
    let rescaled = cluster.ask(&rescale(7)).await;
    assert_eq!((rescaled.outcome, rescaled.revision), (Outcome::Changed, 2));
    assert_eq!(rescaled.changes.len(), 1);
    let calls = cluster.node.worker.called("retire p p").await;
    let place = |call: &str| {
        let found = calls.iter().position(|made| made == call);
        found.unwrap_or_else(|| panic!("no `{call}` in {calls:?}"))
    };
    assert!(place("savepoint p stay") < place("restore rescale p [7]"));
    assert!(place("restore rescale p [7]") < place("seal rescale"));
    assert!(place("seal rescale") < place("stop p"));
    assert!(!calls.contains(&"go on p".to_owned()), "{calls:?}");
    let runs = |calls: &[String]| {
        calls.iter().skip_while(|call| *call != "stop p").any(|call| call.starts_with("apply p"))
    };
    cluster.node.worker.until(runs).await;
    let after = cluster.node.worker.spec("p").unwrap();
    assert_eq!(after.stages[0].partitions, 7);
    assert_ne!(after.incarnation, before.incarnation);
    assert!(after.log.is_some());
    assert_eq!(cluster.ask(&List {}).await.savepoints, []);

    // The manifest on record has the number, so the old one is refused and the new one changes nothing.
    let old = cluster.apply(&manifest("p", &module)).await.unwrap_err();
    assert_eq!(old.0[0].code, errors::PARTITIONS_CHANGED);
    let text = manifest("p", &module).replace("partitions: 2", "partitions: 7");
    assert_eq!(cluster.apply(&text).await.unwrap().outcome, Outcome::Unchanged);
    assert_eq!(cluster.ask(&rescale(7)).await.outcome, Outcome::Unchanged);

    let life = after.log.unwrap();
    let all = Rescale { stages: [].into(), all: Some(3), ..rescale(0) };
    cluster.ask(&all).await;
    cluster.node.worker.called(&format!("retire p {life}")).await;
    cluster.ask(&Delete { pipeline: "p".into(), by: "me".into() }).await;
    cluster.node.worker.called("delete p millstream").await;
}

#[tokio::test]
async fn a_pipeline_that_cannot_be_rescaled_goes_on_as_it_is() {
    let (cluster, _) = cluster().await;
    let unknown = Rescale { stages: [("wrok".to_owned(), 3)].into(), ..rescale(0) };
    let unknown = cluster.refused(&unknown).await;
    assert_eq!(unknown.0[0].code, errors::STAGE_UNKNOWN);
    let none = cluster.refused(&rescale(0)).await;
    assert!(!none.0.is_empty(), "no partitions at all");

    // A partition that has gone on behind the savepoint.
    cluster.node.worker.keep_unsealed(Some("it has gone on"));
    let moved = cluster.refused(&rescale(7)).await;
    assert_eq!(moved.0[0].code, errors::SAVEPOINT_NOT_RESTORED);
    cluster.node.worker.called("unrestore p").await;
    cluster.node.worker.called("go on p").await;
    cluster.node.worker.keep_unsealed(None);

    cluster.node.worker.refuse("p", Some("the store is full"));
    let failed = cluster.refused(&rescale(7)).await;
    assert_eq!(failed.0[0].code, errors::SAVEPOINT_NOT_RESTORED);
    cluster.node.worker.called("go on p").await;
    assert_eq!(cluster.ask(&List {}).await.savepoints, []);
    let info = cluster.ask(&Get { pipeline: "p".into() }).await;
    assert_eq!(info.revision, 1);
    assert_eq!(cluster.node.worker.spec("p").unwrap().stages[0].partitions, 2);
}

#[tokio::test]
async fn verifying_says_what_is_damaged() {
    let (cluster, _) = cluster().await;
    let verify = Verify { pipeline: "p".into(), stage: None, partition: None };
    let verified = cluster.ask(&verify).await.checkpoints;
    assert_eq!(verified[0].faults[0].fact, "is missing");
    let unknown = Verify { stage: Some("wrok".into()), ..verify };
    assert_eq!(cluster.refused(&unknown).await.0[0].code, errors::STAGE_UNKNOWN);
}

#[tokio::test]
async fn checkpoints_of_a_pipeline_that_does_not_run_are_verified_from_the_store() {
    let (cluster, _) = cluster().await;
    let life = cluster.ask(&Get { pipeline: "p".into() }).await.incarnation;
    cluster.ask(&Stop { pipeline: "p".into(), drain: false, by: "me".into() }).await;
    let has_stopped = |info: &PipelineInfo| {
        info.status.as_ref().is_some_and(|status| status.phase == Phase::Stopped)
    };
    cluster.until("p", has_stopped).await;
    let verify = Verify { pipeline: "p".into(), stage: None, partition: None };
    let verified = cluster.ask(&verify).await.checkpoints;
    assert_eq!(verified[0].faults[0].fact, "is missing");
    cluster.node.worker.called(&format!("verify stored p {life}")).await;
}

/// Who asks for a savepoint may die before it has an answer, or with the pipeline at rest.
#[tokio::test]
async fn a_pipeline_rests_only_for_a_node_that_is_heard() {
    let (cluster, _) = cluster().await;
    let connection = connect(&cluster.server).await;
    let bucket = Name::new(PIPELINES_BUCKET).unwrap();
    let bucket = JetStreamKv::open(&connection, &bucket, &BucketOptions::default()).await.unwrap();
    let pipelines = Pipelines::new(Arc::new(bucket));
    let node = Client::of_node(connection, PATIENCE, &cluster.node.identity);
    let take = TakeSavepoint {
        pipeline: "p".into(),
        name: "s".into(),
        stay: true,
        within_ms: Some(10_000),
        rest_only: false,
    };
    let again = TakeSavepoint { rest_only: true, ..take.clone() };
    let none = node.call(&again).await.unwrap_err();
    assert!(none.has(errors::SAVEPOINT_FAILED), "{none}");
    // What was asked for twice is taken once.
    for request in [&take, &take, &again] {
        let taken = node.call(request).await.unwrap();
        assert!(matches!(&taken, Taking::Taken(info) if info.name == "s"), "{taken:?}");
    }
    let rests = tokio::time::Instant::now();
    while rests.elapsed() < 3 * QUICK_LEASE.expiry {
        node.call(&again).await.unwrap();
        tokio::time::sleep(QUICK_LEASE.refresh).await;
    }
    let calls = cluster.node.worker.called("savepoint p stay").await;
    assert!(!calls.contains(&"go on p".to_owned()), "{calls:?}");

    // What whoever asked may still want to record is superseded before the pipeline goes on.
    let before = pipelines.require("p").await.unwrap();
    let calls = cluster.node.worker.called("go on p").await;
    let after = pipelines.require("p").await.unwrap();
    assert!(after.at > before.at && after.record == before.record, "{before:?}, {after:?}");
    let taken = calls.iter().filter(|call| *call == "savepoint p stay").count();
    assert_eq!(taken, 1, "{calls:?}");
    let over = node.call(&again).await.unwrap_err();
    assert!(over.has(errors::SAVEPOINT_FAILED), "{over}");
}
