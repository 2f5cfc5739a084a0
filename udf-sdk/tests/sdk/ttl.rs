//! Time to live by event time and by processing time: on values, list items and map entries, for any batching.

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

/// The same by the other clock.
#[derive(States)]
struct KeptByProcessingTime {
    #[state(ttl = "100ms")]
    last: Value<i64>,
    #[state(ttl = "100ms")]
    items: List<i64>,
    #[state(ttl = "100ms")]
    entries: Map<i64, i64>,
}

#[udf(state = Kept)]
fn keeper(step: Step<'_>, kept: &mut Kept, out: &mut Emit<Seen>) -> Result<()> {
    take(step, &mut kept.last, &mut kept.items, &mut kept.entries, out)
}

#[udf(state = KeptByProcessingTime)]
fn clerk(step: Step<'_>, kept: &mut KeptByProcessingTime, out: &mut Emit<Seen>) -> Result<()> {
    take(step, &mut kept.last, &mut kept.items, &mut kept.entries, out)
}

/// Takes a step, and emits all that is seen behind it.
fn take(
    step: Step<'_>,
    last: &mut Value<i64>,
    items: &mut List<i64>,
    entries: &mut Map<i64, i64>,
    out: &mut Emit<Seen>,
) -> Result<()> {
    match step.what {
        "look" => {}
        "set" => last.set(step.n),
        "add" => *last.get_or_default() += step.n,
        "clear" => last.clear(),
        "push" => items.push(&step.n),
        "replace" => {
            if !items.is_empty() {
                items.set(step.n as u64 % items.len(), &step.n);
            }
        }
        "put" => entries.insert(&(step.n % 5), &step.n),
        "remove" => entries.remove(&(step.n % 5)),
        "refuse" => {
            items.push(&step.n);
            last.set(step.n);
            bail!("refused");
        }
        other => bail!("unknown step {other}"),
    }
    let all: Vec<i64> = items.iter().collect();
    assert_eq!(items.len() as usize, all.len());
    assert_eq!(items.is_empty(), all.is_empty());
    for (i, item) in all.iter().enumerate() {
        assert_eq!(items.get(i as u64), Some(*item));
    }
    let found: Vec<(i64, i64)> = entries.iter().collect();
    assert_eq!(entries.first(), found.first().copied());
    for entry in 0..5 {
        let wanted = found.iter().find(|(key, _)| *key == entry).map(|(_, value)| *value);
        assert_eq!(entries.get(&entry), wanted);
        assert_eq!(entries.contains(&entry), wanted.is_some());
    }
    out.emit(Seen { last: last.get().copied(), items: Json(all), entries: Json(found) });
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
    /// Does a step that was written at `at`, when the clock that decides says `now`; what is seen afterwards, unless it is
    /// refused. That clock is the watermark for elements that were written at an event time, and otherwise the
    /// same.
    fn step(&mut self, what: &str, n: i64, at: i64, now: i64) -> Option<Seen> {
        // Exactly what has expired is gone: nothing else may depend on when it is cleaned up.
        self.last = self.last.filter(|(_, expiry)| *expiry > now);
        self.items.retain(|(_, expiry)| *expiry > now);
        self.entries.retain(|_, (_, expiry)| *expiry > now);
        let expiry = at + TTL;
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
        let live = |(value, expiry): &(i64, i64)| (*expiry > now).then_some(*value);
        Some(Seen {
            last: self.last.as_ref().and_then(live),
            items: Json(self.items.iter().filter_map(live).collect()),
            entries: Json(
                self.entries.iter().filter_map(|(key, v)| Some((*key, live(v)?))).collect(),
            ),
        })
    }
}

/// What a harness must have emitted.
fn lines(wanted: &[Seen]) -> Vec<serde_json::Value> {
    let line =
        |seen: &Seen| json!({"entries": seen.entries.0, "items": seen.items.0, "last": seen.last});
    wanted.iter().map(line).collect()
}

/// What it has emitted: an absent field is left out.
fn found<U: millstream_udf::Udf>(harness: &mut Harness<U>) -> Vec<serde_json::Value> {
    let mut found = harness.take("output");
    for seen in &mut found {
        seen.as_object_mut().expect("an object").entry("last").or_insert(json!(null));
    }
    found
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 256, ..ProptestConfig::default() })]

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
        prop_assert_eq!(found(&mut harness), lines(&wanted));
    }

    /// Whatever the event times are.
    #[test]
    fn by_processing_time_what_is_seen_depends_on_the_call(
        calls in prop::collection::vec(
            (0..70_i64, prop::collection::vec((0..STEPS.len(), 0..20_i64, 0..500_i64), 1..12)),
            1..20,
        ),
        batch in prop_oneof![Just(1_usize), Just(3), Just(4096)],
    ) {
        let mut harness = Harness::<Clerk>::new().event_time_from("/at").batches_of(batch);
        let (mut model, mut wanted, mut now) = (Model::default(), Vec::new(), 1_000);
        for (waits, steps) in calls {
            now += waits;
            harness.advance_processing_time(now);
            wanted.extend(steps.iter().filter_map(|(step, n, _)| model.step(STEPS[*step], *n, now, now)));
            harness.send_all(steps.iter().map(|(step, n, at)| json!({"what": STEPS[*step], "n": n, "at": at})));
        }
        prop_assert_eq!(found(&mut harness), lines(&wanted));
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
