//! Who leads, and when that is told.

use millstream_udf::testing::{Harness, Record};

use super::*;

fn record(payload: &str, time: i64) -> Record {
    Record::raw(payload).key("100").event_time(time)
}

#[test]
fn all_that_have_the_most_are_given_when_the_window_is_complete() {
    for batch in [1, 10] {
        let mut harness = Harness::<Compare>::new().batches_of(batch);
        let payloads =
            [r#"{"bids":2,"a":1}"#, r#"{"bids":3,"a":2}"#, r#"{"bids":1}"#, r#"{"bids":3,"a":4}"#];
        assert_eq!(harness.send_all(payloads.map(|payload| record(payload, 99))), []);
        harness.advance_watermark(98);
        assert_eq!(harness.take_lines("output"), [""; 0]);
        harness.advance_watermark(99);
        assert_eq!(harness.take_lines("output"), [payloads[1], payloads[3]]);
        assert_eq!(harness.stored_elements("100"), 0);
        harness.send(record(payloads[0], 99)).unwrap();
        assert_eq!(harness.take_lines("late"), [r#"{"time":99,"window":"100"}"#]);
    }
}

#[test]
fn a_record_has_an_amount() {
    let mut harness = Harness::<Compare>::new();
    harness.send(record("{}", 99)).unwrap_err();
    harness.send(record(r#"{"price":5}"#, 99)).unwrap();
    harness.end_of_input();
    assert_eq!(harness.take_lines("output"), [r#"{"price":5}"#]);
}
