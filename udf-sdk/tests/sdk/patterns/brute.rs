//! Random patterns against a model that tries every way, written from what the stages' documentation says.

use millstream_udf::testing::Harness;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::search::{Event, Search};

/// The watermark's bound, in milliseconds.
const BOUND_MS: i64 = 3;

/// A stage: kind, letters, whether a record's value must be above the sum of what the first stage took, how
/// often it takes one with what contiguity between, and whether it may take none.
#[derive(Clone, Debug)]
pub struct Stage {
    pub kind: char,
    letters: &'static str,
    is_above: bool,
    /// From so many on, up to so many if there is an end.
    times: (usize, Option<usize>),
    inner: char,
    is_optional: bool,
}

impl Stage {
    pub fn forbids(&self) -> bool {
        matches!(self.kind, 'N' | 'X')
    }

    fn fits(&self, event: &Event, taken: &[(usize, &Event)]) -> bool {
        let sum: i64 = taken.iter().filter(|(stage, _)| *stage == 0).map(|(_, e)| e.value).sum();
        self.letters.contains(&event.letter) && (!self.is_above || event.value > sum)
    }
}

/// As [`Search`] spells it.
pub fn spell(stages: &[Stage], within: i64, skip: &str) -> String {
    let stages = stages.iter().enumerate().map(|(i, stage)| {
        let Stage { kind, letters, times, inner, .. } = stage;
        let above = if stage.is_above { "<s0" } else { "" };
        let times = match times {
            (from, None) => format!("{from}+"),
            (from, Some(to)) if from == to => from.to_string(),
            (from, Some(to)) => format!("{from}-{to}"),
        };
        let optional = if stage.is_optional { "?" } else { "" };
        format!("{kind}/s{i}/{letters}{above}/{times}/{inner}{optional}")
    });
    format!("{within} {skip} {}", stages.collect::<Vec<_>>().join(" "))
}

/// Everything that a pattern finds in events that are in order.
struct Model<'m> {
    stages: &'m [Stage],
    within: i64,
    events: &'m [(i64, Event)],
    found: Vec<String>,
}

impl<'m> Model<'m> {
    fn begin(&mut self) {
        let events = self.events;
        for (at, (_, event)) in events.iter().enumerate() {
            if self.stages[0].fits(event, &[]) {
                self.taken(0, 1, at, vec![(0, event)]);
            }
        }
    }

    /// Stage `stage` has taken its record number `count`, the event at `at`.
    fn taken(&mut self, stage: usize, count: usize, at: usize, taken: Vec<(usize, &'m Event)>) {
        let Stage { times: (from, to), inner, .. } = self.stages[stage];
        if to.is_none_or(|to| count < to) {
            let contiguity = match inner {
                'c' => 'n',
                'C' => 'a',
                _ => 'f',
            };
            self.look(stage, count, contiguity, &[], at, taken.clone());
        }
        if count >= from {
            self.go_on(stage, at, taken);
        }
    }

    /// Stage `stage` takes no more; the record before is the event at `at`.
    fn go_on(&mut self, stage: usize, at: usize, taken: Vec<(usize, &'m Event)>) {
        let behind = &self.stages[stage + 1..];
        let nots = behind.iter().take_while(|s| s.forbids()).count();
        let Some(next) = behind.get(nots) else { return self.end(behind, at, taken) };
        self.look(stage + nots + 1, 0, next.kind, &behind[..nots], at, taken.clone());
        if next.is_optional {
            self.go_on(stage + nots + 1, at, taken);
        }
    }

    /// Looks behind `at` for the next record of a stage.
    fn look(
        &mut self,
        stage: usize,
        count: usize,
        contiguity: char,
        nots: &[Stage],
        at: usize,
        taken: Vec<(usize, &'m Event)>,
    ) {
        let events = self.events;
        for (next, (time, event)) in events.iter().enumerate().skip(at + 1) {
            if self.is_over(*time, &taken) {
                return self.show('T', &taken);
            }
            let forbids = |kind| nots.iter().any(|s| s.kind == kind && s.fits(event, &taken));
            if next == at + 1 && forbids('N') {
                return;
            }
            let fits = self.stages[stage].fits(event, &taken);
            let stops = forbids('X');
            let completes =
                stage + 1 == self.stages.len() && count + 1 == self.stages[stage].times.0;
            // A record that is forbidden and completes the pattern at once completes it.
            if fits && (!stops || completes) {
                let mut taken = taken.clone();
                taken.push((stage, event));
                self.taken(stage, count + 1, next, taken);
            }
            if stops || contiguity == 'n' || (contiguity == 'f' && fits) {
                return;
            }
        }
        self.wait_for_ever(&taken);
    }

    /// The end of the pattern, with what it forbids behind its last record.
    fn end(&mut self, nots: &[Stage], at: usize, taken: Vec<(usize, &'m Event)>) {
        let events = self.events;
        let never = nots.last().is_some_and(|last| last.kind == 'X');
        if nots.is_empty() {
            return self.show('M', &taken);
        }
        for (next, (time, event)) in events.iter().enumerate().skip(at + 1) {
            let is_over = self.is_over(*time, &taken);
            let is_bad =
                nots.iter().any(|s| (s.kind == 'X' || next == at + 1) && s.fits(event, &taken));
            // Without a next record `not_next` has not been met.
            let met = next > at + 1 || !nots.iter().any(|s| s.kind == 'N');
            match () {
                () if is_over && never && met => return self.show('M', &taken),
                () if is_over => return self.show('T', &taken),
                () if is_bad => return,
                () if !never => return self.show('M', &taken),
                () => {}
            }
        }
        if never && (at + 1 < events.len() || !nots.iter().any(|s| s.kind == 'N')) {
            return self.show('M', &taken);
        }
        self.wait_for_ever(&taken);
    }

    fn wait_for_ever(&mut self, taken: &[(usize, &Event)]) {
        if self.within > 0 {
            self.show('T', taken);
        }
    }

    fn is_over(&self, time: i64, taken: &[(usize, &Event)]) -> bool {
        let first = taken[0].1.id;
        let start = self.events.iter().find(|(_, event)| event.id == first).expect("it is there").0;
        self.within > 0 && time - start >= self.within
    }

    fn show(&mut self, kind: char, taken: &[(usize, &Event)]) {
        let mut text = kind.to_string();
        for stage in 0..self.stages.len() {
            let ids: Vec<_> =
                taken.iter().filter(|(s, _)| *s == stage).map(|(_, e)| e.id.to_string()).collect();
            if !ids.is_empty() {
                text.push_str(&format!(" s{stage}:{}", ids.join(",")));
            }
        }
        self.found.push(text);
    }
}

pub fn stages() -> impl Strategy<Value = (Vec<Stage>, i64)> {
    let letters = prop::sample::select(vec!["A", "B", "C", "AB", "BC"]);
    let kind = prop::sample::select(vec!['n', 'f', 'f', 'a', 'N', 'X']);
    let times = prop::sample::select(vec![1, 1, 1, 2, 3]);
    let inner = prop::sample::select(vec!['-', 'c', 'C']);
    let stage = (kind, letters, prop::bool::weighted(0.2), times, inner);
    let stage = stage.prop_map(|(kind, letters, is_above, times, inner)| Stage {
        kind,
        letters,
        is_above,
        times: (times, Some(times)),
        inner,
        is_optional: false,
    });
    let within = prop::sample::select(vec![0, 5, 9, 20]);
    (prop::collection::vec(stage, 1..5), within).prop_map(|(mut stages, mut within)| {
        stages[0].kind = 'b';
        stages[0].is_above = false;
        for i in 1..stages.len() {
            if stages[i].forbids() {
                stages[i].times = (1, Some(1));
                // What is forbidden until the next stage takes a record comes right before that stage, and
                // not behind one that repeats.
                if stages[i - 1].kind == 'X' || stages[i - 1].times.0 > 1 {
                    stages[i].kind = 'f';
                }
            }
        }
        let once = |stage: &&mut Stage| stage.times == (1, Some(1));
        stages.iter_mut().filter(once).for_each(|stage| stage.inner = '-');
        if stages.last().is_some_and(|last| last.kind == 'X') && within == 0 {
            within = 9;
        }
        (stages, within)
    })
}

/// Stages that leave a choice: optional ones, and numbers of times. Nothing is forbidden.
pub fn choices() -> impl Strategy<Value = (Vec<Stage>, i64)> {
    let letters = prop::sample::select(vec!["A", "B", "C", "AB"]);
    let kind = prop::sample::select(vec!['n', 'f', 'f', 'a']);
    let times = prop::sample::select(vec![
        (1, Some(1)),
        (1, Some(1)),
        (2, Some(2)),
        (1, Some(2)),
        (1, Some(3)),
        (2, Some(3)),
        (1, None),
        (2, None),
    ]);
    let inner = prop::sample::select(vec!['-', '-', 'c', 'C']);
    let stage = (kind, letters, prop::bool::weighted(0.2), times, inner, prop::bool::weighted(0.3));
    let stage = stage.prop_map(|(kind, letters, is_above, times, inner, is_optional)| {
        let inner = if times == (1, Some(1)) { '-' } else { inner };
        Stage { kind, letters, is_above, times, inner, is_optional }
    });
    let within = prop::sample::select(vec![5, 9, 20]);
    (prop::collection::vec(stage, 1..4), within).prop_map(|(mut stages, within)| {
        stages[0] = Stage { kind: 'b', is_above: false, is_optional: false, ..stages[0].clone() };
        (stages, within)
    })
}

/// Records in the order of arrival: (key, letter, value, time).
pub fn arrivals(records: usize) -> impl Strategy<Value = Vec<Arrival>> {
    let letter = prop::sample::select(vec!['A', 'B', 'C']);
    let delay = prop::sample::select(vec![0, 0, 0, 1, 2, 3, 4, 7]);
    prop::collection::vec((0..2_u8, letter, 1..9_i64, 0..3_i64, delay), 1..records).prop_map(
        |drawn| {
            let mut now = 100;
            let records = drawn.into_iter().map(|(key, letter, value, step, delay)| {
                now += step;
                (key, letter, value, now - delay)
            });
            records.collect()
        },
    )
}

/// A record in the order of arrival: key, letter, value, time.
pub type Arrival = (u8, char, i64, i64);

/// A key's events in order, each with its time.
type Events = Vec<(i64, Event)>;

/// The events of both keys, and the ids that are late.
pub fn in_order(arrivals: &[Arrival]) -> ([Events; 2], Vec<String>) {
    let mut late = Vec::new();
    let mut in_time: Vec<(u8, i64, Event)> = Vec::new();
    let (mut max, mut watermark) = (i64::MIN, i64::MIN);
    for (id, &(key, letter, value, time)) in arrivals.iter().enumerate() {
        let event = Event { id: id as i64, letter: letter.into(), value };
        if time <= watermark {
            late.push(id.to_string());
        } else {
            in_time.push((key, time, event));
        }
        max = max.max(time);
        watermark = max - BOUND_MS - 1;
    }
    in_time.sort_by_key(|(_, time, _)| *time);
    let of_key = |key: u8| {
        let of_key = in_time.iter().filter(|(k, _, _)| *k == key);
        of_key.map(|(_, time, event)| (*time, event.clone())).collect()
    };
    ([of_key(0), of_key(1)], late)
}

/// What the model finds in a key's events.
pub fn find(stages: &[Stage], within: i64, events: &[(i64, Event)]) -> Vec<String> {
    let mut model = Model { stages, within, events, found: Vec::new() };
    model.begin();
    model.found
}

/// What the harness finds, in its order, and the ids that are late.
pub fn search(pattern: &str, arrivals: &[Arrival], batch: usize) -> (Vec<String>, Vec<String>) {
    let mut harness =
        Harness::<Search>::with_config(json!({ "pattern": pattern, "limit": 1_000_000 }))
            .key_from("/key")
            .event_time_from("/ts")
            .with_bound(BOUND_MS)
            .batches_of(batch);
    let records = arrivals.iter().enumerate().map(|(id, (key, letter, value, ts))| {
        json!({"id": id, "key": format!("k{key}"), "letter": letter, "value": value, "ts": ts})
    });
    assert_eq!(harness.send_all(records), []);
    harness.end_of_input();
    // Without a time limit sequences may wait for ever, but no timer does.
    assert_eq!(harness.pending_timers(), []);
    let text = |item: Value| item["text"].as_str().expect("a text").to_owned();
    ["found", "late"].map(|output| harness.take(output).into_iter().map(text).collect()).into()
}

/// Sorted, so that order does not show.
fn sorted(mut lines: Vec<String>) -> Vec<String> {
    lines.sort();
    lines
}

/// Sorted, and each time-out once: a sequence that has a choice waits for several things at once.
fn once(lines: Vec<String>) -> Vec<String> {
    let (mut timeouts, matches): (Vec<_>, Vec<_>) =
        lines.into_iter().partition(|line| line.starts_with('T'));
    timeouts.sort();
    timeouts.dedup();
    sorted([matches, timeouts].concat())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn patterns_find_what_trying_every_way_finds(
        (stages, within) in stages(),
        arrivals in arrivals(24),
        batch in 1..40_usize,
    ) {
        let pattern = spell(&stages, within, "none");
        let (events, late) = in_order(&arrivals);
        let expected = events.iter().flat_map(|events| find(&stages, within, events)).collect();
        let (found, found_late) = search(&pattern, &arrivals, batch);
        prop_assert_eq!((sorted(found), found_late), (sorted(expected), late), "{}", pattern);
    }

    #[test]
    fn choices_are_all_tried(
        (stages, within) in choices(),
        arrivals in arrivals(14),
        batch in 1..40_usize,
    ) {
        let pattern = spell(&stages, within, "none");
        let (events, late) = in_order(&arrivals);
        let expected = events.iter().flat_map(|events| find(&stages, within, events)).collect();
        let (found, found_late) = search(&pattern, &arrivals, batch);
        prop_assert_eq!((once(found), found_late), (once(expected), late), "{}", pattern);
    }
}
