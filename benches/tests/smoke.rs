//! Each benchmark at a tiny size. It checks by itself that what it measured is complete and exact, and fails otherwise; how fast
//! anything is, is not looked at here.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The folder of the workspace: that of the run, since the build may come from another checkout.
fn workspace() -> PathBuf {
    let package =
        std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    Path::new(&package).parent().expect("the package lies in the workspace").to_owned()
}

/// Runs a benchmark and checks which figures it gives, all of them finite, with a ratio where there is a baseline.
fn gives(args: &[&str], names: &[&str]) {
    let bench = Path::new(env!("CARGO_BIN_EXE_millstream-bench"));
    let mut command = Command::new(bench);
    command.args(args).arg("--json").current_dir(workspace());
    if std::env::var_os("MILLSTREAM_BIN").is_none() {
        command.env("MILLSTREAM_BIN", bench.with_file_name("millstream"));
    }
    let output = command.output().expect("the benchmark starts");
    let talk = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {talk}");
    let mut found = Vec::new();
    for line in String::from_utf8(output.stdout).expect("UTF-8").lines() {
        let figure: serde_json::Value = serde_json::from_str(line).expect("an object a line");
        let fields = figure.as_object().expect("an object");
        assert!(fields["value"].is_number() && fields["unit"].is_string(), "{line}");
        // Processor time comes in steps of 10 ms, and a tiny run may take none.
        let compared = fields["baseline"].as_f64().is_some_and(|baseline| baseline != 0.0);
        assert_eq!(fields["ratio"].is_number(), compared, "{line}");
        found.push(fields["name"].as_str().expect("a name").to_owned());
    }
    assert_eq!(found, names);
}

#[test]
fn local() {
    let names = ["local/throughput", "local/cpu", "local/memory", "local/start"];
    gives(&["local", "--records", "5000", "--accounts", "300", "--runs", "1"], &names);
}

#[test]
fn local_with_a_cache_that_most_accounts_do_not_fit() {
    let names = ["local/throughput", "local/cpu", "local/memory", "local/start"];
    let args =
        ["local", "--cache", "1", "--records", "30000", "--accounts", "30000", "--runs", "1"];
    gives(&args, &names);
}

#[test]
fn jetstream() {
    let names = [
        "jetstream/throughput",
        "jetstream/throughput-lean",
        "jetstream/throughput-lean-ids",
        "jetstream/cpu",
        "jetstream/server-cpu",
        "jetstream/server-cpu-lean",
        "jetstream/server-cpu-lean-ids",
    ];
    gives(&["jetstream", "--records", "5000", "--accounts", "300", "--runs", "1"], &names);
}

#[test]
fn latency() {
    let names = [
        "latency/p50@500",
        "latency/p99@500",
        "latency/p99.9@500",
        "latency/max@500",
        "latency/p50-added@500",
        "latency/p99-added@500",
    ];
    let sizes = ["--rates", "500", "--seconds", "1", "--warm-up", "0", "--runs", "1"];
    gives(&[&["latency"], &sizes[..]].concat(), &names);
}

#[test]
fn hostile() {
    let names = ["hostile/p50@200", "hostile/p99@200", "hostile/max@200"];
    let args = ["hostile", "--rate", "200", "--seconds", "2", "--warm-up", "1", "--runs", "1"];
    gives(&args, &names);
}

#[test]
fn checkpoint() {
    let names = [
        "checkpoint/state",
        "checkpoint/pause-p50",
        "checkpoint/pause-max",
        "checkpoint/slice-p99",
        "checkpoint/slice-max",
    ];
    gives(&["checkpoint", "--state", "1", "--checkpoints", "1"], &names);
}

#[test]
fn recovery() {
    let names = [
        "recovery/p50",
        "recovery/max",
        "recovery/lost-folder-p50",
        "recovery/lost-folder-max",
        "recovery/standby-p50",
        "recovery/standby-max",
        "recovery/state",
    ];
    gives(&["recovery", "--state", "1", "--kills", "1"], &names);
}

#[test]
fn nodes() {
    let sizes = ["--records", "500", "--work", "5", "--runs", "1"];
    gives(&[&["nodes"], &sizes[..]].concat(), &["nodes/throughput", "nodes/server-cpu"]);
}

#[test]
fn swap() {
    let names = ["swap/pause-p50", "swap/pause-max", "swap/delay-p50", "swap/delay-max"];
    gives(&["swap", "--rate", "500", "--swaps", "2"], &names);
}

#[test]
fn keys() {
    let names = [
        "keys/throughput@100",
        "keys/cpu@100",
        "keys/memory@100",
        "keys/throughput@5000",
        "keys/cpu@5000",
        "keys/memory@5000",
        "keys/spread",
    ];
    gives(&["keys", "--keys", "100,5000", "--records", "5000", "--runs", "1"], &names);
}

#[test]
fn nexmark() {
    let queries = ["q0", "q1", "q2", "q3", "q4", "q5", "q6", "q7", "q8", "q11"];
    let names = queries.iter().flat_map(|query| {
        ["throughput", "cpu", "per-core"].map(|what| format!("nexmark/{query}/{what}"))
    });
    let names: Vec<String> = names.collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    // 40 seconds of event time: several windows, and sessions that end.
    let sizes = ["--records", "20000", "--rate", "500", "--seed", "7", "--partitions", "4,1,7"];
    gives(&[&["nexmark"], &sizes[..]].concat(), &names);
}

#[test]
fn udfs() {
    let udfs = ["card-fraud", "dedup", "live-rules", "trade-valuation"];
    let names = udfs
        .iter()
        .flat_map(|udf| ["throughput", "cpu", "fuel"].map(|what| format!("udfs/{udf}/{what}")));
    let names: Vec<String> = names.collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    gives(&["udfs", "--records", "500", "--udf", &udfs.join(",")], &names);
}
