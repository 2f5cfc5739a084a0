//! The module's configuration, results and refusals, natively.

use std::collections::BTreeMap;

use millstream_udf::Udf;
use millstream_udf::testing::{Harness, Record};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::Dedup;

fn harness(config: Value, bound_ms: i64) -> Harness<Dedup> {
    Harness::with_config(config).key_from("/key").event_time_from("/ts").with_bound(bound_ms)
}

fn record(key: &str, id: &str, ts: i64) -> Value {
    json!({"key": key, "id": id, "ts": ts})
}

/// The records of an output as `id@ts`.
fn taken(harness: &mut Harness<Dedup>, output: &str) -> Vec<String> {
    let records = harness.take(output);
    records.iter().map(|r| format!("{}@{}", r["id"].as_str().unwrap(), r["ts"])).collect()
}

#[test]
fn a_record_passes_once_within_the_time() {
    let mut harness = harness(json!({"by": "id", "within": "1s"}), 5_000);
    for (id, ts) in [
        ("a", 10_000),
        ("a", 10_999),
        ("b", 10_500),
        ("a", 9_001),
        ("a", 9_000),
        ("a", 11_000),
        ("a", 11_500),
    ] {
        harness.send(record("k", id, ts)).unwrap();
    }
    assert_eq!(taken(&mut harness, "output"), ["a@10000", "b@10500", "a@9000", "a@11000"]);
    assert_eq!(taken(&mut harness, "duplicates"), ["a@10999", "a@9001", "a@11500"]);
    harness.send(record("other key", "a", 11_000)).unwrap();
    assert_eq!(taken(&mut harness, "output"), ["a@11000"]);
}

#[test]
fn without_by_the_key_decides() {
    let mut harness = harness(json!({"within": "1s"}), 0);
    for (key, ts) in [("a", 1_000), ("a", 1_500), ("b", 1_600), ("a", 2_000)] {
        harness.send(record(key, key, ts)).unwrap();
    }
    assert_eq!(taken(&mut harness, "output"), ["a@1000", "b@1600", "a@2000"]);
    assert_eq!(taken(&mut harness, "duplicates"), ["a@1500"]);
    harness.end_of_input();
    assert_eq!(harness.pending_timers(), []);
}

#[test]
fn identities_are_of_any_type_and_not_mixed_up() {
    let mut harness = harness(json!({"by": "[a, b]", "within": "1h"}), 0);
    for (a, b) in [
        (json!(1), json!("1")),
        (json!("1"), json!(1)),
        (json!(1), json!("1")),
        (json!(1.0), json!("1")),
    ] {
        harness.send(json!({"key": "k", "id": "x", "ts": 5, "a": a, "b": b})).unwrap();
    }
    assert_eq!(taken(&mut harness, "output").len(), 3);
    let long = json!({"key": "k", "id": "x", "ts": 5, "a": "x".repeat(1_000), "b": 1});
    let refused = harness.send(long).unwrap_err().to_string();
    assert!(refused.contains("`by` gives 1006 bytes; 900 are allowed"), "{refused}");
    let refused = harness.send(json!({"key": "k", "ts": 5, "a": 1})).unwrap_err().to_string();
    assert!(refused.contains("`by`: the record has no field `b`"), "{refused}");
}

#[test]
fn late_records_go_elsewhere() {
    let mut harness = harness(json!({"by": "id", "within": "1s", "lateness": "2s"}), 0);
    for (id, ts) in [("a", 10_000), ("b", 8_001), ("b", 8_002), ("c", 7_999)] {
        harness.send(record("k", id, ts)).unwrap();
    }
    // The watermark is 9,999.
    assert_eq!(taken(&mut harness, "output"), ["a@10000", "b@8001"]);
    assert_eq!(taken(&mut harness, "duplicates"), ["b@8002"]);
    assert_eq!(taken(&mut harness, "late"), ["c@7999"]);
}

#[test]
fn many_identities_are_forgotten_in_steps() {
    let mut harness = harness(json!({"by": "id", "within": "1s"}), 0);
    for id in 0..1_700 {
        harness.send(record("k", &id.to_string(), 5_000)).unwrap();
    }
    harness.advance_watermark(7_000);
    assert_eq!(harness.pending_timers(), []);
    harness.with_state("k", |seen| assert_eq!(seen.remembered(), 0));
}

#[test]
fn a_longer_time_counts_for_what_passed_before_it() {
    let mut harness = harness(json!({"by": "id", "within": "1s"}), 0);
    for id in ["a", "b"] {
        harness.send(record("k", id, 1_000)).unwrap();
    }
    let mut harness = harness.reconfigured(json!({"by": "id", "within": "1m"}));
    harness.send(record("k", "a", 50_000)).unwrap();
    assert_eq!(taken(&mut harness, "duplicates"), ["a@50000"]);
    harness.advance_watermark(70_000);
    assert_eq!(harness.pending_timers(), []);
    harness.with_state("k", |seen| assert_eq!(seen.remembered(), 0));
}

#[test]
fn a_configuration_that_does_not_fit_is_refused() {
    for (config, message) in [
        (json!({"by": "id"}), "missing field `within`"),
        (json!({"within": "0s"}), "`within` is `0s`; it must be 1 ms"),
        (json!({"within": "1h", "lateness": "soon"}), "`lateness` is `soon`; a duration is"),
        (json!({"within": "1h", "by": "id +"}), "`by`, line 1"),
    ] {
        let refused = Dedup::create(Some(&config.to_string())).err().expect("refused").to_string();
        assert!(refused.contains(message), "{config}: {refused}");
    }
}

/// What should become of each record, with a memory that forgets nothing.
fn model(records: &[(u8, u8, i64)], within: i64, lateness: i64, bound: i64) -> Vec<&'static str> {
    let mut passed: BTreeMap<(u8, u8), Vec<i64>> = BTreeMap::new();
    let mut watermark = i64::MIN;
    let mut verdicts = Vec::new();
    for (key, id, ts) in records {
        if *ts <= watermark.saturating_sub(lateness) {
            verdicts.push("late");
        } else {
            let times = passed.entry((*key, *id)).or_default();
            if times.iter().any(|seen| (seen - ts).abs() < within) {
                verdicts.push("duplicates");
            } else {
                times.push(*ts);
                verdicts.push("output");
            }
        }
        watermark = watermark.max(ts - bound - 1);
    }
    verdicts
}

proptest! {
    /// The same as a memory that forgets nothing, with any disorder and any batches; and all is forgotten in the end.
    #[test]
    fn forgetting_does_not_show(
        records in prop::collection::vec((0..3_u8, 0..4_u8, 0..3_000_i64), 1..120),
        within in 1..400_i64,
        lateness in 0..300_i64,
        bound in 0..300_i64,
        batch in 1..20_usize,
        by in any::<bool>(),
    ) {
        let records: Vec<_> = records.into_iter().map(|(key, id, ts)| (key, if by { id } else { 0 }, ts)).collect();
        let mut config = json!({"within": format!("{within}ms"), "lateness": format!("{lateness}ms")});
        if by {
            config["by"] = json!("id");
        }
        let mut harness = harness(config, bound).batches_of(batch);
        let sent = records.iter().enumerate().map(|(n, (key, id, ts))| {
            Record::json(json!({"key": key.to_string(), "id": id, "ts": ts, "n": n}))
        });
        prop_assert_eq!(harness.send_all(sent), []);
        let mut verdicts = vec![""; records.len()];
        for output in ["output", "duplicates", "late"] {
            for record in harness.take(output) {
                verdicts[record["n"].as_u64().unwrap() as usize] = output;
            }
        }
        prop_assert_eq!(verdicts, model(&records, within, lateness, bound));
        harness.end_of_input();
        harness.advance_watermark(10_000);
        prop_assert_eq!(harness.pending_timers(), []);
        for key in ["0", "1", "2"] {
            harness.with_state(key, |seen| assert_eq!(seen.remembered(), 0));
        }
    }
}
