//! A private nats-server, or three that keep copies of each other's streams, with what a test needs of them.

use async_nats::jetstream::consumer::pull::{Ordered, OrderedConfig};
use async_nats::jetstream::stream::RetentionPolicy;
use futures::stream::{self, StreamExt};
use millstream_log::connect::Connection;
use millstream_log::server::{NatsServer, ServerOptions};

use crate::replicated;

/// Publishes that wait for their acknowledgement at a time.
const IN_FLIGHT: usize = 1_000;

/// How often something without a notification is asked for.
const ASK_EVERY: std::time::Duration = std::time::Duration::from_millis(10);

/// A record as a test looks at it.
pub struct Record {
    /// First value of each header.
    pub headers: std::collections::BTreeMap<String, String>,
    /// The payload.
    pub payload: bytes::Bytes,
}

/// A server and a connection to it.
pub struct Broker {
    /// The process.
    pub server: NatsServer,
    /// Those that it makes a cluster with.
    pub(crate) peers: Vec<NatsServer>,
    pub(crate) jetstream: async_nats::jetstream::Context,
}

impl Broker {
    /// Starts a server on a free port with a temporary store.
    pub async fn start() -> Self {
        let server = NatsServer::start(ServerOptions::default()).await.expect("a nats-server");
        let client = async_nats::connect(server.url()).await.expect("it answers");
        Self { server, peers: Vec::new(), jetstream: async_nats::jetstream::new(client) }
    }

    /// Starts a cluster of three servers, which keep three copies of every stream and force each record onto the disk before
    /// they acknowledge it.
    pub async fn start_replicated() -> Self {
        let (server, peers) = replicated::start().await;
        let urls = replicated::urls(&server, &peers);
        let client = async_nats::connect(urls).await.expect("they answer");
        let broker = Self { server, peers, jetstream: async_nats::jetstream::new(client) };
        broker.until(|| async { broker.jetstream.query_account().await.ok() }).await;
        broker
    }

    /// The servers' URLs, with commas between them.
    pub fn url(&self) -> String {
        replicated::urls(&self.server, &self.peers).join(",")
    }

    /// Copies of each stream.
    pub fn replicas(&self) -> usize {
        1 + self.peers.len()
    }

    /// A connection as the runtime makes it.
    pub async fn connection(&self) -> Connection {
        let options = millstream_log::connect::ConnectOptions::to(&self.url());
        millstream_log::connect::connect(options).await.expect("the server answers")
    }

    /// Creates a stream.
    pub async fn stream(&self, name: &str, subjects: &[&str]) {
        self.stream_with(name, subjects, RetentionPolicy::Limits).await;
    }

    /// Creates a stream with a retention.
    pub async fn stream_with(&self, name: &str, subjects: &[&str], retention: RetentionPolicy) {
        let subjects = subjects.iter().map(|s| (*s).to_owned()).collect();
        let config = async_nats::jetstream::stream::Config {
            name: name.to_owned(),
            subjects,
            retention,
            num_replicas: self.replicas(),
            ..Default::default()
        };
        self.jetstream.create_stream(config).await.expect("the stream can be made");
    }

    /// Whether there is a stream of this name.
    pub async fn has_stream(&self, name: &str) -> bool {
        self.jetstream.get_stream(name).await.is_ok()
    }

    /// Publishes each line, in order.
    #[expect(
        clippy::async_yields_async,
        reason = "it is sent in order, and waited for out of order"
    )]
    pub async fn publish_lines(&self, subject: &str, lines: &[u8]) {
        let lines = lines.split(|b| *b == b'\n').filter(|line| !line.is_empty());
        let sent = stream::iter(lines).then(|line| async {
            let sent = self.jetstream.publish(subject.to_owned(), line.to_vec().into()).await;
            sent.expect("it is sent").into_future()
        });
        // Acknowledgements are taken while a message waits to be sent: the client bounds those of all callers together.
        let stored = sent.buffer_unordered(IN_FLIGHT).map(|ack| ack.expect("it is stored"));
        stored.for_each(|_| std::future::ready(())).await;
    }

    /// Reads the payloads of a stream from its beginning, one a line, until there are `count`.
    pub async fn read(&self, stream: &str, count: usize) -> Vec<u8> {
        let mut lines = Vec::new();
        for record in self.read_records(stream, count).await {
            lines.extend_from_slice(&record.payload);
            lines.push(b'\n');
        }
        lines
    }

    /// Reads the first `count` records of a stream, and waits for those that are not there yet.
    pub async fn read_records(&self, stream: &str, count: usize) -> Vec<Record> {
        self.read_on(stream, "", count).await
    }

    /// As [`Broker::read_records`], of the subjects that `filter` matches; an empty one matches all.
    pub async fn read_on(&self, stream: &str, filter: &str, count: usize) -> Vec<Record> {
        if count == 0 {
            return Vec::new();
        }
        let records = self.messages(stream, filter).await.take(count).map(|message| {
            let message = message.expect("a record");
            let headers = message.headers.clone().unwrap_or_default();
            let header =
                |(name, values): (&async_nats::HeaderName, &Vec<async_nats::HeaderValue>)| {
                    Some((name.to_string(), values.first()?.to_string()))
                };
            Record {
                headers: headers.iter().filter_map(header).collect(),
                payload: message.payload.clone(),
            }
        });
        records.collect().await
    }

    /// Subject and payload of the first `count` records of a stream on the subjects that `filter` matches; an empty one
    /// matches all.
    pub async fn read_with_subjects(
        &self,
        stream: &str,
        filter: &str,
        count: usize,
    ) -> Vec<(String, bytes::Bytes)> {
        if count == 0 {
            return Vec::new();
        }
        let records = self.messages(stream, filter).await.take(count).map(|message| {
            let message = message.expect("a record");
            (message.subject.to_string(), message.payload.clone())
        });
        records.collect().await
    }

    async fn messages(&self, stream: &str, filter: &str) -> Ordered {
        let stream = self.jetstream.get_stream(stream).await.expect("the stream is there");
        let config = OrderedConfig { filter_subject: filter.to_owned(), ..Default::default() };
        let consumer = stream.create_consumer(config).await.expect("a consumer");
        consumer.messages().await.expect("messages")
    }

    /// Ports of the servers.
    pub fn ports(&self) -> Vec<u16> {
        std::iter::once(&self.server).chain(&self.peers).map(NatsServer::port).collect()
    }

    /// Removes the records of a stream below `sequence`.
    pub async fn purge(&self, stream: &str, sequence: u64) {
        let stream = self.jetstream.get_stream(stream).await.expect("the stream is there");
        stream.purge().sequence(sequence).await.expect("it is purged");
    }

    /// Asks until there is an answer.
    pub async fn until<T, F: Future<Output = Option<T>>>(&self, ask: impl Fn() -> F) -> T {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
    }

    /// Records in a stream.
    pub async fn count(&self, stream: &str) -> u64 {
        let mut stream = self.jetstream.get_stream(stream).await.expect("the stream is there");
        stream.info().await.expect("it answers").state.messages
    }

    /// Consumers of a stream.
    pub async fn consumers(&self, stream: &str) -> usize {
        let mut stream = self.jetstream.get_stream(stream).await.expect("the stream is there");
        stream.info().await.expect("it answers").state.consumer_count
    }

    /// Records in a stream on the subjects that `filter` matches.
    pub async fn count_on(&self, stream: &str, filter: &str) -> usize {
        let stream = self.jetstream.get_stream(stream).await.expect("the stream is there");
        let counts = stream.info_with_subjects(filter).await.expect("it answers");
        let counts = counts.map(|subject| subject.expect("it answers").1);
        counts.fold(0, |sum, count| std::future::ready(sum + count)).await
    }

    /// Sequence of the first record that a stream still holds.
    pub async fn first_sequence(&self, stream: &str) -> u64 {
        let mut stream = self.jetstream.get_stream(stream).await.expect("the stream is there");
        stream.info().await.expect("it answers").state.first_sequence
    }

    /// Sends the server a signal.
    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = self.server.pid().expect("it runs").cast_signed();
        let pid = rustix::process::Pid::from_raw(pid).expect("no process has the number 0");
        rustix::process::kill_process(pid, signal).expect("it runs");
    }

    /// SIGKILL for the server, which then starts again on its store; the connection is made anew.
    pub async fn restart(&mut self) {
        self.server.kill9();
        self.server.restart().await.expect("the server starts again");
        let client = async_nats::connect(self.server.url()).await.expect("it answers");
        self.jetstream = async_nats::jetstream::new(client);
    }
}
