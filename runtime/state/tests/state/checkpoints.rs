//! Checkpoints restored elsewhere.

use std::path::Path;

use millstream_state::{
    Budgets, CheckpointFiles, ErrorKind, ManifestFile, Shared, StateError, verify_restored,
};

use crate::world::World;

/// Copies a checkpoint's files to another folder, as download would.
fn download(checkpoint: &CheckpointFiles, target: &Path) -> Vec<ManifestFile> {
    std::fs::create_dir_all(target).unwrap();
    checkpoint
        .files
        .iter()
        .map(|file| {
            std::fs::copy(&file.path, target.join(&file.name)).unwrap();
            ManifestFile { name: file.name.clone(), length: file.length, blake3: file.blake3 }
        })
        .collect()
}

fn history(seed: u64) {
    let dir = tempfile::tempdir().unwrap();
    let shared = Shared::new(Budgets { cache_bytes: 4000, ..Budgets::default() });
    let mut world = World::open(seed, &dir.path().join("state"), &shared, Vec::new()).unwrap();
    for round in 0..3 {
        for _ in 0..150 {
            world.step().unwrap();
        }
        while !world.state.checkpoint_prepare(500).unwrap().done {
            world.step().unwrap();
        }
        let taken = world.state.checkpoint(&dir.path().join(format!("checkpoint{round}"))).unwrap();
        // The partition goes on while the files are hashed.
        for _ in 0..50 {
            world.step().unwrap();
        }
        let checkpoint = taken.hash().unwrap();
        let restored = dir.path().join(format!("restored{round}"));
        let files = download(&checkpoint, &restored);
        verify_restored(&restored, &files).unwrap();
        let log = world.log[..world.acknowledged].to_vec();
        let mut copy = World::open(seed, &restored, &Shared::new(Budgets::default()), log).unwrap();
        copy.begin().unwrap();
        copy.compare().unwrap();
    }
}

#[test]
fn restored_checkpoints_amount_to_the_model() {
    for seed in 0..15 {
        let outcome = std::panic::catch_unwind(|| history(seed));
        assert!(outcome.is_ok(), "failed with seed {seed}");
    }
}

#[test]
fn a_checkpoint_has_all_that_is_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let shared = Shared::new(Budgets::default());
    let mut world = World::open(7, &dir.path().join("state"), &shared, Vec::new()).unwrap();
    for _ in 0..20 {
        world.operate().unwrap();
    }
    world.publish();
    world.acknowledge();
    assert!(!dir.path().join("state").exists(), "no database before it is needed");
    let checkpoint =
        world.state.checkpoint(&dir.path().join("checkpoint")).unwrap().hash().unwrap();
    assert_eq!(checkpoint.redo_from, crate::world::point(1));
    assert_eq!(checkpoint.newest, crate::world::point(1));
    // A commit without effects moves it, too.
    world.begin().unwrap();
    world.publish();
    world.acknowledge();
    let checkpoint =
        world.state.checkpoint(&dir.path().join("checkpoint2")).unwrap().hash().unwrap();
    assert_eq!(checkpoint.redo_from, crate::world::point(2));
}

#[test]
fn what_differs_from_the_manifest_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let shared = Shared::new(Budgets::default());
    let mut world = World::open(3, &dir.path().join("state"), &shared, Vec::new()).unwrap();
    for _ in 0..200 {
        world.step().unwrap();
    }
    let checkpoint =
        world.state.checkpoint(&dir.path().join("checkpoint")).unwrap().hash().unwrap();
    let table = checkpoint.files.iter().find(|file| file.name.ends_with(".sst")).unwrap();
    let restored = dir.path().join("restored");
    let refusal = |change: &dyn Fn(&Path)| {
        let _ = std::fs::remove_dir_all(&restored);
        let files = download(&checkpoint, &restored);
        change(&restored.join(&table.name));
        match verify_restored(&restored, &files).unwrap_err() {
            StateError::CheckpointFile { fact, .. } => fact,
            other => panic!("{other}"),
        }
    };
    let content = std::fs::read(&table.path).unwrap();
    assert_eq!(refusal(&|path| std::fs::remove_file(path).unwrap()), "is missing");
    let fact = refusal(&|path| std::fs::write(path, &content[1..]).unwrap());
    assert_eq!(fact, format!("has {} bytes, expected {}", content.len() - 1, content.len()));
    let mut flipped = content.clone();
    flipped[content.len() / 2] ^= 1;
    assert!(refusal(&|path| std::fs::write(path, &flipped).unwrap()).starts_with("has hash "));
    let fact = refusal(&|path| std::fs::write(path.with_file_name("extra"), b"").unwrap());
    assert_eq!(fact, "does not belong to the checkpoint");
}

#[test]
fn an_unfit_target_is_not_taken_for_damage() {
    let dir = tempfile::tempdir().unwrap();
    let shared = Shared::new(Budgets::default());
    let mut world = World::open(3, &dir.path().join("state"), &shared, Vec::new()).unwrap();
    for _ in 0..50 {
        world.step().unwrap();
    }
    for target in [dir.path().to_owned(), dir.path().join("no/such/folder")] {
        let error = world.state.checkpoint(&target).unwrap().hash().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Retry, "{error:?}");
    }
    world.state.checkpoint(&dir.path().join("fit")).unwrap().hash().unwrap();
}

#[test]
fn a_closed_state_gives_no_checkpoint_and_its_folder_is_free() {
    let dir = tempfile::tempdir().unwrap();
    let shared = Shared::new(Budgets::default());
    let state = dir.path().join("state");
    let mut world = World::open(3, &state, &shared, Vec::new()).unwrap();
    for _ in 0..200 {
        world.step().unwrap();
    }
    let late = world.state.checkpoint(&dir.path().join("late")).unwrap();
    let taken = world.state.checkpoint(&dir.path().join("taken")).unwrap();
    // Either it is taken before the state closes, or it says that it was too late.
    let taking = std::thread::spawn(move || taken.hash());
    let log = world.crash();
    assert!(matches!(late.hash(), Err(StateError::Closed { .. })));
    World::open(4, &state, &shared, log).unwrap();
    match taking.join().unwrap() {
        Ok(checkpoint) => assert!(!checkpoint.files.is_empty()),
        Err(error) => assert!(matches!(error, StateError::Closed { .. }), "{error}"),
    }
}
