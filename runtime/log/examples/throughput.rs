//! Measures what this crate gets out of a private `nats-server`: `cargo run --release -p millstream-log
//! --example throughput -- [source|egress|log]`. Prints one line per measurement.

use std::time::Instant;

use async_nats::jetstream::stream::Config;
use millstream_core::ids::Sequence;
use millstream_log::connect::Connection;
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
