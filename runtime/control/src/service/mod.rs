//! The control API as a NATS service. Only the node that holds the lease answers, and asks the others ([`local`]) what it
//! does not know.
//!
//! Every operation has an endpoint; every request passes the gate ([`crate::access`]) and runs as a task of its own, so that a slow one (a checkpoint, a
//! compilation) holds up no other. Changes of the registry are made one after another; between nodes the
//! buckets' compare-and-swap decides.

mod access;
mod audit;
mod changes;
mod checkpoints;
mod dead_letters;
pub mod local;
mod logs;
mod modules;
mod nodes;
mod pipelines;
pub mod resting;
mod savepoints;
mod state;

pub(crate) use state::worker_problem;

use std::future::Future;
use std::sync::Arc;

use async_nats::HeaderMap;
use async_nats::service::{Request, Service as NatsService, ServiceExt};
use bytes::Bytes;
use futures::StreamExt;
use millstream_log::connect::Connection;
use millstream_log::kv::Kv;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::access::gate::Turned;
use crate::access::rule::{Effect, Rule, rule};
use crate::access::{Caller, Gate};
use crate::api::{self, Operation, PROBLEMS_HEADER, SERVICE_NAME, SUBJECT_PREFIX};
use crate::audit::entry::Asked;
use crate::audit::{Digest, Trail, What};
use crate::cluster::assignments::Assignments;
use crate::cluster::gathering::Gatherings;
use crate::cluster::peers::Peers;
use crate::dead_letters::DeadLetters;
use crate::errors;
use crate::lease::LeaseHandle;
use crate::problem::{Problem, Problems};
use crate::registry::{Modules, Pipelines};
use crate::worker::Worker;

/// Requests answered at the same time; further ones wait.
const REQUESTS_MAX: usize = 64;
/// Problems sent back; more help nobody, and headers must fit the server's limit.
const PROBLEMS_MAX: usize = 100;

/// The node as `info` shows it.
#[derive(Clone, Debug)]
pub struct NodeFacts {
    /// Its name.
    pub node: String,
    /// Random number of this start, hexadecimal.
    pub incarnation: String,
    /// When it started.
    pub started: Instant,
}

/// Answers requests.
pub struct Service<W> {
    /// The registry of modules.
    pub modules: Arc<Modules>,
    /// Desired state.
    pub pipelines: Pipelines,
    /// What runs, on all nodes.
    pub peers: Peers<W>,
    /// Where it is to run.
    pub assignments: Assignments,
    /// What is to be on one node for a while.
    pub gatherings: Gatherings,
    /// Bucket of leases: nodes that drain are noted there.
    pub leases: Arc<dyn Kv>,
    /// Dead letters.
    pub dead_letters: DeadLetters,
    /// Whether this node is the one that answers.
    pub lease: LeaseHandle,
    /// Who answers.
    pub facts: NodeFacts,
    /// Held while the registry is changed.
    pub changes: tokio::sync::Mutex<()>,
    /// To the account where sources, sinks and users are.
    pub connection: Connection,
    /// What every request passes first.
    pub gate: Arc<Gate>,
    /// What is done is written there.
    pub trail: Arc<Trail>,
}

/// Who may be silent, and whom to answer.
trait Answering {
    /// What every request passes first.
    fn gate(&self) -> &Gate;

    /// Where it is written what users ask; none: nobody but nodes asks.
    fn trail(&self) -> Option<&Trail>;

    /// Whether requests are answered now. Others are dropped: what has waited for a process that slept is old.
    fn answers(&self) -> bool;
}

/// One operation's handler.
trait Answer<O: Operation> {
    fn answer(&self, request: O) -> impl Future<Output = Result<O::Response, Problems>> + Send;
}

/// Why the service did not start.
#[derive(Debug, thiserror::Error)]
#[error("the service {SERVICE_NAME} cannot be offered: {0}")]
pub struct ServiceError(String);

impl<W: Worker> Answering for Service<W> {
    fn gate(&self) -> &Gate {
        &self.gate
    }

    fn trail(&self) -> Option<&Trail> {
        Some(&self.trail)
    }

    fn answers(&self) -> bool {
        self.lease.holds()
    }
}

impl<W: Worker> Service<W> {
    /// Answers until `stop`; requests under way are finished.
    ///
    /// # Errors
    /// If the subjects cannot be subscribed to.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) -> Result<(), ServiceError> {
        let connection = self.connection.clone();
        // A group of its own: a coordinator that hangs must not get requests instead of the next one.
        let group = self.facts.incarnation.clone();
        let mut offer = Offer::start(
            self,
            &connection,
            (SERVICE_NAME, "Millstream control API"),
            (SUBJECT_PREFIX.to_owned(), group),
            stop,
        )
        .await?;
        offer.endpoint::<api::access::Identity>().await?;
        offer.endpoint::<api::access::WhoAmI>().await?;
        offer.endpoint::<api::access::Can>().await?;
        offer.endpoint::<api::access::List>().await?;
        offer.endpoint::<api::access::GrantRequest>().await?;
        offer.endpoint::<api::access::Revoke>().await?;
        offer.endpoint::<api::access::SetConsent>().await?;
        offer.endpoint::<api::changes::List>().await?;
        offer.endpoint::<api::changes::Show>().await?;
        offer.endpoint::<api::changes::Approve>().await?;
        offer.endpoint::<api::changes::Reject>().await?;
        offer.endpoint::<api::audit::List>().await?;
        offer.endpoint::<api::audit::Head>().await?;
        offer.endpoint::<api::node::Info>().await?;
        offer.endpoint::<api::node::List>().await?;
        offer.endpoint::<api::node::Describe>().await?;
        offer.endpoint::<api::node::Drain>().await?;
        offer.endpoint::<api::node::Resume>().await?;
        offer.endpoint::<api::modules::Push>().await?;
        offer.endpoint::<api::modules::List>().await?;
        offer.endpoint::<api::modules::Show>().await?;
        offer.endpoint::<api::modules::Remove>().await?;
        offer.endpoint::<api::pipelines::Validate>().await?;
        offer.endpoint::<api::pipelines::Apply>().await?;
        offer.endpoint::<api::pipelines::List>().await?;
        offer.endpoint::<api::pipelines::Get>().await?;
        offer.endpoint::<api::pipelines::Describe>().await?;
        offer.endpoint::<api::pipelines::Delete>().await?;
        offer.endpoint::<api::pipelines::Pause>().await?;
        offer.endpoint::<api::pipelines::Resume>().await?;
        offer.endpoint::<api::pipelines::Stop>().await?;
        offer.endpoint::<api::pipelines::Lag>().await?;
        offer.endpoint::<api::logs::Last>().await?;
        offer.endpoint::<api::state::Get>().await?;
        offer.endpoint::<api::state::List>().await?;
        offer.endpoint::<api::checkpoints::Now>().await?;
        offer.endpoint::<api::checkpoints::List>().await?;
        offer.endpoint::<api::checkpoints::Show>().await?;
        offer.endpoint::<api::checkpoints::Verify>().await?;
        offer.endpoint::<api::savepoints::Create>().await?;
        offer.endpoint::<api::savepoints::List>().await?;
        offer.endpoint::<api::savepoints::Remove>().await?;
        offer.endpoint::<api::savepoints::Restore>().await?;
        offer.endpoint::<api::savepoints::Rescale>().await?;
        offer.endpoint::<api::dead_letters::List>().await?;
        offer.endpoint::<api::dead_letters::Show>().await?;
        offer.endpoint::<api::dead_letters::Redrive>().await?;
        offer.endpoint::<api::dead_letters::Drop>().await?;
        offer.end().await;
        Ok(())
    }
}

/// The service while its endpoints are made.
struct Offer<S> {
    service: Arc<S>,
    /// Common part of the subjects.
    prefix: String,
    nats: NatsService,
    requests: Arc<Semaphore>,
    endpoints: JoinSet<()>,
    stop: CancellationToken,
}

impl<S: Answering + Send + Sync + 'static> Offer<S> {
    async fn start(
        service: Arc<S>,
        connection: &Connection,
        (name, description): (&str, &str),
        (prefix, group): (String, String),
        stop: CancellationToken,
    ) -> Result<Self, ServiceError> {
        let nats = connection
            .client()
            .service_builder()
            .description(description)
            .queue_group(group)
            .start(name, env!("CARGO_PKG_VERSION"))
            .await
            .map_err(|error| ServiceError(error.to_string()))?;
        let requests = Arc::new(Semaphore::new(REQUESTS_MAX));
        Ok(Offer { service, prefix, nats, requests, endpoints: JoinSet::new(), stop })
    }

    /// Answers until it is told to stop; requests under way are finished.
    async fn end(mut self) {
        while self.endpoints.join_next().await.is_some() {}
        if let Err(error) = self.nats.stop().await {
            tracing::debug!(%error, "the service was not taken back");
        }
    }

    async fn endpoint<O: Operation + 'static>(&mut self) -> Result<(), ServiceError>
    where
        S: Answer<O>,
    {
        let mut requests = self
            .nats
            .endpoint_builder()
            .name(O::NAME.replace('.', "-"))
            .add(format!("{}.{}", self.prefix, O::NAME))
            .await
            .map_err(|error| ServiceError(error.to_string()))?;
        let (service, permits, stop) =
            (Arc::clone(&self.service), Arc::clone(&self.requests), self.stop.clone());
        self.endpoints.spawn(async move {
            let mut answers = JoinSet::new();
            loop {
                let request = tokio::select! {
                    request = requests.next() => request,
                    () = stop.cancelled() => break,
                };
                let (Some(request), Ok(permit)) =
                    (request, Arc::clone(&permits).acquire_owned().await)
                else {
                    break;
                };
                if !service.answers() {
                    continue;
                }
                let service = Arc::clone(&service);
                answers.spawn(async move {
                    handle::<S, O>(&service, request).await;
                    drop(permit);
                });
                while answers.try_join_next().is_some() {}
            }
            while answers.join_next().await.is_some() {}
        });
        Ok(())
    }
}

async fn handle<S: Answering + Answer<O>, O: Operation>(service: &S, request: Request) {
    let answer = answer::<S, O>(service, &request.message).await;
    let sent = match answer.and_then(|response| encode(&response)) {
        Ok(bytes) => request.respond(Ok(bytes)).await,
        Err(problems) => {
            tracing::info!(operation = O::NAME, problems = problems.0.len(), "request refused");
            let (status, headers) = refusal(problems);
            request.respond_with_headers(Err(status), headers).await
        }
    };
    if let Err(error) = sent {
        tracing::warn!(operation = O::NAME, %error, "an answer could not be sent");
    }
}

/// Answers whom the gate lets through. What is to be changed, or shown of records and state, is in the trail before.
async fn answer<S: Answering + Answer<O>, O: Operation>(
    service: &S,
    message: &async_nats::Message,
) -> Result<O::Response, Problems> {
    let gate = service.gate();
    let signed = gate.read(O::KIND, message.headers.as_ref(), &message.payload)?;
    let mut request = decode::<O>(&message.payload)?;
    let (kind, target) = (request.kind(), request.target());
    let asked = |caller: Caller, changes| Asked {
        operation: kind.name().to_owned(),
        pipeline: target.pipeline.clone(),
        about: target.what.clone(),
        claims: request.claims().filter(|_| caller.key.is_none()).map(str::to_owned),
        user: caller.name,
        key: caller.key,
        nonce: caller.nonce,
        digest: Digest::of(&message.payload),
        changes,
    };
    let recorded = match rule(kind) {
        Rule::Users(effect @ (Effect::Change | Effect::Data), _) => {
            service.trail().map(|trail| (trail, effect == Effect::Change))
        }
        _ => None,
    };
    let caller = match gate.admit(signed, kind, &target).await {
        Ok(caller) => caller,
        Err(Turned { problem, known }) => {
            if let (Some((trail, changes)), Some(caller)) = (recorded, known) {
                let written = trail.append(What::Denied(asked(caller, changes))).await;
                if let Err(problem) = written {
                    tracing::error!(%problem, "a denied request is not in the audit trail");
                }
            }
            return Err(problem.into());
        }
    };
    let Some((trail, changes)) = recorded else {
        request.asked_by(&caller);
        return service.answer(request).await;
    };
    let entry = trail.asked(asked(caller.clone(), changes)).await?;
    request.asked_by(&caller);
    let answer = service.answer(request).await;
    if changes {
        let refused = answer.as_ref().err().and_then(|problems| problems.0.first());
        trail.concluded(entry, refused.map(|problem| problem.code)).await?;
    }
    answer
}

fn decode<O: Operation>(payload: &[u8]) -> Result<O, Problem> {
    let payload = if payload.is_empty() { b"{}" } else { payload };
    serde_json::from_slice(payload).map_err(|error| {
        Problem::new(errors::BAD_REQUEST, format!("the request {} was not understood: {error}", O::NAME))
            .help("client and node may be of different versions: compare `millstream --version` and `millstream info`")
    })
}

fn encode<T: serde::Serialize>(response: &T) -> Result<Bytes, Problems> {
    serde_json::to_vec(response).map(Bytes::from).map_err(|error| {
        Problem::new(errors::BAD_RESPONSE, format!("the response cannot be written: {error}"))
            .into()
    })
}

/// The headers of a refusal. The body of a service error is empty.
fn refusal(mut problems: Problems) -> (async_nats::service::error::Error, HeaderMap) {
    problems.0.truncate(PROBLEMS_MAX);
    let first = problems
        .0
        .first()
        .map(|problem| format!("{}: {}", problem.code, problem.message))
        .unwrap_or_default();
    // Headers are single lines.
    let status = first.replace(['\r', '\n'], " ");
    let mut headers = HeaderMap::new();
    if let Ok(json) = serde_json::to_string(&problems) {
        headers.insert(PROBLEMS_HEADER, json.as_str());
    }
    (async_nats::service::error::Error { status, code: 400 }, headers)
}

impl<W: Worker> Answer<api::node::Info> for Service<W> {
    async fn answer(&self, _: api::node::Info) -> Result<api::node::NodeInfo, Problems> {
        Ok(api::node::NodeInfo {
            node: self.facts.node.clone(),
            incarnation: self.facts.incarnation.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_ms: u64::try_from(self.facts.started.elapsed().as_millis()).unwrap_or(u64::MAX),
            server_version: self.connection.client().server_info().version.clone(),
            module_size_max: self.modules.size_max(),
            pipelines: self.pipelines.list().await?.len(),
            modules: self.modules.list().await?.len(),
        })
    }
}
