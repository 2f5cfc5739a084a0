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

/// Runs one property for many seeds; a failure names its seed.
fn seeds(count: u64, property: impl Fn(u64)) {
    for seed in 0..count {
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| property(seed)));
        assert!(outcome.is_ok(), "failed with seed {seed}");
    }
}

#[test]
fn histories_with_a_tiny_cache_amount_to_the_model() {
    seeds(40, |seed| history(seed, 600));
}

#[test]
fn histories_with_a_small_cache_amount_to_the_model() {
    seeds(40, |seed| history(1000 + seed, 8 << 10));
}

#[test]
fn histories_with_a_large_cache_amount_to_the_model() {
    seeds(40, |seed| history(2000 + seed, 1 << 20));
}
