//! Where a new pipeline begins, through nodes that are killed before they have committed anything.

use std::time::Instant;

use async_nats::jetstream::stream::Stream;
use millstream_control::manifest::Timestamp;

use crate::millstream::root;
use crate::served::{PATIENCE, Served};

/// Creates a pipeline whose source begins like this.
fn apply(served: &Served, name: &str, start: &str) {
    let guest = root().join("tests/guests/dist/misbehave.wasm");
    let text = format!(
        "name: {name}
sources:
  commands: {{ stream: COMMANDS, start: {start} }}
stages:
  work:
    module: {{ file: {} }}
    partitions: 2
    inputs:
      commands: {{ key: {{ pointer: /id }} }}
    config: {{ limit: 5 }}
    outputs:
      echo: echoes
sinks:
  echoes: {{ subject: echoes.{name} }}
",
        guest.display()
    );
    served.millstream.file("p.yaml", &text);
    served.call(&["apply", "-f", "p.yaml"]).ok();
}

/// What a pipeline has echoed, once there is as much; sorted.
async fn echoes(served: &Served, name: &str, count: usize) -> Vec<String> {
    let stream = served.connection.jetstream().get_stream("RESULTS").await.expect("the stream");
    let subject = format!("echoes.{name}");
    let begun = Instant::now();
    loop {
        let found = on_subject(&stream, &subject).await;
        if found.len() >= count {
            return found;
        }
        let described = || served.call(&["describe", name]);
        assert!(begun.elapsed() < PATIENCE, "{found:?} of {count}: {:?}", described());
    }
}

async fn on_subject(stream: &Stream, subject: &str) -> Vec<String> {
    let (mut found, mut next) = (Vec::new(), 1);
    while let Ok(message) = stream.get_first_raw_message_by_subject(subject, next).await {
        next = message.sequence + 1;
        let echo: serde_json::Value = serde_json::from_slice(&message.payload).expect("JSON");
        found.push(echo["did"].as_str().expect("what was to be done").to_owned());
    }
    found.sort();
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_between_the_creation_and_the_first_commit_is_read_though_all_nodes_die() {
    let served = Served::start().await;
    served.stream("RESULTS", "echoes.>").await;
    served.publish(&["old-0", "old-1", "old-2", "old-3"]);
    let commands = served.connection.jetstream().get_stream("COMMANDS").await.expect("the stream");
    let time_of = async |sequence: u64| {
        let time = commands.get_raw_message(sequence).await.expect("it is there").time;
        i64::try_from(time.unix_timestamp_nanos() / 1_000_000).expect("milliseconds")
    };
    // A millisecond of its own, so that a time tells the records apart.
    let mut last = 4;
    while time_of(last).await == time_of(4).await {
        served.publish(&["later"]);
        last += 1;
    }
    let since = Timestamp { ms: time_of(last).await };

    let nodes: Vec<_> = ["a", "b"]
        .map(|name| {
            let mut node = served.launch_node(name);
            node.until_it_serves();
            node
        })
        .into();
    served.until("a node answers", || (served.call(&["info"]).code == 0).then_some(()));
    apply(&served, "fresh", "new");
    apply(&served, "since", &format!("{{ time: \"{since}\" }}"));
    apply(&served, "at", "{ sequence: 4 }");
    nodes.into_iter().for_each(|node| drop(node.kill9()));

    let between = ["between-0", "between-1", "between-2", "between-3"];
    served.publish(&between);
    let _node = served.serve();
    let expected = |others: &[&str]| {
        let mut all: Vec<String> = between.iter().chain(others).map(|&t| t.to_owned()).collect();
        all.sort();
        all
    };
    assert_eq!(echoes(&served, "since", 5).await, expected(&["later"]));
    let later = vec!["later"; last as usize - 4];
    let at: Vec<&str> = later.iter().copied().chain(["old-3"]).collect();
    assert_eq!(echoes(&served, "at", at.len() + 4).await, expected(&at));
    assert_eq!(echoes(&served, "fresh", 4).await, expected(&[]));
    // What is not wanted would have come when all is processed and published.
    for (name, count) in [("fresh", 4), ("since", 5), ("at", at.len() + 4)] {
        served.call(&["stop", name, "--drain", "--wait", "--timeout", "60s"]).ok();
        assert_eq!(echoes(&served, name, count).await.len(), count, "{name}");
    }
}
