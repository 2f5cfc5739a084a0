//! Work queues and interest streams on a real server.

use std::time::{Duration, Instant};

use async_nats::jetstream::consumer::pull;
use async_nats::jetstream::stream::{Config, RetentionPolicy};
use millstream_core::ids::Sequence;

use super::super::{
    Consume, ReadAhead, Source, SourceError, SourceEvent, SourceOptions, SourceReader, StartAt,
    do_overlap, forget_consumers, is_consumed, takers,
};
use super::named;
use crate::connect::Connection;
use crate::server::{NatsServer, ServerOptions};

const STREAM: &str = "Q";
const PREFIX: &str = "millstream-p-1-jobs-";
const PATIENCE: Duration = Duration::from_secs(30);

async fn stream(retention: RetentionPolicy) -> (NatsServer, Connection) {
    let server = NatsServer::start(ServerOptions::default()).await.unwrap();
    let connection = server.connect().await.unwrap();
    let config = Config {
        name: STREAM.into(),
        subjects: vec!["q.>".into()],
        retention,
        ..Config::default()
    };
    connection.jetstream().create_stream(config).await.unwrap();
    (server, connection)
}

async fn publish(connection: &Connection, count: usize) {
    for _ in 0..count {
        connection.jetstream().publish("q.a", "x".into()).await.unwrap().await.unwrap();
    }
}

/// A reader that has handed over up to `position` and committed up to `committed`.
async fn open(connection: &Connection, position: u64, committed: u64) -> SourceReader {
    let options = SourceOptions {
        stream: STREAM.into(),
        filters: Vec::new(),
        start: StartAt::After(Sequence(position)),
        created_ns: None,
        ahead: ReadAhead::default(),
        consume: Some(Consume { prefix: PREFIX.into(), committed: Sequence(committed) }),
    };
    SourceReader::open(connection, options).await.unwrap()
}

/// The sequences that come until the reader has come to `last`.
async fn read(reader: &mut SourceReader, last: u64) -> Vec<u64> {
    let mut batch = Vec::new();
    while reader.position() < Sequence(last) {
        let event = tokio::time::timeout(PATIENCE, reader.next(&mut batch)).await.unwrap();
        assert!(!matches!(event, Ok(SourceEvent::Gap { .. })), "what was acknowledged is no gap");
        // A consumer that somebody removed is made anew.
        assert!(matches!(event, Ok(_) | Err(SourceError::Unreachable { .. })), "{event:?}");
    }
    batch.iter().map(|delivery| delivery.sequence.0).collect()
}

/// Waits until so many records are left, while the reader goes on.
async fn until_left(connection: &Connection, reader: &mut SourceReader, left: u64) {
    let (begun, mut batch) = (Instant::now(), Vec::new());
    loop {
        let found = connection.jetstream().get_stream(STREAM).await.unwrap();
        let found = found.cached_info().state.messages;
        if found == left {
            assert!(batch.is_empty(), "nothing comes again: {batch:?}");
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "{found} records are left, not {left}");
        let _ = tokio::time::timeout(Duration::from_millis(10), reader.next(&mut batch)).await;
    }
}

async fn whatever_was_committed_never_comes_again(retention: RetentionPolicy) {
    let (mut server, connection) = stream(retention).await;
    assert!(is_consumed(&connection, STREAM).await.unwrap());
    let mut reader = open(&connection, 0, 0).await;
    let mut none = Vec::new();
    // Under interest only what comes while there is a consumer stays.
    let caught_up = reader.next(&mut none).await.unwrap();
    assert_eq!(caught_up, SourceEvent::CaughtUp { through: Sequence(0) });
    publish(&connection, 100).await;
    assert_eq!(read(&mut reader, 100).await, (1..=100).collect::<Vec<_>>());
    reader.acknowledge(Sequence(40));
    until_left(&connection, &mut reader, 60).await;
    drop(reader);

    // Killed between the commit of 50 and its acknowledgement: what is behind comes again, in order.
    let mut reader = open(&connection, 50, 50).await;
    assert_eq!(read(&mut reader, 100).await, (51..=100).collect::<Vec<_>>());
    until_left(&connection, &mut reader, 50).await;
    assert_eq!(named(&connection, STREAM, PREFIX).await.unwrap().len(), 1);

    // What was handed over and not committed is not handed over again by the same reader.
    reader.acknowledge(Sequence(60));
    reader.cut();
    publish(&connection, 10).await;
    assert_eq!(read(&mut reader, 110).await, (101..=110).collect::<Vec<_>>());
    reader.acknowledge(Sequence(70));
    server.kill9();
    server.restart().await.unwrap();
    publish(&connection, 10).await;
    assert_eq!(read(&mut reader, 120).await, (111..=120).collect::<Vec<_>>());
    assert!(reader.restarts() >= 2, "{}", reader.restarts());

    // Another owner takes over, and the former one, which does not know yet, takes it back.
    let mut other = open(&connection, 70, 70).await;
    assert_eq!(read(&mut other, 120).await, (71..=120).collect::<Vec<_>>());
    publish(&connection, 1).await;
    assert_eq!(read(&mut reader, 121).await, [121]);
    assert_eq!(read(&mut other, 121).await, [121]);
    other.acknowledge(Sequence(121));
    until_left(&connection, &mut other, 0).await;
    drop(reader);
    forget_consumers(&connection, STREAM, PREFIX).await.unwrap();
    assert!(named(&connection, STREAM, PREFIX).await.unwrap().is_empty());
    forget_consumers(&connection, "NONE", PREFIX).await.unwrap();
}

#[tokio::test]
async fn a_work_queue_is_consumed_once() {
    whatever_was_committed_never_comes_again(RetentionPolicy::WorkQueue).await;
}

#[tokio::test]
async fn an_interest_stream_is_consumed_once() {
    whatever_was_committed_never_comes_again(RetentionPolicy::Interest).await;
}

#[test]
fn filters_overlap_where_a_subject_matches_both() {
    for (one, other, expected) in [
        ("q.a", "q.a", true),
        ("q.a", "q.b", false),
        ("q.*", "q.b", true),
        ("q.*", "q.b.c", false),
        ("q.>", "q.b.c", true),
        ("q.>", "q", false),
        ("*.b", "q.*", true),
        ("q.*.c", "q.b.>", true),
    ] {
        assert_eq!(do_overlap(Some(one), Some(other)), expected, "{one} {other}");
        assert_eq!(do_overlap(Some(other), Some(one)), expected, "{other} {one}");
    }
    assert!(do_overlap(None, Some("q.a")));
}

#[tokio::test]
async fn a_work_queue_of_others_is_refused() {
    let (_server, connection) = stream(RetentionPolicy::WorkQueue).await;
    let theirs = pull::Config { durable_name: Some("theirs".into()), ..Default::default() };
    let found = connection.jetstream().get_stream(STREAM).await.unwrap();
    found.create_consumer(theirs).await.unwrap();
    assert_eq!(takers(&connection, STREAM, Some("q.a")).await.unwrap(), ["theirs"]);
    let refused = open(&connection, 0, 0).await.next(&mut Vec::new()).await.unwrap_err();
    let text =
        "stream Q is a work queue, and another consumer takes the same records: it has theirs";
    assert_eq!(refused.to_string(), text);
}
