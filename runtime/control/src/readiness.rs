//! Whether a node does what it is there for: the answer behind `/readyz`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use crate::api::pipelines::Desired;
use crate::api::status::Phase;
use crate::lease::{LeaseHandle, Ownership};
use crate::worker::Worker;

/// How long the worker may take to say how it is.
const PATIENCE: Duration = Duration::from_secs(2);

/// What is wanted of the pipelines of this node. The reconciler says it; nobody knows before it has read all records.
#[derive(Clone, Debug, Default)]
pub struct Assigned(Arc<Mutex<Option<BTreeMap<String, Desired>>>>);

impl Assigned {
    /// All pipelines; none: not known, or no longer this node's.
    pub fn set(&self, pipelines: Option<BTreeMap<String, Desired>>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = pipelines;
    }

    fn get(&self) -> Option<BTreeMap<String, Desired>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A node's own view of itself. Cheap to clone.
pub struct Readiness<W> {
    worker: Arc<W>,
    assigned: Assigned,
    lease: Arc<OnceLock<LeaseHandle>>,
}

impl<W> Clone for Readiness<W> {
    fn clone(&self) -> Self {
        Readiness {
            worker: Arc::clone(&self.worker),
            assigned: self.assigned.clone(),
            lease: Arc::clone(&self.lease),
        }
    }
}

impl<W: Worker> Readiness<W> {
    /// Of a node that has not begun to contend.
    pub(crate) fn new(worker: Arc<W>) -> Self {
        Readiness { worker, assigned: Assigned::default(), lease: Arc::default() }
    }

    pub(crate) fn assigned(&self) -> Assigned {
        self.assigned.clone()
    }

    /// The node contends from now on.
    pub(crate) fn contends(&self, lease: LeaseHandle) {
        // A node runs once.
        let _ = self.lease.set(lease);
    }

    /// Why the node is not ready; none when it is: it owns the pipelines, and all partitions of those that are to run
    /// or to be paused do so; or another node owns them, and this one stands by.
    pub async fn unready(&self) -> Option<String> {
        match self.lease.get().map(LeaseHandle::ownership) {
            None | Some(Ownership::Contending(None)) => {
                return Some("it does not know yet which node owns the pipelines".to_owned());
            }
            Some(Ownership::Contending(Some(_))) => return None,
            Some(Ownership::Doubtful) => return Some("its lease cannot be refreshed".to_owned()),
            Some(Ownership::Holding) => {}
        }
        let Some(assigned) = self.assigned.get() else {
            return Some("it has not read yet which pipelines there are".to_owned());
        };
        for (name, desired) in assigned {
            if let Some(reason) = self.lacking(&name, desired).await {
                return Some(reason);
            }
        }
        None
    }

    /// What a pipeline lacks to be as it is wanted.
    async fn lacking(&self, name: &str, desired: Desired) -> Option<String> {
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
