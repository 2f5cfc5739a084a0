//! The examples without code, through the binary and the real modules. A folder of `examples/no-code` has `input.ndjson`, the
//! records of each output in `expected.<output>.ndjson`, and dead letters in `refused.ndjson`. The modules are built by
//! `cargo xtask build`; without them a test fails and says so.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::millstream::{Millstream, root};

fn examples() -> PathBuf {
    root().join("examples/no-code")
}

/// Lines in the order of their text.
fn sorted(text: &str) -> Vec<String> {
    let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Runs a manifest on an example's input: its output, and what it refused as lines of cause and payload.
fn run(pipeline: &Path, folder: &Path, partitions: &str) -> (Vec<String>, Vec<String>) {
    let millstream = Millstream::new();
    let input = folder.join("input.ndjson");
    let args: [OsString; 11] = [
        "run".into(),
        "--local".into(),
        "-f".into(),
        pipeline.into(),
        "--input".into(),
        input.into(),
        "--output".into(),
        "-".into(),
        "--partitions".into(),
        partitions.into(),
        "--dead-letters=dead.ndjson".into(),
    ];
    let called = millstream.call(args).ok();
    let dead = read(&millstream.folder.path().join("dead.ndjson"));
    let refused = dead.lines().map(|line| {
        let dead: Value = serde_json::from_str(line).expect("a dead letter is JSON");
        json!({"cause": dead["letter"]["cause"], "payload": dead["payload"]}).to_string()
    });
    (sorted(&called.stdout), sorted(&refused.collect::<Vec<_>>().join("\n")))
}

/// What each output should get.
fn expected(folder: &Path) -> BTreeMap<String, Vec<String>> {
    let mut expected = BTreeMap::new();
    for entry in fs::read_dir(folder).expect("the folder of an example") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().and_then(|name| name.to_str()).expect("a name").to_owned();
        if let Some(output) = name.strip_prefix("expected.").and_then(|n| n.strip_suffix(".ndjson"))
        {
            expected.insert(output.to_owned(), sorted(&read(&path)));
        }
    }
    assert!(!expected.is_empty(), "{} expects nothing", folder.display());
    expected
}

/// The manifest with one of its outputs and its sink only, and with the module's path made absolute.
fn with_output(manifest: &str, output: &str) -> String {
    let mut kept = Vec::new();
    let (mut section, mut sink) = ("", "");
    for line in manifest.lines() {
        let name = line.trim().split(':').next().unwrap_or_default();
        match (line.len() - line.trim_start().len(), name) {
            (0 | 4, _) => section = name,
            (6, name) if section == "outputs" => {
                if name != output {
                    continue;
                }
                sink = line.split(": ").nth(1).unwrap_or_default();
            }
            (2, name) if section == "sinks" && name != sink => continue,
            _ => {}
        }
        kept.push(line);
    }
    let dist = root().join("udfs/dist");
    kept.join("\n").replace("../../../udfs/dist", &dist.to_string_lossy())
}

#[test]
fn the_examples_give_what_they_say_with_any_number_of_partitions() {
    let mut modules = 0;
    for entry in fs::read_dir(examples()).expect("the examples") {
        let folder = entry.expect("an entry").path();
        if !folder.is_dir() {
            continue;
        }
        modules += 1;
        let (pipeline, expected) = (folder.join("pipeline.yaml"), expected(&folder));
        let mut all: Vec<_> = expected.values().flatten().cloned().collect();
        all.sort();
        let refused = sorted(&read(&folder.join("refused.ndjson")));
        for partitions in ["1", "3", "8"] {
            let (lines, dead) = run(&pipeline, &folder, partitions);
            assert_eq!(lines, all, "{} with {partitions} partitions", folder.display());
            assert_eq!(dead, refused, "{} with {partitions} partitions", folder.display());
        }
        for (output, lines) in &expected {
            let manifest = with_output(&read(&pipeline), output);
            let temporary = Millstream::new();
            let pipeline = temporary.file("pipeline.yaml", &manifest);
            assert_eq!(&run(&pipeline, &folder, "1").0, lines, "{output} of {}", folder.display());
        }
    }
    assert!(modules >= 6, "there are {modules} examples");
}

#[test]
fn a_configuration_that_does_not_fit_is_told_with_its_place() {
    let manifest = read(&examples().join("filter/pipeline.yaml"));
    let manifest = with_output(&manifest, "output").replace("amount >= 500 &&", "amount => 500 &&");
    let temporary = Millstream::new();
    let pipeline = temporary.file("pipeline.yaml", &manifest);
    let args: [OsString; 9] = [
        "run".into(),
        "--local".into(),
        "-f".into(),
        pipeline.into(),
        "--input".into(),
        examples().join("filter/input.ndjson").into(),
        "--output".into(),
        "-".into(),
        "--dead-letters=dead.ndjson".into(),
    ];
    let called = temporary.call(args);
    assert_eq!(called.stdout, "", "{called:?}");
    assert!(called.stderr.contains("`where`, line 1, column 8"), "{called:?}");
}
