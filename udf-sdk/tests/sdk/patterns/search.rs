//! A UDF that looks for the pattern that its configuration spells, and shows what it finds as text.
//!
//! A pattern is `within skip stage...` with `within` in milliseconds (0: none), `skip` one of `none`, `next`,
//! `past`, `first:STAGE` and `last:STAGE`, and stages `KIND/NAME/CONDITION/TIMES/FLAGS`:
//! - kinds `b`egin, `n`ext, `f`ollowed_by, followed_by_`a`ny, `N`ot_next, not_followed_by `X`
//! - a condition is `*` or letters, one of which the record's must be, then perhaps `<STAGE`: its value must be
//!   above the sum of those that the stage has taken
//! - times like `1`, `2`, `1-3`, `2+`
//! - flags `?` optional, `g`reedy, `c`onsecutive, allow_`C`ombinations; `-` for none

use std::time::Duration;

use millstream_udf::pattern::{
    AfterMatch, Found, Matched, Once, Pattern, PatternState, Repeated, Stages,
};
use millstream_udf::prelude::*;

/// A record to look for.
#[derive(Clone, Debug, Input, Serialize, Deserialize)]
pub struct Event {
    pub id: i64,
    pub letter: String,
    pub value: i64,
}

#[derive(Output)]
pub struct Line {
    text: String,
}

/// What the UDF emits.
#[derive(Outputs)]
pub struct Out {
    found: Emit<Line>,
    late: Emit<Line>,
}

#[derive(States)]
pub struct Searched {
    pub search: PatternState<Event>,
}

#[derive(Deserialize)]
pub struct Config {
    pattern: String,
    #[serde(default)]
    limit: Option<usize>,
}

pub struct Search {
    pattern: Pattern<Event>,
}

#[udf(state = Searched, outputs = Out)]
impl Search {
    fn new(config: Config) -> Result<Self> {
        Ok(Self { pattern: parse(&config.pattern, config.limit) })
    }

    fn process(&self, event: Event, searched: &mut Searched, out: &mut Out, ctx: &mut Context<'_>) {
        if let Some(late) = searched.search.accept(event, Self::SEARCH, ctx) {
            out.late.emit(Line { text: late.id.to_string() });
        }
    }

    #[timer(event_time)]
    fn search(
        &self,
        searched: &mut Searched,
        out: &mut Out,
        ctx: &mut TimerContext<'_>,
    ) -> Result<()> {
        for found in searched.search.advance(&self.pattern, Self::SEARCH, ctx)? {
            let (kind, matched) = match &found {
                Found::Match(matched) => ('M', matched),
                Found::Timeout(matched) => ('T', matched),
                Found::Dropped(matched) => ('D', matched),
            };
            out.found.emit(Line { text: show(kind, matched) });
        }
        Ok(())
    }
}

/// Like `M a:1 b:2,5`: the ids by stage.
fn show(kind: char, matched: &Matched<Event>) -> String {
    let mut text = kind.to_string();
    for (name, records) in matched.stages().filter(|(_, records)| !records.is_empty()) {
        let ids: Vec<_> = records.iter().map(|record| record.id.to_string()).collect();
        text.push_str(&format!(" {name}:{}", ids.join(",")));
    }
    text
}

/// The stages' names: those of a pattern live as long as the program.
const NAMES: [&str; 6] = ["s0", "s1", "s2", "s3", "s4", "s5"];

fn name(text: &str) -> &'static str {
    NAMES.into_iter().find(|name| *name == text).unwrap_or_else(|| panic!("a stage `{text}`"))
}

/// The pattern that a text spells. Panics as [`Stages::build`] does.
pub fn parse(text: &str, limit: Option<usize>) -> Pattern<Event> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let after_match = match words[1].split_once(':') {
        None if words[1] == "none" => AfterMatch::NoSkip,
        None if words[1] == "next" => AfterMatch::SkipToNext,
        None if words[1] == "past" => AfterMatch::SkipPastLast,
        Some(("first", stage)) => AfterMatch::SkipToFirst(name(stage)),
        Some(("last", stage)) => AfterMatch::SkipToLast(name(stage)),
        _ => panic!("skips `{}`", words[1]),
    };
    let stages: Vec<Vec<&str>> =
        words[2..].iter().map(|stage| stage.split('/').collect()).collect();
    let begin = Pattern::begin(name(stages[0][1])).after_match(after_match);
    let begin = limit
        .map_or(Pattern::begin(name(stages[0][1])).after_match(after_match), |limit| {
            begin.limit(limit)
        });
    let within = match words[0].parse() {
        Ok(0) => None,
        ms => Some(Duration::from_millis(ms.expect("a number of milliseconds"))),
    };
    takes(begin, &stages, within)
}

/// The last stage's condition.
fn condition<L>(stages: Stages<Event, L>, text: &str) -> Stages<Event, L> {
    let (letters, above) = text.split_once('<').unwrap_or((text, ""));
    if letters == "*" {
        return stages;
    }
    let letters = letters.to_owned();
    let stages = stages.when(move |event| letters.contains(&event.letter));
    if above.is_empty() {
        return stages;
    }
    let above = name(above);
    stages.given(move |event, so_far| {
        event.value > so_far.all(above).iter().map(|taken| taken.value).sum()
    })
}

/// Ends the first of `stages`, which takes records, and goes on.
fn takes(last: Stages<Event>, stages: &[Vec<&str>], within: Option<Duration>) -> Pattern<Event> {
    let [_, _, text, times, flags] = stages[0][..] else { panic!("a stage {:?}", stages[0]) };
    let mut last = condition(last, text);
    if flags.contains('?') {
        last = last.optional();
    }
    let number = |text: &str| text.parse::<u32>().expect("a number of times");
    let several: Stages<Event, Repeated> = if let Some(from) = times.strip_suffix('+') {
        if from == "1" { last.one_or_more() } else { last.times(number(from)..) }
    } else if let Some((from, to)) = times.split_once('-') {
        last.times(number(from)..=number(to))
    } else if times != "1" {
        last.times(number(times))
    } else {
        return follows::<Once>(last, &stages[1..], within);
    };
    let mut several = several;
    for flag in flags.chars() {
        several = match flag {
            'g' => several.greedy(),
            'c' => several.consecutive(),
            'C' => several.allow_combinations(),
            _ => several,
        };
    }
    follows(several, &stages[1..], within)
}

fn follows<L>(
    last: Stages<Event, L>,
    stages: &[Vec<&str>],
    within: Option<Duration>,
) -> Pattern<Event> {
    let Some(stage) = stages.first() else {
        return match within {
            Some(time) => last.within(time).build(),
            None => last.build(),
        };
    };
    let called = name(stage[1]);
    match stage[0] {
        "n" => takes(last.next(called), stages, within),
        "f" => takes(last.followed_by(called), stages, within),
        "a" => takes(last.followed_by_any(called), stages, within),
        "N" => follows(condition(last.not_next(called), stage[2]), &stages[1..], within),
        "X" => follows(condition(last.not_followed_by(called), stage[2]), &stages[1..], within),
        kind => panic!("a stage of kind `{kind}`"),
    }
}
