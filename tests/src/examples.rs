//! The pipelines of `examples/`, with their inputs and what they must give.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::{golden, workspace};

/// A pipeline with its data.
pub struct Example {
    /// Its folder below `examples/`.
    pub name: String,
    /// Its manifest.
    pub manifest: PathBuf,
    /// Lines of its outputs, in any order.
    pub expected: Vec<u8>,
    /// Lines of each source, by its name; the only one may be `input`.
    pub inputs: BTreeMap<String, Vec<u8>>,
}

/// Inputs and outputs that are not in the folder but among the goldens.
const GOLDENS: [(&str, &str, &str); 5] = [
    ("flink-parity/fraud", "input_inorder", "fraud"),
    ("flink-parity/fraud-disorder", "input_disorder", "fraud_disorder"),
    ("flink-parity/tumbling", "input_disorder", "tumbling"),
    ("flink-parity/session", "input_disorder", "session"),
    ("flink-parity/pattern", "input_disorder", "pattern"),
];

/// Examples in which records of one source are judged by those of another that have arrived: what they give depends on
/// the order between the sources, which is that of event time in their `expected.ndjson`.
pub const IN_ORDER_OF_ARRIVAL: [&str; 1] = ["aml-monitor"];

/// The examples that have tests of their own: one whose module only `cargo xtask build --python` builds, and the bank, which
/// is made up and judged by [`crate::bank`].
const APART: [&str; 2] = ["python", "bank"];

/// All examples but those apart, in the order of their names. Panics if a manifest has no outputs to compare with.
pub fn all() -> Vec<Example> {
    let root = workspace().join("examples");
    let mut manifests = Vec::new();
    manifests_below(&root, &mut manifests);
    manifests.retain(|manifest| !APART.iter().any(|name| manifest.starts_with(root.join(name))));
    manifests.sort();
    let mut found = Vec::new();
    for manifest in manifests {
        let folder = manifest.parent().expect("a file is in a folder");
        let below = |path: &Path| {
            let below = path.strip_prefix(&root).expect("it was found there");
            below.to_str().expect("names are UTF-8").to_owned()
        };
        let is_main = manifest.file_name().is_some_and(|name| name == "pipeline.yaml");
        match is_main.then(|| read(&below(folder), folder)).flatten() {
            Some((inputs, expected)) => {
                found.push(Example { name: below(folder), manifest, expected, inputs });
            }
            None => panic!("{}: there is nothing to compare its outputs with", manifest.display()),
        }
    }
    for name in IN_ORDER_OF_ARRIVAL {
        let example = found.iter().find(|example| example.name == name);
        let example = example.unwrap_or_else(|| panic!("there is no example `{name}`"));
        assert!(example.inputs.len() > 1, "`{name}` has one source, whose order is kept anyway");
    }
    found
}

fn manifests_below(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display())) {
        let path = entry.expect("an entry").path();
        match path.extension() {
            _ if path.is_dir() => manifests_below(&path, found),
            Some(extension) if extension == "yaml" => found.push(path),
            _ => {}
        }
    }
}

/// Records by source.
type Inputs = BTreeMap<String, Vec<u8>>;

/// Inputs and outputs of an example: what is expected is in `expected.ndjson` or, per output, in
/// `expected.OUTPUT.ndjson`; `refused.ndjson` holds dead letters; every other `.ndjson` file is the input of the source that
/// it is named after, or `input.ndjson` that of the only one.
fn read(name: &str, folder: &Path) -> Option<(Inputs, Vec<u8>)> {
    if let Some((_, input, expected)) = GOLDENS.iter().find(|(known, ..)| *known == name) {
        return Some((BTreeMap::from([("input".to_owned(), golden(input))]), golden(expected)));
    }
    let (mut inputs, mut expected) = (BTreeMap::new(), Vec::new());
    for entry in fs::read_dir(folder).expect("the folder of an example") {
        let path = entry.expect("an entry").path();
        let file = path.file_name().and_then(|name| name.to_str()).expect("names are UTF-8");
        let Some(file) = file.strip_suffix(".ndjson").filter(|file| *file != "refused") else {
            continue;
        };
        let lines = fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        match file.split('.').next() {
            Some("expected") => expected.push(lines),
            _ => {
                inputs.insert(file.to_owned(), lines);
            }
        }
    }
    if inputs.contains_key("input") {
        inputs.retain(|source, _| source == "input");
    }
    (!expected.is_empty() && !inputs.is_empty()).then(|| (inputs, expected.concat()))
}
