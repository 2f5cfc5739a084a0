//! The partial matches of a key, as they are kept.
//!
//! Sequences share what they have in common: a step points to the one before it, and a sequence to its last
//! step. Records are kept apart, each once (see [`super::state`]); a step names its own.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::graph::StateId;
use super::queue::{Partial, Queue, RecordId};

/// A stage took a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    pub stage: u16,
    pub record: RecordId,
    /// The step before it, which has a smaller index.
    pub before: Option<u32>,
}

/// The partial matches of a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Matches {
    /// What pattern they are of.
    pub shape: u32,
    pub steps: Vec<Step>,
    /// Sequences that go on, and the place where sequences begin.
    pub partial: Queue,
    /// Matches that wait for sequences that began earlier: one of those may make a skip strategy drop them.
    pub complete: Queue,
}

impl Matches {
    /// No sequence has begun.
    pub fn new(shape: u32, start: StateId) -> Self {
        let mut partial = Queue::default();
        partial.push(Partial { state: start, step: None, start: None });
        Self { shape, steps: Vec::new(), partial, complete: Queue::default() }
    }

    /// Whether no sequence has begun.
    pub fn is_empty(&self) -> bool {
        self.sequences() == 0
    }

    /// Number of sequences that have begun and are not given out.
    pub fn sequences(&self) -> usize {
        self.partial.len() - 1 + self.complete.len()
    }

    /// The steps from `last` back to the first.
    pub fn back_from(&self, last: Option<u32>) -> impl Iterator<Item = &Step> {
        std::iter::successors(last.map(|at| &self.steps[at as usize]), |step| {
            step.before.map(|at| &self.steps[at as usize])
        })
    }

    /// The records that steps name.
    pub fn records(&self) -> BTreeSet<RecordId> {
        self.steps.iter().map(|step| step.record).collect()
    }

    /// Drops the steps that no sequence leads to.
    pub fn compact(&mut self) {
        let mut moved: Vec<Option<u32>> = vec![None; self.steps.len()];
        for last in self.partial.iter().chain(self.complete.iter()).filter_map(|p| p.step) {
            let mut at = Some(last);
            while let Some(reached) = at
                && moved[reached as usize].is_none()
            {
                moved[reached as usize] = Some(0);
                at = self.steps[reached as usize].before;
            }
        }
        let mut kept = 0;
        for place in moved.iter_mut().flatten() {
            *place = kept;
            kept += 1;
        }
        let place = |at: u32| moved[at as usize].expect("it was reached above");
        let mut steps = Vec::with_capacity(kept as usize);
        for (step, place_of) in self.steps.iter().zip(&moved) {
            if place_of.is_some() {
                steps.push(Step { before: step.before.map(place), ..*step });
            }
        }
        for step in self.partial.steps_mut().chain(self.complete.steps_mut()) {
            *step = place(*step);
        }
        self.steps = steps;
    }
}
