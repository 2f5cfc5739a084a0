//! Measures the keyed state: `cargo run --release -p millstream-state --example measure [-- DIR [MILLIONS_OF_KEYS]]`.
//!
//! One thread, keys of 12 bytes, values of 64 incompressible bytes, slices of 256 records. "CPU" is the thread's CPU time,
//! which does not count RocksDB's background threads; the rest is wall time. The last part needs about 4 GB of disk.

use std::path::Path;
use std::time::Instant;

use millstream_core::description::{StateKind, StateSpec};
use millstream_core::ids::{CommitHash, CommitNumber, LogPoint, Sequence, key_hash};
use millstream_state::{Budgets, KeyedState, Shared, SlotId, StateError, wipe};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

const SLICE: u64 = 256;
const VALUE: usize = 64;

/// Wall and CPU time of this thread since some moment.
struct Clock {
    wall: Instant,
    cpu: f64,
}

fn thread_cpu() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: fills the struct it is given.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

impl Clock {
    fn start() -> Self {
        Self { wall: Instant::now(), cpu: thread_cpu() }
    }

    /// Nanoseconds per item, as text.
    fn per(&self, items: u64) -> String {
        let (wall, cpu) = (self.wall.elapsed().as_secs_f64(), thread_cpu() - self.cpu);
        format!("{:.0} ns CPU ({:.0} ns wall)", cpu * 1e9 / items as f64, wall * 1e9 / items as f64)
    }
}

struct Owner {
    state: KeyedState,
    commit: u64,
    slots: Vec<SlotId>,
    keys: Vec<[u8; 12]>,
    hashes: Vec<u64>,
    rng: ChaCha8Rng,
}

impl Owner {
    fn open(dir: &Path, budgets: Budgets) -> Result<Self, StateError> {
        let specs = [
            StateSpec::new("account", StateKind::Value),
            StateSpec::new("entries", StateKind::Map),
        ];
        let (state, local) = KeyedState::open(dir, &specs, &[], &Shared::new(budgets))?;
        let commit = local.map_or(0, |local| local.newest.number.0);
        Ok(Self {
            state,
            commit,
            slots: Vec::new(),
            keys: Vec::new(),
            hashes: Vec::new(),
            rng: ChaCha8Rng::seed_from_u64(0),
        })
    }

    /// A slice that adds one to the account of each key; acknowledged at once.
    fn slice(&mut self, ids: impl Iterator<Item = u64>) -> Result<(), StateError> {
        self.keys.clear();
        self.keys.extend(ids.map(|id| {
            let mut key = *b"acct00000000";
            key[4..].copy_from_slice(&id.to_be_bytes());
            key
        }));
        self.hashes.clear();
        self.hashes.extend(self.keys.iter().map(|key| key_hash(key)));
        self.begin();
        let keys = self.hashes.iter().copied().zip(self.keys.iter().map(|key| &key[..]));
        self.state.slots(keys, &mut self.slots)?;
        for &slot in &self.slots {
            let mut value = [0; VALUE];
            match self.state.value(slot, 0) {
                Some(before) => value.copy_from_slice(before),
                None => self.rng.fill(&mut value),
            }
            value[0] = value[0].wrapping_add(1);
            self.state.set_value(slot, 0, Some(&value));
        }
        self.acknowledge();
        Ok(())
    }

    fn begin(&mut self) {
        self.commit += 1;
        self.state.begin(CommitNumber(self.commit), 0);
    }

    fn acknowledge(&mut self) {
        let number = CommitNumber(self.commit);
        self.state.acknowledged(LogPoint {
            number,
            hash: CommitHash([1; 32]),
            sequence: Sequence(self.commit),
        });
    }

    fn fill(&mut self, keys: u64) -> Result<(), StateError> {
        for first in (0..keys).step_by(SLICE as usize) {
            self.slice(first..(first + SLICE).min(keys))?;
            self.state.trim()?;
        }
        Ok(())
    }
}

fn large() -> Budgets {
    Budgets { cache_bytes: 8 << 30, memtable_bytes: 64 << 20, block_cache_bytes: 64 << 20 }
}

/// Records on keys that are all cached.
fn cached(dir: &Path, keys: u64) -> Result<(), StateError> {
    let mut owner = Owner::open(dir, large())?;
    owner.fill(keys)?;
    let bytes = owner.state.metrics().cached_bytes;
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let ids: Vec<u64> = (0..4_000_000).map(|_| rng.random_range(0..keys)).collect();
    for round in ["first", "second"] {
        let clock = Clock::start();
        for slice in ids.chunks(SLICE as usize) {
            owner.slice(slice.iter().copied())?;
        }
        println!(
            "cached, {keys} keys, {round} round: {} per record (hash, slot, read, write), {} B per key",
            clock.per(ids.len() as u64),
            bytes / keys
        );
    }
    owner.state.abandon();
    wipe(dir)
}

/// Records on keys most of which are in the database only.
fn missed(dir: &Path, keys: u64) -> Result<(), StateError> {
    let mut owner = Owner::open(dir, Budgets { cache_bytes: 16 << 20, ..large() })?;
    owner.fill(keys)?;
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let before = owner.state.metrics();
    let records = 400_000;
    let clock = Clock::start();
    for _ in 0..records / SLICE {
        let ids: Vec<u64> = (0..SLICE).map(|_| rng.random_range(0..keys)).collect();
        owner.slice(ids.into_iter())?;
        owner.state.trim()?;
    }
    let per_record = clock.per(records);
    let after = owner.state.metrics();
    println!(
        "missed, {keys} keys, 16 MB cache: {per_record} per record, {:.0} % misses, evictions and their writes included",
        100.0 * (after.misses - before.misses) as f64 / records as f64,
    );
    let clock = Clock::start();
    for first in (keys..keys + records).step_by(SLICE as usize) {
        let ids: Vec<_> = (first..first + SLICE).map(|id| (id * 7919).to_be_bytes()).collect();
        owner.begin();
        owner.state.slots(ids.iter().map(|id| (key_hash(id), &id[..])), &mut owner.slots)?;
        owner.acknowledge();
        owner.state.trim()?;
    }
    println!("new keys, not in the database: {} each", clock.per(records));
    owner.state.abandon();
    wipe(dir)
}

/// Map entries, cached and not.
fn elements(dir: &Path) -> Result<(), StateError> {
    let mut owner = Owner::open(dir, large())?;
    let (keys, entries) = (10_000u64, 20u64);
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut measure = |what: &str, owner: &mut Owner| -> Result<(), StateError> {
        let clock = Clock::start();
        for _ in 0..keys * entries / SLICE {
            owner.begin();
            for _ in 0..SLICE {
                let key = rng.random_range(0..keys).to_be_bytes();
                let entry = rng.random_range(0..entries).to_be_bytes();
                let value = owner.state.map_get(1, &key, &entry)?.map_or(0, <[u8]>::len) as u64;
                owner.state.map_write(1, &key, &entry, Some(&[value as u8; 32]))?;
            }
            owner.acknowledge();
        }
        println!("map entry, {what}: {} per read and write", clock.per(keys * entries));
        Ok(())
    };
    measure("new", &mut owner)?;
    measure("cached", &mut owner)?;
    owner.state.close()?;
    wipe(dir)
}

/// Persisting everything, and the pause of a checkpoint after it.
fn checkpoint(dir: &Path, keys: u64) -> Result<(), StateError> {
    let mut owner = Owner::open(&dir.join("state"), large())?;
    owner.fill(keys)?;
    let (start, clock) = (Instant::now(), Clock::start());
    let (mut written, mut longest, mut stalls) = (0, 0.0f64, 0);
    loop {
        let step = Instant::now();
        let progress = owner.state.checkpoint_prepare(256 << 10)?;
        longest = longest.max(step.elapsed().as_secs_f64());
        if progress.stalled {
            stalls += 1;
            owner.slice(0..SLICE)?;
        }
        written += progress.written_bytes;
        if progress.done {
            break;
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "persist: {written} B in {seconds:.2} s = {:.0} MB/s, {} per key; longest step of 256 KB {:.1} ms; {stalls} slices in between spared the database",
        written as f64 / seconds / 1e6,
        clock.per(keys),
        longest * 1e3
    );
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    for round in 0..3 {
        for _ in 0..400 {
            let ids: Vec<u64> = (0..SLICE).map(|_| rng.random_range(0..keys)).collect();
            owner.slice(ids.into_iter())?;
        }
        while !owner.state.checkpoint_prepare(256 << 10)?.done {
            owner.slice(0..SLICE)?;
        }
        let target = dir.join(format!("checkpoint{round}"));
        let start = Instant::now();
        let taken = owner.state.checkpoint(&target)?;
        let pause = start.elapsed();
        let start = Instant::now();
        let files = taken.hash()?;
        let bytes: u64 = files.files.iter().map(|file| file.length).sum();
        println!(
            "checkpoint {round}: {} MB in {} files; pause {:.1} ms; flush, links and hashes {:.0} ms on another thread",
            bytes >> 20,
            files.files.len(),
            pause.as_secs_f64() * 1e3,
            start.elapsed().as_secs_f64() * 1e3
        );
    }
    owner.state.abandon();
    wipe(dir)
}

fn main() -> Result<(), StateError> {
    let mut arguments = std::env::args().skip(1);
    let dir = arguments
        .next()
        .map_or_else(|| std::env::temp_dir().join("millstream-measure"), Into::into);
    let millions = arguments.next().and_then(|n| n.parse().ok()).unwrap_or(1u64);
    for keys in [10_000, 100_000, millions * 1_000_000] {
        cached(&dir, keys)?;
    }
    missed(&dir, millions * 1_000_000)?;
    elements(&dir)?;
    checkpoint(&dir, 12_000_000)
}
