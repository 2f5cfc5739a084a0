//! `local.*`: every node answers for itself.

use std::sync::Arc;

use millstream_log::connect::Connection;
use tokio_util::sync::CancellationToken;

use super::resting::Rests;
use super::state::worker_problem;
use super::{Answer, Answering, Offer, ServiceError};
use crate::access::Gate;
use crate::api::access::{Identified, Identity};
use crate::api::checkpoints::{Checkpoints, Verified};
use crate::api::local::{
    Checkpoint, Done, GoOn, Held, HeldPartitions, Logs, PartStatus, StateGet, StateKeys, Status,
    StoredCheckpoints, TakeSavepoint, Taking, VerifyCheckpoints,
};
use crate::api::logs::Lines;
use crate::api::state::{KeyState, Keys};
use crate::api::{NODE_SERVICE_NAME, NODE_SUBJECT_PREFIX};
use crate::audit::Trail;
use crate::errors;
use crate::problem::{Problem, Problems};
use crate::reconcile::Reconciled;
use crate::registry::Pipelines;
use crate::worker::Worker;

/// What one node alone knows.
pub struct Local<W> {
    /// What runs on it.
    pub worker: Arc<W>,
    /// What came of making it run.
    pub reconciled: Reconciled,
    /// What is wanted.
    pub pipelines: Pipelines,
    /// To the account where the other nodes are.
    pub connection: Connection,
    /// What every request passes first.
    pub gate: Arc<Gate>,
    /// What rests here for other nodes.
    pub rests: Rests,
}

impl<W> Answering for Local<W> {
    fn gate(&self) -> &Gate {
        &self.gate
    }

    fn trail(&self) -> Option<&Trail> {
        None
    }

    fn answers(&self) -> bool {
        true
    }
}

impl<W: Worker> Local<W> {
    /// Answers the other nodes until `stop`. `identity` is this one's.
    ///
    /// # Errors
    /// If the subjects cannot be subscribed to.
    pub async fn run(
        self: Arc<Self>,
        identity: &str,
        stop: CancellationToken,
    ) -> Result<(), ServiceError> {
        let prefix = format!("{NODE_SUBJECT_PREFIX}.{identity}");
        let connection = self.connection.clone();
        let mut offer = Offer::start(
            self,
            &connection,
            (NODE_SERVICE_NAME, "What one Millstream node knows"),
            (prefix, identity.to_owned()),
            stop,
        )
        .await?;
        offer.endpoint::<Identity>().await?;
        offer.endpoint::<Held>().await?;
        offer.endpoint::<Status>().await?;
        offer.endpoint::<Logs>().await?;
        offer.endpoint::<StateGet>().await?;
        offer.endpoint::<StateKeys>().await?;
        offer.endpoint::<Checkpoint>().await?;
        offer.endpoint::<StoredCheckpoints>().await?;
        offer.endpoint::<VerifyCheckpoints>().await?;
        offer.endpoint::<TakeSavepoint>().await?;
        offer.endpoint::<GoOn>().await?;
        offer.end().await;
        Ok(())
    }

    /// Which partitions run here.
    pub fn held(&self) -> HeldPartitions {
        HeldPartitions {
            pipelines: self.worker.held_all(),
            ready: self.worker.ready_all(),
            settled: self.reconciled.settled(),
        }
    }

    /// How this node's part of a pipeline is.
    pub async fn status(&self, pipeline: &str) -> PartStatus {
        PartStatus {
            status: self.worker.status(pipeline).await,
            failure: self.reconciled.failure(pipeline),
        }
    }

    /// The last log lines.
    pub fn logs(&self, request: &Logs) -> Lines {
        let limit = usize::try_from(request.limit).unwrap_or(usize::MAX);
        let lines = self.worker.logs(&request.pipeline, request.stage.as_deref(), limit);
        Lines { lines: super::logs::newest_within(lines, self.connection.payload_bytes_max() / 2) }
    }

    /// All states and timers of a key, if its partition is here.
    ///
    /// # Errors
    /// What the worker says.
    pub async fn state_get(&self, request: &StateGet) -> Result<KeyState, Problem> {
        let found = self.worker.state_get(&request.pipeline, &request.stage, &request.key.0).await;
        found.map_err(|error| worker_problem(&request.pipeline, errors::STATE_UNREADABLE, &error))
    }

    /// Keys of the partitions that are here.
    ///
    /// # Errors
    /// What the worker says.
    pub async fn state_keys(&self, request: &StateKeys) -> Result<Keys, Problem> {
        let after = request.after.as_ref().map(|key| key.0.as_slice());
        let StateKeys { pipeline, stage, prefix, limit, .. } = request;
        let found = self.worker.state_keys(pipeline, stage, &prefix.0, after, *limit).await;
        found.map_err(|error| worker_problem(pipeline, errors::STATE_UNREADABLE, &error))
    }

    /// Stores checkpoints of the partitions that are here.
    ///
    /// # Errors
    /// What the worker says.
    pub async fn checkpoint(&self, pipeline: &str) -> Result<Checkpoints, Problem> {
        let stored = self.worker.checkpoint(pipeline).await;
        let problem = |error| worker_problem(pipeline, errors::CHECKPOINT_FAILED, &error);
        stored.map(|checkpoints| Checkpoints { checkpoints }).map_err(problem)
    }

    /// Stored checkpoints of the partitions that are here.
    ///
    /// # Errors
    /// What the worker says.
    pub async fn checkpoints(&self, pipeline: &str) -> Result<Checkpoints, Problem> {
        let stored = self.worker.checkpoints(pipeline).await;
        let problem = |error| worker_problem(pipeline, errors::CHECKPOINT_FAILED, &error);
        stored.map(|checkpoints| Checkpoints { checkpoints }).map_err(problem)
    }
}

impl<W: Worker> Local<W> {
    /// Reads the stored checkpoints of the partitions that are here back.
    ///
    /// # Errors
    /// What the worker says.
    pub async fn verify(&self, request: &VerifyCheckpoints) -> Result<Verified, Problem> {
        let VerifyCheckpoints { pipeline, stage, partition } = request;
        let verified = self.worker.verify_checkpoints(pipeline, stage.as_deref(), *partition).await;
        let problem = |error| worker_problem(pipeline, errors::CHECKPOINT_FAILED, &error);
        verified.map(|checkpoints| Verified { checkpoints }).map_err(problem)
    }
}

impl<W: Worker> Answer<VerifyCheckpoints> for Local<W> {
    async fn answer(&self, request: VerifyCheckpoints) -> Result<Verified, Problems> {
        Ok(self.verify(&request).await?)
    }
}

impl<W: Worker> Answer<TakeSavepoint> for Local<W> {
    async fn answer(&self, request: TakeSavepoint) -> Result<Taking, Problems> {
        self.rests.take(&self.worker, &self.pipelines, &request).await
    }
}

impl<W: Worker> Answer<GoOn> for Local<W> {
    async fn answer(&self, request: GoOn) -> Result<Done, Problems> {
        self.rests.end(&request.pipeline);
        self.worker.go_on(&request.pipeline);
        Ok(Done {})
    }
}

impl<W: Worker> Answer<Identity> for Local<W> {
    async fn answer(&self, _: Identity) -> Result<Identified, Problems> {
        Ok(super::access::identified(&self.gate))
    }
}

impl<W: Worker> Answer<Held> for Local<W> {
    async fn answer(&self, _: Held) -> Result<HeldPartitions, Problems> {
        Ok(self.held())
    }
}

impl<W: Worker> Answer<Status> for Local<W> {
    async fn answer(&self, request: Status) -> Result<PartStatus, Problems> {
        Ok(self.status(&request.pipeline).await)
    }
}

impl<W: Worker> Answer<Logs> for Local<W> {
    async fn answer(&self, request: Logs) -> Result<Lines, Problems> {
        Ok(Local::logs(self, &request))
    }
}

impl<W: Worker> Answer<StateGet> for Local<W> {
    async fn answer(&self, request: StateGet) -> Result<KeyState, Problems> {
        Ok(self.state_get(&request).await?)
    }
}

impl<W: Worker> Answer<StateKeys> for Local<W> {
    async fn answer(&self, request: StateKeys) -> Result<Keys, Problems> {
        Ok(self.state_keys(&request).await?)
    }
}

impl<W: Worker> Answer<Checkpoint> for Local<W> {
    async fn answer(&self, request: Checkpoint) -> Result<Checkpoints, Problems> {
        Ok(self.checkpoint(&request.pipeline).await?)
    }
}

impl<W: Worker> Answer<StoredCheckpoints> for Local<W> {
    async fn answer(&self, request: StoredCheckpoints) -> Result<Checkpoints, Problems> {
        Ok(self.checkpoints(&request.pipeline).await?)
    }
}
