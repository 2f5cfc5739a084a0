//! Processes that kill themselves in the middle of a history, one after the other in the same folder. No WAL,
//! memtables not flushed: what the next one finds is an older state of the database.

use std::fs::{File, OpenOptions};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;

use millstream_state::{Budgets, KeyedState, Shared};

use crate::model::{Commit, specs};
use crate::world::World;

const DIR: &str = "MILLSTREAM_STATE_TEST_DIR";
const SEED: &str = "MILLSTREAM_STATE_TEST_SEED";

fn read_log(dir: &Path) -> Vec<Commit> {
    let text = std::fs::read_to_string(dir.join("log")).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn open(seed: u64, dir: &Path) -> World {
    let shared = Shared::new(Budgets {
        cache_bytes: 4 << 10,
        memtable_bytes: 256 << 10,
        block_cache_bytes: 1 << 20,
    });
    World::open(seed, &dir.join("state"), &shared, read_log(dir)).unwrap()
}

/// The process that dies. Run by the test below only.
#[test]
#[ignore = "kills its process; run by histories_survive_kills"]
fn victim() {
    let dir = std::env::var_os(DIR).expect("run by the other test");
    let dir = Path::new(&dir);
    let seed = std::env::var(SEED).unwrap().parse().unwrap();
    let mut world = open(seed, dir);
    world.compare().unwrap();
    let sink: File = OpenOptions::new().append(true).create(true).open(dir.join("log")).unwrap();
    world.sink = Some(sink);
    for step in 0..seed % 1500 {
        world.step().unwrap();
        if step % 400 == 399 {
            // Flushes what was written so far.
            let target = dir.join(format!("checkpoint-{seed}-{step}"));
            world.state.checkpoint(&target).unwrap().hash().unwrap();
            std::fs::remove_dir_all(target).unwrap();
        }
    }
    // SAFETY: raises a signal in this process, which is what it is for.
    unsafe { libc::raise(libc::SIGKILL) };
}

#[test]
fn histories_survive_kills() {
    let dir = tempfile::tempdir().unwrap();
    let (mut opened, mut behind) = (0, 0);
    for seed in (0..40u64).map(|i| i * 7919 + 300) {
        let status = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "kill::victim", "--ignored", "--nocapture"])
            .env(DIR, dir.path())
            .env(SEED, seed.to_string())
            .status()
            .unwrap();
        assert_eq!(status.signal(), Some(libc::SIGKILL), "seed {seed}: {status}");
        let log = read_log(dir.path());
        let (states, timers, _) = specs(0);
        let shared = Shared::new(Budgets::default());
        let (state, local) =
            KeyedState::open(&dir.path().join("state"), &states, &timers, &shared).unwrap();
        state.abandon();
        if let Some(local) = local {
            opened += 1;
            behind += u32::from(local.newest.number.0 < log.len() as u64);
        }
    }
    assert!(
        opened > 30 && behind > 30,
        "the kills showed nothing: {opened} databases, {behind} behind their log"
    );
    let mut world = open(1, dir.path());
    world.begin().unwrap();
    world.compare().unwrap();
    println!("{} commits, {behind} of 40 databases behind", world.log.len());
}
