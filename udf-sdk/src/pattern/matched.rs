//! The records that a sequence has taken, by stage.

use std::fmt;
use std::ops::{Deref, Index};
use std::rc::Rc;

/// A record that a sequence has taken.
pub struct Taken<E> {
    event_time: i64,
    record: Rc<E>,
}

impl<E> Taken<E> {
    pub(super) fn new(event_time: i64, record: Rc<E>) -> Self {
        Self { event_time, record }
    }

    /// Its event time, in milliseconds since 1970 UTC.
    pub fn event_time(&self) -> i64 {
        self.event_time
    }
}

impl<E> Deref for Taken<E> {
    type Target = E;

    fn deref(&self) -> &E {
        &self.record
    }
}

impl<E: fmt::Debug> fmt::Debug for Taken<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} at {}", self.record, self.event_time)
    }
}

/// The records that a sequence has taken, by stage: of a match all that were taken, of a partial match those
/// so far. `matched["small"]` is the first record of the stage `small`.
///
/// Asking for a stage that the pattern does not have is a mistake in the program, and panics.
pub struct Matched<E> {
    stages: Vec<(&'static str, Vec<Taken<E>>)>,
}

impl<E> Matched<E> {
    /// With a list per stage that takes records, in the order of the pattern.
    pub(super) fn new(stages: Vec<(&'static str, Vec<Taken<E>>)>) -> Self {
        Self { stages }
    }

    /// The first record of a stage, if it took one.
    pub fn get(&self, stage: &str) -> Option<&Taken<E>> {
        self.all(stage).first()
    }

    /// The records of a stage, in the order of event time; more than one if it repeats.
    pub fn all(&self, stage: &str) -> &[Taken<E>] {
        match self.stages.iter().find(|(name, _)| *name == stage) {
            Some((_, records)) => records,
            None => self.unknown(stage),
        }
    }

    /// The stages that take records, and their records, in the order of the pattern.
    pub fn stages(&self) -> impl Iterator<Item = (&'static str, &[Taken<E>])> {
        self.stages.iter().map(|(name, records)| (*name, &records[..]))
    }

    #[cold]
    fn unknown(&self, stage: &str) -> ! {
        let known: Vec<_> = self.stages.iter().map(|(name, _)| format!("`{name}`")).collect();
        panic!("the pattern has no stage `{stage}` that takes records; it has {}", known.join(", "))
    }
}

impl<E> Index<&str> for Matched<E> {
    type Output = Taken<E>;

    /// The first record of a stage. Panics if it took none: see [`Matched::get`].
    fn index(&self, stage: &str) -> &Taken<E> {
        self.get(stage).unwrap_or_else(|| panic!("the stage `{stage}` has taken no record (yet)"))
    }
}

impl<E: fmt::Debug> fmt::Debug for Matched<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.stages()).finish()
    }
}

/// What a pattern found.
#[derive(Debug)]
pub enum Found<E> {
    /// A sequence that matches the whole pattern.
    Match(Matched<E>),
    /// A sequence that began, and had not matched when the time of [`within`](super::Stages::within) had passed.
    Timeout(Matched<E>),
    /// A sequence that was given up because its key had too many; see [`Stages::limit`](super::Stages::limit).
    Dropped(Matched<E>),
}
