//! Interval joins against a model that compares all records with all.

use millstream_udf::prelude::*;
use millstream_udf::testing::Harness;
use proptest::prelude::*;
use serde_json::json;

use super::arrivals::{Sent, mixed, records, split_late, steps, told_late};

#[derive(Clone, Input, Serialize, Deserialize)]
struct Numbered {
    n: i64,
}

#[derive(States)]
struct Keyed {
    pairs: IntervalJoin<Numbered, Numbered>,
}

#[derive(Output)]
struct Met<'a> {
    key: &'a str,
    time: i64,
    left: Option<i64>,
    right: Option<i64>,
}

#[derive(Output)]
struct Late {
    right: bool,
    n: i64,
}

#[derive(Outputs)]
struct Out {
    met: Emit<Met<'static>>,
    late: Emit<Late>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
struct Bounds {
    lower: i64,
    upper: i64,
    left: bool,
    right: bool,
}

struct Pairs {
    interval: Interval,
}

#[udf(version = "1.0.0", state = Keyed, outputs = Out)]
impl Pairs {
    fn new(Bounds { lower, upper, left, right }: Bounds) -> Result<Self> {
        let mut interval = Interval::ms(lower, upper);
        if left {
            interval = interval.left_outer();
        }
        if right {
            interval = interval.right_outer();
        }
        Ok(Self { interval })
    }

    #[input]
    fn lefts(&self, record: Numbered, state: &mut Keyed, out: &mut Out) {
        if let Some(Numbered { n }) = state.pairs.left(record) {
            out.late.emit(Late { right: false, n });
        }
    }

    #[input]
    fn rights(&self, record: Numbered, state: &mut Keyed, out: &mut Out) {
        if let Some(Numbered { n }) = state.pairs.right(record) {
            out.late.emit(Late { right: true, n });
        }
    }

    #[join(pairs = self.interval)]
    fn met(
        &self,
        joined: Joined<Numbered, Numbered>,
        out: &mut Out,
        ctx: &FiredContext<'_>,
    ) -> Result<()> {
        let (left, right) = match joined {
            Joined::Pair { left, left_time, right, right_time } => {
                ensure!(
                    ctx.time() == left_time.max(right_time),
                    "a pair has the time of the later one"
                );
                (Some(left.n), Some(right.n))
            }
            Joined::Left { left, .. } => (Some(left.n), None),
            Joined::Right { right, .. } => (None, Some(right.n)),
        };
        out.met.emit(Met { key: ctx.key_text()?, time: ctx.time(), left, right });
        Ok(())
    }
}

/// What a join gives: time, key, and the numbers of left and right.
type Given = (i64, String, Option<i64>, Option<i64>);

/// All that belongs together, in the order of time and key, and at one time of a key in the order in which the
/// records meet: each left one with those before it, then right ones, then what is over. Whatever is over for the
/// right inputs comes before the right records of that time.
fn model(bounds: Bounds, records: &[Sent]) -> Vec<Given> {
    let Bounds { lower, upper, .. } = bounds;
    let (mut lefts, mut rights): (Vec<&Sent>, Vec<&Sent>) = records.iter().partition(|r| !r.right);
    lefts.sort_by_key(|r| (r.ts, r.n));
    rights.sort_by_key(|r| (r.ts, r.n));
    let within =
        |l: &Sent, r: &Sent| l.key == r.key && l.ts + lower <= r.ts && r.ts <= l.ts + upper;
    // Sorted by time, key, phase, and then as they were found.
    let mut out: Vec<((i64, String, u8), Given)> = Vec::new();
    let mut give = |time: i64, key: &str, phase: u8, left: Option<i64>, right: Option<i64>| {
        out.push(((time, key.to_owned(), phase), (time, key.to_owned(), left, right)));
    };
    for l in &lefts {
        let met: Vec<_> = rights.iter().filter(|r| within(l, r)).collect();
        for r in met.iter().filter(|r| r.ts <= l.ts) {
            give(l.ts, &l.key, 0, Some(l.n), Some(r.n));
        }
        if met.is_empty() && bounds.left {
            let phase = if upper > 0 { 3 } else { 0 };
            give(l.ts + upper.max(0), &l.key, phase, Some(l.n), None);
        }
    }
    for r in &rights {
        let met: Vec<_> = lefts.iter().filter(|l| within(l, r)).collect();
        for l in met.iter().filter(|l| l.ts < r.ts) {
            give(r.ts, &r.key, 2, Some(l.n), Some(r.n));
        }
        if met.is_empty() && bounds.right {
            let phase = if lower < 0 { 1 } else { 2 };
            give(r.ts - lower.min(0), &r.key, phase, None, Some(r.n));
        }
    }
    out.sort_by(|a, b| a.0.cmp(&b.0));
    out.into_iter().map(|(_, given)| given).collect()
}

/// What the harness makes of records in this order of arrival.
fn run(bounds: Bounds, bound: i64, batch: usize, records: &[Sent]) -> (Vec<Given>, Vec<String>) {
    let config = json!({
        "lower": bounds.lower, "upper": bounds.upper, "left": bounds.left, "right": bounds.right
    });
    let mut harness = Harness::<Pairs>::with_config(config)
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
    let met = harness.take("met").into_iter().map(|item| {
        let key = item["key"].as_str().expect("a key is text").to_owned();
        let time = item["time"].as_i64().expect("a time is a number");
        (time, key, item["left"].as_i64(), item["right"].as_i64())
    });
    let met = met.collect();
    let mut late = harness.take_lines("late");
    late.sort();
    (met, late)
}

fn bounds() -> impl Strategy<Value = Bounds> {
    (-30..30_i64, 0..30_i64, any::<bool>(), any::<bool>())
        .prop_map(|(lower, width, left, right)| Bounds { lower, upper: lower + width, left, right })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn all_that_belongs_together_in_every_order_of_arrival(
        bounds in bounds(),
        bound in 0..20_i64,
        batch in 1..20_usize,
        steps in steps(),
        picks in prop::collection::vec(any::<bool>(), 1..20),
    ) {
        let records = records(&steps);
        let (late, kept) = split_late(&records, bound);
        let expected = (model(bounds, &kept), told_late(&late));
        prop_assert_eq!(&run(bounds, bound, batch, &records), &expected);
        prop_assert_eq!(&run(bounds, bound, 1, &mixed(&records, &picks)), &expected);
        // One input is all there before the other.
        prop_assert_eq!(&run(bounds, bound, batch, &mixed(&records, &[true])), &expected);
    }
}

fn inner(lower: i64, upper: i64) -> Bounds {
    Bounds { lower, upper, left: false, right: false }
}

fn sent(right: bool, n: i64, ts: i64) -> Sent {
    Sent { right, key: "k".into(), ts, n }
}

#[test]
fn both_bounds_belong_to_the_interval() {
    let records = [
        sent(false, 0, 100),
        sent(true, 1, 89),
        sent(true, 2, 90),
        sent(true, 3, 110),
        sent(true, 4, 111),
    ];
    let (met, _) = run(inner(-10, 10), 100, 4, &records);
    let pairs: Vec<_> = met.iter().map(|(time, _, _, right)| (*time, *right)).collect();
    assert_eq!(pairs, [(100, Some(2)), (110, Some(3))]);
    let open = Interval::ms(-10, 10).lower_exclusive().upper_exclusive();
    assert_eq!(open, Interval::ms(-9, 9));
}

#[test]
fn several_records_of_one_time_all_meet() {
    let records = [
        sent(true, 1, 5),
        sent(false, 1, 5),
        sent(false, 2, 5),
        sent(true, 2, 5),
        sent(true, 3, 6),
    ];
    let (met, _) = run(inner(0, 0), 10, 1, &records);
    let pairs: Vec<_> = met.into_iter().map(|(_, _, left, right)| (left, right)).collect();
    let pair = |l, r| (Some(l), Some(r));
    assert_eq!(pairs, [pair(1, 1), pair(1, 2), pair(2, 1), pair(2, 2)]);
}

#[test]
#[should_panic(expected = "above its upper bound")]
fn an_empty_interval_is_refused() {
    let _ = Interval::ms(0, 0).upper_exclusive();
}

#[test]
fn the_states_and_timers_have_names() {
    let harness = Harness::<Pairs>::with_config(
        json!({"lower": 0, "upper": 1, "left": false, "right": false}),
    );
    let description = harness.description();
    let states: Vec<_> = description.states.iter().map(|state| &state.name[..]).collect();
    assert_eq!(states, ["pairs", "pairs_left", "pairs_right"]);
    let timers: Vec<_> = description.timers.iter().map(|timer| &timer.name[..]).collect();
    assert_eq!(timers, ["met", "met_expired"]);
}
