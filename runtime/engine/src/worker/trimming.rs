//! Makes a pipeline's log shorter: one node does it for all partitions, from what boards, the log and the stored
//! checkpoints say. What it believes may be old; then it removes less than it might.

use std::sync::Arc;
use std::time::Duration;

use millstream_core::commit::CommitRecord;
use millstream_core::ids::{Sequence, SourceId};
use millstream_core::trim::{self, LogNeeds};
use tokio::time::MissedTickBehavior;
use tokio_util::task::AbortOnDropHandle;

use super::here::Here;
use super::opening::{Opener, store, subject_of};
use super::partition::Command;
use crate::crash::{Step, around};
use crate::planted::{self, Bug};
use crate::spec::{InputFrom, PipelineSpec};

/// Records of the log by which an idle partition may hold up trimming.
const LOG_RECORDS_MAX: u64 = 100_000;

/// What trims the log of one pipeline.
struct Trimmer {
    opener: Arc<Opener>,
    here: Arc<Here>,
    /// The log holds nothing before this, as far as it was purged here.
    kept_from: Sequence,
}

/// Trims from time to time until it is dropped.
pub fn start(
    spec: PipelineSpec,
    opener: Arc<Opener>,
    here: Arc<Here>,
    every: Duration,
) -> AbortOnDropHandle<()> {
    AbortOnDropHandle::new(tokio::spawn(async move {
        let mut trimmer = Trimmer { opener, here, kept_from: Sequence(1) };
        let mut look = tokio::time::interval(every);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        look.reset();
        loop {
            look.tick().await;
            trimmer.trim(&spec).await;
        }
    }))
}

impl Trimmer {
    /// Purges what no partition needs any more, if the pipeline's first partition is here, and has those of this node
    /// commit that hold up trimming.
    async fn trim(&mut self, spec: &PipelineSpec) {
        match self.needs(spec).await {
            Ok(needs) => {
                if self.here.get(0, 0).is_some() {
                    self.purge(spec, &needs).await;
                }
            }
            Err(error) => tracing::warn!(%error, "log could not be trimmed"),
        }
    }

    /// What each partition needs, by stage. If the first partition is elsewhere, only of those that are here.
    async fn needs(&self, spec: &PipelineSpec) -> Result<Vec<Vec<LogNeeds>>, String> {
        let purges = self.here.get(0, 0).is_some();
        let mut needs = Vec::new();
        for (index, stage) in spec.stages.iter().enumerate() {
            let mut of_stage = Vec::new();
            for partition in 0..stage.partitions {
                match self.here.get(index, partition) {
                    Some(lane) => of_stage.push(lane.board.needs()),
                    None if purges => of_stage.push(self.elsewhere(spec, index, partition).await?),
                    None => {}
                }
            }
            needs.push(of_stage);
        }
        self.anchor(&needs).await?;
        Ok(needs)
    }

    /// What a partition on another node needs, as of its last commit.
    async fn elsewhere(
        &self,
        spec: &PipelineSpec,
        stage: usize,
        partition: u16,
    ) -> Result<LogNeeds, String> {
        let stage = &spec.stages[stage];
        let stored = store(&self.opener.blobs, spec, stage, partition).list().await?;
        let subject = subject_of(spec, stage, partition)?;
        let last = self.opener.log.last(&subject).await.map_err(text)?;
        let record = last.as_ref().map(|last| CommitRecord::decode(&last.bytes)).transpose();
        let record = record.map_err(text)?;
        let last = last.as_ref().map(|last| last.sequence).zip(record.as_ref());
        Ok(LogNeeds::recorded(last, stored.into_iter().map(|(_, redo_from)| redo_from)))
    }

    async fn purge(&mut self, spec: &PipelineSpec, needs: &[Vec<LogNeeds>]) {
        let all = trim::needs(needs, |stage| stages_read(spec, stage));
        let Some(mut floor) = trim::floor(&all) else { return };
        if planted::is(Bug::TrimAboveFloor) {
            let last = all.iter().map(|of| of.last_record).max();
            floor.keep_from = last.unwrap_or(floor.keep_from);
        }
        if floor.keep_from > self.kept_from {
            let purge = self.opener.log.purge_below(floor.keep_from);
            match around(Step::PurgeLog, purge).await {
                Ok(_) => self.kept_from = floor.keep_from,
                Err(error) => tracing::warn!(%error, "log could not be trimmed"),
            }
        }
    }

    /// Has the partitions of this node commit whose last record is far behind the end of the log.
    async fn anchor(&self, needs: &[Vec<LogNeeds>]) -> Result<(), String> {
        let known = needs.iter().flatten().map(|of| of.last).max().unwrap_or_default();
        let end = known.max(self.opener.log.info().await.map_err(text)?.last);
        for lane in self.here.all() {
            let last = lane.board.needs().last;
            if last.0 > 0 && last.0 + LOG_RECORDS_MAX < end.0 {
                let _ = lane.commands.send(Command::Anchor);
            }
        }
        Ok(())
    }
}

/// The inputs of a stage that are other stages.
fn stages_read(
    spec: &PipelineSpec,
    stage: usize,
) -> impl Iterator<Item = (SourceId, usize)> + use<'_> {
    (0..).zip(&spec.stages[stage].inputs).filter_map(|(source, input)| match input.from {
        InputFrom::Stage { stage, .. } => Some((SourceId(source), stage)),
        InputFrom::Source(_) => None,
    })
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
