//! What watches over a running pipeline on this node: it hears what partitions and readers say, starts the readers, follows the
//! log of partitions elsewhere.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use millstream_core::partition::{Halt, Stopped};
use millstream_log::commit_log::stream_name;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::follow::{self, FollowSpec, Follower};
use super::here::Here;
use super::opening::{CHUNKS_WAITING, Opener, subject_of};
use super::partition::{Command, Notice, reason};
use super::pipeline::Failed;
use super::reading::{Began, StageReading, Standing};
use super::source::ReaderError;
use super::trimming;
use crate::spec::{InputFrom, PipelineSpec, StageInput};

/// How often the log is looked at for what may go, at least; more often with more frequent checkpoints.
const TRIM_EVERY_MAX: Duration = Duration::from_secs(10);

/// Hears what partitions and readers say, starts the readers.
pub(super) struct Supervisor {
    pub(super) spec: PipelineSpec,
    pub(super) opener: Arc<Opener>,
    pub(super) stages: Vec<StageReading>,
    pub(super) readers: tokio::task::JoinSet<(usize, Result<(), ReaderError>)>,
    pub(super) here: Arc<Here>,
    /// Per stage, if others read it and some of it is elsewhere.
    followers: Vec<Option<Follower>>,
    /// Partitions that have not stopped.
    left: usize,
    cancel: CancellationToken,
    failed: Arc<Mutex<Option<Failed>>>,
    noticed: mpsc::UnboundedReceiver<Notice>,
}

impl Supervisor {
    pub fn new(
        spec: PipelineSpec,
        opener: Arc<Opener>,
        here: Arc<Here>,
        cancel: CancellationToken,
        failed: Arc<Mutex<Option<Failed>>>,
        noticed: mpsc::UnboundedReceiver<Notice>,
    ) -> Self {
        let stages = spec.stages.iter().map(|_| StageReading::new(&cancel)).collect();
        let followers = spec.stages.iter().map(|_| None).collect();
        let (readers, left) = (tokio::task::JoinSet::new(), 0);
        Self { spec, opener, stages, readers, here, followers, left, cancel, failed, noticed }
    }

    /// Until all partitions have stopped after the pipeline was told to stop, or has failed.
    pub async fn run(mut self) {
        let checkpoints = Duration::from_millis(self.spec.checkpoint_interval_ms.max(1));
        let mut checkpoint = tokio::time::interval(checkpoints);
        checkpoint.reset();
        let (opener, here) = (Arc::clone(&self.opener), Arc::clone(&self.here));
        let every = checkpoints.min(TRIM_EVERY_MAX);
        let _trimming = trimming::start(self.spec.clone(), opener, here, every);
        let cancel = self.cancel.clone();
        loop {
            tokio::select! {
                biased;
                Some(notice) = self.noticed.recv() => self.hear(notice),
                () = cancel.cancelled(), if self.left == 0 => break,
                Some(ended) = self.readers.join_next(), if !self.readers.is_empty() => match ended {
                    Ok((stage, Err(ReaderError::Incident(incident)))) => {
                        for (_, lane) in self.here.of(stage) {
                            let _ = lane.commands.send(Command::Incident(incident.clone()));
                        }
                    }
                    Ok((_, Err(error))) => self.fail(error.to_string()),
                    Ok((_, Ok(()))) => {}
                    Err(error) => self.fail(format!("a reader failed: {error}")),
                },
                _ = checkpoint.tick() => for lane in self.here.all() {
                    let (done, _) = oneshot::channel();
                    let _ = lane.commands.send(Command::Checkpoint(done));
                },
            }
        }
        while self.readers.join_next().await.is_some() {}
    }

    fn hear(&mut self, notice: Notice) {
        match notice {
            Notice::Opened(feeds) => {
                self.left += feeds.len();
                for (stage, partition, feed) in feeds {
                    self.stages[stage].opened(partition, feed);
                }
                self.follow();
            }
            Notice::Running { stage, partition, positions, upstream } => {
                let began = Began { positions, upstream };
                self.stages[stage].stands(partition, Standing::Ready(began));
                self.read(stage);
            }
            Notice::Stopped { stage, partition, why } => {
                self.left -= 1;
                self.stages[stage].stopped(partition);
                self.stopped(stage, partition, &why);
                self.read(stage);
                self.follow();
            }
        }
    }

    fn stopped(&mut self, stage: usize, partition: u16, why: &Stopped) {
        let name = &self.spec.stages[stage].name;
        let said = format!("stage `{name}` partition {partition}: {}", reason(why));
        let leaves = self.here.get(stage, partition).is_some_and(|lane| lane.leaving);
        match why {
            _ if leaves => self.here.remove(stage, partition),
            Stopped::Drained => {}
            // With the last one the pipeline has ended here, and says why.
            Stopped::Fenced { .. } if self.left == 0 => self.end(said, true, false),
            Stopped::Fenced { .. } => {
                tracing::warn!(pipeline = %self.spec.name, why = %said, "partition stopped");
                self.here.remove(stage, partition);
            }
            Stopped::Halted(Halt::Fault(_)) => self.end(said, false, true),
            Stopped::Halted(Halt::Poison(_)) | Stopped::Incident(_) => self.fail(said),
        }
    }

    /// One stopped: so do all, with what they have committed.
    pub(super) fn fail(&self, why: String) {
        self.end(why, false, false);
    }

    fn end(&self, why: String, fenced: bool, host_fault: bool) {
        tracing::error!(pipeline = %self.spec.name, %why, "pipeline stopped");
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.get_or_insert(Failed { why, fenced, host_fault });
        drop(failed);
        self.cancel.cancel();
        for lane in self.here.all() {
            let _ = lane.commands.send(Command::Drain);
        }
    }

    /// Starts the readers of a stage for all its partitions that are here, once none of them is on its way. Those that are
    /// read already go on meanwhile; then their readers are given up at a commit boundary.
    fn read(&mut self, stage: usize) {
        let reading = &mut self.stages[stage];
        if self.cancel.is_cancelled() || !reading.wants_readers() {
            return;
        }
        let (opened, here) = (reading.give_up(&self.cancel), Arc::clone(&self.here));
        if opened.is_empty() {
            return self.start_readers(stage);
        }
        for partition in opened {
            let Some(lane) = here.get(stage, partition) else { continue };
            let (feed, chunks) = mpsc::channel(CHUNKS_WAITING);
            self.stages[stage].opened(partition, feed);
            let _ = lane.commands.send(Command::Reread(chunks));
        }
    }

    /// Follows the partitions that are elsewhere of the stages that are read here.
    fn follow(&mut self) {
        let held = self.here.held();
        for (from, stage) in self.spec.stages.iter().enumerate() {
            let Some(commits) = &self.opener.commits[from] else { continue };
            let reads = |input: &StageInput| matches!(input.from, InputFrom::Stage { stage, .. } if stage == from);
            let is_read = self.spec.stages.iter().zip(&held);
            let is_read = is_read.filter(|(_, held)| !held.is_empty());
            let is_read = is_read.into_iter().any(|(stage, _)| stage.inputs.iter().any(reads));
            let all: BTreeSet<u16> = (0..stage.partitions).collect();
            let elsewhere: BTreeSet<u16> = match is_read {
                true => all.difference(&held[from]).copied().collect(),
                false => BTreeSet::new(),
            };
            let followed = self.followers[from].as_ref().map(|follower| &follower.partitions);
            if followed.cloned().unwrap_or_default() == elsewhere {
                continue;
            }
            self.followers[from] = None;
            let subject = |partition| {
                let subject = subject_of(&self.spec, stage, partition);
                (partition, subject.expect("the stage has started"))
            };
            if !elsewhere.is_empty() {
                let name = self.spec.log_name().expect("the pipeline has started");
                let spec = FollowSpec {
                    connection: self.opener.context.accounts.engine.clone(),
                    log: Arc::clone(&self.opener.log),
                    stream: stream_name(&name),
                    subjects: elsewhere.into_iter().map(subject).collect(),
                    commits: Arc::clone(commits),
                };
                self.followers[from] = Some(follow::start(spec, self.cancel.clone()));
            }
        }
    }
}
