//! Measures what this crate gets out of a private `nats-server`: `cargo run --release -p millstream-log
//! --example throughput -- [source|egress|batches|log]`. Prints one line per measurement.

use std::time::Instant;

use async_nats::jetstream::stream::Config;
use futures::TryStreamExt;
use millstream_core::ids::Sequence;
use millstream_log::Name;
use millstream_log::commit_log::{Append, CommitLog, JetStreamLog, LogOptions, PartitionSubject};
use millstream_log::connect::Connection;
use millstream_log::egress::{
    BatchOutcome, CreatedStream, JetStreamSink, JetStreamTransactionalSink, Sink, SinkMessage,
    SinkWindow, TransactionalSink, cursor_subject,
};
use millstream_log::server::{NatsServer, ServerOptions};
use millstream_log::source::{
    ReadAhead, Source, SourceEvent, SourceOptions, SourceReader, StartAt,
};

/// Records of a measurement.
const RECORDS: u64 = 1_000_000;
/// Bytes of a payload.
const PAYLOAD_BYTES: usize = 200;

type Outcome = Result<(), Box<dyn std::error::Error>>;

#[tokio::main]
async fn main() -> Outcome {
    let what = std::env::args().nth(1);
    let wants = |name: &str| what.as_deref().is_none_or(|what| what == name);
    let server = NatsServer::start(ServerOptions::default()).await?;
    let connection = server.connect().await?;
    if wants("log") {
        log(&connection).await?;
    }
    if wants("egress") {
        egress(&connection).await?;
    }
    if wants("batches") {
        batches(&connection).await?;
    }
    if wants("source") {
        source(&connection).await?;
    }
    Ok(())
}

/// Fills a stream without acknowledgements in between.
async fn preload(connection: &Connection, stream: &str) -> Outcome {
    let config =
        Config { name: stream.into(), subjects: vec![format!("{stream}.>")], ..Config::default() };
    connection.jetstream().create_stream(config).await?;
    let payload = bytes::Bytes::from(vec![b'x'; PAYLOAD_BYTES]);
    for number in 0..RECORDS {
        connection.client().publish(format!("{stream}.{}", number % 100), payload.clone()).await?;
        if number % 10_000 == 0 {
            connection.client().flush().await?;
            // One acknowledged publish now and then keeps the server's inbound queue short.
            connection.jetstream().publish(format!("{stream}.ack"), payload.clone()).await?.await?;
        }
    }
    connection.jetstream().publish(format!("{stream}.ack"), payload.clone()).await?.await?;
    Ok(())
}

async fn source(connection: &Connection) -> Outcome {
    preload(connection, "SRC").await?;
    for (name, filters) in [("whole stream", vec![]), ("one filter", vec!["SRC.*".to_owned()])] {
        for ahead in [ReadAhead::default(), ReadAhead { messages: 65_536, bytes: 64 << 20 }] {
            let options = SourceOptions {
                stream: "SRC".into(),
                filters: filters.clone(),
                start: StartAt::After(Sequence(0)),
                created_ns: None,
                ahead,
                consume: None,
            };
            let mut reader = SourceReader::open(connection, options).await?;
            let (mut batch, mut records, mut batches) = (Vec::new(), 0, 0);
            let began = Instant::now();
            loop {
                let event = reader.next(&mut batch).await?;
                records += batch.len();
                batches += 1;
                batch.clear();
                if matches!(event, SourceEvent::CaughtUp { .. }) {
                    break;
                }
            }
            let rate = records as f64 / began.elapsed().as_secs_f64();
            println!(
                "source, {name}, {} ahead: {records} records, {rate:.0}/s, {batches} batches, {} restarts",
                ahead.messages,
                reader.restarts()
            );
            reader.close().await;
        }
    }
    Ok(())
}

/// Appends one after another, reads them back, and trims beside appends.
async fn log(connection: &Connection) -> Outcome {
    for (bytes, records) in [(200, 20_000_u64), (20_000, 10_000), (100_000, 3_000)] {
        let (pipeline, stage) = (Name::new(&format!("p{bytes}"))?, Name::new("s")?);
        let log = JetStreamLog::open(connection, &pipeline, &LogOptions::default()).await?;
        let subject = PartitionSubject::new(&pipeline, &stage, 0);
        let record = bytes::Bytes::from(vec![b'x'; bytes]);
        let (mut expected, mut times) = (Sequence(0), Vec::new());
        let began = Instant::now();
        for _ in 0..records {
            let sent = Instant::now();
            match log.append(&subject, expected, record.clone()).await {
                Append::Appended { sequence } => expected = sequence,
                other => return Err(format!("{other:?}").into()),
            }
            times.push(sent.elapsed());
        }
        let rate = records as f64 / began.elapsed().as_secs_f64();
        println!("log, {bytes} B: append {rate:.0}/s, {}", percentiles(&mut times));

        let began = Instant::now();
        let read = log
            .read(&subject, Sequence(1), expected)
            .try_fold(0, async |count, _| Ok(count + 1))
            .await?;
        let seconds = began.elapsed().as_secs_f64();
        let megabytes = (read * bytes) as f64 / 1e6;
        println!(
            "log, {bytes} B: read {:.0}/s, {:.0} MB/s",
            read as f64 / seconds,
            megabytes / seconds
        );

        // Another partition appends while everything before is trimmed.
        let (other, mut last) = (PartitionSubject::new(&pipeline, &stage, 1), Sequence(0));
        let mut times = Vec::new();
        let trim = log.purge_below(expected);
        tokio::pin!(trim);
        let began = Instant::now();
        let purged = loop {
            let sent = Instant::now();
            let append = log.append(&other, last, record.clone());
            tokio::pin!(append);
            tokio::select! {
                purged = &mut trim => break purged?,
                outcome = &mut append => match outcome {
                    Append::Appended { sequence } => last = sequence,
                    outcome => return Err(format!("{outcome:?}").into()),
                },
            }
            times.push(sent.elapsed());
        };
        println!(
            "log, {bytes} B: trim {purged} records in {:?}; appends meanwhile {}",
            began.elapsed(),
            percentiles(&mut times)
        );
    }
    Ok(())
}

fn percentiles(times: &mut [std::time::Duration]) -> String {
    times.sort();
    let at =
        |share: f64| times.get((times.len() as f64 * share) as usize).copied().unwrap_or_default();
    let max = times.last().copied().unwrap_or_default();
    format!("{} times, p50 {:?}, p99 {:?}, max {max:?}", times.len(), at(0.5), at(0.99))
}

/// Publishes with message ids as the engine does.
async fn egress(connection: &Connection) -> Outcome {
    const MESSAGES: u64 = 300_000;
    let config = Config { name: "OUT".into(), subjects: vec!["out.>".into()], ..Config::default() };
    connection.jetstream().create_stream(config).await?;
    for messages in [1_024, 4_096] {
        let window = SinkWindow { messages, bytes: 16 << 20 };
        let mut sink = JetStreamSink::open(connection, "OUT", window).await?;
        let payload = bytes::Bytes::from(vec![b'x'; PAYLOAD_BYTES]);
        let (mut acks, mut stored) = (Vec::new(), 0);
        let began = Instant::now();
        for ticket in 0..MESSAGES {
            while !sink.has_room() {
                sink.acknowledged(&mut acks).await;
                stored += acks.drain(..).count();
            }
            let id = format!("0123456789abcdef.{messages}.{ticket}");
            sink.ready().await?;
            sink.send(&SinkMessage {
                ticket,
                subject: "out.a",
                id: &id,
                headers: &[],
                payload: &payload,
            })?;
        }
        while sink.in_flight() > 0 {
            sink.acknowledged(&mut acks).await;
            stored += acks.drain(..).count();
        }
        println!(
            "egress, {messages} in flight: {stored} messages, {:.0}/s",
            stored as f64 / began.elapsed().as_secs_f64()
        );
    }
    Ok(())
}

/// Publishes batches as a transactional sink does, one after the other, and beside them single messages with ids, as many on their way at a
/// time as a batch has.
async fn batches(connection: &Connection) -> Outcome {
    let payload = bytes::Bytes::from(vec![b'x'; PAYLOAD_BYTES]);
    let message = |ticket: u64| SinkMessage {
        ticket,
        subject: "batches.a",
        id: "p.s.0.123456.0123456789abcdef.7",
        headers: &[],
        payload: &payload,
    };
    let stream = CreatedStream { name: "BATCHES".into(), subject: "batches.*".into(), replicas: 1 };
    let cursor = cursor_subject(&stream.name, "p", "s", "results", 0);
    let mut sink = JetStreamTransactionalSink::open(connection, &stream, cursor).await?;
    let singles =
        Config { name: "SINGLES".into(), subjects: vec!["singles".into()], ..Config::default() };
    connection.jetstream().create_stream(singles).await?;
    let mut expected = Sequence(0);
    for (outputs, count) in [(1, 500), (10, 500), (100, 300), (999, 200)] {
        let mut times = Vec::new();
        let began = Instant::now();
        for _ in 0..count {
            let sent = Instant::now();
            sink.begin().await?;
            for ticket in 0..outputs {
                sink.add(&message(ticket))?;
            }
            match sink.commit(&[0; 40], expected).await {
                BatchOutcome::Stored { sequence } => expected = sequence,
                other => return Err(format!("{other:?}").into()),
            }
            times.push(sent.elapsed());
        }
        let rate = (outputs * count) as f64 / began.elapsed().as_secs_f64();
        println!("batches of {outputs}: {rate:.0} outputs/s, {}", percentiles(&mut times));

        let window = SinkWindow { messages: outputs as usize, bytes: 16 << 20 };
        let mut single = JetStreamSink::open(connection, "SINGLES", window).await?;
        let (mut times, mut acks) = (Vec::new(), Vec::new());
        let began = Instant::now();
        for round in 0..count {
            let sent = Instant::now();
            single.ready().await?;
            for ticket in 0..outputs {
                let id = format!("p.s.0.{outputs}.{round}.{ticket}");
                single.send(&SinkMessage { subject: "singles", id: &id, ..message(ticket) })?;
            }
            while single.in_flight() > 0 {
                single.acknowledged(&mut acks).await;
            }
            times.push(sent.elapsed());
        }
        let rate = (outputs * count) as f64 / began.elapsed().as_secs_f64();
        println!("single, {outputs} at a time: {rate:.0} outputs/s, {}", percentiles(&mut times));
    }
    Ok(())
}
