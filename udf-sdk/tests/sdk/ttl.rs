//! Time to live by event time: on values, list items and map entries, for any batching.

use std::collections::BTreeMap;

use millstream_udf::contract::TimeDomain;
use millstream_udf::prelude::*;
use millstream_udf::testing::Harness;
use proptest::prelude::*;
use serde_json::json;

const TTL: i64 = 100;

#[derive(Input)]
struct Step<'a> {
    /// What to do: a name of the arms below.
    what: &'a str,
    n: i64,
}

#[derive(Output, Debug, PartialEq)]
struct Seen {
    last: Option<i64>,
    items: Json<Vec<i64>>,
    entries: Json<Vec<(i64, i64)>>,
}

#[derive(States)]
struct Kept {
    #[state(ttl = "100ms", event_time)]
    last: Value<i64>,
    #[state(ttl = "100ms", event_time)]
    items: List<i64>,
    #[state(ttl = "100ms", event_time)]
    entries: Map<i64, i64>,
}

#[udf(state = Kept)]
fn keeper(step: Step<'_>, kept: &mut Kept, out: &mut Emit<Seen>) -> Result<()> {
    match step.what {
        "look" => {}
        "set" => kept.last.set(step.n),
        "add" => *kept.last.get_or_default() += step.n,
        "clear" => kept.last.clear(),
        "push" => kept.items.push(&step.n),
        "replace" => {
            if let Some(last) = kept.items.len().checked_sub(1) {
                kept.items.set(step.n as u64 % (last + 1), &step.n);
            }
        }
        "put" => kept.entries.insert(&(step.n % 5), &step.n),
        "remove" => kept.entries.remove(&(step.n % 5)),
        "refuse" => {
            kept.items.push(&step.n);
            kept.last.set(step.n);
            bail!("refused");
        }
        other => bail!("unknown step {other}"),
    }
    let items: Vec<i64> = kept.items.iter().collect();
    assert_eq!(kept.items.len() as usize, items.len());
    assert_eq!(kept.items.is_empty(), items.is_empty());
    for (i, item) in items.iter().enumerate() {
        assert_eq!(kept.items.get(i as u64), Some(*item));
    }
    let entries: Vec<(i64, i64)> = kept.entries.iter().collect();
    assert_eq!(kept.entries.first(), entries.first().copied());
    for entry in 0..5 {
        let wanted = entries.iter().find(|(key, _)| *key == entry).map(|(_, value)| *value);
        assert_eq!(kept.entries.get(&entry), wanted);
        assert_eq!(kept.entries.contains(&entry), wanted.is_some());
    }
    out.emit(Seen { last: kept.last.get().copied(), items: Json(items), entries: Json(entries) });
    Ok(())
}

const STEPS: [&str; 9] =
    ["look", "set", "add", "clear", "push", "replace", "put", "remove", "refuse"];

/// What is kept, as plain maps with the time at which each element expires.
#[derive(Default)]
struct Model {
    last: Option<(i64, i64)>,
    items: Vec<(i64, i64)>,
    entries: BTreeMap<i64, (i64, i64)>,
}

impl Model {
    /// Does a step; what is seen afterwards, unless it is refused.
    fn step(&mut self, what: &str, n: i64, event_time: i64, watermark: i64) -> Option<Seen> {
        // Exactly what has expired is gone: nothing else may depend on when it is cleaned up.
        self.last = self.last.filter(|(_, expiry)| *expiry > watermark);
        self.items.retain(|(_, expiry)| *expiry > watermark);
        self.entries.retain(|_, (_, expiry)| *expiry > watermark);
        let expiry = event_time + TTL;
        match what {
            "set" => self.last = Some((n, expiry)),
            "add" => self.last = Some((self.last.map_or(0, |(last, _)| last) + n, expiry)),
            "clear" => self.last = None,
            "push" => self.items.push((n, expiry)),
            "replace" if !self.items.is_empty() => {
                let place = n as usize % self.items.len();
                self.items[place] = (n, expiry);
            }
            "put" => drop(self.entries.insert(n % 5, (n, expiry))),
            "remove" => drop(self.entries.remove(&(n % 5))),
            "refuse" => return None,
            _ => {}
        }
        let live = |(value, expiry): &(i64, i64)| (*expiry > watermark).then_some(*value);
        Some(Seen {
            last: self.last.as_ref().and_then(live),
            items: Json(self.items.iter().filter_map(live).collect()),
            entries: Json(
                self.entries.iter().filter_map(|(key, v)| Some((*key, live(v)?))).collect(),
            ),
        })
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn what_is_seen_depends_on_a_records_watermark_and_not_on_batches(
        steps in prop::collection::vec((0..STEPS.len(), 0i64..20, -150i64..60), 1..80),
        batch in prop_oneof![Just(1usize), Just(3), Just(4096)],
    ) {
        const BOUND: i64 = 50;
        let mut harness = Harness::<Keeper>::new()
            .event_time_from("/at").with_bound(BOUND).batches_of(batch);
        let (mut model, mut wanted) = (Model::default(), Vec::new());
        let (mut clock, mut max) = (1000, i64::MIN);
        let mut records = Vec::new();
        for (step, n, offset) in steps {
            clock += 7;
            let at = clock + offset;
            let watermark = if max == i64::MIN { i64::MIN } else { max - BOUND - 1 };
            max = max.max(at);
            wanted.extend(model.step(STEPS[step], n, at, watermark));
            records.push(json!({"what": STEPS[step], "n": n, "at": at}));
        }
        harness.send_all(records);
        let wanted: Vec<_> = wanted.iter().map(|seen| json!({
            "entries": seen.entries.0, "items": seen.items.0, "last": seen.last,
        })).collect();
        let found: Vec<_> = harness.take("output").into_iter().map(|mut seen| {
            // An absent field is left out.
            seen.as_object_mut().unwrap().entry("last").or_insert(json!(null));
            seen
        }).collect();
        prop_assert_eq!(found, wanted);
    }
}

#[test]
fn the_clock_and_the_layout_are_declared() {
    let states = Harness::<Keeper>::new().description().states.clone();
    assert!(states.iter().all(|state| state.ttl_domain == TimeDomain::EventTime));
    assert!(states.iter().all(|state| state.ttl_ms == Some(100)));
}

#[test]
fn processing_time_is_another_clock() {
    let mut harness = Harness::<Keeper>::new().event_time_from("/at");
    harness.send(json!({"what": "set", "n": 7, "at": 1000})).unwrap();
    harness.advance_processing_time(1_000_000);
    harness.advance_watermark(1099);
    harness.with_state("", |kept| assert_eq!(kept.last.get(), Some(&7)));
    harness.advance_watermark(1100);
    harness.with_state("", |kept| assert_eq!(kept.last.get(), None));
}
