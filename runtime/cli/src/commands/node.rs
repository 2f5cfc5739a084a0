//! `millstream node`: the nodes of the cluster, and taking one out of work.

use std::time::{Duration, Instant};

use clap::{Args, Subcommand};
use millstream_control::api::node::{
    Describe, Described, Drain, List, NodeState, NodeSummary, PlacedPartition, Resume,
    StandbyPartition,
};
use millstream_control::errors;

use crate::cli::App;
use crate::connection::{Remote, block_on};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::format::say;
use crate::output::{Cell, Listed, Tone, progress, units};

/// How often a node that drains is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// List and describe the nodes of the cluster, drain one, and let it work again
#[derive(Args)]
pub struct Node {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// List the nodes
    Ls,
    /// Show a node with its partitions
    Describe {
        /// Its name, or its identity where names are not unique
        name: String,
    },
    /// Move all partitions of a node to others, and give it none until `node resume`
    ///
    /// Returns when nothing runs on the node any more. Gives up when for `--timeout` no partition has left it; it goes on draining.
    Drain {
        /// Its name, or its identity where names are not unique
        name: String,

        /// Return at once
        #[arg(long)]
        no_wait: bool,
    },
    /// Let a drained node take partitions again
    #[command(visible_alias = "undrain")]
    Resume {
        /// Its name, or its identity where names are not unique
        name: String,
    },
}

impl Node {
    /// Does it.
    pub fn run(self, app: &App) -> Result<Exit, Failure> {
        block_on(async {
            let remote = Remote::connect(app).await?;
            match self.what {
                What::Ls => {
                    let listing = remote.call(&List {}).await?;
                    app.out.list(&listing.nodes, "no nodes")?;
                }
                What::Describe { name } => {
                    let described = remote.call(&Describe { node: name }).await?;
                    describe(app, &described)?;
                }
                What::Drain { name, no_wait } => {
                    let mut node = remote.call(&Drain { node: name }).await?;
                    if !no_wait {
                        node = until_empty(&remote, node, app.global.timeout).await?;
                    }
                    print(app, &node, if no_wait { "drains" } else { "drained" })?;
                }
                What::Resume { name } => {
                    let node = remote.call(&Resume { node: name }).await?;
                    print(app, &node, "takes partitions again")?;
                }
            }
            Ok(Exit::Ok)
        })
    }
}

/// Waits until nothing is assigned to the node and nothing runs there.
async fn until_empty(
    remote: &Remote,
    node: NodeSummary,
    patience: Duration,
) -> Result<NodeSummary, Failure> {
    let bar = progress::spinner(&format!("{}: draining", node.node));
    let (mut fewest, mut since) = (usize::MAX, Instant::now());
    let emptied = loop {
        let request = Describe { node: node.identity.clone() };
        let described = match remote.call(&request).await {
            Ok(described) => described,
            Err(failure) => break Err(failure),
        };
        let left = described.partitions.len();
        if left == 0 {
            break Ok(described.node);
        }
        bar.set_message(format!("{}: {} left", node.node, partitions(left)));
        if left < fewest {
            (fewest, since) = (left, Instant::now());
        }
        if since.elapsed() >= patience {
            let waited = units::duration(patience);
            let message =
                format!("node {} still has {} after {waited}", node.node, partitions(left));
            break Err(Failure::coded(errors::NOT_IN_TIME, message)
                .help("it goes on draining if another node takes them: `millstream node ls`"));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    };
    bar.finish_and_clear();
    emptied
}

fn partitions(count: usize) -> String {
    format!("{count} partition{}", if count == 1 { "" } else { "s" })
}

fn print(app: &App, node: &NodeSummary, done: &str) -> Result<(), Failure> {
    match app.out.is_for_people() {
        true => {
            say(&format!("node {}: {done}", node.node));
            Ok(())
        }
        false => app.out.one(node, &node.node, Vec::new),
    }
}

fn describe(app: &App, described: &Described) -> Result<(), Failure> {
    let node = &described.node;
    app.out.one(described, &node.node, || {
        vec![
            ("node".to_owned(), Cell::text(&node.node)),
            ("state".to_owned(), state(node)),
            ("coordinator".to_owned(), Cell::text(yes(node.coordinator))),
            ("weight".to_owned(), Cell::text(node.weight.to_string())),
            ("runtime".to_owned(), Cell::text(&node.version)),
            ("identity".to_owned(), Cell::text(&node.identity)),
            ("incarnation".to_owned(), Cell::text(&node.incarnation)),
            ("partitions".to_owned(), Cell::text(units::count(node.assigned as u64))),
            ("standbys".to_owned(), Cell::text(units::count(described.standbys.len() as u64))),
        ]
    })?;
    if app.out.is_for_people() {
        app.out.line("")?;
        app.out.list(&described.partitions, "no partitions")?;
        if !described.standbys.is_empty() {
            app.out.line("")?;
            app.out.list(&described.standbys, "no standbys")?;
        }
    }
    Ok(())
}

fn yes(is_so: bool) -> &'static str {
    if is_so { "yes" } else { "no" }
}

fn state(node: &NodeSummary) -> Cell {
    match (node.running, node.state) {
        (None, _) => Cell::toned("silent", Tone::Bad),
        (Some(_), NodeState::Live) => Cell::toned("live", Tone::Good),
        (Some(0), NodeState::Draining) => Cell::toned("drained", Tone::Warn),
        (Some(_), NodeState::Draining) => Cell::toned("draining", Tone::Warn),
    }
}

impl Listed for NodeSummary {
    const COLUMNS: &'static [&'static str] =
        &["NAME", "STATE", "COORDINATOR", "WEIGHT", "PARTITIONS", "RUNNING", "VERSION"];
    const WIDE: &'static [&'static str] = &["IDENTITY", "INCARNATION"];

    fn name(&self) -> String {
        self.node.clone()
    }

    fn cells(&self) -> Vec<Cell> {
        vec![
            Cell::text(&self.node),
            state(self),
            Cell::text(yes(self.coordinator)),
            Cell::number(self.weight.to_string()),
            Cell::number(units::count(self.assigned as u64)),
            Cell::optional(self.running),
            Cell::text(&self.version),
            Cell::text(&self.identity),
            Cell::text(&self.incarnation),
        ]
    }
}

impl Listed for PlacedPartition {
    const COLUMNS: &'static [&'static str] =
        &["PIPELINE", "STAGE", "PARTITION", "ASSIGNED", "RUNNING"];

    fn name(&self) -> String {
        format!("{}/{}/{}", self.pipeline, self.stage, self.partition)
    }

    fn cells(&self) -> Vec<Cell> {
        vec![
            Cell::text(&self.pipeline),
            Cell::text(&self.stage),
            Cell::number(self.partition.to_string()),
            Cell::text(yes(self.assigned)),
            Cell::text(yes(self.running)),
        ]
    }
}

impl Listed for StandbyPartition {
    const COLUMNS: &'static [&'static str] = &["PIPELINE", "STAGE", "STANDBY FOR", "READY"];

    fn name(&self) -> String {
        format!("{}/{}/{}", self.pipeline, self.stage, self.partition)
    }

    fn cells(&self) -> Vec<Cell> {
        vec![
            Cell::text(&self.pipeline),
            Cell::text(&self.stage),
            Cell::number(self.partition.to_string()),
            Cell::text(yes(self.ready)),
        ]
    }
}
