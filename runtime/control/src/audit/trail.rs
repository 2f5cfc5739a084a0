//! The trail in its JetStream stream.

use std::time::Duration;

use async_nats::jetstream::context::{PublishError, PublishErrorKind};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream::{
    Config, DiscardPolicy, RawMessageErrorKind, RetentionPolicy, StorageType, Stream,
};
use async_nats::jetstream::{self, ErrorCode};
use bytes::Bytes;
use millstream_log::connect::{Connection, chain as error_chain};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::chain::Head;
use super::entry::{Asked, Entry};
use super::{Digest, SignedHead, What};
use crate::access::SigningKey;
use crate::access::store::AccessStore;
use crate::clock;
use crate::errors::{self, Code};
use crate::problem::Problem;

/// Name of the stream.
pub const TRAIL_STREAM: &str = "millstream-audit";
/// Subject of all entries.
pub const TRAIL_SUBJECT: &str = "millstream.audit.v1";
/// How long an entry is tried to be written: about as long as a broker's failover takes, shorter than commands wait.
const APPEND_TIMEOUT: Duration = Duration::from_secs(5);
/// Pause before an entry is sent again.
const AGAIN_AFTER: Duration = Duration::from_millis(100);
/// Most entries of one answer.
pub const ENTRIES_MAX: u32 = 1_000;

/// Who writes, and into whose trail.
#[derive(Clone, Debug)]
pub struct Writer {
    /// Name of the node.
    pub node: String,
    /// Random number of its start.
    pub incarnation: String,
    /// Number of the cluster.
    pub cluster: String,
    /// What it signs heads with.
    pub key: SigningKey,
}

/// The trail, as one start of one node writes it.
pub struct Trail {
    jetstream: jetstream::Context,
    writer: Writer,
    store: AccessStore,
    end: Mutex<End>,
}

/// What the writer knows of the trail's end. Held while an entry is written: a node's entries follow one another.
#[derive(Default)]
struct End {
    /// The last entry that is known to be there; none: it must be looked up.
    last: Option<Tip>,
    /// Number of the newest entry that was ever there.
    seen: u64,
    /// Whether the writer has said who it is.
    announced: bool,
}

/// The last entry.
#[derive(Clone, Copy, Debug, Default)]
struct Tip {
    number: u64,
    hash: Digest,
}

impl Trail {
    /// Opens the trail, and makes its stream if it is missing. `store` remembers an entry for those that come later.
    ///
    /// # Errors
    /// MS1614 if that fails, or the stream could lose entries.
    pub async fn open(
        connection: &Connection,
        replicas: usize,
        writer: Writer,
        store: AccessStore,
    ) -> Result<Trail, Problem> {
        let jetstream = connection.jetstream().clone();
        let config = Config {
            name: TRAIL_STREAM.to_owned(),
            description: Some("Millstream's audit trail".to_owned()),
            subjects: vec![TRAIL_SUBJECT.to_owned()],
            retention: RetentionPolicy::Limits,
            discard: DiscardPolicy::New,
            storage: StorageType::File,
            num_replicas: replicas,
            deny_delete: true,
            deny_purge: true,
            ..Config::default()
        };
        let made = jetstream.get_or_create_stream(config).await;
        made.map_err(|error| unavailable(&error_chain(&error)))?;
        let trail = Trail { jetstream, writer, store, end: Mutex::default() };
        trail.stream().await?;
        Ok(trail)
    }

    /// The stream as it is now. One that is gone is not made again: its entries would seem never to have been.
    async fn stream(&self) -> Result<Stream, Problem> {
        let stream = self.jetstream.get_stream(TRAIL_STREAM).await;
        let stream = stream.map_err(|error| unavailable(&error_chain(&error)))?;
        let found = &stream.cached_info().config;
        let keeps_all = found.retention == RetentionPolicy::Limits
            && found.discard == DiscardPolicy::New
            && found.deny_delete
            && found.deny_purge
            && found.max_age.is_zero()
            && found.max_messages <= 0
            && found.max_messages_per_subject <= 0
            && !found.allow_rollup
            && !found.no_ack;
        match keeps_all {
            true => Ok(stream),
            false => Err(unavailable("the settings of its stream let entries be lost")
                .help("it needs retention `limits`, discard `new`, deny_delete and deny_purge, and no limits on age and messages")),
        }
    }

    /// Writes what is about to be done, or shown; its number.
    ///
    /// # Errors
    /// MS1614: then it must not be done.
    pub async fn asked(&self, asked: Asked) -> Result<u64, Problem> {
        self.append(What::Request(asked)).await
    }

    /// Writes what came of a request.
    ///
    /// # Errors
    /// MS1615: what was done is done.
    pub async fn concluded(&self, of: u64, refused: Option<Code>) -> Result<(), Problem> {
        let outcome = What::Outcome { of, done: refused.is_none(), code: refused };
        let written = self.append(outcome).await;
        written.map(drop).map_err(|problem| {
            let message = match refused {
                None => {
                    format!("it was done, but the audit trail does not say so: {}", problem.message)
                }
                Some(code) => format!(
                    "it was refused with {code}, but the audit trail does not say so: {}",
                    problem.message
                ),
            };
            Problem::new(errors::OUTCOME_NOT_WRITTEN, message)
                .help(format!("entry {of} of the trail has no outcome: look at what it is about"))
        })
    }

    /// Appends an entry; its number.
    ///
    /// # Errors
    /// MS1614. The entry may be there all the same: nobody knows what became of a message without an acknowledgement.
    pub async fn append(&self, what: What) -> Result<u64, Problem> {
        let mut end = self.end.lock().await;
        self.announce(&mut end).await?;
        self.write(&mut end, what).await
    }

    /// Says who writes, once.
    async fn announce(&self, end: &mut End) -> Result<(), Problem> {
        if end.announced {
            return Ok(());
        }
        if let Some((number, hash)) = self.store.remembered().await? {
            let found = self.message(number).await?;
            if found.is_none_or(|found| Digest::of(&found) != hash) {
                return Err(gone());
            }
        }
        let Writer { cluster, key, .. } = &self.writer;
        let number =
            self.write(end, What::Writer { cluster: cluster.clone(), key: key.public() }).await?;
        if let Some(tip) = end.last {
            self.store.remember(number, tip.hash).await?;
        }
        end.announced = true;
        Ok(())
    }

    async fn write(&self, end: &mut End, what: What) -> Result<u64, Problem> {
        let deadline = Instant::now() + APPEND_TIMEOUT;
        let written = tokio::time::timeout_at(deadline, self.write_behind(end, &what)).await;
        written.unwrap_or_else(|_| {
            end.last = None;
            let waited = APPEND_TIMEOUT.as_secs();
            Err(unavailable(&format!("an entry was not acknowledged within {waited} s")))
        })
    }

    /// Writes behind the last entry, whoever wrote that.
    async fn write_behind(&self, end: &mut End, what: &What) -> Result<u64, Problem> {
        loop {
            // Taken: whatever ends this early leaves the end unknown.
            let tip = match end.last.take() {
                Some(tip) => tip,
                None => self.look_up().await?,
            };
            if tip.number < end.seen {
                return Err(gone());
            }
            end.seen = tip.number;
            let entry = Entry {
                number: tip.number + 1,
                previous: tip.hash,
                time_ms: clock::now_ms(),
                node: self.writer.node.clone(),
                incarnation: self.writer.incarnation.clone(),
                what: what.clone(),
            };
            let bytes = serde_json::to_vec(&entry)
                .map_err(|error| unavailable(&format!("an entry cannot be written: {error}")))?;
            let hash = Digest::of(&bytes);
            if self.publish(tip, bytes.into()).await? {
                end.seen = entry.number;
                end.last = Some(Tip { number: entry.number, hash });
                return Ok(entry.number);
            }
        }
    }

    /// Publishes an entry behind `tip` until it is there (true) or another one is (false).
    async fn publish(&self, tip: Tip, bytes: Bytes) -> Result<bool, Problem> {
        loop {
            let message = PublishMessage::build()
                .payload(bytes.clone())
                .expected_last_sequence(tip.number)
                .expected_stream(TRAIL_STREAM);
            let sent = self.jetstream.send_publish(TRAIL_SUBJECT, message).await;
            let acknowledged = match sent {
                Ok(acknowledgement) => acknowledgement.await,
                Err(error) => Err(error),
            };
            let Err(error) = acknowledged else { return Ok(true) };
            match error.kind() {
                // Somebody's entry is there: this one, of which the acknowledgement was lost, or another.
                _ if is_elsewhere(&error) => match self.message(tip.number + 1).await? {
                    Some(found) => return Ok(found == bytes),
                    None if self.look_up().await?.number < tip.number => {
                        return Err(gone());
                    }
                    // The server is applying an earlier message.
                    None => {}
                },
                // Nobody answered: it may be there, or nobody is there to take it at the moment.
                PublishErrorKind::TimedOut
                | PublishErrorKind::BrokenPipe
                | PublishErrorKind::StreamNotFound => {}
                // Refused.
                _ => return Err(unavailable(&error_chain(&error))),
            }
            tokio::time::sleep(AGAIN_AFTER).await;
        }
    }

    /// The last entry, as the stream's leader has it.
    async fn look_up(&self) -> Result<Tip, Problem> {
        let stream = self.stream().await?;
        let number = stream.cached_info().state.last_sequence;
        if number == 0 {
            return Ok(Tip::default());
        }
        let last = self.message(number).await?;
        let last = last.ok_or_else(|| unavailable(&format!("entry {number} is gone")))?;
        Ok(Tip { number, hash: Digest::of(&last) })
    }

    /// An entry's bytes.
    async fn message(&self, number: u64) -> Result<Option<Bytes>, Problem> {
        let failed = |text: String| Err(unavailable(&text));
        let stream = match self.jetstream.get_stream_no_info(TRAIL_STREAM).await {
            Ok(stream) => stream,
            Err(error) => return failed(error_chain(&error)),
        };
        match stream.get_raw_message(number).await {
            Ok(message) => Ok(Some(message.payload)),
            Err(error) => match error.kind() {
                RawMessageErrorKind::NoMessageFound => Ok(None),
                RawMessageErrorKind::JetStream(answer)
                    if answer.error_code() == ErrorCode::NO_MESSAGE_FOUND =>
                {
                    Ok(None)
                }
                _ => failed(error_chain(&error)),
            },
        }
    }

    /// The number of the last entry.
    ///
    /// # Errors
    /// MS1614.
    pub async fn last(&self) -> Result<u64, Problem> {
        Ok(self.stream().await?.cached_info().state.last_sequence)
    }

    /// Entries behind one, as they are stored, at most so many and so many bytes; and the number of the last one looked at.
    ///
    /// # Errors
    /// MS1614.
    pub async fn read(
        &self,
        after: u64,
        limit: u32,
        bytes_max: usize,
    ) -> Result<Vec<Bytes>, Problem> {
        let (mut found, mut bytes) = (Vec::new(), 0);
        for number in (after.saturating_add(1)..).take(limit.clamp(1, ENTRIES_MAX) as usize) {
            let Some(entry) = self.message(number).await? else { break };
            bytes += entry.len();
            if bytes > bytes_max && !found.is_empty() {
                break;
            }
            found.push(entry);
        }
        Ok(found)
    }

    /// Vouches for the entries behind `after` up to the last one.
    ///
    /// # Errors
    /// MS1614; MS1616 if there are none.
    pub async fn head(&self, after: u64) -> Result<SignedHead, Problem> {
        let mut end = self.end.lock().await;
        // Whoever reads the head finds its key in the trail.
        self.announce(&mut end).await?;
        let last = self.look_up().await?;
        if after >= last.number {
            let message = format!(
                "the audit trail ends with entry {}, there is none behind {after}",
                last.number
            );
            return Err(Problem::new(errors::NO_ENTRIES, message));
        }
        let before = match after {
            0 => Digest::default(),
            number => {
                let found = self.message(number).await?;
                let found = found.ok_or_else(|| unavailable(&format!("entry {number} is gone")))?;
                Digest::of(&found)
            }
        };
        let head = Head {
            cluster: self.writer.cluster.clone(),
            first: after + 1,
            before,
            last: last.number,
            hash: last.hash,
            time_ms: clock::now_ms(),
        };
        Ok(head.sign(&self.writer.key))
    }
}

/// Whether a message was refused because the stream does not end where it said.
fn is_elsewhere(error: &PublishError) -> bool {
    let source = std::error::Error::source(error);
    let answer = source.and_then(|source| source.downcast_ref::<jetstream::Error>());
    let code = answer.map(|answer| answer.error_code());
    error.kind() == PublishErrorKind::WrongLastSequence
        || code == Some(ErrorCode::STREAM_WRONG_LAST_SEQUENCE_CONSTANT)
}

fn gone() -> Problem {
    unavailable("entries that were there are gone").help(
        "its stream was removed, emptied or restored: compare it with the last export, and see the page of this code",
    )
}

fn unavailable(why: &str) -> Problem {
    Problem::new(errors::TRAIL_UNAVAILABLE, format!("the audit trail cannot be used: {why}"))
}
