//! Chained stages through the binary: the same results as with an exchange between the stages, and what fails in a chain.

use std::fmt::Write as _;

use crate::millstream::{Millstream, root};

/// Sums per account and minute, and from these the largest minute and the total per account and window; `key` is that of the
/// second stage.
fn manifest(key: &str, window: &str) -> String {
    let dist = root().join("udfs/dist");
    let dist = dist.display();
    format!(
        "name: chained
sources:
  transactions:
    stream: TRANSACTIONS
    event-time: {{ pointer: /ts }}
    watermark: {{ bound: 5s }}
stages:
  minutes:
    module: {{ file: {dist}/window-sums.wasm }}
    config: {{ type: tumbling, window: {{ tumbling: 1m }} }}
    inputs:
      transactions: {{ key: {{ pointer: /account_id }} }}
    outputs: {{ late: results }}
  largest:
    module: {{ file: {dist}/aggregate.wasm }}
    config:
      window: {window}
      fields:
        largest: {{ max: sum_cents }}
        total: {{ sum: sum_cents }}
        minutes: count
    inputs:
      minutes.sums: {{ key: {key} }}
    outputs: {{ output: results, late: results }}
sinks:
  results: {{ subject: results }}
"
    )
}

/// Transactions of some accounts, out of order by up to 4 s, from a linear congruential generator.
fn transactions() -> String {
    let (mut text, mut state) = (String::new(), 42u64);
    let mut random = |below: u64| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    for i in 0..20_000u64 {
        let ts = 1_700_000_000_000 + i * 500 - random(4_000);
        let (account, cents) = (random(40), random(90_000) + 1);
        let amount = format!("{}.{:02}", cents / 100, cents % 100);
        let _ = writeln!(
            text,
            "{{\"txn_id\":\"t{i}\",\"account_id\":\"a{account}\",\"amount\":{amount},\"ts\":{ts}}}"
        );
    }
    text
}

/// Sorted outputs, and the dead letters.
fn run(manifest: &str, input: &str, partitions: &str) -> (Vec<String>, String) {
    let millstream = Millstream::new();
    let manifest = millstream.file("p.yaml", manifest);
    let input = millstream.file("input.ndjson", input);
    let called = millstream
        .call([
            "run".as_ref(),
            "--local".as_ref(),
            "-f".as_ref(),
            manifest.as_os_str(),
            "--input".as_ref(),
            input.as_os_str(),
            "--output".as_ref(),
            "-".as_ref(),
            "--partitions".as_ref(),
            partitions.as_ref(),
            "--dead-letters=dead.ndjson".as_ref(),
        ])
        .ok();
    let mut lines: Vec<String> = called.stdout.lines().map(str::to_owned).collect();
    lines.sort();
    let dead = std::fs::read_to_string(millstream.folder.path().join("dead.ndjson"));
    (lines, dead.expect("dead letters"))
}

#[test]
fn a_chain_gives_what_an_exchange_gives() {
    let input = transactions();
    for window in ["{ tumbling: 1h }", "{ session: 90s }", "{ sliding: { size: 10m, slide: 1m } }"]
    {
        let exchanged = run(&manifest("{ pointer: /account_id }", window), &input, "3");
        assert!(exchanged.0.len() > 100 && exchanged.1.is_empty(), "{window}: {}", exchanged.1);
        for partitions in ["1", "3", "8"] {
            let chained = run(&manifest("same", window), &input, partitions);
            assert_eq!(chained, exchanged, "{window}, {partitions} partitions");
        }
    }
}

#[test]
fn what_fails_behind_a_stage_is_a_dead_letter_of_the_record_it_came_from() {
    // The filter passes every record; the aggregation refuses an amount that is none.
    let dist = root().join("udfs/dist");
    let dist = dist.display();
    let manifest = format!(
        "name: chained
sources:
  orders: {{ stream: ORDERS, event-time: {{ pointer: /ts }} }}
stages:
  all:
    module: {{ file: {dist}/filter.wasm }}
    config: {{ where: \"true\" }}
    inputs:
      orders: {{ key: {{ pointer: /customer }} }}
  sums:
    module: {{ file: {dist}/aggregate.wasm }}
    config: {{ window: {{ tumbling: 1m }}, fields: {{ total: {{ sum: amount }} }} }}
    inputs:
      all.output: {{ key: same }}
    outputs: {{ output: results }}
sinks:
  results: {{ subject: results }}
"
    );
    let input = "{\"customer\":\"c1\",\"amount\":1,\"ts\":1000}\n\
                 {\"customer\":\"c1\",\"amount\":\"many\",\"ts\":2000}\n\
                 {\"customer\":\"c1\",\"amount\":2,\"ts\":3000}\n";
    let (lines, dead) = run(&manifest, input, "2");
    assert_eq!(lines.len(), 1);
    assert!(lines[0].contains("\"total\":3"), "{lines:?}");
    assert_eq!(dead.lines().count(), 1, "{dead}");
    assert!(dead.contains("stage `sums`: ") && dead.contains("many"), "{dead}");
}
