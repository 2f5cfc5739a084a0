//! What every source must do, run against the double and a real server; and what only a real connection
//! can go through.

use async_nats::jetstream::stream::{Config, RetentionPolicy};
use futures::future::BoxFuture;
use millstream_core::ids::Sequence;

use super::{
    Delivery, ReadAhead, Source, SourceError, SourceEvent, SourceOptions, SourceReader, StartAt,
};
use crate::connect::Connection;
use crate::memory::{MemoryBroker, MemorySource, Message, StreamOptions};
use crate::server::{NatsServer, ServerOptions};

const STREAM: &str = "S";

/// What the suite needs of a place where streams are.
trait World {
    fn create(&self) -> BoxFuture<'_, ()>;
    fn delete(&self) -> BoxFuture<'_, ()>;
    /// Publishes to `s.<token>`.
    fn publish<'a>(&'a self, token: &'a str, payload: String) -> BoxFuture<'a, ()>;
    fn purge_below(&self, sequence: u64) -> BoxFuture<'_, ()>;
    fn open<'a>(
        &'a self,
        filters: &'a [&'a str],
        start: StartAt,
        created_ns: Option<i64>,
    ) -> BoxFuture<'a, Result<Box<dyn Source>, SourceError>>;
}

/// Reads until the source has caught up; returns sequences and what else happened.
async fn drain(source: &mut dyn Source) -> Result<(Vec<Delivery>, Vec<SourceEvent>), SourceError> {
    let (mut batch, mut events) = (Vec::new(), Vec::new());
    loop {
        match source.next(&mut batch).await? {
            SourceEvent::Records { .. } => {}
            event @ SourceEvent::Gap { .. } => events.push(event),
            event @ SourceEvent::CaughtUp { .. } => {
                events.push(event);
                return Ok((batch, events));
            }
        }
    }
}

fn sequences(batch: &[Delivery]) -> Vec<u64> {
    batch.iter().map(|delivery| delivery.sequence.0).collect()
}

fn caught_up(through: u64) -> SourceEvent {
    SourceEvent::CaughtUp { through: Sequence(through) }
}

async fn suite(world: &dyn World) {
    let missing = world.open(&[], StartAt::Beginning, None).await.err().unwrap();
    assert!(matches!(missing, SourceError::Missing { .. }), "{missing}");
    world.create().await;

    // An empty stream is caught up with.
    let mut all = world.open(&[], StartAt::Beginning, None).await.unwrap();
    assert_eq!(drain(&mut *all).await.unwrap().1, [caught_up(0)]);
    let mut new = world.open(&[], StartAt::New, None).await.unwrap();

    // Whole stream and filter; what is delivered, numbered without holes.
    for number in 0..5_000 {
        world.publish(if number % 10 == 0 { "a" } else { "b" }, format!("{number}")).await;
    }
    let (batch, events) = drain(&mut *all).await.unwrap();
    assert_eq!(sequences(&batch), (1..=5_000).collect::<Vec<_>>());
    assert_eq!(events, [caught_up(5_000)]);
    assert!(batch.iter().enumerate().all(|(at, delivery)| {
        delivery.consumer_sequence == at as u64 + 1
            && delivery.payload == format!("{at}")
            && delivery.subject.as_str() == if at % 10 == 0 { "s.a" } else { "s.b" }
    }));
    assert!(batch.windows(2).all(|pair| pair[0].time_ns <= pair[1].time_ns));
    assert_eq!(all.time_of(Sequence(17)).await.unwrap(), Some(batch[16].time_ns));
    assert_eq!(all.time_of(Sequence(5_001)).await.unwrap(), None);
    assert_eq!(sequences(&drain(&mut *new).await.unwrap().0).len(), 5_000);
    let mut filtered = world.open(&["s.a"], StartAt::After(Sequence(11)), None).await.unwrap();
    let (batch, _) = drain(&mut *filtered).await.unwrap();
    assert_eq!(sequences(&batch), (21..=5_000).step_by(10).collect::<Vec<_>>());
    assert_eq!(filtered.position(), Sequence(4_991));

    // Later records arrive; a restart goes back.
    world.publish("a", "later".into()).await;
    let (batch, events) = drain(&mut *all).await.unwrap();
    assert_eq!((sequences(&batch), events), (vec![5_001], vec![caught_up(5_001)]));
    all.restart(Sequence(4_999));
    let (batch, _) = drain(&mut *all).await.unwrap();
    assert_eq!(sequences(&batch), [5_000, 5_001]);
    assert_eq!(batch[0].consumer_sequence, 1);

    // A position in the past of what is kept is a gap; so is a purge that overtakes the reader.
    let facts = all.facts().await.unwrap();
    assert_eq!((facts.first, facts.last, facts.records), (Sequence(1), Sequence(5_001), 5_001));
    world.purge_below(4_000).await;
    let mut behind =
        world.open(&[], StartAt::After(Sequence(100)), Some(facts.created_ns)).await.unwrap();
    let (batch, events) = drain(&mut *behind).await.unwrap();
    assert_eq!(
        events,
        [SourceEvent::Gap { from: Sequence(101), through: Sequence(3_999) }, caught_up(5_001)]
    );
    assert_eq!((batch[0].sequence, batch.len()), (Sequence(4_000), 1_002));
    let mut at_start = world.open(&[], StartAt::Beginning, None).await.unwrap();
    assert_eq!(drain(&mut *at_start).await.unwrap().0.len(), 1_002);
    world.publish("a", "5002".into()).await;
    world.publish("a", "5003".into()).await;
    world.purge_below(5_004).await;
    world.publish("b", "5004".into()).await;
    let mut late = world.open(&[], StartAt::After(Sequence(5_001)), None).await.unwrap();
    let (batch, events) = drain(&mut *late).await.unwrap();
    assert_eq!(events[0], SourceEvent::Gap { from: Sequence(5_002), through: Sequence(5_003) });
    assert_eq!(sequences(&batch), [5_004]);

    // A stream of the same name is another stream; one that ends too early was rolled back.
    world.delete().await;
    world.create().await;
    let mut other =
        world.open(&[], StartAt::After(Sequence(5_004)), Some(facts.created_ns)).await.unwrap();
    let error = drain(&mut *other).await.unwrap_err();
    assert!(
        matches!(error, SourceError::Recreated { expected_ns, .. } if expected_ns == facts.created_ns),
        "{error}"
    );
    let mut rolled_back = world.open(&[], StartAt::After(Sequence(7)), None).await.unwrap();
    let error = drain(&mut *rolled_back).await.unwrap_err();
    assert!(matches!(error, SourceError::RolledBack { position: 7, last: 0, .. }), "{error}");
}

struct InMemory(MemoryBroker);

impl World for InMemory {
    fn create(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            self.0.create_stream(STREAM, StreamOptions::capture(&["s.>"]));
        })
    }

    fn delete(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            self.0.delete_stream(STREAM);
            // The next one is created at another time.
            self.0.set_time(99);
        })
    }

    fn publish<'a>(&'a self, token: &'a str, payload: String) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            let subject = format!("s.{token}").into();
            let message = Message {
                subject,
                expected_last: None,
                id: None,
                headers: None,
                payload: payload.into(),
            };
            self.0.publish(message).unwrap();
        })
    }

    fn purge_below(&self, sequence: u64) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            self.0.purge_below(STREAM, Sequence(sequence));
        })
    }

    fn open<'a>(
        &'a self,
        filters: &'a [&'a str],
        start: StartAt,
        created_ns: Option<i64>,
    ) -> BoxFuture<'a, Result<Box<dyn Source>, SourceError>> {
        Box::pin(async move {
            let filters = filters.iter().map(|filter| (*filter).to_owned()).collect();
            let source = MemorySource::open(&self.0, STREAM, filters, start, created_ns)?;
            Ok(Box::new(source) as Box<dyn Source>)
        })
    }
}

struct OnServer(Connection);

impl OnServer {
    async fn reader(
        &self,
        filters: &[&str],
        start: StartAt,
        created_ns: Option<i64>,
    ) -> Result<SourceReader, SourceError> {
        let options = SourceOptions {
            stream: STREAM.to_owned(),
            filters: filters.iter().map(|filter| (*filter).to_owned()).collect(),
            start,
            created_ns,
            ahead: ReadAhead { messages: 500, bytes: 16 << 20 },
            consume: None,
        };
        SourceReader::open(&self.0, options).await
    }
}

impl World for OnServer {
    fn create(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            let config =
                Config { name: STREAM.into(), subjects: vec!["s.>".into()], ..Config::default() };
            self.0.jetstream().create_stream(config).await.unwrap();
        })
    }

    fn delete(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            self.0.jetstream().delete_stream(STREAM).await.unwrap();
        })
    }

    fn publish<'a>(&'a self, token: &'a str, payload: String) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            self.0
                .jetstream()
                .publish(format!("s.{token}"), payload.into())
                .await
                .unwrap()
                .await
                .unwrap();
        })
    }

    fn purge_below(&self, sequence: u64) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let stream = self.0.jetstream().get_stream(STREAM).await.unwrap();
            stream.purge().sequence(sequence).await.unwrap();
        })
    }

    fn open<'a>(
        &'a self,
        filters: &'a [&'a str],
        start: StartAt,
        created_ns: Option<i64>,
    ) -> BoxFuture<'a, Result<Box<dyn Source>, SourceError>> {
        Box::pin(async move {
            let source = self.reader(filters, start, created_ns).await?;
            Ok(Box::new(source) as Box<dyn Source>)
        })
    }
}

#[tokio::test]
async fn memory() {
    suite(&InMemory(MemoryBroker::new())).await;
}

#[tokio::test]
async fn jetstream() {
    let server = NatsServer::start(ServerOptions::default()).await.unwrap();
    suite(&OnServer(server.connect().await.unwrap())).await;
}

#[tokio::test]
async fn streams_that_positions_mean_nothing_in_are_refused() {
    let server = NatsServer::start(ServerOptions::default()).await.unwrap();
    let world = OnServer(server.connect().await.unwrap());
    let retention = RetentionPolicy::WorkQueue;
    let config = Config { name: STREAM.into(), retention, ..Config::default() };
    world.0.jetstream().create_stream(config).await.unwrap();
    let error = world.reader(&[], StartAt::New, None).await.err().unwrap();
    assert_eq!(
        error.to_string(),
        "stream S has retention workqueue; only streams with retention limits can be read by position, and when the pipeline was created it was not there"
    );
}

#[tokio::test]
async fn filters_the_server_refuses_are_named() {
    let server = NatsServer::start(ServerOptions::default()).await.unwrap();
    let world = OnServer(server.connect().await.unwrap());
    world.create().await;
    let mut overlapping = world.reader(&["s.*", "s.a"], StartAt::New, None).await.unwrap();
    let error = drain(&mut overlapping).await.unwrap_err();
    assert!(matches!(error, SourceError::Filter { .. }), "{error:?}");
}

#[tokio::test]
async fn starts_at_a_time() {
    let server = NatsServer::start(ServerOptions::default()).await.unwrap();
    let world = OnServer(server.connect().await.unwrap());
    world.create().await;
    for number in 0..10 {
        world.publish("a", format!("{number}")).await;
    }
    let all =
        drain(&mut world.reader(&[], StartAt::Beginning, None).await.unwrap()).await.unwrap().0;
    let mut from = world.reader(&[], StartAt::Time(all[4].time_ns), None).await.unwrap();
    assert_eq!(sequences(&drain(&mut from).await.unwrap().0), [5, 6, 7, 8, 9, 10]);
    let mut never = world.reader(&[], StartAt::Time(i64::MAX), None).await.unwrap();
    assert_eq!(drain(&mut never).await.unwrap(), (vec![], vec![caught_up(10)]));
}

impl PartialEq for Delivery {
    fn eq(&self, other: &Delivery) -> bool {
        self.sequence == other.sequence && self.payload == other.payload
    }
}

/// Loses its consumer, its connection and its server in the middle of everything.
#[tokio::test]
async fn nothing_is_lost_or_doubled_over_lost_consumers_connections_and_servers() {
    const RECORDS: u64 = 20_000;
    let mut server = NatsServer::start(ServerOptions::default()).await.unwrap();
    let world = OnServer(server.connect().await.unwrap());
    world.create().await;
    let payload = bytes::Bytes::from(vec![b'x'; 100]);
    let mut acks = Vec::new();
    for _ in 0..RECORDS {
        acks.push(world.0.jetstream().publish("s.a", payload.clone()).await.unwrap());
        if acks.len() == 1_000 {
            for ack in acks.drain(..) {
                ack.await.unwrap();
            }
        }
    }
    let mut reader = world.reader(&[], StartAt::Beginning, None).await.unwrap();
    let (mut batch, mut seen, mut trouble) = (Vec::new(), 0, 0);
    while seen < RECORDS {
        let _ = reader.next(&mut batch).await.unwrap();
        for delivery in batch.drain(..) {
            seen += 1;
            assert_eq!(delivery.sequence.0, seen);
            assert_eq!(delivery.consumer_sequence, seen);
        }
        if seen > trouble * RECORDS / 4 {
            match trouble {
                1 => {
                    let stream = world.0.jetstream().get_stream(STREAM).await.unwrap();
                    use futures::TryStreamExt;
                    let names: Vec<String> = stream.consumer_names().try_collect().await.unwrap();
                    for name in names {
                        stream.delete_consumer(&name).await.unwrap();
                    }
                }
                2 => reader.cut(),
                3 => {
                    server.kill9();
                    server.restart().await.unwrap();
                }
                _ => {}
            }
            trouble += 1;
        }
    }
    assert_eq!(seen, RECORDS);
    assert!(reader.restarts() >= 3, "{} restarts", reader.restarts());
}

#[tokio::test]
async fn large_records_stay_within_the_bytes_and_arrive() {
    let payload_bytes_max = Some(2 << 20);
    let server = NatsServer::start(ServerOptions { payload_bytes_max, ..ServerOptions::default() })
        .await
        .unwrap();
    let world = OnServer(server.connect().await.unwrap());
    world.create().await;
    for number in 0..30_u8 {
        let payload = vec![number; if number % 3 == 0 { 2 << 20 } else { 10 }];
        world.0.jetstream().publish("s.a", payload.into()).await.unwrap().await.unwrap();
    }
    let mut reader = world.reader(&[], StartAt::Beginning, None).await.unwrap();
    let (batch, _) = drain(&mut reader).await.unwrap();
    assert_eq!(sequences(&batch), (1..=30).collect::<Vec<_>>());
    assert_eq!(reader.restarts(), 0);
}

/// A call that is dropped before it finishes has taken nothing.
#[tokio::test]
async fn dropped_calls_lose_nothing() {
    let server = NatsServer::start(ServerOptions::default()).await.unwrap();
    let world = OnServer(server.connect().await.unwrap());
    world.create().await;
    for number in 0..2_000 {
        world.publish("a", format!("{number}")).await;
    }
    let mut reader = world.reader(&[], StartAt::Beginning, None).await.unwrap();
    let (mut batch, mut dropped) = (Vec::new(), 0);
    // Making the consumer takes longer than the calls below are given.
    reader.next(&mut batch).await.unwrap();
    while reader.position() < Sequence(2_000) {
        tokio::select! {
            biased;
            event = reader.next(&mut batch) => { event.unwrap(); }
            // Ready after a number of polls that differs each time.
            () = async { for _ in 0..dropped % 7 { tokio::task::yield_now().await } } => dropped += 1,
        }
    }
    assert_eq!(sequences(&batch), (1..=2_000).collect::<Vec<_>>());
    assert!(dropped > 0);
}
