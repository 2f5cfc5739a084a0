//! What commands show of a running pipeline, and what its deletion leaves.

use crate::millstream::root;
use crate::served::Served;

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_last_log_lines_are_kept_and_new_ones_followed() {
    let served = Served::start().await;
    let _run = served.serve();
    served.apply("p", 1);
    served.publish(&["config", "hash", "file"]);
    let lines = served.until("three lines", || {
        let lines = served.call(&["logs", "p", "-o", "jsonl"]).ok().stdout;
        (lines.lines().count() == 3).then_some(lines)
    });
    let configured = lines.lines().find(|line| line.contains("limit")).expect("all are there");
    let first: serde_json::Value = serde_json::from_str(configured).expect("JSON");
    assert_eq!((&first["stage"], &first["level"]), (&"work".into(), &"info".into()), "{first}");
    assert_eq!(first["message"], "{\"limit\":5}");
    let last = served.call(&["logs", "p", "--tail", "1"]).ok().stdout;
    assert!(last.contains("info  work: "), "{last}");
    assert_eq!(last.lines().count(), 1, "{last}");
    assert_eq!(served.call(&["logs", "p", "--tail", "0"]).ok().stdout, "");
    served.call(&["logs", "p", "--stage", "wrok"]).failed(4, &["MS1314", "work"]);
    served.call(&["logs", "nope"]).failed(4, &["MS1310"]);

    // Followed from the past into the future, every line once.
    let url = served.server.url();
    let args = ["logs", "p", "-f", "--tail", "2", "--count", "3", "-o", "jsonl", "--server", &url];
    let mut follow = served.millstream.command(args);
    let mut child = follow.stdout(std::process::Stdio::piped()).spawn().expect("it starts");
    let mut stdout = std::io::BufReader::new(child.stdout.take().expect("piped"));
    let mut read = || {
        let mut line = String::new();
        std::io::BufRead::read_line(&mut stdout, &mut line).expect("UTF-8");
        line
    };
    let past = read() + &read();
    let known: Vec<&str> = lines.lines().skip(1).collect();
    assert_eq!(past.lines().collect::<Vec<_>>(), known);
    served.publish(&["environment"]);
    let next = read();
    assert!(next.contains("environment: 0"), "{next}");
    assert_eq!((read(), child.wait().expect("it ends").code()), (String::new(), Some(0)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn get_names_state_timers_and_dead_letters() {
    let served = Served::start().await;
    served.stream("CARDS", "cards.>").await;
    served.stream("FRAUD", "fraud.>").await;
    let first = served.serve();
    let text = std::fs::read_to_string(root().join("examples/card-fraud/pipeline.yaml"))
        .expect("the example")
        .replace("../../udfs", &root().join("udfs").display().to_string());
    served.millstream.file("fraud.yaml", &text);
    served.call(&["apply", "-f", "fraud.yaml", "--wait"]).ok();
    let input = std::fs::read_to_string(root().join("examples/card-fraud/input.ndjson"))
        .expect("the example's records");
    served.millstream.file("in.ndjson", &input);
    served.call(&["publish", "cards.transactions.x", "--input", "in.ndjson"]).ok();
    // Of bob a small transaction is remembered for a minute after the last one; time has not gone so far.
    let last = r#"{"txn_id":"t8","account_id":"bob","amount":0.5,"ts":1700000101000}"#;
    served.millstream.file("last.ndjson", last);
    served.call(&["publish", "cards.transactions.x", "--input", "last.ndjson"]).ok();
    let state = served.until("the timer is pending", || {
        let state = served.call(&["state", "get", "card-fraud", "bob"]).ok().stdout;
        state.contains("2023-11-14T22:16:01.000Z").then_some(state)
    });
    assert!(state.contains("timer small_expired"), "{state}");

    assert!(served.call(&["get", "card-fraud"]).ok().stdout.contains("card-fraud  running"));
    assert_eq!(served.call(&["get", "card-fraud", "-o", "name"]).ok().stdout, "card-fraud\n");
    served.call(&["get", "nope"]).failed(4, &["MS1310"]);

    // Totals count from the take-over, and say so; letters are counted where they wait.
    let info = |field: &str| {
        let json = served.call(&["get", "card-fraud", "-o", "json"]).ok().stdout;
        let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
        json[0].pointer(field).cloned().unwrap_or_default()
    };
    assert_eq!(info("/dead_letters"), 1);
    let since = info("/status/stages/0/partitions/0/since_ms").as_i64().expect("a time");
    first.kill9();
    let _second = served.serve();
    served.until("it runs again", || (info("/status/phase") == "running").then_some(()));
    assert_eq!(info("/dead_letters"), 1);
    assert_eq!(info("/status/stages/0/partitions/0/records"), 0);
    assert!(info("/status/stages/0/partitions/0/since_ms").as_i64() > Some(since));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_deletion_leaves_nothing_whether_or_not_the_pipeline_runs() {
    let served = Served::start().await;
    let _run = served.serve();
    let state = served.millstream.folder.path().join("state");
    let kept = || {
        let entries = std::fs::read_dir(&state).expect("the data folder");
        let names = entries.map(|entry| entry.expect("an entry").file_name().into_string());
        names
            .map(|name| name.expect("UTF-8"))
            .filter(|name| !name.starts_with("node"))
            .collect::<Vec<_>>()
    };
    let elsewhere = served.millstream.folder.path().join("checkpoints");
    for (stop, store) in [(false, None), (true, None), (true, Some(&elsewhere))] {
        served.apply("p", 2);
        if let Some(store) = store {
            served.call(&["delete", "p", "--yes", "--wait"]).ok();
            let text = std::fs::read_to_string(served.millstream.folder.path().join("p.yaml"))
                .expect("the manifest");
            let text = format!("{text}checkpoints: {{ store: file://{} }}\n", store.display());
            served.millstream.file("p.yaml", &text);
            served.call(&["apply", "-f", "p.yaml"]).ok();
        }
        served.publish(&["a", "b", "c"]);
        served.until("a checkpoint of both partitions", || {
            let stored = served.call(&["checkpoint", "now", "p", "-o", "name"]);
            (stored.code == 0 && stored.stdout.lines().count() == 2).then_some(())
        });
        assert_eq!(kept().len(), 1);
        if let Some(store) = store {
            assert!(store.join("documents/checkpoints/p").is_dir());
        }
        if stop {
            served.call(&["stop", "p", "--wait"]).ok();
        }
        served.call(&["delete", "p", "--yes", "--wait"]).ok();
        assert_eq!(kept(), [""; 0]);
        assert_eq!(served.messages("OBJ_millstream-checkpoints").await, 0);
        let files = |folder: &std::path::Path| {
            let mut files = 0;
            let mut folders = vec![folder.to_owned()];
            while let Some(folder) = folders.pop() {
                for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                    match entry.path().is_dir() {
                        true => folders.push(entry.path()),
                        false => files += 1,
                    }
                }
            }
            files
        };
        assert_eq!(files(&elsewhere), 0);
    }
    // Who lists buckets often leaves no consumers behind.
    for _ in 0..5 {
        served.call(&["get"]).ok();
    }
    for bucket in ["KV_millstream-pipelines", "KV_millstream-modules"] {
        let is_clean = async || {
            let stream = served.connection.jetstream().get_stream(bucket).await.expect("a bucket");
            stream.cached_info().state.consumer_count <= 2
        };
        let waiting = async { while !is_clean().await {} };
        let patience = std::time::Duration::from_secs(20);
        tokio::time::timeout(patience, waiting)
            .await
            .expect("only the watches of reconciler and coordinator are left");
    }
}
