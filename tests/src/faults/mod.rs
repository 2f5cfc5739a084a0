//! The fault harness: real nodes and servers under load, faults in the order of a seed, and a reference model that knows every
//! output.
//!
//! - `workload` is the pipeline, its records, and the model; `feed` publishes the records.
//! - `arena` is what a run happens in: servers, `node`s that are processes, each behind a `proxy` per server, a folder of checkpoints.
//! - `fault` says what may go wrong and in which order, `inject` has it happen, `damage` knows the files.
//! - `lives` knows the lives of the pipeline, which is rescaled, and `chain` checks their logs along with the run; `verdict` compares everything at the end, `report` tells it.
//! - `planted` proves the harness: bugs of the engine that it must see.
//!
//! `cargo xtask faults` starts it (`bin/faults.rs`); the nodes are `bin/fault-node.rs`. A kind of fault is a variant of
//! [`fault::Fault`], its line in `Schedule::fill`, and what happens in `inject`.

mod arena;
mod chain;
pub mod damage;
pub mod fault;
mod feed;
mod follow;
mod inject;
mod lives;
mod node;
pub mod planted;
mod proxy;
pub mod report;
mod verdict;
mod workload;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use millstream_engine::planted::Bug;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use self::arena::{Arena, until};
use self::fault::{Fault, Schedule, some_partitions};
use self::feed::{Feed, Times};
use self::report::Report;
use self::workload::SINKS;

/// Names the bug that is planted in a node.
pub const BUG_VARIABLE: &str = "MILLSTREAM_BUG";
/// Chance that a configuration is swapped while another fault happens.
const SWAP_CHANCE: f64 = 0.2;
/// Chance that the pipeline is rescaled while another fault happens.
const RESCALE_CHANCE: f64 = 0.3;
/// The other fault comes so much later, at most: a rescaling takes some seconds.
const MEANWHILE_MS_MAX: u64 = 4_000;
/// How long the answer to a rescaling is waited for once the other fault is over.
const ANSWERED_WITHIN: Duration = Duration::from_secs(20);
/// Name of such a rescaling in the table.
const MEANWHILE: &str = "rescale meanwhile";
/// In a run that is so long one must have come about.
const LONG: Duration = Duration::from_secs(180);

/// How a run is to be.
#[derive(Clone, Debug)]
pub struct Options {
    /// Decides records and faults.
    pub seed: u64,
    /// The program of the nodes.
    pub program: PathBuf,
    /// Servers: 1 or 3.
    pub servers: usize,
    /// Nodes, at most 5.
    pub nodes: usize,
    /// How long faults go on; the last one may end later.
    pub lasts: Duration,
    /// These faults, at the nodes with these numbers, instead of those of the seed.
    pub faults: Option<Vec<(Fault, usize)>>,
    /// Of those of the seed only kinds that contain this text.
    pub only: Option<String>,
    /// How long outputs may take to come again behind a fault.
    pub patience: Duration,
    /// A bug that nodes have.
    pub bug: Option<Bug>,
}

/// Runs, and judges the run.
///
/// # Errors
/// If it could not be begun.
pub async fn run(options: &Options) -> Result<Report> {
    let arena = Arena::start(options).await?;
    let times = Arc::<Times>::default();
    let _sinks: Vec<_> = (0..SINKS.len())
        .map(|sink| {
            let noted = Arc::clone(&times);
            let note = move |record| noted.output(sink, &record);
            follow::follow(arena.jetstream(), SINKS[sink].stream, note)
        })
        .collect();
    let feed = Feed::start(arena.jetstream(), options.seed, Arc::clone(&times));
    let (report, begun) = (Report::new(options), Instant::now());
    let random = StdRng::seed_from_u64(options.seed.wrapping_add(1));
    let mut run = Run { options, arena, times, report, random, begun };
    let started = run.recovered(begun).await;
    run.report.started(started);
    run.inflict_all().await?;
    run.judge(feed).await
}

/// A run under way.
struct Run<'a> {
    options: &'a Options,
    arena: Arena,
    times: Arc<Times>,
    report: Report,
    random: StdRng,
    begun: Instant,
}

impl Run<'_> {
    /// Whether faults of all kinds come, in the order of the seed and beside each other.
    fn is_mixed(&self) -> bool {
        self.options.faults.is_none() && self.options.only.is_none()
    }

    async fn inflict_all(&mut self) -> Result<()> {
        let options = self.options;
        let is_wanted = |fault: &Fault| {
            options.only.as_ref().is_none_or(|only| fault.to_string().contains(only))
        };
        let mut schedule = Schedule::new(options.seed).filter(is_wanted).map(|fault| (fault, None));
        let given = options.faults.clone().map(Vec::into_iter);
        let mut faults: Box<dyn Iterator<Item = (Fault, Option<usize>)>> = match given {
            Some(given) => Box::new(given.map(|(fault, node)| (fault, Some(node)))),
            None => Box::new(&mut schedule),
        };
        self.begun = Instant::now();
        while self.report.is_clean() && self.begun.elapsed() < options.lasts {
            let Some((fault, node)) = faults.next() else { break };
            let node = node.unwrap_or_else(|| self.random.random_range(0..options.nodes));
            if self.is_mixed() && self.random.random_bool(SWAP_CHANCE) {
                let swapped = self.arena.swap().await;
                self.report.fired(Fault::Swap, swapped, None);
            }
            let is_rescaled = self.is_mixed()
                && self.random.random_bool(RESCALE_CHANCE)
                && !matches!(fault, Fault::Rescale { .. });
            match is_rescaled {
                true => self.inflict_meanwhile(fault, node).await?,
                false => self.inflict(fault, node).await?,
            }
            if !self.report.has_damaged() {
                self.report.complain(verdict::checkpoints(&self.arena));
            }
        }
        Ok(())
    }

    /// Has a fault happen, and waits until outputs come again though it is over.
    async fn inflict(&mut self, fault: Fault, node: usize) -> Result<()> {
        self.tell(&fault.to_string(), node);
        let fired = self.happen(fault, node).await?;
        let recovery = self.recovery(&fault.to_string()).await;
        self.report.fired(fault, fired, recovery);
        Ok(())
    }

    /// The same while the pipeline is rescaled. Each of the two may keep the other from happening.
    async fn inflict_meanwhile(&mut self, fault: Fault, node: usize) -> Result<()> {
        let both = format!("{fault}, meanwhile rescale");
        self.tell(&both, node);
        let rescaling = self.arena.begin_rescaling(some_partitions(&mut self.random))?;
        let later = Duration::from_millis(self.random.random_range(0..MEANWHILE_MS_MAX));
        tokio::time::sleep(later).await;
        let fired = self.happen(fault, node).await?;
        let rescaled = rescaling.end(&self.arena, ANSWERED_WITHIN).await;
        if let Err(error) = &rescaled {
            eprintln!("           not rescaled: {error:#}");
        }
        let recovery = self.recovery(&both).await;
        self.report.tried(MEANWHILE.to_owned(), rescaled, recovery);
        self.report.tried(fault.to_string(), fired, None);
        Ok(())
    }

    fn tell(&self, what: &str, node: usize) {
        let at = self.begun.elapsed().as_secs_f64();
        eprintln!("{at:7.1} s  {what} ({})", self.arena.nodes[node].name);
    }

    async fn happen(&mut self, fault: Fault, node: usize) -> Result<Result<()>> {
        self.report.begun(fault);
        let fired = self.arena.inject(fault, node, &mut self.random).await;
        // One that was to be started again by a fault that did not fire.
        self.arena.start_dead()?;
        Ok(fired)
    }

    /// How long it took until outputs came again; what keeps them is complained of.
    async fn recovery(&mut self, kind: &str) -> Option<Duration> {
        let outcome = self.recovered(Instant::now()).await;
        self.report.recovered(kind, outcome);
        let struck = self.arena.struck;
        self.times.recovered(struck).ok().map(|at| at.duration_since(struck))
    }

    /// Waits until every key has an output of a record that was published after a moment.
    async fn recovered(&self, since: Instant) -> Result<()> {
        let all = async || self.times.recovered(since).ok().map(drop);
        match until("outputs come again", self.options.patience, all).await {
            Ok(()) => Ok(()),
            Err(error) => {
                let waiting = self.times.recovered(since).err().unwrap_or_default();
                let described = self.arena.described().await;
                Err(error.context(format!("{described}; {} keys wait", waiting.len())))
            }
        }
    }

    /// Ends the load, and compares everything.
    async fn judge(self, feed: Feed) -> Result<Report> {
        let is_mixed = self.is_mixed();
        let Self { options, arena, times, mut report, .. } = self;
        let numbers = feed.end().await?;
        let all = async || (times.outputs() >= numbers).then_some(());
        if report.complaints.is_empty()
            && let Err(error) = until("all outputs are there", options.patience, all).await
        {
            report.complain([format!("{error:#}: {} of {numbers}", times.outputs())]);
        }
        let is_broken = !report.complaints.is_empty();
        report.complain(verdict::judge(&arena, options.seed, numbers, is_broken).await);
        report.finished(numbers, &arena.lives);
        if is_mixed && options.lasts >= LONG && report.lives() < 2 {
            report.complain(["the pipeline was never rescaled".to_owned()]);
        }
        if !report.is_clean() {
            for node in &arena.nodes {
                eprintln!("-- {}\n{}", node.name, node.last_words(30));
            }
        }
        Ok(report)
    }
}
