//! A whole bank: all pipelines of `examples/bank` on one node and one server, on streams they share. What was planted in the streams must be
//! found, what was not mostly not, and every total must come out again.

use millstream_tests::bank::{Bank, run};
use millstream_tests::manifest::sandbox;

use crate::kills::{compiled, seed};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bank_finds_what_was_planted_and_loses_nothing() {
    let bank = Bank::new(seed(53));
    let outcome = run(&bank, &sandbox(compiled())).await;
    let verdict = bank.judge(&outcome);
    eprintln!("{verdict}");
    let complaints = verdict.complaints();
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn the_same_seed_makes_the_same_bank() {
    let (one, same, other) = (Bank::new(5), Bank::new(5), Bank::new(6));
    assert!(one.feeds == same.feeds, "the same seed makes other bytes");
    assert!(one.feeds != other.feeds, "another seed makes the same bytes");
}
