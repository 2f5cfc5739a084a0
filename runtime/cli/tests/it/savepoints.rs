//! Savepoints, rescaling, and checkpoints that are read back, with a real node.

use std::path::{Path, PathBuf};

use crate::served::Served;

/// Echoes so far, in order of their texts.
async fn echoes(served: &Served) -> u64 {
    served.messages("ECHOES").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_pipeline_goes_on_from_a_savepoint_and_with_other_partitions() {
    let served = Served::start().await;
    let _run = served.serve();
    served.apply("p", 2);
    let publish = async |texts: &[&str], total: u64| {
        served.publish(texts);
        while echoes(&served).await < total {
            tokio::task::yield_now().await;
        }
        assert_eq!(echoes(&served).await, total);
    };
    publish(&["a", "b", "c"], 3).await;
    served.call(&["rescale", "p", "--partitions", "5", "--wait"]).ok();
    let partitions = || {
        let described = served.call(&["describe", "p", "-o", "json"]).ok().stdout;
        let described: serde_json::Value = serde_json::from_str(&described).expect("JSON");
        let stage = described.pointer("/info/status/stages/0/partitions");
        stage.and_then(|stage| stage.as_array().map(Vec::len)).expect("the status")
    };
    assert_eq!(partitions(), 5);
    publish(&["d", "e", "f"], 6).await;
    served.call(&["rescale", "p", "--stage", "work", "--partitions", "1", "--wait"]).ok();
    assert_eq!(partitions(), 1);
    publish(&["g"], 7).await;

    served.call(&["savepoint", "create", "p", "--name", "kept", "--stop"]).ok();
    let listed = served.call(&["savepoint", "ls", "-o", "name"]).ok().stdout;
    assert_eq!(listed, "kept\n");
    served.publish(&["h", "i"]);
    let text = std::fs::read_to_string(served.millstream.folder.path().join("p.yaml"));
    let text = text.expect("the manifest").replace("name: p\n", "name: q\n");
    served.millstream.file("q.yaml", &text);
    let exists = served.call(&["savepoint", "restore", "kept", "-f", "p.yaml"]);
    assert_eq!((exists.code, exists.stderr.contains("MS1326")), (5, true), "{}", exists.stderr);
    served.call(&["savepoint", "restore", "kept", "-f", "q.yaml", "--wait"]).ok();
    while echoes(&served).await < 9 {
        tokio::task::yield_now().await;
    }
    served.call(&["stop", "q", "--drain", "--wait"]).ok();
    assert_eq!(echoes(&served).await, 9, "what was behind the barrier, once");
    served.call(&["savepoint", "rm", "kept"]).ok();
    assert_eq!(served.call(&["savepoint", "rm", "kept"]).code, 4);
    for name in ["p", "q"] {
        served.call(&["delete", name, "--yes", "--wait"]).ok();
    }
    let mut names = served.connection.jetstream().stream_names();
    let mut logs = Vec::new();
    while let Some(name) = futures::StreamExt::next(&mut names).await {
        logs.extend(Some(name.expect("a name")).filter(|name| name.starts_with("MILLSTREAM_LOG_")));
    }
    assert_eq!(logs, [""; 0], "no life has left its log");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_damaged_truncated_or_missing_file_of_a_checkpoint_is_named() {
    let served = Served::start().await;
    let _run = served.serve();
    served.apply("p", 1);
    served.call(&["delete", "p", "--yes", "--wait"]).ok();
    let store = served.millstream.folder.path().join("checkpoints");
    let text = std::fs::read_to_string(served.millstream.folder.path().join("p.yaml"));
    let text = text.expect("the manifest");
    let text = format!("{text}checkpoints: {{ store: file://{} }}\n", store.display());
    served.millstream.file("p.yaml", &text);
    served.call(&["apply", "-f", "p.yaml", "--wait"]).ok();
    served.publish(&["a", "b"]);
    served.until("a checkpoint with a table", || {
        served.call(&["checkpoint", "now", "p"]);
        (!files(&store.join("blobs")).is_empty()).then_some(())
    });
    served.call(&["checkpoint", "verify", "p"]).ok();
    let table = files(&store.join("blobs")).pop().expect("a table");
    let whole = std::fs::read(&table).expect("it is there");
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    for bytes in [Some(flipped), Some(whole[..whole.len() / 2].to_vec()), None] {
        match bytes {
            Some(bytes) => std::fs::write(&table, bytes).expect("write"),
            None => std::fs::remove_file(&table).expect("remove"),
        }
        let verified = served.call(&["checkpoint", "verify", "p"]);
        assert_eq!(verified.code, 8, "{}{}", verified.stdout, verified.stderr);
        assert!(verified.stdout.contains(".sst: "), "{}", verified.stdout);
    }
    std::fs::write(&table, whole).expect("write");
    let own = files(&store.join("documents/checkpoint-files"));
    let current = own.iter().find(|path| path.ends_with("CURRENT")).expect("it has one");
    std::fs::write(current, "MANIFEST-0").expect("write");
    let is_named = || {
        let verified = served.call(&["checkpoint", "verify", "p", "--partition", "0"]);
        assert_eq!(verified.code, 8, "{}", verified.stderr);
        assert!(verified.stdout.contains("CURRENT: "), "{}", verified.stdout);
        assert!(verified.stdout.contains("has 10 bytes, expected"), "{}", verified.stdout);
    };
    is_named();
    served.call(&["stop", "p", "--wait"]).ok();
    is_named();
}

/// All files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => found.push(path),
        }
    }
    found.sort();
    found
}
