//! Pipelines on streams that only one consumer may read, from `apply` to what a deletion leaves.

use std::time::Instant;

use async_nats::jetstream::consumer::pull;
use async_nats::jetstream::stream::{Config, RetentionPolicy};

use crate::millstream::root;
use crate::served::{PATIENCE, Served};

/// A pipeline whose keys are in the subject: what a stage sees of a queue is all that came with its records.
fn manifest(name: &str, source: &str) -> String {
    let guest = root().join("tests/guests/dist/misbehave.wasm");
    format!(
        "name: {name}
sources:
  jobs: {{ stream: JOBS{source} }}
stages:
  work:
    module: {{ file: {} }}
    partitions: 2
    inputs:
      jobs: {{ key: {{ subject-token: 2 }} }}
    config: {{ limit: 5 }}
    outputs:
      echo: echoes
sinks:
  echoes: {{ subject: 'echoes.{{key}}' }}
",
        guest.display()
    )
}

async fn publish(served: &Served, numbers: std::ops::Range<u64>) {
    for number in numbers {
        let (subject, record) =
            (format!("jobs.k{}", number % 5), format!(r#"{{"id":"x","do":"n{number}"}}"#));
        let sent = served.connection.jetstream().publish(subject, record.into()).await;
        sent.expect("it is sent").await.expect("it is stored");
    }
}

/// Messages and consumers of the queue.
async fn left(served: &Served) -> (u64, usize) {
    let mut stream = served.connection.jetstream().get_stream("JOBS").await.expect("the stream");
    let state = &stream.info().await.expect("it answers").state;
    (state.messages, state.consumer_count)
}

async fn until(served: &Served, what: &str, reached: impl AsyncFn() -> bool) {
    let begun = Instant::now();
    while !reached().await {
        let described = || served.call(&["describe", "first"]);
        assert!(begun.elapsed() < PATIENCE, "not in time: {what}: {:?}", described());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_work_queue_is_read_by_one_pipeline_through_the_death_of_its_nodes_and_left_as_it_was() {
    let served = Served::start().await;
    served.stream("RESULTS", "echoes.>").await;
    let config = Config {
        name: "JOBS".into(),
        subjects: vec!["jobs.>".into()],
        retention: RetentionPolicy::WorkQueue,
        ..Config::default()
    };
    served.connection.jetstream().create_stream(config).await.expect("a stream");
    publish(&served, 0..50).await;
    let nodes: Vec<_> = ["a", "b"]
        .map(|name| {
            let mut node = served.launch_node(name);
            node.until_it_serves();
            node
        })
        .into();
    served.until("a node answers", || (served.call(&["info"]).code == 0).then_some(()));
    let apply = |name: &str, source: &str| {
        served.millstream.file("p.yaml", &manifest(name, source));
        served.call(&["apply", "-f", "p.yaml"])
    };
    apply("first", ", start: new").failed(3, &["MS1122", "what it holds is what is left to read"]);
    apply("first", "").ok();
    until(&served, "the first records", async || left(&served).await == (0, 1)).await;
    apply("second", ", subject: jobs.k1").failed(3, &["MS1123", "the consumer millstream-first-"]);

    nodes.into_iter().for_each(|node| drop(node.kill9()));
    publish(&served, 50..100).await;
    let mut node = served.launch_node("a");
    node.until_it_serves();
    until(&served, "all records", async || left(&served).await.0 == 0).await;
    until(&served, "all outputs", async || served.messages("RESULTS").await >= 100).await;
    served.call(&["stop", "first", "--drain", "--wait", "--timeout", "60s"]).ok();
    assert_eq!(served.messages("RESULTS").await, 100, "each output is there once");

    served.call(&["delete", "first", "--yes"]).ok();
    until(&served, "its consumers are gone", async || left(&served).await == (0, 0)).await;

    // Somebody else's consumer is named.
    let theirs = pull::Config {
        durable_name: Some("theirs".into()),
        filter_subject: "jobs.k2".into(),
        ..Default::default()
    };
    let stream = served.connection.jetstream().get_stream("JOBS").await.expect("the stream");
    stream.create_consumer(theirs).await.expect("a consumer");
    apply("third", "").failed(3, &["MS1123", "the consumer theirs takes the same records"]);
    apply("third", ", subject: jobs.k3").ok();
}
