//! Reads one source for all partitions of one stage.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use millstream_core::ids::{Sequence, SourceId};
use millstream_core::incident::Incident;
use millstream_core::slice::SourcePosition;
use millstream_core::source::never_read;
use millstream_log::connect::Connection;
use millstream_log::source::{
    Consume, Delivery, ReadAhead, Source, SourceError, SourceEvent, SourceOptions, SourceReader,
    StartAt,
};
use millstream_sandbox::codec::Decoder;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use super::exchange::ExchangeError;
use super::gate::{Gate, Inlet};
use super::lanes::Lanes;
use super::pace::Pace;
use super::partition::Command;
use super::redrive::{self, Before};
use super::report::{Board, Heads};
use crate::input::watermark_of;
use crate::router::{Ends, Envelopes, Raw, Router};
use crate::spec::{OnGap, SourceSpec, Start};

/// Wait before a source that could not be reached is opened again.
const REOPEN_AFTER: Duration = Duration::from_millis(500);

/// What one reader is for.
pub struct ReaderSpec {
    pub connection: Connection,
    pub spec: SourceSpec,
    pub source: SourceId,
    pub input: u32,
    pub partitions: u16,
    /// One per partition that is here.
    pub lanes: Lanes,
    /// Where the reader says how far the stream reaches.
    pub heads: Heads,
    /// Where it says how far event time is, and waits for the stage's other inputs.
    pub pace: Arc<Pace>,
    /// What each partition that is here has committed of this source; none: never read.
    pub positions: Vec<Option<SourcePosition>>,
    /// How far this reader has handed over; a reader that opens its source again goes on from here.
    pub handed_over: Option<SourcePosition>,
    /// Whether records are put into envelopes.
    pub envelopes: Envelopes,
    /// If the stream's records vanish once they are acknowledged.
    pub consuming: Option<Consuming>,
    /// Where it may have to wait, and as whom.
    pub gate: Gate,
    pub inlet: Inlet,
}

/// How a stream is consumed by the only partition of its ingest stage.
pub struct Consuming {
    /// Names of the stream's consumers that are this pipeline's begin so.
    pub prefix: String,
    /// Where the partition says what is committed.
    pub board: Arc<Board>,
    pub commands: mpsc::UnboundedSender<Command>,
}

/// Why a reader ended.
#[derive(Debug, thiserror::Error)]
pub enum ReaderError {
    #[error(transparent)]
    Incident(#[from] Incident),
    #[error("source `{name}`: {error}")]
    Source { name: String, error: SourceError },
    #[error(transparent)]
    Exchange(#[from] ExchangeError),
}

/// Reads until it is cancelled, the partitions are gone, or something must not be passed over.
pub async fn run(
    mut reader: ReaderSpec,
    make_decoder: impl Fn() -> Decoder,
    cancel: CancellationToken,
) -> Result<(), ReaderError> {
    loop {
        let ended = tokio::select! {
            () = cancel.cancelled() => return Ok(()),
            ended = read(&mut reader, make_decoder()) => ended,
        };
        match ended {
            Err(ReaderError::Source {
                error: SourceError::Unreachable { stream, description },
                ..
            }) => {
                tracing::warn!(%stream, %description, "source cannot be reached; trying again");
                // If it is because another node has taken over, the partition learns it by a commit.
                if let Some(consuming) = &reader.consuming {
                    let _ = consuming.commands.send(Command::Anchor);
                }
                tokio::select! {
                    () = cancel.cancelled() => return Ok(()),
                    () = tokio::time::sleep(REOPEN_AFTER) => {}
                }
            }
            other => return other,
        }
    }
}

async fn read(reader: &mut ReaderSpec, decoder: Decoder) -> Result<(), ReaderError> {
    let failed = |error| ReaderError::Source { name: reader.spec.name.clone(), error };
    // The reader serves the partition that is furthest behind; the others skip what they know.
    let furthest_behind =
        || reader.positions.iter().min_by_key(|p| p.map_or(Sequence(0), |p| p.sequence)).copied();
    let begins = || match reader.spec.start {
        Start::Beginning => None,
        Start::Behind { sequence, stream_created_ns } => {
            Some(SourcePosition { stream_created_ns, ..never_read(reader.source, sequence) })
        }
    };
    let behind = reader.handed_over.or_else(|| furthest_behind().flatten()).or_else(begins);
    let start = behind.map_or(StartAt::Beginning, |position| StartAt::After(position.sequence));
    let options = SourceOptions {
        stream: reader.spec.stream.clone(),
        filters: reader.spec.subject.iter().cloned().collect(),
        start,
        created_ns: behind.filter(|p| p.stream_created_ns != 0).map(|p| p.stream_created_ns),
        ahead: ReadAhead::default(),
        consume: reader.consume(),
    };
    let mut source = SourceReader::open(&reader.connection, options).await.map_err(failed)?;
    let facts = source.facts().await.map_err(failed)?;
    let known: Vec<SourcePosition> =
        reader.positions.iter().chain([&reader.handed_over]).flatten().copied().collect();
    for position in &known {
        check_identity(&source, position, facts.created_ns).await.map_err(|e| match e {
            Ok(incident) => ReaderError::Incident(incident),
            Err(error) => failed(error),
        })?;
    }
    let unread = SourcePosition::unread(reader.source);
    let start = SourcePosition { stream_created_ns: facts.created_ns, ..behind.unwrap_or(unread) };
    let mut router =
        Router::new(reader.input, decoder, reader.partitions, start).with(reader.envelopes);
    reader.lanes.left_out(&mut router);
    let head = &reader.heads[usize::from(reader.source.0)];
    let watermark = reader.spec.watermark;
    let mut idleness = Idleness::new(watermark.idle_after);
    let mut batch: Vec<Delivery> = Vec::new();
    loop {
        batch.clear();
        // Partitions that were ahead of this reader have the same as the others only once it has come as far.
        let stands = router.position().sequence;
        let may_wait = reader.handed_over.is_some() || reader.positions.iter().all(Option::is_some);
        let may_wait = may_wait && known.iter().all(|position| position.sequence <= stands);
        let event = {
            let watching = std::pin::pin!(reader.next(&mut source, &mut idleness, &mut batch));
            tokio::select! {
                biased;
                event = watching => event,
                never = reader.gate.tell(reader.inlet, stands), if may_wait => match never {},
            }
        };
        if may_wait {
            reader.gate.pass(reader.inlet, stands).await;
        }
        let Some(event) = event.map_err(failed)? else {
            tracing::debug!(source = %reader.spec.name, "the source is idle");
            let position = router.position();
            reader.pace.reached(reader.source.0.into(), position.max_event_time, true);
            let chunks = router.finish(position.sequence.0, Ends::Idle);
            if !reader.lanes.hand_over(chunks, &mut router).await {
                return Ok(());
            }
            continue;
        };
        let behind = watermark_of(router.position().max_event_time, watermark.bound_ms);
        let through = match event {
            SourceEvent::Records { pending } => {
                let through =
                    route(&mut router, &mut batch, redrive::is_redriven(&reader.spec.name));
                head.store(through + pending, Ordering::Relaxed);
                through
            }
            SourceEvent::CaughtUp { through } => {
                head.store(through.0, Ordering::Relaxed);
                through.0
            }
            SourceEvent::Gap { from, through } => {
                if reader.spec.on_gap == OnGap::Stop {
                    return Err(Incident::SourceGap {
                        source_id: reader.source,
                        from,
                        to: through,
                    }
                    .into());
                }
                tracing::warn!(source = %reader.spec.name, from = from.0, through = through.0, "lost records are passed over as the manifest says");
                through.0
            }
        };
        let input = usize::from(reader.source.0);
        if let Some(within_ms) = watermark.align_within_ms
            && matches!(event, SourceEvent::Records { .. })
        {
            reader.pace.reached(input, behind, false);
            reader.pace.wait(input, behind, within_ms).await;
        }
        let ends = if idleness.is_idle() { Ends::Idle } else { Ends::Open };
        let chunks = router.finish(through, ends);
        if !reader.lanes.hand_over(chunks, &mut router).await {
            return Ok(());
        }
        let position = router.position();
        let reached = watermark_of(position.max_event_time, watermark.bound_ms);
        reader.pace.reached(input, reached, ends == Ends::Idle);
        reader.handed_over = Some(position);
    }
}

impl ReaderSpec {
    /// What is committed of the source.
    fn committed(&self) -> Sequence {
        let committed = self.positions.iter().map(|p| p.map_or(Sequence(0), |p| p.sequence));
        let said =
            self.consuming.as_ref().map(|c| c.board.committed_of(usize::from(self.source.0)));
        committed.min().max(said).unwrap_or(Sequence(0))
    }

    fn consume(&self) -> Option<Consume> {
        let prefix = self.consuming.as_ref()?.prefix.clone();
        Some(Consume { prefix, committed: self.committed() })
    }

    /// The next event of the source; `None` when it has just become idle. Meanwhile what is committed is acknowledged.
    async fn next(
        &self,
        source: &mut SourceReader,
        idleness: &mut Idleness,
        batch: &mut Vec<Delivery>,
    ) -> Result<Option<SourceEvent>, SourceError> {
        let Some(consuming) = &self.consuming else { return idleness.watch(source, batch).await };
        let mut committed = self.committed();
        loop {
            source.acknowledge(committed);
            tokio::select! {
                biased;
                beyond = consuming.board.committed_beyond(usize::from(self.source.0), committed) => {
                    committed = beyond;
                }
                // A dropped call loses nothing.
                event = idleness.watch(source, batch) => return event,
            }
        }
    }
}

/// Whether a source has had nothing to read for so long that nobody shall wait for it.
struct Idleness {
    after: Option<Duration>,
    /// Since when we wait for a record; `None`: what came is being handed over.
    since: Option<Instant>,
    idle: bool,
}

impl Idleness {
    fn new(after: Option<Duration>) -> Self {
        Self { after, since: None, idle: false }
    }

    fn is_idle(&self) -> bool {
        self.idle
    }

    /// The next event of the source; `None` when it has just become idle. A source is not idle while it cannot be
    /// reached or while its records wait for us.
    async fn watch(
        &mut self,
        source: &mut SourceReader,
        batch: &mut Vec<Delivery>,
    ) -> Result<Option<SourceEvent>, SourceError> {
        loop {
            let since = *self.since.get_or_insert_with(Instant::now);
            let deadline = self.after.filter(|_| !self.idle).map(|after| since + after);
            let event = match deadline {
                None => source.next(batch).await?,
                // A dropped call loses nothing.
                Some(deadline) => match timeout_at(deadline, source.next(batch)).await {
                    Ok(event) => event?,
                    Err(_) if source.is_caught_up() => {
                        self.idle = true;
                        return Ok(None);
                    }
                    Err(_) => {
                        self.since = None;
                        continue;
                    }
                },
            };
            if !matches!(event, SourceEvent::CaughtUp { .. }) {
                (self.since, self.idle) = (None, false);
            }
            return Ok(Some(event));
        }
    }
}

/// Routes the deliveries; returns the last sequence. Redriven records are read as they were at first.
fn route(router: &mut Router, batch: &mut Vec<Delivery>, redriven: bool) -> u64 {
    let mut last = 0;
    for delivery in batch.drain(..) {
        let Before { attempts, subject, arrived_ms } = if redriven {
            redrive::before(&delivery)
        } else {
            let arrived_ms = delivery.time_ns / 1_000_000;
            Before { attempts: 0, subject: &delivery.subject, arrived_ms }
        };
        last = delivery.sequence.0;
        router.add(Raw {
            sequence: last,
            time_ns: delivery.time_ns,
            arrived_ms,
            subject: Bytes::copy_from_slice(subject.as_bytes()),
            headers: delivery.headers.map(Arc::new),
            attempts,
            payload: delivery.payload,
        });
    }
    last
}

/// Whether the stream is still the one that was read. `Err(Ok(..))`: it is not; `Err(Err(..))`: could not be asked.
async fn check_identity(
    source: &SourceReader,
    position: &SourcePosition,
    created_ns: i64,
) -> Result<(), Result<Incident, SourceError>> {
    if position.stream_created_ns != 0 && position.stream_created_ns != created_ns {
        return Err(Ok(Incident::SourceRecreated {
            source_id: position.source,
            read_ns: position.stream_created_ns,
            found_ns: created_ns,
        }));
    }
    if position.last_sequence.0 == 0 {
        return Ok(());
    }
    match source.time_of(position.last_sequence).await.map_err(Err)? {
        Some(time) if time != position.last_time_ns => Err(Ok(Incident::SourceRolledBack {
            source_id: position.source,
            sequence: position.last_sequence,
        })),
        _ => Ok(()),
    }
}
