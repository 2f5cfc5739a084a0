//! The task of one partition: carries out what `millstream_core::partition` decides.

mod resting;

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use millstream_core::append::AppendReply;
use millstream_core::exchange::UpstreamPosition;
use millstream_core::ids::{CommitNumber, LogPoint, Sequence};
use millstream_core::incident::Incident;
use millstream_core::outputs::Outputs;
use millstream_core::partition::{Action, Event, Halt, Partition, Stopped};
use millstream_core::recovery::StoredRecord;
use millstream_core::slice::{EgressCursor, SourcePosition};
use millstream_log::commit_log::{Append, CommitLog, Entry, LogError, PartitionSubject, Refusal};
use millstream_state::ErrorKind;
use tokio::sync::{mpsc, oneshot};

use self::resting::Resting;
pub use self::resting::{Reach, Rested};
use super::broken::{self, BrokenAppend};
use super::checkpoint::{self, CheckpointStore};
use super::commits::{Commits, Committed};
use super::egress::{self, EgressSpec, EgressStart, Offer};
use super::operator::StageOperator;
use super::report::Board;
use crate::clock;
use crate::crash::{self, Step};
use crate::executor::Swap;
use crate::input::Chunk;
use crate::planted::{self, Bug};
use crate::status::{CheckpointInfo, Phase};

/// Records that may wait for the operator; more chunks are not taken.
const QUEUED_RECORDS_MAX: usize = 16_384;
/// Records of the log read in one go while recovering.
const REPLAY_RECORDS: usize = 256;
/// Wait before checkpoints that could not be read are tried again.
const RESTORE_AGAIN_AFTER: Duration = Duration::from_secs(1);
/// Wait before a read of the log is tried again.
const READ_AGAIN_AFTER: Duration = Duration::from_millis(200);
/// Bytes of state written to the database in one go on the way to a checkpoint: about a millisecond, which records wait.
const PREPARE_STEP_BYTES: usize = 64 << 10;
/// Steps on the way to a checkpoint, at most: under full load there always is something left to write.
const PREPARE_STEPS_MAX: u32 = 1_000;
/// A partition looks at its timers at least this often, milliseconds.
const TICK_MS_MAX: i64 = 1_000;

/// What others ask of a partition.
pub enum Command {
    /// Compute nothing, or go on.
    Hold(bool),
    /// Use another module from the next commit boundary on.
    Swap(Box<Swap>, Swapped),
    /// At the next commit boundary forget what readers have handed over, and take it from here: others are started, from where
    /// [`Notice::Running`] says.
    Reread(mpsc::Receiver<Chunk>),
    /// Write an empty commit, so that the log can be trimmed.
    Anchor,
    /// Store a checkpoint if anything changed; answer with the newest.
    Checkpoint(Checkpointed),
    /// Come to rest once each input is applied that far, and say what there is for a savepoint.
    Rest(Vec<Reach>, oneshot::Sender<Result<Rested, String>>),
    /// Go on after a rest.
    Go,
    /// Look into the state.
    Inspect(Box<dyn FnOnce(&mut StageOperator) + Send>),
    /// Something a source met.
    Incident(Incident),
    /// Commit, let the sinks catch up, stop.
    Drain,
}

/// What a partition tells the pipeline.
pub enum Notice {
    /// Partitions were opened that take what is read for them from here: (stage, partition, feed).
    Opened(Vec<(usize, u16, mpsc::Sender<Chunk>)>),
    /// Recovery is over, or readers were given up ([`Command::Reread`]); sources go on behind these positions.
    Running {
        stage: usize,
        partition: u16,
        positions: Vec<SourcePosition>,
        upstream: Vec<UpstreamPosition>,
    },
    /// It ended.
    Stopped { stage: usize, partition: u16, why: Stopped },
}

/// What a partition task is made of.
pub struct PartitionTask {
    pub stage: usize,
    pub partition: u16,
    pub machine: Partition<StageOperator>,
    pub log: Arc<dyn CommitLog>,
    pub subject: PartitionSubject,
    pub sinks: Vec<EgressSpec>,
    pub store: CheckpointStore,
    pub chunks: mpsc::Receiver<Chunk>,
    pub commands: mpsc::UnboundedReceiver<Command>,
    pub notices: mpsc::UnboundedSender<Notice>,
    pub board: Arc<Board>,
    /// Where the stages that read this one find its commits, if there are any.
    pub commits: Option<Arc<Commits>>,
}

/// A checkpoint being uploaded.
type Upload = BoxFuture<'static, Result<(CheckpointInfo, Sequence), String>>;

/// Answer to [`Command::Swap`]: how long the partition computed nothing.
type Swapped = oneshot::Sender<Result<Duration, String>>;
/// Answer to [`Command::Checkpoint`].
type Checkpointed = oneshot::Sender<Result<Option<CheckpointInfo>, String>>;

/// A swap that waits for a commit boundary.
struct PendingSwap {
    swap: Box<Swap>,
    done: Swapped,
    since: tokio::time::Instant,
}

struct Running {
    task: PartitionTask,
    answers: FuturesUnordered<BoxFuture<'static, Event>>,
    offers: Vec<mpsc::UnboundedSender<Offer>>,
    reports: (mpsc::UnboundedSender<Event>, mpsc::UnboundedReceiver<Event>),
    swap: Option<PendingSwap>,
    reread: Option<mpsc::Receiver<Chunk>>,
    resting: Option<Resting>,
    held: bool,
    /// Steps left before a checkpoint that was asked for is taken.
    preparing: Option<u32>,
    uploads: FuturesUnordered<Upload>,
    waiting: Vec<(CommitNumber, Checkpointed)>,
    stored: Option<LogPoint>,
    /// Whether the takeover is in the log.
    owns: bool,
}

impl PartitionTask {
    /// Runs the partition until it stops.
    pub async fn run(self) {
        let mut running = Running {
            task: self,
            answers: FuturesUnordered::new(),
            offers: Vec::new(),
            reports: mpsc::unbounded_channel(),
            swap: None,
            reread: None,
            resting: None,
            held: false,
            preparing: None,
            uploads: FuturesUnordered::new(),
            waiting: Vec::new(),
            stored: None,
            owns: false,
        };
        let (stage, partition) = (running.task.stage, running.task.partition);
        let why = running.serve().await;
        running.task.board.update(|status| {
            status.phase = if why == Stopped::Drained { Phase::Stopped } else { Phase::Failed };
            status.reason = (why != Stopped::Drained).then(|| reason(&why));
        });
        let notices = running.task.notices.clone();
        // Who hears that it has stopped may open its database.
        drop(running);
        // The pipeline may be gone already.
        let _ = notices.send(Notice::Stopped { stage, partition, why });
    }
}

/// Why a partition stopped, in words.
pub fn reason(why: &Stopped) -> String {
    match why {
        Stopped::Fenced { by } => {
            format!("another node took the partition over (generation {})", by.0)
        }
        Stopped::Drained => "stopped as asked".to_owned(),
        Stopped::Halted(halt) => halt.to_string(),
        Stopped::Incident(incident) => incident.to_string(),
    }
}

impl Running {
    async fn serve(&mut self) -> Stopped {
        let mut actions = Vec::new();
        self.task.machine.start(&mut actions);
        loop {
            for action in actions.drain(..) {
                if let Some(why) = self.execute(action) {
                    return why;
                }
            }
            self.after_turn();
            let event = self.next_event().await;
            let event = match event.map(|event| self.reopened(event)).transpose() {
                Ok(event) => event,
                Err(why) => return why,
            };
            if let Some(event) = event {
                self.task.machine.handle(clock::now_ms(), event, &mut actions);
            }
        }
    }

    /// What was restored into the folder becomes the operator's database before the machine looks at it. Ends the
    /// partition if the module cannot read what is in it: an older checkpoint would not help.
    fn reopened(&mut self, event: Event) -> Result<Event, Stopped> {
        if !matches!(event, Event::Restored { found: true }) {
            return Ok(event);
        }
        match self.task.machine.operator_mut().reopen() {
            Ok(()) => Ok(event),
            Err(error) if error.kind() == ErrorKind::Refuse => {
                let why = format!("the checkpoint does not fit the module: {error}");
                Err(Stopped::Halted(Halt::Fault(why)))
            }
            Err(error) => {
                tracing::error!(%error, "restored checkpoint cannot be opened");
                Ok(Event::Restored { found: false })
            }
        }
    }

    /// Waits for whatever comes next. `None`: it was dealt with here.
    async fn next_event(&mut self) -> Option<Event> {
        let machine = &self.task.machine;
        let room =
            machine.operator().executor.queued() < QUEUED_RECORDS_MAX && machine.is_running();
        let wants_turn = machine.wants_turn() || self.preparing.is_some();
        let now = clock::now_ms();
        let timer = machine.operator().executor.next_processing_timer();
        let wake = [machine.wake_at(), timer]
            .into_iter()
            .flatten()
            .min()
            .unwrap_or(i64::MAX)
            .min(now + TICK_MS_MAX);
        let sleep = Duration::from_millis((wake - now).max(1) as u64);
        tokio::select! {
            biased;
            Some(event) = self.answers.next(), if !self.answers.is_empty() => Some(event),
            Some(report) = self.reports.1.recv() => Some(report),
            Some(command) = self.task.commands.recv() => self.command(command),
            Some(done) = self.uploads.next(), if !self.uploads.is_empty() => {
                self.uploaded(done);
                None
            }
            Some(chunk) = self.task.chunks.recv(), if room => {
                let operator = self.task.machine.operator_mut();
                operator.executor.push(chunk);
                // What has arrived already belongs to the same slice.
                while operator.executor.queued() < QUEUED_RECORDS_MAX && let Ok(chunk) = self.task.chunks.try_recv() {
                    operator.executor.push(chunk);
                }
                Some(Event::Input)
            }
            () = std::future::ready(()), if wants_turn => {
                // Others run between two turns.
                tokio::task::yield_now().await;
                Some(Event::Tick)
            }
            () = tokio::time::sleep(sleep), if !wants_turn => Some(Event::Tick),
        }
    }

    fn command(&mut self, command: Command) -> Option<Event> {
        match command {
            Command::Hold(held) => {
                self.held = held;
                self.hold();
                self.task.board.update(|s| {
                    if matches!(s.phase, Phase::Running | Phase::Paused) {
                        s.phase = if held { Phase::Paused } else { Phase::Running };
                    }
                });
                Some(Event::Input)
            }
            Command::Swap(swap, done) => {
                self.swap = Some(PendingSwap { swap, done, since: tokio::time::Instant::now() });
                self.hold();
                None
            }
            Command::Reread(chunks) => {
                self.reread = Some(chunks);
                self.hold();
                None
            }
            // What rests is not to move on.
            Command::Anchor if self.rests() => None,
            Command::Anchor => Some(Event::Anchor),
            Command::Checkpoint(done) => {
                self.checkpoint(done);
                None
            }
            Command::Rest(reach, done) => {
                self.resting = Some(Resting::Reaching(reach, done));
                Some(Event::Input)
            }
            Command::Go => {
                self.resting = None;
                self.hold();
                Some(Event::Input)
            }
            Command::Inspect(look) => {
                look(self.task.machine.operator_mut());
                None
            }
            Command::Incident(incident) => Some(Event::Incident(incident)),
            Command::Drain => Some(Event::Drain),
        }
    }

    /// Nothing is computed while the pipeline is held or a commit boundary is waited for.
    fn hold(&mut self) {
        let waits = self.swap.is_some() || self.reread.is_some() || self.rests();
        self.task.machine.hold(self.held || waits);
    }

    /// Forgets what readers have handed over, and says from where on it is wanted.
    fn reread(&mut self, chunks: mpsc::Receiver<Chunk>) {
        self.task.chunks = chunks;
        self.hold();
        let (positions, upstream) = self.task.machine.operator_mut().executor.reread();
        let (stage, partition) = (self.task.stage, self.task.partition);
        let _ = self.task.notices.send(Notice::Running { stage, partition, positions, upstream });
        self.answers.push(Box::pin(std::future::ready(Event::Input)));
    }

    /// What may be done between two turns.
    fn after_turn(&mut self) {
        let executor = &self.task.machine.operator().executor;
        self.task.board.scanned(executor.positions(), executor.merged());
        self.prepare_checkpoint();
        if !self.task.machine.is_running() || !self.task.machine.is_at_boundary() {
            return;
        }
        if let Some(chunks) = self.reread.take() {
            self.reread(chunks);
        }
        if self.swap.is_some() {
            let PendingSwap { swap, done, since } = self.swap.take().expect("checked above");
            let module = swap.digest;
            let operator = self.task.machine.operator_mut();
            let result = operator.executor.swap(*swap).map_err(|e| e.to_string());
            self.hold();
            if result.is_ok() {
                self.task.machine.set_module(module);
                self.task.board.update(|s| s.module = hex(&module));
            }
            let _ = done.send(result.map(|()| since.elapsed()));
            // The operator has work again without anything new to hear of.
            self.answers.push(Box::pin(std::future::ready(Event::Input)));
        }
        self.rest();
    }

    fn execute(&mut self, action: Action) -> Option<Stopped> {
        let (log, subject) = (Arc::clone(&self.task.log), self.task.subject.clone());
        match action {
            Action::ReadTail => self.answers.push(Box::pin(async move {
                Event::Tail(again(|| log.last(&subject)).await.map(stored))
            })),
            Action::Append { message, expected, delay_ms } => {
                let step = if self.owns { Step::AppendCommit } else { Step::AppendTakeover };
                let planted = BrokenAppend::of(self.owns, expected, &message, &self.offers);
                self.answers.push(Box::pin(async move {
                    if let Some(planted) = planted {
                        return Event::Append(planted.append(&*log, &subject, step).await);
                    }
                    if delay_ms > 0 {
                        tokio::time::sleep(Duration::from_millis(delay_ms)).await;
                    }
                    let append = log.append(&subject, expected, message);
                    Event::Append(reply(crash::around(step, append).await))
                }))
            }
            Action::ReadRecord { sequence } => self.answers.push(Box::pin(async move {
                Event::Record(read(&*log, &subject, sequence, sequence).await.pop())
            })),
            Action::ReadRecords { from, delay_ms } => self.answers.push(Box::pin(async move {
                tokio::time::sleep(Duration::from_millis(delay_ms)).await;
                let through =
                    again(|| log.last(&subject)).await.map_or(Sequence(0), |last| last.sequence);
                Event::Records(read(&*log, &subject, from, through).await)
            })),
            Action::TakenOver { point, generation, cursors, confirmed_at_ms } => {
                self.owns = true;
                self.task.board.update(|s| s.generation = generation.0);
                if let Some(commits) = &self.task.commits {
                    commits.reaches(self.task.partition, point.sequence);
                }
                self.open_egress(point.number, &cursors, confirmed_at_ms);
            }
            Action::Wiped { local } => tracing::warn!(
                redo_from = local.redo_from.number.0,
                newest = local.newest.number.0,
                "local database is not of this log's history and was wiped"
            ),
            Action::Restore if planted::is(Bug::RestoreSkipped) => {
                self.answers.push(Box::pin(std::future::ready(Event::Restored { found: true })));
            }
            Action::Restore => {
                let store = self.task.store.clone();
                let operator = self.task.machine.operator_mut();
                let target = operator.dir().to_owned();
                // The database is closed while its folder is replaced.
                let detached = operator.detach();
                self.answers.push(Box::pin(async move {
                    if let Err(error) = detached {
                        tracing::error!(%error, "no checkpoint could be restored");
                        return Event::Restored { found: false };
                    }
                    loop {
                        match store.restore(&target).await {
                            Ok(found) => return Event::Restored { found },
                            Err(error) => {
                                tracing::warn!(%error, "checkpoints cannot be read; trying again");
                                tokio::time::sleep(RESTORE_AGAIN_AFTER).await;
                            }
                        }
                    }
                }));
            }
            Action::Running { positions, upstream } => {
                self.task
                    .board
                    .update(|s| s.phase = if self.held { Phase::Paused } else { Phase::Running });
                let (stage, partition) = (self.task.stage, self.task.partition);
                let positions = broken::positions(positions);
                let running = Notice::Running { stage, partition, positions, upstream };
                let _ = self.task.notices.send(running);
            }
            Action::Committed { point, outputs, exchange, confirmed_at_ms } => {
                if let (Some(commits), Some(_)) = (&self.task.commits, &exchange) {
                    let LogPoint { number, sequence, .. } = point;
                    let outputs = outputs.clone();
                    let commit = Committed { sequence, number, outputs, exchange };
                    commits.push(self.task.partition, commit);
                }
                self.committed(point, outputs, confirmed_at_ms)
            }
            Action::Stopped(why) => return Some(why),
        }
        None
    }

    fn committed(&mut self, point: LogPoint, outputs: Outputs, confirmed_at_ms: i64) {
        for offers in &self.offers {
            // An egress ends only with this task.
            let _ = offers.send(Offer { point, outputs: outputs.clone(), confirmed_at_ms });
        }
        let machine = &self.task.machine;
        let executor = &machine.operator().executor;
        let (totals, watermark) = (executor.totals(), executor.watermark());
        self.task.board.committed(
            point,
            (machine.positions(), machine.upstream()),
            watermark,
            totals,
            machine.sinks_need(),
        );
    }

    fn open_egress(
        &mut self,
        takeover: CommitNumber,
        cursors: &[EgressCursor],
        confirmed_at_ms: i64,
    ) {
        self.offers.clear();
        for (sink, spec) in self.task.sinks.iter().enumerate() {
            let Some(cursor) = cursors.iter().find(|c| usize::from(c.sink) == sink) else {
                continue;
            };
            let (sender, receiver) = mpsc::unbounded_channel();
            self.offers.push(sender);
            let start = EgressStart { cursor: *cursor, takeover, confirmed_at_ms };
            tokio::spawn(egress::run(spec.clone(), start, receiver, self.reports.0.clone()));
        }
    }

    /// Begins a checkpoint if anything has changed since the last one.
    fn checkpoint(&mut self, done: Checkpointed) {
        let last = self.task.machine.last();
        // What was taken at this commit may still be on its way into the store: its end is the answer then.
        let is_newest = self.stored.is_some_and(|stored| stored.number == last.number);
        if !self.task.machine.is_running() || is_newest && self.uploads.is_empty() {
            let _ = done.send(Ok(self.task.board.checkpoint()));
            return;
        }
        self.waiting.push((last.number, done));
        if self.uploads.is_empty() && self.preparing.is_none() {
            self.preparing = Some(PREPARE_STEPS_MAX);
        }
    }

    /// One step towards a checkpoint. What would be written all at once when it is taken would hold up every record behind it.
    fn prepare_checkpoint(&mut self) {
        let Some(left) = self.preparing else { return };
        let state = self.task.machine.operator_mut().executor.state();
        match state.checkpoint_prepare(PREPARE_STEP_BYTES) {
            Ok(progress) if progress.done || left == 0 => self.take_checkpoint(),
            Ok(_) => self.preparing = Some(left - 1),
            Err(error) => self.checkpoint_failed(&error.to_string()),
        }
    }

    /// Takes a checkpoint and uploads it beside the work that goes on.
    fn take_checkpoint(&mut self) {
        self.preparing = None;
        let last = self.task.machine.last();
        let target = self
            .task
            .machine
            .operator()
            .dir()
            .with_extension(format!("checkpoint-{}", last.number.0));
        crash::before(Step::TakeCheckpoint);
        let taken = self.task.machine.operator_mut().executor.state().checkpoint(&target);
        crash::after(Step::TakeCheckpoint);
        match taken {
            Ok(taken) => {
                self.stored = Some(last);
                let (store, module) = (
                    self.task.store.clone(),
                    self.task.machine.operator().executor.options().module.clone(),
                );
                self.uploads
                    .push(Box::pin(async move { store.upload(taken, &target, &module).await }));
            }
            Err(error) => self.checkpoint_failed(&error.to_string()),
        }
    }

    fn checkpoint_failed(&mut self, error: &str) {
        self.preparing = None;
        for (_, waiting) in self.waiting.drain(..) {
            let _ = waiting.send(Err(error.to_owned()));
        }
    }

    fn uploaded(&mut self, done: Result<(CheckpointInfo, Sequence), String>) {
        match &done {
            Ok((info, redo_from)) => {
                self.task.board.stored(info.clone(), *redo_from, checkpoint::KEPT)
            }
            Err(error) => {
                self.stored = None;
                tracing::error!(%error, "checkpoint could not be stored");
            }
        }
        // It answers who asked before it was taken; the others get the next one.
        let holds = self.stored.map(|stored| stored.number);
        let is_answered = |asked: CommitNumber| holds.is_none_or(|holds| asked <= holds);
        for (_, waiting) in self.waiting.extract_if(.., |(asked, _)| is_answered(*asked)) {
            let _ = waiting.send(done.clone().map(|(info, _)| Some(info)));
        }
        if !self.waiting.is_empty() && self.uploads.is_empty() && self.preparing.is_none() {
            self.preparing = Some(PREPARE_STEPS_MAX);
        }
    }
}

/// Reads until it works: a log that cannot be read is waited for.
async fn again<T, F: Future<Output = Result<T, LogError>>>(mut read: impl FnMut() -> F) -> T {
    loop {
        match read().await {
            Ok(found) => return found,
            Err(error) => {
                tracing::warn!(%error, "log cannot be read; trying again");
                tokio::time::sleep(READ_AGAIN_AFTER).await;
            }
        }
    }
}

/// At most [`REPLAY_RECORDS`] records; what is no longer there is left out.
pub async fn read(
    log: &dyn CommitLog,
    subject: &PartitionSubject,
    from: Sequence,
    through: Sequence,
) -> Vec<StoredRecord> {
    loop {
        let mut records = Vec::new();
        let mut entries = log.read(subject, from, through);
        loop {
            match entries.next().await {
                Some(Ok(entry)) => records.push(stored(entry)),
                None | Some(Err(LogError::Incomplete { .. })) => return records,
                Some(Err(error)) => {
                    tracing::warn!(%error, "log cannot be read; trying again");
                    break;
                }
            }
            if records.len() == REPLAY_RECORDS {
                return records;
            }
        }
        tokio::time::sleep(READ_AGAIN_AFTER).await;
    }
}

fn stored(entry: Entry) -> StoredRecord {
    StoredRecord { sequence: entry.sequence, message: entry.bytes }
}

pub fn reply(append: Append) -> AppendReply {
    match append {
        Append::Appended { sequence } => AppendReply::Acknowledged(sequence),
        Append::Refused(Refusal::WrongLast { .. } | Refusal::Busy { .. }) => AppendReply::Refused,
        Append::Refused(refusal) => {
            tracing::error!(%refusal, "log refuses a commit; the partition waits");
            AppendReply::Full
        }
        Append::Unknown(cause) => {
            tracing::warn!(%cause, "commit is not acknowledged; sending it again");
            AppendReply::Unknown
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
