//! `run --local` on the examples. Their modules are built by `cargo xtask build`; without them a test fails and says so.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::millstream::{Millstream, root};

/// Runs an example with a number of partitions; gives its output lines in the order of their text.
fn run(example: &str, partitions: &str) -> (Vec<String>, String) {
    run_from(example, &["input.ndjson"], partitions)
}

/// As [`run`], with these files of the example: `SOURCE=FILE`, or only the file.
fn run_from(example: &str, inputs: &[&str], partitions: &str) -> (Vec<String>, String) {
    let folder = root().join("examples").join(example);
    let millstream = Millstream::new();
    let arg = |path: PathBuf| path.into_os_string();
    let inputs = inputs.iter().flat_map(|input| {
        let (source, file) = match input.split_once('=') {
            Some((source, file)) => (format!("{source}="), file),
            None => (String::new(), *input),
        };
        let mut input = OsString::from(source);
        input.push(folder.join(file));
        ["--input".into(), input]
    });
    let others = [
        "run".into(),
        "--local".into(),
        "-f".into(),
        arg(folder.join("pipeline.yaml")),
        "--output".into(),
        "-".into(),
        "--partitions".into(),
        partitions.into(),
        "--dead-letters".into(),
        "dead.ndjson".into(),
    ];
    let called = millstream.call(others.into_iter().chain(inputs)).ok();
    let mut lines: Vec<_> = called.stdout.lines().map(str::to_owned).collect();
    lines.sort();
    let dead = std::fs::read_to_string(millstream.folder.path().join("dead.ndjson"))
        .expect("dead letters");
    (lines, dead)
}

fn expected(example: &str) -> Vec<String> {
    let path = root().join("examples").join(example).join("expected.ndjson");
    let mut lines: Vec<_> = std::fs::read_to_string(path)
        .expect("expected.ndjson")
        .lines()
        .map(str::to_owned)
        .collect();
    lines.sort();
    lines
}

#[test]
fn the_examples_give_what_they_say_with_any_number_of_partitions() {
    for (example, refused) in [
        ("account-takeover", "e34"),
        ("account-takeover-payee", "kira"),
        ("behavior-analytics", "EUR"),
        ("card-fraud", "t6"),
        ("card-score", "refund"),
        ("compliance-report", "e0"),
        ("credit-score", "e5"),
        ("credit-scorecard", "a4"),
        ("data-integrity", "heartbeat"),
        ("dynamic-pricing", "vip"),
        ("fx", "f2"),
        ("insurance-claims", "salvage"),
        ("market-risk", "gift"),
        ("model-score", "a31"),
        ("operational-risk", "odd"),
        ("payments", "bad"),
        ("portfolio", "BONDS"),
        ("recommender", "stare"),
        ("recommender-exploration", "stare"),
        ("recommender-learning", "stare"),
        ("session-analytics", "jan"),
    ] {
        for partitions in ["1", "3", "8"] {
            let (lines, dead) = run(example, partitions);
            assert_eq!(lines, expected(example), "{example} with {partitions} partitions");
            assert_eq!(dead.lines().count(), 1, "{example}: {dead}");
            assert!(dead.contains(refused), "{example}: {dead}");
        }
    }
}

/// Runs the example of two sources with these inputs.
fn settle(inputs: &[&str]) -> crate::millstream::Called {
    let folder = root().join("examples/payment-settlement");
    let pipeline = folder.join("pipeline.yaml");
    let mut args: Vec<std::ffi::OsString> =
        ["run", "--local", "--output", "-", "-f"].map(Into::into).into();
    args.push(pipeline.into_os_string());
    for input in inputs {
        args.extend(["--input".into(), input.replace("DIR", &folder.display().to_string()).into()]);
    }
    Millstream::new().call(args)
}

#[test]
fn each_source_has_its_own_input() {
    let payments = "payments=DIR/payments.ndjson";
    let called = settle(&["settlements=DIR/settlements.ndjson", payments]).ok();
    let mut lines: Vec<_> = called.stdout.lines().map(str::to_owned).collect();
    lines.sort();
    assert_eq!(lines, expected("payment-settlement"));

    settle(&[payments]).failed(2, &["`settlements` has no input", "--input settlements=FILE"]);
    settle(&[payments, "DIR/settlements.ndjson"])
        .failed(2, &["names none of the pipeline's sources", "payments, settlements"]);
    settle(&[payments, payments]).failed(2, &["`payments` has two inputs"]);
}

#[test]
fn the_examples_with_two_sources_give_what_they_say_with_any_number_of_partitions() {
    for (example, inputs) in [
        ("counterparty-exposure", ["trades=trades.ndjson", "rates=rates.ndjson"]),
        ("live-rules", ["payments=payments.ndjson", "rules=rules.ndjson"]),
        ("market-risk-feeds", ["trades=trades.ndjson", "prices=prices.ndjson"]),
        ("payment-settlement", ["payments=payments.ndjson", "settlements=settlements.ndjson"]),
    ] {
        for partitions in ["1", "3", "8"] {
            let (lines, dead) = run_from(example, &inputs, partitions);
            assert_eq!(lines, expected(example), "{example} with {partitions} partitions");
            assert_eq!(dead, "", "{example}");
        }
    }
}

#[test]
fn a_module_of_the_registry_is_refused() {
    let millstream = Millstream::new();
    let text = "\
name: x
sources: { a: { stream: A } }
stages:
  s: { module: m@1.0.0, inputs: { a: { key: none } }, outputs: { output: o } }
sinks: { o: { subject: o } }
";
    millstream.file("p.yaml", text);
    millstream
        .call(["run", "--local", "-f", "p.yaml", "--input", "-", "--output", "-"])
        .failed(3, &["registry", "p.yaml:4", "file:"]);
}

#[test]
fn a_missing_input_is_not_found() {
    let millstream = Millstream::new();
    let pipeline = root().join("examples/card-fraud/pipeline.yaml");
    let args = ["run", "--local", "--input", "nope.ndjson", "--output", "-", "-f"].map(Into::into);
    millstream
        .call(args.into_iter().chain([pipeline.into_os_string()]))
        .failed(4, &["nope.ndjson"]);
}

#[test]
fn the_figures_of_a_run_name_what_each_stage_did() {
    let folder = root().join("examples/card-fraud");
    let millstream = Millstream::new();
    let (pipeline, input) = (folder.join("pipeline.yaml"), folder.join("input.ndjson"));
    let mut args: Vec<OsString> = ["run", "--local", "--output", "-"].map(Into::into).into();
    args.extend(["--stats".into(), "stats.json".into(), "-f".into(), pipeline.into()]);
    args.extend(["--input".into(), input.into_os_string()]);
    millstream.call(args).ok();
    let stats = std::fs::read(millstream.folder.path().join("stats.json")).expect("figures");
    let stats: serde_json::Value = serde_json::from_slice(&stats).expect("JSON");
    assert_eq!([&stats["records"], &stats["outputs"], &stats["dead_letters"]], [7, 8, 1]);
    let stage = &stats["stages"][0];
    assert_eq!([&stage["name"], &stage["udf"]], ["fraud", "card-fraud"]);
    assert_eq!([&stage["records"], &stage["timers"], &stage["outputs"]], [7, 1, 8]);
    assert!(stage["calls"].as_u64() > Some(0) && stage["fuel"].as_u64() > Some(1_000), "{stage}");
}
