//! The module's configuration, results and refusals, natively.

use std::collections::BTreeMap;

use millstream_udf::Udf;
use millstream_udf::testing::{Harness, Record};
use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::Aggregator;

fn harness(config: Json) -> Harness<Aggregator> {
    Harness::with_config(config).key_from("/key").event_time_from("/ts").with_bound(0)
}

fn lines(harness: &mut Harness<Aggregator>, output: &str) -> Vec<String> {
    harness.take_raw(output).into_iter().map(|line| String::from_utf8(line).unwrap()).collect()
}

/// The only result of these records, all within a minute.
fn result(fields: Json, records: &[Json]) -> Json {
    let mut harness = harness(json!({"window": "1m", "fields": fields}));
    for (i, record) in records.iter().enumerate() {
        let mut record = record.clone();
        record["key"] = json!("k");
        record["ts"] = json!(i);
        harness.send(record).unwrap();
    }
    harness.end_of_input();
    let [line] = &lines(&mut harness, "output")[..] else { panic!("not one result") };
    serde_json::from_str(line).unwrap()
}

#[test]
fn windows_fire_with_all_fields_in_the_order_of_their_names() {
    let config = json!({
        "window": "1m",
        "fields": {
            "payments": "count",
            "large": {"count": "amount > 100"},
            "total": {"sum": "amount", "scale": 2},
            "a_first": {"first": "id"},
        },
    });
    let mut harness = harness(config);
    for (id, amount, ts) in
        [("p1", 0.1, 5), ("p2", 0.2, 59_999), ("p3", 250.0, 60_000), ("p4", 1.0, 10)]
    {
        harness.send(json!({"key": "acme", "id": id, "amount": amount, "ts": ts})).unwrap();
    }
    assert_eq!(
        lines(&mut harness, "output"),
        [
            r#"{"a_first":"p1","end":60000,"key":"acme","large":0,"payments":2,"start":0,"total":0.30}"#
        ]
    );
    assert_eq!(lines(&mut harness, "late"), [r#"{"amount":1.0,"id":"p4","key":"acme","ts":10}"#]);
    harness.end_of_input();
    assert_eq!(
        lines(&mut harness, "output"),
        [
            r#"{"a_first":"p3","end":120000,"key":"acme","large":1,"payments":1,"start":60000,"total":250.00}"#
        ]
    );
}

#[test]
fn every_operation() {
    let fields = json!({
        "n": "count", "sum": {"sum": "x"}, "min": {"min": "x"}, "max": {"max": "x"}, "avg": {"avg": "x"},
        "first": {"first": "x"}, "last": {"last": "x"},
    });
    let mut all = result(fields.clone(), &[json!({"x": 3}), json!({"x": -1}), json!({"x": 2})]);
    let meta = all.as_object_mut().unwrap();
    for (name, value) in [("key", json!("k")), ("start", json!(0)), ("end", json!(60_000))] {
        assert_eq!(meta.remove(name), Some(value));
    }
    assert_eq!(
        all,
        json!({"n": 3, "sum": 4, "min": -1, "max": 3, "avg": 4.0 / 3.0, "first": 3, "last": 2})
    );
    let mixed = result(fields.clone(), &[json!({"x": 1}), json!({"x": 0.5})]);
    assert_eq!(
        (&mixed["sum"], &mixed["min"], &mixed["avg"]),
        (&json!(1.5), &json!(0.5), &json!(0.75))
    );
    let texts = json!({"min": {"min": "x"}, "max": {"max": "x"}, "last": {"last": "x"}});
    let texts = result(texts, &[json!({"x": "b"}), json!({"x": "a"}), json!({"x": "c"})]);
    assert_eq!(
        (&texts["min"], &texts["max"], &texts["last"]),
        (&json!("a"), &json!("c"), &json!("c"))
    );
}

#[test]
fn nothing_and_null_do_not_count() {
    let fields = json!({"n": "count", "has": {"count": "record.?x.hasValue()"}, "sum": {"sum": "record.?x"}, "max": {"max": "record.?x"}});
    let some = result(fields.clone(), &[json!({"x": 3}), json!({}), json!({"x": null})]);
    assert_eq!(
        (&some["n"], &some["has"], &some["sum"], &some["max"]),
        (&json!(3), &json!(2), &json!(3), &json!(3))
    );
    let none = result(fields, &[json!({})]);
    assert_eq!(
        (&none["n"], &none["has"], &none["sum"], &none["max"]),
        (&json!(1), &json!(0), &json!(null), &json!(null))
    );
}

#[test]
fn exact_numbers_stay_exact_and_averages_are_rounded() {
    let fields = json!({"sum": {"sum": "x", "scale": 2}, "avg": {"avg": "x", "scale": 2}, "max": {"max": "x", "scale": 2}});
    let mut harness = harness(json!({"window": "1m", "fields": fields}));
    for x in [json!(0.1), json!("0.20"), json!(7), json!(-0.0)] {
        harness.send(json!({"key": "k", "ts": 1, "x": x})).unwrap();
    }
    let refused = harness.send(json!({"key": "k", "ts": 1, "x": 0.125})).unwrap_err().to_string();
    assert!(
        refused.ends_with("`fields.avg.avg`: 0.125 has more than 2 digits behind the point"),
        "{refused}"
    );
    harness.end_of_input();
    assert_eq!(
        lines(&mut harness, "output"),
        [r#"{"avg":1.83,"end":60000,"key":"k","max":7.00,"start":0,"sum":7.30}"#]
    );
}

#[test]
fn what_cannot_be_added_is_refused() {
    let mut harness = harness(json!({"window": "1m", "fields": {"s": {"sum": "x"}}}));
    for (x, message) in [
        (
            json!("1"),
            "`fields.s.sum`: `sum` adds numbers; for decimal numbers in text give a `scale`",
        ),
        (json!([1]), "`fields.s.sum`: a number, text, a bool or null is wanted, and it is a list"),
    ] {
        let refused = harness.send(json!({"key": "k", "ts": 1, "x": x})).unwrap_err().to_string();
        assert!(refused.contains(message), "{refused}");
    }
}

#[test]
fn only_what_counts_is_gathered_and_only_what_matters_is_emitted() {
    let config = json!({
        "window": {"tumbling": "1m", "allowed_lateness": "1m"},
        "where": "status == 'booked'",
        "fields": {"total": {"sum": "amount", "scale": 2}},
        "having": "total > 100.0 && key != 'test'",
    });
    let mut harness = harness(config);
    for (key, status, amount, ts) in [
        ("a", "booked", 60, 0),
        ("a", "booked", 60, 1),
        ("a", "failed", 900, 2),
        ("b", "booked", 100, 3),
        ("test", "booked", 900, 4),
        ("b", "booked", 0, 60_001),
        ("b", "booked", 1, 59_999),
    ] {
        harness.send(json!({"key": key, "status": status, "amount": amount, "ts": ts})).unwrap();
    }
    assert_eq!(
        lines(&mut harness, "output"),
        [
            r#"{"end":60000,"key":"a","start":0,"total":120.00}"#,
            // b had 100 at first; the late record lifts it above.
            r#"{"end":60000,"key":"b","start":0,"total":101.00}"#,
        ]
    );
}

#[test]
fn a_changed_configuration_takes_up_what_it_still_has() {
    let config = json!({"window": "1m", "fields": {"n": "count", "s": {"sum": "x"}}});
    let mut harness = harness(config);
    harness.send(json!({"key": "k", "ts": 1, "x": 5})).unwrap();
    let config = json!({"window": "1m", "fields": {"a": {"max": "x"}, "s": {"sum": "x"}}});
    let mut harness = harness.reconfigured(config);
    harness.send(json!({"key": "k", "ts": 2, "x": 1})).unwrap();
    harness.end_of_input();
    assert_eq!(lines(&mut harness, "output"), [r#"{"a":1,"end":60000,"key":"k","s":6,"start":0}"#]);
}

#[test]
fn a_configuration_that_does_not_fit_is_refused() {
    let fields = json!({"n": "count"});
    for (config, message) in [
        (json!({"fields": fields}), "missing field `window`"),
        (json!({"window": "1 minute", "fields": fields}), "`window`: "),
        (json!({"window": {"session": "0s"}, "fields": fields}), "`window`: `session` must be 1"),
        (json!({"window": "1m", "fields": {}}), "`fields` has 0 fields"),
        (json!({"window": "1m", "fields": {"n": "sum"}}), "`fields.n`: it is `count`, or one of"),
        (
            json!({"window": "1m", "fields": {"n": {"sum": "x", "max": "x"}}}),
            "`fields.n`: it has exactly one of",
        ),
        (
            json!({"window": "1m", "fields": {"n": {"sum": "x", "scale": 12}}}),
            "`fields.n`: `scale` is 12",
        ),
        (
            json!({"window": "1m", "fields": {"n": {"median": "x"}}}),
            "`fields.n`: unknown field `median`",
        ),
        (json!({"window": "1m", "fields": {"n": {"sum": "x +"}}}), "`fields.n.sum`, line 1"),
        (json!({"window": "1m", "fields": {"end": "count"}}), "every result has a field `end`"),
        (
            json!({"window": "1m", "fields": fields, "having": "m > 1"}),
            "`having` knows key, start, end, n, and not `m`",
        ),
        (json!({"window": "1m", "fields": fields, "having": "meta.key == ''"}), "and not `meta`"),
    ] {
        let refused =
            Aggregator::create(Some(&config.to_string())).err().expect("refused").to_string();
        assert!(refused.contains(message), "{config}: {refused}");
    }
}

proptest! {
    /// Every operation against the plain computation over all records of a window, with any disorder within the bound.
    #[test]
    fn totals_are_those_of_the_records(
        records in prop::collection::vec((0..2_u8, 0..500_i64, -10_000..10_000_i64), 1..80),
        batch in 1..10_usize,
        session in any::<bool>(),
    ) {
        let window = if session { json!({"session": "20ms"}) } else { json!("100ms") };
        let config = json!({"window": window, "fields": {
            "n": "count", "sum": {"sum": "x", "scale": 2}, "min": {"min": "x"}, "max": {"max": "x", "scale": 2}, "last": {"last": "n"},
        }});
        let mut harness = Harness::<Aggregator>::with_config(config)
            .key_from("/key").event_time_from("/ts").with_bound(1_000).batches_of(batch);
        let cents = |units: &i64| format!("{:.2}", *units as f64 / 100.0);
        let sent = records.iter().enumerate().map(|(n, (key, ts, units))| {
            let x = cents(units);
            Record::raw(format!(r#"{{"key":"{key}","ts":{ts},"x":{x},"n":{n}}}"#))
        });
        prop_assert_eq!(harness.send_all(sent), []);
        harness.end_of_input();
        let mut given: Vec<_> = harness.take_raw("output").into_iter().map(|l| String::from_utf8(l).unwrap()).collect();
        given.sort();
        prop_assert_eq!(given, model(&records, session));
    }
}

/// Event time, number and units of a record.
type Entry = (i64, usize, i64);

/// The results by sorting: windows of 100 ms, or sessions with a gap of 20 ms.
fn model(records: &[(u8, i64, i64)], session: bool) -> Vec<String> {
    let mut windows: BTreeMap<(u8, i64), (i64, Vec<Entry>)> = BTreeMap::new();
    let mut sorted: Vec<_> =
        records.iter().enumerate().map(|(n, (key, ts, units))| (*key, *ts, n, *units)).collect();
    sorted.sort();
    let mut open: Option<(u8, i64)> = None;
    for (key, ts, n, units) in sorted {
        let (start, end) =
            if session { (ts, ts + 20) } else { (ts / 100 * 100, ts / 100 * 100 + 100) };
        let at = match open {
            Some(at) if session && at.0 == key && windows[&at].0 >= ts => at,
            _ => (key, start),
        };
        let window = windows.entry(at).or_default();
        window.0 = window.0.max(end);
        window.1.push((ts, n, units));
        open = Some(at);
    }
    let exact = |units: i64| expression::Exact { units, scale: 2 }.to_string();
    let plain = |units: i64| {
        let x: Json = serde_json::from_str(&exact(units)).unwrap();
        x.to_string()
    };
    let mut lines: Vec<_> = windows
        .into_iter()
        .map(|((key, start), (end, records))| {
            let units: Vec<i64> = records.iter().map(|(.., units)| *units).collect();
            let (min, max) = (units.iter().min().unwrap(), units.iter().max().unwrap());
            format!(
                r#"{{"end":{end},"key":"{key}","last":{},"max":{},"min":{},"n":{},"start":{start},"sum":{}}}"#,
                records.last().unwrap().1,
                exact(*max),
                plain(*min),
                units.len(),
                exact(units.iter().sum()),
            )
        })
        .collect();
    lines.sort();
    lines
}
