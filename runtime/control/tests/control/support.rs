//! A server, a node and a client for one test.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use millstream_control::api::Operation;
use millstream_control::api::modules::Pushed;
use millstream_control::api::pipelines::{Applied, Apply, ManifestText, PipelineInfo};
use millstream_control::client::{Client, read_module_files};
use millstream_control::lease::LeaseOptions;
use millstream_control::manifest::Document;
use millstream_control::node::{Node, NodeOptions};
use millstream_control::problem::Problems;
use millstream_control::reconcile::Backoff;
use millstream_log::connect::Connection;
use millstream_log::server::{NatsServer, ServerOptions};
use millstream_sandbox::{Limits, Sandbox};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::worker::RecordingWorker;

/// How long a test waits for something before it fails.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A lease that changes hands within a test.
pub const QUICK_LEASE: LeaseOptions = LeaseOptions {
    refresh: Duration::from_millis(100),
    expiry: Duration::from_millis(500),
    look: Duration::from_millis(20),
};

const QUICK_PINS: Duration = Duration::from_millis(100);
const QUICK_BACKOFF: Backoff =
    Backoff { first: Duration::from_millis(20), most: Duration::from_millis(100) };

/// A running node.
pub struct RunningNode {
    pub worker: Arc<RecordingWorker>,
    /// Number of its data folder, as it is asked for what it alone knows.
    pub identity: String,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl RunningNode {
    /// Starts a node and returns when it contends for the lease.
    pub async fn start(server: &NatsServer, name: &str) -> RunningNode {
        let connection = connect(server).await;
        let worker = Arc::new(RecordingWorker::new());
        let options = NodeOptions {
            lease: QUICK_LEASE,
            backoff: QUICK_BACKOFF,
            pin_every: QUICK_PINS,
            ..NodeOptions::named(name)
        };
        let identity = format!("{:032x}", options.identity.0);
        let node = Node::open(options, connection, sandbox(), Arc::clone(&worker))
            .await
            .expect("the node opens");
        let stop = CancellationToken::new();
        let task = tokio::spawn(node.run(stop.clone()));
        RunningNode { worker, identity, stop, task }
    }

    /// Stops it and waits for its end.
    pub async fn stop(self) -> Arc<RecordingWorker> {
        self.stop.cancel();
        self.task.await.expect("the node ends without a panic");
        self.worker
    }

    /// Ends it as a crash would: nothing is given back.
    pub async fn crash(self) -> Arc<RecordingWorker> {
        self.task.abort();
        let _ = self.task.await;
        self.worker
    }
}

/// A server with one node and a client.
pub struct Cluster {
    pub server: NatsServer,
    pub node: RunningNode,
    pub client: Client,
}

impl Cluster {
    pub async fn start() -> Cluster {
        let server = NatsServer::start(ServerOptions::default()).await.expect("a nats-server");
        let node = RunningNode::start(&server, "n1").await;
        let client = Client::new(connect(&server).await, PATIENCE);
        let cluster = Cluster { server, node, client };
        cluster.answers().await;
        cluster
    }

    /// Waits until a node answers; until it holds the lease, none does.
    pub async fn answers(&self) {
        let asking = async {
            while self.client.call(&millstream_control::api::node::Info {}).await.is_err() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, asking).await.expect("a node answers in time");
    }

    /// Asks; a refusal fails the test.
    pub async fn ask<O: Operation>(&self, request: &O) -> O::Response {
        self.client.call(request).await.unwrap_or_else(|problems| panic!("{}: {problems}", O::NAME))
    }

    /// Asks for what must be refused.
    pub async fn refused<O: Operation>(&self, request: &O) -> Problems {
        match self.client.call(request).await {
            Ok(_) => panic!("{} was not refused", O::NAME),
            Err(problems) => problems,
        }
    }

    pub async fn push(&self, wasm: Vec<u8>, unnamed: bool) -> Result<Pushed, Problems> {
        self.client.push(Bytes::from(wasm), "me@here", unnamed).await
    }

    /// Applies a manifest whose modules are in the registry.
    pub async fn apply(&self, text: &str) -> Result<Applied, Problems> {
        let manifest =
            ManifestText { file: "p.yaml".into(), text: text.into(), ..ManifestText::default() };
        let request = Apply { manifest, by: "me@here".into(), ..Apply::default() };
        self.client.call(&request).await
    }

    /// Polls a pipeline until `wanted`.
    pub async fn until(
        &self,
        pipeline: &str,
        wanted: impl Fn(&PipelineInfo) -> bool,
    ) -> PipelineInfo {
        let request = millstream_control::api::pipelines::Get { pipeline: pipeline.into() };
        let asking = async {
            loop {
                let info = self.ask(&request).await;
                if wanted(&info) {
                    return info;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, asking).await.expect("the pipeline gets there in time")
    }
}

pub async fn connect(server: &NatsServer) -> Connection {
    server.connect().await.expect("a connection")
}

/// A guest that is a UDF; its name is `misbehave`.
pub fn guest() -> Vec<u8> {
    // The folder of the run: the build may come from another checkout.
    let package =
        std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    let path = Path::new(&package).join("../../tests/guests/dist/misbehave.wasm");
    std::fs::read(&path).unwrap_or_else(|error| {
        panic!("{}: {error}; run `cargo xtask build` first", path.display())
    })
}

/// The same UDF in other bytes: a custom section, which means nothing, is added.
pub fn other_guest(mark: u8) -> Vec<u8> {
    let mut wasm = guest();
    wasm.extend_from_slice(&[0, 3, 1, b'x', mark]);
    wasm
}

/// Compiled code is shared by all tests, so that each guest is compiled once.
fn sandbox() -> Arc<Sandbox> {
    let folder: PathBuf = Path::new(env!("CARGO_TARGET_TMPDIR")).join("code");
    let limits = Limits { instances: 8, ..Limits::default() };
    Arc::new(Sandbox::new(limits, Some(&folder)).expect("a sandbox"))
}

/// A manifest around `misbehave`.
pub fn manifest(name: &str, module: &str) -> String {
    format!(
        "name: {name}
sources:
  commands: {{ stream: COMMANDS }}
stages:
  work:
    module: {module}
    partitions: 2
    inputs:
      commands: {{ key: {{ pointer: /id }} }}
    config: {{ limit: 5 }}
    outputs:
      echo: echoes
sinks:
  echoes: {{ subject: echoes }}
"
    )
}

/// The manifest text of a document, with the files it names uploaded.
pub async fn uploaded(client: &Client, text: &str, folder: &Path) -> ManifestText {
    let document = Document::parse("p.yaml", text).expect("a manifest");
    let modules =
        read_module_files(&document, |file| folder.join(file)).expect("the files are there");
    client.upload(&document, modules, "me@here").await.expect("the files are uploaded")
}
