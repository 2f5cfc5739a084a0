//! Memory budgets, and keys that every commit writes.

use millstream_core::udf::Limit;
use std::sync::Arc;

use millstream_core::description::{StateKind, StateSpec};
use millstream_core::ids::{CommitNumber, key_hash};
use millstream_state::{Budgets, KeyedState, Shared};

use crate::world::point;

fn spec(name: &str, kind: StateKind) -> StateSpec {
    StateSpec::new(name, kind)
}

fn open(dir: &std::path::Path, shared: &Arc<Shared>) -> KeyedState {
    let states = [spec("v", StateKind::Value), spec("m", StateKind::Map)];
    KeyedState::open(dir, &states, &[], shared).unwrap().0
}

fn add(state: &mut KeyedState, key: &[u8], amount: u64) -> u64 {
    let mut slots = Vec::new();
    state.slots([(key_hash(key), key)], &mut slots).unwrap();
    let before = state.value(slots[0], 0).map_or(0, |v| u64::from_le_bytes(v.try_into().unwrap()));
    state.set_value(slots[0], 0, Some(&(before + amount).to_le_bytes()));
    before + amount
}

#[test]
fn the_cache_stays_within_its_budget() {
    const KEYS: u64 = 5_000;
    let dir = tempfile::tempdir().unwrap();
    let shared = Shared::new(Budgets { cache_bytes: 100_000, ..Budgets::default() });
    let mut partitions =
        [open(&dir.path().join("a"), &shared), open(&dir.path().join("b"), &shared)];
    for commit in 1..=4 * KEYS / 100 {
        for state in &mut partitions {
            state.begin(CommitNumber(commit), 0);
            for i in 0..100 {
                let key = ((commit * 100 + i) % KEYS).to_be_bytes();
                add(state, &key, 1);
                state.map_write(1, b"shared", &key, Some(b"entry")).unwrap();
            }
            add(state, b"hot", 1);
            state.acknowledged(point(commit));
            state.trim().unwrap();
            assert!(
                shared.cached_bytes() < 150_000,
                "{} in commit {commit}",
                shared.cached_bytes()
            );
        }
    }
    for state in &mut partitions {
        let metrics = state.metrics();
        assert!(metrics.evictions > KEYS && metrics.cached_keys < KEYS / 2, "{metrics:?}");
        assert_eq!(add(state, b"hot", 0), 4 * KEYS / 100);
        for key in 0..KEYS {
            assert_eq!(add(state, &key.to_be_bytes(), 0), 4);
        }
        assert_eq!(
            state.map_scan(1, b"shared", None, Limit::items(usize::MAX)).unwrap().len() as u64,
            KEYS
        );
    }
}

#[test]
fn keys_that_every_commit_writes_do_not_hold_redo_back() {
    let dir = tempfile::tempdir().unwrap();
    let shared = Shared::new(Budgets::default());
    let mut state = open(&dir.path().join("state"), &shared);
    let mut lag_max = 0;
    state.begin(CommitNumber(1), 0);
    for commit in 1..1000u64 {
        // The next slice is computed before this commit is acknowledged.
        for _ in 0..2 {
            add(&mut state, b"hot", 1);
            state.map_write(1, b"hot", b"entry", Some(&commit.to_le_bytes())).unwrap();
            state.map_clear(1, b"cleared").unwrap();
            state.map_write(1, b"cleared", b"entry", Some(&commit.to_le_bytes())).unwrap();
        }
        state.begin(CommitNumber(commit + 1), 0);
        add(&mut state, b"hot", 1);
        state.map_write(1, b"hot", b"entry", Some(b"next")).unwrap();
        state.map_clear(1, b"cleared").unwrap();
        state.acknowledged(point(commit));
        if commit % 10 == 0 {
            let progress = state.persist(1 << 20).unwrap();
            lag_max = lag_max.max(progress.acknowledged.number.0 - progress.redo_from.number.0);
            // What was passed over in one call is in the next.
            assert!(progress.redo_from.number.0 + 30 > commit, "{progress:?} at {commit}");
        }
    }
    println!("redo_from was at most {lag_max} commits behind");
}

#[test]
fn a_large_map_is_cleared_without_reading_it() {
    let dir = tempfile::tempdir().unwrap();
    let shared = Shared::new(Budgets { cache_bytes: 1000, ..Budgets::default() });
    let mut state = open(&dir.path().join("state"), &shared);
    state.begin(CommitNumber(1), 0);
    for i in 0..10_000u64 {
        state.map_write(1, b"k", &i.to_be_bytes(), Some(b"v")).unwrap();
    }
    state.map_write(1, b"k\0", b"other", Some(b"v")).unwrap();
    state.acknowledged(point(1));
    state.trim().unwrap();
    state.begin(CommitNumber(2), 0);
    let misses = state.metrics().misses;
    state.map_clear(1, b"k").unwrap();
    assert_eq!(state.map_scan(1, b"k", None, Limit::items(10)).unwrap(), []);
    assert_eq!(state.map_get(1, b"k", &7u64.to_be_bytes()).unwrap(), None);
    assert_eq!(state.metrics().misses, misses, "the database was asked");
    state.map_write(1, b"k", b"new", Some(b"v")).unwrap();
    state.acknowledged(point(2));
    state.trim().unwrap();
    state.persist(usize::MAX).unwrap();
    state.trim().unwrap();
    state.trim().unwrap();
    assert_eq!(state.map_scan(1, b"k", None, Limit::items(10)).unwrap().len(), 1);
    assert_eq!(state.map_scan(1, b"k\0", None, Limit::items(10)).unwrap().len(), 1);
}

#[test]
fn reading_ends_with_the_item_that_reaches_the_limit() {
    let dir = tempfile::tempdir().unwrap();
    for cache_bytes in [1 << 20, 1000] {
        let shared = Shared::new(Budgets { cache_bytes, ..Budgets::default() });
        let mut state = open(&dir.path().join(cache_bytes.to_string()), &shared);
        state.begin(CommitNumber(1), 0);
        for i in 0..100u8 {
            state.map_write(1, b"k", &[i], Some(&[b'v'; 99])).unwrap();
        }
        state.acknowledged(point(1));
        state.persist(usize::MAX).unwrap();
        state.trim().unwrap();
        state.begin(CommitNumber(2), 0);
        for (bytes, entries) in [(0, 0), (1, 1), (100, 1), (101, 2), (250, 3), (usize::MAX, 10)] {
            let found = state.map_scan(1, b"k", None, Limit { items: 10, bytes }).unwrap();
            assert_eq!(found.len(), entries, "{bytes} bytes");
        }
    }
}
