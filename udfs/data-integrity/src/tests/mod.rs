//! The checks one by one, and that what is counted is what came.

use millstream_udf::testing::{Harness, Refusal};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::DataIntegrity;
use crate::chain::{GENESIS, Hash, hash};

const MINUTE_MS: i64 = 60_000;

fn harness(config: Value) -> Harness<DataIntegrity> {
    Harness::with_config(config).key_from("/source").event_time_from("/ts").with_bound(0)
}

fn hex(hash: &Hash) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn record(seq: i64, ts: i64, amount: i64) -> Value {
    json!({"source": "s", "type": "record", "seq": seq, "ts": ts, "batch_id": "b", "data": {"amount": amount}})
}

fn control(ts: i64, count: i64, total: i64) -> Value {
    json!({"source": "s", "type": "control", "ts": ts, "batch_id": "b", "system": "ledger", "count": count, "total": total})
}

/// The codes of what was rejected, as `1: missing`.
fn rejected(harness: &mut Harness<DataIntegrity>) -> Vec<String> {
    let codes = |item: &Value| {
        let reasons = item["reasons"].as_array().expect("reasons").iter();
        let codes: Vec<_> =
            reasons.map(|reason| reason["code"].as_str().expect("a code")).collect();
        format!("{}: {}", item["seq"], codes.join(", "))
    };
    harness.take("rejected").iter().map(codes).collect()
}

fn totals() -> Value {
    json!({"fields": [{"name": "amount", "type": "integer", "min": 0}], "total_field": "amount"})
}

#[test]
fn valid_records_pass_and_others_say_why() {
    let mut harness = harness(totals());
    harness.send(record(1, 1, 5)).unwrap();
    harness.send(record(2, 2, -5)).unwrap();
    let valid =
        r#"{"batch_id":"b","data":{"amount":5},"seq":1,"source":"s","ts":1,"type":"valid"}"#;
    assert_eq!(harness.take_lines("valid"), [valid]);
    let bad = r#"{"batch_id":"b","data":{"amount":-5},"reasons":[{"code":"below_minimum","field":"amount"}],"seq":2,"source":"s","ts":2,"type":"rejected"}"#;
    assert_eq!(harness.take_lines("rejected"), [bad]);
}

#[test]
fn gaps_are_reported_after_their_grace_and_when_they_are_filled() {
    let mut harness = harness(json!({"gap_grace": "5m"}));
    for (seq, ts) in [(1, 0), (4, MINUTE_MS), (3, 2 * MINUTE_MS), (5, 6 * MINUTE_MS)] {
        harness.send(record(seq, ts, 1)).unwrap();
    }
    assert_eq!(harness.take_lines("gap"), [""; 0]);
    harness.send(record(6, 6 * MINUTE_MS + 1, 1)).unwrap();
    let open =
        r#"{"from_seq":2,"reason":"gap_open","source":"s","to_seq":2,"ts":360000,"type":"gap"}"#;
    assert_eq!(harness.take_lines("gap"), [open]);
    harness.send(record(2, 7 * MINUTE_MS, 1)).unwrap();
    let filled =
        r#"{"from_seq":2,"reason":"gap_filled","source":"s","to_seq":2,"ts":420000,"type":"gap"}"#;
    assert_eq!(harness.take_lines("gap"), [filled]);
    harness.end_of_input();
    assert_eq!(harness.take_lines("gap"), [""; 0]);
    assert_eq!(rejected(&mut harness), [""; 0]);
}

#[test]
fn duplicates_and_conflicts_are_told_apart() {
    let mut harness = harness(json!({}));
    for (seq, amount) in [(1, 5), (1, 5), (1, 6), (2, 5)] {
        harness.send(record(seq, 0, amount)).unwrap();
    }
    assert_eq!(rejected(&mut harness), ["1: duplicate", "1: conflicting_duplicate"]);
}

#[test]
fn a_chain_shows_changes_removals_and_insertions() {
    let chained = |seq: i64, previous: &Hash, hash: &Hash, amount: i64| {
        let mut record = record(seq, seq, amount);
        record["previous_hash"] = hex(previous).into();
        record["hash"] = hex(hash).into();
        record
    };
    let one = hash(&GENESIS, r#"{"amount":1}"#);
    let two = hash(&one, r#"{"amount":2}"#);
    let three = hash(&two, r#"{"amount":3}"#);
    let other = hash(&one, r#"{"amount":9}"#);
    let check = |records: &[Value]| {
        let mut harness = harness(json!({"hash_chain": true}));
        records.iter().for_each(|record| harness.send(record.clone()).unwrap());
        rejected(&mut harness)
    };
    let first = || chained(1, &GENESIS, &one, 1);
    let last = || chained(3, &two, &three, 3);
    assert_eq!(check(&[first(), last(), chained(2, &one, &two, 2)]), [""; 0]);
    // Data changed; data and hash changed, seen from either side; another beginning.
    assert_eq!(check(&[first(), chained(2, &one, &two, 9)]), ["2: hash_mismatch"]);
    assert_eq!(check(&[first(), chained(2, &one, &other, 9), last()]), ["3: chain_broken"]);
    assert_eq!(check(&[first(), last(), chained(2, &one, &other, 9)]), ["2: successor_disagrees"]);
    assert_eq!(check(&[chained(1, &one, &two, 2)]), ["1: chain_broken"]);
}

#[test]
fn controls_are_reconciled_after_their_grace() {
    let mut harness = harness(totals());
    harness.send(record(1, 0, 10)).unwrap();
    harness.send(control(MINUTE_MS, 2, 30)).unwrap();
    // In time, though the control came before.
    harness.send(record(2, 2 * MINUTE_MS, 20)).unwrap();
    harness.advance_watermark(6 * MINUTE_MS);
    let matched = r#"{"batch_id":"b","count":2,"count_expected":2,"reasons":[],"source":"s","status":"matched","system":"ledger","total":30,"total_expected":30,"ts":360000,"type":"reconciliation"}"#;
    assert_eq!(harness.take_lines("reconciliation"), [matched]);
    harness.send(record(3, 7 * MINUTE_MS, 1)).unwrap();
    assert_eq!(rejected(&mut harness), ["3: after_control"]);
    harness.send(control(7 * MINUTE_MS, 3, 32)).unwrap();
    harness.end_of_input();
    let broken = r#"{"batch_id":"b","count":3,"count_expected":3,"reasons":["total_differs"],"source":"s","status":"break","system":"ledger","total":31,"total_expected":32,"ts":720000,"type":"reconciliation"}"#;
    assert_eq!(harness.take_lines("reconciliation"), [broken]);
}

#[test]
fn what_makes_no_sense_is_refused() {
    let mut harness = harness(json!({"hash_chain": true}));
    let without = |field: &str, mut record: Value| {
        record[field] = Value::Null;
        record
    };
    for (bad, why) in [
        (
            json!({"source": "s", "type": "x", "ts": 0}),
            "`x` is no type; it must be `record` or `control`",
        ),
        (without("seq", record(1, 0, 1)), "a record needs `seq` and `data`"),
        (record(-1, 0, 1), "`seq` is -1; it must be 0 to 2^63 - 2"),
        (record(1, 0, 1), "`previous_hash` must be 64 hexadecimal digits"),
        (
            without("count", control(0, 1, 1)),
            "a control needs `batch_id`, `system`, `count` and `total`",
        ),
    ] {
        assert_eq!(harness.send(bad), Err(Refusal::Failed(why.into())));
    }
}

#[test]
fn the_configuration_is_checked() {
    use millstream_udf::Udf;
    let refused = |config: Value| {
        DataIntegrity::create(Some(&config.to_string()))
            .err()
            .map(|error| error.message().to_owned())
            .unwrap_or_default()
    };
    assert_eq!(refused(totals()), "");
    for (config, why) in [
        (json!({"total_field": "a"}), "`total_field` is `a`, which is no integer field"),
        (
            json!({"fields": [{"name": "a", "type": "date", "max_length": 1}]}),
            "field `a`: `standard`, `one_of` and `max_length` are for texts",
        ),
        (
            json!({"fields": [{"name": "a", "type": "text", "min": 1}]}),
            "field `a`: `min` and `max` are for integers",
        ),
        (
            json!({"fields": [{"name": "a", "type": "text"}, {"name": "a", "type": "text"}]}),
            "field `a` is named twice",
        ),
    ] {
        assert_eq!(refused(config), why);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// Every record comes out once, valid or rejected; batches' totals are those of all distinct records, whatever their
    /// order, repetitions and batches of calls.
    #[test]
    fn what_comes_in_reconciles(sent in prop::collection::vec((1..40_i64, -50..50_i64), 1..80), batch in 1..40_usize) {
        let mut harness = harness(totals()).batches_of(batch);
        let records: Vec<_> = sent.iter().map(|&(seq, _)| record(seq, 0, 7 * seq - 50)).collect();
        let distinct: std::collections::BTreeSet<i64> = sent.iter().map(|(seq, _)| *seq).collect();
        prop_assert_eq!(harness.send_all(records), []);
        let total: i64 = distinct.iter().map(|seq| 7 * seq - 50).sum();
        harness.send(control(1, distinct.len() as i64, total)).unwrap();
        harness.end_of_input();
        let (valid, rejected) = (harness.take("valid"), harness.take("rejected"));
        prop_assert_eq!(valid.len() + rejected.len(), sent.len());
        let duplicates = rejected.iter().filter(|item| item["reasons"][0]["code"] == "duplicate").count();
        prop_assert_eq!(duplicates, sent.len() - distinct.len());
        prop_assert_eq!(valid.len(), distinct.iter().filter(|seq| 7 * **seq >= 50).count());
        let reconciled = harness.take("reconciliation");
        prop_assert_eq!((reconciled.len(), &reconciled[0]["status"]), (1, &json!("matched")));
        let missing: i64 = harness.take("gap").iter().map(|gap| gap["to_seq"].as_i64().expect("a number") - gap["from_seq"].as_i64().expect("a number") + 1).sum();
        prop_assert_eq!(missing, distinct.last().expect("there are records") - distinct.len() as i64);
    }
}
