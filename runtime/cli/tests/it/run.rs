//! The runtime as a process of its own. Needs a `nats-server` (`cargo xtask setup`) and the guests (`cargo xtask build`).

use std::time::{Duration, Instant};

use crate::millstream::{Millstream, root};
use crate::served::Served;

/// Much shorter than the 15 s after which another node would take over.
const AT_ONCE: Duration = Duration::from_secs(8);

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_killed_runtime_goes_on_at_once_on_its_folder() {
    let served = Served::start().await;
    let first = served.serve();
    served.apply("p", 2);
    served.publish(&["a", "b"]);
    served.until("outputs", || {
        served.call(&["tail", "p", "--all", "--count", "2"]).stdout.contains("\"b\"").then_some(())
    });

    // The folder is one process's at a time.
    let url = served.server.url();
    let second = ["run", "--data", "state", "--http", "127.0.0.1:0", "--server", &url];
    served.millstream.call(second).failed(5, &["MS1409", "state", "--data"]);

    first.kill9();
    let killed = Instant::now();
    let again = served.run();
    served.until("the runtime answers", || (served.call(&["info"]).code == 0).then_some(()));
    assert!(killed.elapsed() < AT_ONCE, "it answered after {:?}", killed.elapsed());
    served.publish(&["c"]);
    served.until("outputs", || {
        served.call(&["tail", "p", "--all", "--count", "3"]).stdout.contains("\"c\"").then_some(())
    });
    assert_eq!(served.messages("ECHOES").await, 3);
    drop(again);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_server_that_is_not_there_yet_is_waited_for() {
    let mut served = Served::start().await;
    served.server.kill9();
    let mut early = served.launch();
    let said = early.until_it_says("no NATS server answers at");
    assert!(said.contains("trying again"), "{said}");
    served.server.restart().await.expect("the server starts again");
    early.until_it_serves();
    assert_eq!(early.get("/healthz").0, 200);

    // What nobody but the user can change ends it.
    let url = served.server.url();
    let run = ["run", "--http", "127.0.0.1:0", "--data", "other", "--server", &url];
    let wrong = run.iter().copied().chain(["--creds", "missing.creds"]);
    served.millstream.call(wrong).failed(4, &["missing.creds"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn it_is_ready_when_all_its_pipelines_run_as_wanted() {
    let mut served = Served::start().await;
    let run = served.serve();
    let until = |served: &Served, wanted: &str| {
        served.until(wanted, || {
            let (status, body) = run.get("/readyz");
            let is_ready = status == 200;
            assert_eq!(is_ready, body == "ready\n", "{body}");
            body.contains(wanted).then_some(())
        });
    };
    until(&served, "ready\n");
    served.apply("p", 2);
    until(&served, "ready\n");
    served.call(&["pause", "p", "--wait"]).ok();
    assert_eq!(run.get("/readyz").0, 200);
    served.call(&["stop", "p", "--wait"]).ok();
    assert_eq!(run.get("/readyz").0, 200);

    // What it needs goes away.
    served.connection.jetstream().delete_stream("ECHOES").await.expect("it is there");
    served.call(&["resume", "p"]).ok();
    until(&served, "pipeline p does not run");
    served.stream("ECHOES", "echoes").await;
    until(&served, "ready\n");
    served.server.kill9();
    until(&served, "not connected");
    assert_eq!(run.get("/healthz").0, 200);
    served.server.restart().await.expect("the server starts again");
    until(&served, "ready\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn metrics_are_scraped() {
    let served = Served::start().await;
    let run = served.serve();
    served.apply("p", 2);
    served.publish(&["a", "fail", "b", "c", "d"]);
    /// Sums a metric over its labels.
    fn sum(text: &str, metric: &str) -> Option<f64> {
        let lines = text.lines().filter(|line| {
            line.strip_prefix(metric).is_some_and(|rest| rest.starts_with(['{', ' ']))
        });
        let values = lines.map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
        values.collect::<Option<Vec<f64>>>().map(|all| all.iter().sum())
    }
    let text = served.until("all records are counted", || {
        let (status, text) = run.get("/metrics");
        assert_eq!(status, 200);
        (sum(&text, "millstream_records_total") == Some(5.0)).then_some(text)
    });
    for (metric, value) in [
        ("millstream_outputs_total", 4.0),
        ("millstream_dead_letters_total", 1.0),
        ("millstream_timers_total", 0.0),
        ("millstream_partition_running", 2.0),
        ("millstream_lag", 0.0),
    ] {
        assert_eq!(sum(&text, metric), Some(value), "{metric} in:\n{text}");
    }
    assert!(sum(&text, "millstream_calls_total") >= Some(2.0), "{text}");
    assert!(text.contains("millstream_watermark_ms{"), "{text}");
    assert!(text.contains("# TYPE millstream_state_cache_bytes gauge"), "{text}");
    assert!(text.ends_with("# EOF\n"), "{text}");
}

#[test]
fn modules_are_compiled_in_a_process_that_may_be_ended() {
    let millstream = Millstream::new();
    let guest = root().join("tests/guests/dist/misbehave.wasm");
    let compile = |memory: u64, module_bytes: u64| {
        let (memory, module_bytes) = (memory.to_string(), module_bytes.to_string());
        let limits = ["--memory", &memory, "--module-bytes", &module_bytes];
        let args = [&["compile-module", "--folder", "code"], &limits[..]].concat();
        let wasm = std::fs::File::open(&guest).expect("run `cargo xtask build` first");
        millstream.command(args).stdin(wasm).output().expect("the binary starts").status
    };
    let compiled = || std::fs::read_dir(millstream.folder.path().join("code")).map(Iterator::count);
    assert!(!compile(4 << 20, 10 << 20).success(), "it takes more than 4 MiB");
    assert_eq!(compile(2 << 30, 1_000).code(), Some(3), "it is larger than 1,000 bytes");
    assert_eq!(compiled().expect("the folder was made"), 0);
    assert!(compile(2 << 30, 10 << 20).success());
    assert_eq!(compiled().expect("the folder was made"), 1);
}
