//! Savepoints that other nodes have asked this one for, and pipelines that rest behind them.
//!
//! Whoever asks does so again and again, with the same name, until it hears what became of it; and as long as the pipeline is to
//! rest. So a lost question or a lost answer costs no more than a moment. Who has not been heard for a lease's expiry is taken for dead: what
//! it may still want to record is superseded, and the pipeline goes on.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::state::worker_problem;
use crate::api::local::{TakeSavepoint, Taking};
use crate::api::savepoints::SavepointInfo;
use crate::errors;
use crate::problem::{Problem, Problems};
use crate::registry::{PipelineRecord, Pipelines};
use crate::worker::Worker;

/// Wait before it is looked again whether somebody still asks, and before a record is written again.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How long a pipeline rests for a node of version 0.1, which asks once.
const UNHEARD_MAX: Duration = Duration::from_secs(600);

/// What became of a savepoint; none: it is under way.
type Outcome = Option<Result<SavepointInfo, Problems>>;

/// The last savepoint of each pipeline that another node has asked for. Cheap to clone.
#[derive(Clone)]
pub struct Rests {
    known: Arc<Mutex<BTreeMap<String, Rest>>>,
    /// How long whoever asks may be silent.
    silence_max: Duration,
}

struct Rest {
    savepoint: String,
    outcome: watch::Receiver<Outcome>,
    heard: Instant,
}

impl Rests {
    /// Of none. Who asks may be silent for so long.
    pub fn new(silence_max: Duration) -> Self {
        Self { known: Arc::default(), silence_max }
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<String, Rest>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a savepoint, or says how far the one is that was begun already.
    ///
    /// # Errors
    /// What the worker says; MS1323 if it only is to rest on and does not.
    pub async fn take<W: Worker>(
        &self,
        worker: &Arc<W>,
        pipelines: &Pipelines,
        request: &TakeSavepoint,
    ) -> Result<Taking, Problems> {
        let (begin, taken) = watch::channel(None);
        let (mut outcome, is_new) = {
            let mut known = self.known();
            match known.get_mut(&request.pipeline) {
                Some(rest) if rest.savepoint == request.name => {
                    rest.heard = Instant::now();
                    (rest.outcome.clone(), false)
                }
                _ if request.rest_only => return Err(self.none(request).into()),
                _ => {
                    let (savepoint, heard) = (request.name.clone(), Instant::now());
                    let rest = Rest { savepoint, outcome: taken.clone(), heard };
                    known.insert(request.pipeline.clone(), rest);
                    (taken, true)
                }
            }
        };
        if is_new {
            let (worker, pipelines) = (Arc::clone(worker), pipelines.clone());
            tokio::spawn(self.clone().hold(worker, pipelines, request.clone(), begin));
        }
        let done = outcome.wait_for(Option::is_some);
        let limit = request.within_ms.map_or(UNHEARD_MAX, Duration::from_millis);
        match tokio::time::timeout(limit, done).await {
            Ok(Ok(done)) => match done.as_ref() {
                Some(outcome) => Ok(Taking::Taken(outcome.clone()?)),
                None => Ok(Taking::UnderWay {}),
            },
            // The task that takes it has ended without a word.
            Ok(Err(_)) => Err(self.none(request).into()),
            Err(_) => Ok(Taking::UnderWay {}),
        }
    }

    fn none(&self, request: &TakeSavepoint) -> Problem {
        let TakeSavepoint { pipeline, name, .. } = request;
        let message = format!("`{pipeline}` does not rest behind savepoint `{name}` on this node");
        Problem::new(errors::SAVEPOINT_FAILED, message).help("it goes on; take another one")
    }

    /// Takes a savepoint, and has the pipeline go on if nobody asks for it any more.
    async fn hold<W: Worker>(
        self,
        worker: Arc<W>,
        pipelines: Pipelines,
        request: TakeSavepoint,
        outcome: watch::Sender<Outcome>,
    ) {
        let TakeSavepoint { pipeline, name, stay, within_ms, .. } = &request;
        let (rests, taken) = match pipelines.require(pipeline).await {
            Ok(recorded) => {
                let taken = worker.savepoint(pipeline, name, *stay).await;
                let failed = |error| worker_problem(pipeline, errors::SAVEPOINT_FAILED, &error);
                (Some(recorded.record), taken.map_err(|error| Problems::from(failed(error))))
            }
            Err(problem) => (None, Err(problem.into())),
        };
        let rests = rests.filter(|_| taken.is_ok() && *stay);
        outcome.send_replace(Some(taken));
        let silence_max = if within_ms.is_some() { self.silence_max } else { UNHEARD_MAX };
        while self.heard(&request).is_some_and(|heard| heard.elapsed() < silence_max) {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        if self.heard(&request).is_some()
            && let Some(rests) = rests
        {
            tracing::warn!(%pipeline, savepoint = %name, "nobody asks for the rest behind a savepoint any more; going on");
            go_on(&*worker, &pipelines, &rests).await;
        }
        let mut known = self.known();
        if known.get(pipeline).is_some_and(|rest| rest.savepoint == *name) {
            known.remove(pipeline);
        }
    }

    /// When a savepoint was last asked for; none: the pipeline does not rest behind it any more.
    fn heard(&self, request: &TakeSavepoint) -> Option<Instant> {
        let known = self.known();
        let rest = known.get(&request.pipeline)?;
        (rest.savepoint == request.name).then_some(rest.heard)
    }

    /// The pipeline goes on, as whoever asked wants.
    pub fn end(&self, pipeline: &str) {
        self.known().remove(pipeline);
    }
}

/// Has a pipeline go on that rests for a node that may have died meanwhile. What that node may still want to record is
/// superseded first.
async fn go_on<W: Worker>(worker: &W, pipelines: &Pipelines, rests: &PipelineRecord) {
    loop {
        match pipelines.get(&rests.name).await {
            Ok(Some(found)) if found.record.incarnation == rests.incarnation => {
                if pipelines.update(&found.record, found.at).await.is_ok() {
                    return worker.go_on(&rests.name);
                }
            }
            Ok(_) => return,
            Err(problem) => {
                tracing::warn!(pipeline = %rests.name, %problem, "a record cannot be read");
            }
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
