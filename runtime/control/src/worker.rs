//! What the control plane asks of the engine. The engine's worker implements it; tests use a double.

use std::collections::BTreeMap;
use std::future::Future;

use millstream_core::ids::Incarnation;
use millstream_core::seal::Seal;
use millstream_engine::spec::PipelineSpec;
pub use millstream_engine::worker::{Assigned, Life, Share};

use crate::api::checkpoints::{CheckpointInfo, CheckpointVerified};
use crate::api::logs::LogLine;
use crate::api::savepoints::SavepointInfo;
use crate::api::state::{KeyState, Keys};
use crate::api::status::PipelineStatus;
use crate::audit::CommitPoint;

/// Why the worker did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WorkerError {
    /// The pipeline, or the partition in question, is not running here.
    #[error("not running")]
    NotRunning,
    /// It tried and could not; the text is for the operator: one fact, with what is missing.
    #[error("{0}")]
    Failed(String),
}

/// The set of pipelines that run in this process.
///
/// All calls are idempotent: the reconciler repeats what it is not sure of, and drops the future of a call when
/// the user wants something else meanwhile. A call for one pipeline must not wait for another pipeline.
pub trait Worker: Send + Sync + 'static {
    /// Runs these partitions of the pipeline here and no others, and stands by for those, or changes the running one (same name and incarnation) to `spec`
    /// at a commit boundary. A paused one stays paused; one that is being drained goes on as `spec`. Returns once the pipeline is
    /// accepted: what can be known at once, such as a stream that does not exist, is an error here and is tried again with
    /// growing pauses. How the partitions get on afterwards is in [`Worker::status`].
    fn apply(
        &self,
        spec: PipelineSpec,
        share: &Share,
    ) -> impl Future<Output = Result<(), WorkerError>> + Send;

    /// Stops the partitions of the pipeline that are not assigned, each after its last commit.
    fn release(
        &self,
        pipeline: &str,
        assigned: &Assigned,
    ) -> impl Future<Output = Result<(), WorkerError>> + Send;

    /// Which partitions of the pipeline are here, stopped or not; of stages that have none of them nothing.
    fn held(&self, pipeline: &str) -> Assigned;

    /// The same of all pipelines that run here.
    fn held_all(&self) -> BTreeMap<String, Assigned>;

    /// For which partitions of the pipelines this node stands by with all that was in the log when it looked last.
    fn ready_all(&self) -> BTreeMap<String, Assigned>;

    /// The newest commit of each partition that has made one here.
    fn committed(&self) -> Vec<CommitPoint>;

    /// Stops reading; keeps partitions, state and ownership.
    fn pause(&self, pipeline: &str) -> impl Future<Output = Result<(), WorkerError>> + Send;

    /// Reads on after a pause. A pipeline that reads already goes on. One that failed tries again when it is applied.
    fn resume(&self, pipeline: &str) -> impl Future<Output = Result<(), WorkerError>> + Send;

    /// Stops the pipeline and lets go of its resources; with `drain` first processes all that its sources held at
    /// the time of the call and publishes all outputs. One that does not run is stopped already.
    fn stop(
        &self,
        pipeline: &str,
        drain: bool,
    ) -> impl Future<Output = Result<(), WorkerError>> + Send;

    /// Stops the pipeline if it runs, and removes what this node keeps of this life's state.
    fn discard(
        &self,
        pipeline: &str,
        incarnation: Incarnation,
    ) -> impl Future<Output = Result<(), WorkerError>> + Send;

    /// Stops the pipeline if it runs, and removes this life's log, state and checkpoints, whether or not it ran here.
    fn delete(
        &self,
        pipeline: &str,
        life: &Life,
    ) -> impl Future<Output = Result<(), WorkerError>> + Send;

    /// The same for an earlier life of a pipeline that runs in another.
    fn retire(
        &self,
        pipeline: &str,
        life: &Life,
    ) -> impl Future<Output = Result<(), WorkerError>> + Send;

    /// How the pipeline is; none if it does not run here.
    fn status(&self, pipeline: &str) -> impl Future<Output = Option<PipelineStatus>> + Send;

    /// The last `limit` log lines of the pipeline's guests here, or of one stage's, oldest first.
    fn logs(&self, pipeline: &str, stage: Option<&str>, limit: usize) -> Vec<LogLine>;

    /// All states and timers of a key.
    fn state_get(
        &self,
        pipeline: &str,
        stage: &str,
        key: &[u8],
    ) -> impl Future<Output = Result<KeyState, WorkerError>> + Send;

    /// At most `limit` keys that begin with `prefix` and lie behind `after`, ascending over all partitions.
    fn state_keys(
        &self,
        pipeline: &str,
        stage: &str,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: u32,
    ) -> impl Future<Output = Result<Keys, WorkerError>> + Send;

    /// Stores a checkpoint of every partition that changed, and waits for it. Returns the newest of each partition.
    fn checkpoint(
        &self,
        pipeline: &str,
    ) -> impl Future<Output = Result<Vec<CheckpointInfo>, WorkerError>> + Send;

    /// All stored checkpoints of a pipeline, with their files.
    fn checkpoints(
        &self,
        pipeline: &str,
    ) -> impl Future<Output = Result<Vec<CheckpointInfo>, WorkerError>> + Send;

    /// Reads the stored checkpoints of the pipeline's partitions that are here back; of one stage or partition, if given.
    fn verify_checkpoints(
        &self,
        pipeline: &str,
        stage: Option<&str>,
        partition: Option<u16>,
    ) -> impl Future<Output = Result<Vec<CheckpointVerified>, WorkerError>> + Send;

    /// The same of a life of a pipeline that need not run anywhere, from the store.
    fn verify_stored_checkpoints(
        &self,
        pipeline: &str,
        life: &Life,
        stage: Option<&str>,
        partition: Option<u16>,
    ) -> impl Future<Output = Result<Vec<CheckpointVerified>, WorkerError>> + Send;

    /// Takes a savepoint of the pipeline, all of whose partitions must be here. With `stay` it computes nothing more until
    /// [`Worker::go_on`].
    fn savepoint(
        &self,
        pipeline: &str,
        name: &str,
        stay: bool,
    ) -> impl Future<Output = Result<SavepointInfo, WorkerError>> + Send;

    /// The pipeline computes again after a savepoint.
    fn go_on(&self, pipeline: &str);

    /// All savepoints, by name.
    fn savepoints(&self) -> impl Future<Output = Result<Vec<SavepointInfo>, WorkerError>> + Send;

    /// Removes a savepoint. `false`: there was none.
    fn forget_savepoint(
        &self,
        name: &str,
    ) -> impl Future<Output = Result<bool, WorkerError>> + Send;

    /// Makes the beginning of a life of a pipeline that goes on from a savepoint. It does not run before it is applied.
    fn restore(
        &self,
        savepoint: &str,
        spec: &PipelineSpec,
    ) -> impl Future<Output = Result<(), WorkerError>> + Send;

    /// Seals the log of one life of a pipeline behind a savepoint of it: no node goes on in that life by the record that the seal
    /// names. Fails if a partition has gone on meanwhile; some may be sealed then, and go on by a later record.
    fn seal(
        &self,
        savepoint: &str,
        life: &Life,
        seal: &Seal,
    ) -> impl Future<Output = Result<(), WorkerError>> + Send;

    /// Removes what [`Worker::restore`] has made of a life that is not to be.
    fn unrestore(&self, spec: &PipelineSpec) -> impl Future<Output = ()> + Send;
}
