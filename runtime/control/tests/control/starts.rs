//! Where sources begin: looked up when a pipeline is created, the same ever after.

use millstream_control::errors;
use millstream_core::ids::Sequence;
use millstream_engine::spec::Start;

use crate::support::{Cluster, RunningNode, connect, guest, manifest};

/// The pipeline `p`, whose source begins like this.
fn starting(start: &str) -> String {
    manifest("p", "misbehave@0.1.0")
        .replace("stream: COMMANDS", &format!("stream: COMMANDS, start: {start}"))
}

/// A cluster whose stream `COMMANDS` holds records 11 to 20.
async fn cluster() -> Cluster {
    let cluster = Cluster::start().await;
    cluster.push(guest(), false).await.expect("the module is taken");
    let jetstream = connect(&cluster.server).await.jetstream().clone();
    let config = async_nats::jetstream::stream::Config {
        name: "COMMANDS".into(),
        subjects: vec!["commands.>".into()],
        ..Default::default()
    };
    let stream = jetstream.create_stream(config).await.expect("a stream");
    for _ in 0..20 {
        publish(&cluster).await;
    }
    stream.purge().sequence(11).await.expect("it is purged");
    cluster
}

fn start_of(cluster: &Cluster, pipeline: &str) -> Option<Start> {
    cluster.node.worker.spec(pipeline).map(|spec| spec.sources[0].start)
}

async fn publish(cluster: &Cluster) {
    let connection = connect(&cluster.server).await;
    let sent = connection.jetstream().publish("commands.x", "{}".into()).await;
    sent.expect("it is sent").await.expect("it is stored");
}

#[tokio::test]
async fn a_place_that_is_not_there_is_refused_before_anything_is_recorded() {
    let cluster = cluster().await;
    let missing = starting("new").replace("COMMANDS", "NONE");
    for (text, code, words) in [
        (starting("{ sequence: 22 }"), errors::START_NOT_IN_STREAM, "whose last is 20"),
        (starting("{ sequence: 10 }"), errors::START_NOT_IN_STREAM, "its first is 11"),
        (starting("{ time: 2999-01-31T00:00:00Z }"), errors::START_NOT_IN_STREAM, "in the future"),
        (missing, errors::START_UNKNOWN, "stream NONE does not exist"),
    ] {
        let problem = cluster.apply(&text).await.expect_err("it is refused").0.remove(0);
        assert_eq!(problem.code, code, "{problem}");
        assert!(problem.message.contains(words), "{problem}");
        assert!(problem.help.is_some() && problem.location.is_some(), "{problem}");
    }
    let listed = cluster.ask(&millstream_control::api::pipelines::List {}).await;
    assert!(listed.pipelines.is_empty());
}

#[tokio::test]
async fn every_node_and_every_restart_begins_at_the_same_place() {
    let mut cluster = cluster().await;
    for (start, behind) in [("new", 20), ("{ sequence: 15 }", 14), ("{ sequence: 21 }", 20)] {
        let name = format!("p{behind}{}", start.len());
        let text = starting(start).replace("name: p\n", &format!("name: {name}\n"));
        cluster.apply(&text).await.expect("it is created");
        let is = |start: Option<Start>| {
            matches!(start, Some(Start::Behind { sequence, stream_created_ns })
                if sequence == Sequence(behind) && stream_created_ns > 0)
        };
        cluster.node.worker.called(&format!("resume {name}")).await;
        assert!(is(start_of(&cluster, &name)), "{start}");
    }
    // What is published before anything was committed is read.
    publish(&cluster).await;
    cluster.node.stop().await;
    cluster.node = RunningNode::start(&cluster.server, "n1").await;
    cluster.node.worker.called("resume p203").await;
    let start = start_of(&cluster, "p203");
    let expected = matches!(start, Some(Start::Behind { sequence: Sequence(20), .. }));
    assert!(expected, "{start:?}");
}
