//! The gate in front of what a pipeline reads: while it is closed, the readers of its streams hand over nothing more, and
//! say where they stand. All partitions of a stage then have the same of every stream.

use std::collections::BTreeMap;
use std::convert::Infallible;

use millstream_core::ids::{Sequence, SourceId};
use tokio::sync::watch;

/// A stream as one stage reads it.
pub type Inlet = (usize, SourceId);

#[derive(Debug, Default)]
struct State {
    closed: bool,
    /// Readers that wait, and the last sequence that each has handed over.
    waiting: BTreeMap<Inlet, Sequence>,
}

/// The gate of one pipeline on this node.
#[derive(Clone, Debug)]
pub struct Gate(watch::Sender<State>);

impl Gate {
    /// An open one.
    pub fn new() -> Self {
        Self(watch::Sender::new(State::default()))
    }

    /// Has readers wait from now on.
    pub fn close(&self) {
        self.0.send_replace(State { closed: true, waiting: BTreeMap::new() });
    }

    /// Lets them go on.
    pub fn open(&self) {
        self.0.send_replace(State::default());
    }

    /// Waits until all these readers wait; where each stands.
    pub async fn until_waiting(&self, inlets: &[Inlet]) -> BTreeMap<Inlet, Sequence> {
        let mut states = self.0.subscribe();
        let all = |state: &State| inlets.iter().all(|inlet| state.waiting.contains_key(inlet));
        // The sender is ours.
        let state = states.wait_for(all).await;
        state.map(|state| state.waiting.clone()).unwrap_or_default()
    }

    /// For a reader that has handed over all up to `at` and has nothing to hand over: says so when the gate is closed.
    /// Never ends.
    pub async fn tell(&self, inlet: Inlet, at: Sequence) -> Infallible {
        let mut states = self.0.subscribe();
        loop {
            let wants = |state: &State| state.closed && !state.waiting.contains_key(&inlet);
            if states.wait_for(wants).await.is_err() {
                return std::future::pending().await;
            }
            self.stands(inlet, at);
        }
    }

    /// For a reader that has handed over all up to `at` and is about to hand over more: waits while the gate is closed.
    pub async fn pass(&self, inlet: Inlet, at: Sequence) {
        let mut states = self.0.subscribe();
        while states.borrow_and_update().closed {
            self.stands(inlet, at);
            // The sender is ours.
            let _ = states.changed().await;
        }
    }

    fn stands(&self, inlet: Inlet, at: Sequence) {
        self.0.send_if_modified(|state| {
            state.closed && state.waiting.insert(inlet, at).is_none_or(|before| before != at)
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn readers_wait_where_they_stand() {
        let gate = Gate::new();
        let (one, two) = ((0, SourceId(0)), (1, SourceId(0)));
        gate.pass(one, Sequence(3)).await;
        gate.close();
        let idle = tokio::spawn({
            let gate = gate.clone();
            async move { gate.tell(two, Sequence(7)).await }
        });
        let busy = tokio::spawn({
            let gate = gate.clone();
            async move { gate.pass(one, Sequence(5)).await }
        });
        let waiting = gate.until_waiting(&[one, two]).await;
        assert_eq!((waiting[&one], waiting[&two]), (Sequence(5), Sequence(7)));
        assert!(!busy.is_finished());
        gate.open();
        busy.await.unwrap();
        gate.close();
        assert_eq!(
            gate.until_waiting(&[two]).await[&two],
            Sequence(7),
            "it hears of every closing"
        );
        idle.abort();
    }
}
