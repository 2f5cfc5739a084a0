//! The partition: the state machine that owns a subject of the log. It does no
//! I/O. Whoever runs it hands in [`Event`]s and carries out the [`Action`]s; the
//! operator ([`Operator`]) computes.
//!
//! ```text
//!  New --start--> ReadingTail --> TakingOver --refused: the tail moved--> (again)
//!                                    | landed
//!        local state? ---------------+------------------ none
//!             |                                           |
//!         Checking: are both its points in the log?       |
//!             | yes                | no: wipe             v
//!             |                    +---------------> Replaying --log no longer starts at 1--> Restoring
//!             +--------------------------------------> ^   |                                  |
//!                   (points of a checkpoint must match) +---|----------- Checking <------------+
//!                                                           | own takeover reached
//!                                                        Running <--> one commit in flight
//!                                                           | Drain
//!                                                        Draining --> Stopped
//!  Any phase: --a newer owner, a host fault--> Stopped
//!  Any phase behind TakingOver: --an incident--> Confirming --own commit landed--> Stopped
//! ```
//!
//! Architecture invariants:
//! - Nothing is decided by reading the log alone. A refusal plus a read decides
//!   ([`crate::append`]); the takeover comes first, and only what is read after it
//!   was acknowledged is believed to be complete.
//! - One append is in flight. The slice behind it grows meanwhile and belongs to
//!   the operator's overlay; it becomes a commit only when the one before it is
//!   acknowledged, and is dropped with the whole partition when that is fenced.
//! - An incident counts only if who met it still is the owner: a former one, late, finds
//!   sources trimmed and records purged as it should be. So a commit comes first.
//! - Every record repeats processing time, watermark, positions and cursors, so
//!   that the last record says alone where to go on.

mod cursors;
mod recovering;
mod running;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use bytes::Bytes;

use crate::append::{AppendReply, Attempt};
use crate::commit::{CommitHeader, CommitKind, CommitRecord, Compression, encode};
use crate::exchange::{Exchange, UpstreamPosition};
use crate::ids::{CommitNumber, Generation, Incarnation, LogPoint, Sequence, WATERMARK_MIN};
use crate::incident::Incident;
use crate::outputs::Outputs;
use crate::recovery::{BEFORE_FIRST, Chain, LocalState, StoredRecord};
use crate::slice::{EgressCursor, Slice, SourcePosition};

use cursors::Cursors;

/// Wait before something is tried again after the first failure, milliseconds; doubles up to [`RETRY_MS_MAX`].
pub const RETRY_MS_MIN: u64 = 10;
/// Longest wait before something is tried again, milliseconds.
pub const RETRY_MS_MAX: u64 = 2_000;
/// So often in a row may a record that was acknowledged be missing from what is read.
pub const EMPTY_READS_MAX: u32 = 60;

/// The wait before try number `retries` + 1.
fn retry_ms(retries: u32) -> u64 {
    (RETRY_MS_MIN << retries.min(16)).min(RETRY_MS_MAX)
}

/// What a call of [`Operator::compute`] came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Computed {
    /// Nothing was there to do; positions may have moved over records of other partitions.
    Nothing,
    /// The slice has more to commit than before; there may be more to do.
    Some,
    /// The slice holds all that fits.
    Full,
}

/// Why an operator goes no further.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Halt {
    /// A record failed and the manifest says `on-error: stop`. What the slice holds comes before it
    /// and is committed.
    #[error("{0}")]
    Poison(String),
    /// The host failed. What the slice holds is dropped.
    #[error("{0}")]
    Fault(String),
}

/// What computes. It owns its input queue, the state with its overlay of commits that are not
/// acknowledged yet, and the timers.
pub trait Operator {
    /// What the local database says of itself; `None` when there is none or it is empty.
    fn local(&self) -> Option<LocalState>;

    /// Forgets everything, in memory and in the local database.
    fn wipe(&mut self);

    /// Applies a record of the log while recovering: state, timers, positions, watermark. Records come
    /// in order from behind [`LocalState::redo_from`], so some effects may be there already. The last
    /// one is the owner's own takeover.
    fn redo(&mut self, record: &CommitRecord, point: LogPoint) -> Result<(), Incident>;

    /// Goes on computing commit `number`: applies due timers and queued input on top of `slice`, which
    /// holds what earlier calls for this number left, and keeps `slice.encoded_bytes_max()` at
    /// `bytes_max` or below. `slice.processing_time` is the clock. Does at most some milliseconds of work.
    fn compute(
        &mut self,
        number: CommitNumber,
        bytes_max: usize,
        slice: &mut Slice,
    ) -> Result<Computed, Halt>;

    /// The oldest computed commit is in the log: its effects may be written to the database.
    fn acknowledged(&mut self, point: LogPoint);
}

/// A sink of the pipeline as the partition needs to know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SinkConfig {
    /// Which sink.
    pub sink: u16,
    /// The duplicate window of its stream, milliseconds. A cursor is in the log within a part of it.
    pub duplicate_window_ms: i64,
    /// Last sequence of its stream when the sink was added to the pipeline.
    pub sequence_at_start: Sequence,
}

/// What a partition is started with.
#[derive(Clone, Debug)]
pub struct PartitionConfig {
    /// Which life of the pipeline the log must be of.
    pub pipeline: Incarnation,
    /// A fresh random number: this ownership.
    pub owner: Incarnation,
    /// SHA-256 of the module.
    pub module: [u8; 32],
    /// Largest message that the server takes, bytes.
    pub commit_bytes_max: usize,
    /// Whether to compress.
    pub compression: Compression,
    /// The sinks.
    pub sinks: Vec<SinkConfig>,
    /// A partition without own records commits how far it scanned after this time, milliseconds.
    pub quiet_commit_ms: i64,
    /// Above this many bytes of outputs that some sink lacks, no more is computed.
    pub backlog_bytes_max: usize,
}

/// What a sink's egress tells the partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EgressReport {
    /// How far it is.
    pub cursor: EgressCursor,
    /// Whether it published outputs since the last report (and did not only pass commits without any).
    pub published: bool,
}

/// What happened. An answer to a question that is no longer open is ignored.
#[derive(Clone, Debug)]
pub enum Event {
    /// Answer to [`Action::ReadTail`].
    Tail(Option<StoredRecord>),
    /// Answer to [`Action::Append`]: exactly one to each.
    Append(AppendReply),
    /// Answer to [`Action::ReadRecord`].
    Record(Option<StoredRecord>),
    /// Answer to [`Action::ReadRecords`]: some of them in order without omissions, at least one if there is one.
    Records(Vec<StoredRecord>),
    /// Answer to [`Action::Restore`]: whether there was a checkpoint. The operator has its database by now.
    Restored {
        /// Whether there was one.
        found: bool,
    },
    /// A sink got further.
    Egress(EgressReport),
    /// The operator's queue has input, or its timers may be due.
    Input,
    /// Time has passed: [`Partition::wake_at`], or [`Partition::wants_turn`].
    Tick,
    /// The log cannot be trimmed because of this partition's last record.
    Anchor,
    /// A source met something that must not be passed over.
    Incident(Incident),
    /// Commit what is computed, let the sinks catch up, stop.
    Drain,
}

/// What is to be done.
#[derive(Clone, Debug)]
pub enum Action {
    /// Read the last record of the partition's subject.
    ReadTail,
    /// Publish with the expected last sequence of the subject, after a wait.
    Append {
        /// The bytes.
        message: Bytes,
        /// The expected last sequence; 0: none.
        expected: Sequence,
        /// Wait before sending, milliseconds.
        delay_ms: u64,
    },
    /// The partition is this owner's: open the egress of each sink at its cursor.
    TakenOver {
        /// The takeover.
        point: LogPoint,
        /// The generation.
        generation: Generation,
        /// One per sink.
        cursors: Vec<EgressCursor>,
        /// When the takeover was sent, milliseconds.
        confirmed_at_ms: i64,
    },
    /// Read the record at a sequence.
    ReadRecord {
        /// Where.
        sequence: Sequence,
    },
    /// Read records of the subject in order.
    ReadRecords {
        /// The first one has this sequence or the next higher one.
        from: Sequence,
        /// Wait before reading, milliseconds.
        delay_ms: u64,
    },
    /// The local database was of another history and has been wiped (a notice).
    Wiped {
        /// What it said of itself.
        local: LocalState,
    },
    /// Hand the newest intact checkpoint to the operator as its database, if there is one.
    Restore,
    /// Recovery is over: attach the sources behind these positions.
    Running {
        /// One per source; none before the first commit.
        positions: Vec<SourcePosition>,
        /// One per partition of each upstream stage; none before the first commit.
        upstream: Vec<UpstreamPosition>,
    },
    /// A commit is in the log: its outputs go to the sinks and downstream.
    Committed {
        /// Which.
        point: LogPoint,
        /// Its outputs, possibly none.
        outputs: Outputs,
        /// What stages that read this one must know of it; none for one that was committed before the takeover.
        exchange: Option<Exchange>,
        /// When the latest acknowledged append of this owner was sent, milliseconds: up to then the
        /// partition surely was its own.
        confirmed_at_ms: i64,
    },
    /// The end. Nothing follows.
    Stopped(Stopped),
}

/// Why a partition stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// A newer owner has it, or it is sealed and nobody may have it.
    Fenced {
        /// Its generation.
        by: Generation,
    },
    /// As asked; everything is committed and published.
    Drained,
    /// The operator stopped it.
    Halted(Halt),
    /// Something contradicts what was promised, and the partition was this owner's when it did.
    Incident(Incident),
}

/// The state machine of one partition under one owner.
#[derive(Debug)]
pub struct Partition<O> {
    config: PartitionConfig,
    operator: O,
    phase: Phase,
    generation: Generation,
    /// The last record in the log that is known to be there.
    last: Frontier,
    in_flight: Option<InFlight>,
    /// What is computed behind it.
    next: Next,
    cursors: Cursors,
    /// Whether the operator may have something to do.
    input: bool,
    /// Whether a record is wanted for its place in the log alone.
    anchor: bool,
    /// Whether nothing more is to be computed for now.
    held: bool,
    /// Revision of the pipeline's record by which it runs.
    recorded: u64,
    /// What the checkpoint said of itself that was restored last.
    restored: Option<LocalState>,
    /// A slice whose buffers wait to be used again.
    spare: Slice,
    /// The last record as it was sent; a buffer, kept because fresh memory of that size costs more than the copy.
    encoded: Vec<u8>,
    /// When the latest acknowledged append was sent.
    confirmed_at_ms: i64,
    /// The latest time handed in.
    now_ms: i64,
}

#[derive(Debug)]
enum Phase {
    New,
    ReadingTail,
    TakingOver,
    Checking {
        local: LocalState,
        open: VecDeque<LogPoint>,
    },
    /// The incident if there is no checkpoint to go on from.
    Restoring(Incident),
    Replaying(Replay),
    Running,
    Draining(Stopped),
    Confirming {
        incident: Incident,
        sent: bool,
    },
    Stopped,
}

#[derive(Debug)]
struct Replay {
    chain: Chain,
    redo_from: LogPoint,
    /// Where to read on.
    from: Sequence,
    empty_reads: u32,
    started: bool,
}

/// Where the log stands.
#[derive(Clone, Debug)]
struct Frontier {
    point: LogPoint,
    processing_time: i64,
    watermark: i64,
    positions: Vec<SourcePosition>,
    upstream: Vec<UpstreamPosition>,
    /// What the next record repeats of it, if other stages read this one.
    exchange: Option<Exchange>,
    /// From where on its cursors need the log; none without sinks.
    sinks_need: Option<Sequence>,
}

#[derive(Debug)]
struct InFlight {
    attempt: Attempt,
    number: CommitNumber,
    message: Bytes,
    slice: Slice,
    /// From where on its cursors need the log.
    sinks_need: Option<Sequence>,
    first_sent_at_ms: i64,
    retries: u32,
    /// The last record is being read because the append was refused.
    refused: bool,
}

#[derive(Debug, Default)]
struct Next {
    slice: Slice,
    /// It holds more than positions.
    work: bool,
    full: bool,
}

impl<O: Operator> Partition<O> {
    /// A partition that has done nothing yet.
    pub fn new(config: PartitionConfig, operator: O) -> Self {
        let cursors = Cursors::new(&config.sinks);
        let last = Frontier {
            point: BEFORE_FIRST,
            processing_time: 0,
            watermark: WATERMARK_MIN,
            positions: Vec::new(),
            upstream: Vec::new(),
            exchange: None,
            sinks_need: None,
        };
        Self {
            config,
            operator,
            phase: Phase::New,
            generation: Generation(0),
            last,
            in_flight: None,
            next: Next::default(),
            cursors,
            input: false,
            anchor: false,
            held: false,
            recorded: 0,
            restored: None,
            spare: Slice::default(),
            encoded: Vec::new(),
            confirmed_at_ms: 0,
            now_ms: 0,
        }
    }

    /// Which revision of the pipeline's record says that the partition is to run: a log that is sealed for a switch based on an
    /// earlier one may be taken over ([`crate::seal`]). Before it is started; without it no sealed log may.
    pub fn runs_by(&mut self, revision: u64) {
        debug_assert!(matches!(self.phase, Phase::New), "told too late");
        self.recorded = revision;
    }

    /// Begins to take the partition over.
    pub fn start(&mut self, out: &mut Vec<Action>) {
        debug_assert!(matches!(self.phase, Phase::New), "started twice");
        self.phase = Phase::ReadingTail;
        out.push(Action::ReadTail);
    }

    /// Takes an event at `now_ms` (milliseconds since 1970 UTC) and appends what is to be done.
    pub fn handle(&mut self, now_ms: i64, event: Event, out: &mut Vec<Action>) {
        // A clock that is set back must neither regress processing time nor make old facts look fresh.
        self.now_ms = self.now_ms.max(now_ms);
        let now_ms = self.now_ms;
        let result = match event {
            Event::Tail(tail) => self.on_tail(now_ms, tail, out),
            Event::Append(reply) => self.on_append(reply, out),
            Event::Record(found) => self.on_record(found, out),
            Event::Records(records) => self.on_records(&records, out),
            Event::Restored { found } => self.on_restored(found, out),
            Event::Egress(report) => {
                self.cursors.report(now_ms, report);
                Ok(())
            }
            // With time, timers of the processing-time domain may have come due.
            Event::Input | Event::Tick => {
                self.input = true;
                Ok(())
            }
            Event::Anchor => {
                self.anchor = true;
                Ok(())
            }
            Event::Incident(incident) => Err(Stopped::Incident(incident)),
            Event::Drain => self.on_drain(),
        };
        let result = match result {
            Err(Stopped::Incident(incident)) if self.must_confirm(&incident) => {
                self.confirm(incident);
                Ok(())
            }
            result => result,
        };
        if let Err(stopped) = result.and_then(|()| self.turn(now_ms, out)) {
            self.stop(stopped, out);
        }
    }

    /// Whether the operator has more to do at once: hand in [`Event::Tick`] when nothing else is there.
    pub fn wants_turn(&self) -> bool {
        matches!(self.phase, Phase::Running) && self.may_compute()
    }

    /// When [`Event::Tick`] is wanted at the latest, milliseconds; the operator's own timers aside.
    pub fn wake_at(&self) -> Option<i64> {
        if !matches!(self.phase, Phase::Running | Phase::Draining(_)) {
            return None;
        }
        let quiet = self
            .has_moved()
            .then(|| self.confirmed_at_ms.saturating_add(self.config.quiet_commit_ms));
        [self.cursors.due_at(self.confirmed_at_ms), quiet].into_iter().flatten().min()
    }

    /// The operator.
    pub fn operator(&self) -> &O {
        &self.operator
    }

    /// The operator, to feed its queue, restore its database or exchange its module.
    pub fn operator_mut(&mut self) -> &mut O {
        &mut self.operator
    }

    /// The generation claimed or held; 0 before.
    pub fn generation(&self) -> Generation {
        self.generation
    }

    /// The last record known to be in the log.
    pub fn last(&self) -> LogPoint {
        self.last.point
    }

    /// The positions of the last record known to be in the log.
    pub fn positions(&self) -> &[SourcePosition] {
        &self.last.positions
    }

    /// The places in upstream stages of the last record known to be in the log.
    pub fn upstream(&self) -> &[UpstreamPosition] {
        &self.last.upstream
    }

    /// The record with which a new owner would go on behind the last one: where the partition stands, for a savepoint.
    pub fn standing(&self) -> Bytes {
        let header = CommitHeader {
            kind: CommitKind::Takeover,
            generation: self.generation,
            owner: self.config.owner,
            pipeline: self.config.pipeline,
            number: CommitNumber(self.last.point.number.0 + 1),
            prev_hash: self.last.point.hash,
            module: self.config.module,
        };
        let mut message = Vec::new();
        encode(&header, &self.repeated(), &[], Compression::Off, &mut message);
        message.into()
    }

    /// What a record without effects says behind the last one.
    fn repeated(&self) -> Slice {
        Slice {
            processing_time: self.last.processing_time,
            watermark: self.last.watermark,
            positions: self.last.positions.clone(),
            upstream: self.last.upstream.clone(),
            exchange: self.last.exchange.clone(),
            ..Slice::default()
        }
    }

    /// From where on the log must be kept for the sinks, as the last record known to be in it says: what they have got since
    /// is forgotten in a crash. `None` without sinks.
    pub fn sinks_need(&self) -> Option<Sequence> {
        self.last.sinks_need
    }

    /// How far the sinks are.
    pub fn cursors(&self) -> Vec<EgressCursor> {
        self.cursors.current()
    }

    /// Whether recovery is over and the end is not reached.
    pub fn is_running(&self) -> bool {
        matches!(self.phase, Phase::Running)
    }

    /// Whether nothing is computed, in flight, or missing in a sink.
    pub fn is_settled(&self) -> bool {
        self.in_flight.is_none() && !self.next.work && self.cursors.backlog_bytes() == 0
    }

    /// Stops computing, or goes on. While held, what is computed is committed and the sinks catch up,
    /// so that a boundary ([`Partition::is_at_boundary`]) or a standstill ([`Partition::is_settled`])
    /// is reached within one or two commits.
    pub fn hold(&mut self, held: bool) {
        self.held = held;
    }

    /// Whether nothing is computed that is not yet on its way: the module may be exchanged now, and
    /// what is computed from now on says so.
    pub fn is_at_boundary(&self) -> bool {
        !self.next.work
    }

    /// Records in commits from now on that `module` computed them. Only at a boundary.
    pub fn set_module(&mut self, module: [u8; 32]) {
        debug_assert!(self.is_at_boundary(), "a slice is computed by one module");
        self.config.module = module;
    }

    /// Whether the operator may compute.
    fn may_compute(&self) -> bool {
        self.input && !self.held && !self.next.full && !self.is_backlogged()
    }

    fn is_backlogged(&self) -> bool {
        self.cursors.backlog_bytes() > self.config.backlog_bytes_max
    }

    /// Whether positions have moved since the last record.
    pub fn has_moved(&self) -> bool {
        self.next.slice.positions != self.last.positions
    }

    /// Whether the last record says all there is to say: positions, and how far the sinks are. A settled partition that is
    /// held then commits nothing more unless it is asked to, so that its log can be sealed.
    pub fn is_recorded(&self) -> bool {
        !self.has_moved() && !self.cursors.is_unrecorded()
    }

    /// Whether an incident may be the view of a former owner. What an append itself met is not.
    fn must_confirm(&self, incident: &Incident) -> bool {
        let of_append = matches!(
            incident,
            Incident::ForeignWrite { .. }
                | Incident::LogVanished { .. }
                | Incident::CommitTooLarge { .. }
        );
        let owner = !matches!(
            self.phase,
            Phase::New | Phase::ReadingTail | Phase::TakingOver | Phase::Stopped
        );
        owner && !of_append
    }

    fn stop(&mut self, stopped: Stopped, out: &mut Vec<Action>) {
        if !matches!(self.phase, Phase::Stopped) {
            self.phase = Phase::Stopped;
            self.in_flight = None;
            self.next = Next::default();
            out.push(Action::Stopped(stopped));
        }
    }
}
