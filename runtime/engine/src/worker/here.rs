//! The partitions of a pipeline that are on this node.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{mpsc, watch};

use super::checkpoint::CheckpointStore;
use super::partition::Command;
use super::report::Board;

/// One partition from the outside.
#[derive(Clone)]
pub struct Lane {
    pub commands: mpsc::UnboundedSender<Command>,
    pub board: Arc<Board>,
    pub store: CheckpointStore,
    /// It is to be forgotten once it has stopped.
    pub leaving: bool,
}

/// Per stage the partitions, by number. Those that have stopped stay for as long as the pipeline, to say why, unless they are
/// another node's.
pub struct Here {
    stages: Mutex<Vec<BTreeMap<u16, Lane>>>,
    changed: watch::Sender<()>,
}

impl Here {
    /// None yet, of so many stages.
    pub fn new(stages: usize) -> Self {
        Self { stages: Mutex::new(vec![BTreeMap::new(); stages]), changed: watch::Sender::new(()) }
    }

    fn stages(&self) -> MutexGuard<'_, Vec<BTreeMap<u16, Lane>>> {
        self.stages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn insert(&self, stage: usize, partition: u16, lane: Lane) {
        self.stages()[stage].insert(partition, lane);
    }

    pub fn remove(&self, stage: usize, partition: u16) {
        self.stages()[stage].remove(&partition);
        self.changed.send_replace(());
    }

    /// Marks a partition as leaving; its lane.
    pub fn leave(&self, stage: usize, partition: u16) -> Option<Lane> {
        let mut stages = self.stages();
        let lane = stages[stage].get_mut(&partition)?;
        lane.leaving = true;
        Some(lane.clone())
    }

    pub fn get(&self, stage: usize, partition: u16) -> Option<Lane> {
        self.stages()[stage].get(&partition).cloned()
    }

    /// The partitions of a stage.
    pub fn of(&self, stage: usize) -> Vec<(u16, Lane)> {
        self.stages()[stage].iter().map(|(&partition, lane)| (partition, lane.clone())).collect()
    }

    /// All partitions.
    pub fn all(&self) -> Vec<Lane> {
        self.stages().iter().flat_map(|stage| stage.values().cloned()).collect()
    }

    /// Which there are, per stage.
    pub fn held(&self) -> Vec<BTreeSet<u16>> {
        self.stages().iter().map(|stage| stage.keys().copied().collect()).collect()
    }

    /// Waits until none of these is here any more.
    pub async fn until_gone(&self, partitions: &[(usize, u16)]) {
        let mut changed = self.changed.subscribe();
        let is_here = |&(stage, partition): &(usize, u16)| self.get(stage, partition).is_some();
        while partitions.iter().any(is_here) {
            // The sender is ours.
            let _ = changed.changed().await;
        }
    }
}
