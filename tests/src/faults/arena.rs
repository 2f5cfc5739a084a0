//! What a run happens in: servers, nodes, a store of checkpoints, and the API to ask them.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};
use async_nats::jetstream::Context;
use millstream_control::api::Operation;
use millstream_control::api::local::Held;
use millstream_control::api::node::Info;
use millstream_control::api::pipelines::{Apply, Get};
use millstream_control::api::savepoints::Rescale;
use millstream_control::client::{Client, read_module_files};
use millstream_control::manifest::Document;
use millstream_control::problem::Problems;
use millstream_engine::worker::Assigned;
use millstream_log::connect::Connection;
use tempfile::TempDir;
use tokio_util::task::AbortOnDropHandle;

use super::Options;
use super::lives::{Life, Lives};
use super::node::Node;
use super::workload::{
    ONCE, PARTITIONS, PARTITIONS_MAX, PIPELINE, SINKS, SOURCE, TOTALS, manifest,
};
use crate::broker::Broker;

/// How often something that nobody tells of is asked for.
pub const ASK_EVERY: Duration = Duration::from_millis(50);
/// How long an answer of the API may take.
const ANSWERED_WITHIN: Duration = Duration::from_secs(5);
/// How long a module may be compiled.
const COMPILED_WITHIN: Duration = Duration::from_secs(120);
/// How long a rescaling may take.
const RESCALED_WITHIN: Duration = Duration::from_secs(120);
/// How long the cluster may take to start, or to answer behind a fault.
const STARTED_WITHIN: Duration = Duration::from_secs(120);

/// A rescaling that was asked for.
pub struct Rescaling {
    before: Life,
    asked: AbortOnDropHandle<Result<(), Problems>>,
}

impl Rescaling {
    /// Waits until another life is recorded.
    ///
    /// # Errors
    /// If it was refused, or is not done in time: whoever was asked may be dead.
    pub async fn end(mut self, arena: &Arena, patience: Duration) -> Result<()> {
        let is_done = || arena.life().is_ok_and(|life| life.incarnation != self.before.incarnation);
        let begun = Instant::now();
        while begun.elapsed() < patience {
            match tokio::time::timeout(ASK_EVERY, &mut self.asked).await {
                Err(_) if is_done() => return Ok(()),
                Err(_) => {}
                Ok(answer) => {
                    let look = async || arena.lives.look().await.ok();
                    until("the pipeline's record is read", STARTED_WITHIN, look).await?;
                    return match answer? {
                        _ if is_done() => Ok(()),
                        Ok(()) => bail!("nothing has changed"),
                        Err(problems) => bail!("{problems}"),
                    };
                }
            }
        }
        bail!("no answer within {} s", patience.as_secs())
    }
}

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
    /// The lives of the pipeline, and their logs.
    pub lives: Lives,
    swaps: u64,
    _looking: AbortOnDropHandle<()>,
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
        // The other sink's stream is the pipeline's to make.
        broker.stream(SINKS[0].stream, &[&SINKS[0].subjects()]).await;
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
        let answers = async || client.call(&Info {}).await.ok();
        until("a node answers", STARTED_WITHIN, answers).await?;
        let lives = Lives::watch(&connection, options.servers).await?;
        let arena = Self {
            broker,
            nodes,
            store,
            struck: Instant::now(),
            connection,
            client,
            _looking: lives.keep_looking(),
            lives,
            swaps: 0,
            _folder: folder,
        };
        arena.apply("1h", PARTITIONS).await?;
        arena.lives.look().await?;
        Ok(arena)
    }

    /// The life of the pipeline that is recorded, as far as is known.
    pub fn life(&self) -> Result<Life> {
        self.lives.current().context("the pipeline is not recorded")
    }

    /// The streams, past all proxies.
    pub fn jetstream(&self) -> Context {
        self.connection.jetstream().clone()
    }

    /// Asks the API.
    pub async fn call<O: Operation>(&self, request: &O) -> Result<O::Response> {
        self.client.call(request).await.map_err(|problems| anyhow::anyhow!("{problems}"))
    }

    async fn apply(&self, within: &str, partitions: (u16, u16)) -> Result<()> {
        let text = manifest(&self.store, within, partitions);
        let document = Document::parse("faults.yaml", &text).map_err(|p| anyhow::anyhow!("{p}"))?;
        let files = read_module_files(&document, Path::to_owned);
        let files = files.map_err(|problems| anyhow::anyhow!("{problems}"))?;
        let client = Client::new(self.connection.clone(), COMPILED_WITHIN);
        let manifest = client.upload(&document, files, "faults").await;
        let manifest = manifest.map_err(|problems| anyhow::anyhow!("{problems}"))?;
        let by = "faults".to_owned();
        self.call(&Apply { manifest, by, ..Apply::default() }).await.map(drop)
    }

    /// Has the first stage run another configuration.
    pub async fn swap(&mut self) -> Result<()> {
        self.swaps += 1;
        let within = format!("{}h", 1 + self.swaps % 2);
        let swapped = async || {
            self.lives.look().await.ok()?;
            // A manifest with other partitions than those on record is refused.
            self.apply(&within, self.life().ok()?.partitions).await.ok()
        };
        until("a changed manifest is taken", STARTED_WITHIN, swapped).await
    }

    /// Has the pipeline go on with so many partitions, and asks again if that is refused: what was before may not be over.
    pub async fn rescale(&mut self, partitions: (u16, u16)) -> Result<()> {
        let mut refused = anyhow!("it was not asked");
        let begun = Instant::now();
        while begun.elapsed() < RESCALED_WITHIN {
            match self.begin_rescaling(partitions)?.end(self, RESCALED_WITHIN).await {
                Ok(()) => return Ok(()),
                Err(error) => refused = error,
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
        Err(refused)
    }

    /// Asks for so many partitions, or other ones if there are so many already.
    pub fn begin_rescaling(&self, partitions: (u16, u16)) -> Result<Rescaling> {
        let life = self.life()?;
        let (mut once, totals) = partitions;
        if (once, totals) == life.partitions {
            once = 1 + once % PARTITIONS_MAX;
        }
        let stages = [(ONCE, once), (TOTALS, totals)];
        let request = Rescale {
            pipeline: PIPELINE.to_owned(),
            stages: stages.map(|(stage, partitions)| (stage.to_owned(), partitions)).into(),
            all: None,
            by: "faults".to_owned(),
        };
        let client = Client::new(self.connection.clone(), RESCALED_WITHIN);
        let asked = async move { client.call(&request).await.map(drop) };
        let asked = AbortOnDropHandle::new(tokio::spawn(asked));
        Ok(Rescaling { before: life, asked })
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
}

/// Asks until there is an answer.
///
/// # Errors
/// If there is none in time.
pub async fn until<T>(
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
