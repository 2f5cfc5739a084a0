//! Takes a savepoint of a running pipeline: all its partitions come to rest at a common place of each input, one stage behind
//! the other; their states are linked, and what is linked is stored while they go on.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use millstream_core::commit::CommitRecord;
use millstream_core::ids::{Sequence, SourceId};
use millstream_core::savepoint::Barrier as StageBarrier;
use millstream_log::blobs::Blobs;
use millstream_state::Linked;
use tokio::sync::oneshot;

use super::document::{SavedStage, Savepoint, VERSION};
use super::store::{self, Of};
use crate::clock;
use crate::spec::{InputFrom, PipelineSpec};
use crate::worker::catch_up::newest;
use crate::worker::gate::{Gate, Inlet};
use crate::worker::here::Here;
use crate::worker::opening::Opener;
use crate::worker::partition::{Command, Reach, Rested};

/// Partitions that take longer for what they have been handed over are taken for ones that came here later than the others.
const EVEN_WITHIN: Duration = Duration::from_secs(20);

/// All partitions rest until it is dropped.
pub struct Barrier {
    here: Arc<Here>,
    gate: Gate,
    /// Whether they were held before.
    held: bool,
}

impl Barrier {
    /// Has readers wait. Partitions that are held compute what they have been handed over.
    fn begin(opener: &Opener, here: &Arc<Here>, held: bool) -> Self {
        opener.gate.close();
        let barrier = Self { here: Arc::clone(here), gate: opener.gate.clone(), held };
        barrier.tell(|| Command::Hold(false));
        barrier
    }

    fn tell(&self, command: impl Fn() -> Command) {
        for lane in self.here.all() {
            let _ = lane.commands.send(command());
        }
    }
}

impl Drop for Barrier {
    fn drop(&mut self) {
        self.tell(|| Command::Hold(self.held));
        self.tell(|| Command::Go);
        self.gate.open();
    }
}

/// What is taken of a pipeline.
pub struct Taken {
    stages: Vec<TakenStage>,
}

struct TakenStage {
    name: String,
    inputs: Vec<String>,
    schemas: Vec<(String, u32)>,
    partitions: Vec<(Linked, bytes::Bytes, String)>,
}

/// Brings all partitions to rest, and takes what they hold. They rest until the barrier is dropped.
pub async fn take(
    spec: &PipelineSpec,
    opener: &Opener,
    here: &Arc<Here>,
    held: bool,
) -> Result<(Barrier, Taken), String> {
    for (stage, found) in spec.stages.iter().zip(here.held()) {
        if found.len() != usize::from(stage.partitions) {
            return Err(format!(
                "{} of {} partitions of stage `{}` are on this node: a savepoint wants all of them on one",
                found.len(),
                stage.partitions,
                stage.name
            ));
        }
    }
    let inlets = inlets(spec);
    let barrier = Barrier::begin(opener, here, held);
    let stand = until_even(opener, here, &inlets).await;
    let mut rested = BTreeMap::new();
    for stage in spec.in_order() {
        let mut waiting = Vec::new();
        let reach = reach(spec, opener, stage, &stand).await?;
        for (_, lane) in here.of(stage) {
            let (done, answer) = oneshot::channel();
            let rest = Command::Rest(reach.clone(), done);
            lane.commands.send(rest).map_err(|_| "a partition has stopped")?;
            waiting.push(answer);
        }
        let (mut of_stage, mut records): (Vec<Rested>, _) = (Vec::new(), Vec::new());
        for answer in waiting {
            let rested = answer.await.map_err(|_| "a partition has stopped")??;
            records.push(CommitRecord::decode(&rested.standing).map_err(text)?);
            of_stage.push(rested);
        }
        let even = StageBarrier::of(&records);
        even.map_err(|error| format!("stage `{}`: {error}", spec.stages[stage].name))?;
        rested.insert(stage, of_stage);
    }
    let mut stages = Vec::new();
    for (stage, of_stage) in rested {
        let stage = &spec.stages[stage];
        let mut partitions = Vec::new();
        for Rested { checkpoint, standing, module } in of_stage {
            let linked = tokio::task::spawn_blocking(move || checkpoint.link()).await;
            partitions.push((linked.map_err(text)?.map_err(text)?, standing, module));
        }
        let states = stage.description().states;
        stages.push(TakenStage {
            name: stage.name.clone(),
            inputs: stage.inputs.iter().map(|input| spec.input_name(input)).collect(),
            schemas: states.into_iter().map(|s| (s.name, s.schema_version)).collect(),
            partitions,
        });
    }
    Ok((barrier, Taken { stages }))
}

/// Waits until all partitions have of each stream what its reader, which waits at the gate, has handed over; where that is. A
/// partition that came here later is behind the others at first: they read on until it has caught up.
async fn until_even(opener: &Opener, here: &Here, inlets: &[Inlet]) -> BTreeMap<Inlet, Sequence> {
    loop {
        let stand = opener.gate.until_waiting(inlets).await;
        let reached = tokio::time::timeout(EVEN_WITHIN, until_applied(here, &stand)).await.is_ok();
        if reached && inlets.iter().all(|inlet| furthest(here, *inlet) <= stand[inlet]) {
            return stand;
        }
        opener.gate.open();
        let furthest = inlets.iter().map(|inlet| (*inlet, furthest(here, *inlet))).collect();
        until_applied(here, &furthest).await;
        opener.gate.close();
    }
}

async fn until_applied(here: &Here, wanted: &BTreeMap<Inlet, Sequence>) {
    for (&(stage, source), sequence) in wanted {
        for (_, lane) in here.of(stage) {
            lane.board.until_scanned(usize::from(source.0), *sequence).await;
        }
    }
}

fn furthest(here: &Here, (stage, source): Inlet) -> Sequence {
    let lanes = here.of(stage);
    let applied = lanes.iter().map(|(_, lane)| lane.board.applied(usize::from(source.0)));
    applied.max().unwrap_or_default()
}

/// The streams that the stages read: their sources, and the redriven dead letters of each input.
fn inlets(spec: &PipelineSpec) -> Vec<Inlet> {
    let mut inlets = Vec::new();
    for (index, stage) in spec.stages.iter().enumerate() {
        for (source, input) in stage.inputs.iter().enumerate() {
            if matches!(input.from, InputFrom::Source(_)) {
                inlets.push((index, SourceId(source as u16)));
            }
            inlets.push((index, SourceId((stage.inputs.len() + source) as u16)));
        }
    }
    inlets
}

/// How far the inputs of a stage are to be applied, all that feeds it being at rest.
async fn reach(
    spec: &PipelineSpec,
    opener: &Opener,
    stage: usize,
    stand: &BTreeMap<Inlet, Sequence>,
) -> Result<Vec<Reach>, String> {
    let inputs = &spec.stages[stage].inputs;
    let of_stream = |source: usize| {
        let stands = stand.get(&(stage, SourceId(source as u16))).copied();
        Reach::Sequence(stands.unwrap_or_default())
    };
    let mut reach = Vec::new();
    for (source, input) in inputs.iter().enumerate() {
        reach.push(match input.from {
            InputFrom::Source(_) => of_stream(source),
            InputFrom::Stage { stage, .. } => {
                Reach::Records(Arc::new(newest(spec, opener, stage).await?))
            }
        });
    }
    reach.extend((inputs.len()..2 * inputs.len()).map(of_stream));
    Ok(reach)
}

impl Taken {
    /// Stores it under a name, the document last.
    pub async fn store(
        self,
        blobs: &dyn Blobs,
        spec: &PipelineSpec,
        name: &str,
    ) -> Result<Savepoint, String> {
        // What one of this name left that was never finished.
        store::remove(blobs, name).await?;
        let mut stages = Vec::new();
        for TakenStage { name: stage, inputs, schemas, partitions } in self.stages {
            let mut saved = Vec::new();
            for (partition, (linked, standing, module)) in partitions.into_iter().enumerate() {
                let of = Of { savepoint: name, stage: &stage, partition };
                let dir = linked.dir().to_owned();
                let files = tokio::task::spawn_blocking(move || linked.hash()).await;
                let files = files.map_err(text)?.map_err(text)?;
                let put = store::put_partition(
                    blobs,
                    of,
                    &spec.name,
                    files,
                    (&standing, module),
                    schemas.clone(),
                );
                saved.push(put.await?);
                // The folder holds hard links only.
                if let Err(error) = tokio::fs::remove_dir_all(&dir).await {
                    tracing::warn!(%error, "folder of a savepoint's files could not be removed");
                }
            }
            stages.push(SavedStage { name: stage, inputs, partitions: saved });
        }
        let savepoint = Savepoint {
            version: VERSION,
            name: name.to_owned(),
            pipeline: spec.name.clone(),
            incarnation: format!("{:032x}", spec.incarnation.0),
            at_ms: clock::now_ms(),
            store: spec.checkpoint_store.clone(),
            stages,
        };
        store::write(blobs, &savepoint).await?;
        Ok(savepoint)
    }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
