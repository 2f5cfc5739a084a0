//! What every transactional sink must do, and what only a real one can go through.

use std::time::Duration;

use async_nats::jetstream::stream::Config;
use bytes::Bytes;
use futures::TryStreamExt;
use millstream_core::ids::Sequence;

use super::{made, out, stream};
use crate::connect::Connection;
use crate::egress::{
    BATCH_OUTPUTS_MAX, BatchOutcome, CreatedStream, JetStreamTransactionalSink, SinkError,
    SinkMessage, TransactionalSink, cursor_subject,
};
use crate::memory::{BatchFault, MemoryBroker, MemoryTransactionalSink, StreamOptions};
use crate::server::{NatsServer, ServerOptions};

fn cursor() -> String {
    cursor_subject("OUT", "p", "s", "results", 0)
}

fn wanted() -> CreatedStream {
    CreatedStream { name: "OUT".into(), subject: "out.*".into(), replicas: 1 }
}

async fn publish(
    sink: &mut dyn TransactionalSink,
    tickets: std::ops::Range<u64>,
    text: &str,
    expected: u64,
) -> BatchOutcome {
    sink.begin().await.unwrap();
    for ticket in tickets {
        sink.add(&made(ticket).message()).unwrap();
    }
    sink.commit(text.as_bytes(), Sequence(expected)).await
}

fn stored(sequence: u64) -> BatchOutcome {
    BatchOutcome::Stored { sequence: Sequence(sequence) }
}

async fn last(sink: &mut dyn TransactionalSink) -> Option<(u64, String)> {
    let last = sink.last_cursor().await.unwrap();
    last.map(|(sequence, text)| (sequence.0, String::from_utf8(text.to_vec()).unwrap()))
}

/// Two owners of one partition.
async fn suite(sink: &mut dyn TransactionalSink, other: &mut dyn TransactionalSink) {
    assert_eq!(last(sink).await, None);
    assert_eq!(publish(sink, 1..4, "a", 0).await, stored(4));
    assert_eq!(last(other).await, Some((4, "a".to_owned())));
    // Nothing of it is there, nor anything between.
    assert_eq!(publish(other, 1..4, "b", 0).await, BatchOutcome::NotLast);
    assert_eq!(publish(other, 1..4, "b", 3).await, BatchOutcome::NotLast);
    assert_eq!(publish(other, 4..5, "b", 4).await, stored(6));
    assert_eq!(publish(sink, 4..6, "c", 4).await, BatchOutcome::NotLast);
    assert_eq!(last(sink).await, Some((6, "b".to_owned())));
    // As many as there may be, and none.
    let many = 5..5 + BATCH_OUTPUTS_MAX as u64;
    assert_eq!(publish(sink, many, "c", 6).await, stored(1_006));
    assert_eq!(publish(sink, 0..0, "d", 1_006).await, stored(1_007));

    // Too large: not taken, and the rest of the batch is good.
    sink.begin().await.unwrap();
    let large = vec![0; sink.facts().message_bytes_max + 1];
    let small = made(1_004);
    let error = sink.add(&SinkMessage { payload: &large, ..small.message() }).unwrap_err();
    assert!(matches!(error, SinkError::TooLarge { .. }), "{error}");
    sink.add(&small.message()).unwrap();
    assert_eq!(sink.commit(b"e", Sequence(1_007)).await, stored(1_009));
    // What was begun and not committed is forgotten.
    sink.begin().await.unwrap();
    sink.add(&made(9_999).message()).unwrap();
    assert_eq!(publish(sink, 1_005..1_006, "f", 1_009).await, stored(1_011));
    // Somebody else's subject.
    sink.begin().await.unwrap();
    sink.add(&SinkMessage { subject: "nobody", ..small.message() }).unwrap();
    let outcome = sink.commit(b"g", Sequence(1_011)).await;
    assert!(matches!(outcome, BatchOutcome::Refused { passing: true, .. }), "{outcome:?}");
    assert_eq!(last(other).await, Some((1_011, "f".to_owned())));
}

#[tokio::test]
async fn memory() {
    let broker = MemoryBroker::new();
    broker.create_stream("OUT", StreamOptions::capture(&["out.*", "millstream.cursor.OUT.>"]));
    let open = || MemoryTransactionalSink::open(&broker, "OUT", &cursor()).unwrap();
    let mut sink = open();
    suite(&mut sink, &mut open()).await;
    sink.plan_faults([Some(BatchFault::LoseBatch), Some(BatchFault::LoseReply)]);
    assert_eq!(publish(&mut sink, 0..1, "h", 1_011).await, BatchOutcome::Unknown);
    assert_eq!(last(&mut sink).await, Some((1_011, "f".to_owned())));
    assert_eq!(publish(&mut sink, 0..1, "h", 1_011).await, BatchOutcome::Unknown);
    assert_eq!(last(&mut sink).await, Some((1_013, "h".to_owned())));
}

async fn open(connection: &Connection) -> Result<JetStreamTransactionalSink, SinkError> {
    JetStreamTransactionalSink::open(connection, &wanted(), cursor()).await
}

#[tokio::test]
async fn jetstream() {
    let server = NatsServer::start(ServerOptions::default()).await.unwrap();
    let connection = server.connect().await.unwrap();
    let mut sink = open(&connection).await.unwrap();
    suite(&mut sink, &mut open(&connection).await.unwrap()).await;

    // What any client sees.
    let stream = connection.jetstream().get_stream("OUT").await.unwrap();
    let first = stream.get_raw_message(1).await.unwrap();
    let header = |name: &str| first.headers.get(name).unwrap().as_str().to_owned();
    assert_eq!(header("Millstream-Output"), "id-1");
    assert_eq!(header("User-Header"), "value");
    let records = stream.info_with_subjects(cursor()).await.unwrap();
    let counts: Vec<_> = records.try_collect().await.unwrap();
    assert_eq!(counts, [(cursor(), 1)], "one cursor record is kept");
}

#[tokio::test]
async fn cursor_records_do_not_age_with_the_outputs() {
    let server = NatsServer::start(ServerOptions::default()).await.unwrap();
    let connection = server.connect().await.unwrap();
    let mut sink = open(&connection).await.unwrap();
    let mut config =
        connection.jetstream().get_stream("OUT").await.unwrap().cached_info().config.clone();
    config.max_age = Duration::from_secs(1);
    config.duplicate_window = Duration::from_secs(1);
    connection.jetstream().update_stream(config).await.unwrap();
    assert_eq!(publish(&mut sink, 0..3, "a", 0).await, stored(4));
    let until_aged = async {
        while connection.jetstream().get_stream("OUT").await.unwrap().cached_info().state.messages
            > 1
        {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), until_aged).await.unwrap();
    assert_eq!(last(&mut sink).await, Some((4, "a".to_owned())));
    assert_eq!(publish(&mut sink, 0..3, "b", 4).await, stored(8));
}

#[tokio::test]
async fn a_stream_that_cannot_be_one_is_refused() {
    let server = NatsServer::start(ServerOptions::default()).await.unwrap();
    let connection = server.connect().await.unwrap();
    stream(&connection, out()).await;
    let refused = open(&connection).await.err().unwrap();
    assert!(
        matches!(&refused, SinkError::NotTransactional { setting, .. } if setting == "allow_atomic = false"),
        "{refused}"
    );
    // Another stream has the subject.
    let other = CreatedStream { name: "OTHER".into(), ..wanted() };
    let refused = JetStreamTransactionalSink::open(&connection, &other, cursor()).await.err();
    let refused = refused.unwrap().to_string();
    assert!(refused.contains("overlap"), "{refused}");
    // One that was made by hand.
    let made = Config {
        name: "MADE".into(),
        subjects: vec!["made.>".into(), "millstream.cursor.MADE.>".into()],
        allow_atomic_publish: true,
        allow_rollup: true,
        allow_message_ttl: true,
        ..Config::default()
    };
    stream(&connection, made).await;
    let made = CreatedStream { name: "MADE".into(), subject: "made.a".into(), replicas: 1 };
    JetStreamTransactionalSink::open(&connection, &made, cursor()).await.unwrap();
}

/// The server is killed with batches under way; the record tells each time what became of them.
#[tokio::test]
async fn a_lost_server_leaves_whole_batches_and_a_record_that_tells() {
    const BATCHES: u64 = 60;
    let mut server = NatsServer::start(ServerOptions::default()).await.unwrap();
    let connection = server.connect().await.unwrap();
    let mut sink = open(&connection).await.unwrap();
    let (mut batch, mut expected, mut unknown) = (1, 0, 0);
    while batch <= BATCHES {
        if sink.begin().await.is_err() {
            continue;
        }
        for ticket in batch * 10..batch * 10 + 10 {
            sink.add(&made(ticket).message()).unwrap();
        }
        let text = batch.to_string();
        let outcome = {
            let commit = sink.commit(text.as_bytes(), Sequence(expected));
            tokio::pin!(commit);
            if batch % 15 == 0 && unknown < batch / 15 {
                // Under way: the server dies with it.
                let _ = futures::poll!(&mut commit);
                server.kill9();
                server.restart().await.unwrap();
            }
            commit.await
        };
        match outcome {
            BatchOutcome::Stored { sequence } => (batch, expected) = (batch + 1, sequence.0),
            other => {
                unknown += u64::from(other == BatchOutcome::Unknown);
                if let Some((sequence, Ok(number))) =
                    last(&mut sink).await.map(|(sequence, text)| (sequence, text.parse::<u64>()))
                {
                    (batch, expected) = (number + 1, sequence);
                }
            }
        }
    }
    assert!(unknown >= 3, "{unknown} lost answers");
    let found = connection.jetstream().get_stream("OUT").await.unwrap();
    let mut tickets = Vec::new();
    for sequence in 1..=found.cached_info().state.last_sequence {
        // Those of cursor records that were replaced are gone.
        if let Ok(message) = found.get_raw_message(sequence).await
            && message.subject.as_str() == "out.a"
        {
            tickets.push(message.payload);
        }
    }
    let expected: Vec<_> =
        (10..BATCHES * 10 + 10).map(|ticket| Bytes::from(ticket.to_string())).collect();
    assert_eq!(tickets, expected);
}
