//! Calls of the guest whose writes are taken back.

use millstream_state::{Budgets, Shared};
use rand::RngExt;

use crate::model::Op;
use crate::world::World;

fn history(seed: u64) {
    let dir = tempfile::tempdir().unwrap();
    let shared = Shared::new(Budgets { cache_bytes: 3000, ..Budgets::default() });
    let mut world = World::open(seed, &dir.path().join("state"), &shared, Vec::new()).unwrap();
    for _ in 0..60 {
        for _ in 0..world.rng.random_range(0..12) {
            world.step().unwrap();
        }
        world.begin().unwrap();
        let (model, operations) = (world.model.clone(), world.operations());
        world.state.begin_call();
        for _ in 0..world.rng.random_range(0..20) {
            match world.random_op().unwrap() {
                Op::Value { .. } => {}
                op => world.perform(op).unwrap(),
            }
            if world.rng.random_ratio(1, 10) {
                world.compare().unwrap();
            }
        }
        if world.rng.random_ratio(2, 3) {
            world.state.drop_call();
            world.truncate(operations, model);
        } else {
            world.state.keep_call();
        }
        world.compare().unwrap();
    }
    let log = world.crash();
    World::open(seed, &dir.path().join("state"), &shared, log).unwrap().compare().unwrap();
}

#[test]
fn dropped_calls_leave_no_trace() {
    for seed in 0..60 {
        let outcome = std::panic::catch_unwind(|| history(seed));
        assert!(outcome.is_ok(), "failed with seed {seed}");
    }
}
