//! The rules one by one.

use super::*;

#[test]
fn a_window_fires_when_the_watermark_reaches_its_last_millisecond() {
    let mut harness = harness(json!({"tumbling": "10ms"}));
    for (ts, n) in [(10, 1), (19, 2), (20, 4)] {
        harness.send(tick("a", ts, n)).unwrap();
    }
    harness.advance_watermark(18);
    assert_eq!(fired(&mut harness), []);
    harness.with_state("a", |key| assert_eq!(key.windows.open().count(), 2));
    harness.advance_watermark(19);
    assert_eq!(fired(&mut harness), [line("on time", 10, 20, 3)]);
    harness.send(tick("a", 19, 8)).unwrap();
    assert_eq!(fired(&mut harness), [line("too late", 19, 19, 8)]);
    harness.end_of_input();
    assert_eq!(fired(&mut harness), [line("on time", 20, 30, 4)]);
    assert_eq!(harness.stored_elements("a"), 0);
    assert_eq!(harness.pending_timers(), []);
}

#[test]
fn a_record_behind_the_watermark_is_not_late_while_its_window_is_open() {
    let mut harness = harness(json!({"tumbling": "10ms"}));
    harness.advance_watermark(15);
    harness.send(tick("a", 10, 1)).unwrap();
    harness.send(tick("a", 9, 2)).unwrap();
    harness.end_of_input();
    assert_eq!(fired(&mut harness), [line("too late", 9, 9, 2), line("on time", 10, 20, 1)]);
}

#[test]
fn late_records_fire_again_until_the_lateness_is_over() {
    let mut harness = harness(json!({"tumbling": "10ms", "allowed_lateness": "5ms"}));
    harness.send(tick("a", 5, 1)).unwrap();
    harness.advance_watermark(9);
    assert_eq!(fired(&mut harness), [line("on time", 0, 10, 1)]);
    harness.send(tick("a", 6, 2)).unwrap();
    harness.advance_watermark(13);
    harness.send(tick("a", 7, 4)).unwrap();
    // Another key has nothing in this window yet.
    harness.send(tick("b", 7, 8)).unwrap();
    assert_eq!(
        fired(&mut harness),
        [line("late", 0, 10, 3), line("late", 0, 10, 7), line("late", 0, 10, 8)]
    );
    harness.advance_watermark(14);
    harness.send(tick("a", 7, 16)).unwrap();
    assert_eq!(fired(&mut harness), [line("too late", 7, 7, 16)]);
    assert_eq!(harness.pending_timers(), []);
    assert_eq!(harness.stored_elements("a") + harness.stored_elements("b"), 0);
}

#[test]
fn a_record_of_sliding_windows_is_late_when_all_are_dropped() {
    let mut harness = harness(json!({"sliding": {"size": "30ms", "slide": "10ms"}}));
    harness.send(tick("a", 25, 1)).unwrap();
    harness.advance_watermark(39);
    assert_eq!(fired(&mut harness), [line("on time", 0, 30, 1), line("on time", 10, 40, 1)]);
    harness.send(tick("a", 20, 2)).unwrap();
    harness.send(tick("a", 19, 4)).unwrap();
    assert_eq!(fired(&mut harness), [line("too late", 19, 19, 4)]);
    harness.end_of_input();
    assert_eq!(fired(&mut harness), [line("on time", 20, 50, 3)]);
}

#[test]
fn sessions_that_touch_are_one() {
    let mut harness = harness(json!({"session": "10ms"}));
    for (ts, n) in [(0, 1), (10, 2), (21, 4), (40, 8), (31, 16)] {
        harness.send(tick("a", ts, n)).unwrap();
    }
    harness.end_of_input();
    assert_eq!(fired(&mut harness), [line("on time", 0, 20, 3), line("on time", 21, 50, 28)]);
}

#[test]
fn a_bridge_makes_one_of_two_sessions_and_one_firing() {
    let mut harness = harness(json!({"session": "10ms"}));
    for (ts, n) in [(0, 1), (15, 2), (30, 4), (7, 8)] {
        harness.send(tick("a", ts, n)).unwrap();
    }
    harness.advance_watermark(9);
    harness.advance_watermark(20);
    assert_eq!(fired(&mut harness), []);
    harness.send(tick("a", 22, 16)).unwrap();
    harness.advance_watermark(38);
    assert_eq!(fired(&mut harness), []);
    harness.advance_watermark(39);
    assert_eq!(fired(&mut harness), [line("on time", 0, 40, 31)]);
    assert_eq!(harness.pending_timers(), []);
}

#[test]
fn a_session_is_late_only_after_merging() {
    let mut harness = harness(json!({"session": "10ms"}));
    harness.send(tick("a", 12, 1)).unwrap();
    harness.advance_watermark(15);
    // Its own window [5, 15) is over; the one that it joins is not.
    harness.send(tick("a", 5, 2)).unwrap();
    harness.send(tick("b", 5, 4)).unwrap();
    harness.end_of_input();
    assert_eq!(fired(&mut harness), [line("too late", 5, 5, 4), line("on time", 5, 22, 3)]);
}

#[test]
fn a_late_session_joins_what_has_fired() {
    let mut harness = harness(json!({"session": "10ms", "allowed_lateness": "100ms"}));
    for (ts, n) in [(0, 1), (30, 2)] {
        harness.send(tick("a", ts, n)).unwrap();
    }
    harness.advance_watermark(39);
    assert_eq!(fired(&mut harness), [line("on time", 0, 10, 1), line("on time", 30, 40, 2)]);
    harness.send(tick("a", 9, 4)).unwrap();
    harness.send(tick("a", 19, 8)).unwrap();
    harness.send(tick("a", 29, 16)).unwrap();
    // Joined by one that reaches beyond the watermark, it waits again.
    harness.send(tick("a", 38, 32)).unwrap();
    assert_eq!(
        fired(&mut harness),
        [line("late", 0, 19, 5), line("late", 0, 29, 13), line("late", 0, 40, 31)]
    );
    harness.advance_watermark(47);
    assert_eq!(fired(&mut harness), [line("on time", 0, 48, 63)]);
    harness.advance_watermark(147);
    assert_eq!(harness.pending_timers(), []);
    assert_eq!(harness.stored_elements("a"), 0);
    harness.send(tick("a", 37, 1)).unwrap();
    assert_eq!(fired(&mut harness), [line("too late", 37, 37, 1)]);
}

#[test]
fn windows_are_kept_by_key() {
    let mut harness = harness(json!({"tumbling": "10ms"})).batches_of(8);
    let ticks = [("a", 1, 1), ("b", 2, 2), ("a", 3, 4), ("c", 11, 8), ("b", 4, 16)];
    assert_eq!(harness.send_all(ticks.map(|(key, ts, n)| tick(key, ts, n))), []);
    harness.end_of_input();
    let lines = harness.take_lines("output");
    assert_eq!(lines[0], r#"{"count":2,"end":10,"key":"a","start":0,"sum":5,"timing":"on time"}"#);
    assert_eq!(lines[1], r#"{"count":2,"end":10,"key":"b","start":0,"sum":18,"timing":"on time"}"#);
    assert_eq!(lines[2], r#"{"count":1,"end":20,"key":"c","start":10,"sum":8,"timing":"on time"}"#);
}

#[test]
fn windows_of_another_layout_still_fire() {
    let mut before = harness(json!({"tumbling": "10ms", "allowed_lateness": "5ms"}));
    before.send(tick("a", 5, 1)).unwrap();
    before.send(tick("a", 15, 2)).unwrap();
    before.advance_watermark(9);
    let mut after = before.reconfigured(json!({"window": {"tumbling": "20ms"}}));
    assert_eq!(fired(&mut after), [line("on time", 0, 10, 1)]);
    after.send(tick("a", 16, 4)).unwrap();
    after.end_of_input();
    assert_eq!(fired(&mut after), [line("on time", 0, 20, 4), line("on time", 10, 20, 2)]);
    assert_eq!(after.pending_timers(), []);
    assert_eq!(after.stored_elements("a"), 0);
}

#[test]
fn times_at_the_ends_of_time() {
    for window in [json!({"tumbling": "10ms"}), json!({"session": "10ms"})] {
        let mut harness = harness(window);
        harness.send(tick("a", i64::MAX, 1)).unwrap();
        harness.send(tick("a", i64::MAX - 100, 2)).unwrap();
        harness.end_of_input();
        assert_eq!(fired(&mut harness).len(), 2);
        assert_eq!(harness.pending_timers(), []);
    }
}

#[test]
#[should_panic(expected = "while a handler of their UDF runs")]
fn nothing_is_added_from_outside() {
    let mut harness = harness(json!({"tumbling": "10ms"}));
    harness.with_state("a", |key| key.windows.add(&1).is_late());
}

#[test]
fn the_states_and_timers_have_names() {
    let description = <Sums as millstream_udf::Udf>::description();
    let states: Vec<_> = description.states.iter().map(|state| &state.name[..]).collect();
    assert_eq!(states, ["windows", "windows_past"]);
    let timers: Vec<_> = description.timers.iter().map(|timer| &timer.name[..]).collect();
    assert_eq!(timers, ["fired", "fired_early"]);
}
