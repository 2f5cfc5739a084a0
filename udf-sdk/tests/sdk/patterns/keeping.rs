//! What a key keeps, for how long, and what happens when it would be too much.

use millstream_udf::pattern::Pattern;
use millstream_udf::prelude::*;
use millstream_udf::testing::Harness;
use serde_json::json;

use super::search::{Event, Search, Searched, parse};

fn harness(pattern: &str, limit: usize) -> Harness<Search> {
    Harness::<Search>::with_config(json!({ "pattern": pattern, "limit": limit }))
        .key_from("/key")
        .event_time_from("/ts")
        .with_bound(0)
}

fn event(id: i64, letter: &str, ts: i64) -> serde_json::Value {
    json!({"id": id, "key": "k", "letter": letter, "value": 1, "ts": ts})
}

fn found(harness: &mut Harness<Search>) -> Vec<String> {
    let text = |item: serde_json::Value| item["text"].as_str().expect("a text").to_owned();
    harness.take("found").into_iter().map(text).collect()
}

fn is_empty(harness: &mut Harness<Search>) -> bool {
    harness.with_state("k", |searched| searched.search.is_empty())
}

#[test]
fn nothing_is_kept_once_no_sequence_is_open() {
    let mut harness = harness("10 none b/s0/A/1/- f/s1/B/1/-", 9);
    harness.send(event(0, "C", 1)).unwrap();
    assert!(!is_empty(&mut harness), "the record waits");
    harness.advance_watermark(1);
    assert!(is_empty(&mut harness), "it fits nothing");
    harness.send_all([event(1, "A", 5), event(2, "C", 6), event(3, "B", 7)]);
    harness.advance_watermark(6);
    assert!(!is_empty(&mut harness), "a sequence is open");
    harness.advance_watermark(7);
    assert_eq!(found(&mut harness), ["M s0:1 s1:3"]);
    assert!(is_empty(&mut harness), "it has matched");
    harness.send(event(4, "A", 20)).unwrap();
    harness.advance_watermark(29);
    assert!(!is_empty(&mut harness));
    harness.advance_watermark(30);
    assert_eq!(found(&mut harness), ["T s0:4"]);
    assert!(is_empty(&mut harness), "its time has passed");
    assert_eq!(harness.pending_timers(), []);
}

#[test]
fn a_key_has_one_timer_for_what_comes_first() {
    let mut harness = harness("10 none b/s0/A/1/- f/s1/B/1/-", 9);
    let timer = |time| [("k".to_owned(), "search".to_owned(), time)];
    harness.send(event(0, "C", 50)).unwrap();
    assert_eq!(harness.pending_timers(), timer(50));
    let mut early =
        Harness::<Search>::with_config(json!({"pattern": "10 none b/s0/A/1/- f/s1/B/1/-"}))
            .key_from("/key")
            .event_time_from("/ts");
    for (id, ts) in [50, 40, 45, 40].into_iter().enumerate() {
        early.send(event(id as i64, "A", ts)).unwrap();
    }
    assert_eq!(early.pending_timers(), timer(40));
    early.advance_watermark(44);
    assert_eq!(early.pending_timers(), timer(45), "the next record");
    early.advance_watermark(45);
    assert_eq!(early.pending_timers(), timer(50), "the next record and the first time-out");
    early.advance_watermark(54);
    assert_eq!(early.pending_timers(), timer(55), "the next time-out");
}

#[test]
fn sequences_above_the_limit_are_given_up_the_oldest_first() {
    let mut harness = harness("0 none b/s0/A/1/- f/s1/B/1/-", 2);
    for id in 0..4 {
        harness.send(event(id, "A", id)).unwrap();
    }
    harness.send(event(4, "B", 9)).unwrap();
    harness.end_of_input();
    assert_eq!(found(&mut harness), ["D s0:0", "D s0:1", "M s0:2 s1:4", "M s0:3 s1:4"]);
}

#[test]
fn the_steps_of_sequences_are_bounded_too() {
    // Greedy and strict: a single sequence per beginning, each as long as the stream.
    let mut harness = harness("0 past b/s0/A/1/- n/s1/B/1+/cg n/s2/C/1/-", 2);
    harness.send(event(0, "A", 0)).unwrap();
    for id in 1..200 {
        harness.send(event(id, "B", id)).unwrap();
    }
    harness.end_of_input();
    let found = found(&mut harness);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("D s0:0 s1:1,2,"), "{found:?}");
    assert!(found[0].ends_with(",31,32"), "16 per sequence: {found:?}");
    assert!(is_empty(&mut harness));
}

#[test]
fn many_records_at_once_are_handled_in_several_calls_with_the_same_result() {
    let events = |harness: &mut Harness<Search>| {
        for id in 0..1_500_i64 {
            let letter = if id % 500 == 499 { "B" } else { ["A", "C", "C", "C"][id as usize % 4] };
            harness.send(event(id, letter, 1 + id / 50)).unwrap();
        }
    };
    let pattern = "7 none b/s0/A/1/- f/s1/B/1/-";
    let mut at_once = Harness::<Search>::with_config(json!({ "pattern": pattern }))
        .key_from("/key")
        .event_time_from("/ts");
    events(&mut at_once);
    at_once.end_of_input();
    let mut as_it_comes = harness(pattern, 1_000);
    events(&mut as_it_comes);
    as_it_comes.end_of_input();
    let at_once = found(&mut at_once);
    assert_eq!(at_once, found(&mut as_it_comes));
    assert!(at_once.iter().any(|line| line.starts_with('M')) && at_once.len() > 300);
}

/// Looks for one pattern until the watermark is 100, and for another one from then on.
struct Replaced {
    patterns: [Pattern<Event>; 2],
}

impl Default for Replaced {
    fn default() -> Self {
        let pattern = |text| parse(text, None);
        let patterns = ["0 none b/s0/A/1/- f/s1/B/1/-", "0 none b/s0/A/1/- f/s1/B/2/-"];
        Self { patterns: patterns.map(pattern) }
    }
}

#[udf(state = Searched)]
impl Replaced {
    fn process(&self, event: Event, searched: &mut Searched, ctx: &mut Context<'_>) {
        assert!(searched.search.accept(event, Self::SEARCH, ctx).is_none(), "nothing is late here");
    }

    #[timer(event_time)]
    fn search(&self, searched: &mut Searched, ctx: &mut TimerContext<'_>) -> Result<()> {
        let pattern = &self.patterns[usize::from(ctx.watermark() >= 100)];
        searched.search.advance(pattern, Self::SEARCH, ctx).map(|_| ())
    }
}

#[test]
#[should_panic(expected = "the kept partial matches are of another pattern")]
fn partial_matches_of_another_pattern_are_refused() {
    let mut harness =
        Harness::<Replaced>::new().key_from("/key").event_time_from("/ts").with_bound(0);
    harness.send_all([event(0, "A", 1), event(1, "C", 99), event(2, "C", 101), event(3, "C", 102)]);
}
