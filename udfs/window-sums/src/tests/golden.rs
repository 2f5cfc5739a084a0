//! Whole streams: tumbling windows against what Apache Flink made of them, sessions against the reference model
//! `tests/goldens/session.py`, and sessions of random streams against another.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use millstream_udf::testing::{Harness, Record};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::WindowSums;

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

/// All that is emitted, sorted.
fn run<R: Into<Record>>(
    config: Value,
    batch: usize,
    records: impl IntoIterator<Item = R>,
) -> Vec<String> {
    let mut harness = Harness::<WindowSums>::with_config(config)
        .key_from("/account_id")
        .event_time_from("/ts")
        .with_bound(5_000)
        .batches_of(batch);
    assert_eq!(harness.send_all(records), []);
    harness.end_of_input();
    assert_eq!(harness.pending_timers(), []);
    let mut got = harness.take_lines("sums");
    got.extend(harness.take_lines("late"));
    got.sort_unstable();
    got
}

fn compare(kind: &str, window: Value, input: &str, expected: &str) {
    let mut expected = lines(expected);
    expected.sort_unstable();
    for batch in [1, 256] {
        let records = lines(input).into_iter().map(Record::raw);
        let got = run(json!({"type": kind, "window": window}), batch, records);
        let first = got.iter().zip(&expected).find(|(got, expected)| got != expected);
        assert!(first.is_none(), "the first line that differs: {first:?}");
        assert_eq!(got.len(), expected.len());
    }
}

#[test]
fn tumbling_equals_flink() {
    compare(
        "tumbling",
        json!({"tumbling": "1m"}),
        "input_disorder.ndjson.xz",
        "tumbling.ndjson.xz",
    );
}

#[test]
fn sessions_out_of_order() {
    compare("session", json!({"session": "30s"}), "input_disorder.ndjson.xz", "session.ndjson.xz");
}

#[test]
fn sessions_in_order() {
    let expected = "session_inorder.ndjson.xz";
    compare("session", json!({"session": "30s"}), "input_inorder.ndjson.xz", expected);
}

/// The rules of sessions, one record after the other.
fn model(records: &[(String, i64, i64)]) -> Vec<String> {
    let (mut max, mut watermark) = (i64::MIN, i64::MIN);
    let mut open: Vec<(String, i64, i64, i64, i64)> = Vec::new();
    let mut out = Vec::new();
    let sum = |(account, start, end, count, cents): &(String, i64, i64, i64, i64)| {
        json!({"type": "session", "account_id": account, "start": start, "end": end, "count": count, "sum_cents": cents, "sum": *cents as f64 / 100.0}).to_string()
    };
    for (i, (account, ts, cents)) in records.iter().enumerate() {
        let touches =
            |w: &(String, i64, i64, i64, i64)| w.0 == *account && w.1 <= ts + 30_000 && *ts <= w.2;
        let mut merged = (account.clone(), *ts, ts + 30_000, 1, *cents);
        for w in open.iter().filter(|w| touches(w)) {
            merged =
                (merged.0, merged.1.min(w.1), merged.2.max(w.2), merged.3 + w.3, merged.4 + w.4);
        }
        if merged.2 - 1 <= watermark {
            out.push(
                json!({"type": "late", "txn_id": format!("t{i}"), "account_id": account, "ts": ts})
                    .to_string(),
            );
        } else {
            open.retain(|w| !touches(w));
            open.push(merged);
        }
        if *ts > max {
            (max, watermark) = (*ts, ts - 5_001);
        }
        out.extend(open.iter().filter(|w| w.2 - 1 <= watermark).map(sum));
        open.retain(|w| w.2 - 1 > watermark);
    }
    out.extend(open.iter().map(sum));
    out.sort_unstable();
    out
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn sessions_of_random_streams(
        steps in prop::collection::vec((0..3_usize, -60_000..40_000_i64, 0..100_000_i64), 1..120),
        batch in 1..64_usize,
    ) {
        let mut now = 1_000_000;
        let records: Vec<_> = steps.iter().map(|(account, step, cents)| {
            now += (step / 4).max(0);
            (format!("a{account}"), now + step.min(&0) , *cents)
        }).collect();
        let sent = records.iter().enumerate().map(|(i, (account, ts, cents))| {
            json!({"txn_id": format!("t{i}"), "account_id": account, "amount": *cents as f64 / 100.0, "ts": ts})
        });
        let got = run(json!({"type": "session", "window": {"session": "30s"}}), batch, sent);
        prop_assert_eq!(got, model(&records));
    }
}
