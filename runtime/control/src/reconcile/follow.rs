//! Follows what is wanted and where it is to run, and hands it to the pipelines' tasks.

use std::collections::HashMap;
use std::pin::pin;

use futures::StreamExt;
use futures::stream;
use millstream_log::kv::{KvChange, KvEvent};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{Reconciler, Wanted};
use crate::api::pipelines::Desired;
use crate::cluster::assignments::Assignments;
use crate::registry::Pipelines;
use crate::worker::Worker;

struct Tasks<W> {
    reconciler: Reconciler<W>,
    wanted: HashMap<String, watch::Sender<Wanted>>,
    running: JoinSet<()>,
    /// Whether all records and all assignments have been read once.
    is_current: bool,
    stop: CancellationToken,
}

/// Which bucket an event is of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Of {
    Records,
    Assignments,
}

/// Runs until `stop`. Returns the names of all pipelines that were handled.
pub(super) async fn run<W: Worker>(
    reconciler: Reconciler<W>,
    stop: CancellationToken,
) -> Vec<String> {
    let mut pause = reconciler.backoff.first;
    let mut tasks = Tasks {
        reconciler,
        wanted: HashMap::new(),
        running: JoinSet::new(),
        is_current: false,
        stop: stop.clone(),
    };
    while !stop.is_cancelled() {
        let watched = tokio::select! {
            watched = tasks.follow() => watched,
            () = stop.cancelled() => break,
        };
        if let Err(reason) = watched {
            tracing::warn!(%reason, "the watch over pipelines ended; it is opened again");
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = stop.cancelled() => break,
        }
        pause = (pause * 2).min(tasks.reconciler.backoff.most);
    }
    tasks.reconciler.expected.set(None);
    while tasks.running.join_next().await.is_some() {}
    tasks.wanted.into_keys().collect()
}

impl<W: Worker> Tasks<W> {
    /// Hands changes to the pipelines' tasks until a watch ends.
    async fn follow(&mut self) -> Result<(), String> {
        let text = |problem: crate::problem::Problem| problem.to_string();
        let records = self.reconciler.pipelines.watch().await.map_err(text)?;
        let assignments = self.reconciler.assignments.watch().await.map_err(text)?;
        // Either ending ends both.
        let records = records.map(|event| Some((Of::Records, event)));
        let assignments = assignments.map(|event| Some((Of::Assignments, event)));
        let ends = || stream::iter([None]);
        let mut events = pin!(stream::select(records.chain(ends()), assignments.chain(ends())));
        let mut present: HashMap<bool, Vec<String>> =
            HashMap::from([(true, Vec::new()), (false, Vec::new())]);
        while let Some(Some((of, event))) = events.next().await {
            let of_records = of == Of::Records;
            match event.map_err(|error| error.to_string())? {
                KvEvent::Change(change) => {
                    if let Some(present) = present.get_mut(&of_records) {
                        present.push(change.key().to_owned());
                    }
                    self.changed(of, &change);
                }
                KvEvent::Current => {
                    // What a watch that was opened again does not mention was deleted in between.
                    let names = present.remove(&of_records).unwrap_or_default();
                    let known: Vec<String> = self.wanted.keys().cloned().collect();
                    for name in known.into_iter().filter(|name| !names.contains(name)) {
                        self.want(&name, |wanted| match of {
                            Of::Records => wanted.recorded = None,
                            Of::Assignments => wanted.assignment = None,
                        });
                    }
                    self.is_current |= present.is_empty();
                }
            }
            self.tell_expected();
        }
        Err("it ended".to_owned())
    }

    fn changed(&mut self, of: Of, change: &KvChange) {
        let name = change.key();
        // It keeps running as it did: an entry that cannot be read says nothing.
        let problem = match of {
            Of::Records => match Pipelines::read_change(change) {
                Ok(recorded) => return self.want(name, |wanted| wanted.recorded = recorded),
                Err(problem) => problem,
            },
            Of::Assignments => match Assignments::read_change(change) {
                Ok(assignment) => return self.want(name, |wanted| wanted.assignment = assignment),
                Err(problem) => problem,
            },
        };
        tracing::error!(pipeline = %name, %problem, "a pipeline's record cannot be read");
        let failure = Some(problem.to_string());
        self.reconciler.reconciled.with(name, |outcome| outcome.failure = failure);
    }

    /// Changes what is wanted of a pipeline, and starts its task if there is none.
    fn want(&mut self, name: &str, change: impl FnOnce(&mut Wanted)) {
        if let Some(sender) = self.wanted.get(name) {
            sender.send_modify(change);
            return;
        }
        let mut wanted = Wanted::default();
        change(&mut wanted);
        if wanted.recorded.is_none() && wanted.assignment.is_none() {
            return;
        }
        let (sender, receiver) = watch::channel(wanted);
        let task = self.reconciler.clone().converge(name.to_owned(), receiver, self.stop.clone());
        self.running.spawn(task);
        self.wanted.insert(name.to_owned(), sender);
    }

    fn tell_expected(&self) {
        if !self.is_current {
            return;
        }
        let expected = self.wanted.iter().filter_map(|(name, wanted)| {
            let wanted = wanted.borrow();
            let desired = wanted.recorded.as_ref()?.record.desired;
            let mine = self.reconciler.mine(&wanted).runs;
            // One that is nobody's yet may become this node's.
            let is_expected = !mine.is_empty() || wanted.assignment.is_none();
            (is_expected && desired != Desired::Deleted).then(|| (name.clone(), (desired, mine)))
        });
        self.reconciler.expected.set(Some(expected.collect()));
    }
}
