//! Windows of all kinds, with all settings, over random streams in random batches, against the model.

use std::collections::BTreeMap;

use millstream_udf::Udf;
use proptest::prelude::*;

use super::elements::Lists;
use super::model::{Kind, Layout, Model, Out};
use super::*;

/// A record: key, how far the stream goes on, how far it lies behind, its number, and how far processing time goes on
/// before it.
type Step = (usize, i64, i64, i64, i64);

/// Processing time at the beginning.
const BEGIN: i64 = 1_000_003;

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
        Just(Kind::Global),
    ];
    let lateness = prop_oneof![Just(0), 1..80_i64];
    let triggers = (
        prop::option::of(1..4_usize),
        prop::option::of(1..30_i64),
        prop::option::weighted(0.3, 1..30_i64),
    );
    (kinds, lateness, triggers, any::<bool>()).prop_map(
        |(kind, lateness, (every_records, every_ms, every_processing_ms), discarding)| {
            let mut layout =
                Layout { kind, lateness, every_records, every_ms, every_processing_ms, discarding };
            if matches!(kind, Kind::Global) {
                layout.lateness = 0;
                if (every_records, every_ms, every_processing_ms) == (None, None, None) {
                    layout.every_records = Some(2);
                }
            }
            layout
        },
    )
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let ahead = prop_oneof![4 => 0..6_i64, 1 => 0..60_i64];
    let behind = prop_oneof![3 => 0..5_i64, 2 => 0..50_i64, 1 => 0..200_i64];
    let processing = prop_oneof![4 => Just(0), 1 => 1..40_i64];
    prop::collection::vec((0..3_usize, ahead, behind, -5..100_i64, processing), 1..150)
}

/// The configuration that says the same as the layout.
fn config(layout: &Layout) -> Value {
    let ms = |n: i64| format!("{n}ms");
    let mut window = match layout.kind {
        Kind::Fixed { size, slide, offset } => {
            json!({"sliding": {"size": ms(size), "slide": ms(slide)}, "offset": ms(offset)})
        }
        Kind::Session { gap } => json!({"session": ms(gap)}),
        Kind::Global => json!({}),
    };
    window["discarding"] = layout.discarding.into();
    let mut early = json!({});
    if let Some(count) = layout.every_records {
        early["records"] = count.into();
    }
    for (name, every) in
        [("event_time", layout.every_ms), ("processing_time", layout.every_processing_ms)]
    {
        if let Some(every) = every {
            early[name] = ms(every).into();
        }
    }
    if matches!(layout.kind, Kind::Global) {
        window["global"] = early;
        return json!({"window": window});
    }
    window["allowed_lateness"] = ms(layout.lateness).into();
    if early != json!({}) {
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
    // Key, time, number, and processing time.
    let (mut now, mut processing) = (0, BEGIN);
    let records: Vec<(String, i64, i64, i64)> = steps
        .iter()
        .map(|(key, ahead, behind, n, waits)| {
            now += ahead;
            processing += waits;
            (format!("k{key}"), now - behind, *n, processing)
        })
        .collect();
    let end = processing + 1_000;

    let mut model = Model::new(layout, BEGIN);
    for (key, ts, n, processing) in &records {
        model.advance_processing(*processing);
        model.record(key, *ts, *n);
        model.advance(ts - bound - 1);
    }
    model.advance(i64::MAX);
    model.advance_processing(end);

    let mut harness = Harness::<U>::with_config(config(&layout))
        .key_from("/key")
        .event_time_from("/ts")
        .with_bound(bound)
        .batches_of(batch);
    for same in records.chunk_by(|a, b| a.3 == b.3) {
        harness.advance_processing_time(same[0].3);
        let sent = same.iter().map(|(key, ts, n, _)| Record::from(tick(key, *ts, *n)));
        assert_eq!(harness.send_all(sent), []);
    }
    harness.end_of_input();
    harness.advance_processing_time(end);
    assert_eq!(harness.pending_timers(), []);
    // The global window never ends.
    if !matches!(layout.kind, Kind::Global) {
        for key in model.out.keys() {
            assert_eq!(harness.stored_elements(key), 0, "of key {key}");
        }
    }
    let mut found: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for item in harness.take("output") {
        found.entry(item["key"].as_str().unwrap().into()).or_default().push(item);
    }
    // A key whose window has never fired.
    model.out.retain(|_, out| !out.is_empty());
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
        before in layouts().prop_filter("it ends", |layout| !matches!(layout.kind, Kind::Global)),
        after in layouts().prop_filter("it ends", |layout| !matches!(layout.kind, Kind::Global)),
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
        let records: Vec<Record> = steps.iter().map(|(key, ahead, behind, n, _)| {
            now += ahead;
            tick(&format!("k{key}"), now - behind, *n).into()
        }).collect();
        let (first, second) = records.split_at(records.len() / 2);
        prop_assert_eq!(harness.send_all(first.to_vec()), []);
        let mut harness = harness.reconfigured(config(&after));
        prop_assert_eq!(harness.send_all(second.to_vec()), []);
        harness.end_of_input();
        harness.advance_processing_time(i64::MAX);
        prop_assert_eq!(harness.pending_timers(), []);
        for key in ["k0", "k1", "k2"] {
            prop_assert_eq!(harness.stored_elements(key), 0, "of key {}", key);
        }
    }
}
