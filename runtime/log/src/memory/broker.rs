//! Streams in memory.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use millstream_core::ids::Sequence;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::stream::{Stream, StreamOptions};
use super::subject::matches_any;
use crate::{HeaderMap, Subject};

/// A message to publish.
#[derive(Clone, Debug)]
pub struct Message {
    /// Where to.
    pub subject: Subject,
    /// The subject's last sequence must be this one; 0: the subject has none.
    pub expected_last: Option<Sequence>,
    /// `Nats-Msg-Id`.
    pub id: Option<Bytes>,
    /// Other headers.
    pub headers: Option<HeaderMap>,
    /// Payload.
    pub payload: Bytes,
}

/// A message as it lies in a stream.
#[derive(Clone, Debug)]
pub struct Stored {
    /// Where.
    pub sequence: Sequence,
    /// When: nanoseconds since the epoch.
    pub time_ns: i64,
    /// Subject.
    pub subject: Subject,
    /// `Nats-Msg-Id`.
    pub id: Option<Bytes>,
    /// Other headers.
    pub headers: Option<HeaderMap>,
    /// Payload.
    pub payload: Bytes,
}

/// What a publish came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Published {
    /// Where the message lies, or the earlier one with its id.
    pub sequence: Sequence,
    /// Whether an earlier one has its id.
    pub duplicate: bool,
}

/// Why a publish was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// No stream captures the subject.
    #[error("no stream captures the subject")]
    NoStream,
    /// Another message is the subject's last.
    #[error("the last sequence is {actual}")]
    WrongLast {
        /// The subject's last sequence.
        actual: u64,
    },
    /// The stream has reached its limit of bytes.
    #[error("the stream is full")]
    Full,
    /// Larger than the limit.
    #[error("a message of {bytes} bytes exceeds the limit of {bytes_max}")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
}

/// Streams in memory; clones are handles of the same ones. Time stands still until it is set.
#[derive(Clone, Default)]
pub struct MemoryBroker {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    now_ns: i64,
    streams: BTreeMap<String, Stream>,
}

impl MemoryBroker {
    /// No streams, at the epoch.
    pub fn new() -> MemoryBroker {
        MemoryBroker::default()
    }

    /// Sets the time: nanoseconds since the epoch.
    pub fn set_time(&self, now_ns: i64) {
        self.shared.state.lock().now_ns = now_ns;
    }

    /// Makes a stream, in place of one that has the name.
    pub fn create_stream(&self, name: &str, options: StreamOptions) {
        let mut state = self.shared.state.lock();
        let created_ns = state.now_ns;
        state.streams.insert(name.to_owned(), Stream::new(created_ns, options));
        drop(state);
        self.shared.changed.notify_waiters();
    }

    /// Removes a stream.
    pub fn delete_stream(&self, name: &str) {
        self.shared.state.lock().streams.remove(name);
        self.shared.changed.notify_waiters();
    }

    /// Publishes a message to the stream that captures its subject.
    pub fn publish(&self, message: Message) -> Result<Published, Rejection> {
        let mut state = self.shared.state.lock();
        let now_ns = state.now_ns;
        let mut streams = state.streams.values_mut();
        let stream = streams
            .find(|stream| matches_any(&stream.options().subjects, &message.subject))
            .ok_or(Rejection::NoStream)?;
        let published = stream.publish(now_ns, message)?;
        drop(state);
        self.shared.changed.notify_waiters();
        Ok(published)
    }

    /// Publishes messages to one stream, all or none. The last one takes the place of the last message of its subject.
    pub fn publish_batch(
        &self,
        stream: &str,
        messages: Vec<Message>,
    ) -> Result<Published, Rejection> {
        let now_ns = self.shared.state.lock().now_ns;
        let captures = |stream: &Stream| {
            let subjects = &stream.options().subjects;
            messages.iter().all(|message| matches_any(subjects, &message.subject))
        };
        let published = self.with(stream, |stream| match captures(stream) {
            true => stream.publish_batch(now_ns, messages.clone()),
            false => Err(Rejection::NoStream),
        });
        let published = published.unwrap_or(Err(Rejection::NoStream))?;
        self.shared.changed.notify_waiters();
        Ok(published)
    }

    /// Removes everything below a sequence. Returns how many messages went.
    pub fn purge_below(&self, stream: &str, floor: Sequence) -> u64 {
        self.with(stream, |stream| stream.purge_below(floor.0)).unwrap_or(0)
    }

    /// Removes one message, as an operator may.
    pub fn delete_message(&self, stream: &str, sequence: Sequence) -> bool {
        self.with(stream, |stream| stream.delete(sequence.0)).unwrap_or(false)
    }

    /// Forgets everything behind a sequence, as the restore of an old backup does.
    pub fn roll_back(&self, stream: &str, last: Sequence) {
        self.with(stream, |stream| stream.roll_back(last.0));
    }

    /// What a function finds or does in a stream; `None` when there is no such stream.
    pub(super) fn with<T>(&self, name: &str, act: impl FnOnce(&mut Stream) -> T) -> Option<T> {
        self.shared.state.lock().streams.get_mut(name).map(act)
    }

    /// Finishes with the next change after this call. Make it before looking.
    pub(super) fn changed(&self) -> impl Future<Output = ()> + '_ {
        self.shared.changed.notified()
    }
}
