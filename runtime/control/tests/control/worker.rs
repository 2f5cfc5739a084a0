//! A worker that records calls.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use millstream_control::api::Data;
use millstream_control::api::checkpoints::{
    CheckpointFault, CheckpointFile, CheckpointInfo, CheckpointVerified,
};
use millstream_control::api::logs::LogLine;
use millstream_control::api::savepoints::{SavedStage, SavepointInfo};
use millstream_control::api::state::{Content, KeyState, Keys, StateContent};
use millstream_control::api::status::{
    PartitionStatus, Phase, PipelineStatus, PositionStatus, StageStatus,
};
use millstream_control::audit::CommitPoint;
use millstream_control::worker::{Assigned, Life, Share, Worker, WorkerError};
use millstream_core::ids::Incarnation;
use millstream_core::seal::Seal;
use millstream_engine::spec::PipelineSpec;
use tokio::sync::watch;

/// What a pipeline of the double is.
#[derive(Clone)]
struct Running {
    spec: PipelineSpec,
    share: Share,
    paused: bool,
    failed: Option<String>,
}

/// The double: a set of pipelines, a list of calls, and pipelines that it refuses.
pub struct RecordingWorker {
    running: Mutex<BTreeMap<String, Running>>,
    refused: Mutex<BTreeMap<String, String>>,
    unsealed: Mutex<Option<String>>,
    endless_drains: Mutex<BTreeSet<String>>,
    savepoints: Mutex<BTreeMap<String, SavepointInfo>>,
    committed: Mutex<Vec<CommitPoint>>,
    calls: watch::Sender<Vec<String>>,
}

impl RecordingWorker {
    pub fn new() -> Self {
        RecordingWorker {
            running: Mutex::default(),
            refused: Mutex::default(),
            unsealed: Mutex::default(),
            endless_drains: Mutex::default(),
            savepoints: Mutex::default(),
            committed: Mutex::default(),
            calls: watch::channel(Vec::new()).0,
        }
    }

    /// All calls so far.
    pub fn calls(&self) -> Vec<String> {
        self.calls.borrow().clone()
    }

    /// Waits until `wanted` holds for the calls so far.
    pub async fn until(&self, wanted: impl Fn(&[String]) -> bool) -> Vec<String> {
        let mut calls = self.calls.subscribe();
        let waiting = calls.wait_for(|calls| wanted(calls));
        let found = tokio::time::timeout(super::support::PATIENCE, waiting).await;
        match found {
            Ok(calls) => calls.expect("the sender lives").clone(),
            Err(_) => panic!("not in time; calls: {:#?}", self.calls()),
        }
    }

    /// Waits until a call of this text was made.
    pub async fn called(&self, call: &str) -> Vec<String> {
        self.until(|calls| calls.iter().any(|made| made == call)).await
    }

    /// Has made these commits.
    pub fn commits(&self, points: &[CommitPoint]) {
        *self.committed.lock().unwrap() = points.to_vec();
    }

    /// Refuses to apply a pipeline from now on, or no longer.
    pub fn refuse(&self, pipeline: &str, reason: Option<&str>) {
        let mut refused = self.refused.lock().unwrap();
        match reason {
            Some(reason) => refused.insert(pipeline.to_owned(), reason.to_owned()),
            None => refused.remove(pipeline),
        };
    }

    /// No log can be sealed from now on, or any.
    pub fn keep_unsealed(&self, reason: Option<&str>) {
        *self.unsealed.lock().unwrap() = reason.map(str::to_owned);
    }

    /// The pipeline stops by itself.
    pub fn fail(&self, pipeline: &str, reason: &str) {
        let mut running = self.running.lock().unwrap();
        running.get_mut(pipeline).expect("it runs").failed = Some(reason.to_owned());
    }

    /// Drains of this pipeline never end.
    pub fn never_drain(&self, pipeline: &str) {
        self.endless_drains.lock().unwrap().insert(pipeline.to_owned());
    }

    /// The specification that runs.
    pub fn spec(&self, pipeline: &str) -> Option<PipelineSpec> {
        self.running.lock().unwrap().get(pipeline).map(|running| running.spec.clone())
    }

    fn note(&self, call: String) {
        self.calls.send_modify(|calls| calls.push(call));
    }

    fn set_paused(&self, pipeline: &str, paused: bool) -> Result<(), WorkerError> {
        let mut running = self.running.lock().unwrap();
        let pipeline = running.get_mut(pipeline).ok_or(WorkerError::NotRunning)?;
        pipeline.paused = paused;
        Ok(())
    }

    fn require(&self, pipeline: &str) -> Result<(), WorkerError> {
        if self.running.lock().unwrap().contains_key(pipeline) {
            Ok(())
        } else {
            Err(WorkerError::NotRunning)
        }
    }
}

fn digest(spec: &PipelineSpec) -> String {
    spec.stages[0].module.digest().iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}

impl Worker for RecordingWorker {
    async fn apply(&self, spec: PipelineSpec, share: &Share) -> Result<(), WorkerError> {
        let name = spec.name.clone();
        if let Some(reason) = self.refused.lock().unwrap().get(&name) {
            self.note(format!("refuse {name}"));
            return Err(WorkerError::Failed(reason.clone()));
        }
        let call = format!("apply {name} {}", digest(&spec));
        let mut running = self.running.lock().unwrap();
        let paused = running.get(&name).is_some_and(|running| running.paused);
        let share = share.clone();
        running.insert(name, Running { spec, share, paused, failed: None });
        drop(running);
        self.note(call);
        Ok(())
    }

    async fn release(&self, pipeline: &str, assigned: &Assigned) -> Result<(), WorkerError> {
        let mut running = self.running.lock().unwrap();
        let Some(pipeline) = running.get_mut(pipeline) else { return Ok(()) };
        pipeline.share.runs.retain(|stage, held| {
            held.retain(|partition| assigned.get(stage).is_some_and(|a| a.contains(partition)));
            !held.is_empty()
        });
        Ok(())
    }

    fn held(&self, pipeline: &str) -> Assigned {
        let running = self.running.lock().unwrap();
        running.get(pipeline).map(|running| running.share.runs.clone()).unwrap_or_default()
    }

    fn committed(&self) -> Vec<CommitPoint> {
        self.committed.lock().unwrap().clone()
    }

    fn held_all(&self) -> BTreeMap<String, Assigned> {
        let running = self.running.lock().unwrap();
        running.iter().map(|(name, running)| (name.clone(), running.share.runs.clone())).collect()
    }

    fn ready_all(&self) -> BTreeMap<String, Assigned> {
        let running = self.running.lock().unwrap();
        running
            .iter()
            .map(|(name, running)| (name.clone(), running.share.follows.clone()))
            .collect()
    }

    async fn discard(&self, pipeline: &str, _: Incarnation) -> Result<(), WorkerError> {
        self.running.lock().unwrap().remove(pipeline);
        self.note(format!("discard {pipeline}"));
        Ok(())
    }

    async fn pause(&self, pipeline: &str) -> Result<(), WorkerError> {
        self.set_paused(pipeline, true)?;
        self.note(format!("pause {pipeline}"));
        Ok(())
    }

    async fn resume(&self, pipeline: &str) -> Result<(), WorkerError> {
        self.set_paused(pipeline, false)?;
        self.note(format!("resume {pipeline}"));
        Ok(())
    }

    async fn stop(&self, pipeline: &str, drain: bool) -> Result<(), WorkerError> {
        self.note(format!("stop {pipeline}{}", if drain { " drain" } else { "" }));
        if drain && self.endless_drains.lock().unwrap().contains(pipeline) {
            std::future::pending::<()>().await;
        }
        self.running.lock().unwrap().remove(pipeline);
        Ok(())
    }

    async fn delete(&self, pipeline: &str, life: &Life) -> Result<(), WorkerError> {
        self.running.lock().unwrap().remove(pipeline);
        let store = life.checkpoint_store.as_deref().unwrap_or("millstream");
        self.note(format!("delete {pipeline} {store}"));
        Ok(())
    }

    async fn retire(&self, pipeline: &str, life: &Life) -> Result<(), WorkerError> {
        self.note(format!("retire {pipeline} {}", life.log.as_deref().unwrap_or(pipeline)));
        Ok(())
    }

    async fn status(&self, pipeline: &str) -> Option<PipelineStatus> {
        let running = self.running.lock().unwrap();
        let pipeline = running.get(pipeline)?;
        let phase = match (&pipeline.failed, pipeline.paused) {
            (Some(_), _) => Phase::Failed,
            (None, true) => Phase::Paused,
            (None, false) => Phase::Running,
        };
        let reason = pipeline.failed.clone();
        let stages = pipeline.spec.stages.iter().map(|stage| StageStatus {
            name: stage.name.clone(),
            module: String::new(),
            partitions: pipeline
                .share
                .runs
                .get(&stage.name)
                .into_iter()
                .flatten()
                .copied()
                .map(|partition| PartitionStatus {
                    partition,
                    phase,
                    positions: vec![PositionStatus {
                        source: "commands".into(),
                        position: 5,
                        last: 7,
                        lag: 2,
                        ..PositionStatus::default()
                    }],
                    ..PartitionStatus::default()
                })
                .collect(),
        });
        let stages = stages.collect();
        Some(PipelineStatus { phase, reason, stages, ..PipelineStatus::default() })
    }

    fn logs(&self, pipeline: &str, stage: Option<&str>, limit: usize) -> Vec<LogLine> {
        let lines = (0..3).map(|number| LogLine {
            number,
            at_ms: 1,
            stage: stage.unwrap_or("work").to_owned(),
            level: "info".into(),
            message: format!("{pipeline} {number}"),
        });
        lines.skip(3usize.saturating_sub(limit)).collect()
    }

    async fn state_get(
        &self,
        pipeline: &str,
        stage: &str,
        key: &[u8],
    ) -> Result<KeyState, WorkerError> {
        self.require(pipeline)?;
        let content = Content::Value(Data::from(format!("state of {stage}")));
        Ok(KeyState {
            key: Data(key.to_vec()),
            partition: 1,
            states: vec![StateContent {
                name: "count".into(),
                content,
                truncated: false,
                expires_by: None,
                expires_at_ms: Vec::new(),
            }],
            timers: Vec::new(),
        })
    }

    async fn state_keys(
        &self,
        pipeline: &str,
        _stage: &str,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: u32,
    ) -> Result<Keys, WorkerError> {
        self.require(pipeline)?;
        let all = (0..10u8).map(|number| [prefix, &[b'0' + number]].concat());
        let mut keys: Vec<Data> =
            all.filter(|key| after.is_none_or(|after| key.as_slice() > after)).map(Data).collect();
        let more = keys.len() > limit as usize;
        keys.truncate(limit as usize);
        Ok(Keys { keys, more })
    }

    async fn checkpoint(&self, pipeline: &str) -> Result<Vec<CheckpointInfo>, WorkerError> {
        self.require(pipeline)?;
        self.checkpoints(pipeline).await
    }

    async fn checkpoints(&self, _pipeline: &str) -> Result<Vec<CheckpointInfo>, WorkerError> {
        let file = CheckpointFile { name: "000001.sst".into(), hash: "ab".into(), size: 3 };
        let files = vec![file];
        Ok(vec![CheckpointInfo {
            stage: "work".into(),
            partition: 0,
            commit: 9,
            at_ms: 1,
            size: 3,
            files,
        }])
    }

    async fn verify_checkpoints(
        &self,
        pipeline: &str,
        _stage: Option<&str>,
        _partition: Option<u16>,
    ) -> Result<Vec<CheckpointVerified>, WorkerError> {
        self.require(pipeline)?;
        Ok(vec![damaged()])
    }

    async fn verify_stored_checkpoints(
        &self,
        pipeline: &str,
        life: &Life,
        _stage: Option<&str>,
        _partition: Option<u16>,
    ) -> Result<Vec<CheckpointVerified>, WorkerError> {
        self.note(format!("verify stored {pipeline} {:032x}", life.incarnation.0));
        Ok(vec![damaged()])
    }

    async fn savepoint(
        &self,
        pipeline: &str,
        name: &str,
        stay: bool,
    ) -> Result<SavepointInfo, WorkerError> {
        self.require(pipeline)?;
        self.note(format!("savepoint {pipeline}{}", if stay { " stay" } else { "" }));
        let info = SavepointInfo {
            name: name.to_owned(),
            pipeline: pipeline.to_owned(),
            at_ms: 1,
            size: 3,
            store: None,
            stages: vec![SavedStage { name: "work".into(), partitions: 4 }],
        };
        self.savepoints.lock().unwrap().insert(name.to_owned(), info.clone());
        Ok(info)
    }

    fn go_on(&self, pipeline: &str) {
        self.note(format!("go on {pipeline}"));
    }

    async fn savepoints(&self) -> Result<Vec<SavepointInfo>, WorkerError> {
        Ok(self.savepoints.lock().unwrap().values().cloned().collect())
    }

    async fn forget_savepoint(&self, name: &str) -> Result<bool, WorkerError> {
        Ok(self.savepoints.lock().unwrap().remove(name).is_some())
    }

    async fn restore(&self, savepoint: &str, spec: &PipelineSpec) -> Result<(), WorkerError> {
        if let Some(reason) = self.refused.lock().unwrap().get(&spec.name) {
            return Err(WorkerError::Failed(reason.clone()));
        }
        let partitions: Vec<_> = spec.stages.iter().map(|stage| stage.partitions).collect();
        // Names of savepoints may be made up.
        let of = savepoint.split('-').next().unwrap_or_default();
        self.note(format!("restore {of} {} {partitions:?}", spec.name));
        Ok(())
    }

    async fn seal(&self, savepoint: &str, life: &Life, seal: &Seal) -> Result<(), WorkerError> {
        if let Some(reason) = self.unsealed.lock().unwrap().clone() {
            return Err(WorkerError::Failed(reason));
        }
        assert!(seal.revision > 0 && seal.life != life.incarnation);
        let of = savepoint.split('-').next().unwrap_or_default();
        self.note(format!("seal {of}"));
        Ok(())
    }

    async fn unrestore(&self, spec: &PipelineSpec) {
        self.note(format!("unrestore {}", spec.name));
    }
}

/// A checkpoint that lacks a file.
fn damaged() -> CheckpointVerified {
    let fault = CheckpointFault { file: "000001.sst".into(), fact: "is missing".into() };
    CheckpointVerified {
        stage: "work".into(),
        commit: 9,
        files: 1,
        size: 3,
        faults: vec![fault],
        ..CheckpointVerified::default()
    }
}
