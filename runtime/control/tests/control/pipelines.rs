//! From `apply` to what the worker is asked to do.

use millstream_control::api::pipelines::*;
use millstream_control::api::status::Phase;
use millstream_control::errors;
use millstream_control::registry::Stores;
use millstream_sandbox::codec::KeySource;

use crate::support::{Cluster, RunningNode, connect, guest, manifest, other_guest, uploaded};

fn pause(name: &str) -> Pause {
    Pause { pipeline: name.into(), by: "me".into() }
}

fn resume(name: &str) -> Resume {
    Resume { pipeline: name.into(), by: "me".into() }
}

fn stop(name: &str, drain: bool) -> Stop {
    Stop { pipeline: name.into(), drain, by: "me".into() }
}

fn delete(name: &str) -> Delete {
    Delete { pipeline: name.into(), by: "me".into() }
}

/// A cluster with `misbehave` registered, and its reference.
async fn cluster() -> (Cluster, String) {
    let cluster = Cluster::start().await;
    let module = cluster.push(guest(), false).await.unwrap().module;
    let reference = format!("{}@{}", module.name, module.version);
    (cluster, reference)
}

#[tokio::test]
async fn apply_creates_changes_and_leaves_alone() {
    let (cluster, module) = cluster().await;
    let text = manifest("p", &module);
    let created = cluster.apply(&text).await.unwrap();
    assert_eq!((created.outcome, created.revision), (Outcome::Created, 1));
    cluster.node.worker.called("resume p").await;
    let spec = cluster.node.worker.spec("p").unwrap();
    assert_eq!((spec.stages[0].partitions, spec.stages[0].config.as_str()), (2, r#"{"limit":5}"#));

    assert_eq!(spec.stages[0].inputs[0].key, KeySource::Pointer("/id".into()));
    assert_eq!(spec.stages[0].outputs, [vec![0], vec![]]);
    assert_eq!(
        (spec.sources[0].stream.as_str(), spec.sinks[0].subject.as_str()),
        ("COMMANDS", "echoes")
    );

    // Users count a subject's tokens from 1, the codec from 0.
    let by_token = manifest("tokens", &module).replace("{ pointer: /id }", "{ subject-token: 2 }");
    cluster.apply(&by_token).await.unwrap();
    cluster.node.worker.called("resume tokens").await;
    let tokens = cluster.node.worker.spec("tokens").unwrap();
    assert_eq!(tokens.stages[0].inputs[0].key, KeySource::SubjectToken(1));
    assert_ne!(tokens.incarnation, spec.incarnation);

    let same = cluster.apply(&text).await.unwrap();
    assert_eq!((same.outcome, same.revision, same.changes), (Outcome::Unchanged, 1, vec![]));

    assert_eq!(same.desired, Desired::Running);
    let changed = cluster.apply(&text.replace("limit: 5", "limit: 6")).await.unwrap();
    let change = Change {
        field: "stages.work.config.limit".into(),
        old: Some("5".into()),
        new: Some("6".into()),
    };
    assert_eq!(
        (changed.outcome, changed.revision, changed.changes),
        (Outcome::Changed, 2, vec![change])
    );
    cluster
        .node
        .worker
        .until(|calls| calls.iter().filter(|call| call.starts_with("apply p")).count() == 2)
        .await;
    let after = cluster.node.worker.spec("p").unwrap();
    assert_eq!(after.stages[0].config, r#"{"limit":6}"#);
    assert_eq!(after.incarnation, spec.incarnation);
    assert_ne!(after.incarnation.0, 0);

    let info = cluster.ask(&Get { pipeline: "p".into() }).await;
    assert_eq!((info.desired, info.revision, info.by.as_str()), (Desired::Running, 2, "me@here"));
    assert_eq!(info.status.unwrap().phase, Phase::Running);
    let described = cluster.ask(&Describe { pipeline: "p".into() }).await;
    assert_eq!(described.manifest, text.replace("limit: 5", "limit: 6"));
    cluster.node.stop().await;
}

#[tokio::test]
async fn a_file_is_uploaded_and_swapped_by_its_bytes() {
    let cluster = Cluster::start().await;
    let folder = tempfile::tempdir().unwrap();
    let text = manifest("p", "{ file: my.wasm }");
    let apply = async |wasm: Vec<u8>| {
        std::fs::write(folder.path().join("my.wasm"), wasm).unwrap();
        let manifest = uploaded(&cluster.client, &text, folder.path()).await;
        cluster.ask(&Apply { manifest, ..Apply::default() }).await
    };
    assert_eq!(apply(guest()).await.outcome, Outcome::Created);
    assert_eq!(apply(guest()).await.outcome, Outcome::Unchanged);
    let swapped = apply(other_guest(3)).await;
    assert_eq!(swapped.outcome, Outcome::Changed);
    assert_eq!(swapped.changes[0].field, "stages.work.module.sha256");
    let calls = cluster
        .node
        .worker
        .until(|calls| calls.iter().filter(|call| call.starts_with("apply p")).count() == 2)
        .await;
    let applied: Vec<_> = calls.iter().filter(|call| call.starts_with("apply p")).collect();
    assert_ne!(applied[0], applied[1], "the second one runs the new bytes");

    // The node cannot read the client's files.
    let refused = cluster.apply(&text).await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        "p.yaml:6:13: MS1113: stages.work.module: the file my.wasm was not uploaded\n  help: `millstream apply` uploads it; or push it and write `module: name@version`"
    );
    cluster.node.stop().await;
}

#[tokio::test]
async fn what_cannot_run_is_refused_and_changes_nothing() {
    let (cluster, module) = cluster().await;
    let text = manifest("p", &module);
    let refused = cluster.apply(&text.replace("echo: echoes", "eco: echoes")).await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        format!(
            "p.yaml:12:7: MS1103: stages.work.outputs.eco: module {module} declares no output `eco`\n  help: did you mean `echo`?"
        )
    );
    let refused = cluster.apply(&manifest("p", "nothing@1.0.0")).await.unwrap_err();
    assert_eq!(refused.0[0].code, errors::MODULE_NOT_FOUND);
    assert_eq!(refused.0[0].location.as_ref().unwrap().line, 6);
    let refused = cluster.apply("name: p\nsources: 5\n").await.unwrap_err();
    assert_eq!(refused.0.len(), 2, "{refused}");
    assert!(cluster.ask(&List {}).await.pipelines.is_empty());

    cluster.apply(&text).await.unwrap();
    let refused = cluster
        .apply(&text.replace("partitions: 2", "partitions: 3").replace("/id", "/no"))
        .await
        .unwrap_err();
    assert_eq!(
        refused.to_string(),
        "p.yaml:7:5: MS1203: stages.work.partitions: the stage has 2 partitions, not 3\n  help: keep it as it is, or create a new pipeline: `name: p-2`\n\
         p.yaml:9:19: MS1204: stages.work.inputs.commands.key: the key of `commands` was {\"pointer\":\"/id\"}\n  help: keep it as it is, or create a new pipeline: `name: p-2`"
    );
    assert_eq!(cluster.ask(&Get { pipeline: "p".into() }).await.revision, 1);
    cluster.node.stop().await;
}

#[tokio::test]
async fn dry_runs_and_revisions_guard_a_change() {
    let (cluster, module) = cluster().await;
    let text = manifest("p", &module);
    let request = |text: &str, dry_run, if_revision| Apply {
        manifest: ManifestText {
            file: "p.yaml".into(),
            text: text.into(),
            ..ManifestText::default()
        },
        dry_run,
        if_revision,
        ..Apply::default()
    };
    assert_eq!(cluster.ask(&request(&text, true, None)).await.outcome, Outcome::Created);
    assert_eq!(
        cluster.ask(&Validate { manifest: request(&text, true, None).manifest }).await.outcome,
        Outcome::Created
    );
    assert!(cluster.ask(&List {}).await.pipelines.is_empty());
    assert_eq!(cluster.ask(&request(&text, false, Some(0))).await.revision, 1);
    let refused = cluster.refused(&request(&text, false, Some(0))).await;
    assert!(
        refused.to_string().starts_with("MS1311: the pipeline `p` is at revision 1, not 0"),
        "{refused}"
    );
    let other = text.replace("limit: 5", "limit: 6");
    let dry = cluster.ask(&request(&other, true, Some(1))).await;
    assert_eq!((dry.outcome, dry.revision, dry.changes.len()), (Outcome::Changed, 1, 1));
    assert_eq!(cluster.ask(&request(&other, false, Some(1))).await.revision, 2);
    cluster.node.stop().await;
}

#[tokio::test]
async fn pause_resume_stop_and_delete_reach_the_worker() {
    let (cluster, module) = cluster().await;
    cluster.apply(&manifest("p", &module)).await.unwrap();
    let worker = &cluster.node.worker;
    worker.called("resume p").await;
    assert_eq!(cluster.ask(&pause("p")).await.desired, Desired::Paused);
    worker.called("pause p").await;
    cluster.until("p", |info| info.status.as_ref().unwrap().phase == Phase::Paused).await;
    // A paused pipeline takes a change and stays paused.
    cluster.apply(&manifest("p", &module).replace("limit: 5", "limit: 6")).await.unwrap();
    worker
        .until(|calls| calls.iter().filter(|call| call.starts_with("apply p")).count() == 2)
        .await;
    cluster.until("p", |info| info.status.as_ref().unwrap().phase == Phase::Paused).await;
    assert_eq!(cluster.ask(&resume("p")).await.desired, Desired::Running);
    cluster.until("p", |info| info.status.as_ref().unwrap().phase == Phase::Running).await;

    let revision = cluster.ask(&stop("p", true)).await.revision;
    worker.called("stop p drain").await;
    cluster.until("p", |info| info.status.as_ref().unwrap().phase == Phase::Stopped).await;
    // Said again it is no change.
    cluster.until("p", |info| info.desired == Desired::Stopped && info.revision == revision).await;
    cluster.ask(&resume("p")).await;
    cluster.until("p", |info| info.status.as_ref().unwrap().phase == Phase::Running).await;

    cluster.ask(&delete("p")).await;
    worker.called("delete p millstream").await;
    while !cluster.ask(&List {}).await.pipelines.is_empty() {
        tokio::task::yield_now().await;
    }
    let unknown = cluster.refused(&pause("p")).await;
    assert_eq!(unknown.0[0].code, errors::PIPELINE_UNKNOWN);
    // A new pipeline of the old name is another one.
    cluster.apply(&manifest("p", &module)).await.unwrap();
    cluster.until("p", |info| info.status.as_ref().unwrap().phase == Phase::Running).await;
    cluster.node.stop().await;
}

#[tokio::test]
async fn one_broken_pipeline_disturbs_no_other_and_is_tried_again() {
    let (cluster, module) = cluster().await;
    let worker = &cluster.node.worker;
    worker.refuse("bad", Some("the stream COMMANDS does not exist"));
    cluster.apply(&manifest("bad", &module)).await.unwrap();
    worker.until(|calls| calls.iter().filter(|call| *call == "refuse bad").count() >= 3).await;
    cluster.apply(&manifest("good", &module)).await.unwrap();
    worker.called("resume good").await;
    let bad =
        cluster.until("bad", |info| info.status.as_ref().unwrap().phase == Phase::Failed).await;
    assert_eq!(bad.status.unwrap().reason.as_deref(), Some("the stream COMMANDS does not exist"));
    worker.refuse("bad", None);
    worker.called("resume bad").await;
    let healed =
        cluster.until("bad", |info| info.status.as_ref().unwrap().phase == Phase::Running).await;
    assert_eq!(healed.status.unwrap().reason, None);
    cluster.node.stop().await;
}

#[tokio::test]
async fn a_drain_that_does_not_end_can_be_called_off() {
    let (cluster, module) = cluster().await;
    cluster.apply(&manifest("p", &module)).await.unwrap();
    let worker = &cluster.node.worker;
    worker.called("resume p").await;
    worker.never_drain("p");
    cluster.ask(&stop("p", true)).await;
    worker.called("stop p drain").await;
    cluster.ask(&resume("p")).await;
    worker.until(|calls| calls.iter().filter(|call| *call == "resume p").count() >= 3).await;
    assert!(worker.spec("p").is_some());
    cluster.node.stop().await;
}

#[tokio::test]
async fn a_new_node_goes_on_where_the_old_one_stopped() {
    let (cluster, module) = cluster().await;
    for name in ["run", "hold", "halt"] {
        cluster.apply(&manifest(name, &module)).await.unwrap();
        cluster.node.worker.called(&format!("resume {name}")).await;
    }
    cluster.ask(&pause("hold")).await;
    cluster.ask(&stop("halt", false)).await;
    cluster.node.worker.called("pause hold").await;
    cluster.node.worker.called("stop halt").await;
    let before = cluster.node.worker.spec("run").unwrap().incarnation;
    let old = cluster.node.stop().await;
    assert!(
        old.calls().contains(&"stop run".to_owned()),
        "a graceful end stops what runs: {:?}",
        old.calls()
    );

    let node = RunningNode::start(&cluster.server, "n2").await;
    node.worker.called("resume run").await;
    assert_eq!(node.worker.spec("run").unwrap().incarnation, before);
    let cluster = Cluster { node, ..cluster };
    cluster.answers().await;
    for (name, phase) in [("hold", Phase::Paused), ("halt", Phase::Stopped)] {
        cluster.until(name, |info| info.status.as_ref().unwrap().phase == phase).await;
        assert!(cluster.node.worker.spec(name).is_none(), "{name} is not started");
    }
    cluster.node.stop().await;
}

#[tokio::test]
async fn damaged_entries_and_lost_modules_are_named_and_disturb_nothing_else() {
    let (cluster, module) = cluster().await;
    let stores = Stores::open(&connect(&cluster.server).await.into(), 1).await.unwrap();
    stores.pipelines.put("odd", "not json".into()).await.unwrap();
    cluster.apply(&manifest("p", &module)).await.unwrap();
    cluster.node.worker.called("resume p").await;
    let names: Vec<_> =
        cluster.ask(&List {}).await.pipelines.into_iter().map(|info| info.name).collect();
    assert_eq!(names, ["p"]);
    let refused = cluster.refused(&Get { pipeline: "odd".into() }).await;
    assert_eq!(refused.0[0].code, errors::DAMAGED_RECORD, "{refused}");

    // The bytes of a module vanish while no node runs.
    let digest = cluster.ask(&Get { pipeline: "p".into() }).await.modules["work"].clone();
    cluster.node.stop().await;
    stores.module_bytes.delete(&digest.parse().unwrap()).await.unwrap();
    let node = RunningNode::start(&cluster.server, "n2").await;
    let cluster = Cluster { node, ..cluster };
    cluster.answers().await;
    let failed =
        cluster.until("p", |info| info.status.as_ref().unwrap().phase == Phase::Failed).await;
    let reason = failed.status.unwrap().reason.unwrap();
    let expected =
        format!("MS1304: the object store millstream-modules holds no module sha256:{digest}");
    assert!(reason.starts_with(&expected), "{reason}");
    // They come back, and the pipeline starts by itself.
    stores.module_bytes.put(guest().into()).await.unwrap();
    cluster.node.worker.called("resume p").await;
    cluster.node.stop().await;
}

#[tokio::test]
async fn resuming_a_failed_pipeline_tries_again_and_resuming_a_running_one_does_nothing() {
    let (cluster, module) = cluster().await;
    cluster.apply(&manifest("p", &module)).await.unwrap();
    let worker = &cluster.node.worker;
    worker.called("resume p").await;
    assert_eq!(cluster.ask(&resume("p")).await.revision, 1);
    worker.fail("p", "the source was purged");
    let failed =
        cluster.until("p", |info| info.status.as_ref().unwrap().phase == Phase::Failed).await;
    assert_eq!(failed.status.unwrap().reason.as_deref(), Some("the source was purged"));
    assert_eq!(cluster.ask(&resume("p")).await.revision, 2);
    cluster.until("p", |info| info.status.as_ref().unwrap().phase == Phase::Running).await;
    cluster.node.stop().await;
}
