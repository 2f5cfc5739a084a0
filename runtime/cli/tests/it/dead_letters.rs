//! `dlq`: records of two inputs that are refused, looked at, redriven as what they were, and dropped.

use async_nats::HeaderMap;
use serde_json::{Value, json};

use crate::millstream::root;
use crate::served::Served;

/// Applies a pipeline around the guest `two-inputs`. Keys come from what only the first delivery has: a subject token of one
/// input, a header of the other.
fn apply(served: &Served, config: &str) {
    let guest = root().join("tests/guests/dist/two-inputs.wasm");
    assert!(guest.is_file(), "{} is missing: run `cargo xtask build`", guest.display());
    let text = format!(
        "name: p
sources:
  one: {{ stream: LEFT }}
  other: {{ stream: RIGHT }}
stages:
  work:
    module: {{ file: {} }}
    partitions: 3
    inputs:
      one: {{ as: left, key: {{ subject-token: 2 }} }}
      other: {{ as: right, key: {{ header: Account }} }}
    config: {config}
    outputs:
      seen: seen
sinks:
  seen: {{ subject: 'seen.{{key}}' }}
",
        guest.display()
    );
    served.millstream.file("p.yaml", &text);
    served.call(&["apply", "-f", "p.yaml", "--wait"]).ok();
}

async fn publish(served: &Served, subject: &str, headers: &[(&str, &str)], payload: &str) {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(*name, *value);
    }
    let (subject, payload) = (subject.to_owned(), payload.to_owned().into());
    let sent = served.connection.jetstream().publish_with_headers(subject, map, payload).await;
    sent.expect("it is sent").await.expect("it is stored");
}

/// Waits for so many letters of at least so many attempts; they, by the stream and sequence that they came from.
fn letters(served: &Served, count: usize, attempts: u64) -> Vec<Value> {
    served.until("the dead letters", || {
        let listed = served.call(&["dlq", "ls", "p", "-o", "json"]).ok().stdout;
        let mut listed: Vec<Value> = serde_json::from_str(&listed).expect("JSON");
        listed.sort_by_key(|l| (l["source"].to_string(), l["source_sequence"].as_u64()));
        let tried = |letter: &Value| letter["attempts"].as_u64().expect("a number") >= attempts;
        (listed.len() == count && listed.iter().all(tried)).then_some(listed)
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn dead_letters_are_redriven_as_what_they_were() {
    let served = Served::start().await;
    for (stream, subject) in [("LEFT", "left.>"), ("RIGHT", "right.>"), ("SEEN", "seen.>")] {
        served.stream(stream, subject).await;
    }
    let _run = served.serve();
    apply(&served, "{}");
    publish(&served, "left.l1", &[], r#"{"left":"no"}"#).await;
    let headers = [("Account", "r1"), ("Trace", "t1"), ("Tab", "a\tb")];
    publish(&served, "right.eu", &headers, r#"{"right":"no"}"#).await;
    publish(&served, "right.us", &[("Account", "r2")], "not json").await;

    let first = letters(&served, 3, 1);
    let of = |letter: &Value| {
        let fields = ["input", "source", "source_sequence", "subject", "attempts"];
        fields.map(|field| letter[field].clone())
    };
    let expected: [[Value; 5]; 3] = [
        ["one".into(), "LEFT".into(), 1.into(), "left.l1".into(), 1.into()],
        ["other".into(), "RIGHT".into(), 1.into(), "right.eu".into(), 1.into()],
        ["other".into(), "RIGHT".into(), 2.into(), "right.us".into(), 1.into()],
    ];
    assert_eq!(first.iter().map(of).collect::<Vec<_>>(), expected);
    let sequence = |letter: &Value| letter["sequence"].to_string();
    let shown = served.call(&["dlq", "show", &sequence(&first[1])]).ok().stdout;
    for words in ["it says no", "right.eu", "RIGHT:1", r#"{"right":"no"}"#] {
        assert!(shown.contains(words), "`{words}` is not in:\n{shown}");
    }
    let payload = served.call(&["dlq", "show", &sequence(&first[2]), "--payload"]).ok().stdout;
    assert_eq!(payload, "not json");
    served.call(&["dlq", "show", "99"]).failed(4, &["MS1320"]);
    served.call(&["dlq", "redrive", "p"]).failed(2, &["SEQUENCES"]);

    // They are refused again, and still say where they came from at first.
    let called = served.call(&["dlq", "redrive", "p", "--all"]).ok();
    assert!(called.stderr.contains("3 redriven"), "{called:?}");
    let second = letters(&served, 3, 2);
    for (before, after) in first.iter().zip(&second) {
        for field in ["input", "source", "source_sequence", "subject", "time_ms", "cause"] {
            assert_eq!(before[field], after[field], "{field}");
        }
        assert_eq!(after["attempts"], 2);
    }
    let stream = served.connection.jetstream().get_stream("MILLSTREAM_DLQ").await.expect("it is");
    let raw = second[1]["sequence"].as_u64().expect("a number");
    let raw = stream.get_raw_message(raw).await.expect("the letter");
    for (name, value) in headers {
        assert_eq!(raw.headers.get(name).map(|found| found.as_str()), Some(value), "{name}");
    }

    // With what refused them mended, two of them are processed: through their inputs, under their keys, at their times.
    apply(&served, "{ lenient: true }");
    let (left, right) = (sequence(&second[0]), sequence(&second[1]));
    let called = served.call(&["dlq", "redrive", "p", &left, &right]).ok();
    assert!(called.stderr.contains("2 redriven"), "{called:?}");
    let seen = served.connection.jetstream().get_stream("SEEN").await.expect("the stream");
    for (key, input, letter) in [("l1", "left", &first[0]), ("r1", "right", &first[1])] {
        let subject = format!("seen.{key}");
        let output = loop {
            match seen.get_last_raw_message_by_subject(&subject).await {
                Ok(output) => break output,
                Err(error) => assert!(error.to_string().contains("no message"), "{error}"),
            }
        };
        let output: Value = serde_json::from_slice(&output.payload).expect("JSON");
        assert_eq!(output, json!({ "input": input, "value": "no", "at": letter["time_ms"] }));
    }

    let left = letters(&served, 1, 2);
    assert_eq!(left[0]["subject"], "right.us");
    let called = served.call(&["dlq", "drop", "p", "--all"]).ok();
    assert!(called.stderr.contains("1 dropped"), "{called:?}");
    let called = served.call(&["dlq", "ls"]).ok();
    assert!(called.stderr.contains("no dead letters"), "{called:?}");
    assert_eq!(served.messages("SEEN").await, 2, "each of them once");
}
