//! The contract's test vectors: what each call of `wit/udf-0.1.0/vectors` gives. With `UPDATE_VECTORS=1` in
//! the environment the expected results are written anew instead.

use std::fs;
use std::path::{Path, PathBuf};

use millstream_udf::Udf;
use millstream_udf::contract::{Batch, Description, Effects, Failure, TimerBatch};
use serde::{Deserialize, Serialize};

use crate::CardFraud;

/// A file of vectors.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Vectors {
    about: String,
    calls: Vec<Call>,
}

/// A call of an export and its result.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Call {
    about: String,
    #[serde(flatten)]
    arguments: Arguments,
    result: Outcome,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Arguments {
    Process(Batch),
    OnTimer(TimerBatch),
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Outcome {
    Ok(Effects),
    Err(Failure),
}

fn path(name: &str) -> PathBuf {
    // The folder of the run: the build may come from another checkout.
    let package =
        std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    Path::new(&package).join("../../wit/udf-0.1.0/vectors").join(name)
}

fn read<T: for<'d> Deserialize<'d>>(name: &str) -> T {
    let text = fs::read_to_string(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn update() -> bool {
    std::env::var_os("UPDATE_VECTORS").is_some()
}

fn write(name: &str, value: &impl Serialize) {
    let text = one_line_lists(&serde_json::to_string_pretty(value).expect("vectors are JSON"));
    fs::write(path(name), text + "\n").expect("the file of vectors can be written");
}

/// Pretty JSON with lists of numbers on one line.
fn one_line_lists(pretty: &str) -> String {
    let mut text = String::new();
    for line in pretty.lines() {
        let bare = line.trim();
        let number = bare.starts_with(|c: char| c == '-' || c.is_ascii_digit());
        let behind_number = text.ends_with(|c: char| c.is_ascii_digit());
        let behind_comma =
            text.strip_suffix(',').is_some_and(|t| t.ends_with(|c: char| c.is_ascii_digit()));
        if number && behind_comma {
            text.push(' ');
        } else if !(number && text.ends_with('[') || bare.starts_with(']') && behind_number) {
            text.push_str(if text.is_empty() { "" } else { "\n" });
            text.push_str(&line[..line.len() - bare.len()]);
        }
        text.push_str(bare);
    }
    text
}

#[test]
fn description() {
    let description = CardFraud::description();
    if update() {
        write("card-fraud.describe.json", &description);
    }
    assert_eq!(read::<Description>("card-fraud.describe.json"), description);
}

#[test]
fn calls() {
    let mut vectors: Vectors = read("card-fraud.calls.json");
    for call in &mut vectors.calls {
        let result = match &call.arguments {
            Arguments::Process(batch) => CardFraud.process_batch(batch.clone()),
            Arguments::OnTimer(batch) => CardFraud.fire_timers(batch.clone()),
        };
        let result = result.map_or_else(Outcome::Err, Outcome::Ok);
        if update() {
            call.result = result;
        } else {
            assert_eq!(result, call.result, "{}", call.about);
        }
    }
    if update() {
        write("card-fraud.calls.json", &vectors);
    }
}
