//! Windowed joins against a model that knows all records of a window.

use std::collections::BTreeMap;

use millstream_udf::prelude::*;
use millstream_udf::testing::Harness;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::arrivals::{Sent, mixed, records, steps, with_watermarks};

#[derive(Clone, Input, Serialize, Deserialize)]
struct Numbered {
    n: i64,
}

#[derive(States)]
struct Keyed {
    visits: WindowJoin<Numbered, Numbered>,
}

#[derive(Output)]
struct Grouped {
    key: String,
    start: i64,
    end: i64,
    left: Json<Vec<i64>>,
    right: Json<Vec<i64>>,
    pairs: i64,
}

#[derive(Output)]
struct Late {
    right: bool,
    n: i64,
}

#[derive(Outputs)]
struct Out {
    grouped: Emit<Grouped>,
    late: Emit<Late>,
}

#[derive(Deserialize)]
struct Config {
    window: Window,
}

struct Visits {
    window: Window,
}

#[udf(version = "1.0.0", state = Keyed, outputs = Out)]
impl Visits {
    fn new(config: Config) -> Result<Self> {
        Ok(Self { window: config.window })
    }

    #[input]
    fn lefts(&self, record: Numbered, keyed: &mut Keyed, out: &mut Out) {
        let n = record.n;
        if keyed.visits.left(record).is_late() {
            out.late.emit(Late { right: false, n });
        }
    }

    #[input]
    fn rights(&self, record: Numbered, keyed: &mut Keyed, out: &mut Out) {
        let n = record.n;
        if keyed.visits.right(record).is_late() {
            out.late.emit(Late { right: true, n });
        }
    }

    #[window(visits = self.window)]
    fn visit(
        &self,
        joined: JoinedWindow<Numbered, Numbered>,
        out: &mut Out,
        ctx: &FiredContext<'_>,
    ) -> Result<()> {
        let pairs = joined.pairs().count() as i64;
        let JoinedWindow { start, end, left, right, .. } = joined;
        let numbers = |records: Vec<Numbered>| Json(records.into_iter().map(|r| r.n).collect());
        let (left, right) = (numbers(left), numbers(right));
        out.grouped.emit(Grouped { key: ctx.key_text()?.into(), start, end, left, right, pairs });
        Ok(())
    }
}

/// How windows lie.
#[derive(Clone, Copy, Debug)]
enum Layout {
    Tumbling(i64),
    Sliding { size: i64, slide: i64 },
    Session(i64),
}

impl Layout {
    fn config(self) -> Value {
        let ms = |n: i64| format!("{n}ms");
        json!({"window": match self {
            Self::Tumbling(size) => json!({"tumbling": ms(size)}),
            Self::Sliding { size, slide } => json!({"sliding": {"size": ms(size), "slide": ms(slide)}}),
            Self::Session(gap) => json!({"session": ms(gap)}),
        }})
    }

    /// The windows of a time by itself.
    fn windows(self, ts: i64) -> Vec<(i64, i64)> {
        match self {
            Self::Tumbling(size) => Self::Sliding { size, slide: size }.windows(ts),
            Self::Sliding { size, slide } => {
                let last = ts.div_euclid(slide) * slide;
                let starts = (0..).map(|i| last - i * slide).take_while(|start| start + size > ts);
                starts.map(|start| (start, start + size)).collect()
            }
            Self::Session(gap) => vec![(ts, ts + gap)],
        }
    }
}

/// Bounds of a window, and its records.
type Held = ((i64, i64), Vec<Sent>);

/// The windows that fire, in the order of end and key, and the late records.
fn model(layout: Layout, bound: i64, records: &[Sent]) -> (Vec<Value>, Vec<String>) {
    let (mut late, mut kept) = (Vec::new(), Vec::new());
    for (record, watermark) in with_watermarks(records, bound) {
        let session = matches!(layout, Layout::Session(_));
        let open = layout.windows(record.ts).into_iter();
        let open: Vec<_> =
            open.filter(|(_, end)| if session { record.ts } else { end - 1 } > watermark).collect();
        if open.is_empty() {
            late.push(record);
        } else {
            kept.extend(open.into_iter().map(|window| (window, record.clone())));
        }
    }
    kept.sort_by_key(|(window, record)| (*window, record.ts, record.n));
    let mut windows: BTreeMap<String, Vec<Held>> = BTreeMap::new();
    for ((start, end), record) in kept {
        let of_key = windows.entry(record.key.clone()).or_default();
        let session = matches!(layout, Layout::Session(_));
        let same = of_key
            .iter_mut()
            .find(|((s, e), _)| (*s, *e) == (start, end) || session && start < *e && *s < end);
        match same {
            Some(((s, e), records)) => {
                (*s, *e) = ((*s).min(start), (*e).max(end));
                records.push(record);
            }
            None => of_key.push(((start, end), vec![record])),
        }
    }
    let mut fired: Vec<_> = windows
        .into_iter()
        .flat_map(|(key, windows)| {
            windows
                .into_iter()
                .map(move |(window, records)| (window.1, key.clone(), window.0, records))
        })
        .collect();
    fired.sort_by_key(|(end, key, start, _)| (*end, key.clone(), *start));
    let lines = fired.into_iter().map(|(end, key, start, records)| {
        let (left, right): (Vec<Sent>, Vec<Sent>) = records.into_iter().partition(|r| !r.right);
        let pairs = left.len() * right.len();
        let numbers = |records: Vec<Sent>| records.iter().map(|r| r.n).collect::<Vec<_>>();
        json!({
            "key": key, "start": start, "end": end, "pairs": pairs,
            "left": numbers(left), "right": numbers(right),
        })
    });
    (lines.collect(), super::arrivals::told_late(&late))
}

fn run(layout: Layout, bound: i64, batch: usize, records: &[Sent]) -> (Vec<Value>, Vec<String>) {
    let mut harness = Harness::<Visits>::with_config(layout.config())
        .key_from("/key")
        .event_time_from("/ts")
        .with_bound(bound)
        .batches_of(batch);
    assert_eq!(harness.send_mixed(records.iter().map(Sent::record)), []);
    harness.end_of_input();
    assert_eq!(harness.pending_timers(), []);
    for record in records {
        assert_eq!(harness.stored_elements(&record.key), 0, "of key {}", record.key);
    }
    let mut late = harness.take_lines("late");
    late.sort();
    (harness.take("grouped"), late)
}

fn layouts() -> impl Strategy<Value = Layout> {
    prop_oneof![
        (1..40_i64).prop_map(Layout::Tumbling),
        (1..40_i64, 1..20_i64)
            .prop_map(|(size, slide)| Layout::Sliding { size, slide: slide.min(size) }),
        (1..30_i64).prop_map(Layout::Session),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 700, ..ProptestConfig::default() })]

    #[test]
    fn windows_hold_the_records_of_both_inputs(
        layout in layouts(),
        bound in 0..20_i64,
        batch in 1..20_usize,
        steps in steps(),
        picks in prop::collection::vec(any::<bool>(), 1..20),
    ) {
        let records = records(&steps);
        let expected = model(layout, bound, &records);
        prop_assert_eq!(&run(layout, bound, batch, &records), &expected);
        prop_assert_eq!(&run(layout, bound, 1, &mixed(&records, &picks)), &expected);
        prop_assert_eq!(&run(layout, bound, batch, &mixed(&records, &[true])), &expected);
    }
}
