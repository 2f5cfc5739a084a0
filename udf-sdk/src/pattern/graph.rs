//! The automaton that a pattern is compiled to: states, and edges with guards.

/// Index of a state.
pub type StateId = u16;

/// What reaching a state means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The pattern goes on.
    Normal,
    /// The sequence matches.
    Final,
    /// The sequence holds a record that is not allowed: it is given up.
    Stop,
    /// The sequence matches once its time has passed.
    Pending,
}

/// What an edge does with the record at hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Adds it to the sequence.
    Take,
    /// Waits on without it.
    Ignore,
    /// Leaves it to the edges of the target.
    Proceed,
}

/// When an edge may be used.
#[derive(Clone, Debug)]
pub enum Guard {
    /// Always.
    Always,
    /// When the record meets the conditions of the stage of this index.
    Stage(u16),
    /// When the other does not hold.
    Not(Box<Guard>),
    /// When both hold.
    Both(Box<Guard>, Box<Guard>),
}

impl Guard {
    /// Its opposite.
    pub fn not(self) -> Self {
        Self::Not(Box::new(self))
    }

    /// This one and another.
    pub fn and(self, other: Self) -> Self {
        Self::Both(Box::new(self), Box::new(other))
    }

    /// Whether it holds, where `meets` tells whether the record meets a stage's conditions.
    pub fn holds(&self, meets: &mut impl FnMut(u16) -> bool) -> bool {
        match self {
            Self::Always => true,
            Self::Stage(stage) => meets(*stage),
            Self::Not(guard) => !guard.holds(meets),
            Self::Both(a, b) => a.holds(meets) && b.holds(meets),
        }
    }
}

/// A way out of a state.
#[derive(Clone, Debug)]
pub struct Edge {
    pub action: Action,
    pub target: StateId,
    pub guard: Guard,
}

/// A state.
#[derive(Clone, Debug)]
pub struct State {
    pub kind: Kind,
    /// The stage whose records its edges take.
    pub stage: u16,
    /// In the order in which they are tried.
    pub edges: Vec<Edge>,
}

/// The automaton.
#[derive(Clone, Debug)]
pub struct Graph {
    pub states: Vec<State>,
    /// Where every sequence begins.
    pub start: StateId,
}

impl Graph {
    /// The state of an index.
    #[inline]
    pub fn state(&self, id: StateId) -> &State {
        &self.states[usize::from(id)]
    }
}
