//! From stages to the automaton.
//!
//! The states and the order of their edges are those that Apache Flink makes of the same pattern
//! (`NFACompiler` of 2.3), since results depend on both. It goes from the last stage to the first: a stage
//! needs to know where it leads.

use super::graph::{Action, Edge, Graph, Guard, Kind, State, StateId};
use super::stage::{Contiguity, Follows, Stage, Times};

/// Compiles stages. Panics if there are more states than a [`StateId`] can tell apart.
pub fn compile<E>(stages: &[Stage<E>], has_window: bool) -> Graph {
    let mut compiler = Compiler { stages, states: Vec::new(), stops: vec![None; stages.len()] };
    let mut sink = compiler.state(Kind::Final, stages.len() - 1);
    for stage in (1..stages.len()).rev() {
        sink = match stages[stage].follows {
            Follows::With(_) => compiler.taking(stage, sink),
            Follows::NotNext => compiler.not_next(stage, sink),
            Follows::Not if has_window && compiler.is_final(sink) => compiler.never(stage),
            // Otherwise it shows in the edges of the stages around it.
            Follows::Not => sink,
        };
    }
    let start = compiler.taking(0, sink);
    Graph { states: compiler.states, start }
}

struct Compiler<'s, E> {
    stages: &'s [Stage<E>],
    states: Vec<State>,
    /// Per stage that forbids, its stop state.
    stops: Vec<Option<StateId>>,
}

/// The conditions of a stage.
fn meets(stage: usize) -> Guard {
    Guard::Stage(stage as u16)
}

/// What a stage waits through, if it waits.
fn ignored(stage: usize, contiguity: Contiguity) -> Option<Guard> {
    match contiguity {
        Contiguity::Strict => None,
        Contiguity::Relaxed => Some(meets(stage).not()),
        Contiguity::Any => Some(Guard::Always),
    }
}

impl<E> Compiler<'_, E> {
    fn state(&mut self, kind: Kind, stage: usize) -> StateId {
        let id = StateId::try_from(self.states.len()).unwrap_or_else(|_| {
            panic!("the pattern needs more than {} states: a stage repeats too often", StateId::MAX)
        });
        self.states.push(State { kind, stage: stage as u16, edges: Vec::new() });
        id
    }

    fn edge(&mut self, from: StateId, action: Action, target: StateId, guard: Guard) {
        self.states[usize::from(from)].edges.push(Edge { action, target, guard });
    }

    fn is_final(&self, state: StateId) -> bool {
        self.states[usize::from(state)].kind == Kind::Final
    }

    /// The state that a record which this stage forbids leads to.
    fn stop(&mut self, stage: usize) -> StateId {
        if let Some(stop) = self.stops[stage] {
            return stop;
        }
        let stop = self.state(Kind::Stop, stage);
        self.edge(stop, Action::Take, stop, meets(stage));
        self.stops[stage] = Some(stop);
        stop
    }

    /// `not_followed_by` at the end: the match is complete when its time has passed.
    fn never(&mut self, stage: usize) -> StateId {
        let pending = self.state(Kind::Pending, stage);
        let stop = self.stop(stage);
        self.edge(pending, Action::Proceed, stop, meets(stage));
        self.edge(pending, Action::Ignore, pending, meets(stage).not());
        pending
    }

    fn not_next(&mut self, stage: usize, sink: StateId) -> StateId {
        let state = self.state(Kind::Normal, stage);
        let stop = self.stop(stage);
        // At the end a record must come, and not fit.
        let action = if self.is_final(sink) { Action::Ignore } else { Action::Proceed };
        self.edge(state, action, sink, meets(stage).not());
        self.edge(state, Action::Proceed, stop, meets(stage));
        state
    }

    /// A stage that takes records; gives its first state.
    fn taking(&mut self, stage: usize, sink: StateId) -> StateId {
        let first = match self.stages[stage].times {
            None => self.once(stage, sink, Some(sink), self.outer(stage), self.is_optional(stage)),
            Some(times @ Times { to: Some(_), .. }) => self.several(stage, sink, sink, times),
            Some(Times { from, to: None }) => {
                let behind = self.without_nots(stage, sink);
                let looping = self.looping(stage, behind);
                self.several(stage, looping, sink, Times { from, to: Some(from) })
            }
        };
        self.stop_at_nots(stage, first);
        first
    }

    fn is_optional(&self, stage: usize) -> bool {
        self.stages[stage].is_optional
    }

    /// What is ignored before the stage's first record.
    fn outer(&self, stage: usize) -> Option<Guard> {
        match self.stages[stage].follows {
            Follows::With(contiguity) => ignored(stage, contiguity),
            Follows::NotNext | Follows::Not => None,
        }
    }

    /// What is ignored between the stage's records.
    fn inner(&self, stage: usize) -> Option<Guard> {
        ignored(stage, self.stages[stage].inner)
    }

    /// A state for one record. `proceed` is where it leads without one.
    fn once(
        &mut self,
        stage: usize,
        sink: StateId,
        proceed: Option<StateId>,
        ignore: Option<Guard>,
        is_optional: bool,
    ) -> StateId {
        let state = self.state(Kind::Normal, stage);
        let behind = self.without_nots(stage, sink);
        self.edge(state, Action::Take, behind, meets(stage));
        if is_optional && let Some(proceed) = proceed {
            self.edge(state, Action::Proceed, proceed, Guard::Always);
        }
        if let Some(ignore) = ignore {
            // Once a record was ignored, the way without one has been gone already.
            let waiting = if is_optional {
                let waiting = self.state(Kind::Normal, stage);
                self.edge(waiting, Action::Take, behind, meets(stage));
                self.edge(waiting, Action::Ignore, waiting, ignore.clone());
                self.stop_at_nots(stage, waiting);
                waiting
            } else {
                state
            };
            self.edge(state, Action::Ignore, waiting, ignore);
        }
        state
    }

    /// States for so many records.
    fn several(&mut self, stage: usize, sink: StateId, proceed: StateId, times: Times) -> StateId {
        let to = times.to.unwrap_or(times.from);
        if self.stages[stage].is_greedy && times.from != to {
            self.prefer(stage, sink);
        }
        let mut last = sink;
        for _ in times.from..to {
            last = self.once(stage, last, Some(proceed), self.inner(stage), true);
            self.stop_at_following_not(stage, last);
        }
        for _ in 1..times.from {
            last = self.once(stage, last, None, self.inner(stage), false);
            self.stop_at_following_not(stage, last);
        }
        self.once(stage, last, Some(proceed), self.outer(stage), self.is_optional(stage))
    }

    /// A state for any number of records behind the first ones.
    fn looping(&mut self, stage: usize, sink: StateId) -> StateId {
        let state = self.state(Kind::Normal, stage);
        self.edge(state, Action::Proceed, sink, Guard::Always);
        if self.stages[stage].is_greedy {
            self.prefer(stage, sink);
        }
        self.edge(state, Action::Take, state, meets(stage));
        self.stop_at_following_not(stage, state);
        if let Some(ignore) = self.inner(stage) {
            let waiting = self.state(Kind::Normal, stage);
            self.edge(waiting, Action::Take, state, meets(stage));
            self.edge(waiting, Action::Ignore, waiting, ignore.clone());
            self.edge(state, Action::Ignore, waiting, ignore);
            self.stop_at_following_not(stage, waiting);
        }
        state
    }

    /// Greedy: what fits this stage is not for the state behind it.
    fn prefer(&mut self, stage: usize, state: StateId) {
        for edge in &mut self.states[usize::from(state)].edges {
            edge.guard = edge.guard.clone().and(meets(stage).not());
        }
    }

    /// The stages that forbid records while this one waits: those right before it, and before optional ones.
    fn nots(&self, stage: usize) -> Vec<usize> {
        let mut nots = Vec::new();
        for before in (0..stage).rev() {
            match self.stages[before].follows {
                Follows::Not => nots.push(before),
                _ if self.is_optional(before) => {}
                _ => break,
            }
        }
        nots
    }

    fn stop_at_nots(&mut self, stage: usize, state: StateId) {
        for not in self.nots(stage) {
            let stop = self.stop(not);
            self.edge(state, Action::Proceed, stop, meets(not));
        }
    }

    /// A stage that takes several records stops between them at what is forbidden behind it.
    fn stop_at_following_not(&mut self, stage: usize, state: StateId) {
        let following = stage + 1;
        if self.stages.get(following).is_some_and(|s| s.follows == Follows::Not) {
            let stop = self.stop(following);
            self.edge(state, Action::Proceed, stop, meets(following));
        }
    }

    /// The state behind an optional stage that took a record: what was forbidden before that stage no longer is.
    fn without_nots(&mut self, stage: usize, sink: StateId) -> StateId {
        let nots = self.nots(stage);
        if nots.is_empty() || !self.is_optional(stage) {
            return sink;
        }
        let State { kind, stage: of, edges } = self.states[usize::from(sink)].clone();
        let copy = self.state(kind, usize::from(of));
        for Edge { action, target, guard } in edges {
            let State { kind, stage: stops, .. } = &self.states[usize::from(target)];
            let target = match action {
                Action::Proceed if *kind == Kind::Stop => {
                    if nots.contains(&usize::from(*stops)) {
                        continue;
                    }
                    target
                }
                Action::Proceed => self.without_nots(stage, target),
                Action::Take | Action::Ignore if target == sink => copy,
                Action::Take | Action::Ignore => target,
            };
            self.edge(copy, action, target, guard);
        }
        copy
    }
}
