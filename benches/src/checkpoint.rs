//! `checkpoint`: how long a partition stands still for a checkpoint of a large state, and what its slices take meanwhile.
//!
//! State alone, as a partition uses it: between two slices a step of persisting, for a checkpoint a step of preparing, at last
//! the checkpoint itself. Flushing, linking and hashing are another thread's, and go on beside further slices.

use std::path::Path;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, ensure};
use millstream_core::description::{StateKind, StateSpec};
use millstream_core::ids::{CommitHash, CommitNumber, LogPoint, Sequence, key_hash};
use millstream_state::{Budgets, KeyedState, Shared};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use crate::report::{self, Figure};

/// Bytes of one key's value; incompressible.
const VALUE_BYTES: usize = 1_000;
/// Keys that a slice changes.
const SLICE_KEYS: u64 = 100;
/// The worker's own numbers: what may be dirty, what is persisted at once beyond it, what is looked through to be evicted, and
/// what one step of preparing persists.
const DIRTY_BYTES_MAX: usize = 32 << 20;
const PERSIST_STEP_BYTES: usize = 1 << 20;
const CLEANED: usize = 128;
const STEP_BYTES: usize = 64 << 10;
/// Steps of preparing, at most: the worker's own number.
const PREPARE_STEPS_MAX: u32 = 1_000;
/// Slices without a checkpoint before the first one and between two.
const BETWEEN: u32 = 5_000;

/// Arguments of the subcommand.
#[derive(clap::Args)]
pub struct Args {
    /// Keyed state, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 1_024, value_parser = clap::value_parser!(u64).range(1..))]
    state: u64,

    /// Checkpoints
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    checkpoints: u16,

    /// Seed of keys and values
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,

    /// Print one JSON object a line: `name`, `value`, `unit`, `baseline`, `ratio`
    #[arg(long)]
    json: bool,
}

/// The subcommand.
pub fn run(args: &Args) -> Result<()> {
    let folder = tempfile::Builder::new().prefix("millstream-bench-").tempdir()?;
    let mut partition = Partition::open(folder.path(), args)?;
    partition.load()?;
    let (mut quiet, mut pauses, mut beside) = (Vec::new(), Vec::new(), Vec::new());
    let mut bytes = 0;
    for number in 0..args.checkpoints {
        for _ in 0..BETWEEN {
            quiet.push(partition.slice()?);
        }
        let target = folder.path().join(format!("checkpoint-{number}"));
        let hashing = partition.checkpoint(&target, &mut pauses, &mut beside)?;
        while !hashing.is_finished() {
            beside.push(partition.slice()?);
        }
        bytes = hashing.join().map_err(|_| anyhow!("hashing panicked"))??;
        std::fs::remove_dir_all(&target)?;
    }
    ensure!(bytes >= args.state << 20, "the checkpoint has {bytes} bytes only");
    let figures = [
        Figure::alone("checkpoint/state", "MiB", bytes as f64 / f64::from(1 << 20)),
        Figure::against("checkpoint/pause-p50", "ms", at(&mut pauses, 0.5), at(&mut quiet, 0.5)),
        Figure::against("checkpoint/pause-max", "ms", at(&mut pauses, 1.0), at(&mut quiet, 1.0)),
        Figure::against("checkpoint/slice-p99", "ms", at(&mut beside, 0.99), at(&mut quiet, 0.99)),
        Figure::against("checkpoint/slice-max", "ms", at(&mut beside, 1.0), at(&mut quiet, 1.0)),
    ];
    report::print(&figures, args.json)?;
    Ok(())
}

/// A quantile, in milliseconds.
fn at(durations: &mut [Duration], quantile: f64) -> f64 {
    durations.sort_unstable();
    let index = ((durations.len().saturating_sub(1)) as f64 * quantile) as usize;
    durations.get(index).map_or(0.0, |duration| duration.as_secs_f64() * 1e3)
}

/// A partition's state, and whoever changes it.
struct Partition {
    state: KeyedState,
    keys: u64,
    commit: u64,
    rng: ChaCha8Rng,
    value: Vec<u8>,
}

impl Partition {
    fn open(folder: &Path, args: &Args) -> Result<Self> {
        let states = [StateSpec::new("value", StateKind::Value)];
        let shared = Shared::new(Budgets::default());
        let (state, _) = KeyedState::open(&folder.join("state"), &states, &[], &shared)?;
        let keys = (args.state << 20).div_ceil(VALUE_BYTES as u64);
        let rng = ChaCha8Rng::seed_from_u64(args.seed);
        Ok(Partition { state, keys, commit: 0, rng, value: vec![0; VALUE_BYTES] })
    }

    /// Gives every key a value.
    fn load(&mut self) -> Result<()> {
        for first in (0..self.keys).step_by(SLICE_KEYS as usize) {
            let keys: Vec<u64> = (first..self.keys.min(first + SLICE_KEYS)).collect();
            self.change(&keys)?;
            while !self.state.persist(1 << 20)?.done {}
        }
        Ok(())
    }

    /// One slice of random keys, and the step behind it; how long both took.
    fn slice(&mut self) -> Result<Duration> {
        let keys: Vec<u64> = (0..SLICE_KEYS).map(|_| self.rng.next_u64() % self.keys).collect();
        let started = Instant::now();
        self.change(&keys)?;
        if self.state.dirty_bytes() > DIRTY_BYTES_MAX {
            self.state.persist(PERSIST_STEP_BYTES)?;
        }
        self.state.clean(CLEANED)?;
        self.state.trim()?;
        Ok(started.elapsed())
    }

    fn change(&mut self, keys: &[u64]) -> Result<()> {
        self.commit += 1;
        self.state.begin(CommitNumber(self.commit), 0);
        let names: Vec<[u8; 8]> = keys.iter().map(|key| key.to_be_bytes()).collect();
        let mut slots = Vec::new();
        let hashed = names.iter().map(|name| (key_hash(name), &name[..]));
        self.state.slots(hashed, &mut slots)?;
        self.state.begin_call();
        for slot in slots {
            self.rng.fill_bytes(&mut self.value);
            self.state.set_value(slot, 0, Some(&self.value));
        }
        self.state.keep_call();
        let (number, sequence) = (CommitNumber(self.commit), Sequence(self.commit));
        self.state.acknowledged(LogPoint { number, hash: CommitHash([0; 32]), sequence });
        Ok(())
    }

    /// Takes a checkpoint as a worker does; what takes it further is another thread's. Pauses are what no slice could run in.
    fn checkpoint(
        &mut self,
        target: &Path,
        pauses: &mut Vec<Duration>,
        beside: &mut Vec<Duration>,
    ) -> Result<JoinHandle<Result<u64>>> {
        for _ in 0..PREPARE_STEPS_MAX {
            let started = Instant::now();
            let progress = self.state.checkpoint_prepare(STEP_BYTES)?;
            pauses.push(started.elapsed());
            if progress.done {
                break;
            }
            beside.push(self.slice()?);
        }
        let started = Instant::now();
        let taken = self.state.checkpoint(target)?;
        pauses.push(started.elapsed());
        Ok(std::thread::spawn(move || {
            let files = taken.hash().context("the checkpoint cannot be taken")?;
            Ok(files.files.iter().map(|file| file.length).sum())
        }))
    }
}
