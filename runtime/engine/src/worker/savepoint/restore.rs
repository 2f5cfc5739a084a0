//! Makes the beginning of a new life of a pipeline from a savepoint: a log whose first records are seeds, and a checkpoint of each
//! partition that goes with its seed. Nothing runs yet: whoever asked for it records the pipeline once this is done. What a
//! process leaves that dies before is another life's, and nobody's.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use millstream_core::commit::{CommitRecord, hash_of};
use millstream_core::ids::{Incarnation, LogPoint, Sequence, SourceId};
use millstream_core::savepoint::{Barrier, SEED_NUMBER, Seeded, behind_seeds, seed as seed_record};
use millstream_core::slice::SourcePosition;
use millstream_log::blobs::Blobs;
use millstream_log::commit_log::{
    Append, CommitLog, JetStreamLog, LogOptions, PartitionSubject, Refusal,
};
use millstream_state::{KeyedState, Share, Shared, deal};

use super::document::{SavedStage, Savepoint};
use super::store::{self, Of};
use crate::crash::{Step, around};
use crate::planted::{self, Bug};
use crate::spec::{InputFrom, PipelineSpec, StageSpec};
use crate::worker::Context;
use crate::worker::checkpoint;
use crate::worker::opening::{store as checkpoint_store, subject_of};

/// Folder, below the worker's, of what is being restored.
const RESTORING: &str = "restoring";
/// Wait before an append is tried again that got no answer, and how often it is.
const APPEND_AGAIN_AFTER: Duration = Duration::from_millis(500);
const APPENDS_MAX: u32 = 60;

/// Makes log and checkpoints of a life that goes on from a savepoint. Its log must not be there. What was made is removed if it
/// fails.
pub async fn seed(
    context: &Arc<Context>,
    saved: &Savepoint,
    spec: &PipelineSpec,
) -> Result<(), String> {
    let stages = stages_of(saved, spec)?;
    let temporary = context.data.join(RESTORING).join(format!("{:032x}", spec.incarnation.0));
    let made = make(context, saved, spec, &stages, &temporary).await;
    if let Err(error) = millstream_state::wipe(&temporary) {
        tracing::warn!(%error, "folder of a restored savepoint could not be removed");
    }
    if made.is_err() {
        discard(context, spec).await;
    }
    made
}

/// Removes what a process that died has left in the worker's folder.
pub fn forget_unfinished(data: &Path) -> Result<(), String> {
    millstream_state::wipe(&data.join(RESTORING)).map_err(text)
}

/// Removes what [`seed`] has made of a life that never ran.
pub async fn discard(context: &Arc<Context>, spec: &PipelineSpec) {
    let removed = async {
        let name = spec.log_name()?;
        JetStreamLog::delete(&context.accounts.engine, &name).await.map_err(text)?;
        let blobs = context.checkpoints_of(spec.checkpoint_store.as_deref())?;
        checkpoint::delete_all(&*blobs, &spec.name, spec.incarnation).await
    };
    if let Err(error) = removed.await {
        tracing::warn!(pipeline = %spec.name, %error, "what was made of a savepoint could not be removed");
    }
}

/// The saved stage of each stage.
fn stages_of<'a>(saved: &'a Savepoint, spec: &PipelineSpec) -> Result<Vec<&'a SavedStage>, String> {
    let named = |stage: &StageSpec| saved.stages.iter().find(|saved| saved.name == stage.name);
    let mut stages = Vec::new();
    for stage in &spec.stages {
        let found = named(stage).ok_or_else(|| {
            format!("stage `{}` is not in savepoint `{}`", stage.name, saved.name)
        })?;
        let mut inputs: Vec<String> =
            stage.inputs.iter().map(|input| spec.input_name(input)).collect();
        let mut known = found.inputs.clone();
        inputs.sort_unstable();
        known.sort_unstable();
        if inputs != known {
            return Err(format!(
                "stage `{}` reads {}, in savepoint `{}` it reads {}",
                stage.name,
                inputs.join(", "),
                saved.name,
                known.join(", ")
            ));
        }
        stages.push(found);
    }
    match saved.stages.iter().find(|saved| !spec.stages.iter().any(|s| s.name == saved.name)) {
        Some(left) => {
            Err(format!("stage `{}` of savepoint `{}` is missing", left.name, saved.name))
        }
        None => Ok(stages),
    }
}

async fn make(
    context: &Arc<Context>,
    saved: &Savepoint,
    spec: &PipelineSpec,
    stages: &[&SavedStage],
    temporary: &Path,
) -> Result<(), String> {
    millstream_state::wipe(temporary).map_err(text)?;
    let files = context.checkpoints_of(saved.store.as_deref())?;
    let blobs = context.checkpoints_of(spec.checkpoint_store.as_deref())?;
    let options = LogOptions { replicas: context.replicas, bytes_max: None };
    let name = spec.log_name()?;
    let log = JetStreamLog::open(&context.accounts.engine, &name, &options);
    let log = around(Step::OpenLog, log).await.map_err(text)?;
    let mut seeds: Vec<Vec<Sequence>> = vec![Vec::new(); spec.stages.len()];
    for index in spec.in_order() {
        let (stage, from) = (&spec.stages[index], stages[index]);
        let seeding = Seeding { context, saved, spec, stage, from };
        let barrier = seeding.barrier()?;
        let points = seeding.append(&log, &barrier, &seeds).await?;
        seeds[index] = points.iter().map(|point| point.sequence).collect();
        let folder = temporary.join(&stage.name);
        let shares = seeding.deal(&*files, &barrier, &points, &folder).await?;
        seeding.check_in(&blobs, shares).await?;
        millstream_state::wipe(&folder).map_err(text)?;
    }
    Ok(())
}

/// One stage on its way.
struct Seeding<'a> {
    context: &'a Arc<Context>,
    saved: &'a Savepoint,
    spec: &'a PipelineSpec,
    stage: &'a StageSpec,
    from: &'a SavedStage,
}

impl Seeding<'_> {
    fn barrier(&self) -> Result<Barrier, String> {
        let mut records = Vec::new();
        for partition in &self.from.partitions {
            let bytes = Bytes::from(partition.standing()?);
            records.push(CommitRecord::decode(&bytes).map_err(text)?);
        }
        Barrier::of(&records).map_err(|error| format!("stage `{}`: {error}", self.stage.name))
    }

    /// Where the stage goes on, as the new life numbers its inputs.
    fn positions(&self, barrier: &Barrier) -> Vec<SourcePosition> {
        let inputs = &self.stage.inputs;
        // What was redriven to another pipeline is not this one's.
        let redriven = self.saved.pipeline == self.spec.name;
        let mut positions = Vec::new();
        for place in 0..2 * inputs.len() {
            let (input, is_redriven) = (place % inputs.len(), place >= inputs.len());
            let name = self.spec.input_name(&inputs[input]);
            let before = self.from.inputs.iter().position(|known| *known == name);
            let before = before.map(|b| if is_redriven { b + self.from.inputs.len() } else { b });
            let id = SourceId(place as u16);
            let known = before
                .and_then(|b| barrier.positions.iter().find(|p| usize::from(p.source.0) == b));
            let known = known.filter(|_| redriven || !is_redriven).copied();
            let mut position = known.unwrap_or_else(|| SourcePosition::unread(id));
            if planted::is(Bug::SeedOneAhead) && position.sequence > Sequence(0) {
                position.sequence.0 += 1;
            }
            positions.push(SourcePosition { source: id, ..position });
        }
        positions
    }

    /// Appends the seeds of all partitions; where each is.
    async fn append(
        &self,
        log: &JetStreamLog,
        barrier: &Barrier,
        seeds: &[Vec<Sequence>],
    ) -> Result<Vec<LogPoint>, String> {
        let positions = self.positions(barrier);
        let mut upstream = Vec::new();
        for (source, input) in (0..).zip(&self.stage.inputs) {
            if let InputFrom::Stage { stage, .. } = input.from {
                upstream.extend(behind_seeds(SourceId(source), &seeds[stage]));
            }
        }
        let mut points = Vec::new();
        for partition in 0..self.stage.partitions {
            let seeded = Seeded {
                pipeline: self.spec.incarnation,
                owner: Incarnation(self.context.random()),
                module: self.stage.digest(),
            };
            let (message, hash) =
                seed_record(barrier, &seeded, positions.clone(), upstream.clone());
            let subject = subject_of(self.spec, self.stage, partition)?;
            let sequence = append_first(log, &subject, message).await?;
            points.push(LogPoint { number: SEED_NUMBER, hash, sequence });
        }
        Ok(points)
    }

    /// Deals the state of the saved partitions out among the new ones.
    async fn deal(
        &self,
        files: &dyn Blobs,
        barrier: &Barrier,
        points: &[LogPoint],
        folder: &Path,
    ) -> Result<Vec<Share>, String> {
        let mut sources: Vec<PathBuf> = Vec::new();
        for (partition, saved) in self.from.partitions.iter().enumerate() {
            let (savepoint, stage) = (self.saved.name.as_str(), self.stage.name.as_str());
            let target = folder.join(format!("from-{partition}"));
            let of = Of { savepoint, stage, partition };
            store::get_partition(files, of, saved, &target).await?;
            sources.push(target);
        }
        let share = |(partition, point): (usize, &LogPoint)| Share {
            dir: folder.join(format!("to-{partition}")),
            point: *point,
            processing_time: barrier.processing_time,
            watermark: barrier.watermark,
        };
        let shares: Vec<Share> = points.iter().enumerate().map(share).collect();
        let broadcast = self.stage.description().states.iter().any(|state| state.broadcast);
        let (dealt, shared) = (shares.clone(), Arc::clone(&self.context.shared));
        let rows = tokio::task::spawn_blocking(move || deal(&sources, &dealt, broadcast, &shared));
        let rows = rows.await.map_err(text)?.map_err(text)?;
        let (stage, partitions) = (&self.stage.name, shares.len());
        tracing::info!(pipeline = %self.spec.name, %stage, partitions, rows, "state dealt out");
        Ok(shares)
    }

    /// Stores the checkpoint of each partition. What the module cannot go on with is refused here.
    async fn check_in(&self, blobs: &Arc<dyn Blobs>, shares: Vec<Share>) -> Result<(), String> {
        let description = self.stage.description();
        let module: String = self.stage.digest().iter().map(|b| format!("{b:02x}")).collect();
        for (partition, share) in shares.into_iter().enumerate() {
            let shared: &Arc<Shared> = &self.context.shared;
            let opened =
                KeyedState::open(&share.dir, &description.states, &description.timers, shared);
            let misfit = |error| format!("stage `{}`: {error}", self.stage.name);
            let (mut state, _) = opened.map_err(misfit)?;
            let target = share.dir.with_extension("checkpoint");
            let taken = state.checkpoint(&target).map_err(text)?;
            let store = checkpoint_store(blobs, self.spec, self.stage, partition as u16);
            store.upload(taken, &target, &module).await?;
        }
        Ok(())
    }
}

/// Appends the first record of a partition.
async fn append_first(
    log: &JetStreamLog,
    subject: &PartitionSubject,
    message: Bytes,
) -> Result<Sequence, String> {
    for _ in 0..APPENDS_MAX {
        let append = log.append(subject, Sequence(0), message.clone());
        let reason = match around(Step::AppendTakeover, append).await {
            Append::Appended { sequence } => return Ok(sequence),
            Append::Refused(Refusal::WrongLast { .. }) => {
                // An earlier try may have landed without an answer.
                match log.last(subject).await.map_err(text)? {
                    Some(last) if hash_of(&last.bytes) == hash_of(&message) => {
                        return Ok(last.sequence);
                    }
                    Some(_) => return Err(format!("the log has records of {subject} already")),
                    None => "the log has a record that is not to be seen".to_owned(),
                }
            }
            Append::Refused(refusal @ Refusal::Busy { .. }) => refusal.to_string(),
            Append::Refused(refusal) => return Err(refusal.to_string()),
            Append::Unknown(cause) => cause.to_string(),
        };
        tracing::warn!(%reason, "first record is not acknowledged; sending it again");
        tokio::time::sleep(APPEND_AGAIN_AFTER).await;
    }
    Err(format!("the log did not acknowledge the first record of {subject}"))
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
