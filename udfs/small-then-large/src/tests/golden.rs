//! Whole streams against what Apache Flink made of them; see `tests/goldens/README.md`.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use serde_json::Value;

use super::reference::{Txn, expected};
use super::{harness, run};

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

fn compare(input: &str, golden: &str) {
    let txns: Vec<Txn> = lines(input)
        .iter()
        .map(|line| {
            let item: Value = serde_json::from_str(line).expect("a line is JSON");
            let text = |name: &str| item[name].as_str().expect("a text").to_owned();
            Txn {
                txn_id: text("txn_id"),
                account_id: text("account_id"),
                amount: item["amount"].as_f64().expect("a number"),
                ts: item["ts"].as_i64().expect("an integer"),
            }
        })
        .collect();
    let mut golden = lines(golden);
    golden.sort_unstable();
    assert_eq!(expected(&txns, 5_000), golden, "the reference");
    for batch in [1, 256] {
        let found = run(harness().batches_of(batch), &txns);
        let first = found.iter().zip(&golden).find(|(found, golden)| found != golden);
        assert_eq!((found.len(), first), (golden.len(), None), "in batches of {batch}");
    }
}

#[test]
fn in_order() {
    compare("input_inorder.ndjson.xz", "pattern_inorder.ndjson.xz");
}

#[test]
fn out_of_order() {
    compare("input_disorder.ndjson.xz", "pattern.ndjson.xz");
}
