//! Waits until the partitions of a pipeline that are on this node have computed what its sources hold.
//!
//! How far partitions elsewhere are is in the log: a stage that others read commits its position at once.

use std::sync::Arc;
use std::time::Duration;

use millstream_core::commit::CommitRecord;
use millstream_core::exchange::{Place, Standing};
use millstream_core::ids::{Sequence, SourceId};
use millstream_core::slice::Slice;

use super::here::Here;
use super::opening::{Opener, subject_of};
use crate::spec::{InputFrom, PipelineSpec, StageInput};

/// Wait before the log is asked again how far a partition elsewhere is.
const ASK_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// Waits. Stages come in an order in which each is behind what feeds it.
pub async fn run(
    spec: Arc<PipelineSpec>,
    opener: Arc<Opener>,
    here: Arc<Here>,
) -> Result<(), String> {
    let mut lasts = Vec::new();
    for source in &spec.sources {
        let jetstream = opener.context.accounts.tenant.jetstream();
        let mut stream = jetstream.get_stream(&source.stream).await.map_err(text)?;
        lasts.push(Sequence(stream.info().await.map_err(text)?.state.last_sequence));
    }
    for stage in spec.in_order() {
        for (index, input) in spec.stages[stage].inputs.iter().enumerate() {
            let holds = match input.from {
                InputFrom::Source(source) => Holds::Source(lasts[source]),
                InputFrom::Stage { stage, .. } => {
                    Holds::Stage(newest(&spec, &opener, stage).await?)
                }
            };
            for (_, lane) in here.of(stage) {
                match &holds {
                    Holds::Source(last) => lane.board.until_scanned(index, *last).await,
                    Holds::Stage(newest) => lane.board.until_merged(index, newest).await,
                }
            }
            // What other stages read must be complete, wherever it comes from.
            if spec.feeds_stages(stage) {
                until_committed(&spec, &opener, &here, (stage, index, input), &holds).await?;
            }
        }
    }
    Ok(())
}

/// What an input holds.
enum Holds {
    /// Up to this sequence of the stream.
    Source(Sequence),
    /// Up to these records of the stage's partitions.
    Stage(Vec<Sequence>),
}

/// The last record of each partition of a stage.
pub async fn newest(
    spec: &PipelineSpec,
    opener: &Opener,
    stage: usize,
) -> Result<Vec<Sequence>, String> {
    let (stage, mut newest) = (&spec.stages[stage], Vec::new());
    for partition in 0..stage.partitions {
        let subject = subject_of(spec, stage, partition)?;
        let last = opener.log.last(&subject).await.map_err(text)?;
        newest.push(last.map_or(Sequence(0), |last| last.sequence));
    }
    Ok(newest)
}

/// Waits until the partitions elsewhere say in the log that they have applied an input that far.
async fn until_committed(
    spec: &PipelineSpec,
    opener: &Opener,
    here: &Here,
    (stage, index, input): (usize, usize, &StageInput),
    holds: &Holds,
) -> Result<(), String> {
    for partition in 0..spec.stages[stage].partitions {
        let subject = subject_of(spec, &spec.stages[stage], partition)?;
        while here.get(stage, partition).is_none() {
            if let Some(last) = opener.log.last(&subject).await.map_err(text)? {
                let record = CommitRecord::decode(&last.bytes).map_err(text)?;
                if has_applied(spec, input, SourceId(index as u16), &record.slice, holds) {
                    break;
                }
            }
            tokio::time::sleep(ASK_AGAIN_AFTER).await;
        }
    }
    Ok(())
}

fn has_applied(
    spec: &PipelineSpec,
    input: &StageInput,
    id: SourceId,
    slice: &Slice,
    holds: &Holds,
) -> bool {
    match (holds, input.from) {
        (Holds::Source(last), _) => {
            *last == Sequence(0)
                || slice.positions.iter().any(|p| p.source == id && p.sequence >= *last)
        }
        (Holds::Stage(newest), InputFrom::Stage { stage, .. }) => {
            let partitions = spec.stages[stage].partitions;
            let standing = Standing::recorded(id, partitions, &slice.positions, &slice.upstream);
            let behind = |(place, last): (&Place, &Sequence)| {
                *place >= Place { commit: *last, outputs: u32::MAX }
            };
            standing.is_some_and(|s| s.anchor().places.iter().zip(newest).all(behind))
        }
        (Holds::Stage(_), InputFrom::Source(_)) => true,
    }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
