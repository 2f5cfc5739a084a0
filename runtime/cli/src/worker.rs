//! The engine as the control plane knows it: puts the engine's worker behind `millstream_control::worker::Worker`.
//!
//! The engine's worker is not there yet. Until it is, every pipeline fails and says so; nothing pretends to run.

use std::path::Path;

use millstream_control::api::checkpoints::CheckpointInfo;
use millstream_control::api::state::{KeyState, Keys};
use millstream_control::api::status::PipelineStatus;
use millstream_control::worker::{Worker, WorkerError};
use millstream_engine::spec::PipelineSpec;
use millstream_log::connect::Connection;

use crate::failure::Failure;

/// The pipelines that run in this process.
pub struct EngineWorker {}

impl EngineWorker {
    /// Starts it. `data` is the folder for keyed state, `replicas` how many copies of logs and checkpoints to keep.
    pub fn start(_connection: Connection, _data: &Path, _replicas: usize) -> Result<Self, Failure> {
        Ok(EngineWorker {})
    }

    /// All metrics as Prometheus text.
    pub fn metrics_text(&self) -> String {
        "# EOF\n".to_owned()
    }
}

fn missing() -> WorkerError {
    WorkerError::Failed("this build has no engine that reads JetStream".to_owned())
}

impl Worker for EngineWorker {
    async fn apply(&self, _: PipelineSpec) -> Result<(), WorkerError> {
        Err(missing())
    }

    async fn pause(&self, _: &str) -> Result<(), WorkerError> {
        Err(missing())
    }

    async fn resume(&self, _: &str) -> Result<(), WorkerError> {
        Err(missing())
    }

    async fn stop(&self, _: &str, _: bool) -> Result<(), WorkerError> {
        Ok(())
    }

    async fn delete(&self, _: &str, _: &[String]) -> Result<(), WorkerError> {
        Ok(())
    }

    async fn status(&self, _: &str) -> Option<PipelineStatus> {
        None
    }

    async fn state_get(&self, _: &str, _: &str, _: &[u8]) -> Result<KeyState, WorkerError> {
        Err(WorkerError::NotRunning)
    }

    async fn state_keys(
        &self,
        _: &str,
        _: &str,
        _: &[u8],
        _: Option<&[u8]>,
        _: u32,
    ) -> Result<Keys, WorkerError> {
        Err(WorkerError::NotRunning)
    }

    async fn checkpoint(&self, _: &str) -> Result<Vec<CheckpointInfo>, WorkerError> {
        Err(WorkerError::NotRunning)
    }

    async fn checkpoints(&self, _: &str) -> Result<Vec<CheckpointInfo>, WorkerError> {
        Err(WorkerError::NotRunning)
    }
}
