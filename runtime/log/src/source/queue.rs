//! Streams whose records vanish once they are acknowledged: retention `workqueue` and `interest`.
//!
//! One durable consumer with explicit acknowledgements reads them; what is committed is acknowledged. As with other streams it is
//! thrown away at the first doubt. A new one begins with the oldest record that is not acknowledged, so records are always
//! delivered in the order of the stream: first those that were handed over already, which are passed over here and acknowledged
//! once they are committed, then those behind the position. Nothing is ever missing at or below the position, and a
//! committed position says alone what a redelivery must not bring again; no list of sequences is kept anywhere.
//!
//! Two consumers of a work queue must not overlap, so the old one is removed before the new one is made: the records stay.
//! Under `interest` they stay only while somebody wants them, so the new one comes first.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, Config, DeliverPolicy};
use async_nats::jetstream::stream::{Info as StreamInfo, RetentionPolicy};
use millstream_core::ids::Sequence;
use serde::{Deserialize, Serialize};

use super::SourceError;
use super::consumer::{Created, create, source_error, with_filters};
use crate::api::{self, ApiError};
use crate::connect::Connection;
use crate::line::encode;

/// How long the server waits for an acknowledgement before it delivers again: longer than a commit takes at the worst of
/// times. A redelivery is passed over, it only costs its way.
const ACK_WAIT: Duration = Duration::from_secs(30);
/// Records that may be delivered and not acknowledged; the server delivers no more then.
pub const UNACKNOWLEDGED_MAX: i64 = 16_384;
/// What acknowledges a delivery.
const ACK: &[u8] = b"+ACK";
/// "consumer not found".
const CONSUMER_NOT_FOUND: u64 = 10014;

/// How a stream is consumed whose records vanish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consume {
    /// Names of its consumers begin so. Whatever consumer of the stream is called so is taken for a former one of this reader.
    pub prefix: String,
    /// What is committed: at most the position.
    pub committed: Sequence,
}

/// What a reader knows of its acknowledgements.
#[derive(Debug)]
pub(super) struct Queue {
    prefix: String,
    committed: Sequence,
    /// Where to acknowledge what was delivered and is not committed, by sequence.
    open: BTreeMap<u64, String>,
}

impl Queue {
    pub fn new(consume: Consume) -> Self {
        Self { prefix: consume.prefix, committed: consume.committed, open: BTreeMap::new() }
    }

    /// Makes a consumer that begins with the oldest record not acknowledged, and removes former ones. `id` is random.
    #[cold]
    pub async fn attach(
        &mut self,
        connection: &Connection,
        info: &StreamInfo,
        id: &str,
        filters: &[String],
    ) -> Result<(String, Created), SourceError> {
        let stream = &info.config.name;
        // The new consumer delivers again what is not acknowledged.
        self.open.clear();
        let former = named(connection, stream, &self.prefix).await?;
        let is_work_queue = info.config.retention == RetentionPolicy::WorkQueue;
        if is_work_queue {
            forget_all(connection, stream, &former).await?;
        }
        let name = format!("{}{id}", self.prefix);
        let config = Config {
            name: Some(name.clone()),
            durable_name: Some(name.clone()),
            ack_policy: AckPolicy::Explicit,
            ack_wait: ACK_WAIT,
            max_ack_pending: UNACKNOWLEDGED_MAX,
            // A work queue takes no other.
            deliver_policy: match is_work_queue {
                true => DeliverPolicy::All,
                false => DeliverPolicy::ByStartSequence { start_sequence: self.committed.0 + 1 },
            },
            ..with_filters(filters)
        };
        let created = match create(connection, stream, &name, filters, config).await {
            // More than one consumer of a work queue for the same records.
            Err(SourceError::Broker { code: 10099 | 10100, .. }) => {
                let consumers = named(connection, stream, "").await?;
                return Err(SourceError::Taken { stream: stream.clone(), consumers });
            }
            created => created?,
        };
        if !is_work_queue {
            forget_all(connection, stream, &former).await?;
        }
        Ok((name, created))
    }

    /// A record was delivered, perhaps not for the first time. Appends the acknowledgement of one that is committed.
    #[inline]
    pub fn delivered(&mut self, sequence: u64, reply: &[u8], out: &mut Vec<u8>) {
        // What was parsed as a reply is ASCII but for the names in it.
        let Ok(reply) = str::from_utf8(reply) else { return };
        if sequence <= self.committed.0 {
            encode::publish(out, reply, b"", ACK);
        } else {
            self.open.insert(sequence, reply.to_owned());
        }
    }

    /// Everything up to here is committed. Appends the acknowledgements.
    pub fn commit(&mut self, through: Sequence, out: &mut Vec<u8>) {
        self.committed = self.committed.max(through);
        let rest = self.open.split_off(&(self.committed.0 + 1));
        for reply in std::mem::replace(&mut self.open, rest).values() {
            encode::publish(out, reply, b"", ACK);
        }
    }

    /// Whether nothing delivered waits for its commit.
    pub fn is_settled(&self) -> bool {
        self.open.is_empty()
    }
}

#[derive(Serialize)]
struct Page {
    offset: usize,
}

#[derive(Deserialize)]
struct Names {
    total: usize,
    #[serde(default)]
    consumers: Option<Vec<String>>,
}

/// The stream's consumers whose names begin so.
async fn named(
    connection: &Connection,
    stream: &str,
    prefix: &str,
) -> Result<Vec<String>, SourceError> {
    let mut names: Vec<String> = Vec::new();
    loop {
        let page = Page { offset: names.len() };
        let listed: Names = api::call(connection, &format!("CONSUMER.NAMES.{stream}"), &page)
            .await
            .map_err(|error| source_error(stream, "list the consumers", error))?;
        let found = listed.consumers.unwrap_or_default();
        let is_last = found.is_empty();
        names.extend(found);
        if is_last || names.len() >= listed.total {
            names.retain(|name| name.starts_with(prefix));
            return Ok(names);
        }
    }
}

async fn forget_all(
    connection: &Connection,
    stream: &str,
    names: &[String],
) -> Result<(), SourceError> {
    for name in names {
        let call = format!("CONSUMER.DELETE.{stream}.{name}");
        match api::ask::<serde_json::Value>(connection, &call).await {
            Ok(_) | Err(ApiError::Server { code: CONSUMER_NOT_FOUND, .. }) => {}
            Err(error) => return Err(source_error(stream, "delete a consumer", error)),
        }
    }
    Ok(())
}

/// Removes the consumers of a stream whose names begin so. A stream that is not there has none.
///
/// # Errors
/// The broker does not answer, or refuses.
pub async fn forget_consumers(
    connection: &Connection,
    stream: &str,
    prefix: &str,
) -> Result<(), SourceError> {
    match named(connection, stream, prefix).await {
        Ok(names) => forget_all(connection, stream, &names).await,
        Err(SourceError::Missing { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

#[derive(Deserialize)]
struct Listed {
    total: usize,
    #[serde(default)]
    consumers: Option<Vec<Found>>,
}

#[derive(Deserialize)]
struct Found {
    name: String,
    config: Filters,
}

#[derive(Deserialize)]
struct Filters {
    #[serde(default)]
    filter_subject: String,
    #[serde(default)]
    filter_subjects: Vec<String>,
}

/// The consumers of a work queue that take records that this filter matches; no filter: any. Streams of another retention
/// can be read by several, so they have none.
///
/// # Errors
/// There is no such stream, or the broker does not answer.
pub async fn takers(
    connection: &Connection,
    stream: &str,
    filter: Option<&str>,
) -> Result<Vec<String>, SourceError> {
    let failed = |error| source_error(stream, "list the consumers", error);
    let info = api::stream_info(connection, stream).await.map_err(failed)?;
    let (mut seen, mut taking) = (0, Vec::new());
    if info.config.retention != RetentionPolicy::WorkQueue {
        return Ok(taking);
    }
    loop {
        let call = format!("CONSUMER.LIST.{stream}");
        let listed: Listed =
            api::call(connection, &call, &Page { offset: seen }).await.map_err(failed)?;
        let found = listed.consumers.unwrap_or_default();
        let is_last = found.is_empty();
        seen += found.len();
        let takes = |found: &Found| {
            let Filters { filter_subject, filter_subjects } = &found.config;
            let mut filters: Vec<_> = filter_subjects.iter().map(|f| Some(f.as_str())).collect();
            if filters.is_empty() {
                filters.push(Some(filter_subject.as_str()).filter(|filter| !filter.is_empty()));
            }
            filters.into_iter().any(|theirs| do_overlap(theirs, filter))
        };
        taking.extend(found.into_iter().filter(takes).map(|found| found.name));
        if is_last || seen >= listed.total {
            return Ok(taking);
        }
    }
}

/// Whether some subject matches both filters; none matches all.
pub fn do_overlap(one: Option<&str>, other: Option<&str>) -> bool {
    let (Some(one), Some(other)) = (one, other) else { return true };
    let (mut one, mut other) = (one.split('.'), other.split('.'));
    loop {
        match (one.next(), other.next()) {
            (Some(">"), Some(_)) | (Some(_), Some(">")) | (None, None) => return true,
            (Some(a), Some(b)) if a == b || a == "*" || b == "*" => {}
            _ => return false,
        }
    }
}

/// Whether the records of a stream vanish once they are acknowledged.
///
/// # Errors
/// There is no such stream, or the broker does not answer.
pub async fn is_consumed(connection: &Connection, stream: &str) -> Result<bool, SourceError> {
    let info = api::stream_info(connection, stream)
        .await
        .map_err(|error| source_error(stream, "get the state", error))?;
    Ok(api::unusable_retention(info.config.retention).is_some())
}
