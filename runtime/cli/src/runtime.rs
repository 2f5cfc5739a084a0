//! The runtime: one node with its worker, and the HTTP endpoint. What `run` and `dev` have in common.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_nats::connection::State;
use clap::Args;
use clap::builder::RangedU64ValueParser;
use futures::FutureExt;
use futures::future::BoxFuture;
use millstream_control::access::{AccessDocument, SigningKey};
use millstream_control::errors;
use millstream_control::folder::DataFolder;
use millstream_control::lease::LeaseOptions;
use millstream_control::node::{Node, NodeOptions};
use millstream_control::readiness::Readiness;
use millstream_log::connect::{Accounts, Connection};
use millstream_sandbox::{Limits, MODULE_BYTES, MODULE_BYTES_MAX, Sandbox};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::compile::ChildCompiler;
use crate::failure::Failure;
use crate::http::{Endpoint, HttpArgs, Vitals};
use crate::manifest::code_folder;
use crate::output::format::say;
use crate::worker::EngineWorker;

/// What a process that was told twice to end exits with: 128 + SIGINT.
const INTERRUPTED: i32 = 130;
/// File of the data folder with the seed of the node's key.
const KEY_FILE: &str = "node.nk";

/// How the runtime runs.
#[derive(Args)]
#[command(next_help_heading = "Runtime")]
pub struct RuntimeArgs {
    #[command(flatten)]
    http: HttpArgs,

    /// Name of this node, for people; by default the host's
    #[arg(long, value_name = "NAME", env = "MILLSTREAM_NODE")]
    node: Option<String>,

    /// Its share of the partitions, relative to the other nodes'
    #[arg(long, value_name = "N", env = "MILLSTREAM_WEIGHT", default_value_t = 1, value_parser = RangedU64ValueParser::<u32>::new().range(1..=1000))]
    weight: u32,

    /// Replicas of the streams, buckets and stores that the runtime makes
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = RangedU64ValueParser::<u8>::new().range(1..=5))]
    replicas: u8,

    /// Largest module that is taken, in MiB: guests that bring an interpreter need more than the default
    #[arg(
        long,
        value_name = "N",
        env = "MILLSTREAM_MODULE_MIB",
        default_value_t = (MODULE_BYTES >> 20) as u8,
        value_parser = RangedU64ValueParser::<u8>::new().range(1..=(MODULE_BYTES_MAX as u64 >> 20))
    )]
    module_mib: u8,

    /// File that says who may do what, as long as nothing has been granted in the cluster
    #[arg(long, value_name = "FILE", env = "MILLSTREAM_ACCESS")]
    access: Option<PathBuf>,
}

/// A runtime that is ready to be run.
pub struct Runtime {
    node: Node<EngineWorker>,
    endpoint: Endpoint,
    vitals: Arc<NodeVitals>,
    // Nobody else uses the folder for as long as this one runs.
    _folder: DataFolder,
}

/// What the HTTP endpoint sees of the runtime.
struct NodeVitals {
    accounts: Accounts,
    worker: Arc<EngineWorker>,
    readiness: Readiness<EngineWorker>,
}

impl Runtime {
    /// Binds the endpoint and opens what the node needs in JetStream. `data` is the folder for keyed state.
    pub async fn open(
        args: &RuntimeArgs,
        lease: LeaseOptions,
        accounts: Accounts,
        data: &Path,
    ) -> Result<Self, Failure> {
        let folder =
            DataFolder::claim(data).map_err(|problem| Failure::problems(problem.into(), None))?;
        let endpoint = Endpoint::bind(&args.http).await?;
        let code = code_folder().unwrap_or_else(|| data.join("compiled"));
        let module_bytes = usize::from(args.module_mib) << 20;
        let sandbox =
            Sandbox::new(Limits::for_modules_of(module_bytes), Some(&code)).map_err(|error| {
                Failure::coded(errors::SYSTEM, "the sandbox cannot start").because(&error)
            })?;
        let compiler =
            ChildCompiler::new(&code, module_bytes).map(|compiler| Arc::new(compiler) as Arc<_>);
        let worker = Arc::new(
            EngineWorker::start(accounts.clone(), data, usize::from(args.replicas)).await?,
        );
        let access = args.access.as_deref().map(first_grants).transpose()?;
        let key = SigningKey::of_node(&data.join(KEY_FILE))
            .map_err(|problem| Failure::problems(problem.into(), None))?;
        let host = rustix::system::uname();
        let host = host.nodename().to_string_lossy();
        let options = NodeOptions {
            weight: args.weight,
            replicas: usize::from(args.replicas),
            lease,
            identity: folder.identity(),
            compiler,
            module_size_max: module_bytes as u64,
            access,
            key,
            ..NodeOptions::named(args.node.as_deref().unwrap_or(&host))
        };
        let node = Node::open(options, accounts.clone(), Arc::new(sandbox), Arc::clone(&worker))
            .await
            .map_err(|problem| Failure::problems(problem.into(), None))?;
        let vitals = Arc::new(NodeVitals { accounts, worker, readiness: node.readiness() });
        Ok(Runtime { node, endpoint, vitals, _folder: folder })
    }

    /// Where the HTTP endpoint is.
    pub fn http(&self) -> String {
        self.endpoint.url()
    }

    /// Runs until `stop`; then drains: what is computed is committed, pipelines stop where they are.
    pub async fn run(self, stop: CancellationToken) {
        // The endpoint answers for as long as pipelines are being stopped.
        let served = CancellationToken::new();
        let serving = tokio::spawn(self.endpoint.serve(self.vitals, served.clone()));
        self.node.run(stop).await;
        served.cancel();
        if let Err(error) = serving.await {
            tracing::error!(%error, "the http endpoint's task failed");
        }
    }
}

/// What is granted in a cluster in which nothing has been granted yet.
fn first_grants(path: &Path) -> Result<AccessDocument, Failure> {
    let text =
        std::fs::read_to_string(path).map_err(|error| Failure::file("read", path, &error))?;
    serde_saphyr::from_str(&text).map_err(|error| {
        Failure::coded(
            errors::GRANT_INVALID,
            format!("{} does not say what is granted", path.display()),
        )
        .because(&error)
    })
}

impl Vitals for NodeVitals {
    fn unready(&self) -> BoxFuture<'_, Option<String>> {
        async {
            let Accounts { engine, tenant } = &self.accounts;
            let is_connected = |connection: &Connection| {
                connection.client().connection_state() == State::Connected
            };
            match is_connected(engine) && is_connected(tenant) {
                true => self.readiness.unready().await,
                false => Some("it is not connected to NATS".to_owned()),
            }
        }
        .boxed()
    }

    fn metrics(&self) -> BoxFuture<'_, String> {
        self.worker.metrics_text().boxed()
    }
}

/// Runs a runtime's future on all processors.
pub fn block_on_all<T>(future: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|error| {
            Failure::coded(errors::SYSTEM, "cannot start the asynchronous runtime").because(&error)
        })?;
    runtime.block_on(future)
}

/// Cancels `stop` at the first SIGINT or SIGTERM; the second one ends the process at once.
pub fn stop_at_signals(stop: CancellationToken) -> Result<(), Failure> {
    let listen = |kind| {
        signal(kind).map_err(|error| {
            Failure::coded(errors::SYSTEM, "cannot listen for signals").because(&error)
        })
    };
    let (mut interrupt, mut terminate) =
        (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
    tokio::spawn(async move {
        for told in 0.. {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if told > 0 {
                std::process::exit(INTERRUPTED);
            }
            say("draining; once more ends at once");
            stop.cancel();
        }
    });
    Ok(())
}
