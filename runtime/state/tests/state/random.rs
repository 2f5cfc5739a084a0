//! Random histories with crashes, in one process.

use millstream_state::{Budgets, Shared};

use crate::world::World;

/// Several ownerships of one partition, one after the other.
fn history(seed: u64, cache_bytes: usize) {
    let dir = tempfile::tempdir().unwrap();
    let shared =
        Shared::new(Budgets { cache_bytes, memtable_bytes: 1 << 20, block_cache_bytes: 1 << 20 });
    let (mut log, mut next) = (Vec::new(), seed);
    for _ in 0..4 {
        let mut world = World::open(next, &dir.path().join("state"), &shared, log).unwrap();
        world.compare().unwrap();
        for step in 0..400 {
            world.step().unwrap();
            if step % 37 == 0 {
                world.begin().unwrap();
                world.compare().unwrap();
            }
        }
        next = world.next_seed();
        log = world.crash();
    }
}

/// Seeds per test, unless `MILLSTREAM_STATE_SEEDS` asks for more.
const SEEDS: u64 = 40;

/// Runs one property for many seeds from `first` on; a failure names its seed.
fn seeds(first: u64, property: impl Fn(u64)) {
    let count =
        std::env::var("MILLSTREAM_STATE_SEEDS").ok().and_then(|n| n.parse().ok()).unwrap_or(SEEDS);
    for seed in first..first + count {
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| property(seed)));
        assert!(outcome.is_ok(), "failed with seed {seed}");
    }
}

#[test]
fn histories_with_a_tiny_cache_amount_to_the_model() {
    seeds(0, |seed| history(seed, 600));
}

#[test]
fn histories_with_a_small_cache_amount_to_the_model() {
    seeds(100_000, |seed| history(seed, 8 << 10));
}

#[test]
fn histories_with_a_large_cache_amount_to_the_model() {
    seeds(200_000, |seed| history(seed, 1 << 20));
}
