//! Makes what runs on this node equal to what is recorded, and assigned to it.
//!
//! One task per pipeline converges it, so that a pipeline that cannot start, or a drain that takes an hour,
//! disturbs no other. What failed is tried again with growing pauses; the reason is kept as the
//! pipeline's status.
//!
//! Every node does so for itself. What must be done once and after all of them, such as removing a deleted pipeline's log,
//! is done by the coordinator when all others say that they are done.

mod attempt;
mod follow;

pub use attempt::life;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use millstream_log::connect::Connection;
use millstream_log::kv::Revision;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::api::pipelines::Desired;
use crate::api::status::{Phase, PipelineStatus};
use crate::cluster::assignments::{Assignment, Assignments};
use crate::cluster::membership::Standing;
use crate::cluster::peers::Peers;
use crate::lease::{LeaseHandle, Ownership};
use crate::readiness::Expected;
use crate::registry::{Modules, PipelineRecord, Pipelines, Recorded};
use crate::worker::{Share, Worker};

/// How often a pipeline that is as wanted is looked at: whether other nodes took something over, or are done.
const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// How long a pipeline may be refused that is this node's, before its record is written anew.
const FENCED_MAX: Duration = Duration::from_secs(60);

/// Pauses between attempts of one pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// After the first failure.
    pub first: Duration,
    /// It doubles up to this.
    pub most: Duration,
}

impl Default for Backoff {
    /// 1 s, doubled up to 30 s.
    fn default() -> Self {
        Backoff { first: Duration::from_secs(1), most: Duration::from_secs(30) }
    }
}

/// What came of making pipelines run.
#[derive(Clone, Debug, Default)]
pub struct Reconciled(Arc<Mutex<BTreeMap<String, Outcome>>>);

#[derive(Clone, Debug, Default)]
struct Outcome {
    /// Why the last attempt failed.
    failure: Option<String>,
    /// The record with which this node is done.
    settled: Revision,
}

impl Reconciled {
    fn with<T>(&self, pipeline: &str, change: impl FnOnce(&mut Outcome) -> T) -> T {
        let mut outcomes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        change(outcomes.entry(pipeline.to_owned()).or_default())
    }

    /// Why the pipeline does not run as it is wanted, if an attempt failed.
    pub fn failure(&self, pipeline: &str) -> Option<String> {
        let outcomes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        outcomes.get(pipeline)?.failure.clone()
    }

    /// Per pipeline the revision of the record with which this node is done.
    pub fn settled(&self) -> BTreeMap<String, u64> {
        let outcomes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        outcomes.iter().map(|(name, outcome)| (name.clone(), outcome.settled.0)).collect()
    }

    fn forget(&self, pipeline: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(pipeline);
    }
}

/// What is wanted of a pipeline.
#[derive(Clone, Debug, Default)]
struct Wanted {
    recorded: Option<Recorded>,
    assignment: Option<Assignment>,
}

impl Wanted {
    /// The share of a node, if the assignment is of this life of the pipeline.
    fn share_of(&self, identity: &str) -> Share {
        let assignment = self.assignment.as_ref().filter(|assignment| {
            self.recorded.as_ref().is_some_and(|recorded| {
                assignment.incarnation == format!("{:032x}", recorded.record.incarnation)
            })
        });
        assignment.map(|assignment| assignment.of(identity)).unwrap_or_default()
    }
}

/// The reconciler's parts. Cheap to clone.
pub struct Reconciler<W> {
    /// What is wanted.
    pub pipelines: Pipelines,
    /// Where it is to run.
    pub assignments: Assignments,
    /// The registry of modules.
    pub modules: Arc<Modules>,
    /// To the account where sources and sinks are.
    pub connection: Connection,
    /// What runs here.
    pub worker: Arc<W>,
    /// The other nodes.
    pub peers: Peers<W>,
    /// Whether this node is in the cluster.
    pub standing: watch::Receiver<Standing>,
    /// Whether it is the coordinator.
    pub lease: LeaseHandle,
    /// Told what is to run here.
    pub expected: Expected,
    /// What came of it.
    pub reconciled: Reconciled,
    /// Pauses between attempts.
    pub backoff: Backoff,
}

impl<W> Clone for Reconciler<W> {
    fn clone(&self) -> Self {
        Reconciler {
            pipelines: self.pipelines.clone(),
            assignments: self.assignments.clone(),
            modules: Arc::clone(&self.modules),
            connection: self.connection.clone(),
            worker: Arc::clone(&self.worker),
            peers: self.peers.clone(),
            standing: self.standing.clone(),
            lease: self.lease.clone(),
            expected: self.expected.clone(),
            reconciled: self.reconciled.clone(),
            backoff: self.backoff,
        }
    }
}

impl<W: Worker> Reconciler<W> {
    /// Runs until `stop`. Returns the names of all pipelines it has handled; the worker's pipelines stay as they are.
    pub async fn run(self, stop: CancellationToken) -> Vec<String> {
        follow::run(self, stop).await
    }

    fn is_coordinator(&self) -> bool {
        self.lease.ownership() == Ownership::Holding
    }

    /// The share of this node. Nothing if another process has its identity.
    fn mine(&self, wanted: &Wanted) -> Share {
        match *self.standing.borrow() {
            Standing::Replaced => Share::default(),
            _ => wanted.share_of(&self.peers.me),
        }
    }

    /// Converges one pipeline on every change, and again after failures.
    async fn converge(
        self,
        name: String,
        mut wanted: watch::Receiver<Wanted>,
        stop: CancellationToken,
    ) {
        let (mut running, mut fenced) = (None, None);
        let mut pause = self.backoff.first;
        loop {
            let target = wanted.borrow_and_update().clone();
            // A change ends an attempt under way: a drain may take hours, and the user may think better of it.
            let attempt = tokio::select! {
                attempt = self.attempt(&name, &target, &mut running) => attempt,
                changed = wanted.changed() => match changed {
                    Ok(()) => continue,
                    Err(_) => return,
                },
                () = stop.cancelled() => return,
            };
            let wait = match attempt {
                Ok(()) => {
                    match &target.recorded {
                        Some(recorded) => self.reconciled.with(&name, |outcome| {
                            *outcome = Outcome { failure: None, settled: recorded.at };
                        }),
                        None => self.reconciled.forget(&name),
                    }
                    pause = self.backoff.first;
                    None
                }
                Err(reason) => {
                    tracing::warn!(pipeline = %name, %reason, retry_ms = pause.as_millis(), "pipeline is not as wanted");
                    self.reconciled.with(&name, |outcome| outcome.failure = Some(reason));
                    let wait = pause;
                    pause = (pause * 2).min(self.backoff.most);
                    Some(wait)
                }
            };
            let retry = async {
                match wait {
                    Some(wait) => tokio::time::sleep(wait).await,
                    None => self.until_not_as_wanted(&name, &target, &mut fenced).await,
                }
            };
            tokio::select! {
                changed = wanted.changed() => match changed {
                    Ok(()) => pause = self.backoff.first,
                    Err(_) => return,
                },
                () = retry => {}
                () = stop.cancelled() => return,
            }
        }
    }

    /// Waits until a pipeline that was as wanted is so no longer without a change of what is wanted.
    async fn until_not_as_wanted(&self, name: &str, wanted: &Wanted, fenced: &mut Option<Instant>) {
        loop {
            tokio::time::sleep(LOOK_AGAIN_AFTER).await;
            let Some(recorded) = &wanted.recorded else { continue };
            let is_as_wanted = match recorded.record.desired {
                // Another node may have taken partitions over that are still this one's; and what a host could not do, it may
                // do now.
                Desired::Running => {
                    let status = self.worker.status(name).await.unwrap_or_default();
                    self.unseal(recorded, &status, fenced).await;
                    !status.fenced
                        && !status.host_fault
                        && self.worker.held(name) == self.mine(wanted).runs
                }
                Desired::Paused => true,
                Desired::Stopped => !recorded.record.drain || !self.is_coordinator(),
                Desired::Deleted => !self.is_coordinator(),
            };
            if !is_as_wanted {
                return;
            }
        }
    }

    /// Writes the record anew once a pipeline has been refused for long: its log may be sealed for a switch of lives whose node has
    /// died, and by a newer record it goes on. Nothing else changes.
    async fn unseal(
        &self,
        recorded: &Recorded,
        status: &PipelineStatus,
        fenced: &mut Option<Instant>,
    ) {
        if !status.fenced {
            if status.phase == Phase::Running {
                *fenced = None;
            }
            return;
        }
        if fenced.get_or_insert_with(Instant::now).elapsed() < FENCED_MAX {
            return;
        }
        *fenced = None;
        if let Err(problem) = self.pipelines.update(&recorded.record, recorded.at).await {
            tracing::debug!(pipeline = %recorded.record.name, %problem, "the record was not written anew");
        }
    }
}

/// The status that users see: what the nodes say, or why there is nothing to say.
pub async fn status_of<W: Worker>(peers: &Peers<W>, record: &PipelineRecord) -> PipelineStatus {
    if let Some(status) = peers.status(record).await {
        return status;
    }
    let phase = match record.desired {
        Desired::Running | Desired::Deleted => Phase::Starting,
        Desired::Paused => Phase::Paused,
        Desired::Stopped => Phase::Stopped,
    };
    PipelineStatus { phase, ..PipelineStatus::default() }
}
