//! The engine's words in the API's. Field by field, so that a new one on either side is a compile error here.

use millstream_control::api::Data;
use millstream_control::api::checkpoints as api_checkpoints;
use millstream_control::api::state::{Content, StateContent};
use millstream_control::api::status as api;
use millstream_engine::status as engine;
use millstream_state::{Inspected, KeyContent};

/// A pipeline.
pub fn pipeline(status: engine::PipelineStatus) -> api::PipelineStatus {
    let engine::PipelineStatus { phase: at, reason, stages } = status;
    api::PipelineStatus {
        phase: phase(at),
        reason,
        stages: stages.into_iter().map(stage).collect(),
    }
}

fn phase(at: engine::Phase) -> api::Phase {
    match at {
        engine::Phase::Starting => api::Phase::Starting,
        engine::Phase::Running => api::Phase::Running,
        engine::Phase::Paused => api::Phase::Paused,
        engine::Phase::Stopped => api::Phase::Stopped,
        engine::Phase::Failed => api::Phase::Failed,
    }
}

fn stage(status: engine::StageStatus) -> api::StageStatus {
    let engine::StageStatus { name, module, partitions } = status;
    api::StageStatus { name, module, partitions: partitions.into_iter().map(partition).collect() }
}

fn partition(status: engine::PartitionStatus) -> api::PartitionStatus {
    let engine::PartitionStatus {
        partition,
        phase: at,
        reason,
        generation,
        commit,
        positions,
        watermark,
        records,
        outputs,
        dead_letters,
        records_per_second,
        outputs_per_second,
        module,
        checkpoint,
    } = status;
    api::PartitionStatus {
        partition,
        phase: phase(at),
        reason,
        generation,
        commit,
        positions: positions.into_iter().map(position).collect(),
        watermark,
        records,
        outputs,
        dead_letters,
        records_per_second,
        outputs_per_second,
        module,
        checkpoint: checkpoint.map(|engine::CheckpointStatus { commit, at_ms, size }| {
            api::CheckpointStatus { commit, at_ms, size }
        }),
    }
}

fn position(status: engine::PositionStatus) -> api::PositionStatus {
    let engine::PositionStatus { source, position, last, lag } = status;
    api::PositionStatus { source, position, last, lag }
}

/// A stored checkpoint.
pub fn checkpoint(info: engine::CheckpointInfo) -> api_checkpoints::CheckpointInfo {
    let engine::CheckpointInfo { stage, partition, commit, at_ms, size, files } = info;
    let files = files.into_iter().map(|engine::CheckpointFile { name, hash, size }| {
        api_checkpoints::CheckpointFile { name, hash, size }
    });
    api_checkpoints::CheckpointInfo {
        stage,
        partition,
        commit,
        at_ms,
        size,
        files: files.collect(),
    }
}

/// What a state holds for a key.
pub fn state(found: Inspected) -> StateContent {
    let Inspected { state: name, content } = found;
    let (content, truncated) = match content {
        KeyContent::Value(value) => (Content::Value(Data(value)), false),
        KeyContent::List { items, length } => {
            let truncated = (items.len() as u64) < length;
            (Content::List(items.into_iter().map(Data).collect()), truncated)
        }
        KeyContent::Map { entries, more } => {
            let entries = entries.into_iter().map(|(entry, value)| (Data(entry), Data(value)));
            (Content::Map(entries.collect()), more)
        }
    };
    StateContent { name, content, truncated }
}
