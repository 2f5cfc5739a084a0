//! A private nats-server: streams, what is put into them, and what is found there.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, PullConsumer, pull};
use async_nats::jetstream::stream::Config;
use async_nats::jetstream::{self, Context};
use bytes::Bytes;
use futures::StreamExt;
use millstream_log::server::{NatsServer, ServerOptions};

use crate::child::{self, Background};
use crate::lines::Lines;
use crate::publisher::Publisher;

/// Messages of one pull request, and those of the preloading that wait for their acknowledgement.
pub const AHEAD: usize = 16_384;
/// Bytes read from a file at a time.
const READ_BYTES: usize = 1 << 20;
/// How often a stream is asked how much it holds.
const ASK_EVERY: Duration = Duration::from_millis(20);
/// Without any progress for this long, a run has failed.
const STALLED_AFTER: Duration = Duration::from_secs(60);

/// A server with an empty store, and a connection to it.
pub struct Broker {
    /// The process.
    pub server: NatsServer,
    jetstream: Context,
}

impl Broker {
    /// Starts a server on a free port.
    pub async fn start() -> Result<Self> {
        let server = NatsServer::start(ServerOptions::default()).await?;
        let client = async_nats::connect(server.url()).await?;
        Ok(Broker { server, jetstream: jetstream::new(client) })
    }

    /// Processor time of the server so far.
    pub fn cpu(&self) -> Result<Duration> {
        child::cpu_of(self.server.pid().context("the server runs")?)
    }

    /// Creates a stream on file, with the server's defaults for everything else.
    pub async fn create(&self, stream: &str, subject: &str) -> Result<()> {
        let (name, subjects) = (stream.to_owned(), vec![subject.to_owned()]);
        self.jetstream.create_stream(Config { name, subjects, ..Config::default() }).await?;
        Ok(())
    }

    /// Deletes a stream.
    pub async fn delete(&self, stream: &str) -> Result<()> {
        self.jetstream.delete_stream(stream).await?;
        Ok(())
    }

    /// Publishes the lines of a file, in order; returns how many.
    pub async fn publish_file(&self, subject: &str, path: &Path) -> Result<u64> {
        let mut publisher = Publisher::connect(&self.server.url(), AHEAD).await?;
        let subject = async_nats::Subject::from(subject);
        let mut file = BufReader::with_capacity(READ_BYTES, File::open(path)?);
        let (mut line, mut published) = (Vec::new(), 0);
        while file.read_until(b'\n', &mut line)? > 0 {
            let payload = Bytes::copy_from_slice(line.trim_ascii_end());
            publisher.publish(subject.clone(), None, payload).await?;
            published += 1;
            line.clear();
        }
        publisher.flush().await?;
        Ok(published)
    }

    /// Messages in a stream.
    pub async fn count(&self, stream: &str) -> Result<u64> {
        let stream = self.jetstream.get_stream_no_info(stream).await?;
        Ok(stream.get_info().await?.state.messages)
    }

    /// Waits until a stream holds `count` messages; returns when it did. Fails when the process that fills it does, or when
    /// nothing more comes.
    pub async fn until(&self, stream: &str, count: u64, by: &mut Background) -> Result<Instant> {
        let (mut held, mut moved) = (0, Instant::now());
        loop {
            let now = self.count(stream).await?;
            if now >= count {
                return Ok(Instant::now());
            }
            if now != held {
                (held, moved) = (now, Instant::now());
            }
            by.check()?;
            ensure!(
                moved.elapsed() < STALLED_AFTER,
                "{stream} holds {held} of {count} messages, and none has come for {} s",
                STALLED_AFTER.as_secs()
            );
            tokio::time::sleep(ASK_EVERY).await;
        }
    }

    /// The payloads of a stream.
    pub async fn lines(&self, stream: &str) -> Result<Lines> {
        let count = self.count(stream).await?;
        let mut messages = messages(&self.jetstream, stream, DeliverPolicy::All).await?;
        let mut lines = Lines::default();
        for _ in 0..count {
            let Some(message) = messages.next().await else {
                bail!("{stream} ended before its {count} messages were read");
            };
            lines.add(&message?.payload);
        }
        Ok(lines)
    }
}

/// Messages of a stream without acknowledgements: the fastest way to read one.
pub async fn messages(
    jetstream: &Context,
    stream: &str,
    deliver_policy: DeliverPolicy,
) -> Result<pull::Stream> {
    let config = pull::Config {
        deliver_policy,
        ack_policy: AckPolicy::None,
        memory_storage: true,
        // On a machine that does other things the loop may not run for seconds.
        inactive_threshold: Duration::from_secs(60),
        ..pull::Config::default()
    };
    let stream = jetstream.get_stream_no_info(stream).await?;
    let consumer: PullConsumer = stream.create_consumer(config).await?;
    Ok(consumer.stream().max_messages_per_batch(AHEAD).messages().await?)
}
