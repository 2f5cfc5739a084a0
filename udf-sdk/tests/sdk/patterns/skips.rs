//! After-match skip strategies against their definition: of all the matches that a model finds, the one that begins first
//! is given, and takes from the others what the strategy says.

use proptest::prelude::*;

use super::brute::{Stage, arrivals, choices, find, in_order, search, spell, stages};
use super::search::Event;

/// A strategy, as [`super::search`] spells it.
#[derive(Clone, Debug)]
enum Skip {
    Next,
    PastLast,
    First(usize),
    Last(usize),
}

impl Skip {
    fn spell(&self) -> String {
        match self {
            Self::Next => "next".into(),
            Self::PastLast => "past".into(),
            Self::First(stage) => format!("first:s{stage}"),
            Self::Last(stage) => format!("last:s{stage}"),
        }
    }

    /// Whether a match that begins at the place `other` is dropped, once this one was given.
    fn drops(&self, given: &Match, other: usize) -> bool {
        let of_stage = |stage: &usize| given.stages.iter().find(|(name, _)| name == stage);
        match self {
            Self::Next => other <= given.first,
            Self::PastLast => other <= given.last,
            Self::First(stage) => of_stage(stage).is_some_and(|(_, places)| other < places[0]),
            Self::Last(stage) => {
                of_stage(stage).is_some_and(|(_, places)| other < places[places.len() - 1])
            }
        }
    }
}

/// A match: its line, and by stage the places of its records among the key's events.
#[derive(Clone, Debug)]
struct Match {
    line: String,
    stages: Vec<(usize, Vec<usize>)>,
    first: usize,
    last: usize,
}

impl Match {
    /// Reads a line like `M s0:1 s1:2,5`, if it is a match in these events.
    fn read(line: &str, events: &[(i64, Event)]) -> Option<Self> {
        let place = |id: &str| events.iter().position(|(_, event)| event.id.to_string() == id);
        let mut stages = Vec::new();
        for words in line.strip_prefix("M ")?.split(' ') {
            let (stage, ids) = words.strip_prefix('s')?.split_once(':')?;
            let places: Option<Vec<usize>> = ids.split(',').map(place).collect();
            stages.push((stage.parse().ok()?, places?));
        }
        let places = || stages.iter().flat_map(|(_, places)| places.iter().copied());
        let (first, last) = (places().min()?, places().max()?);
        Some(Self { line: line.to_owned(), stages, first, last })
    }
}

/// Stages with a time limit, the last of which takes records, and a strategy that names one that does.
fn patterns() -> impl Strategy<Value = (Vec<Stage>, i64, Skip)> {
    let patterns = prop_oneof![stages(), choices()].prop_map(|(mut stages, within)| {
        while stages.len() > 1 && stages[stages.len() - 1].forbids() {
            stages.pop();
        }
        (stages, within.max(5))
    });
    (patterns, 0..5_usize, any::<prop::sample::Index>()).prop_map(
        |((stages, within), skip, index)| {
            let takes: Vec<usize> = (0..stages.len()).filter(|i| !stages[*i].forbids()).collect();
            let stage = takes[index.index(takes.len())];
            let skip = match skip {
                0 => Skip::Next,
                1 | 2 => Skip::PastLast,
                3 => Skip::First(stage),
                _ => Skip::Last(stage),
            };
            (stages, within, skip)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn a_match_takes_from_others_what_the_strategy_says(
        (stages, within, skip) in patterns(),
        arrivals in arrivals(16),
        batch in 1..40_usize,
    ) {
        let pattern = spell(&stages, within, &skip.spell());
        let (found, _) = search(&pattern, &arrivals, batch);
        for events in in_order(&arrivals).0 {
            let all = find(&stages, within, &events);
            let mut alive: Vec<Match> =
                all.iter().filter_map(|line| Match::read(line, &events)).collect();
            for given in found.iter().filter_map(|line| Match::read(line, &events)) {
                let place = alive.iter().position(|other| other.line == given.line);
                prop_assert!(place.is_some(), "{}: `{}` should not be found", pattern, given.line);
                let first = alive.iter().map(|other| other.first).min();
                prop_assert_eq!(first, Some(given.first), "{}: `{}` is not the first", pattern, given.line);
                alive.remove(place.expect("it is there"));
                alive.retain(|other| !skip.drops(&given, other.first));
            }
            prop_assert!(alive.is_empty(), "{}: not found: {:?}", pattern, alive);
        }
        // Nothing runs out of time that would not have without the strategy.
        let of_both: Vec<String> =
            in_order(&arrivals).0.iter().flat_map(|events| find(&stages, within, events)).collect();
        for timeout in found.iter().filter(|line| line.starts_with('T')) {
            prop_assert!(of_both.contains(timeout), "{}: `{}`", pattern, timeout);
        }
    }
}
