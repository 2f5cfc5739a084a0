//! The automaton at work: what time and records do to the partial matches of a key.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use super::builder::Pattern;
use super::graph::{Action, Kind, StateId};
use super::matched::{Found, Matched, Taken};
use super::matches::{Matches, Step};
use super::queue::{Partial, Queue, RecordId};
use super::stage::AfterMatch;

/// Where records that were taken earlier are kept.
pub trait Kept<E> {
    /// The record of a step.
    fn kept(&self, id: RecordId) -> E;
}

/// The partial matches of a key at work.
pub struct Run<'r, E> {
    pattern: &'r Pattern<E>,
    kept: &'r dyn Kept<E>,
    /// Records that were handled or asked for.
    records: RefCell<BTreeMap<RecordId, Rc<E>>>,
    pub matches: Matches,
    pub found: Vec<Found<E>>,
}

/// The record at hand, and which stages it fits as far as it alone says.
struct Record<E> {
    id: RecordId,
    record: Rc<E>,
    fits: Vec<Option<bool>>,
}

impl<'r, E> Run<'r, E> {
    pub fn new(pattern: &'r Pattern<E>, matches: Matches, kept: &'r dyn Kept<E>) -> Self {
        Self { pattern, kept, records: RefCell::default(), matches, found: Vec::new() }
    }

    /// The time at which the next sequence times out.
    pub fn deadline(&self) -> Option<i64> {
        let start = self.matches.partial.peek()?.start?;
        Some(start.0.saturating_add(self.pattern.within_ms?))
    }

    /// Ends the sequences whose time has passed: records behind this have at least this event time.
    pub fn advance_time(&mut self, time: i64) {
        let Some(within) = self.pattern.within_ms else { return };
        if self.deadline().is_none_or(|deadline| deadline > time) {
            return;
        }
        let (mut partial, mut complete) = (Queue::default(), Queue::default());
        let mut timed_out = Vec::new();
        for sequence in self.matches.partial.iter() {
            match sequence.start {
                Some(start) if time.saturating_sub(start.0) >= within => {
                    match self.pattern.graph.state(sequence.state).kind {
                        Kind::Pending => complete.push(*sequence),
                        _ => timed_out.push(*sequence),
                    }
                }
                _ => partial.push(*sequence),
            }
        }
        self.matches.partial = partial;
        self.complete(&complete);
        for sequence in timed_out {
            let matched = self.matched(sequence.step);
            self.found.push(Found::Timeout(matched));
        }
    }

    /// Handles the next record.
    pub fn handle(&mut self, id: RecordId, record: E) {
        let mut record =
            Record { id, record: Rc::new(record), fits: vec![None; self.pattern.stages.len()] };
        self.records.get_mut().insert(id, record.record.clone());
        let (mut partial, mut complete) = (Queue::default(), Queue::default());
        let mut next = Vec::new();
        for sequence in std::mem::take(&mut self.matches.partial).iter() {
            self.follow(sequence, &mut record, &mut next);
            let kind = |sequence: &Partial| self.pattern.graph.state(sequence.state).kind;
            let stops = next.iter().any(|sequence| kind(sequence) == Kind::Stop);
            for sequence in next.drain(..) {
                match kind(&sequence) {
                    Kind::Final => complete.push(sequence),
                    Kind::Stop => {}
                    Kind::Normal | Kind::Pending if stops => {}
                    Kind::Normal | Kind::Pending => partial.push(sequence),
                }
            }
        }
        self.matches.partial = partial;
        self.complete(&complete);
        self.keep_limits();
    }

    /// What a sequence becomes with a record: it may go several ways.
    fn follow(&mut self, from: &Partial, record: &mut Record<E>, next: &mut Vec<Partial>) {
        let pattern = self.pattern;
        let graph = &pattern.graph;
        let mut so_far = None;
        let mut ways = Vec::new();
        let mut open = vec![from.state];
        while let Some(state) = open.pop() {
            for edge in &graph.state(state).edges {
                if edge.guard.holds(&mut |stage| self.fits(stage, record, from, &mut so_far)) {
                    match edge.action {
                        Action::Proceed => open.push(edge.target),
                        Action::Take | Action::Ignore => ways.push((state, edge)),
                    }
                }
            }
        }
        for (state, edge) in ways {
            match edge.action {
                Action::Take => {
                    let stage = graph.state(state).stage;
                    let step = Step { stage, record: record.id, before: from.step };
                    self.matches.steps.push(step);
                    let taken = Partial {
                        state: edge.target,
                        step: Some(self.matches.steps.len() as u32 - 1),
                        start: from.start.or(Some(record.id)),
                    };
                    next.push(taken);
                    if let Some(state) = self.final_behind(edge.target, from, record, &mut so_far) {
                        next.push(Partial { state, ..taken });
                    }
                }
                Action::Ignore if from.start.is_some() => {
                    next.push(Partial { state: edge.target, ..*from });
                }
                Action::Ignore | Action::Proceed => {}
            }
        }
        if from.start.is_none() {
            next.push(*from);
        }
    }

    /// The final state, if nothing more needs to be taken behind `state`.
    fn final_behind(
        &self,
        state: StateId,
        from: &Partial,
        record: &mut Record<E>,
        so_far: &mut Option<Matched<E>>,
    ) -> Option<StateId> {
        let graph = &self.pattern.graph;
        let mut open = vec![state];
        while let Some(state) = open.pop() {
            for edge in &graph.state(state).edges {
                if edge.action == Action::Proceed
                    && edge.guard.holds(&mut |stage| self.fits(stage, record, from, so_far))
                {
                    if graph.state(edge.target).kind == Kind::Final {
                        return Some(edge.target);
                    }
                    open.push(edge.target);
                }
            }
        }
        None
    }

    /// Whether the record meets the conditions of a stage, behind what the sequence has taken.
    fn fits(
        &self,
        stage: u16,
        record: &mut Record<E>,
        from: &Partial,
        so_far: &mut Option<Matched<E>>,
    ) -> bool {
        let stage = usize::from(stage);
        let conditions = &self.pattern.stages[stage];
        let known = record.fits[stage];
        let fits =
            known.unwrap_or_else(|| conditions.alone.iter().all(|fits| fits(&record.record)));
        record.fits[stage] = Some(fits);
        if !fits || conditions.given.is_empty() {
            return fits;
        }
        let so_far = so_far.get_or_insert_with(|| self.matched(from.step));
        conditions.given.iter().all(|fits| fits(&record.record, so_far))
    }

    /// What a sequence has taken.
    fn matched(&self, last: Option<u32>) -> Matched<E> {
        let stages = &self.pattern.stages;
        let mut taken: Vec<Vec<Taken<E>>> = stages.iter().map(|_| Vec::new()).collect();
        for step in self.matches.back_from(last) {
            let mut records = self.records.borrow_mut();
            let record =
                records.entry(step.record).or_insert_with(|| Rc::new(self.kept.kept(step.record)));
            taken[usize::from(step.stage)].push(Taken::new(step.record.0, record.clone()));
        }
        taken.iter_mut().for_each(|records| records.reverse());
        let taking = stages.iter().zip(taken).filter(|(stage, _)| !stage.forbids());
        Matched::new(taking.map(|(stage, records)| (stage.name, records)).collect())
    }

    /// Gives out the matches that no earlier sequence can drop any more.
    fn complete(&mut self, complete: &Queue) {
        self.matches.complete.extend(complete.iter().copied());
        while let Some(first) = self.matches.complete.peek() {
            if self.pattern.after_match != AfterMatch::NoSkip
                && self.matches.partial.peek().is_some_and(|partial| partial.rank() < first.rank())
            {
                break;
            }
            let step = first.step;
            self.matches.complete.pop();
            if let Some((until, inclusive)) = self.skipped(step) {
                let stays = |sequence: &Partial| match sequence.start {
                    Some(start) if inclusive => start > until,
                    Some(start) => start >= until,
                    None => true,
                };
                self.matches.partial.retain(stays);
                self.matches.complete.retain(stays);
            }
            let matched = self.matched(step);
            self.found.push(Found::Match(matched));
        }
    }

    /// Until which record, and whether with it, sequences are dropped because of a match.
    fn skipped(&self, last: Option<u32>) -> Option<(RecordId, bool)> {
        let mut steps = self.matches.back_from(last);
        let of = |name: &str| {
            let stage = self.pattern.stages.iter().position(|stage| stage.name == name);
            move |step: &&Step| Some(usize::from(step.stage)) == stage
        };
        match self.pattern.after_match {
            AfterMatch::NoSkip => None,
            AfterMatch::SkipToNext => steps.last().map(|step| (step.record, true)),
            AfterMatch::SkipPastLast => steps.next().map(|step| (step.record, true)),
            AfterMatch::SkipToFirst(name) => {
                steps.filter(of(name)).last().map(|s| (s.record, false))
            }
            AfterMatch::SkipToLast(name) => steps.find(of(name)).map(|step| (step.record, false)),
        }
    }

    /// Drops the sequences that began first while there are too many.
    fn keep_limits(&mut self) {
        let steps_max = self.pattern.sequences_max * super::STEPS_PER_SEQUENCE;
        loop {
            if self.matches.sequences() <= self.pattern.sequences_max {
                if self.matches.steps.len() <= steps_max {
                    return;
                }
                self.matches.compact();
                if self.matches.steps.len() <= steps_max {
                    return;
                }
            }
            match self.matches.partial.peek() {
                Some(first) if first.start.is_some() => {
                    let step = first.step;
                    self.matches.partial.pop();
                    let matched = self.matched(step);
                    self.found.push(Found::Dropped(matched));
                    self.complete(&Queue::default());
                }
                // What is left are matches, which nothing holds back.
                _ => return,
            }
        }
    }
}
