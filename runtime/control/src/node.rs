//! A node: joins the cluster and runs the partitions that are assigned to it. While it holds the owner lease, it also
//! assigns partitions and answers the API.

use std::sync::Arc;
use std::time::Duration;

use millstream_core::ids::Incarnation;
use millstream_log::connect::Accounts;
use millstream_sandbox::Sandbox;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::access::signature::Audience;
use crate::access::store::AccessStore;
use crate::access::{AccessDocument, Gate, SigningKey};
use crate::audit::trail::Writer;
use crate::audit::{Trail, anchors};
use crate::clock;
use crate::cluster::assignments::Assignments;
use crate::cluster::coordinator::Coordinator;
use crate::cluster::gathering::Gatherings;
use crate::cluster::membership::{self, Member, Standing};
use crate::cluster::peers::Peers;
use crate::cluster::view;
use crate::compiler::Compiler;
use crate::dead_letters::DeadLetters;
use crate::errors;
use crate::lease::{Contender, Lease, LeaseHandle, LeaseOptions, Ownership};
use crate::problem::Problem;
use crate::readiness::Readiness;
use crate::reconcile::{Backoff, Reconciled, Reconciler};
use crate::registry::{Modules, Pipelines, Stores};
use crate::service::local::Local;
use crate::service::resting::Rests;
use crate::service::{NodeFacts, Service};
use crate::worker::Worker;

/// Pause before a service that could not be offered is offered again.
const SERVICE_RETRY: Duration = Duration::from_secs(1);

/// How a node behaves.
#[derive(Clone, Debug)]
pub struct NodeOptions {
    /// Name of the node, for people; need not be unique, but commands then need the identity.
    pub name: String,
    /// Number of the node's data folder ([`crate::folder`]): a node that is started again is known by it.
    pub identity: Incarnation,
    /// Its share of the partitions, relative to the other nodes'.
    pub weight: u32,
    /// Replicas of the buckets and streams the node makes.
    pub replicas: usize,
    /// Largest module, bytes.
    pub module_size_max: u64,
    /// Compiles modules outside this process; none: inside.
    pub compiler: Option<Arc<dyn Compiler>>,
    /// How the leases are kept.
    pub lease: LeaseOptions,
    /// Pauses between attempts to start a pipeline.
    pub backoff: Backoff,
    /// What the node signs with.
    pub key: SigningKey,
    /// How often commits are pinned in the audit trail.
    pub pin_every: Duration,
    /// What is granted in a cluster in which nothing has been granted yet.
    pub access: Option<AccessDocument>,
}

impl NodeOptions {
    /// Defaults under a name, as a node that never ran before: weight 1, one replica, modules up to 10 MiB.
    pub fn named(name: &str) -> Self {
        NodeOptions {
            name: name.to_owned(),
            identity: clock::random_incarnation(),
            weight: 1,
            replicas: 1,
            module_size_max: 10 << 20,
            compiler: None,
            lease: LeaseOptions::default(),
            backoff: Backoff::default(),
            key: SigningKey::node(clock::random_bytes()),
            pin_every: anchors::EVERY,
            access: None,
        }
    }
}

/// A node on its connections.
pub struct Node<W> {
    options: NodeOptions,
    accounts: Accounts,
    modules: Arc<Modules>,
    pipelines: Pipelines,
    assignments: Assignments,
    dead_letters: DeadLetters,
    worker: Arc<W>,
    readiness: Readiness<W>,
    stores: Stores,
    /// Random number of this start.
    incarnation: Incarnation,
    /// Number of the cluster.
    cluster: String,
    trail: Arc<Trail>,
}

impl<W: Worker> Node<W> {
    /// Opens the buckets, object store and streams, and makes those that are missing.
    ///
    /// # Errors
    /// MS1406; MS1614 if the audit trail cannot be used; MS1608 or MS1609 if what is to be granted cannot be.
    pub async fn open(
        options: NodeOptions,
        accounts: impl Into<Accounts>,
        sandbox: Arc<Sandbox>,
        worker: Arc<W>,
    ) -> Result<Self, Problem> {
        let accounts = accounts.into();
        let stores = Stores::open(&accounts, options.replicas).await?;
        let cluster = stores.access.cluster().await?;
        if let Some(document) = options.access.clone() {
            grant_first(&stores.access, document).await?;
        }
        let incarnation = clock::random_incarnation();
        let writer = Writer {
            node: options.name.clone(),
            incarnation: format!("{:032x}", incarnation.0),
            cluster: cluster.clone(),
            key: options.key.clone(),
        };
        let trail = Arc::new(
            Trail::open(&accounts.engine, options.replicas, writer, stores.access.clone()).await?,
        );
        let dead_letters = DeadLetters::new(&accounts.engine, options.replicas);
        dead_letters.ensure_streams().await?;
        let modules = Modules::new(
            Arc::clone(&stores.modules),
            Arc::clone(&stores.module_bytes),
            Arc::clone(&stores.uploads),
            sandbox,
            options.compiler.clone(),
            options.module_size_max,
        );
        let pipelines = Pipelines::new(Arc::clone(&stores.pipelines));
        Ok(Node {
            options,
            accounts,
            modules: Arc::new(modules),
            pipelines,
            assignments: Assignments::new(Arc::clone(&stores.assignments)),
            dead_letters,
            readiness: Readiness::new(Arc::clone(&worker)),
            worker,
            stores,
            incarnation,
            cluster,
            trail,
        })
    }

    /// Whether the node does what it is there for, while it runs.
    pub fn readiness(&self) -> Readiness<W> {
        self.readiness.clone()
    }

    /// Joins the cluster and runs what is assigned to it until `stop`. Then stops all partitions where they are (their
    /// last commits are acknowledged) and gives its leases back.
    pub async fn run(self, stop: CancellationToken) {
        let incarnation = self.incarnation;
        let identity = format!("{:032x}", self.options.identity.0);
        let facts = NodeFacts {
            node: self.options.name.clone(),
            incarnation: format!("{:032x}", incarnation.0),
            started: Instant::now(),
        };
        let me = Member {
            node: self.options.name.clone(),
            identity: identity.clone(),
            incarnation: facts.incarnation.clone(),
            weight: self.options.weight,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            key: Some(self.options.key.public()),
            refreshes: 0,
        };
        // The leases outlive what they protect.
        let leave = CancellationToken::new();
        let (bucket, options) = (&self.stores.leases, self.options.lease);
        let (standing, joined) = membership::start(Arc::clone(bucket), me, options, leave.clone());
        let (view, _viewing) = view::start(
            Arc::clone(bucket),
            self.accounts.engine.clone(),
            identity.clone(),
            options,
        );
        let contender =
            Contender { node: facts.node.clone(), identity: self.options.identity, incarnation };
        let release = CancellationToken::new();
        let (lease, kept) = {
            let (bucket, view) = (Arc::clone(bucket), view.clone());
            Lease::start(bucket, &contender, options, view, release.clone())
        };
        self.readiness.joins(standing.clone());
        let audience =
            Audience { cluster: self.cluster.clone(), incarnation: facts.incarnation.clone() };
        let gate = Arc::new(Gate::new(self.stores.access.clone(), audience, view.clone()));
        let local = Arc::new(Local {
            worker: Arc::clone(&self.worker),
            reconciled: Reconciled::default(),
            pipelines: self.pipelines.clone(),
            connection: self.accounts.engine.clone(),
            gate: Arc::clone(&gate),
            rests: Rests::new(self.options.lease.expiry),
        });
        let peers = Peers {
            local: Arc::clone(&local),
            me: identity.clone(),
            view,
            connection: self.accounts.engine.clone(),
            key: self.options.key.clone(),
            lease: self.options.lease,
        };
        let ended = CancellationToken::new();
        let answering =
            AbortOnDropHandle::new(tokio::spawn(answer_peers(local, identity, ended.clone())));
        let (worker, trail) = (Arc::clone(&self.worker), Arc::clone(&self.trail));
        let pinning = anchors::run(worker, trail, self.options.pin_every, stop.child_token());
        let pinning = AbortOnDropHandle::new(tokio::spawn(pinning));
        let reconciler = self.reconciler(peers.clone(), standing, lease.clone());
        let serving = stop.child_token();
        let reconciling = AbortOnDropHandle::new(tokio::spawn(reconciler.run(stop)));
        let reconciled = async {
            let handled = reconciling.await;
            serving.cancel();
            handled
        };
        let coordinating = self.coordinate_while_held(lease, &peers, &facts, &serving);
        let (handled, ()) = tokio::join!(reconciled, coordinating);
        match handled {
            Ok(names) => self.stop_all(names).await,
            Err(error) => tracing::error!(%error, "the reconciler's task failed"),
        }
        if let Err(error) = pinning.await {
            tracing::error!(%error, "the task that pins commits failed");
        }
        ended.cancel();
        // Nobody takes its partitions before it is gone, and nobody coordinates before that is known.
        for (told, task) in [(leave, joined), (release, kept)] {
            told.cancel();
            if let Err(error) = task.await {
                tracing::error!(%error, "a lease's task failed");
            }
        }
        if let Err(error) = answering.await {
            tracing::error!(%error, "the service's task failed");
        }
    }

    fn reconciler(
        &self,
        peers: Peers<W>,
        standing: watch::Receiver<Standing>,
        lease: LeaseHandle,
    ) -> Reconciler<W> {
        Reconciler {
            pipelines: self.pipelines.clone(),
            assignments: self.assignments.clone(),
            modules: Arc::clone(&self.modules),
            connection: self.accounts.tenant.clone(),
            worker: Arc::clone(&self.worker),
            reconciled: peers.local.reconciled.clone(),
            peers,
            standing,
            lease,
            expected: self.readiness.expected(),
            backoff: self.options.backoff,
        }
    }

    /// Assigns partitions and answers the API whenever the lease is held, until `stop`.
    async fn coordinate_while_held(
        &self,
        mut lease: LeaseHandle,
        peers: &Peers<W>,
        facts: &NodeFacts,
        stop: &CancellationToken,
    ) {
        while !stop.is_cancelled() {
            tokio::select! {
                held = lease.until(|ownership| *ownership == Ownership::Holding) => {
                    if held.is_none() {
                        break;
                    }
                    self.coordinate(&mut lease, peers, facts, stop).await;
                }
                () = stop.cancelled() => {}
            }
        }
    }

    /// Assigns partitions and answers the API until the lease is lost or `stop`.
    async fn coordinate(
        &self,
        lease: &mut LeaseHandle,
        peers: &Peers<W>,
        facts: &NodeFacts,
        stop: &CancellationToken,
    ) {
        let coordinating = stop.child_token();
        let coordinator = Coordinator {
            node: facts.node.clone(),
            pipelines: self.pipelines.clone(),
            assignments: self.assignments.clone(),
            view: peers.view.clone(),
            gatherings: Gatherings::default(),
        };
        let service = Arc::new(Service {
            modules: Arc::clone(&self.modules),
            pipelines: self.pipelines.clone(),
            peers: peers.clone(),
            assignments: self.assignments.clone(),
            gatherings: coordinator.gatherings.clone(),
            leases: Arc::clone(&self.stores.leases),
            dead_letters: self.dead_letters.clone(),
            lease: lease.clone(),
            facts: facts.clone(),
            changes: tokio::sync::Mutex::new(()),
            connection: self.accounts.tenant.clone(),
            gate: Arc::clone(&peers.local.gate),
            trail: Arc::clone(&self.trail),
        });
        let answering = AbortOnDropHandle::new(tokio::spawn(answer(service, coordinating.clone())));
        let assigning = AbortOnDropHandle::new(tokio::spawn(coordinator.run(coordinating.clone())));
        tokio::select! {
            _ = lease.until(|ownership| matches!(ownership, Ownership::Contending(_))) => {}
            () = stop.cancelled() => {}
        }
        coordinating.cancel();
        for task in [answering, assigning] {
            if let Err(error) = task.await {
                tracing::error!(%error, "a task of the coordinator failed");
            }
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

/// Grants what the node was given, where nothing has been granted yet.
async fn grant_first(store: &AccessStore, document: AccessDocument) -> Result<(), Problem> {
    let document = document.governed()?;
    if store.grants().await?.is_some() {
        tracing::info!("something has been granted in this cluster already: the file is not read");
        return Ok(());
    }
    match store.change(&document, None).await {
        // Another node was faster.
        Err(problem) if problem.code == errors::GRANTS_CHANGED => Ok(()),
        changed => changed,
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

async fn answer_peers<W: Worker>(local: Arc<Local<W>>, identity: String, stop: CancellationToken) {
    while let Err(error) = Arc::clone(&local).run(&identity, stop.clone()).await {
        tracing::warn!(%error, "trying again");
        tokio::select! {
            () = tokio::time::sleep(SERVICE_RETRY) => {}
            () = stop.cancelled() => return,
        }
    }
}
