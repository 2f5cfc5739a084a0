//! Modules, state, checkpoints and refusals through the API.

use millstream_control::api::checkpoints;
use millstream_control::api::modules::{List, Push, Remove, Show};
use millstream_control::api::node::Info;
use millstream_control::api::pipelines::{self, Lag};
use millstream_control::api::{Data, SUBJECT_PREFIX, state};
use millstream_control::client::Client;
use millstream_control::errors;
use millstream_control::problem::Problems;
use millstream_control::registry::Stores;
use millstream_log::server::{NatsServer, ServerOptions};

use crate::support::{Cluster, PATIENCE, connect, guest, manifest, other_guest};

fn code(problems: &Problems) -> errors::Code {
    problems.0[0].code
}

#[tokio::test]
async fn nobody_answers_without_a_node() {
    let server = NatsServer::start(ServerOptions::default()).await.unwrap();
    let client = Client::new(connect(&server).await, PATIENCE);
    let problems = client.call(&Info {}).await.unwrap_err();
    let expected = format!(
        "MS1401: no millstream runtime answers on {}\n  help: start one with `millstream run` or `millstream dev`",
        server.url()
    );
    assert_eq!(problems.to_string(), expected);
}

#[tokio::test]
async fn modules_are_registered_once_and_for_ever() {
    let cluster = Cluster::start().await;
    let pushed = cluster.push(guest(), false).await.unwrap();
    let module = &pushed.module;
    assert!(pushed.new && !module.unnamed);
    assert_eq!((module.name.as_str(), module.by.as_str()), ("misbehave", "me@here"));
    assert_eq!(module.size, guest().len() as u64);
    assert_eq!(module.description.inputs[0].fields, ["do: text"]);
    let states: Vec<_> =
        module.description.states.iter().map(|s| (s.name.as_str(), s.kind.as_str())).collect();
    assert_eq!(states, [("count", "value"), ("list", "list"), ("map", "map")]);

    let again = cluster.push(guest(), false).await.unwrap();
    assert_eq!((again.new, &again.module), (false, module));

    let taken = cluster.push(other_guest(1), false).await.unwrap_err();
    assert_eq!(code(&taken), errors::MODULE_VERSION_TAKEN);
    assert!(taken.0[0].message.contains(&module.digest), "{taken}");

    // By digest alone the other bytes are welcome.
    let unnamed = cluster.push(other_guest(1), true).await.unwrap();
    assert!(unnamed.new && unnamed.module.unnamed);
    let listed = cluster.ask(&List {}).await.modules;
    assert_eq!(listed, [module.clone(), unnamed.module.clone()]);

    let version = &module.version;
    for reference in [
        "misbehave".to_owned(),
        format!("misbehave@{version}"),
        format!("sha256:{}", module.digest),
    ] {
        assert_eq!(&cluster.ask(&Show { module: reference }).await, module);
    }
    let unknown = cluster.refused(&Show { module: "misbehave@99.0.0".into() }).await;
    assert_eq!(
        unknown.to_string(),
        format!(
            "MS1301: there is no module misbehave@99.0.0\n  help: there are the versions {version}"
        )
    );
    let info = cluster.ask(&Info {}).await;
    assert_eq!((info.node.as_str(), info.modules, info.pipelines), ("n1", 2, 0));
    cluster.node.stop().await;
}

#[tokio::test]
async fn what_is_no_module_is_refused_and_not_kept() {
    let cluster = Cluster::start().await;
    let problems = cluster.push(b"hello".to_vec(), false).await.unwrap_err();
    assert_eq!(code(&problems), errors::MODULE_REFUSED);
    assert!(problems.0[0].message.contains("not WebAssembly"), "{problems}");
    let large = vec![0; (10 << 20) + 1];
    let too_large =
        format!("the module has {} bytes, at most {} are allowed", large.len(), 10 << 20);
    assert_eq!(cluster.push(large.clone(), false).await.unwrap_err().0[0].message, too_large);
    // A client that does not look first.
    let store = Stores::uploads(&connect(&cluster.server).await, 1).await.unwrap();
    let digest = store.put(large.into()).await.unwrap().to_string();
    let blind = Push { digest, by: String::new(), unnamed: false };
    assert_eq!(cluster.refused(&blind).await.0[0].message, too_large);
    assert!(store.list().await.unwrap().is_empty(), "what was refused is not kept");
    let missing = Push { digest: "0".repeat(64), by: String::new(), unnamed: false };
    assert_eq!(code(&cluster.refused(&missing).await), errors::MODULE_NOT_STORED);
    let invalid = Push { digest: "XYZ".into(), by: String::new(), unnamed: false };
    assert_eq!(code(&cluster.refused(&invalid).await), errors::INVALID_MODULE);
    assert!(cluster.ask(&List {}).await.modules.is_empty());
    cluster.node.stop().await;
}

#[tokio::test]
async fn a_module_that_runs_is_not_removed() {
    let cluster = Cluster::start().await;
    let module = cluster.push(guest(), false).await.unwrap().module;
    let reference = format!("{}@{}", module.name, module.version);
    cluster.apply(&manifest("p", &reference)).await.unwrap();
    let remove = Remove { module: reference.clone() };
    let problems = cluster.refused(&remove).await;
    assert_eq!(
        problems.to_string(),
        format!(
            "MS1303: {reference} runs in p/work\n  help: change or delete these pipelines first"
        )
    );
    assert_eq!(cluster.ask(&Show { module: reference.clone() }).await.used_by, ["p/work"]);
    cluster.ask(&pipelines::Delete { pipeline: "p".into(), by: String::new() }).await;
    cluster.node.worker.called("delete p millstream").await;
    // The record goes when the deletion is done.
    while !cluster.ask(&pipelines::List {}).await.pipelines.is_empty() {
        tokio::task::yield_now().await;
    }
    cluster.ask(&remove).await;
    assert!(cluster.ask(&List {}).await.modules.is_empty());
    // The name is free again, and so is the space.
    cluster.push(other_guest(2), false).await.unwrap();
    cluster.node.stop().await;
}

#[tokio::test]
async fn state_lag_and_checkpoints_are_read_from_the_worker() {
    let cluster = Cluster::start().await;
    let module = cluster.push(guest(), false).await.unwrap().module;
    let get = |stage: Option<&str>| state::Get {
        pipeline: "p".into(),
        stage: stage.map(str::to_owned),
        key: Data::from("k"),
    };
    assert_eq!(code(&cluster.refused(&get(None)).await), errors::PIPELINE_UNKNOWN);
    cluster.apply(&manifest("p", &format!("sha256:{}", module.digest))).await.unwrap();
    cluster.node.worker.called("resume p").await;

    let found = cluster.ask(&get(None)).await;
    assert_eq!((found.key, found.states[0].name.as_str()), (Data::from("k"), "count"));
    let problems = cluster.refused(&get(Some("wrok"))).await;
    assert_eq!(
        problems.to_string(),
        "MS1314: the pipeline `p` has no stage `wrok`\n  help: did you mean `work`?"
    );
    let list = state::List {
        pipeline: "p".into(),
        stage: None,
        prefix: Data::from("a"),
        after: Some(Data::from("a3")),
        limit: 4,
    };
    let keys = cluster.ask(&list).await;
    assert_eq!((keys.keys.len(), &keys.keys[0], keys.more), (4, &Data::from("a4"), true));

    let lag = cluster.ask(&Lag::default()).await.entries;
    let lags: Vec<_> =
        lag.iter().map(|entry| (entry.stage.as_str(), entry.partition, entry.lag)).collect();
    assert_eq!(lags, [("work", 0, 2), ("work", 1, 2)]);

    let now = cluster.ask(&checkpoints::Now { pipeline: "p".into() }).await;
    assert!(now.checkpoints[0].files.is_empty());
    let show = |partition| checkpoints::Show { pipeline: "p".into(), stage: None, partition };
    assert_eq!(cluster.ask(&show(0)).await.checkpoints[0].files.len(), 1);
    assert_eq!(code(&cluster.refused(&show(7)).await), errors::PARTITION_UNKNOWN);

    cluster.ask(&pipelines::Stop { pipeline: "p".into(), drain: false, by: String::new() }).await;
    cluster.node.worker.called("stop p").await;
    assert_eq!(
        cluster.refused(&get(None)).await.to_string(),
        "MS1313: the pipeline `p` is not running\n  help: `millstream describe p` says why"
    );
    cluster.node.stop().await;
}

#[tokio::test]
async fn any_nats_client_can_read_a_refusal() {
    let cluster = Cluster::start().await;
    let nats = connect(&cluster.server).await;
    let subject = format!("{SUBJECT_PREFIX}.pipeline.get");
    let answer =
        nats.client().request(subject.clone(), r#"{"pipeline":"nope"}"#.into()).await.unwrap();
    let headers = answer.headers.unwrap();
    assert_eq!(
        headers.get("Nats-Service-Error").unwrap().as_str(),
        "MS1310: there is no pipeline `nope`"
    );
    assert_eq!(headers.get("Nats-Service-Error-Code").unwrap().as_str(), "400");
    for garbage in ["{", "[]", "{\"pipeline\": 5}", "\u{0}"] {
        let answer =
            nats.client().request(subject.clone(), garbage.to_owned().into()).await.unwrap();
        let error = answer.headers.unwrap().get("Nats-Service-Error").unwrap().as_str().to_owned();
        assert!(
            error.starts_with("MS1404: the request pipeline.get was not understood"),
            "{error}"
        );
    }
    // An empty payload is an empty request.
    let answer =
        nats.client().request(format!("{SUBJECT_PREFIX}.pipeline.ls"), "".into()).await.unwrap();
    assert_eq!(answer.payload, r#"{"pipelines":[]}"#);
    cluster.node.stop().await;
}
