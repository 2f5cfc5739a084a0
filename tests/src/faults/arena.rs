//! What a run happens in: servers, nodes, a store of checkpoints, and the API to ask them.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use async_nats::jetstream::Context;
use millstream_control::api::Operation;
use millstream_control::api::local::Held;
use millstream_control::api::node::Info;
use millstream_control::api::pipelines::{Apply, Get};
use millstream_control::client::{Client, read_module_files};
use millstream_control::manifest::Document;
use millstream_engine::worker::Assigned;
use millstream_log::connect::Connection;
use tempfile::TempDir;

use super::Options;
use super::node::Node;
use super::workload::{PIPELINE, SINK, SOURCE, manifest};
use crate::broker::Broker;

/// How often something that nobody tells of is asked for.
pub const ASK_EVERY: Duration = Duration::from_millis(50);
/// How long an answer of the API may take.
const ANSWERED_WITHIN: Duration = Duration::from_secs(5);
/// How long a module may be compiled.
const COMPILED_WITHIN: Duration = Duration::from_secs(120);
/// How long the cluster may take to start, or to answer behind a fault.
const STARTED_WITHIN: Duration = Duration::from_secs(120);

/// Servers, nodes and store.
pub struct Arena {
    /// The servers.
    pub broker: Broker,
    /// The nodes.
    pub nodes: Vec<Node>,
    /// Folder of the checkpoints.
    pub store: PathBuf,
    /// When the last fault began.
    pub struck: Instant,
    connection: Connection,
    client: Client,
    swaps: u64,
    _folder: TempDir,
}

impl Arena {
    /// Starts servers and nodes, and applies the pipeline.
    pub async fn start(options: &Options) -> Result<Self> {
        let broker = match options.servers {
            1 => Broker::start().await,
            3 => Broker::start_replicated().await,
            other => bail!("{other} servers; it is 1 or 3"),
        };
        broker.stream(SOURCE, &["records"]).await;
        broker.stream(SINK, &["results.*"]).await;
        let folder = tempfile::tempdir().context("a temporary folder")?;
        let store = folder.path().join("store");
        let mut nodes = Vec::new();
        for name in ["a", "b", "c", "d", "e"].iter().take(options.nodes) {
            let bug = options.bug.map(|bug| bug.to_string());
            let ports = broker.ports();
            let mut node = Node::new(&options.program, folder.path(), name, &ports, bug).await?;
            node.start(None)?;
            nodes.push(node);
        }
        let connection = broker.connection().await;
        let client = Client::new(connection.clone(), ANSWERED_WITHIN);
        let struck = Instant::now();
        let arena =
            Self { broker, nodes, store, struck, connection, client, swaps: 0, _folder: folder };
        arena
            .until("a node answers", STARTED_WITHIN, async || arena.call(&Info {}).await.ok())
            .await?;
        arena.apply("1h").await?;
        Ok(arena)
    }

    /// The streams, past all proxies.
    pub fn jetstream(&self) -> Context {
        self.connection.jetstream().clone()
    }

    /// Asks the API.
    pub async fn call<O: Operation>(&self, request: &O) -> Result<O::Response> {
        self.client.call(request).await.map_err(|problems| anyhow::anyhow!("{problems}"))
    }

    async fn apply(&self, within: &str) -> Result<()> {
        let text = manifest(&self.store, within);
        let document = Document::parse("faults.yaml", &text).map_err(|p| anyhow::anyhow!("{p}"))?;
        let files = read_module_files(&document, Path::to_owned);
        let files = files.map_err(|problems| anyhow::anyhow!("{problems}"))?;
        let client = Client::new(self.connection.clone(), COMPILED_WITHIN);
        let manifest = client.upload(&document, files, "faults").await;
        let manifest = manifest.map_err(|problems| anyhow::anyhow!("{problems}"))?;
        let by = "faults".to_owned();
        self.call(&Apply { manifest, dry_run: false, if_revision: None, by }).await.map(drop)
    }

    /// Has the first stage run another configuration.
    pub async fn swap(&mut self) -> Result<()> {
        self.swaps += 1;
        let within = format!("{}h", 1 + self.swaps % 2);
        let swapped = async || self.apply(&within).await.ok();
        self.until("a changed manifest is taken", STARTED_WITHIN, swapped).await
    }

    /// The partitions that a node runs.
    pub async fn held(&self, node: usize) -> Result<Assigned> {
        let identity = std::fs::read_to_string(self.nodes[node].data.join("node"))?;
        let client = Client::of_node(self.connection.clone(), ANSWERED_WITHIN, identity.trim());
        let held = client.call(&Held {}).await.map_err(|problems| anyhow::anyhow!("{problems}"))?;
        Ok(held.pipelines.get(PIPELINE).cloned().unwrap_or_default())
    }

    /// What the API says of the pipeline, for who wants to know why it does not go on.
    pub async fn described(&self) -> String {
        match self.call(&Get { pipeline: PIPELINE.to_owned() }).await {
            Ok(info) => match info.status {
                Some(status) => format!("{:?} {}", status.phase, status.reason.unwrap_or_default()),
                None => "no status".to_owned(),
            },
            Err(error) => format!("{error:#}"),
        }
    }

    /// Asks until there is an answer.
    ///
    /// # Errors
    /// If there is none in time.
    pub async fn until<T>(
        &self,
        what: &str,
        patience: Duration,
        ask: impl AsyncFn() -> Option<T>,
    ) -> Result<T> {
        let begun = Instant::now();
        loop {
            if let Some(answer) = ask().await {
                return Ok(answer);
            }
            if begun.elapsed() > patience {
                bail!("not within {} s: {what}", patience.as_secs());
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
    }
}
