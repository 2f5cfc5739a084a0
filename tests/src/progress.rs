//! How far pipelines are, wherever they run: numbers that only grow, by name, which others can wait for.

use std::collections::BTreeMap;
use std::time::Duration;

use millstream_engine::status::PipelineStatus;
use tokio::sync::watch;

/// How long a number may take to be reached.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Pipelines that the process has started.
pub const STARTED: &str = "started";
/// Checkpoints that the process has stored.
pub const CHECKPOINTS: &str = "checkpoints";

/// The numbers.
pub struct Progress(watch::Sender<BTreeMap<String, u64>>);

impl Default for Progress {
    fn default() -> Self {
        Self(watch::Sender::new(BTreeMap::new()))
    }
}

/// Name of the number that says up to which sequence the records of a source are committed.
pub fn position_of(pipeline: &str, source: &str) -> String {
    format!("{pipeline}/{source}")
}

/// The committed positions of a pipeline's sources, by [`position_of`]. A partition commits those of its own records at
/// once, the others' from time to time: the furthest one counts.
pub fn positions(pipeline: &str, status: &PipelineStatus) -> BTreeMap<String, u64> {
    let mut furthest = BTreeMap::new();
    for partition in status.stages.iter().flat_map(|stage| &stage.partitions) {
        for position in &partition.positions {
            let known = furthest.entry(position_of(pipeline, &position.source)).or_default();
            *known = position.position.max(*known);
        }
    }
    furthest
}

impl Progress {
    /// Notes that a number has reached a value.
    pub fn note(&self, name: &str, value: u64) {
        self.0.send_if_modified(|numbers| {
            let known = numbers.entry(name.to_owned()).or_default();
            let is_new = value > *known;
            *known = value.max(*known);
            is_new
        });
    }

    /// Begins to count what a process has done anew.
    pub fn forget_process(&self) {
        self.0.send_modify(|numbers| {
            numbers.remove(STARTED);
            numbers.remove(CHECKPOINTS);
        });
    }

    /// Waits until a number has reached a value.
    pub async fn until(&self, name: &str, value: u64) {
        let mut numbers = self.0.subscribe();
        let reached = numbers.wait_for(|numbers| numbers.get(name).copied().unwrap_or(0) >= value);
        if tokio::time::timeout(PATIENCE, reached).await.is_err() {
            panic!("`{name}` does not reach {value}: {:?}", self.0.borrow());
        }
    }
}
