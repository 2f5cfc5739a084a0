//! Whole streams against what Apache Flink made of them; see `tests/goldens/README.md`.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use millstream_udf::testing::{Harness, Record};

use crate::CardFraud;

/// The lines of a golden file.
fn lines(name: &str) -> Vec<String> {
    // The folder of the run: the build may come from another checkout.
    let package =
        std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    let path = Path::new(&package).join("../../tests/goldens").join(name);
    let mut text = Vec::new();
    let file = File::open(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    lzma_rs::xz_decompress(&mut BufReader::new(file), &mut text).expect("the golden file is xz");
    String::from_utf8(text).expect("the golden file is UTF-8").lines().map(str::to_owned).collect()
}

fn compare(input: &str, bound_ms: i64, expected: &str, batch: usize) {
    let mut harness = Harness::<CardFraud>::new()
        .key_from("/account_id")
        .event_time_from("/ts")
        .with_bound(bound_ms)
        .batches_of(batch);
    assert_eq!(harness.send_all(lines(input).into_iter().map(Record::raw)), []);
    harness.end_of_input();
    let mut got: Vec<String> = ["score", "alert", "expired"]
        .iter()
        .flat_map(|output| harness.take_lines(output))
        .collect();
    let mut expected = lines(expected);
    got.sort_unstable();
    expected.sort_unstable();
    let first = got.iter().zip(&expected).find(|(got, expected)| got != expected);
    assert!(first.is_none(), "the first line that differs: {first:?}");
    assert_eq!(got.len(), expected.len());
}

#[test]
fn in_order() {
    compare("input_inorder.ndjson.xz", 0, "fraud.ndjson.xz", 256);
}

#[test]
fn out_of_order() {
    compare("input_disorder.ndjson.xz", 5_000, "fraud_disorder.ndjson.xz", 256);
}

#[test]
fn out_of_order_one_by_one() {
    compare("input_disorder.ndjson.xz", 5_000, "fraud_disorder.ndjson.xz", 1);
}
