//! A node: contends for the lease, and while it holds it runs the pipelines and answers the API.

use std::sync::Arc;
use std::time::Duration;

use millstream_core::ids::Incarnation;
use millstream_log::connect::Connection;
use millstream_sandbox::Sandbox;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::clock;
use crate::compiler::Compiler;
use crate::dead_letters::DeadLetters;
use crate::lease::{Contender, Lease, LeaseHandle, LeaseOptions, Ownership};
use crate::problem::Problem;
use crate::readiness::Readiness;
use crate::reconcile::{Backoff, Reconciler};
use crate::registry::{Modules, Pipelines, Stores};
use crate::service::{NodeFacts, Service};
use crate::worker::Worker;

/// Pause before a service that could not be offered is offered again.
const SERVICE_RETRY: Duration = Duration::from_secs(1);

/// How a node behaves.
#[derive(Clone, Debug)]
pub struct NodeOptions {
    /// Name of the node, for people; need not be unique.
    pub name: String,
    /// Number of the node's data folder ([`crate::folder`]): a node that is started again is known by it.
    pub identity: Incarnation,
    /// Replicas of the buckets and streams the node makes.
    pub replicas: usize,
    /// Largest module, bytes.
    pub module_size_max: u64,
    /// Compiles modules outside this process; none: inside.
    pub compiler: Option<Arc<dyn Compiler>>,
    /// How the lease is kept.
    pub lease: LeaseOptions,
    /// Pauses between attempts to start a pipeline.
    pub backoff: Backoff,
}

impl NodeOptions {
    /// Defaults under a name, as a node that never ran before: one replica, modules up to 10 MiB.
    pub fn named(name: &str) -> Self {
        NodeOptions {
            name: name.to_owned(),
            identity: clock::random_incarnation(),
            replicas: 1,
            module_size_max: 10 << 20,
            compiler: None,
            lease: LeaseOptions::default(),
            backoff: Backoff::default(),
        }
    }
}

/// A node on a connection.
pub struct Node<W> {
    options: NodeOptions,
    connection: Connection,
    modules: Arc<Modules>,
    pipelines: Pipelines,
    dead_letters: DeadLetters,
    worker: Arc<W>,
    readiness: Readiness<W>,
    stores: Stores,
}

impl<W: Worker> Node<W> {
    /// Opens the buckets, object store and streams, and makes those that are missing.
    ///
    /// # Errors
    /// MS1406.
    pub async fn open(
        options: NodeOptions,
        connection: Connection,
        sandbox: Arc<Sandbox>,
        worker: Arc<W>,
    ) -> Result<Self, Problem> {
        let stores = Stores::open(&connection, options.replicas).await?;
        let dead_letters = DeadLetters::new(&connection, options.replicas);
        dead_letters.ensure_streams().await?;
        let modules = Modules::new(
            Arc::clone(&stores.modules),
            Arc::clone(&stores.module_bytes),
            sandbox,
            options.compiler.clone(),
            options.module_size_max,
        );
        let pipelines = Pipelines::new(Arc::clone(&stores.pipelines));
        Ok(Node {
            options,
            connection,
            modules: Arc::new(modules),
            pipelines,
            dead_letters,
            readiness: Readiness::new(Arc::clone(&worker)),
            worker,
            stores,
        })
    }

    /// Whether the node does what it is there for, while it runs.
    pub fn readiness(&self) -> Readiness<W> {
        self.readiness.clone()
    }

    /// Contends for the lease and serves while it is held, until `stop`. Then stops all pipelines where they are (their
    /// last commits are acknowledged) and gives the lease back.
    pub async fn run(self, stop: CancellationToken) {
        let incarnation = clock::random_incarnation();
        let facts = NodeFacts {
            node: self.options.name.clone(),
            incarnation: format!("{:032x}", incarnation.0),
            started: Instant::now(),
        };
        // The lease outlives what it protects.
        let release = CancellationToken::new();
        let (mut lease, kept) = Lease::start(
            Arc::clone(&self.stores.leases),
            &Contender {
                node: self.options.name.clone(),
                identity: self.options.identity,
                incarnation,
            },
            self.options.lease,
            release.clone(),
        );
        self.readiness.contends(lease.clone());
        while !stop.is_cancelled() {
            tokio::select! {
                held = lease.until(|ownership| *ownership == Ownership::Holding) => {
                    if held.is_none() {
                        break;
                    }
                    self.serve(&lease, facts.clone(), &stop).await;
                }
                () = stop.cancelled() => {}
            }
        }
        release.cancel();
        if let Err(error) = kept.await {
            tracing::error!(%error, "the lease's task failed");
        }
    }

    /// Runs the pipelines and the API until the lease is lost or `stop`.
    async fn serve(&self, lease: &LeaseHandle, facts: NodeFacts, stop: &CancellationToken) {
        let serving = stop.child_token();
        let reconciler = Reconciler::new(
            self.pipelines.clone(),
            Arc::clone(&self.modules),
            Arc::clone(&self.worker),
            self.readiness.assigned(),
            lease.clone(),
            self.options.backoff,
        );
        let service = Arc::new(Service {
            modules: Arc::clone(&self.modules),
            pipelines: self.pipelines.clone(),
            worker: Arc::clone(&self.worker),
            failures: reconciler.failures(),
            dead_letters: self.dead_letters.clone(),
            facts,
            changes: tokio::sync::Mutex::new(()),
            connection: self.connection.clone(),
        });
        let answering = AbortOnDropHandle::new(tokio::spawn(answer(service, serving.clone())));
        let mut reconciling = AbortOnDropHandle::new(tokio::spawn(reconciler.run(serving.clone())));
        let mut lost = lease.clone();
        let handled = tokio::select! {
            _ = lost.until(|ownership| matches!(ownership, Ownership::Contending(_))) => None,
            () = stop.cancelled() => None,
            handled = &mut reconciling => Some(handled),
        };
        serving.cancel();
        let handled = match handled {
            Some(handled) => handled,
            None => reconciling.await,
        };
        match handled {
            Ok(names) => self.stop_all(names).await,
            Err(error) => tracing::error!(%error, "the reconciler's task failed"),
        }
        if let Err(error) = answering.await {
            tracing::error!(%error, "the service's task failed");
        }
    }

    /// All at once: each waits for its own last commit.
    async fn stop_all(&self, names: Vec<String>) {
        let stops = names.into_iter().map(|name| async move {
            if let Err(error) = self.worker.stop(&name, false).await {
                tracing::debug!(pipeline = %name, %error, "pipeline was not stopped");
            }
        });
        futures::future::join_all(stops).await;
    }
}

async fn answer<W: Worker>(service: Arc<Service<W>>, stop: CancellationToken) {
    while let Err(error) = Arc::clone(&service).run(stop.clone()).await {
        tracing::warn!(%error, "trying again");
        tokio::select! {
            () = tokio::time::sleep(SERVICE_RETRY) => {}
            () = stop.cancelled() => return,
        }
    }
}
