//! Joins with a table whose rows have versions: of the same key, and broadcast. Both must give what a model gives that
//! knows all versions from the beginning.

use millstream_udf::Udf;
use millstream_udf::prelude::*;
use millstream_udf::testing::Harness;
use proptest::prelude::*;
use serde_json::json;

use super::arrivals::{Sent, mixed, records, split_late, steps, told_late};

#[derive(Clone, Input, Serialize, Deserialize)]
struct Numbered {
    n: i64,
}

#[derive(Clone, Input, Serialize, Deserialize)]
struct Row {
    key: String,
    n: i64,
}

#[derive(Output)]
struct Met<'a> {
    key: &'a str,
    time: i64,
    left: i64,
    right: Option<i64>,
    since: Option<i64>,
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

/// Versions with such a number remove the row.
fn removes(n: i64) -> bool {
    n % 4 == 0
}

#[derive(States)]
struct Keyed {
    rates: TemporalJoin<Numbered, i64>,
}

/// The table has the same key.
#[derive(Default)]
struct SameKey;

#[udf(version = "1.0.0", state = Keyed, outputs = Out)]
impl SameKey {
    #[input]
    fn lefts(&self, record: Numbered, keyed: &mut Keyed, out: &mut Out) {
        if let Some(Numbered { n }) = keyed.rates.push(record) {
            out.late.emit(Late { right: false, n });
        }
    }

    #[input]
    fn rights(&self, Numbered { n }: Numbered, keyed: &mut Keyed, out: &mut Out) {
        let late = if removes(n) { keyed.rates.remove() } else { keyed.rates.set(n).is_some() };
        if late {
            out.late.emit(Late { right: true, n });
        }
    }

    #[join(rates = AsOf)]
    fn rated(
        &self,
        joined: Versioned<Numbered, i64>,
        out: &mut Out,
        ctx: &FiredContext<'_>,
    ) -> Result<()> {
        let Versioned { record, version, since } = joined;
        let (key, time) = (ctx.key_text()?, ctx.time());
        out.met.emit(Met { key, time, left: record.n, right: version, since });
        Ok(())
    }
}

#[derive(States)]
struct Waiting {
    lefts: Ordered<Numbered>,
}

#[derive(States)]
struct Tables {
    rates: BroadcastTable<String, i64>,
    changes: BroadcastValue<i64>,
}

/// The table is broadcast, and its rows have the names of the keys.
#[derive(Default)]
struct Broadcast;

#[udf(version = "1.0.0", state = Waiting, broadcast = Tables, outputs = Out)]
impl Broadcast {
    #[input]
    fn lefts(&self, record: Numbered, waiting: &mut Waiting, out: &mut Out) {
        if let Some(Numbered { n }) = waiting.lefts.push(record) {
            out.late.emit(Late { right: false, n });
        }
    }

    #[input(broadcast)]
    fn rights(
        &self,
        Row { key, n }: Row,
        tables: &mut Tables,
        out: &mut Out,
        ctx: &mut BroadcastContext<'_>,
    ) {
        let late = if removes(n) {
            tables.rates.remove(&key, ctx)
        } else {
            tables.rates.set(&key, n, ctx).is_some()
        };
        if late {
            out.late.emit(Late { right: true, n });
        }
        let changes = tables.changes.get().map_or(0, |n| *n);
        tables.changes.set(changes + 1);
    }

    #[join(lefts = ByEventTime)]
    fn rated(
        &self,
        record: Numbered,
        tables: &Tables,
        out: &mut Out,
        ctx: &FiredContext<'_>,
    ) -> Result<()> {
        let (key, time) = (ctx.key_text()?, ctx.time());
        let version = tables.rates.at(key, time);
        let listed = tables.rates.all_at(time).find(|(row, _)| row == key);
        ensure!(
            listed.as_ref().map(|(_, version)| **version) == version.as_deref().copied(),
            "one by one and all together are the same"
        );
        let (right, since) = version.map(|version| (*version, version.since())).unzip();
        out.met.emit(Met { key, time, left: record.n, right, since });
        Ok(())
    }
}

/// What a join gives: time, key, number of the record, number and time of its version.
type Given = (i64, String, i64, Option<i64>, Option<i64>);

fn model(records: &[Sent]) -> Vec<Given> {
    let mut lefts: Vec<&Sent> = records.iter().filter(|r| !r.right).collect();
    lefts.sort_by_key(|r| (r.ts, r.key.clone(), r.n));
    let rated = lefts.into_iter().map(|l| {
        let earlier = records.iter().filter(|r| r.right && r.key == l.key && r.ts <= l.ts);
        let valid = earlier.max_by_key(|r| (r.ts, r.n)).filter(|r| !removes(r.n));
        (l.ts, l.key.clone(), l.n, valid.map(|r| r.n), valid.map(|r| r.ts))
    });
    rated.collect()
}

/// What the harness makes of records in this order of arrival, and how many elements it keeps.
fn run<U: Udf>(
    bound: i64,
    batch: usize,
    records: &[Sent],
) -> (Vec<Given>, Vec<String>, Harness<U>) {
    let mut harness = Harness::<U>::new()
        .key_from("/key")
        .event_time_from("/ts")
        .with_bound(bound)
        .batches_of(batch);
    assert_eq!(harness.send_mixed(records.iter().map(Sent::record)), []);
    harness.end_of_input();
    assert_eq!(harness.pending_timers(), []);
    let met = harness.take("met").into_iter().map(|item| {
        let key = item["key"].as_str().expect("a key is text").to_owned();
        let number = |name: &str| item[name].as_i64();
        let (time, left) = (number("time"), number("left"));
        let left = left.expect("each has a record");
        (time.expect("each has a time"), key, left, number("right"), number("since"))
    });
    let met = met.collect();
    let mut late = harness.take_lines("late");
    late.sort();
    (met, late, harness)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 700, ..ProptestConfig::default() })]

    #[test]
    fn each_record_gets_the_version_of_its_time(
        bound in 0..20_i64,
        batch in 1..20_usize,
        steps in steps(),
        picks in prop::collection::vec(any::<bool>(), 1..20),
    ) {
        let records = records(&steps);
        let (late, kept) = split_late(&records, bound);
        let expected = (model(&kept), told_late(&late));
        let orders = [records.clone(), mixed(&records, &picks), mixed(&records, &[true])];
        for (records, batch) in orders.iter().zip([batch, 1, batch]) {
            let (met, late, mut harness) = run::<SameKey>(bound, batch, records);
            prop_assert_eq!((&met, &late), (&expected.0, &expected.1));
            for record in records {
                // One version, if the row is there.
                prop_assert!(harness.stored_elements(&record.key) <= 1);
                let kept = harness.with_state(&record.key, |keyed| keyed.rates.kept());
                prop_assert_eq!(kept.0, 0);
            }
            let (met, late, mut harness) = run::<Broadcast>(bound, batch, records);
            prop_assert_eq!((&met, &late), (&expected.0, &expected.1));
            let changes = harness.with_broadcast(|tables| tables.changes.get());
            let sent = records.iter().filter(|r| r.right).count() as i64;
            prop_assert_eq!(changes.as_deref().copied(), Some(sent).filter(|n| *n > 0));
            for record in records {
                prop_assert_eq!(harness.stored_elements(&record.key), 0);
            }
        }
    }
}

#[test]
fn only_versions_that_may_be_needed_are_kept() {
    let mut harness = Harness::<Broadcast>::new().key_from("/key").event_time_from("/ts");
    for ts in [10, 20, 30, 40] {
        harness.send_to("rights", json!({"key": "a", "n": ts + 1, "ts": ts})).unwrap();
    }
    harness.advance_watermark(35);
    harness.send_to("rights", json!({"key": "a", "n": 51, "ts": 50})).unwrap();
    let versions = harness.with_broadcast(|tables| {
        let since = |time| tables.rates.at("a", time).map(|version| version.since());
        [25, 30, 39, 40, 99].map(since)
    });
    assert_eq!(versions, [None, Some(30), Some(30), Some(40), Some(50)]);
}

#[test]
fn the_states_have_names_and_say_whose_they_are() {
    let states = |description: &millstream_udf::contract::Description| -> Vec<(String, bool)> {
        description.states.iter().map(|state| (state.name.clone(), state.broadcast)).collect()
    };
    let of = |name: &str, broadcast| (name.to_owned(), broadcast);
    assert_eq!(
        states(Harness::<SameKey>::new().description()),
        [of("rates", false), of("rates_records", false), of("rates_versions", false)]
    );
    let harness = Harness::<Broadcast>::new();
    assert_eq!(
        states(harness.description()),
        [of("lefts", false), of("lefts_records", false), of("rates", true), of("changes", true)]
    );
    let inputs: Vec<_> = harness
        .description()
        .inputs
        .iter()
        .map(|input| (&input.name[..], input.broadcast))
        .collect();
    assert_eq!(inputs, [("lefts", false), ("rights", true)]);
}
