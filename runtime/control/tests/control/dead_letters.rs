//! Dead letters as the engine writes them, listed, redriven and dropped.

use async_nats::HeaderMap;
use futures::StreamExt;
use millstream_control::api::Data;
use millstream_control::api::dead_letters::*;
use millstream_control::errors;

use crate::support::{Cluster, connect, guest, manifest};

/// Publishes a letter as the engine does.
async fn publish(cluster: &Cluster, pipeline: &str, payload: &str, number: u64) -> u64 {
    publish_of(cluster, pipeline, "commands", payload, number).await
}

/// The same of another input, or with the number 0 of a timer.
async fn publish_of(
    cluster: &Cluster,
    pipeline: &str,
    input: &str,
    payload: &str,
    number: u64,
) -> u64 {
    let mut headers = HeaderMap::new();
    for (name, value) in [
        (CAUSE, "amount is negative".to_owned()),
        (ATTEMPTS, "1".to_owned()),
        (MODULE, "ab".repeat(32)),
        (INPUT, input.to_owned()),
        (SOURCE, "COMMANDS".to_owned()),
        (SEQUENCE, number.to_string()),
        (SUBJECT, "commands.eu".to_owned()),
        (TIME, "1769817600123".to_owned()),
        ("Nats-Msg-Id", format!("{pipeline}-{number}")),
        ("Trace", "t1".to_owned()),
    ] {
        headers.insert(name, value);
    }
    let nats = connect(&cluster.server).await;
    let subject = dead_letter_subject(pipeline, "work");
    let ack = nats
        .jetstream()
        .publish_with_headers(subject, headers, payload.to_owned().into())
        .await
        .unwrap();
    ack.await.unwrap().sequence
}

fn list(pipeline: Option<&str>, after: u64, limit: u32) -> List {
    List { pipeline: pipeline.map(str::to_owned), stage: None, after, limit }
}

fn selection(sequences: &[u64]) -> Selection {
    Selection { pipeline: "p".into(), stage: None, sequences: sequences.to_vec() }
}

/// A pipeline `p` with five letters, and one of another pipeline between them.
async fn cluster() -> Cluster {
    let cluster = Cluster::start().await;
    let module = cluster.push(guest(), false).await.unwrap().module;
    cluster.apply(&manifest("p", &format!("sha256:{}", module.digest))).await.unwrap();
    for number in 1..=3 {
        publish(&cluster, "p", &format!("{{\"n\":{number}}}"), number).await;
    }
    publish(&cluster, "other", "{}", 1).await;
    for number in 4..=5 {
        publish(&cluster, "p", &format!("{{\"n\":{number}}}"), number).await;
    }
    cluster
}

#[tokio::test]
async fn letters_are_listed_in_pages_and_shown() {
    let cluster = cluster().await;
    let page = cluster.ask(&list(Some("p"), 0, 3)).await;
    let sequences =
        |page: &Listing| page.letters.iter().map(|letter| letter.sequence).collect::<Vec<_>>();
    assert_eq!((sequences(&page), page.more), (vec![1, 2, 3], true));
    let page = cluster.ask(&list(Some("p"), 3, 3)).await;
    assert_eq!((sequences(&page), page.more), (vec![5, 6], false));
    assert_eq!(sequences(&cluster.ask(&list(None, 0, 100)).await), [1, 2, 3, 4, 5, 6]);
    assert_eq!(sequences(&cluster.ask(&list(Some("p.>"), 0, 100)).await), [0; 0]);
    assert!(page.letters[0].payload.is_none());

    let letter = cluster.ask(&Show { sequence: 5 }).await;
    let expected = DeadLetter {
        sequence: 5,
        pipeline: "p".into(),
        stage: "work".into(),
        cause: "amount is negative".into(),
        attempts: 1,
        module: "ab".repeat(32),
        input: "commands".into(),
        source: "COMMANDS".into(),
        source_sequence: 4,
        subject: "commands.eu".into(),
        time_ms: 1_769_817_600_123,
        refused_at_ms: letter.refused_at_ms,
        size: 7,
        payload: Some(Data::from("{\"n\":4}")),
    };
    assert_eq!(letter, expected);
    for sequence in [0, 99] {
        let refused = cluster.refused(&Show { sequence }).await;
        assert_eq!(refused.0[0].code, errors::DEAD_LETTER_UNKNOWN, "{refused}");
    }
    cluster.node.stop().await;
}

#[tokio::test]
async fn redriven_letters_reach_their_stage_once() {
    let cluster = cluster().await;
    let handled = cluster.ask(&Redrive { letters: selection(&[2, 6]), limit: 10 }).await;
    assert_eq!(handled, Handled { handled: 2, more: false, left: 0 });
    let handled = cluster.ask(&Redrive { letters: selection(&[]), limit: 2 }).await;
    assert_eq!(handled, Handled { handled: 2, more: true, left: 0 });
    let handled = cluster.ask(&Redrive { letters: selection(&[]), limit: 2 }).await;
    assert_eq!(handled, Handled { handled: 1, more: false, left: 0 });

    let nats = connect(&cluster.server).await;
    let stream = nats.jetstream().get_stream(REDRIVE_STREAM).await.unwrap();
    let config = async_nats::jetstream::consumer::pull::OrderedConfig::default();
    let mut redriven = stream.create_consumer(config).await.unwrap().messages().await.unwrap();
    let mut payloads = Vec::new();
    for _ in 0..5 {
        let message = redriven.next().await.unwrap().unwrap();
        let headers = message.headers.clone().unwrap();
        assert_eq!(message.subject.as_str(), "millstream.redrive.p.work.commands");
        assert_eq!(headers.get(ATTEMPTS).unwrap().as_str(), "2");
        assert_eq!(headers.get("Trace").unwrap().as_str(), "t1");
        assert_eq!(headers.get(SUBJECT).unwrap().as_str(), "commands.eu");
        assert!(headers.get(CAUSE).is_none() && headers.get(MODULE).is_none());
        payloads.push(String::from_utf8(message.payload.to_vec()).unwrap());
    }
    assert_eq!(payloads, [2, 5, 1, 3, 4].map(|number| format!("{{\"n\":{number}}}")));
    assert_eq!(
        nats.jetstream().get_stream(REDRIVE_STREAM).await.unwrap().cached_info().state.messages,
        5
    );

    // A later pipeline of the same name does not read them.
    let delete =
        millstream_control::api::pipelines::Delete { pipeline: "p".into(), by: String::new() };
    cluster.ask(&delete).await;
    cluster.node.worker.called("delete p millstream").await;
    let module = cluster.push(guest(), false).await.unwrap().module;
    let text = manifest("p", &format!("sha256:{}", module.digest));
    while cluster.apply(&text).await.is_err() {
        tokio::task::yield_now().await;
    }
    let left =
        nats.jetstream().get_stream(REDRIVE_STREAM).await.unwrap().cached_info().state.messages;
    assert_eq!(left, 0);

    let left = cluster.ask(&list(None, 0, 100)).await.letters;
    assert_eq!(left.len(), 1, "only the other pipeline's is left");
    let refused = cluster.refused(&Redrive { letters: selection(&[4]), limit: 10 }).await;
    assert_eq!(
        refused.to_string(),
        "MS1320: dead letter 4 is one of other/work\n  help: `millstream dlq ls` lists what there is"
    );
    let nowhere = Selection { pipeline: "other".into(), ..Selection::default() };
    let refused = cluster.refused(&Redrive { letters: nowhere, limit: 10 }).await;
    assert_eq!(refused.0[0].code, errors::PIPELINE_UNKNOWN);
    cluster.node.stop().await;
}

#[tokio::test]
async fn letters_that_nobody_would_read_stay() {
    let cluster = cluster().await;
    let timer = publish_of(&cluster, "p", "commands", "", 0).await;
    let gone = publish_of(&cluster, "p", "orders", "{}", 9).await;
    for (sequence, words) in [
        (
            timer,
            format!("MS1321: dead letter {timer} is of the timer `commands`, which has no record"),
        ),
        (
            gone,
            format!("MS1321: dead letter {gone} came from `orders`, which p/work does not read"),
        ),
    ] {
        let refused =
            cluster.refused(&Redrive { letters: selection(&[sequence]), limit: 10 }).await;
        assert!(refused.to_string().starts_with(&words), "{refused}");
    }
    // All that can be handed over is, in pages; the rest is counted.
    let handled = cluster.ask(&Redrive { letters: selection(&[]), limit: 4 }).await;
    assert_eq!(handled, Handled { handled: 4, more: true, left: 0 });
    let handled = cluster.ask(&Redrive { letters: selection(&[]), limit: 4 }).await;
    assert_eq!(handled, Handled { handled: 1, more: false, left: 2 });
    assert_eq!(cluster.ask(&list(Some("p"), 0, 10)).await.letters.len(), 2);
    cluster.node.stop().await;
}

#[tokio::test]
async fn dropped_letters_are_gone() {
    let cluster = cluster().await;
    let handled = cluster.ask(&Drop { letters: selection(&[1]), limit: 10 }).await;
    assert_eq!(handled, Handled { handled: 1, more: false, left: 0 });
    let other = Selection { pipeline: "other".into(), ..Selection::default() };
    assert_eq!(cluster.ask(&Drop { letters: other, limit: 10 }).await.handled, 1);
    assert_eq!(cluster.ask(&Drop { letters: selection(&[]), limit: 10 }).await.handled, 4);
    assert!(cluster.ask(&list(None, 0, 10)).await.letters.is_empty());
    let refused = cluster.refused(&Drop { letters: selection(&[1]), limit: 10 }).await;
    assert_eq!(refused.0[0].code, errors::DEAD_LETTER_UNKNOWN);
    cluster.node.stop().await;
}
