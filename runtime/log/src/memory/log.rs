//! A commit log in memory, with the faults a commit log has.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use millstream_core::ids::Sequence;
use parking_lot::Mutex;

use super::broker::{MemoryBroker, Message, Rejection, Stored};
use super::stream::StreamOptions;
use crate::Name;
use crate::commit_log::{
    Append, CommitLog, Entry, LogError, LogInfo, PartitionSubject, Refusal, UnknownCause,
    stream_name, stream_subjects,
};

/// What is to go wrong with an append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppendFault {
    /// It does not reach the broker; nobody knows.
    LoseRequest,
    /// It is handled, but the answer is lost; nobody knows.
    LoseReply,
    /// It is refused as if an earlier message were still being applied.
    Busy,
}

/// The commit log of one pipeline in memory. Clones are handles of the same one.
#[derive(Clone)]
pub struct MemoryLog {
    broker: MemoryBroker,
    stream: String,
    faults: Arc<Mutex<VecDeque<Option<AppendFault>>>>,
}

impl MemoryLog {
    /// Opens the pipeline's log, and makes its stream if there is none.
    pub fn open(broker: &MemoryBroker, pipeline: &Name) -> MemoryLog {
        let stream = stream_name(pipeline);
        if broker.with(&stream, |_| ()).is_none() {
            broker.create_stream(&stream, StreamOptions::capture(&[&stream_subjects(pipeline)]));
        }
        MemoryLog { broker: broker.clone(), stream, faults: Arc::default() }
    }

    /// What goes wrong with the next appends, one each; `None`: nothing.
    pub fn plan_faults(&self, faults: impl IntoIterator<Item = Option<AppendFault>>) {
        self.faults.lock().extend(faults);
    }

    /// Appends at once.
    pub fn append_now(
        &self,
        subject: &PartitionSubject,
        expected: Sequence,
        bytes: Bytes,
    ) -> Append {
        let fault = self.faults.lock().pop_front().flatten();
        match fault {
            Some(AppendFault::LoseRequest) => return Append::Unknown(UnknownCause::Disconnected),
            Some(AppendFault::Busy) => return Append::Refused(Refusal::Busy { code: 10_164 }),
            Some(AppendFault::LoseReply) | None => {}
        }
        let published = self.broker.publish(Message {
            subject: subject.subject(),
            expected_last: Some(expected),
            id: None,
            headers: None,
            payload: bytes,
        });
        if fault == Some(AppendFault::LoseReply) {
            return Append::Unknown(UnknownCause::Disconnected);
        }
        match published {
            Ok(published) => Append::Appended { sequence: published.sequence },
            Err(Rejection::NoStream) => Append::Unknown(UnknownCause::NoResponders),
            Err(Rejection::WrongLast { actual }) => {
                Append::Refused(Refusal::WrongLast { actual: Some(Sequence(actual)) })
            }
            Err(Rejection::Full) => Append::Refused(Refusal::Full {
                code: 10_077,
                description: "maximum bytes exceeded".to_owned(),
            }),
            Err(Rejection::TooLarge { bytes, bytes_max }) => {
                Append::Refused(Refusal::TooLarge { bytes, bytes_max: Some(bytes_max) })
            }
        }
    }

    /// The partition's last record.
    pub fn last_now(&self, subject: &PartitionSubject) -> Result<Option<Entry>, LogError> {
        self.with(|stream| stream.last_of(subject.as_str()).map(Entry::from))
    }

    /// The partition's records from one sequence through another.
    pub fn read_now(
        &self,
        subject: &PartitionSubject,
        from: Sequence,
        through: Sequence,
    ) -> Result<Vec<Entry>, LogError> {
        let filter = [subject.as_str().to_owned()];
        let entries: Vec<Entry> = self.with(|stream| {
            let mut entries = Vec::new();
            let mut next = from.0;
            while let Some(stored) =
                stream.next(next, &filter).filter(|stored| stored.sequence <= through)
            {
                next = stored.sequence.0 + 1;
                entries.push(Entry::from(stored));
            }
            entries
        })?;
        let complete =
            from > through || entries.last().is_some_and(|entry| entry.sequence == through);
        if complete {
            return Ok(entries);
        }
        Err(LogError::Incomplete {
            subject: subject.to_string(),
            from: from.0,
            through: through.0,
            missing: through.0,
        })
    }

    fn with<T>(&self, act: impl FnOnce(&mut super::stream::Stream) -> T) -> Result<T, LogError> {
        self.broker
            .with(&self.stream, act)
            .ok_or_else(|| LogError::Missing { stream: self.stream.clone() })
    }
}

impl From<&Stored> for Entry {
    fn from(stored: &Stored) -> Entry {
        Entry { sequence: stored.sequence, time_ns: stored.time_ns, bytes: stored.payload.clone() }
    }
}

impl CommitLog for MemoryLog {
    fn append<'a>(
        &'a self,
        subject: &'a PartitionSubject,
        expected: Sequence,
        bytes: Bytes,
    ) -> BoxFuture<'a, Append> {
        Box::pin(async move { self.append_now(subject, expected, bytes) })
    }

    fn last<'a>(
        &'a self,
        subject: &'a PartitionSubject,
    ) -> BoxFuture<'a, Result<Option<Entry>, LogError>> {
        Box::pin(async move { self.last_now(subject) })
    }

    fn read<'a>(
        &'a self,
        subject: &'a PartitionSubject,
        from: Sequence,
        through: Sequence,
    ) -> BoxStream<'a, Result<Entry, LogError>> {
        let entries = match self.read_now(subject, from, through) {
            Ok(entries) => entries.into_iter().map(Ok).collect(),
            Err(error) => vec![Err(error)],
        };
        Box::pin(futures::stream::iter(entries))
    }

    fn purge_below(&self, floor: Sequence) -> BoxFuture<'_, Result<u64, LogError>> {
        Box::pin(async move { self.with(|stream| stream.purge_below(floor.0)) })
    }

    fn info(&self) -> BoxFuture<'_, Result<LogInfo, LogError>> {
        Box::pin(async move {
            self.with(|stream| LogInfo {
                created_ns: stream.created_ns(),
                first: stream.first(),
                last: stream.last(),
                records: stream.len(),
                bytes: stream.bytes(),
                bytes_max: stream.options().bytes_max,
                replicas: 1,
                record_bytes_max: stream.options().message_bytes_max,
            })
        })
    }
}
