//! The commit log on JetStream.

use std::time::Duration;

use async_nats::{HeaderMap, HeaderValue, header};
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use millstream_core::ids::Sequence;
use serde::{Deserialize, Serialize};

use super::config::{self, LogOptions};
use super::{
    Append, CommitLog, Entry, LogError, LogInfo, PartitionSubject, Refusal, UnknownCause,
    stream_name,
};
use crate::Name;
use crate::api::{self, ApiError, PublishAck, code};
use crate::connect::{Connection, REQUEST_TIMEOUT, chain};
use crate::reading::Reading;

/// Records that go with one purge. A purge holds the stream while it runs.
const PURGE_STEP_RECORDS: u64 = 100;

/// The commit log of one pipeline, on JetStream.
pub struct JetStreamLog {
    connection: Connection,
    stream: String,
    append_timeout: Duration,
}

impl JetStreamLog {
    /// Opens the pipeline's log, makes the stream if there is none, and checks every setting that a
    /// guarantee depends on.
    pub async fn open(
        connection: &Connection,
        pipeline: &Name,
        options: &LogOptions,
    ) -> Result<JetStreamLog, LogError> {
        let wanted = config::wanted(pipeline, options);
        let info = match api::stream_info(connection, &wanted.name).await {
            Err(error) if error.code() == code::STREAM_NOT_FOUND => {
                match api::create_stream(connection, &wanted).await {
                    Ok(info) => Ok(info),
                    // Somebody else may have been faster.
                    Err(ApiError::Server { .. }) => {
                        api::stream_info(connection, &wanted.name).await
                    }
                    Err(error) => Err(error),
                }
            }
            found => found,
        };
        let info = info.map_err(|error| log_error(&wanted.name, "open", error))?;
        config::verify(&info.config, &wanted)?;
        Ok(JetStreamLog::on(connection, wanted.name))
    }

    /// Opens a log that must be there, and checks its settings.
    pub async fn open_existing(
        connection: &Connection,
        pipeline: &Name,
        options: &LogOptions,
    ) -> Result<JetStreamLog, LogError> {
        let wanted = config::wanted(pipeline, options);
        let info = api::stream_info(connection, &wanted.name).await;
        let info = info.map_err(|error| log_error(&wanted.name, "open", error))?;
        config::verify(&info.config, &wanted)?;
        Ok(JetStreamLog::on(connection, wanted.name))
    }

    fn on(connection: &Connection, stream: String) -> JetStreamLog {
        let connection = connection.clone();
        JetStreamLog { connection, stream, append_timeout: REQUEST_TIMEOUT }
    }

    /// Removes a pipeline's log and everything in it. Nothing happens when there is none.
    pub async fn delete(connection: &Connection, pipeline: &Name) -> Result<(), LogError> {
        let stream = stream_name(pipeline);
        match api::ask::<serde_json::Value>(connection, &format!("STREAM.DELETE.{stream}")).await {
            Ok(_) => Ok(()),
            Err(error) if error.code() == code::STREAM_NOT_FOUND => Ok(()),
            Err(error) => Err(log_error(&stream, "delete", error)),
        }
    }

    /// Waits that long for acknowledgements instead of 5 s.
    #[must_use]
    pub fn with_append_timeout(mut self, timeout: Duration) -> JetStreamLog {
        self.append_timeout = timeout;
        self
    }

    /// The stream's name.
    pub fn stream(&self) -> &str {
        &self.stream
    }

    async fn publish(
        &self,
        subject: &PartitionSubject,
        expected: Sequence,
        bytes: Bytes,
    ) -> Append {
        let mut headers = HeaderMap::new();
        headers.insert(header::NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, HeaderValue::from(expected.0));
        let size = bytes.len();
        let request = async_nats::Request::new()
            .headers(headers)
            .payload(bytes)
            .timeout(Some(self.append_timeout));
        let mut losses = self.connection.losses.clone();
        losses.mark_unchanged();
        let reply = tokio::select! {
            biased;
            reply = self.connection.client.send_request(subject.subject(), request) => reply,
            Ok(()) = losses.changed() => return Append::Unknown(UnknownCause::Disconnected),
        };
        match reply {
            Ok(reply) => match api::parse::<PublishAck>(&reply.payload) {
                Ok(ack) if ack.stream == self.stream => {
                    Append::Appended { sequence: Sequence(ack.sequence) }
                }
                Ok(ack) => {
                    let description =
                        format!("stream {} captures the log's subject {subject}", ack.stream);
                    Append::Refused(Refusal::Other { code: 0, description })
                }
                Err(error) => classify(error, size),
            },
            Err(error) => self.not_answered(&error, size),
        }
    }

    #[cold]
    fn not_answered(&self, error: &async_nats::RequestError, bytes: usize) -> Append {
        use async_nats::RequestErrorKind as Kind;
        match error.kind() {
            Kind::TimedOut => {
                let after_ms = u64::try_from(self.append_timeout.as_millis()).unwrap_or(u64::MAX);
                Append::Unknown(UnknownCause::TimedOut { after_ms })
            }
            Kind::NoResponders => Append::Unknown(UnknownCause::NoResponders),
            Kind::MaxPayloadExceeded => Append::Refused(Refusal::TooLarge {
                bytes,
                bytes_max: Some(self.connection.payload_bytes_max()),
            }),
            Kind::InvalidSubject => {
                Append::Refused(Refusal::Other { code: 0, description: chain(error) })
            }
            Kind::Other => Append::Unknown(UnknownCause::Disconnected),
        }
    }
}

/// What the server's answer to an append means.
#[cold]
fn classify(error: ApiError, bytes: usize) -> Append {
    let ApiError::Server { code, description } = error else {
        // An answer that cannot be read decides nothing.
        return Append::Unknown(UnknownCause::Unavailable {
            code: 0,
            description: error.description(),
        });
    };
    match code {
        code::WRONG_LAST_SEQUENCE => {
            let actual =
                description.rsplit(' ').next().and_then(|number| number.parse().ok()).map(Sequence);
            Append::Refused(Refusal::WrongLast { actual })
        }
        code::WRONG_LAST_SEQUENCE_IN_FLIGHT | code::LAST_SEQUENCE_NOT_READY => {
            Append::Refused(Refusal::Busy { code })
        }
        code::ACCOUNT_RESOURCES
        | code::INSUFFICIENT_RESOURCES
        | code::MEMORY_RESOURCES
        | code::STORAGE_RESOURCES => Append::Refused(Refusal::Full { code, description }),
        code::STORE_FAILED if description.contains("maximum") => {
            Append::Refused(Refusal::Full { code, description })
        }
        code::MESSAGE_TOO_LARGE | code::HEADER_TOO_LARGE => {
            Append::Refused(Refusal::TooLarge { bytes, bytes_max: None })
        }
        // A write that failed may have reached the disk.
        _ if code == code::STORE_FAILED || code::lacks_leader(code) => {
            Append::Unknown(UnknownCause::Unavailable { code, description })
        }
        _ => Append::Refused(Refusal::Other { code, description }),
    }
}

/// What a failed call means for the log.
pub(crate) fn log_error(stream: &str, request: &'static str, error: ApiError) -> LogError {
    match error {
        ApiError::Server { code: code::STREAM_NOT_FOUND, .. } => {
            LogError::Missing { stream: stream.to_owned() }
        }
        error => LogError::Broker { request, code: error.code(), description: error.description() },
    }
}

#[derive(Serialize)]
struct PurgeRequest {
    /// Everything below goes.
    seq: u64,
}

#[derive(Deserialize)]
struct PurgeReply {
    purged: u64,
}

impl CommitLog for JetStreamLog {
    fn append<'a>(
        &'a self,
        subject: &'a PartitionSubject,
        expected: Sequence,
        bytes: Bytes,
    ) -> BoxFuture<'a, Append> {
        Box::pin(self.publish(subject, expected, bytes))
    }

    fn last<'a>(
        &'a self,
        subject: &'a PartitionSubject,
    ) -> BoxFuture<'a, Result<Option<Entry>, LogError>> {
        Box::pin(async move {
            let message = api::last_message(&self.connection, &self.stream, subject.as_str())
                .await
                .map_err(|error| log_error(&self.stream, "get the last record", error))?;
            Ok(message.map(Entry::from))
        })
    }

    fn read<'a>(
        &'a self,
        subject: &'a PartitionSubject,
        from: Sequence,
        through: Sequence,
    ) -> BoxStream<'a, Result<Entry, LogError>> {
        let reading =
            Reading::new(&self.connection, &self.stream, subject.to_string(), from, through);
        Box::pin(futures::stream::try_unfold(reading, async |mut reading| {
            Ok(reading.next().await?.map(|entry| (entry, reading)))
        }))
    }

    fn purge_below(&self, floor: Sequence) -> BoxFuture<'_, Result<u64, LogError>> {
        Box::pin(async move {
            let mut purged = 0;
            let mut first = self.info().await?.first.0;
            while first < floor.0 {
                let seq = floor.0.min(first + PURGE_STEP_RECORDS);
                let reply: PurgeReply = api::call(
                    &self.connection,
                    &format!("STREAM.PURGE.{}", self.stream),
                    &PurgeRequest { seq },
                )
                .await
                .map_err(|error| log_error(&self.stream, "purge", error))?;
                purged += reply.purged;
                first = seq;
            }
            Ok(purged)
        })
    }

    fn info(&self) -> BoxFuture<'_, Result<LogInfo, LogError>> {
        Box::pin(async move {
            let info = api::stream_info(&self.connection, &self.stream)
                .await
                .map_err(|error| log_error(&self.stream, "get the state", error))?;
            let (state, config) = (&info.state, &info.config);
            Ok(LogInfo {
                created_ns: api::nanoseconds(info.created),
                // An empty stream reports 0 or the next sequence, depending on its past.
                first: Sequence(if state.messages == 0 {
                    state.last_sequence + 1
                } else {
                    state.first_sequence
                }),
                last: Sequence(state.last_sequence),
                records: state.messages,
                bytes: state.bytes,
                bytes_max: u64::try_from(config.max_bytes).ok().filter(|bytes| *bytes > 0),
                replicas: config.num_replicas,
                record_bytes_max: self
                    .connection
                    .payload_bytes_max()
                    .saturating_sub(HEADER_BYTES_MAX),
            })
        })
    }
}

/// Room for the header of an append.
const HEADER_BYTES_MAX: usize = 128;

impl From<async_nats::jetstream::message::StreamMessage> for Entry {
    fn from(message: async_nats::jetstream::message::StreamMessage) -> Entry {
        Entry {
            sequence: Sequence(message.sequence),
            time_ns: api::nanoseconds(message.time),
            bytes: message.payload,
        }
    }
}
