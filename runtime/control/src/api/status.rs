//! What the worker says of a running pipeline.

pub use millstream_engine::status::{
    CheckpointStatus, PartitionStatus, Phase, PipelineStatus, PositionStatus, StageStatus,
};
