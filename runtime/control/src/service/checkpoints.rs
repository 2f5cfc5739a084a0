//! `checkpoint.*`.

use super::state::worker_problem;
use super::{Answer, Service};
use crate::api::checkpoints::{CheckpointInfo, Checkpoints, List, Now, Show, Verified, Verify};
use crate::api::local::VerifyCheckpoints;
use crate::errors;
use crate::problem::{Problem, Problems};
use crate::reconcile::life;
use crate::worker::Worker;

impl<W: Worker> Answer<Now> for Service<W> {
    async fn answer(&self, request: Now) -> Result<Checkpoints, Problems> {
        self.pipelines.require(&request.pipeline).await?;
        let checkpoints = self.peers.checkpoint(&request.pipeline).await?;
        Ok(Checkpoints { checkpoints: without_files(checkpoints) })
    }
}

impl<W: Worker> Answer<List> for Service<W> {
    async fn answer(&self, request: List) -> Result<Checkpoints, Problems> {
        self.pipelines.require(&request.pipeline).await?;
        Ok(Checkpoints {
            checkpoints: without_files(self.peers.checkpoints(&request.pipeline).await?),
        })
    }
}

impl<W: Worker> Answer<Show> for Service<W> {
    async fn answer(&self, request: Show) -> Result<Checkpoints, Problems> {
        let stage = self.stage(&request.pipeline, request.stage).await?;
        let mut checkpoints = self.peers.checkpoints(&request.pipeline).await?;
        checkpoints.retain(|checkpoint| {
            checkpoint.stage == stage && checkpoint.partition == request.partition
        });
        if checkpoints.is_empty() {
            let message = format!(
                "there are no checkpoints of partition {} of stage `{stage}` of `{}`",
                request.partition, request.pipeline
            );
            return Err(Problem::new(errors::PARTITION_UNKNOWN, message)
                .help(
                    "partitions are counted from 0; a partition without changes has no checkpoint",
                )
                .into());
        }
        Ok(Checkpoints { checkpoints })
    }
}

impl<W: Worker> Answer<Verify> for Service<W> {
    async fn answer(&self, request: Verify) -> Result<Verified, Problems> {
        let stage = match request.stage {
            Some(stage) => Some(self.stage(&request.pipeline, Some(stage)).await?),
            None => {
                self.pipelines.require(&request.pipeline).await?;
                None
            }
        };
        let Verify { pipeline, partition, .. } = request;
        let request = VerifyCheckpoints { pipeline, stage, partition };
        match self.peers.verify(&request).await {
            Ok(checkpoints) => Ok(Verified { checkpoints }),
            Err(problems) if problems.has(errors::PIPELINE_NOT_RUNNING) => {
                self.verify_stored(request).await
            }
            Err(problems) => Err(problems),
        }
    }
}

impl<W: Worker> Service<W> {
    /// Verifies the checkpoints of a pipeline that runs nowhere.
    async fn verify_stored(&self, request: VerifyCheckpoints) -> Result<Verified, Problems> {
        let VerifyCheckpoints { pipeline, stage, partition } = request;
        let recorded = self.pipelines.require(&pipeline).await?;
        let life = life(&recorded.record);
        let worker = &self.peers.local.worker;
        let stage = stage.as_deref();
        let verified = worker.verify_stored_checkpoints(&pipeline, &life, stage, partition).await;
        let failed = |error| worker_problem(&pipeline, errors::CHECKPOINT_FAILED, &error);
        Ok(Verified { checkpoints: verified.map_err(failed)? })
    }
}

fn without_files(mut checkpoints: Vec<CheckpointInfo>) -> Vec<CheckpointInfo> {
    for checkpoint in &mut checkpoints {
        checkpoint.files.clear();
    }
    checkpoints
}
