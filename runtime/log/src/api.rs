//! Calls of the JetStream API: request, reply, and one kind of error for all of them.
//!
//! Every call made here may be repeated without harm (reads, purges up to a sequence, creations by name),
//! so a call goes on over lost connections and absent leaders until its deadline.

use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::jetstream::stream::{self, RawMessage};
use async_nats::jetstream::{self, message::StreamMessage};
use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::connect::{Connection, chain};

/// How long a call may take in all: longer than a new leader is elected in (4-7 s measured).
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// Pause before asking again when nobody listens.
const RETRY_PAUSE: Duration = Duration::from_millis(50);

/// JetStream's error codes that decide something here.
pub(crate) mod code {
    /// "stream not found".
    pub const STREAM_NOT_FOUND: u64 = 10059;
    /// "no message found".
    pub const NO_MESSAGE_FOUND: u64 = 10037;
    /// "sequence N not found".
    pub const SEQUENCE_NOT_FOUND: u64 = 10043;
    /// "wrong last sequence: N".
    pub const WRONG_LAST_SEQUENCE: u64 = 10071;
    /// "expected last sequence per subject temporarily unavailable".
    pub const LAST_SEQUENCE_NOT_READY: u64 = 10163;
    /// "wrong last sequence" while an earlier message is in flight.
    pub const WRONG_LAST_SEQUENCE_IN_FLIGHT: u64 = 10164;
    /// The account's limit of storage.
    pub const ACCOUNT_RESOURCES: u64 = 10002;
    /// The server's limit of storage.
    pub const INSUFFICIENT_RESOURCES: u64 = 10023;
    /// "insufficient memory resources available".
    pub const MEMORY_RESOURCES: u64 = 10028;
    /// "insufficient storage resources available".
    pub const STORAGE_RESOURCES: u64 = 10047;
    /// The store failed; also "maximum bytes exceeded" and the like.
    pub const STORE_FAILED: u64 = 10077;
    /// "stream name already in use with a different configuration".
    pub const STREAM_NAME_IN_USE: u64 = 10058;
    /// "atomic publish batch is incomplete".
    pub const BATCH_INCOMPLETE: u64 = 10176;
    /// "message size exceeds maximum allowed".
    pub const MESSAGE_TOO_LARGE: u64 = 10054;
    /// "header size exceeds maximum allowed".
    pub const HEADER_TOO_LARGE: u64 = 10097;
    /// "JetStream system temporarily unavailable".
    pub const CLUSTER_NOT_AVAILABLE: u64 = 10008;
    /// "JetStream cluster can not handle request".
    pub const CLUSTER_NOT_LEADER: u64 = 10009;
    /// "stream is offline".
    pub const STREAM_OFFLINE: u64 = 10118;
    /// "stream is offline: ...".
    pub const STREAM_OFFLINE_REASON: u64 = 10194;

    /// Whether it says that a leader is missing at the moment.
    pub fn lacks_leader(code: u64) -> bool {
        matches!(
            code,
            CLUSTER_NOT_AVAILABLE | CLUSTER_NOT_LEADER | STREAM_OFFLINE | STREAM_OFFLINE_REASON
        )
    }
}

/// Why a call failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ApiError {
    /// No answer before the deadline.
    TimedOut,
    /// Nobody listens, until the deadline.
    NoResponders,
    /// The server's error.
    Server { code: u64, description: String },
    /// An answer nobody understands, or a client that is closed.
    Other(String),
}

impl ApiError {
    /// The error's code, 0 when there is none.
    pub fn code(&self) -> u64 {
        match self {
            ApiError::Server { code, .. } => *code,
            _ => 0,
        }
    }

    /// Whether the same call may succeed as soon as there is a leader.
    pub fn is_passing(&self) -> bool {
        match self {
            ApiError::TimedOut | ApiError::NoResponders => true,
            ApiError::Server { code, .. } => code::lacks_leader(*code),
            ApiError::Other(_) => false,
        }
    }

    /// What to tell.
    pub fn description(&self) -> String {
        match self {
            ApiError::TimedOut => format!("no answer within {} ms", CALL_TIMEOUT.as_millis()),
            ApiError::NoResponders => "no JetStream server answers".to_owned(),
            ApiError::Server { description, .. } => description.clone(),
            ApiError::Other(text) => text.clone(),
        }
    }
}

/// The part of a reply that says it is an error.
#[derive(Deserialize)]
struct Probe {
    error: Option<ServerErrorBody>,
}

/// An error in a reply.
#[derive(Deserialize)]
pub(crate) struct ServerErrorBody {
    #[serde(default)]
    pub code: u64,
    #[serde(default)]
    pub err_code: u64,
    #[serde(default)]
    pub description: String,
}

/// A reply: what was asked for, or the server's error.
pub(crate) fn parse<T: DeserializeOwned>(payload: &[u8]) -> Result<T, ApiError> {
    let unreadable =
        |error: serde_json::Error| ApiError::Other(format!("unreadable reply: {error}"));
    let probe: Probe = serde_json::from_slice(payload).map_err(unreadable)?;
    if let Some(error) = probe.error {
        let code = if error.err_code == 0 { error.code } else { error.err_code };
        return Err(ApiError::Server { code, description: error.description });
    }
    serde_json::from_slice(payload).map_err(unreadable)
}

/// Asks until there is an answer.
pub(crate) async fn call<T: DeserializeOwned>(
    connection: &Connection,
    subject: &str,
    body: &impl Serialize,
) -> Result<T, ApiError> {
    let body = serde_json::to_vec(body).map_err(|error| ApiError::Other(error.to_string()))?;
    answer(connection, subject, body.into()).await
}

/// Asks something that takes no parameters.
pub(crate) async fn ask<T: DeserializeOwned>(
    connection: &Connection,
    subject: &str,
) -> Result<T, ApiError> {
    answer(connection, subject, Bytes::new()).await
}

/// Asks until there is an answer other than that a leader is missing at the moment.
async fn answer<T: DeserializeOwned>(
    connection: &Connection,
    subject: &str,
    body: Bytes,
) -> Result<T, ApiError> {
    let deadline = Instant::now() + CALL_TIMEOUT;
    let subject = connection.api_subject(subject);
    loop {
        let reply = request(connection, &subject, body.clone(), deadline).await?;
        match parse(&reply.payload) {
            Err(error) if error.is_passing() && Instant::now() + RETRY_PAUSE < deadline => {
                tokio::time::sleep(RETRY_PAUSE).await;
            }
            answer => return answer,
        }
    }
}

/// Sends a request until there is an answer.
async fn request(
    connection: &Connection,
    subject: &str,
    body: Bytes,
    deadline: Instant,
) -> Result<async_nats::Message, ApiError> {
    use async_nats::RequestErrorKind as Kind;
    let mut losses = connection.losses.clone();
    loop {
        losses.mark_unchanged();
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(ApiError::TimedOut);
        }
        let request = async_nats::Request::new().payload(body.clone()).timeout(Some(left));
        let reply = tokio::select! {
            biased;
            reply = connection.client.send_request(subject.to_owned(), request) => reply,
            // What was under way is gone; the next try waits in the client until it has reconnected.
            Ok(()) = losses.changed() => continue,
        };
        match reply {
            Ok(reply) => return Ok(reply),
            Err(error) => match error.kind() {
                Kind::TimedOut => return Err(ApiError::TimedOut),
                Kind::NoResponders if Instant::now() + RETRY_PAUSE >= deadline => {
                    return Err(ApiError::NoResponders);
                }
                Kind::NoResponders => tokio::time::sleep(RETRY_PAUSE).await,
                _ => return Err(ApiError::Other(chain(&error))),
            },
        }
    }
}

/// Publishes once and waits for the acknowledgement. [`ApiError::TimedOut`] also when the connection was lost:
/// nobody knows.
pub(crate) async fn publish(
    connection: &Connection,
    subject: String,
    headers: HeaderMap,
    payload: Bytes,
) -> Result<PublishAck, ApiError> {
    use async_nats::RequestErrorKind as Kind;
    let mut losses = connection.losses.clone();
    losses.mark_unchanged();
    let request = async_nats::Request::new().headers(headers).payload(payload);
    let reply = tokio::select! {
        biased;
        reply = connection.client.send_request(subject, request) => reply,
        Ok(()) = losses.changed() => return Err(ApiError::TimedOut),
    };
    match reply {
        Ok(reply) => parse(&reply.payload),
        Err(error) => Err(match error.kind() {
            Kind::TimedOut => ApiError::TimedOut,
            Kind::NoResponders => ApiError::NoResponders,
            _ => ApiError::Other(chain(&error)),
        }),
    }
}

/// A stream's configuration and state, as its leader has them.
pub(crate) async fn stream_info(
    connection: &Connection,
    stream: &str,
) -> Result<stream::Info, ApiError> {
    ask(connection, &format!("STREAM.INFO.{stream}")).await
}

/// Creates a stream; the same call on an existing stream with the same settings changes nothing.
pub(crate) async fn create_stream(
    connection: &Connection,
    config: &stream::Config,
) -> Result<stream::Info, ApiError> {
    let created: stream::Info =
        call(connection, &format!("STREAM.CREATE.{}", config.name), config).await?;
    settle_stream(connection, &created.config).await
}

/// Has the server write a stream's configuration anew. A server that was killed while it created the stream has left half of
/// that on its disk, takes the next creation for done (2.15.1), and forgets the stream with all its messages when it starts again.
pub(crate) async fn settle_stream(
    connection: &Connection,
    config: &stream::Config,
) -> Result<stream::Info, ApiError> {
    call(connection, &format!("STREAM.UPDATE.{}", config.name), config).await
}

/// Which message to get.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct MessageRequest<'a> {
    #[serde(rename = "seq", skip_serializing_if = "Option::is_none")]
    pub sequence: Option<u64>,
    #[serde(rename = "last_by_subj", skip_serializing_if = "Option::is_none")]
    pub last_by_subject: Option<&'a str>,
    #[serde(rename = "next_by_subj", skip_serializing_if = "Option::is_none")]
    pub next_by_subject: Option<&'a str>,
}

#[derive(Deserialize)]
struct MessageReply {
    message: RawMessage,
}

/// A message from the stream's leader; `None` when there is none such.
pub(crate) async fn leader_message(
    connection: &Connection,
    stream: &str,
    request: &MessageRequest<'_>,
) -> Result<Option<StreamMessage>, ApiError> {
    match call::<MessageReply>(connection, &format!("STREAM.MSG.GET.{stream}"), request).await {
        Ok(reply) => StreamMessage::try_from(reply.message)
            .map(Some)
            .map_err(|error| ApiError::Other(format!("unreadable message: {error}"))),
        Err(error) if error.code() == code::NO_MESSAGE_FOUND => Ok(None),
        Err(error) => Err(error),
    }
}

/// The last message on a subject, which may have wildcards, from the stream's leader; `None` when there is none.
pub(crate) async fn last_message(
    connection: &Connection,
    stream: &str,
    subject: &str,
) -> Result<Option<StreamMessage>, ApiError> {
    let request = MessageRequest { last_by_subject: Some(subject), ..MessageRequest::default() };
    leader_message(connection, stream, &request).await
}

/// Nanoseconds since the epoch; the broker's times lie between 1678 and 2262.
pub(crate) fn nanoseconds(time: async_nats::datetime::DateTime) -> i64 {
    i64::try_from(time.unix_timestamp_nanos()).unwrap_or_default()
}

/// The name of a retention that positions mean nothing under.
pub(crate) fn unusable_retention(retention: stream::RetentionPolicy) -> Option<&'static str> {
    match retention {
        stream::RetentionPolicy::Limits => None,
        stream::RetentionPolicy::Interest => Some("interest"),
        stream::RetentionPolicy::WorkQueue => Some("workqueue"),
    }
}

/// The acknowledgement of a publish.
pub(crate) type PublishAck = jetstream::publish::PublishAck;
