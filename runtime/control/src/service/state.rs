//! `state.*`, and how stages are named.

use super::{Answer, Service};
use crate::api::local::{StateGet, StateKeys};
use crate::api::state::{Get, KEYS_MAX, KeyState, Keys, List};
use crate::errors::{self, Code};
use crate::manifest::suggest;
use crate::problem::{Problem, Problems};
use crate::worker::{Worker, WorkerError};

impl<W: Worker> Answer<Get> for Service<W> {
    async fn answer(&self, request: Get) -> Result<KeyState, Problems> {
        let stage = self.stage(&request.pipeline, request.stage).await?;
        let request = StateGet { pipeline: request.pipeline, stage, key: request.key };
        self.peers.state_get(&request).await
    }
}

impl<W: Worker> Answer<List> for Service<W> {
    async fn answer(&self, request: List) -> Result<Keys, Problems> {
        let stage = self.stage(&request.pipeline, request.stage).await?;
        let limit = request.limit.clamp(1, KEYS_MAX);
        let List { pipeline, prefix, after, .. } = request;
        self.peers.state_keys(&StateKeys { pipeline, stage, prefix, after, limit }).await
    }
}

impl<W: Worker> Service<W> {
    /// The stage that is meant; it may be left out when there is one.
    pub(super) async fn stage(
        &self,
        pipeline: &str,
        wanted: Option<String>,
    ) -> Result<String, Problem> {
        let record = self.pipelines.require(pipeline).await?.record;
        let names: Vec<&str> = record.modules.keys().map(String::as_str).collect();
        match (wanted, names.as_slice()) {
            (Some(wanted), _) if names.contains(&wanted.as_str()) => Ok(wanted),
            (Some(wanted), _) => {
                let message = format!("the pipeline `{pipeline}` has no stage `{wanted}`");
                Err(Problem::new(errors::STAGE_UNKNOWN, message)
                    .help(suggest(&wanted, names.iter().copied())))
            }
            (None, [only]) => Ok((*only).to_owned()),
            (None, _) => {
                let message =
                    format!("the pipeline `{pipeline}` has the stages {}", names.join(", "));
                Err(Problem::new(errors::STAGE_UNKNOWN, message).help("name one with `--stage`"))
            }
        }
    }
}

/// What the worker could not do, as a problem.
pub(crate) fn worker_problem(pipeline: &str, code: Code, error: &WorkerError) -> Problem {
    match error {
        WorkerError::NotRunning => Problem::new(
            errors::PIPELINE_NOT_RUNNING,
            format!("the pipeline `{pipeline}` is not running"),
        )
        .help(format!("`millstream describe {pipeline}` says why")),
        WorkerError::Failed(reason) => Problem::new(code, reason.clone())
            .help(format!("`millstream describe {pipeline}` says how it is")),
    }
}
