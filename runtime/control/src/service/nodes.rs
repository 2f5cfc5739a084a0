//! `node.*`: the nodes of the cluster.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::join_all;
use millstream_engine::worker::Assigned;

use super::{Answer, Service};
use crate::api::node::{
    Describe, Described, Drain, List, Listing, NodeState, NodeSummary, PlacedPartition, Resume,
    StandbyPartition,
};
use crate::cluster::assignments::RecordedAssignment as Recorded;
use crate::cluster::membership::DRAIN_PREFIX;
use crate::cluster::view::Peer;
use crate::errors;
use crate::manifest::suggest;
use crate::problem::{Problem, Problems};
use crate::registry::storage;
use crate::worker::Worker;

/// Partitions by pipeline and stage.
type Partitions = BTreeMap<String, Assigned>;

/// What a node is to do.
#[derive(Default)]
struct Tasks {
    runs: Partitions,
    follows: Partitions,
}

impl<W: Worker> Service<W> {
    /// The node that is meant by a name or an identity.
    fn node(&self, wanted: &str) -> Result<(String, Peer), Problem> {
        let view = self.peers.view.borrow();
        if let Some(peer) = view.nodes.get(wanted) {
            return Ok((wanted.to_owned(), peer.clone()));
        }
        let named: Vec<_> =
            view.nodes.iter().filter(|(_, peer)| peer.member.node == wanted).collect();
        match named.as_slice() {
            [(identity, peer)] => Ok(((*identity).clone(), (*peer).clone())),
            [] => {
                let names = view.nodes.values().map(|peer| peer.member.node.as_str());
                Err(Problem::new(errors::NODE_UNKNOWN, format!("there is no node `{wanted}`"))
                    .help(suggest(wanted, names)))
            }
            several => {
                let identities: Vec<&str> = several.iter().map(|(id, _)| id.as_str()).collect();
                let message = format!("{} nodes are called `{wanted}`", several.len());
                Err(Problem::new(errors::NODE_UNKNOWN, message)
                    .help(format!("name one by its identity: {}", identities.join(", "))))
            }
        }
    }

    /// Per node what it is to run.
    async fn assigned(&self) -> Result<BTreeMap<String, Tasks>, Problem> {
        let mut assigned: BTreeMap<String, Tasks> = BTreeMap::new();
        for (pipeline, Recorded { assignment, .. }) in self.assignments.list().await? {
            let slots = || assignment.stages.values().flatten();
            let named: BTreeSet<&String> =
                slots().flat_map(|slot| slot.owner.iter().chain(&slot.standbys)).collect();
            for identity in named {
                let (of_node, share) =
                    (assigned.entry(identity.clone()).or_default(), assignment.of(identity));
                of_node.runs.insert(pipeline.clone(), share.runs);
                of_node.follows.insert(pipeline.clone(), share.follows);
            }
        }
        Ok(assigned)
    }

    async fn placed(&self, identity: &str, peer: &Peer, tasks: &Tasks) -> Described {
        let (held, ready) = match self.peers.held(identity).await {
            Some(held) => (Some(held.pipelines), held.ready),
            None => (None, Partitions::new()),
        };
        let ready: BTreeSet<_> = places(&ready).collect();
        let standby = |place: (String, String, u16)| {
            let ready = ready.contains(&place);
            let (pipeline, stage, partition) = place;
            StandbyPartition { pipeline, stage, partition, ready }
        };
        let mut placed: BTreeMap<(String, String, u16), (bool, bool)> = BTreeMap::new();
        for place in places(&tasks.runs) {
            placed.entry(place).or_default().0 = true;
        }
        for place in held.iter().flat_map(places) {
            placed.entry(place).or_default().1 = true;
        }
        let place = |((pipeline, stage, partition), (assigned, running))| PlacedPartition {
            pipeline,
            stage,
            partition,
            assigned,
            running,
        };
        Described {
            node: NodeSummary {
                node: peer.member.node.clone(),
                identity: identity.to_owned(),
                incarnation: peer.member.incarnation.clone(),
                version: peer.member.version.clone(),
                weight: peer.member.weight,
                state: if peer.draining { NodeState::Draining } else { NodeState::Live },
                coordinator: identity == self.peers.me,
                assigned: places(&tasks.runs).count(),
                running: held.as_ref().map(|held| places(held).count()),
            },
            partitions: placed.into_iter().map(place).collect(),
            standbys: places(&tasks.follows).map(standby).collect(),
        }
    }

    /// Notes that a node drains, or no longer.
    async fn set_draining(&self, wanted: &str, draining: bool) -> Result<NodeSummary, Problems> {
        let (identity, peer) = self.node(wanted)?;
        let key = format!("{DRAIN_PREFIX}{identity}");
        let noted = match draining {
            true => self.leases.put(&key, bytes::Bytes::from_static(b"draining")).await.map(drop),
            false => self.leases.delete(&key, None).await,
        };
        noted.map_err(|error| storage(&error))?;
        tracing::info!(node = %peer.member.node, %identity, draining, "a node's state changed");
        let assigned = self.assigned().await?.remove(&identity).unwrap_or_default();
        let peer = Peer { draining, ..peer };
        Ok(self.placed(&identity, &peer, &assigned).await.node)
    }
}

fn places(partitions: &Partitions) -> impl Iterator<Item = (String, String, u16)> {
    partitions.iter().flat_map(|(pipeline, stages)| {
        stages.iter().flat_map(move |(stage, partitions)| {
            partitions.iter().map(move |&number| (pipeline.clone(), stage.clone(), number))
        })
    })
}

impl<W: Worker> Answer<List> for Service<W> {
    async fn answer(&self, _: List) -> Result<Listing, Problems> {
        let view = self.peers.view.borrow().clone();
        let assigned = self.assigned().await?;
        let none = Tasks::default();
        let placed = view.nodes.iter().map(|(identity, peer)| {
            self.placed(identity, peer, assigned.get(identity).unwrap_or(&none))
        });
        let mut nodes: Vec<_> = join_all(placed).await.into_iter().map(|d| d.node).collect();
        nodes.sort_by(|a, b| (&a.node, &a.identity).cmp(&(&b.node, &b.identity)));
        Ok(Listing { nodes })
    }
}

impl<W: Worker> Answer<Describe> for Service<W> {
    async fn answer(&self, request: Describe) -> Result<Described, Problems> {
        let (identity, peer) = self.node(&request.node)?;
        let assigned = self.assigned().await?.remove(&identity).unwrap_or_default();
        Ok(self.placed(&identity, &peer, &assigned).await)
    }
}

impl<W: Worker> Answer<Drain> for Service<W> {
    async fn answer(&self, request: Drain) -> Result<NodeSummary, Problems> {
        self.set_draining(&request.node, true).await
    }
}

impl<W: Worker> Answer<Resume> for Service<W> {
    async fn answer(&self, request: Resume) -> Result<NodeSummary, Problems> {
        self.set_draining(&request.node, false).await
    }
}
