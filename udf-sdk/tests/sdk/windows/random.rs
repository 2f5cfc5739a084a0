//! Windows of all kinds, with all settings, over random streams in random batches, against the model.

use std::collections::BTreeMap;

use millstream_udf::Udf;
use proptest::prelude::*;

use super::elements::Lists;
use super::model::{Kind, Layout, Model, Out};
use super::*;

/// A record: key, how far the stream goes on, how far it lies behind, and its number.
type Step = (usize, i64, i64, i64);

fn layouts() -> impl Strategy<Value = Layout> {
    let kinds = prop_oneof![
        (1..60_i64).prop_map(|size| Kind::Fixed { size, slide: size, offset: 0 }),
        (1..60_i64, 1..30_i64, 0..90_i64).prop_map(|(size, slide, offset)| Kind::Fixed {
            size,
            slide: slide.min(size),
            offset
        }),
        (1..40_i64).prop_map(|gap| Kind::Session { gap }),
        (1..40_i64).prop_map(|gap| Kind::Session { gap }),
    ];
    let lateness = prop_oneof![Just(0), 1..80_i64];
    (kinds, lateness, prop::option::of(1..4_usize), prop::option::of(1..30_i64), any::<bool>())
        .prop_map(|(kind, lateness, every_records, every_ms, discarding)| Layout {
            kind,
            lateness,
            every_records,
            every_ms,
            discarding,
        })
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let ahead = prop_oneof![4 => 0..6_i64, 1 => 0..60_i64];
    let behind = prop_oneof![3 => 0..5_i64, 2 => 0..50_i64, 1 => 0..200_i64];
    prop::collection::vec((0..3_usize, ahead, behind, -5..100_i64), 1..150)
}

/// The configuration that says the same as the layout.
fn config(layout: &Layout) -> Value {
    let ms = |n: i64| format!("{n}ms");
    let mut window = match layout.kind {
        Kind::Fixed { size, slide, offset } => {
            json!({"sliding": {"size": ms(size), "slide": ms(slide)}, "offset": ms(offset)})
        }
        Kind::Session { gap } => json!({"session": ms(gap)}),
    };
    window["allowed_lateness"] = ms(layout.lateness).into();
    window["discarding"] = layout.discarding.into();
    if layout.every_records.is_some() || layout.every_ms.is_some() {
        let mut early = json!({});
        if let Some(count) = layout.every_records {
            early["records"] = count.into();
        }
        if let Some(every) = layout.every_ms {
            early["event_time"] = ms(every).into();
        }
        window["early"] = early;
    }
    json!({"window": window})
}

/// What a harness and the model make of a stream; the state and the timers must be gone at the end.
fn both<U: Udf>(
    layout: Layout,
    bound: i64,
    batch: usize,
    steps: &[Step],
) -> (BTreeMap<String, Vec<Value>>, BTreeMap<String, Vec<Out>>) {
    let mut now = 0;
    let records: Vec<(String, i64, i64)> = steps
        .iter()
        .map(|(key, ahead, behind, n)| {
            now += ahead;
            (format!("k{key}"), now - behind, *n)
        })
        .collect();

    let mut model = Model::new(layout);
    for (key, ts, n) in &records {
        model.record(key, *ts, *n);
        model.advance(ts - bound - 1);
    }
    model.advance(i64::MAX);

    let mut harness = Harness::<U>::with_config(config(&layout))
        .key_from("/key")
        .event_time_from("/ts")
        .with_bound(bound)
        .batches_of(batch);
    let sent = records.iter().map(|(key, ts, n)| Record::from(tick(key, *ts, *n)));
    assert_eq!(harness.send_all(sent), []);
    harness.end_of_input();
    assert_eq!(harness.pending_timers(), []);
    for key in model.out.keys() {
        assert_eq!(harness.stored_elements(key), 0, "of key {key}");
    }
    let mut found: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for item in harness.take("output") {
        found.entry(item["key"].as_str().unwrap().into()).or_default().push(item);
    }
    (found, model.out)
}

fn timing(out: &Out) -> &'static str {
    out.0.map_or("too late", name)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn aggregates(layout in layouts(), bound in 0..30_i64, batch in 1..64_usize, steps in steps()) {
        let (found, expected) = both::<Sums>(layout, bound, batch, &steps);
        let expected: BTreeMap<String, Vec<Value>> = expected.into_iter().map(|(key, outs)| {
            let lines = outs.iter().map(|out| json!({
                "key": key, "timing": timing(out), "start": out.1, "end": out.2,
                "sum": out.3.iter().sum::<i64>(), "count": out.3.len(),
            }));
            (key.clone(), lines.collect())
        }).collect();
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn elements(layout in layouts(), bound in 0..30_i64, batch in 1..64_usize, steps in steps()) {
        let (found, expected) = both::<Lists>(layout, bound, batch, &steps);
        let expected: BTreeMap<String, Vec<Value>> = expected.into_iter().map(|(key, outs)| {
            let lines = outs.iter().map(|out| json!({
                "key": key, "timing": timing(out), "start": out.1, "end": out.2, "elements": out.3,
            }));
            (key.clone(), lines.collect())
        }).collect();
        prop_assert_eq!(found, expected);
    }

    /// Windows of the layout before fire at their own ends, and nothing is left behind at the end.
    #[test]
    fn changes_of_the_layout(
        before in layouts(),
        after in layouts(),
        bound in 0..30_i64,
        batch in 1..64_usize,
        steps in steps(),
    ) {
        let mut harness = Harness::<Lists>::with_config(config(&before))
            .key_from("/key")
            .event_time_from("/ts")
            .with_bound(bound)
            .batches_of(batch);
        let mut now = 0;
        let records: Vec<Record> = steps.iter().map(|(key, ahead, behind, n)| {
            now += ahead;
            tick(&format!("k{key}"), now - behind, *n).into()
        }).collect();
        let (first, second) = records.split_at(records.len() / 2);
        prop_assert_eq!(harness.send_all(first.to_vec()), []);
        let mut harness = harness.reconfigured(config(&after));
        prop_assert_eq!(harness.send_all(second.to_vec()), []);
        harness.end_of_input();
        prop_assert_eq!(harness.pending_timers(), []);
        for key in ["k0", "k1", "k2"] {
            prop_assert_eq!(harness.stored_elements(key), 0, "of key {}", key);
        }
    }
}
