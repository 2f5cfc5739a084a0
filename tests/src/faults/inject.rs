//! Has a fault happen, and its end.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use millstream_control::api::node::{Drain, List, Resume};
use millstream_engine::crash::{CrashPoint, Step};
use rand::RngExt;
use rand::rngs::StdRng;
use rustix::process::Signal;

use super::arena::{ASK_EVERY, Arena, until};
use super::damage::{self, How, Partition, Stored, What, damage, files_below};
use super::fault::{Fault, Led};
use super::proxy::Mode;
use super::workload::{SINKS, SOURCE};

/// How long a fault may take to fire.
const FIRES_WITHIN: Duration = Duration::from_secs(40);
/// How long a node may take to reach a crash point of its start, before another one is tried.
const REACHED_WITHIN: Duration = Duration::from_secs(15);
/// A pause: longer than the lease of 15 s and what a coordinator needs to see it.
const PAUSED_FOR: Duration = Duration::from_secs(20);
/// Largest file on a full disk, bytes.
const FULL_BYTES: u64 = 2 << 10;
/// What a node logs when it cannot write to its database.
const NOT_WRITTEN: &str = "to the state database";
/// What a node logs when a checkpoint cannot be stored.
const NOT_STORED: &str = "checkpoint could not be stored";
/// No node reaches a point so often.
const NEVER: usize = usize::MAX;

impl Arena {
    /// Has a fault happen to the node with this number. Returns when its cause is over; what it caused may not be.
    ///
    /// # Errors
    /// If it did not fire.
    pub async fn inject(&mut self, fault: Fault, node: usize, random: &mut StdRng) -> Result<()> {
        self.struck = Instant::now();
        match fault {
            Fault::Kill { back_after_ms } => {
                self.nodes[node].kill();
                tokio::time::sleep(Duration::from_millis(back_after_ms)).await;
                self.nodes[node].start(None)
            }
            Fault::Crash { point, count } => self.crash(point, count, node).await,
            Fault::Pause => {
                self.nodes[node].signal(Signal::STOP)?;
                tokio::time::sleep(PAUSED_FOR).await;
                self.nodes[node].signal(Signal::CONT)
            }
            Fault::Part { parting, for_ms } => {
                self.nodes[node].link(parting.mode());
                tokio::time::sleep(Duration::from_millis(for_ms)).await;
                self.nodes[node].link(Mode::default());
                Ok(())
            }
            Fault::KillServer { leads } => self.kill_server(leads).await,
            Fault::FullDisk => self.full_disk(node).await,
            Fault::StoreError => self.store_error().await,
            Fault::Damage { what: What::Database, how } => {
                self.damage_database(node, how, random).await
            }
            Fault::Damage { what, how } => self.damage_checkpoints(node, what, how, random).await,
            Fault::Clock { by_ms } => self.nodes[node].order(&format!("clock {by_ms}")),
            Fault::Swap => self.swap().await,
            Fault::Drain => self.drain(node).await,
            Fault::Rescale { partitions } => self.rescale(partitions).await,
        }
    }

    async fn kill_server(&mut self, leads: Led) -> Result<()> {
        if self.broker.replicas() == 1 {
            self.broker.restart().await;
            return Ok(());
        }
        loop {
            let log = self.life()?.log;
            let stream = match leads {
                Led::Log => &log,
                Led::Source => SOURCE,
                Led::Sink(sink) => SINKS[sink].stream,
            };
            let whole = [&log, SOURCE, SINKS[0].stream, SINKS[1].stream];
            if self.broker.lose_leader(stream, &whole).await {
                return Ok(());
            }
            // Another life has another log.
            self.lives.look().await?;
        }
    }

    /// Starts the nodes that have ended.
    ///
    /// # Errors
    /// If one cannot be started.
    pub fn start_dead(&mut self) -> Result<()> {
        for node in &mut self.nodes {
            if node.has_died() {
                node.start(None)?;
            }
        }
        Ok(())
    }

    /// Lets a node die at a crash point. Those of a start are reached by the node itself, others by whichever node comes there
    /// first.
    async fn crash(&mut self, point: CrashPoint, count: usize, node: usize) -> Result<()> {
        let (CrashPoint::Before(step) | CrashPoint::After(step)) = point;
        match step {
            Step::OpenLog
            | Step::OpenDeadLetters
            | Step::RemoveLeftovers
            | Step::OpenState
            | Step::AppendTakeover
            | Step::WipeState
            | Step::EmptyFolder
            | Step::RestoreFile => self.crash_at_start(point, count, node).await,
            _ => self.crash_at_work(point, count).await,
        }
    }

    async fn crash_at_start(
        &mut self,
        point: CrashPoint,
        count: usize,
        first: usize,
    ) -> Result<()> {
        let (CrashPoint::Before(step) | CrashPoint::After(step)) = point;
        let nodes = self.nodes.len();
        for number in (first..first + nodes).map(|number| number % nodes) {
            let node = &mut self.nodes[number];
            node.kill();
            match step {
                Step::WipeState => {
                    crate::damage_databases(&node.data);
                }
                Step::EmptyFolder | Step::RestoreFile => forget_state(&node.data)?,
                _ => {}
            }
            node.start(Some(&format!("{point}@{count}")))?;
            let begun = Instant::now();
            while begun.elapsed() < REACHED_WITHIN {
                if node.has_died() {
                    self.struck = Instant::now();
                    return node.start(None);
                }
                tokio::time::sleep(ASK_EVERY).await;
            }
            // It has no partitions, for example.
            node.kill();
            node.start(None)?;
        }
        bail!("{point} is not reached {count} times by a node that starts")
    }

    async fn crash_at_work(&mut self, point: CrashPoint, count: usize) -> Result<()> {
        for node in &mut self.nodes {
            // One that has ended by itself is started below.
            let _ = node.order(&format!("crash {point}@{count}"));
        }
        let begun = Instant::now();
        while !self.nodes.iter_mut().any(|node| node.has_died()) {
            ensure!(begun.elapsed() < FIRES_WITHIN, "{point} is not reached {count} times");
            tokio::time::sleep(ASK_EVERY).await;
        }
        self.struck = Instant::now();
        for node in &mut self.nodes {
            if node.order(&format!("crash {point}@{NEVER}")).is_err() || node.has_died() {
                node.start(None)?;
            }
        }
        Ok(())
    }

    /// This node, or the next one that has partitions: there may be fewer of them than nodes.
    async fn holder(&self, first: usize) -> Result<usize> {
        let nodes = self.nodes.len();
        let holder = async || {
            for number in (first..first + nodes).map(|number| number % nodes) {
                if self.held(number).await.is_ok_and(|held| !held.is_empty()) {
                    return Some(number);
                }
            }
            None
        };
        until("a node has partitions", FIRES_WITHIN, holder).await
    }

    async fn full_disk(&mut self, node: usize) -> Result<()> {
        let node = &self.nodes[self.holder(node).await?];
        let met = || node.said(NOT_WRITTEN) + node.said(NOT_STORED);
        let before = met();
        node.limit_files(Some(FULL_BYTES))?;
        let noticed = async || (met() > before).then_some(());
        let noticed = until("a node meets the full disk", FIRES_WITHIN, noticed).await;
        node.limit_files(None)?;
        noticed
    }

    async fn store_error(&mut self) -> Result<()> {
        let failed = || self.nodes.iter().map(|node| node.said(NOT_STORED)).sum::<usize>();
        let (before, aside) = (failed(), self.store.with_extension("aside"));
        std::fs::rename(&self.store, &aside).context("move the store aside")?;
        // A file where the folder was: nothing can be made in it.
        std::fs::write(&self.store, b"")?;
        let noticed = async || (failed() > before).then_some(());
        let noticed = until("a checkpoint fails", FIRES_WITHIN, noticed).await;
        std::fs::remove_file(&self.store)?;
        std::fs::rename(&aside, &self.store).context("move the store back")?;
        noticed
    }

    /// Damages one file of each partition's database on a node, this one or the next that has a database.
    async fn damage_database(&mut self, first: usize, how: How, random: &mut StdRng) -> Result<()> {
        let nodes = self.nodes.len();
        let has_database = async || {
            (first..first + nodes).map(|number| number % nodes).find(|number| {
                let folders = databases(&self.nodes[*number].data);
                folders.iter().any(|folder| !files_below(folder).is_empty())
            })
        };
        let node = until("a node has a database", FIRES_WITHIN, has_database).await?;
        self.struck = Instant::now();
        let node = &mut self.nodes[node];
        node.kill();
        for folder in databases(&node.data) {
            let files = files_below(&folder);
            if !files.is_empty() {
                damage(&files[random.random_range(0..files.len())], how, random)?;
            }
        }
        node.start(None)
    }

    /// Damages the newest checkpoint of the partitions of a node, and has the node lose its own state. Only checkpoints in front of
    /// which there is a whole one, and only tables that no other has: what cannot be recovered stops the pipeline, as it should.
    async fn damage_checkpoints(
        &mut self,
        first: usize,
        what: What,
        how: How,
        random: &mut StdRng,
    ) -> Result<()> {
        let begun = Instant::now();
        let mut damaged = 0;
        while damaged == 0 {
            ensure!(begun.elapsed() < FIRES_WITHIN, "no checkpoint can be damaged");
            tokio::time::sleep(ASK_EVERY).await;
            let node = self.holder(first).await?;
            let Ok(held) = self.held(node).await else { continue };
            let partitions: Vec<(String, u16)> = held
                .iter()
                .flat_map(|(stage, held)| held.iter().map(|partition| (stage.clone(), *partition)))
                .collect();
            let life = self.life()?.incarnation;
            let victims = |(stage, partition): &(String, u16)| {
                victims(&self.store, Partition { life, stage, partition: *partition }, what)
            };
            if partitions.iter().all(|partition| victims(partition).is_empty()) {
                continue;
            }
            self.struck = Instant::now();
            self.nodes[node].kill();
            for partition in &partitions {
                let victims = victims(partition);
                if !victims.is_empty() {
                    damage(&victims[random.random_range(0..victims.len())], how, random)?;
                    damaged += 1;
                }
            }
            forget_state(&self.nodes[node].data)?;
            self.nodes[node].start(None)?;
        }
        Ok(())
    }

    async fn drain(&mut self, node: usize) -> Result<()> {
        let name = self.nodes[node].name.clone();
        let drain = async || self.call(&Drain { node: name.clone() }).await.ok();
        until("a node is told to drain", FIRES_WITHIN, drain).await?;
        let drained = async || {
            let listing = self.call(&List {}).await.ok()?;
            let drained = |node: &_| -> bool {
                let node: &millstream_control::api::node::NodeSummary = node;
                node.node == name && node.assigned == 0 && node.running == Some(0)
            };
            listing.nodes.iter().any(drained).then_some(())
        };
        let drained = until("a node is drained", FIRES_WITHIN, drained).await;
        let resume = async || self.call(&Resume { node: name.clone() }).await.ok();
        until("a node is told to resume", FIRES_WITHIN, resume).await?;
        drained
    }
}

/// The files of a partition's newest checkpoint that may be damaged.
fn victims(store: &std::path::Path, of: Partition<'_>, what: What) -> Vec<PathBuf> {
    let mut stored = damage::checkpoints(store, of);
    let Some(newest) = stored.pop() else { return Vec::new() };
    let is_whole = |older: &Stored| older.complaints().is_empty();
    if stored.len() < 2 || !stored.iter().all(is_whole) || !is_whole(&newest) {
        return Vec::new();
    }
    match what {
        What::Table => {
            let shared: Vec<_> = stored.into_iter().flat_map(|older| older.tables).collect();
            newest.tables.into_iter().filter(|table| !shared.contains(table)).collect()
        }
        What::File => newest.files,
        What::Document => vec![newest.document],
        What::Database => Vec::new(),
    }
}

/// The folders of partitions' databases in a node's folder.
fn databases(data: &std::path::Path) -> Vec<PathBuf> {
    let below = |folder: PathBuf| {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).filter(|path| path.is_dir())
    };
    let pipelines = below(data.to_owned()).filter(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with(super::workload::PIPELINE)
    });
    let mut found: Vec<PathBuf> = pipelines.flat_map(below).flat_map(below).collect();
    found.sort();
    found
}

/// Removes the databases of a node, which stays the node that it is.
fn forget_state(data: &std::path::Path) -> Result<()> {
    for folder in databases(data) {
        std::fs::remove_dir_all(&folder).with_context(|| format!("{}", folder.display()))?;
    }
    Ok(())
}
