//! Buckets on JetStream, laid out as every NATS client lays them out: the stream `KV_<bucket>` with the
//! subjects `$KV.<bucket>.<key>`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use async_nats::jetstream::stream::{Config, DiscardPolicy};
use async_nats::{HeaderMap, HeaderValue, header};
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use millstream_core::ids::Sequence;

use super::key::check_key;
use super::{BucketOptions, Kv, KvChange, KvEntry, KvError, KvEvent, Revision};
use crate::Name;
use crate::api::{self, ApiError, code};
use crate::connect::Connection;
use crate::source::{
    Delivery, ReadAhead, Source, SourceError, SourceEvent, SourceOptions, SourceReader, StartAt,
};

/// Header of a deletion.
const OPERATION: &str = "KV-Operation";
/// Header of a deletion that the server made: a time to live has passed.
const MARKER_REASON: &str = "Nats-Marker-Reason";
/// Header: time to live, in whole seconds.
const TTL: &str = "Nats-TTL";
/// How long the server keeps its marker of a value whose time has passed: as long as a watcher may be disconnected
/// and still be told.
const MARKER_TTL: Duration = Duration::from_secs(600);
/// The server's default window for message ids; must not exceed a bucket's time to live.
const DUPLICATE_WINDOW: Duration = Duration::from_secs(120);

/// A bucket on JetStream.
#[derive(Clone)]
pub struct JetStreamKv {
    connection: Connection,
    bucket: String,
    stream: String,
    value_ttl: bool,
}

impl JetStreamKv {
    /// Opens a bucket, and makes it if there is none. What an existing one is made with stays as it is.
    pub async fn open(
        connection: &Connection,
        bucket: &Name,
        options: &BucketOptions,
    ) -> Result<JetStreamKv, KvError> {
        let stream = format!("KV_{bucket}");
        let ttl = options.ttl.unwrap_or_default();
        let config = Config {
            name: stream.clone(),
            subjects: vec![format!("$KV.{bucket}.>")],
            max_messages_per_subject: i64::from(options.history.clamp(1, 64)),
            max_age: ttl,
            duplicate_window: if ttl.is_zero() {
                DUPLICATE_WINDOW
            } else {
                ttl.min(DUPLICATE_WINDOW)
            },
            num_replicas: options.replicas,
            discard: DiscardPolicy::New,
            allow_rollup: true,
            deny_delete: true,
            allow_direct: true,
            allow_message_ttl: options.value_ttl,
            subject_delete_marker_ttl: options.value_ttl.then_some(MARKER_TTL),
            ..Config::default()
        };
        let info = match api::stream_info(connection, &stream).await {
            Err(error) if error.code() == code::STREAM_NOT_FOUND => {
                match api::create_stream(connection, &config).await {
                    // Somebody else may have been faster.
                    Err(ApiError::Server { .. }) => api::stream_info(connection, &stream).await,
                    created => created,
                }
            }
            found => found,
        };
        let info = info.map_err(|error| kv_error(bucket.as_str(), "open", error))?;
        Ok(JetStreamKv {
            connection: connection.clone(),
            bucket: bucket.to_string(),
            stream,
            value_ttl: info.config.allow_message_ttl,
        })
    }

    /// Removes a bucket and everything in it. Nothing happens when there is none.
    pub async fn delete_bucket(connection: &Connection, bucket: &Name) -> Result<(), KvError> {
        match api::ask::<serde_json::Value>(connection, &format!("STREAM.DELETE.KV_{bucket}")).await
        {
            Ok(_) => Ok(()),
            Err(error) if error.code() == code::STREAM_NOT_FOUND => Ok(()),
            Err(error) => Err(kv_error(bucket.as_str(), "delete", error)),
        }
    }

    fn subject(&self, key: &str) -> String {
        format!("$KV.{}.{key}", self.bucket)
    }

    /// Publishes a change; with `expected` only if the key's last change is that one.
    async fn write(
        &self,
        request: &'static str,
        key: &str,
        value: Bytes,
        expected: Option<Revision>,
        headers: HeaderMap,
    ) -> Result<Revision, KvError> {
        check_key(key)?;
        let mut headers = headers;
        if let Some(expected) = expected {
            headers
                .insert(header::NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, HeaderValue::from(expected.0));
        }
        match api::publish(&self.connection, self.subject(key), headers, value).await {
            Ok(ack) => Ok(Revision(ack.sequence)),
            Err(error) if error.code() == code::WRONG_LAST_SEQUENCE => Err(KvError::Conflict {
                bucket: self.bucket.clone(),
                key: key.to_owned(),
                expected: expected.map_or(0, |revision| revision.0),
            }),
            // Refused without any other change: an earlier message is still being applied. Nobody can tell which,
            // so it counts as unknown.
            Err(error)
                if matches!(
                    error.code(),
                    code::WRONG_LAST_SEQUENCE_IN_FLIGHT | code::LAST_SEQUENCE_NOT_READY
                ) =>
            {
                Err(KvError::Unknown { bucket: self.bucket.clone(), request })
            }
            Err(ApiError::TimedOut | ApiError::NoResponders) => {
                Err(KvError::Unknown { bucket: self.bucket.clone(), request })
            }
            Err(error) => Err(kv_error(&self.bucket, request, error)),
        }
    }

    fn ttl_headers(&self, ttl: Option<Duration>) -> Result<HeaderMap, KvError> {
        let mut headers = HeaderMap::new();
        if let Some(ttl) = ttl {
            if !self.value_ttl {
                return Err(KvError::NoTtl { bucket: self.bucket.clone() });
            }
            // Whole seconds, at least one: rounded up, so that nothing goes too early.
            let seconds = ttl.as_secs() + u64::from(ttl.subsec_nanos() > 0);
            headers.insert(TTL, format!("{}s", seconds.max(1)));
        }
        Ok(headers)
    }

    /// The key's last change.
    async fn last(&self, key: &str) -> Result<Option<KvChange>, KvError> {
        check_key(key)?;
        let subject = self.subject(key);
        let message = api::last_message(&self.connection, &self.stream, &subject)
            .await
            .map_err(|error| kv_error(&self.bucket, "get a value", error))?;
        Ok(message.map(|message| {
            let (revision, time_ns) = (Revision(message.sequence), api::nanoseconds(message.time));
            change(key.to_owned(), revision, time_ns, Some(&message.headers), message.payload)
        }))
    }

    async fn create_at(
        &self,
        key: &str,
        value: Bytes,
        headers: HeaderMap,
    ) -> Result<Revision, KvError> {
        match self
            .write("create a value", key, value.clone(), Some(Revision(0)), headers.clone())
            .await
        {
            Err(KvError::Conflict { .. }) => {}
            outcome => return outcome,
        }
        // The subject has a history: a deleted key may be created again.
        let exists = || KvError::Exists { bucket: self.bucket.clone(), key: key.to_owned() };
        let expected = match self.last(key).await? {
            Some(KvChange::Put(_)) => return Err(exists()),
            Some(KvChange::Deleted { revision, .. }) => revision,
            // It went between the two calls.
            None => Revision(0),
        };
        match self.write("create a value", key, value, Some(expected), headers).await {
            Err(KvError::Conflict { .. }) => Err(exists()),
            outcome => outcome,
        }
    }

    async fn reader(&self, filter: String, start: StartAt) -> Result<SourceReader, KvError> {
        let options = SourceOptions {
            stream: self.stream.clone(),
            filters: vec![filter],
            start,
            created_ns: None,
            ahead: ReadAhead { messages: 4_096, bytes: 16 << 20 },
            consume: None,
        };
        SourceReader::open(&self.connection, options)
            .await
            .map_err(|error| self.source_error(error))
    }

    fn source_error(&self, error: SourceError) -> KvError {
        match error {
            SourceError::Unreachable { .. } => {
                KvError::Unknown { bucket: self.bucket.clone(), request: "read changes" }
            }
            error => KvError::Broker {
                bucket: self.bucket.clone(),
                request: "read changes",
                code: 0,
                description: error.to_string(),
            },
        }
    }

    /// All changes kept of the keys that match a filter, and how far they were read.
    async fn changes(&self, filter: String) -> Result<(Vec<KvChange>, SourceReader), KvError> {
        let mut reader = self.reader(filter, StartAt::Beginning).await?;
        let end = reader.facts().await.map_err(|error| self.source_error(error))?.last;
        let (mut batch, mut changes) = (Vec::new(), Vec::new());
        loop {
            let event = reader.next(&mut batch).await.map_err(|error| self.source_error(error))?;
            changes.extend(batch.drain(..).filter_map(|delivery| self.delivered(delivery)));
            // Overwritten values leave gaps.
            if matches!(event, SourceEvent::CaughtUp { through } if through >= end)
                || reader.position() >= end
            {
                return Ok((changes, reader));
            }
        }
    }

    fn delivered(&self, delivery: Delivery) -> Option<KvChange> {
        let key = delivery
            .subject
            .strip_prefix("$KV.")?
            .strip_prefix(self.bucket.as_str())?
            .strip_prefix('.')?;
        let revision = Revision(delivery.sequence.0);
        Some(change(
            key.to_owned(),
            revision,
            delivery.time_ns,
            delivery.headers.as_ref(),
            delivery.payload,
        ))
    }

    /// Present values of the keys that begin with a prefix, by key; and the reader behind them.
    async fn present(
        &self,
        prefix: &str,
    ) -> Result<(BTreeMap<String, KvEntry>, SourceReader), KvError> {
        let (changes, reader) = self.changes(format!("$KV.{}.>", self.bucket)).await?;
        let mut present = BTreeMap::new();
        for change in changes {
            match change {
                KvChange::Put(entry) if entry.key.starts_with(prefix) => {
                    present.insert(entry.key.clone(), entry);
                }
                KvChange::Deleted { key, .. } => {
                    present.remove(&key);
                }
                KvChange::Put(_) => {}
            }
        }
        Ok((present, reader))
    }
}

/// What a message of the bucket's stream says.
fn change(
    key: String,
    revision: Revision,
    time_ns: i64,
    headers: Option<&HeaderMap>,
    value: Bytes,
) -> KvChange {
    let header = |name: &str| headers.and_then(|headers| headers.get(name));
    let deleted = header(MARKER_REASON).is_some()
        || header(OPERATION).is_some_and(|operation| operation.as_str() != "PUT");
    if deleted {
        return KvChange::Deleted { key, revision, time_ns };
    }
    KvChange::Put(KvEntry { key, value, revision, time_ns })
}

fn kv_error(bucket: &str, request: &'static str, error: ApiError) -> KvError {
    KvError::Broker {
        bucket: bucket.to_owned(),
        request,
        code: error.code(),
        description: error.description(),
    }
}

/// A watch under way.
struct Watch {
    kv: JetStreamKv,
    prefix: String,
    reader: SourceReader,
    /// Keys that watchers believe to have a value.
    known: BTreeSet<String>,
    ready: VecDeque<KvEvent>,
}

impl Watch {
    async fn next(&mut self) -> Result<KvEvent, KvError> {
        let mut batch = Vec::new();
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Ok(event);
            }
            let event =
                self.reader.next(&mut batch).await.map_err(|error| self.kv.source_error(error))?;
            for delivery in batch.drain(..) {
                if let Some(change) = self.kv.delivered(delivery) {
                    self.take(change);
                }
            }
            if let SourceEvent::Gap { through, .. } = event {
                self.compare(through).await?;
            }
        }
    }

    fn take(&mut self, change: KvChange) {
        if !change.key().starts_with(&self.prefix) {
            return;
        }
        match &change {
            KvChange::Put(entry) => {
                self.known.insert(entry.key.clone());
            }
            KvChange::Deleted { key, .. } => {
                self.known.remove(key);
            }
        }
        self.ready.push_back(KvEvent::Change(change));
    }

    /// Changes went unseen: overwritten values, whose successors follow, but perhaps also deletions whose
    /// markers are gone.
    async fn compare(&mut self, through: Sequence) -> Result<(), KvError> {
        let (present, _) = self.kv.present(&self.prefix).await?;
        let gone: Vec<String> =
            self.known.iter().filter(|key| !present.contains_key(*key)).cloned().collect();
        for key in gone {
            self.take(KvChange::Deleted { key, revision: Revision(through.0), time_ns: 0 });
        }
        Ok(())
    }
}

impl Kv for JetStreamKv {
    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<KvEntry>, KvError>> {
        Box::pin(async move {
            Ok(match self.last(key).await? {
                Some(KvChange::Put(entry)) => Some(entry),
                Some(KvChange::Deleted { .. }) | None => None,
            })
        })
    }

    fn put<'a>(&'a self, key: &'a str, value: Bytes) -> BoxFuture<'a, Result<Revision, KvError>> {
        Box::pin(self.write("put a value", key, value, None, HeaderMap::new()))
    }

    fn create<'a>(
        &'a self,
        key: &'a str,
        value: Bytes,
        ttl: Option<Duration>,
    ) -> BoxFuture<'a, Result<Revision, KvError>> {
        Box::pin(async move { self.create_at(key, value, self.ttl_headers(ttl)?).await })
    }

    fn update<'a>(
        &'a self,
        key: &'a str,
        value: Bytes,
        expected: Revision,
        ttl: Option<Duration>,
    ) -> BoxFuture<'a, Result<Revision, KvError>> {
        Box::pin(async move {
            self.write("update a value", key, value, Some(expected), self.ttl_headers(ttl)?).await
        })
    }

    fn delete<'a>(
        &'a self,
        key: &'a str,
        expected: Option<Revision>,
    ) -> BoxFuture<'a, Result<(), KvError>> {
        Box::pin(async move {
            let mut headers = HeaderMap::new();
            headers.insert(OPERATION, "DEL");
            self.write("delete a value", key, Bytes::new(), expected, headers).await.map(|_| ())
        })
    }

    fn keys<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<Vec<String>, KvError>> {
        Box::pin(async move { Ok(self.present(prefix).await?.0.into_keys().collect()) })
    }

    fn history<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Vec<KvChange>, KvError>> {
        Box::pin(async move {
            check_key(key)?;
            Ok(self.changes(self.subject(key)).await?.0)
        })
    }

    fn watch<'a>(
        &'a self,
        prefix: &'a str,
    ) -> BoxFuture<'a, Result<BoxStream<'static, Result<KvEvent, KvError>>, KvError>> {
        Box::pin(async move {
            let (present, reader) = self.present(prefix).await?;
            let known = present.keys().cloned().collect();
            let mut entries: Vec<KvEntry> = present.into_values().collect();
            entries.sort_by_key(|entry| entry.revision);
            let mut ready: VecDeque<_> =
                entries.into_iter().map(|entry| KvEvent::Change(KvChange::Put(entry))).collect();
            ready.push_back(KvEvent::Current);
            let watch = Watch { kv: self.clone(), prefix: prefix.to_owned(), reader, known, ready };
            let events: BoxStream<'static, Result<KvEvent, KvError>> =
                Box::pin(futures::stream::unfold(watch, async |mut watch| {
                    let event = watch.next().await;
                    Some((event, watch))
                }));
            Ok(events)
        })
    }
}
