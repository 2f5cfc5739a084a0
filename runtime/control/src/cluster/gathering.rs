//! Pipelines that are gathered on one node for a while: what needs all partitions at once, a savepoint, is done there.
//!
//! Only the coordinator knows of it, which is asked for such things. The next one knows of none, and spreads the partitions again.

use std::collections::BTreeMap;

use tokio::sync::watch;

/// Which pipelines are to be on one node, and on which. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Gatherings(watch::Sender<BTreeMap<String, String>>);

/// A pipeline is to be on one node until this is dropped.
pub struct Gathering {
    all: Gatherings,
    pipeline: String,
}

impl Gatherings {
    /// Has all partitions of a pipeline go to the node with this identity. None: it is being gathered already.
    pub fn begin(&self, pipeline: &str, identity: &str) -> Option<Gathering> {
        let begun = self.0.send_if_modified(|all| {
            if all.contains_key(pipeline) {
                return false;
            }
            all.insert(pipeline.to_owned(), identity.to_owned());
            true
        });
        begun.then(|| Gathering { all: self.clone(), pipeline: pipeline.to_owned() })
    }

    /// All of them, now and whenever they change.
    pub fn watch(&self) -> watch::Receiver<BTreeMap<String, String>> {
        self.0.subscribe()
    }
}

impl Drop for Gathering {
    fn drop(&mut self) {
        self.all.0.send_modify(|all| {
            all.remove(&self.pipeline);
        });
    }
}
