//! Asks the nodes what each of them alone knows, and puts the answers together. This node is asked without a detour.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use millstream_log::connect::Connection;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::coordinator::stages_of;
use super::view::View;
use crate::access::SigningKey;
use crate::access::signature::Audience;
use crate::api::Operation;
use crate::api::checkpoints::{CheckpointInfo, CheckpointVerified};
use crate::api::local::{
    Checkpoint, GoOn, Held, HeldPartitions, Logs, PartStatus, StateGet, StateKeys, Status,
    StoredCheckpoints, TakeSavepoint, Taking, VerifyCheckpoints,
};
use crate::api::logs::LogLine;
use crate::api::savepoints::SavepointInfo;
use crate::api::state::{KeyState, Keys};
use crate::api::status::{PartitionStatus, Phase, PipelineStatus, StageStatus};
use crate::client::{Client, Signer};
use crate::errors;
use crate::lease::LeaseOptions;
use crate::problem::{Problem, Problems};
use crate::registry::PipelineRecord;
use crate::service::local::Local;
use crate::service::worker_problem;
use crate::worker::Worker;

/// How long a node may take to say what it has in memory.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long a node may take to store checkpoints or to list them.
const STORING: Duration = Duration::from_secs(60);
/// How long a node may take to take a savepoint, or to read checkpoints back.
const SAVING: Duration = Duration::from_secs(600);

/// Wait before a node that did not answer is asked again.
const ASK_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// A pipeline rests behind a savepoint until this is dropped, or a little longer.
pub struct Resting {
    /// None: it rests in this process.
    _asking: Option<AbortOnDropHandle<()>>,
}

/// The nodes, seen from one of them.
pub struct Peers<W> {
    /// What this node knows.
    pub local: Arc<Local<W>>,
    /// Identity of this node.
    pub me: String,
    /// Who is there.
    pub view: watch::Receiver<View>,
    /// To the others.
    pub connection: Connection,
    /// What this node signs with.
    pub key: SigningKey,
    /// How soon and how long others are to hear of this node.
    pub lease: LeaseOptions,
}

impl<W> Clone for Peers<W> {
    fn clone(&self) -> Self {
        Peers {
            local: Arc::clone(&self.local),
            me: self.me.clone(),
            view: self.view.clone(),
            connection: self.connection.clone(),
            key: self.key.clone(),
            lease: self.lease,
        }
    }
}

impl<W: Worker> Peers<W> {
    /// Identities of the other nodes that are there.
    pub fn others(&self) -> Vec<String> {
        self.view.borrow().nodes.keys().filter(|identity| **identity != self.me).cloned().collect()
    }

    /// Asks one other node.
    async fn ask<O: Operation>(
        &self,
        identity: &str,
        request: &O,
        timeout: Duration,
    ) -> Result<O::Response, Problems> {
        let incarnation = {
            let view = self.view.borrow();
            view.nodes.get(identity).map(|peer| peer.member.incarnation.clone())
        };
        let cluster = self.local.gate.audience().cluster.clone();
        let audience = incarnation.map(|incarnation| Audience { cluster, incarnation });
        let client = Client::of_node(self.connection.clone(), timeout, identity);
        client.signed(Arc::new(Signer::for_node(self.key.clone(), audience))).call(request).await
    }

    /// Asks all others at once; who does not answer is logged and left out.
    async fn ask_others<O: Operation>(&self, request: &O, timeout: Duration) -> Vec<O::Response> {
        let others = self.others();
        let asked = join_all(others.iter().map(|node| self.ask(node, request, timeout))).await;
        let mut answers = Vec::new();
        for (identity, answer) in others.iter().zip(asked) {
            match answer {
                Ok(answer) => answers.push(answer),
                Err(problems) => {
                    tracing::debug!(%identity, operation = O::NAME, %problems, "a node did not answer");
                }
            }
        }
        answers
    }

    /// What runs on a node; none if it does not answer.
    pub async fn held(&self, identity: &str) -> Option<HeldPartitions> {
        if identity == self.me {
            return Some(self.local.held());
        }
        self.ask(identity, &Held {}, PATIENCE).await.ok()
    }

    /// How a pipeline is. None if nothing of it runs anywhere and nobody says why.
    pub async fn status(&self, record: &PipelineRecord) -> Option<PipelineStatus> {
        let request = Status { pipeline: record.name.clone() };
        let mut parts = vec![self.local.status(&record.name).await];
        parts.extend(self.ask_others(&request, PATIENCE).await);
        put_together(parts, record)
    }

    /// The last log lines, oldest first.
    pub async fn logs(&self, pipeline: &str, stage: Option<&str>, limit: u32) -> Vec<LogLine> {
        let request =
            Logs { pipeline: pipeline.to_owned(), stage: stage.map(str::to_owned), limit };
        let mut lines = self.local.logs(&request).lines;
        for answer in self.ask_others(&request, PATIENCE).await {
            lines.extend(answer.lines);
        }
        lines.sort_by_key(|line| (line.at_ms, line.number));
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        lines.drain(..lines.len().saturating_sub(limit));
        lines
    }

    /// All states and timers of a key, from the node that has its partition.
    ///
    /// # Errors
    /// What this node says if no other has it.
    pub async fn state_get(&self, request: &StateGet) -> Result<KeyState, Problems> {
        let here = self.local.state_get(request).await;
        match here {
            Ok(found) => Ok(found),
            Err(problem) => {
                let found = self.ask_others(request, PATIENCE).await.pop();
                found.ok_or_else(|| problem.into())
            }
        }
    }

    /// Keys of all nodes' partitions, ascending.
    ///
    /// # Errors
    /// If no node has any of them.
    pub async fn state_keys(&self, request: &StateKeys) -> Result<Keys, Problems> {
        let here = self.local.state_keys(request).await;
        let others = self.ask_others(request, PATIENCE).await;
        let mut answers: Vec<Keys> = Vec::new();
        match here {
            Ok(found) => answers.push(found),
            Err(problem) if others.is_empty() => return Err(problem.into()),
            Err(_) => {}
        }
        answers.extend(others);
        let limit = usize::try_from(request.limit).unwrap_or(usize::MAX);
        let more = answers.iter().any(|answer| answer.more);
        let mut keys: Vec<_> = answers.into_iter().flat_map(|answer| answer.keys).collect();
        keys.sort_by(|a, b| a.0.cmp(&b.0));
        let more = more || keys.len() > limit;
        keys.truncate(limit);
        Ok(Keys { keys, more })
    }

    /// Has every node store checkpoints; the newest of each partition.
    ///
    /// # Errors
    /// What this node says if no other has stored any.
    pub async fn checkpoint(&self, pipeline: &str) -> Result<Vec<CheckpointInfo>, Problems> {
        let request = Checkpoint { pipeline: pipeline.to_owned() };
        let here = self.local.checkpoint(pipeline).await.map(|stored| stored.checkpoints);
        let others = self.ask_others(&request, STORING).await;
        gathered(here, others.into_iter().map(|stored| stored.checkpoints).collect())
    }

    /// All stored checkpoints.
    ///
    /// # Errors
    /// As [`Peers::checkpoint`].
    pub async fn checkpoints(&self, pipeline: &str) -> Result<Vec<CheckpointInfo>, Problems> {
        let request = StoredCheckpoints { pipeline: pipeline.to_owned() };
        let here = self.local.checkpoints(pipeline).await.map(|stored| stored.checkpoints);
        let others = self.ask_others(&request, STORING).await;
        gathered(here, others.into_iter().map(|stored| stored.checkpoints).collect())
    }

    /// Has every node read its partitions' stored checkpoints back.
    ///
    /// # Errors
    /// As [`Peers::checkpoint`].
    pub async fn verify(
        &self,
        request: &VerifyCheckpoints,
    ) -> Result<Vec<CheckpointVerified>, Problems> {
        let here = self.local.verify(request).await.map(|verified| verified.checkpoints);
        let others = self.ask_others(request, SAVING).await;
        let mut all = match here {
            Ok(found) => found,
            Err(problem) if others.is_empty() => return Err(problem.into()),
            Err(_) => Vec::new(),
        };
        all.extend(others.into_iter().flat_map(|verified| verified.checkpoints));
        all.sort_by(|a, b| {
            (&a.stage, a.partition, &a.document).cmp(&(&b.stage, b.partition, &b.document))
        });
        Ok(all)
    }

    /// Has the node that runs a whole pipeline take a savepoint of it. With `stay` the pipeline rests until
    /// [`Peers::go_on`], as long as what is returned with it is kept.
    ///
    /// # Errors
    /// What that node says.
    pub async fn savepoint(
        &self,
        identity: &str,
        pipeline: &str,
        name: &str,
        stay: bool,
    ) -> Result<(SavepointInfo, Resting), Problems> {
        if identity == self.me {
            let taken = self.local.worker.savepoint(pipeline, name, stay).await;
            let failed = |error| worker_problem(pipeline, errors::SAVEPOINT_FAILED, &error);
            return Ok((taken.map_err(failed)?, Resting { _asking: None }));
        }
        let request = TakeSavepoint {
            pipeline: pipeline.to_owned(),
            name: name.to_owned(),
            stay,
            within_ms: Some(self.lease.refresh.as_millis() as u64),
            rest_only: false,
        };
        let taken = self.ask_until_taken(identity, &request).await?;
        let asking = stay.then(|| {
            let (peers, identity) = (self.clone(), identity.to_owned());
            let request = TakeSavepoint { rest_only: true, ..request };
            AbortOnDropHandle::new(tokio::spawn(async move {
                loop {
                    tokio::time::sleep(peers.lease.refresh).await;
                    // An answer that says that it does not rest any more is what whoever keeps it finds out by the record.
                    let _ = peers.ask(&identity, &request, PATIENCE).await;
                }
            }))
        });
        Ok((taken, Resting { _asking: asking }))
    }

    /// Asks until a savepoint is taken. What a server loses that dies, question or answer, is asked again.
    async fn ask_until_taken(
        &self,
        identity: &str,
        request: &TakeSavepoint,
    ) -> Result<SavepointInfo, Problems> {
        let begun = Instant::now();
        let mut heard = begun;
        loop {
            match self.ask(identity, request, self.lease.refresh + PATIENCE).await {
                Ok(Taking::Taken(info)) => return Ok(info),
                Ok(Taking::UnderWay {}) if begun.elapsed() > SAVING => {
                    let within = SAVING.as_secs();
                    let message =
                        format!("savepoint `{}` is not taken within {within} s", request.name);
                    let problem = Problem::new(errors::SAVEPOINT_FAILED, message);
                    return Err(problem.help("the log of the node that takes it says why").into());
                }
                Ok(Taking::UnderWay {}) => heard = Instant::now(),
                Err(problems) => {
                    let unanswered = [errors::NO_NODE, errors::NO_ANSWER, errors::NO_NATS];
                    let is_unanswered = unanswered.iter().any(|code| problems.has(*code));
                    if !is_unanswered || heard.elapsed() > 2 * self.lease.expiry {
                        return Err(problems);
                    }
                    tokio::time::sleep(ASK_AGAIN_AFTER).await;
                }
            }
        }
    }

    /// Has a pipeline on a node compute again after a savepoint.
    pub async fn go_on(&self, identity: &str, pipeline: &str) {
        if identity == self.me {
            return self.local.worker.go_on(pipeline);
        }
        let request = GoOn { pipeline: pipeline.to_owned() };
        if let Err(problems) = self.ask(identity, &request, PATIENCE).await {
            tracing::warn!(%identity, %pipeline, %problems, "a pipeline was not told to go on");
        }
    }
}

fn gathered(
    here: Result<Vec<CheckpointInfo>, crate::problem::Problem>,
    others: Vec<Vec<CheckpointInfo>>,
) -> Result<Vec<CheckpointInfo>, Problems> {
    let mut all = match here {
        Ok(found) => found,
        Err(problem) if others.is_empty() => return Err(problem.into()),
        Err(_) => Vec::new(),
    };
    all.extend(others.into_iter().flatten());
    all.sort_by(|a, b| (&a.stage, a.partition, a.commit).cmp(&(&b.stage, b.partition, b.commit)));
    Ok(all)
}

/// Makes one status of the nodes' parts. A partition that two nodes name while it moves is the one of the higher
/// generation; one that nobody names is still to be started.
fn put_together(parts: Vec<PartStatus>, record: &PipelineRecord) -> Option<PipelineStatus> {
    let failure = parts.iter().find_map(|part| part.failure.clone());
    let statuses: Vec<PipelineStatus> = parts.into_iter().filter_map(|part| part.status).collect();
    let Some(first) = statuses.first() else {
        let failed = |reason| PipelineStatus {
            phase: Phase::Failed,
            reason: Some(reason),
            ..PipelineStatus::default()
        };
        return failure.map(failed);
    };
    let mut stages: Vec<StageStatus> = first
        .stages
        .iter()
        .map(|stage| StageStatus { partitions: Vec::new(), ..stage.clone() })
        .collect();
    let mut reason = None;
    for status in &statuses {
        // What another node took over is no failure of the pipeline.
        reason = reason.or_else(|| status.reason.clone().filter(|_| !status.fenced));
    }
    for stage in &mut stages {
        let mut found: BTreeMap<u16, PartitionStatus> = BTreeMap::new();
        let named = statuses.iter().flat_map(|status| &status.stages);
        for partition in named.filter(|s| s.name == stage.name).flat_map(|s| &s.partitions) {
            let newer = found
                .get(&partition.partition)
                .is_none_or(|known| known.generation <= partition.generation);
            if newer {
                found.insert(partition.partition, partition.clone());
            }
        }
        stage.partitions = found.into_values().collect();
    }
    let wanted: usize =
        stages_of(record).unwrap_or_default().iter().map(|s| usize::from(s.partitions)).sum();
    let partitions = || stages.iter().flat_map(|stage| &stage.partitions);
    let phase = if reason.is_some() {
        Phase::Failed
    } else if partitions().count() < wanted {
        Phase::Starting
    } else {
        partitions().map(|partition| partition.phase).min().unwrap_or_default()
    };
    Some(PipelineStatus { phase, reason: reason.or(failure), stages, ..PipelineStatus::default() })
}
