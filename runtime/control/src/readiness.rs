//! Whether a node does what it is there for: the answer behind `/readyz`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use crate::api::pipelines::Desired;
use crate::api::status::Phase;
use crate::cluster::membership::Standing;
use crate::worker::{Assigned, Worker};

/// How long the worker may take to say how it is.
const PATIENCE: Duration = Duration::from_secs(2);

/// What is to run on this node. The reconciler says it; nobody knows before it has read all records.
#[derive(Clone, Debug, Default)]
pub struct Expected(Arc<Mutex<Option<Parts>>>);

/// Per pipeline what is wanted of it, and the partitions of this node.
pub type Parts = BTreeMap<String, (Desired, Assigned)>;

impl Expected {
    /// All pipelines that have partitions here, or none anywhere yet; none: not known.
    pub fn set(&self, parts: Option<Parts>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = parts;
    }

    fn get(&self) -> Option<Parts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A node's own view of itself. Cheap to clone.
pub struct Readiness<W> {
    worker: Arc<W>,
    expected: Expected,
    standing: Arc<OnceLock<watch::Receiver<Standing>>>,
}

impl<W> Clone for Readiness<W> {
    fn clone(&self) -> Self {
        Readiness {
            worker: Arc::clone(&self.worker),
            expected: self.expected.clone(),
            standing: Arc::clone(&self.standing),
        }
    }
}

impl<W: Worker> Readiness<W> {
    /// Of a node that has not begun to join.
    pub(crate) fn new(worker: Arc<W>) -> Self {
        Readiness { worker, expected: Expected::default(), standing: Arc::default() }
    }

    pub(crate) fn expected(&self) -> Expected {
        self.expected.clone()
    }

    /// The node joins from now on.
    pub(crate) fn joins(&self, standing: watch::Receiver<Standing>) {
        // A node runs once.
        let _ = self.standing.set(standing);
    }

    /// Why the node is not ready; none when it is: it is in the cluster, and all partitions that are assigned to it run or
    /// are paused as wanted.
    pub async fn unready(&self) -> Option<String> {
        match self.standing.get().map(|standing| *standing.borrow()) {
            None | Some(Standing::Joining) => {
                return Some("it is not in the cluster yet".to_owned());
            }
            Some(Standing::Doubtful) => return Some("its lease cannot be refreshed".to_owned()),
            Some(Standing::Replaced) => {
                return Some("a copy of its data folder runs as another node".to_owned());
            }
            Some(Standing::Member) => {}
        }
        let Some(expected) = self.expected.get() else {
            return Some("it has not read yet which pipelines there are".to_owned());
        };
        for (name, (desired, assigned)) in expected {
            if let Some(reason) = self.lacking(&name, desired, &assigned).await {
                return Some(reason);
            }
        }
        None
    }

    /// What a pipeline lacks to be as it is wanted.
    async fn lacking(&self, name: &str, desired: Desired, assigned: &Assigned) -> Option<String> {
        if !matches!(desired, Desired::Running | Desired::Paused) {
            return None;
        }
        let status = tokio::time::timeout(PATIENCE, self.worker.status(name)).await;
        let Ok(status) = status else {
            return Some(format!("pipeline {name} does not say how it is"));
        };
        let Some(status) = status else {
            // One that is to be paused is not started for that.
            return (desired == Desired::Running).then(|| format!("pipeline {name} does not run"));
        };
        if desired == Desired::Running && self.worker.held(name) != *assigned {
            return Some(format!("not all of its partitions of pipeline {name} run"));
        }
        for stage in &status.stages {
            for partition in &stage.partitions {
                let phase = match partition.phase {
                    Phase::Running | Phase::Paused => continue,
                    Phase::Starting => "is starting",
                    Phase::Stopped => "is stopped",
                    Phase::Failed => "has failed",
                };
                let place = format!("{name}/{}/{}", stage.name, partition.partition);
                return Some(format!("partition {place} {phase}"));
            }
        }
        None
    }
}
