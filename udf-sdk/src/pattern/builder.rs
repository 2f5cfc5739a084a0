//! How a pattern is written.

use std::fmt::Write;
use std::marker::PhantomData;
use std::ops::{RangeFrom, RangeInclusive};
use std::time::Duration;

use super::compile::compile;
use super::graph::Graph;
use super::matched::Matched;
use super::stage::{AfterMatch, Contiguity, Follows, Stage, Times};

/// A sequence of records to look for among those of a key. Build it once per instance of the UDF, from
/// [`Pattern::begin`] to [`Stages::build`]; see [the module](super).
pub struct Pattern<E> {
    pub(super) stages: Vec<Stage<E>>,
    pub(super) graph: Graph,
    pub(super) within_ms: Option<i64>,
    pub(super) after_match: AfterMatch,
    pub(super) sequences_max: usize,
    /// Tells patterns apart whose partial matches do not fit each other.
    pub(super) shape: u32,
}

impl<E> Pattern<E> {
    /// Begins a pattern with its first stage.
    pub fn begin(name: &'static str) -> Stages<E> {
        Stages {
            stages: vec![Stage::new(name, Follows::With(Contiguity::Strict))],
            within: None,
            after_match: AfterMatch::NoSkip,
            sequences_max: super::SEQUENCES_MAX,
            last: PhantomData,
        }
    }
}

/// The last stage takes one record.
pub enum Once {}
/// The last stage takes several records.
pub enum Repeated {}
/// The last stage forbids records.
pub enum Forbidden {}

/// A stage that takes records.
pub trait Takes {}
impl Takes for Once {}
impl Takes for Repeated {}

/// How often a stage takes a record: `3`, `2..=4` or `2..`. From 0 on it is optional.
pub struct Count(u32, Option<u32>);

impl From<u32> for Count {
    fn from(times: u32) -> Self {
        Self(times, Some(times))
    }
}

impl From<RangeInclusive<u32>> for Count {
    fn from(times: RangeInclusive<u32>) -> Self {
        Self(*times.start(), Some(*times.end()))
    }
}

impl From<RangeFrom<u32>> for Count {
    fn from(times: RangeFrom<u32>) -> Self {
        Self(times.start, None)
    }
}

/// A pattern being written. What `L` is tells what may be said of the last stage.
#[must_use = "a pattern is ready for use after `build`"]
pub struct Stages<E, L = Once> {
    stages: Vec<Stage<E>>,
    within: Option<Duration>,
    after_match: AfterMatch,
    sequences_max: usize,
    last: PhantomData<L>,
}

impl<E, L> Stages<E, L> {
    fn now<M>(self) -> Stages<E, M> {
        let Self { stages, within, after_match, sequences_max, last: _ } = self;
        Stages { stages, within, after_match, sequences_max, last: PhantomData }
    }

    fn then<M>(mut self, name: &'static str, follows: Follows) -> Stages<E, M> {
        self.stages.push(Stage::new(name, follows));
        self.now()
    }

    fn last(&mut self) -> &mut Stage<E> {
        self.stages.last_mut().expect("a pattern begins with a stage")
    }

    /// A condition on the records of the last stage. All that are given must hold; without any, every record
    /// fits.
    pub fn when(mut self, fits: impl Fn(&E) -> bool + Send + Sync + 'static) -> Self {
        self.last().alone.push(Box::new(fits));
        self
    }

    /// A condition on the records of the last stage and what the sequence has taken before.
    pub fn given(mut self, fits: impl Fn(&E, &Matched<E>) -> bool + Send + Sync + 'static) -> Self {
        self.last().given.push(Box::new(fits));
        self
    }

    /// The very next record must fit (strict contiguity).
    pub fn next(self, name: &'static str) -> Stages<E> {
        self.then(name, Follows::With(Contiguity::Strict))
    }

    /// The next record that fits, whatever lies between (relaxed contiguity).
    pub fn followed_by(self, name: &'static str) -> Stages<E> {
        self.then(name, Follows::With(Contiguity::Relaxed))
    }

    /// Each later record that fits, one sequence each (non-deterministic relaxed contiguity).
    pub fn followed_by_any(self, name: &'static str) -> Stages<E> {
        self.then(name, Follows::With(Contiguity::Any))
    }

    /// The very next record must not fit.
    pub fn not_next(self, name: &'static str) -> Stages<E, Forbidden> {
        self.then(name, Follows::NotNext)
    }

    /// No record that fits may come before the next stage takes one. As the last stage: none before the time of
    /// [`Self::within`] has passed, which then is the match.
    pub fn not_followed_by(self, name: &'static str) -> Stages<E, Forbidden> {
        self.then(name, Follows::Not)
    }

    /// A sequence must match before so much event time has passed since its first record: one that has not when
    /// a record or the watermark reaches that time is a [`Timeout`](super::Found::Timeout). Counted in
    /// milliseconds. The shortest of several counts.
    pub fn within(mut self, time: Duration) -> Self {
        self.within = Some(self.within.map_or(time, |earlier| earlier.min(time)));
        self
    }

    /// What a match takes from other sequences. By default nothing.
    pub fn after_match(mut self, after_match: AfterMatch) -> Self {
        self.after_match = after_match;
        self
    }

    /// How many sequences a key may have at most, by default 1,000. When a record makes it more, those that
    /// began first are given up as [`Dropped`](super::Found::Dropped), until it is not more. The same when
    /// they have taken more than 16 times as many records together; what sequences have in common counts once.
    pub fn limit(mut self, sequences: usize) -> Self {
        self.sequences_max = sequences;
        self
    }

    /// The pattern. Panics if it cannot be one; the message says why.
    pub fn build(self) -> Pattern<E> {
        let within_ms = self.within.map(|time| match i64::try_from(time.as_millis()) {
            Ok(ms @ 1..) => ms,
            _ => panic!("`within` is at least a millisecond and at most 2^63 - 1, not {time:?}"),
        });
        if let Err(why) = self.check() {
            panic!("{why}");
        }
        let graph = compile(&self.stages, within_ms.is_some());
        let shape = self.shape();
        let Self { stages, after_match, sequences_max, .. } = self;
        Pattern { stages, graph, within_ms, after_match, sequences_max, shape }
    }

    fn check(&self) -> Result<(), String> {
        for (i, stage) in self.stages.iter().enumerate() {
            let name = stage.name;
            if self.stages[..i].iter().any(|other| other.name == name) {
                return Err(format!("two stages are called `{name}`"));
            }
            if let Some(Times { from, to: Some(to) }) = stage.times
                && to < from
            {
                return Err(format!("stage `{name}` repeats {from} to {to} times, which is never"));
            }
            let Some(before) = i.checked_sub(1).map(|before| &self.stages[before]) else {
                continue;
            };
            if stage.forbids() && before.is_optional {
                return Err(format!(
                    "`{name}` forbids records behind `{}`, which is optional: it is not clear from where on",
                    before.name
                ));
            }
            if stage.is_optional && before.is_greedy {
                return Err(format!(
                    "`{name}` is optional behind the greedy stage `{}`",
                    before.name
                ));
            }
        }
        for (i, stage) in self.stages.iter().enumerate().filter(|(_, s)| s.follows == Follows::Not)
        {
            let behind = &self.stages[i + 1..];
            let takes = behind.iter().find(|next| next.follows != Follows::Not);
            if !behind.is_empty() && takes.is_none_or(Stage::forbids) {
                return Err(format!(
                    "`{}` forbids records until the next stage takes one, and `{}` takes none: put it behind that one",
                    stage.name, behind[0].name
                ));
            }
        }
        let last = self.stages.last().expect("a pattern begins with a stage");
        if last.follows == Follows::Not && self.within.is_none() {
            return Err(format!(
                "the pattern ends with `not_followed_by(\"{}\")`: say until when, with `within`",
                last.name
            ));
        }
        if let Some(name) = self.after_match.stage()
            && !self.stages.iter().any(|stage| stage.name == name && !stage.forbids())
        {
            return Err(format!(
                "`after_match` names the stage `{name}`, which takes no records here"
            ));
        }
        if self.sequences_max == 0 {
            return Err("a pattern with a limit of 0 sequences finds nothing".into());
        }
        Ok(())
    }

    /// A hash (FNV-1a) of all that the meaning of kept partial matches depends on: the stages, not their
    /// conditions, nor what may be said of the whole.
    fn shape(&self) -> u32 {
        let mut text = super::FORMAT.to_string();
        for stage in &self.stages {
            write!(text, " {:?}", stage.shape()).expect("a string takes all that is written");
        }
        text.bytes()
            .fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
    }
}

impl<E, L: Takes> Stages<E, L> {
    /// The last stage may take nothing.
    pub fn optional(mut self) -> Self {
        self.last().is_optional = true;
        self
    }
}

impl<E> Stages<E, Once> {
    /// The last stage takes so many records: `times(3)`, `times(2..=4)`, `times(2..)`. Between them may lie
    /// records that do not fit; see [`Stages::consecutive`] and [`Stages::allow_combinations`].
    /// Without [`Stages::greedy`] a range gives a sequence for each number.
    pub fn times(mut self, times: impl Into<Count>) -> Stages<E, Repeated> {
        let Count(from, to) = times.into();
        let last = self.last();
        assert!(to != Some(0), "stage `{}` repeats 0 times", last.name);
        last.is_optional |= from == 0;
        last.times = Some(Times { from: from.max(1), to });
        self.now()
    }

    /// The last stage takes one record or more.
    pub fn one_or_more(self) -> Stages<E, Repeated> {
        self.times(1..)
    }
}

impl<E> Stages<E, Repeated> {
    /// The records of the last stage follow each other directly.
    pub fn consecutive(mut self) -> Self {
        self.last().inner = Contiguity::Strict;
        self
    }

    /// Each record that fits the last stage may be taken or not: a sequence for each choice. Their number grows
    /// quickly; see [`Stages::limit`].
    pub fn allow_combinations(mut self) -> Self {
        assert!(!self.last().is_greedy, "stage `{}` is greedy", self.last().name);
        self.last().inner = Contiguity::Any;
        self
    }

    /// The last stage takes as many records as it can before the next stage takes one. Of no effect in the last
    /// stage of a pattern.
    pub fn greedy(mut self) -> Self {
        let last = self.last();
        assert!(last.inner != Contiguity::Any, "stage `{}` allows combinations", last.name);
        last.is_greedy = true;
        self
    }
}
