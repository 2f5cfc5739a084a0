//! Damaged and locked databases.

use std::path::{Path, PathBuf};

use millstream_state::{Budgets, ErrorKind, KeyedState, Shared, StateError, wipe};

use crate::model::{Commit, specs};
use crate::world::World;

/// A database with everything flushed, and its log.
fn database(dir: &Path) -> Vec<Commit> {
    let shared = Shared::new(Budgets::default());
    let mut world = World::open(11, dir, &shared, Vec::new()).unwrap();
    for _ in 0..500 {
        world.step().unwrap();
    }
    world.state.persist(usize::MAX).unwrap();
    world.crash()
}

fn files(dir: &Path, part: &str) -> Vec<PathBuf> {
    let all = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let found: Vec<_> =
        all.filter(|path| path.file_name().unwrap().to_string_lossy().contains(part)).collect();
    assert!(!found.is_empty(), "no {part}");
    found
}

/// Opens and reads everything.
fn use_it(dir: &Path, log: &[Commit]) -> Result<(), StateError> {
    let mut world = World::open(12, dir, &Shared::new(Budgets::default()), log.to_vec())?;
    world.begin()?;
    world.compare()
}

#[test]
fn damage_is_recognised_and_wiped() {
    let cut = |path: &Path| {
        let content = std::fs::read(path).unwrap();
        std::fs::write(path, &content[..content.len() / 2]).unwrap();
    };
    let flip = |path: &Path| {
        let mut content = std::fs::read(path).unwrap();
        // In the first data block, which holds what is read first.
        content[40] ^= 0x10;
        std::fs::write(path, content).unwrap();
    };
    let remove = |path: &Path| std::fs::remove_file(path).unwrap();
    type Damage<'a> = (&'a str, &'a str, &'a dyn Fn(&Path));
    let damages: [Damage; 6] = [
        ("table cut", ".sst", &cut),
        ("table flipped", ".sst", &flip),
        ("table missing", ".sst", &remove),
        ("manifest cut", "MANIFEST", &cut),
        ("manifest missing", "MANIFEST", &remove),
        ("current emptied", "CURRENT", &|path| std::fs::write(path, b"").unwrap()),
    ];
    for (name, part, damage) in damages {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("state");
        let log = database(&dir);
        use_it(&dir, &log).unwrap();
        files(&dir, part).iter().for_each(|path| damage(path));
        let error = use_it(&dir, &log).expect_err(name);
        assert_eq!(error.kind(), ErrorKind::Wipe, "{name}: {error:?}");
        wipe(&dir).unwrap();
        use_it(&dir, &log).unwrap();
        wipe(&dir).unwrap();
        wipe(&dir).unwrap();
    }
}

#[test]
fn a_locked_folder_is_not_damaged() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("state");
    let log = database(&dir);
    let shared = Shared::new(Budgets::default());
    let (states, timers, _) = specs(0);
    let (_first, _) = KeyedState::open(&dir, &states, &timers, &shared).unwrap();
    let error = use_it(&dir, &log).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Retry, "{error:?}");
}
