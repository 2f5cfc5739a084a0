//! Random patterns on random events out of order, against what Apache Flink 2.3.0 found.
//!
//! `flink.txt` has lines `P PATTERN` (see [`super::search`]), each followed by the lines that Flink emitted for
//! it: `M ...` for a match, `T ...` for a sequence that timed out, or `refused`. Before them are the events,
//! `E KEY LETTER VALUE TIME` in the order of arrival; their ids count up from 0. The watermark follows with a
//! bound of 3 ms.

use std::panic::catch_unwind;

use millstream_udf::testing::Harness;
use serde_json::{Value, json};

use super::search::{Search, parse};

const GOLDEN: &str = include_str!("flink.txt");

/// What the harness's UDF finds, as sorted lines.
fn found(harness: &mut Harness<Search>, events: &[Value]) -> Vec<String> {
    assert_eq!(harness.send_all(events.iter().cloned()), []);
    harness.end_of_input();
    let lines = harness.take("found").into_iter();
    let mut lines: Vec<_> =
        lines.map(|line| line["text"].as_str().expect("a text").to_owned()).collect();
    lines.sort();
    lines
}

#[test]
fn patterns_find_what_flink_finds() {
    let events: Vec<Value> = GOLDEN
        .lines()
        .filter_map(|line| line.strip_prefix("E "))
        .enumerate()
        .map(|(id, line)| {
            let [key, letter, value, ts] = line.split(' ').collect::<Vec<_>>()[..] else {
                panic!("an event `{line}`")
            };
            let number = |text: &str| text.parse::<i64>().expect("a number");
            json!({"id": id, "key": key, "letter": letter, "value": number(value), "ts": number(ts)})
        })
        .collect();
    let mut patterns = GOLDEN.split("P ").skip(1);
    let mut compared = 0;
    for block in &mut patterns {
        let (pattern, expected) = block.split_once('\n').expect("a pattern is a line");
        let mut expected: Vec<_> = expected.lines().collect();
        expected.sort_unstable();
        if expected == ["refused"] {
            assert!(catch_unwind(|| parse(pattern, None)).is_err(), "{pattern}");
            continue;
        }
        for batch in [1, 64] {
            let mut harness =
                Harness::<Search>::with_config(json!({ "pattern": pattern, "limit": 1_000_000 }))
                    .key_from("/key")
                    .event_time_from("/ts")
                    .with_bound(3)
                    .batches_of(batch);
            let found = found(&mut harness, &events);
            if found != expected {
                let missing: Vec<_> =
                    expected.iter().filter(|line| !found.iter().any(|f| f == *line)).collect();
                let extra: Vec<_> =
                    found.iter().filter(|line| !expected.contains(&&line[..])).collect();
                panic!("{pattern} in batches of {batch}: missing {missing:?}, extra {extra:?}");
            }
        }
        compared += expected.len();
    }
    assert!(compared > 1_000, "{compared} lines");
}
