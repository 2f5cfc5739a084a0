//! The fault harness: real nodes and servers under load, faults in the order of a seed, and a reference model that knows every
//! output.
//!
//! - `workload` is the pipeline, its records, and the model; `feed` publishes the records.
//! - `arena` is what a run happens in: servers, `node`s that are processes, each behind a `proxy` per server, a folder of checkpoints.
//! - `fault` says what may go wrong and in which order, `inject` has it happen, `damage` knows the files.
//! - `chain` reads the log along with the run, `verdict` compares everything at the end, `report` tells it.
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
mod node;
pub mod planted;
mod proxy;
pub mod report;
mod verdict;
mod workload;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;
use millstream_engine::planted::Bug;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use self::arena::Arena;
use self::chain::Chain;
use self::fault::{Fault, Schedule};
use self::feed::{Feed, Times};
use self::report::Report;
use self::workload::{LOG, SINK};

/// Names the bug that is planted in a node.
pub const BUG_VARIABLE: &str = "MILLSTREAM_BUG";
/// Chance that a configuration is swapped while another fault happens.
const SWAP_CHANCE: f64 = 0.2;

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
    let mut arena = Arena::start(options).await?;
    let (times, chain) = (Arc::<Times>::default(), Arc::<Mutex<Chain>>::default());
    let (noted, seen) = (Arc::clone(&times), Arc::clone(&chain));
    let _sink = follow::follow(arena.jetstream(), SINK, move |record| noted.output(&record));
    let _log = follow::follow(arena.jetstream(), LOG, move |record| {
        seen.lock().unwrap_or_else(PoisonError::into_inner).see(&record);
    });
    let feed = Feed::start(arena.jetstream(), options.seed, Arc::clone(&times));
    let mut report = Report::new(options);
    let begun = Instant::now();
    report.started(recovered(&arena, &times, begun, options).await.map(drop));
    let mut random = StdRng::seed_from_u64(options.seed.wrapping_add(1));
    let given = options.faults.clone().map(Vec::into_iter);
    let is_wanted =
        |fault: &Fault| options.only.as_ref().is_none_or(|only| fault.to_string().contains(only));
    let mut schedule = Schedule::new(options.seed).filter(is_wanted).map(|fault| (fault, None));
    let mut faults: Box<dyn Iterator<Item = (Fault, Option<usize>)>> = match given {
        Some(given) => Box::new(given.map(|(fault, node)| (fault, Some(node)))),
        None => Box::new(&mut schedule),
    };
    let begun = Instant::now();
    while report.is_clean() && begun.elapsed() < options.lasts {
        let Some((fault, node)) = faults.next() else { break };
        let node = node.unwrap_or_else(|| random.random_range(0..options.nodes));
        if options.faults.is_none() && options.only.is_none() && random.random_bool(SWAP_CHANCE) {
            report.fired(Fault::Swap, arena.swap().await, Ok(()), None);
        }
        eprintln!("{:7.1} s  {fault} ({})", begun.elapsed().as_secs_f64(), arena.nodes[node].name);
        let fired = arena.inject(fault, node, &mut random).await;
        // One that was to be started again by a fault that did not fire.
        arena.start_dead()?;
        // The next fault comes when outputs come again though this one is over.
        let outcome = recovered(&arena, &times, Instant::now(), options).await;
        let struck = arena.struck;
        let recovery = times.recovered(struck).ok().map(|at| at.duration_since(struck));
        report.fired(fault, fired, outcome, recovery);
        if !report.has_damaged() {
            report.complain(verdict::checkpoints(&arena));
        }
    }
    let numbers = feed.end().await?;
    let all = async || (times.outputs() >= numbers).then_some(());
    if let Err(error) = arena.until("all outputs are there", options.patience, all).await {
        report.complain([format!("{error:#}: {} of {numbers}", times.outputs())]);
    }
    report.complain(verdict::judge(&arena, options.seed, numbers, &chain).await);
    report.finished(numbers, &chain.lock().unwrap_or_else(PoisonError::into_inner));
    if !report.is_clean() {
        for node in &arena.nodes {
            eprintln!("-- {}\n{}", node.name, node.last_words(30));
        }
    }
    Ok(report)
}

/// Waits until every key has an output of a record that was published after a moment.
async fn recovered(arena: &Arena, times: &Times, since: Instant, options: &Options) -> Result<()> {
    let all = async || times.recovered(since).ok().map(drop);
    match arena.until("outputs come again", options.patience, all).await {
        Ok(()) => Ok(()),
        Err(error) => {
            let waiting = times.recovered(since).err().unwrap_or_default();
            let described = arena.described().await;
            Err(error.context(format!("{described}; {} keys wait", waiting.len())))
        }
    }
}
