//! The rules one by one; [`reference`] is a second, plain implementation of them, and [`golden`] what Apache Flink
//! made of whole streams.

mod golden;
mod reference;

use millstream_udf::testing::Harness;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::SmallThenLarge;
use reference::{Txn, expected};

const OUTPUTS: [&str; 3] = ["match", "timeout", "late"];

fn harness() -> Harness<SmallThenLarge> {
    Harness::new().key_from("/account_id").event_time_from("/ts").with_bound(5_000)
}

fn record(txn: &Txn) -> Value {
    json!({"txn_id": txn.txn_id, "account_id": txn.account_id, "amount": txn.amount, "ts": txn.ts})
}

/// All that is emitted for these transactions, sorted.
fn run(harness: Harness<SmallThenLarge>, txns: &[Txn]) -> Vec<String> {
    let mut harness = harness;
    assert_eq!(harness.send_all(txns.iter().map(record)), []);
    harness.end_of_input();
    assert_eq!(harness.pending_timers(), []);
    let mut lines: Vec<_> = OUTPUTS.iter().flat_map(|output| harness.take_lines(output)).collect();
    lines.sort_unstable();
    lines
}

/// Transactions of one account, named by what they are and when: `small` at 0 is `s0`.
fn account(amounts: &[(f64, i64)]) -> Vec<Txn> {
    let name = |amount: f64| match amount {
        a if a < 1.0 => 's',
        a if a > 500.0 => 'l',
        _ => 'm',
    };
    let txns = amounts.iter().map(|&(amount, ts)| Txn {
        txn_id: format!("{}{ts}", name(amount)),
        account_id: "a".into(),
        amount,
        ts,
    });
    txns.collect()
}

/// The kinds and transactions of the lines, like `match s0 l5`.
fn brief(txns: &[Txn]) -> Vec<String> {
    let lines = run(harness(), txns);
    assert_eq!(lines, expected(txns, 5_000));
    let brief = |line: &String| {
        let item: Value = serde_json::from_str(line).expect("a line is JSON");
        let ids =
            ["small_txn_id", "large_txn_id", "txn_id"].iter().filter_map(|id| item[id].as_str());
        [item["type"].as_str().expect("a type")]
            .into_iter()
            .chain(ids)
            .collect::<Vec<_>>()
            .join(" ")
    };
    let mut found: Vec<_> = lines.iter().map(brief).collect();
    found.sort_unstable();
    found
}

const SMALL: f64 = 0.99;
const LARGE: f64 = 500.01;

#[test]
fn a_large_one_within_the_minute_matches_every_open_small_one() {
    let found =
        brief(&account(&[(SMALL, 0), (SMALL, 10), (20.0, 15), (LARGE, 59_999), (LARGE, 60_000)]));
    assert_eq!(found, ["match s0 l59999", "match s10 l59999"]);
}

#[test]
fn the_bounds_are_strict() {
    assert_eq!(brief(&account(&[(1.0, 0), (LARGE, 1)])), [""; 0]);
    assert_eq!(brief(&account(&[(SMALL, 0), (500.0, 1)])), ["timeout s0"]);
}

#[test]
fn a_large_one_exactly_a_minute_later_is_too_late() {
    let found = brief(&account(&[(SMALL, 0), (SMALL, 1), (LARGE, 60_000)]));
    assert_eq!(found, ["match s1 l60000", "timeout s0"]);
}

#[test]
fn a_small_one_exactly_a_minute_later_begins_anew() {
    let found = brief(&account(&[(SMALL, 0), (SMALL, 60_000), (LARGE, 60_001)]));
    assert_eq!(found, ["match s60000 l60001", "timeout s0"]);
}

#[test]
fn ties_are_in_the_order_of_arrival() {
    assert_eq!(brief(&account(&[(SMALL, 7), (LARGE, 7), (LARGE, 7)])), ["match s7 l7"]);
    assert_eq!(brief(&account(&[(LARGE, 7), (SMALL, 7)])), ["timeout s7"]);
}

#[test]
fn event_time_is_the_order_not_arrival() {
    assert_eq!(brief(&account(&[(LARGE, 3_000), (SMALL, 1_000)])), ["match s1000 l3000"]);
    assert_eq!(brief(&account(&[(SMALL, 3_000), (LARGE, 1_000)])), ["timeout s3000"]);
}

#[test]
fn a_record_at_the_watermark_is_late_and_one_behind_it_is_not() {
    // Behind 10,000 the watermark is 4,999.
    let found = brief(&account(&[(20.0, 10_000), (SMALL, 4_999), (SMALL, 5_000), (LARGE, 5_001)]));
    assert_eq!(found, ["late s4999", "match s5000 l5001"]);
}

#[test]
fn the_watermark_ends_the_wait_of_an_account_that_is_quiet() {
    let mut harness = harness();
    harness.send(record(&account(&[(SMALL, 0)])[0])).unwrap();
    harness.advance_watermark(59_999);
    assert_eq!(harness.take_lines("timeout"), [""; 0]);
    harness.advance_watermark(60_000);
    let expected = r#"{"account_id":"a","small_ts":0,"small_txn_id":"s0","type":"timeout"}"#;
    assert_eq!(harness.take_lines("timeout"), [expected]);
    assert_eq!(harness.pending_timers(), []);
}

/// Transactions of three accounts, out of order by up to 12 s, around every boundary.
fn transactions() -> impl Strategy<Value = Vec<Txn>> {
    let amount = prop::sample::select(vec![0.01, 0.99, 1.0, 250.0, 500.0, 500.01, 2_000.0]);
    let step =
        prop::sample::select(vec![0, 0, 1, 1_000, 4_999, 5_000, 5_001, 30_000, 59_999, 60_000]);
    let delay = prop::sample::select(vec![0, 0, 0, 1, 4_999, 5_000, 5_001, 12_000]);
    prop::collection::vec((0..3_u8, amount, step, delay), 1..60).prop_map(|drawn| {
        let mut now = 1_000_000;
        let txns = drawn.into_iter().enumerate().map(|(i, (account, amount, step, delay))| {
            now += step;
            Txn {
                txn_id: format!("t{i}"),
                account_id: format!("a{account}"),
                amount,
                ts: now - delay,
            }
        });
        txns.collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn gives_what_the_rules_say_in_batches_of_any_size(txns in transactions(), batch in 2..64_usize) {
        let expected = expected(&txns, 5_000);
        prop_assert_eq!(&run(harness(), &txns), &expected);
        prop_assert_eq!(&run(harness().batches_of(batch), &txns), &expected);
    }
}
