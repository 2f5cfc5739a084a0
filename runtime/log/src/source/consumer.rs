//! The consumer behind a reader: made, and forgotten.

use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, Config, DeliverPolicy};
use async_nats::jetstream::stream::Info as StreamInfo;
use millstream_core::ids::Sequence;
use serde::{Deserialize, Serialize};

use super::{SourceError, StreamFacts};
use crate::api::{self, ApiError, code};
use crate::connect::Connection;

/// How long the server keeps a consumer that nobody asks.
const INACTIVE_THRESHOLD: Duration = Duration::from_secs(60);

#[derive(Serialize)]
struct CreateRequest<'a> {
    stream_name: &'a str,
    config: Config,
}

#[derive(Deserialize)]
struct CreateReply {
    delivered: Delivered,
    #[serde(default)]
    num_pending: u64,
}

#[derive(Deserialize)]
struct Delivered {
    stream_seq: u64,
}

/// A consumer that was made.
pub(super) struct Created {
    /// The sequence before the first it looks at.
    pub before: Sequence,
    /// Records of the filter that wait.
    pub pending: u64,
}

/// A configuration with these filters.
pub(super) fn with_filters(filters: &[String]) -> Config {
    let (filter_subject, filter_subjects) = match filters {
        [one] => (one.clone(), Vec::new()),
        several => (String::new(), several.to_vec()),
    };
    Config { filter_subject, filter_subjects, ..Config::default() }
}

/// Makes an ack-none pull consumer in memory.
pub(super) async fn create_scanning(
    connection: &Connection,
    stream: &str,
    name: &str,
    filters: &[String],
    deliver_policy: DeliverPolicy,
) -> Result<Created, SourceError> {
    let config = Config {
        name: Some(name.to_owned()),
        ack_policy: AckPolicy::None,
        deliver_policy,
        memory_storage: true,
        num_replicas: 1,
        inactive_threshold: INACTIVE_THRESHOLD,
        ..with_filters(filters)
    };
    create(connection, stream, name, filters, config).await
}

/// Makes a consumer.
pub(super) async fn create(
    connection: &Connection,
    stream: &str,
    name: &str,
    filters: &[String],
    config: Config,
) -> Result<Created, SourceError> {
    // A single filter is part of the subject, so that rights can be given by it.
    let call = match filters {
        [filter] => format!("CONSUMER.CREATE.{stream}.{name}.{filter}"),
        _ => format!("CONSUMER.CREATE.{stream}.{name}"),
    };
    let reply: Result<CreateReply, ApiError> =
        api::call(connection, &call, &CreateRequest { stream_name: stream, config }).await;
    match reply {
        Ok(reply) => {
            Ok(Created { before: Sequence(reply.delivered.stream_seq), pending: reply.num_pending })
        }
        Err(ApiError::Server { code: 10093 | 10131 | 10136 | 10138 | 10139, description }) => {
            Err(SourceError::Filter {
                stream: stream.to_owned(),
                filters: filters.to_vec(),
                description,
            })
        }
        Err(error) => Err(source_error(stream, "create a consumer", error)),
    }
}

/// Asks the server to forget a consumer; it would by itself after a minute.
pub(super) async fn forget(connection: &Connection, stream: &str, name: &str) {
    let subject = connection.api_subject(&format!("CONSUMER.DELETE.{stream}.{name}"));
    let _ = connection.client.publish(subject, "".into()).await;
}

/// A stream's identity and state; unless it is `consumed`, refuses one that cannot be read by position.
pub(super) async fn stream_info(
    connection: &Connection,
    stream: &str,
    consumed: bool,
) -> Result<StreamInfo, SourceError> {
    let info = api::stream_info(connection, stream)
        .await
        .map_err(|error| source_error(stream, "get the state", error))?;
    match api::unusable_retention(info.config.retention).filter(|_| !consumed) {
        Some(retention) => Err(SourceError::Retention { stream: stream.to_owned(), retention }),
        None => Ok(info),
    }
}

pub(super) fn facts(info: &StreamInfo) -> StreamFacts {
    let state = &info.state;
    StreamFacts {
        stream: info.config.name.clone(),
        created_ns: api::nanoseconds(info.created),
        first: Sequence(if state.messages == 0 {
            state.last_sequence + 1
        } else {
            state.first_sequence
        }),
        last: Sequence(state.last_sequence),
        records: state.messages,
        bytes: state.bytes,
        age_ns_max: i64::try_from(info.config.max_age.as_nanos()).ok().filter(|age| *age > 0),
    }
}

/// What a failed call means for a source.
pub(super) fn source_error(stream: &str, request: &'static str, error: ApiError) -> SourceError {
    let stream = stream.to_owned();
    if error.is_passing() {
        return SourceError::Unreachable { stream, description: error.description() };
    }
    match error {
        ApiError::Server { code: code::STREAM_NOT_FOUND, .. } => SourceError::Missing { stream },
        ApiError::Server { code, description } => {
            SourceError::Broker { stream, request, code, description }
        }
        error => SourceError::Unreachable { stream, description: error.description() },
    }
}
