//! A node with all that the guests of `tests/hostile` do, beside a good pipeline: what a push of one is answered, how its records
//! end, and that nothing is lost or doubled next to it. Needs the guests (`cargo xtask build --test-modules`).

use std::time::Instant;

use async_nats::jetstream::message::StreamMessage;
use millstream_hostile::{Command, Ends, Guest, Refusal, Shape};

use crate::hostile::dist;
use crate::millstream::root;
use crate::served::{PATIENCE, Served};

/// Records of the good pipeline.
const GOOD: usize = 2_000;
/// How many of them are published at a time.
const AT_ONCE: usize = 100;
/// Memory of the node's process, bytes: several times what it has without any of this.
const NODE_BYTES_MAX: u64 = 2 << 30;

/// What the guest does on a record that does not depend on what else is in the call.
fn commands() -> impl Iterator<Item = Command> {
    // A call may emit as many items as all its records together.
    Command::ALL.iter().copied().filter(|command| *command != Command::ManyItems)
}

/// Records behind all others, for every partition.
const LAST: [&str; 8] = ["1", "2", "3", "4", "5", "6", "7", "8"];

/// Whether the record itself becomes a dead letter, not its timer.
fn is_cause_of_record(command: Command) -> bool {
    let answers = matches!(command.ends(), Ends::Answers(_)) && command != Command::StateMuch;
    command.timer().is_none() && !answers
}

/// One node with all that hostile guests do, beside a good pipeline.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_with_all_of_them_lives_and_its_good_pipeline_is_exact() {
    let served = Served::start().await;
    for (stream, subject) in [("GOOD", "good"), ("GOODS", "goods"), ("SHAPES", "shapes")] {
        served.stream(stream, subject).await;
    }
    let run = served.serve();
    apply_good(&served);
    served.apply("bad", 2);
    let shapes = apply_shapes(&served);

    let good = async {
        let jetstream = served.connection.jetstream();
        for first in (0..GOOD).step_by(AT_ONCE) {
            for n in first..first + AT_ONCE {
                let record = format!(r#"{{"id":"k{}","do":"r{n}"}}"#, n % 50);
                jetstream
                    .publish("good", record.into())
                    .await
                    .expect("sent")
                    .await
                    .expect("stored");
            }
            // What went in has come out, while the others do their worst.
            let arrived = async || served.messages("GOODS").await >= (first + AT_ONCE) as u64;
            let waiting = tokio::time::timeout(PATIENCE, async { while !arrived().await {} });
            waiting.await.unwrap_or_else(|_| panic!("the good pipeline stands at {first}"));
        }
    };
    let bad = async {
        let names: Vec<&str> = commands().map(Command::name).collect();
        served.publish(&names);
        for _ in 0..2 {
            served
                .connection
                .jetstream()
                .publish("shapes", r#"{"id":"a"}"#.into())
                .await
                .expect("sent")
                .await
                .expect("stored");
        }
        tokio::task::block_in_place(|| are_refused(&served));
    };
    tokio::join!(good, bad);
    // Timers fire when the event time goes on: all records are through, then these come.
    let of_records = commands().filter(|command| is_cause_of_record(*command)).count();
    letters(&served, "millstream.dlq.bad.work", of_records).await;
    tokio::task::block_in_place(|| served.publish(&LAST));

    let outputs = texts(&served, "GOODS", "did").await;
    let expected: Vec<String> = (0..GOOD).map(|n| format!("r{n}")).collect();
    assert_eq!(sorted(outputs), sorted(expected), "each record of the good pipeline once");
    have_ended(&served).await;
    for shape in shapes {
        let letters = letters(
            &served,
            &format!("millstream.dlq.shapes.{}", shape.name()),
            match shape.ends() {
                Ends::Answers(_) => 0,
                _ => 2,
            },
        )
        .await;
        letters.iter().for_each(|letter| is_cause(letter, shape.ends()));
    }
    assert_eq!(run.get("/healthz").0, 200);
    let peak = run.peak_bytes();
    assert!(peak < NODE_BYTES_MAX, "the node took {peak} bytes");
    run.end();
}

fn apply_good(served: &Served) {
    let guest = root().join("tests/guests/dist/misbehave.wasm");
    let text = format!(
        "name: good
sources:
  commands: {{ stream: GOOD }}
stages:
  work:
    module: {{ file: {} }}
    partitions: 2
    inputs:
      commands: {{ key: {{ pointer: /id }} }}
    outputs:
      echo: goods
sinks:
  goods: {{ subject: goods }}
",
        guest.display()
    );
    served.millstream.file("good.yaml", &text);
    served.call(&["apply", "-f", "good.yaml", "--wait"]).ok();
}

/// One pipeline with a stage of every shape that is not refused; these.
fn apply_shapes(served: &Served) -> Vec<Shape> {
    let run = |shape: &Shape| !matches!(shape.ends(), Ends::Refused(..));
    let shapes: Vec<Shape> = Shape::ALL.iter().copied().filter(run).collect();
    let mut text = "name: shapes\nsources:\n  records: { stream: SHAPES }\nstages:\n".to_owned();
    for shape in &shapes {
        let file = served.millstream.folder.path().join(format!("{}.wasm", shape.name()));
        std::fs::write(&file, Guest::Shape(*shape).wasm(dist)).expect("write a file");
        text += &format!(
            "  {}:\n    module: {{ file: {} }}\n    partitions: 1\n    inputs:\n      records: {{ key: {{ pointer: /id }} }}\n",
            shape.name(),
            file.display()
        );
    }
    served.millstream.file("shapes.yaml", &text);
    served.call(&["apply", "-f", "shapes.yaml"]).ok();
    shapes
}

/// Every guest that must not run is refused with its code.
fn are_refused(served: &Served) {
    for guest in Guest::all() {
        let Ends::Refused(refusal, says) = guest.ends() else { continue };
        let file = served.millstream.folder.path().join("refused.wasm");
        std::fs::write(&file, guest.wasm(dist)).expect("write a file");
        let called = served.call(&["module", "push", &file.display().to_string()]);
        let code = match refusal {
            Refusal::TooLarge => "MS1305",
            Refusal::TooCostly => "MS1115",
            _ => "MS1112",
        };
        assert_ne!(called.code, 0, "{} is accepted", guest.name());
        for words in [code, says] {
            assert!(
                called.stderr.contains(words),
                "{}: {words:?} is not in {}",
                guest.name(),
                called.stderr
            );
        }
    }
}

/// Every command has ended as it must: with its echo once, or as one dead letter that says why.
async fn have_ended(served: &Served) {
    let mut echoes: Vec<String> = Vec::new();
    let mut causes: Vec<(Command, Ends)> = Vec::new();
    for command in commands() {
        match (command.timer(), command.ends()) {
            (None, Ends::Answers(_)) if command == Command::StateMuch => {
                causes.push((command, Ends::Failed("oversize: ")));
            }
            (None, Ends::Answers(_)) => echoes.push(command.name().into()),
            (None, ends) => causes.push((command, ends)),
            // The record does well, its timer does not.
            (Some(_), ends) => {
                echoes.push(command.name().into());
                causes.push((command, ends));
            }
        }
    }
    // Two timers that fire, and answer.
    echoes.extend(["timer".into(), "timer".into()]);
    echoes.extend(LAST.map(String::from));
    let found = letters(served, "millstream.dlq.bad.work", causes.len()).await;
    let of = |command: Command| {
        let (text, timer) = (format!("\"do\":\"{}\"", command.name()), command.timer().is_some());
        let says = command.ends().says();
        let mut letters = found.iter().filter(|letter| {
            let payload = String::from_utf8_lossy(&letter.payload);
            let is_timers = header(letter, "Millstream-Input") == "later";
            if timer { is_timers && cause(letter).contains(says) } else { payload.contains(&text) }
        });
        let letter =
            letters.next().unwrap_or_else(|| panic!("no dead letter of {}", command.name()));
        assert!(letters.next().is_none(), "two dead letters of {}", command.name());
        letter
    };
    for (command, ends) in causes {
        is_cause(of(command), ends);
    }
    let forged = of(Command::FailForged);
    assert_ne!(header(forged, "Nats-Msg-Id"), "forged");
    assert!(String::from_utf8_lossy(&forged.payload).contains("fail-forged"));
    assert_eq!(sorted(texts(served, "ECHOES", "did").await), sorted(echoes));
}

fn is_cause(letter: &StreamMessage, ends: Ends) {
    // A header is ASCII: the rest is escaped, as in a Rust string.
    let says = ends.says().escape_default().to_string().replace("\\\"", "\"").replace("\\'", "'");
    let cause = cause(letter);
    assert!(cause.contains(&says), "{says:?} is not in {cause}");
    assert!(cause.len() <= 16 << 10 && !cause.contains(char::is_control), "{cause:?}");
}

fn cause(letter: &StreamMessage) -> String {
    header(letter, "Millstream-Cause")
}

fn header(message: &StreamMessage, name: &str) -> String {
    message.headers.get(name).map_or_else(String::new, |value| value.as_str().to_owned())
}

/// Waits for so many dead letters on a subject, no more and no less; they.
async fn letters(served: &Served, subject: &str, count: usize) -> Vec<StreamMessage> {
    let started = Instant::now();
    loop {
        let all = all(served, "MILLSTREAM_DLQ").await;
        let found: Vec<_> =
            all.into_iter().filter(|letter| letter.subject.as_str() == subject).collect();
        if found.len() == count {
            return found;
        }
        let seen = || {
            found
                .iter()
                .map(cause)
                .map(|c| c[..c.floor_char_boundary(100)].to_owned())
                .collect::<Vec<_>>()
        };
        assert!(
            found.len() < count && started.elapsed() < PATIENCE,
            "{} dead letters on {subject} instead of {count}: {:#?}",
            found.len(),
            seen()
        );
    }
}

/// All messages of a stream.
async fn all(served: &Served, stream: &str) -> Vec<StreamMessage> {
    let Ok(stream) = served.connection.jetstream().get_stream(stream).await else {
        return Vec::new();
    };
    let state = &stream.cached_info().state;
    let mut messages = Vec::new();
    for sequence in state.first_sequence..=state.last_sequence {
        messages.push(stream.get_raw_message(sequence).await.expect("a message"));
    }
    messages
}

/// A text field of all messages of a stream.
async fn texts(served: &Served, stream: &str, field: &str) -> Vec<String> {
    let text = |message: StreamMessage| {
        let json: serde_json::Value = serde_json::from_slice(&message.payload).expect("JSON");
        json[field].as_str().expect("a text").to_owned()
    };
    all(served, stream).await.into_iter().map(text).collect()
}

fn sorted(mut texts: Vec<String>) -> Vec<String> {
    texts.sort();
    texts
}
