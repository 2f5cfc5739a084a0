//! The files in `deploy`: what they configure is there, and is spelt as they spell it.

use std::process::Command;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, Container, Probe, Service};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use millstream_log::server::find_nats_server;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::millstream::{Millstream, root};
use crate::served::Served;

fn read(name: &str) -> String {
    let path = root().join("deploy").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The objects of a file of Kubernetes.
fn objects(name: &str) -> Vec<Value> {
    let objects = read(name);
    let objects = objects.split("\n---\n").map(serde_saphyr::from_str);
    objects.collect::<Result<_, _>>().unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// What Kubernetes makes of an object: fields that it does not know are gone.
fn understood<T: DeserializeOwned + Serialize>(object: &Value) -> Result<Value, String> {
    let typed: T = serde_json::from_value(object.clone()).map_err(|error| error.to_string())?;
    serde_json::to_value(typed).map_err(|error| error.to_string())
}

/// Why Kubernetes would not take an object as it is meant.
fn misunderstood(object: &Value) -> Option<String> {
    let kind = object["kind"].as_str().unwrap_or_default();
    let understood = match kind {
        "ConfigMap" => understood::<ConfigMap>(object),
        "Service" => understood::<Service>(object),
        "PodDisruptionBudget" => understood::<PodDisruptionBudget>(object),
        "NetworkPolicy" => understood::<NetworkPolicy>(object),
        "StatefulSet" => understood::<StatefulSet>(object),
        _ => Err(format!("the kind `{kind}` is not checked here")),
    };
    match understood {
        Ok(understood) if understood == *object => None,
        Ok(understood) => Some(format!("of\n{object:#}\nit is\n{understood:#}")),
        Err(error) => Some(error),
    }
}

/// The only container of the stateful set in a file.
fn container(name: &str) -> Container {
    let objects = objects(name);
    let set = objects.iter().find(|object| object["kind"] == "StatefulSet").expect("a set");
    let set: StatefulSet = serde_json::from_value(set.clone()).expect("one");
    let pod = set.spec.template.spec.expect("pods");
    let [container] = <[Container; 1]>::try_from(pod.containers).expect("one container");
    container
}

#[test]
fn kubernetes_understands_every_field() {
    for name in ["kubernetes/nats.yaml", "kubernetes/millstream.yaml"] {
        for object in objects(name) {
            assert_eq!(misunderstood(&object), None, "{name}");
        }
    }
    let mut wrong = objects("kubernetes/millstream.yaml").pop().expect("an object");
    wrong["spec"]["template"]["spec"]["containers"][0]["readynessProbe"] = Value::Bool(true);
    assert!(misunderstood(&wrong).is_some_and(|why| why.contains("readynessProbe")));
}

#[test]
fn the_nats_server_takes_its_configuration() {
    let server = find_nats_server().expect("a nats-server");
    let config = root().join("deploy/nats/nats-server.conf");
    let container = container("kubernetes/nats.yaml");
    let routes = container.env.iter().flatten().find(|variable| variable.name == "ROUTES");
    let checked = Command::new(server)
        .args(["-t", "-c"])
        .arg(config)
        .env("SERVER_NAME", "nats-0")
        .env("STORE_DIR", "/data")
        .env("ROUTES", routes.and_then(|routes| routes.value.clone()).expect("the routes"))
        .env("MILLSTREAM_PASSWORD", "secret")
        .output()
        .expect("it runs");
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    let map = &objects("kubernetes/nats.yaml")[0];
    assert_eq!(map["data"]["nats-server.conf"], read("nats/nats-server.conf"));
}

#[test]
fn the_command_takes_the_arguments() {
    let millstream = Millstream::new();
    let unit = read("systemd/millstream.service");
    let start = unit.lines().find_map(|line| line.strip_prefix("ExecStart="));
    let (program, args) = start.and_then(|start| start.split_once(' ')).expect("a command");
    assert!(program.ends_with("/millstream"), "{program}");
    // Nothing runs: but what comes before is checked first.
    millstream.call(args.split(' ').chain(["--help"])).ok();
    let args = container("kubernetes/millstream.yaml").args.expect("arguments");
    millstream.call(args.iter().map(String::as_str).chain(["--help"])).ok();
    millstream.call(["run", "--datas", "/data", "--help"]).failed(2, &["--datas"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_node_answers_the_probes() {
    let served = Served::start().await;
    let run = served.serve();
    let container = container("kubernetes/millstream.yaml");
    for probe in [container.liveness_probe, container.readiness_probe] {
        let path = probe.and_then(|probe: Probe| probe.http_get?.path).expect("a path");
        assert_eq!(run.get(&path).0, 200, "{path}");
    }
}
