//! The stages of a pattern, as the builder collects them.

use super::matched::Matched;

/// What lies between a stage's record and the one taken before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contiguity {
    /// Nothing.
    Strict,
    /// Only records that do not fit.
    Relaxed,
    /// Anything: each record that fits may be taken or not.
    Any,
}

/// How a stage follows the one before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Follows {
    /// It takes records.
    With(Contiguity),
    /// The very next record must not fit.
    NotNext,
    /// No record may fit until the stage behind it takes one.
    Not,
}

/// How often a stage takes a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// At least; not 0.
    pub from: u32,
    /// At most; none: without end.
    pub to: Option<u32>,
}

/// A condition on the record alone.
type Alone<E> = Box<dyn Fn(&E) -> bool + Send + Sync>;
/// A condition on the record and what was taken before it.
type Given<E> = Box<dyn Fn(&E, &Matched<E>) -> bool + Send + Sync>;

/// A stage.
pub struct Stage<E> {
    pub name: &'static str,
    pub follows: Follows,
    /// None: exactly once.
    pub times: Option<Times>,
    pub is_optional: bool,
    pub is_greedy: bool,
    /// Between the records of a stage that takes several.
    pub inner: Contiguity,
    /// All must hold.
    pub alone: Vec<Alone<E>>,
    /// All must hold.
    pub given: Vec<Given<E>>,
}

impl<E> Stage<E> {
    pub fn new(name: &'static str, follows: Follows) -> Self {
        Self {
            name,
            follows,
            times: None,
            is_optional: false,
            is_greedy: false,
            inner: Contiguity::Relaxed,
            alone: Vec::new(),
            given: Vec::new(),
        }
    }

    /// Whether it forbids records rather than taking them.
    pub fn forbids(&self) -> bool {
        matches!(self.follows, Follows::NotNext | Follows::Not)
    }

    /// What it is, without its conditions: a state that was kept for another shape does not fit.
    pub fn shape(&self) -> impl std::fmt::Debug {
        (self.name, self.follows, self.times, self.is_optional, self.is_greedy, self.inner)
    }
}

/// What a partial match loses its place to, once another sequence has matched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AfterMatch {
    /// Nothing: every sequence that matches is found.
    #[default]
    NoSkip,
    /// Sequences that begin with the same record are dropped.
    SkipToNext,
    /// Sequences that began before the match ended are dropped: matches do not overlap.
    SkipPastLast,
    /// Sequences that began before the first record that the match has at this stage are dropped.
    SkipToFirst(&'static str),
    /// Sequences that began before the last record that the match has at this stage are dropped.
    SkipToLast(&'static str),
}

impl AfterMatch {
    /// The stage it names.
    pub fn stage(&self) -> Option<&'static str> {
        match self {
            Self::SkipToFirst(stage) | Self::SkipToLast(stage) => Some(stage),
            Self::NoSkip | Self::SkipToNext | Self::SkipPastLast => None,
        }
    }
}
