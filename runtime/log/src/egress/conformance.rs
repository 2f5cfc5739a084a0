//! What every sink must do, run against the double and a real server; and what only a real connection can go
//! through.

mod transactional;

use std::collections::VecDeque;
use std::time::Duration;

use async_nats::jetstream::stream::{Config, RetentionPolicy};
use bytes::Bytes;
use millstream_core::ids::Sequence;

use super::{
    JetStreamSink, JetStreamSinkReader, Sink, SinkAck, SinkError, SinkMessage, SinkOutcome,
    SinkReader, SinkWindow, create_sink_stream, stream_of_subject,
};
use crate::connect::Connection;
use crate::memory::{MemoryBroker, MemorySink, MemorySinkReader, StreamOptions};
use crate::server::{NatsServer, ServerOptions};

/// What a message of the suite is made of.
struct Made {
    ticket: u64,
    id: String,
    headers: [(Box<str>, Box<str>); 1],
    payload: String,
}

fn made(ticket: u64) -> Made {
    let headers = [("User-Header".into(), "value".into())];
    Made { ticket, id: format!("id-{ticket}"), headers, payload: format!("{ticket}") }
}

impl Made {
    fn message(&self) -> SinkMessage<'_> {
        SinkMessage {
            ticket: self.ticket,
            subject: "out.a",
            id: &self.id,
            headers: &self.headers,
            payload: self.payload.as_bytes(),
        }
    }
}

/// Sends tickets and collects their outcomes.
async fn send_all(sink: &mut dyn Sink, tickets: std::ops::Range<u64>) -> Vec<SinkAck> {
    let mut acks = Vec::new();
    for ticket in tickets {
        while !sink.has_room() {
            sink.acknowledged(&mut acks).await;
        }
        sink.ready().await.unwrap();
        sink.send(&made(ticket).message()).unwrap();
    }
    while sink.in_flight() > 0 {
        sink.acknowledged(&mut acks).await;
    }
    acks
}

fn stored(ack: &SinkAck) -> (u64, u64, bool) {
    match ack.outcome {
        SinkOutcome::Stored { sequence, duplicate } => (ack.ticket, sequence.0, duplicate),
        ref other => panic!("ticket {}: {other:?}", ack.ticket),
    }
}

async fn suite(sink: &mut dyn Sink, reader: &dyn SinkReader) {
    assert_eq!(reader.ids_after(Sequence(0)).await.unwrap().ids, []);
    let acks = send_all(sink, 1..1_001).await;
    let stored_all: Vec<_> = acks.iter().map(stored).collect();
    assert_eq!(stored_all, (1..=1_000).map(|ticket| (ticket, ticket, false)).collect::<Vec<_>>());
    // Published again: the sink has them, and says where.
    let again: Vec<_> = send_all(sink, 900..1_101).await.iter().map(stored).collect();
    let expected: Vec<_> = (900..=1_100).map(|ticket| (ticket, ticket, ticket <= 1_000)).collect();
    assert_eq!(again, expected);
    let found = reader.ids_after(Sequence(1_090)).await.unwrap();
    let ids: Vec<_> =
        (1_091..=1_100).map(|n| (Sequence(n), Bytes::from(format!("id-{n}")))).collect();
    assert_eq!((found.ids, found.gap, found.through), (ids, None, Sequence(1_100)));
    assert_eq!(reader.ids_after(Sequence(1_100)).await.unwrap().ids, []);

    // Too large: not taken.
    let large = vec![0; sink.facts().message_bytes_max + 1];
    let last = made(2_000);
    let error = sink.send(&SinkMessage { payload: &large, ..last.message() }).unwrap_err();
    assert!(matches!(error, SinkError::TooLarge { .. }), "{error}");
    assert_eq!(sink.in_flight(), 0);
    // Nobody captures it.
    sink.send(&SinkMessage { subject: "nobody", ..last.message() }).unwrap();
    let mut acks = Vec::new();
    sink.acknowledged(&mut acks).await;
    assert!(
        matches!(acks[0].outcome, SinkOutcome::Refused { passing: true, code: 503, .. }),
        "{acks:?}"
    );
}

#[tokio::test]
async fn memory() {
    let broker = MemoryBroker::new();
    broker.create_stream("OUT", StreamOptions::capture(&["out.>"]));
    let mut sink = MemorySink::open(&broker, "OUT", 64).unwrap();
    suite(&mut sink, &MemorySinkReader::new(&broker, "OUT")).await;
    // The window passes: the id is forgotten.
    broker.set_time(broker_window(&sink) + 1);
    assert_eq!(stored(&send_all(&mut sink, 1..2).await[0]), (1, 1_101, false));
    sink.send_now(&made(3_000).message()).unwrap();
    sink.lose_acknowledgements();
    let mut acks = Vec::new();
    sink.acknowledged(&mut acks).await;
    assert_eq!(acks, [SinkAck { ticket: 3_000, outcome: SinkOutcome::Unknown }]);
}

fn broker_window(sink: &MemorySink) -> i64 {
    sink.facts().duplicate_window_ns
}

async fn stream(connection: &Connection, config: Config) {
    connection.jetstream().create_stream(config).await.unwrap();
}

fn out() -> Config {
    Config { name: "OUT".into(), subjects: vec!["out.>".into()], ..Config::default() }
}

#[tokio::test]
async fn jetstream() {
    let server = NatsServer::start(ServerOptions::default()).await.unwrap();
    let connection = server.connect().await.unwrap();
    stream(&connection, out()).await;
    let window = SinkWindow { messages: 100, bytes: 4_000 };
    let mut sink = JetStreamSink::open(&connection, "OUT", window).await.unwrap();
    suite(&mut sink, &JetStreamSinkReader::new(&connection, "OUT", vec![])).await;

    // What any client sees.
    let first =
        connection.jetstream().get_stream("OUT").await.unwrap().get_raw_message(1).await.unwrap();
    let header = |name: &str| first.headers.get(name).unwrap().as_str().to_owned();
    assert_eq!(header("Nats-Msg-Id"), "id-1");
    assert_eq!(header("User-Header"), "value");

    sink.ready().await.unwrap();
    let (made, headers) = (made(1), [("X".into(), "a\r\nb".into())]);
    let bad = SinkMessage { headers: &headers, ..made.message() };
    assert!(matches!(sink.send(&bad), Err(SinkError::Header { name, .. }) if name == "X"));
    let bad = SinkMessage { subject: "a b", ..made.message() };
    assert!(matches!(sink.send(&bad), Err(SinkError::Subject { .. })));
}

#[tokio::test]
async fn says_which_stream_takes_a_subject_and_which_cannot_be_a_sink() {
    let server = NatsServer::start(ServerOptions::default()).await.unwrap();
    let connection = server.connect().await.unwrap();
    let missing = stream_of_subject(&connection, "out.a").await.unwrap_err().to_string();
    assert_eq!(
        missing,
        "no stream captures subject out.a; create one, e.g. `nats stream add NAME --subjects out.a`, or set `create: true`"
    );
    let window = Duration::from_secs(60);
    for _ in 0..2 {
        create_sink_stream(&connection, "OUT", &["out.>".to_owned()], 1, window).await.unwrap();
    }
    assert_eq!(stream_of_subject(&connection, "out.a").await.unwrap(), "OUT");
    let sink = JetStreamSink::open(&connection, "OUT", SinkWindow::default()).await.unwrap();
    assert_eq!(sink.facts().duplicate_window_ns, 60_000_000_000);
    let config =
        Config { name: "WQ".into(), retention: RetentionPolicy::WorkQueue, ..Config::default() };
    stream(&connection, config).await;
    let refused =
        JetStreamSink::open(&connection, "WQ", SinkWindow::default()).await.err().unwrap();
    assert!(matches!(refused, SinkError::Retention { retention: "workqueue", .. }), "{refused}");
}

/// Kills the server and cuts connections in the middle; what is unknown is sent again in order. The sink
/// then holds everything once and in order.
#[tokio::test]
async fn order_and_uniqueness_survive_lost_connections() {
    const MESSAGES: u64 = 12_000;
    let mut server = NatsServer::start(ServerOptions::default()).await.unwrap();
    let connection = server.connect().await.unwrap();
    stream(&connection, out()).await;
    let window = SinkWindow { messages: 1_000, bytes: 1 << 20 };
    let mut sink = JetStreamSink::open(&connection, "OUT", window).await.unwrap();
    let mut to_send: VecDeque<u64> = (1..=MESSAGES).collect();
    let (mut acks, mut done, mut kills) = (Vec::new(), 0, 0);
    while done < MESSAGES {
        while let Some(&ticket) = to_send.front().filter(|_| sink.has_room()) {
            match sink.ready().await {
                Ok(()) => sink.send(&made(ticket).message()).unwrap(),
                Err(SinkError::Unreachable { .. }) => continue,
                Err(error) => panic!("{error}"),
            }
            to_send.pop_front();
            if ticket == 3_000 * (kills + 1) {
                kills += 1;
                server.kill9();
                server.restart().await.unwrap();
            }
        }
        sink.acknowledged(&mut acks).await;
        let mut unknown = Vec::new();
        for ack in acks.drain(..) {
            match ack.outcome {
                SinkOutcome::Stored { .. } => done += 1,
                SinkOutcome::Unknown => unknown.push(ack.ticket),
                SinkOutcome::Refused { passing: true, .. } => unknown.push(ack.ticket),
                SinkOutcome::Refused { description, .. } => panic!("{description}"),
            }
        }
        for ticket in unknown.into_iter().rev() {
            to_send.push_front(ticket);
        }
    }
    assert!(kills >= 3);
    let found =
        JetStreamSinkReader::new(&connection, "OUT", vec![]).ids_after(Sequence(0)).await.unwrap();
    let expected: Vec<_> =
        (1..=MESSAGES).map(|ticket| Bytes::from(format!("id-{ticket}"))).collect();
    let ids: Vec<_> = found.ids.into_iter().map(|(_, id)| id).collect();
    assert_eq!(ids.len(), expected.len());
    assert!(
        ids == expected,
        "order differs first at {:?}",
        ids.iter().zip(&expected).position(|(a, b)| a != b)
    );
}
