//! The engine's worker as the control plane knows it: `millstream_control` says what is wanted, `millstream_engine` does it,
//! and neither knows the other.

mod translate;

use std::collections::BTreeMap;
use std::path::Path;

use millstream_control::api::Data;
use millstream_control::api::checkpoints::{CheckpointInfo, CheckpointVerified};
use millstream_control::api::logs::LogLine;
use millstream_control::api::savepoints::SavepointInfo;
use millstream_control::api::state::{ELEMENTS_MAX, KeyState, Keys};
use millstream_control::api::status::PipelineStatus;
use millstream_control::audit::CommitPoint;
use millstream_control::errors;
use millstream_control::worker::{Assigned, Life, Share, Worker, WorkerError};
use millstream_core::ids::Incarnation;
use millstream_core::seal::Seal;
use millstream_engine::spec::PipelineSpec;
use millstream_engine::worker::Worker as Engine;
use millstream_log::connect::Accounts;
use millstream_state::{Budgets, Shared};

use crate::failure::Failure;

/// The pipelines that run in this process.
pub struct EngineWorker {
    engine: Engine,
}

impl EngineWorker {
    /// Starts it. `data` is the folder for keyed state, `replicas` how many copies of logs and checkpoints to keep.
    pub async fn start(accounts: Accounts, data: &Path, replicas: usize) -> Result<Self, Failure> {
        let shared = Shared::new(Budgets::default());
        let engine = Engine::start(accounts, data, shared, replicas).await.map_err(|reason| {
            Failure::coded(errors::STORAGE, format!("the engine cannot start: {reason}"))
                .help("`millstream doctor` checks JetStream")
        })?;
        Ok(EngineWorker { engine })
    }

    /// All metrics as Prometheus text.
    pub async fn metrics_text(&self) -> String {
        self.engine.metrics_text().await
    }

    async fn runs(&self, pipeline: &str) -> bool {
        self.engine.status(pipeline).await.is_some()
    }

    /// What the engine could not do. A pipeline that is not there is told apart from one that cannot.
    async fn failed(&self, pipeline: &str, reason: String) -> WorkerError {
        match self.runs(pipeline).await {
            true => WorkerError::Failed(reason),
            false => WorkerError::NotRunning,
        }
    }

    async fn hold(&self, pipeline: &str, held: bool) -> Result<(), WorkerError> {
        match self.engine.hold(pipeline, held).await {
            true => Ok(()),
            false => Err(WorkerError::NotRunning),
        }
    }
}

impl Worker for EngineWorker {
    async fn apply(&self, spec: PipelineSpec, share: &Share) -> Result<(), WorkerError> {
        self.engine.apply_part(spec, share).await.map(drop).map_err(WorkerError::Failed)
    }

    async fn release(&self, pipeline: &str, assigned: &Assigned) -> Result<(), WorkerError> {
        self.engine.release(pipeline, assigned).await.map_err(WorkerError::Failed)
    }

    fn held(&self, pipeline: &str) -> Assigned {
        self.engine.held(pipeline)
    }

    fn held_all(&self) -> BTreeMap<String, Assigned> {
        self.engine.held_all()
    }

    fn ready_all(&self) -> BTreeMap<String, Assigned> {
        self.engine.ready_all()
    }

    fn committed(&self) -> Vec<CommitPoint> {
        self.engine.committed()
    }

    async fn discard(&self, pipeline: &str, incarnation: Incarnation) -> Result<(), WorkerError> {
        self.engine.discard(pipeline, incarnation).await.map_err(WorkerError::Failed)
    }

    async fn pause(&self, pipeline: &str) -> Result<(), WorkerError> {
        self.hold(pipeline, true).await
    }

    async fn resume(&self, pipeline: &str) -> Result<(), WorkerError> {
        self.hold(pipeline, false).await
    }

    async fn stop(&self, pipeline: &str, drain: bool) -> Result<(), WorkerError> {
        self.engine.stop(pipeline, drain).await.map_err(WorkerError::Failed)
    }

    async fn delete(&self, pipeline: &str, life: &Life) -> Result<(), WorkerError> {
        self.engine.delete(pipeline, life).await.map_err(WorkerError::Failed)
    }

    async fn retire(&self, pipeline: &str, life: &Life) -> Result<(), WorkerError> {
        self.engine.retire(pipeline, life).await.map_err(WorkerError::Failed)
    }

    async fn status(&self, pipeline: &str) -> Option<PipelineStatus> {
        self.engine.status(pipeline).await
    }

    fn logs(&self, pipeline: &str, stage: Option<&str>, limit: usize) -> Vec<LogLine> {
        self.engine.logs(pipeline, stage, limit)
    }

    async fn state_get(
        &self,
        pipeline: &str,
        stage: &str,
        key: &[u8],
    ) -> Result<KeyState, WorkerError> {
        match self.engine.state_of(pipeline, stage, key, ELEMENTS_MAX).await {
            Ok(found) => Ok(translate::key(key, found)),
            Err(reason) => Err(self.failed(pipeline, reason).await),
        }
    }

    async fn state_keys(
        &self,
        pipeline: &str,
        stage: &str,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: u32,
    ) -> Result<Keys, WorkerError> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let found = self.engine.keys(pipeline, stage, prefix, after, limit.saturating_add(1)).await;
        let mut keys = match found {
            Ok(keys) => keys,
            Err(reason) => return Err(self.failed(pipeline, reason).await),
        };
        let more = keys.len() > limit;
        keys.truncate(limit);
        Ok(Keys { keys: keys.into_iter().map(Data).collect(), more })
    }

    async fn checkpoint(&self, pipeline: &str) -> Result<Vec<CheckpointInfo>, WorkerError> {
        match self.engine.checkpoint(pipeline).await {
            Ok(stored) => Ok(stored),
            Err(reason) => Err(self.failed(pipeline, reason).await),
        }
    }

    async fn checkpoints(&self, pipeline: &str) -> Result<Vec<CheckpointInfo>, WorkerError> {
        match self.engine.checkpoints(pipeline).await {
            Ok(stored) => Ok(stored),
            Err(reason) => Err(self.failed(pipeline, reason).await),
        }
    }

    async fn verify_checkpoints(
        &self,
        pipeline: &str,
        stage: Option<&str>,
        partition: Option<u16>,
    ) -> Result<Vec<CheckpointVerified>, WorkerError> {
        match self.engine.verify_checkpoints(pipeline, stage, partition).await {
            Ok(verified) => Ok(verified),
            Err(reason) => Err(self.failed(pipeline, reason).await),
        }
    }

    async fn verify_stored_checkpoints(
        &self,
        pipeline: &str,
        life: &Life,
        stage: Option<&str>,
        partition: Option<u16>,
    ) -> Result<Vec<CheckpointVerified>, WorkerError> {
        let verified = self.engine.verify_stored_checkpoints(pipeline, life, stage, partition);
        verified.await.map_err(WorkerError::Failed)
    }

    async fn savepoint(
        &self,
        pipeline: &str,
        name: &str,
        stay: bool,
    ) -> Result<SavepointInfo, WorkerError> {
        match self.engine.savepoint(pipeline, name, stay).await {
            Ok(taken) => Ok(taken),
            Err(reason) => Err(self.failed(pipeline, reason).await),
        }
    }

    fn go_on(&self, pipeline: &str) {
        self.engine.go_on(pipeline);
    }

    async fn savepoints(&self) -> Result<Vec<SavepointInfo>, WorkerError> {
        self.engine.savepoints().await.map_err(WorkerError::Failed)
    }

    async fn forget_savepoint(&self, name: &str) -> Result<bool, WorkerError> {
        self.engine.forget_savepoint(name).await.map_err(WorkerError::Failed)
    }

    async fn restore(&self, savepoint: &str, spec: &PipelineSpec) -> Result<(), WorkerError> {
        self.engine.restore(savepoint, spec).await.map_err(WorkerError::Failed)
    }

    async fn seal(&self, savepoint: &str, life: &Life, seal: &Seal) -> Result<(), WorkerError> {
        self.engine.seal(savepoint, life, seal).await.map_err(WorkerError::Failed)
    }

    async fn unrestore(&self, spec: &PipelineSpec) {
        self.engine.unrestore(spec).await;
    }
}
