//! Assignment: which node runs which partition.
//!
//! Weighted: a node's load is the weight of its partitions over its own weight. Sticky: a partition stays where it
//! is unless its node is gone or draining, or its move makes the cluster more even. The result depends on nothing
//! but the arguments, so that two coordinators with the same facts decide the same.
//!
//! Architecture invariant: nothing here is about safety. Two nodes that both believe a partition to be theirs
//! are told apart by the log.

use std::cmp::Ordering;

/// Whether a node takes partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeState {
    /// It does.
    Live,
    /// It keeps none: all of its partitions go elsewhere, if there is an elsewhere.
    Draining,
}

/// A node that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssignableNode {
    /// What it is called; nodes are told apart by it.
    pub name: String,
    /// Its share of the work, relative to the others'; 0 counts as 1.
    pub weight: u32,
    /// Whether it takes partitions.
    pub state: NodeState,
}

/// A partition to be assigned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssignablePartition {
    /// Number of its stage, over all pipelines: the partitions of one stage are spread.
    pub stage: u32,
    /// Its work, relative to the others'; 0 counts as 1.
    pub weight: u32,
    /// Where it is now: a node's name, which need not be there any more.
    pub owner: Option<String>,
    /// Names of nodes that do not take it.
    pub barred: Vec<String>,
    /// Names of nodes that have its state: of equally loaded ones they take it.
    pub warm: Vec<String>,
}

/// Decides where each partition runs: the index of a node, one per partition.
///
/// Nobody takes partitions (no node, or all drain): what is owned by a node that is there stays, the rest is `None`.
/// Otherwise each is on a live node, and no single move makes two nodes more even: for any partition of weight `p` on
/// node `a` and any live node `b` that takes it, `load(a) / weight(a) <= (load(b) + p) / weight(b)`. If all partitions
/// weigh the same and are barred from none, no assignment of that kind needs fewer moves. One that is barred from all live
/// nodes is `None`.
pub fn assign(nodes: &[AssignableNode], partitions: &[AssignablePartition]) -> Vec<Option<usize>> {
    let index = |name: &String| nodes.iter().position(|node| node.name == *name);
    let present = partitions.iter().map(|partition| partition.owner.as_ref().and_then(index));
    let mut owners: Vec<Option<usize>> = present.collect();
    let mut board = Board::new(nodes, partitions);
    if board.takers.is_empty() {
        return owners;
    }
    for (partition, owner) in owners.iter_mut().enumerate() {
        match owner {
            Some(node) if board.takes(*node, partition) => board.add(*node, partition),
            _ => *owner = None,
        }
    }
    // The heaviest first: the light ones even out what they leave.
    let mut homeless: Vec<usize> = (0..owners.len()).filter(|&p| owners[p].is_none()).collect();
    homeless.sort_by_key(|&partition| (std::cmp::Reverse(board.weight(partition)), partition));
    for partition in homeless {
        let Some(node) = board.best_for(partition) else { continue };
        board.add(node, partition);
        owners[partition] = Some(node);
    }
    while let Some((partition, node)) = board.best_move(&owners) {
        if let Some(from) = owners[partition].replace(node) {
            board.remove(from, partition);
        }
        board.add(node, partition);
    }
    owners
}

/// Decides which nodes stand by for each partition: `owners` as [`assign`] gave them, `present` the names of those that
/// do now, in order of preference. Each partition has as many of `wanted[partition]` as there are other live nodes. It is
/// as even, and needs as few moves, as [`assign`].
pub fn stand_by(
    nodes: &[AssignableNode],
    partitions: &[AssignablePartition],
    owners: &[Option<usize>],
    present: &[Vec<String>],
    wanted: &[u16],
) -> Vec<Vec<usize>> {
    let mut chosen = vec![Vec::new(); partitions.len()];
    let name = |node: usize| nodes[node].name.clone();
    for rank in 0..wanted.iter().copied().max().unwrap_or_default() {
        // Those of a partition that nobody has are kept: one of them may become its owner.
        let takes = |&index: &usize| wanted[index] > rank && owners[index].is_some();
        let indexes: Vec<usize> = (0..partitions.len()).filter(takes).collect();
        let seat = |&index: &usize| {
            let barred: Vec<String> =
                owners[index].into_iter().chain(chosen[index].iter().copied()).map(name).collect();
            let free = present[index].iter().find(|name| !barred.contains(name));
            let (owner, warm) = (free.cloned(), Vec::new());
            AssignablePartition { owner, barred, warm, ..partitions[index].clone() }
        };
        let seats: Vec<AssignablePartition> = indexes.iter().map(seat).collect();
        for (index, node) in indexes.into_iter().zip(assign(nodes, &seats)) {
            let live = node.filter(|&node| nodes[node].state == NodeState::Live);
            chosen[index].extend(live);
        }
    }
    chosen
}

/// Who has how much.
struct Board<'a> {
    nodes: &'a [AssignableNode],
    partitions: &'a [AssignablePartition],
    /// Live nodes, by name: the order in which equals are chosen.
    takers: Vec<usize>,
    loads: Vec<u64>,
    /// Per node how many partitions of each stage.
    stages: Vec<std::collections::BTreeMap<u32, u32>>,
}

impl<'a> Board<'a> {
    fn new(nodes: &'a [AssignableNode], partitions: &'a [AssignablePartition]) -> Self {
        let is_live = |&node: &usize| nodes[node].state == NodeState::Live;
        let mut takers: Vec<usize> = (0..nodes.len()).filter(is_live).collect();
        takers.sort_by_key(|&node| &nodes[node].name);
        let (loads, stages) = (vec![0; nodes.len()], vec![Default::default(); nodes.len()]);
        Self { nodes, partitions, takers, loads, stages }
    }

    fn weight(&self, partition: usize) -> u64 {
        u64::from(self.partitions[partition].weight.max(1))
    }

    /// Whether the node may have the partition.
    fn takes(&self, node: usize, partition: usize) -> bool {
        let AssignableNode { name, state, .. } = &self.nodes[node];
        *state == NodeState::Live && !self.partitions[partition].barred.contains(name)
    }

    fn is_warm(&self, node: usize, partition: usize) -> bool {
        self.partitions[partition].warm.contains(&self.nodes[node].name)
    }

    fn of_stage(&self, node: usize, partition: usize) -> u32 {
        self.stages[node].get(&self.partitions[partition].stage).copied().unwrap_or(0)
    }

    fn add(&mut self, node: usize, partition: usize) {
        self.loads[node] += self.weight(partition);
        *self.stages[node].entry(self.partitions[partition].stage).or_default() += 1;
    }

    fn remove(&mut self, node: usize, partition: usize) {
        self.loads[node] -= self.weight(partition);
        *self.stages[node].entry(self.partitions[partition].stage).or_default() -= 1;
    }

    /// Compares `a`'s load with `plus_a` more to `b`'s with `plus_b` more, each over its node's weight.
    fn compare(&self, (a, plus_a): (usize, u64), (b, plus_b): (usize, u64)) -> Ordering {
        let weight = |node: usize| u128::from(self.nodes[node].weight.max(1));
        let load = |node: usize, plus: u64| u128::from(self.loads[node]) + u128::from(plus);
        (load(a, plus_a) * weight(b)).cmp(&(load(b, plus_b) * weight(a)))
    }

    /// The live node that is least loaded with the partition added; of equals the one with fewest of its stage. `None`: it
    /// is barred from all.
    fn best_for(&self, partition: usize) -> Option<usize> {
        let plus = self.weight(partition);
        let better = |&a: &usize, &b: &usize| {
            self.compare((a, plus), (b, plus))
                .then_with(|| self.is_warm(b, partition).cmp(&self.is_warm(a, partition)))
                .then_with(|| self.of_stage(a, partition).cmp(&self.of_stage(b, partition)))
        };
        // The first of equals: by name.
        self.takers.iter().copied().filter(|&node| self.takes(node, partition)).min_by(better)
    }

    /// The move that leaves the target least loaded, off the most loaded node from which any move helps. `None`: it is
    /// even.
    fn best_move(&self, owners: &[Option<usize>]) -> Option<(usize, usize)> {
        let mut givers = self.takers.clone();
        givers.sort_by(|&a, &b| self.compare((b, 0), (a, 0)));
        givers.into_iter().find_map(|from| self.best_move_from(from, owners))
    }

    fn best_move_from(&self, from: usize, owners: &[Option<usize>]) -> Option<(usize, usize)> {
        let held = (0..owners.len()).filter(|&partition| owners[partition] == Some(from));
        let moves = held.filter_map(|partition| Some((partition, self.best_for(partition)?)));
        let helps = |&(partition, to): &(usize, usize)| {
            to != from && self.compare((to, self.weight(partition)), (from, 0)).is_lt()
        };
        let spread = |partition: usize, to: usize| {
            i64::from(self.of_stage(to, partition)) - i64::from(self.of_stage(from, partition))
        };
        moves.filter(helps).min_by(|&(a, to_a), &(b, to_b)| {
            self.compare((to_a, self.weight(a)), (to_b, self.weight(b)))
                .then_with(|| self.is_warm(to_b, b).cmp(&self.is_warm(to_a, a)))
                .then_with(|| spread(a, to_a).cmp(&spread(b, to_b)))
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn node(name: usize, weight: u32, state: NodeState) -> AssignableNode {
        AssignableNode { name: format!("node-{name}"), weight, state }
    }

    fn live(count: usize) -> Vec<AssignableNode> {
        (0..count).map(|name| node(name, 1, NodeState::Live)).collect()
    }

    fn partitions(owners: &[Option<usize>]) -> Vec<AssignablePartition> {
        let of = |owner: &Option<usize>| AssignablePartition {
            stage: 0,
            weight: 1,
            owner: owner.map(|owner| format!("node-{owner}")),
            barred: Vec::new(),
            warm: Vec::new(),
        };
        owners.iter().map(of).collect()
    }

    fn owned(
        nodes: &[AssignableNode],
        partitions: &[AssignablePartition],
        owners: &[Option<usize>],
    ) -> Vec<AssignablePartition> {
        let name = |owner: &Option<usize>| owner.map(|owner| nodes[owner].name.clone());
        let with = |(p, o): (&AssignablePartition, &Option<usize>)| AssignablePartition {
            owner: name(o),
            ..p.clone()
        };
        partitions.iter().zip(owners).map(with).collect()
    }

    fn loads(
        nodes: &[AssignableNode],
        partitions: &[AssignablePartition],
        owners: &[Option<usize>],
    ) -> Vec<u64> {
        let mut loads = vec![0; nodes.len()];
        for (partition, owner) in partitions.iter().zip(owners) {
            if let Some(owner) = owner {
                loads[*owner] += u64::from(partition.weight);
            }
        }
        loads
    }

    #[test]
    fn one_node_has_all_and_without_nodes_nobody_has_any() {
        let free = partitions(&[None, None, Some(7)]);
        assert_eq!(assign(&live(1), &free), vec![Some(0); 3]);
        assert_eq!(assign(&[], &free), vec![None; 3]);
    }

    #[test]
    fn a_new_node_takes_its_share_and_the_rest_stays() {
        let before = partitions(&[Some(0); 6]);
        let after = assign(&live(3), &before);
        assert_eq!(loads(&live(3), &before, &after), [2, 2, 2]);
        assert_eq!(after.iter().filter(|owner| **owner == Some(0)).count(), 2);
    }

    #[test]
    fn a_draining_node_gives_all_and_keeps_all_if_nobody_takes_them() {
        let nodes = [node(0, 1, NodeState::Draining), node(1, 1, NodeState::Live)];
        let before = partitions(&[Some(0), Some(0), Some(1)]);
        assert_eq!(assign(&nodes, &before), vec![Some(1); 3]);
        assert_eq!(assign(&nodes[..1], &before), [Some(0), Some(0), None]);
    }

    #[test]
    fn the_partitions_of_a_stage_are_spread() {
        let stage = |stage| AssignablePartition {
            stage,
            weight: 1,
            owner: None,
            barred: Vec::new(),
            warm: Vec::new(),
        };
        let both = [stage(0), stage(0), stage(1), stage(1)];
        let owners = assign(&live(2), &both);
        assert_ne!(owners[0], owners[1]);
        assert_ne!(owners[2], owners[3]);
    }

    #[test]
    fn of_equals_the_one_that_has_the_state_takes_it() {
        let mut before = partitions(&[None, Some(0), Some(1), Some(2)]);
        before[0].warm.push("node-1".to_owned());
        assert_eq!(assign(&live(3), &before)[0], Some(1));
        // One of node 0 must move; node 2 has the state of the second.
        let mut before = partitions(&[Some(0), Some(0), Some(0), Some(1), Some(1), Some(2)]);
        before[1].warm.push("node-2".to_owned());
        let after = assign(&live(3), &before);
        assert_eq!(after, [Some(0), Some(2), Some(0), Some(1), Some(1), Some(2)].to_vec());
    }

    #[test]
    fn those_who_stand_by_are_others_than_the_owner_and_stay_when_they_can() {
        let free = partitions(&[None; 6]);
        let of = |nodes: &[AssignableNode], owners: &[Option<usize>], present: &[Vec<String>]| {
            stand_by(nodes, &free, owners, present, &[1; 6])
        };
        let nobody = vec![Vec::new(); 6];
        let owners = [0, 0, 1, 1, 2, 2].map(Some);
        let chosen = of(&live(3), &owners, &nobody);
        for (owner, chosen) in owners.iter().zip(&chosen) {
            assert_eq!(chosen.len(), 1);
            assert_ne!(*owner, Some(chosen[0]));
        }
        for node in 0..3 {
            assert_eq!(chosen.iter().flatten().filter(|&&n| n == node).count(), 2, "{chosen:?}");
        }
        let names = |chosen: &[Vec<usize>]| -> Vec<Vec<String>> {
            let name = |node: &usize| format!("node-{node}");
            chosen.iter().map(|nodes| nodes.iter().map(name).collect()).collect()
        };
        assert_eq!(of(&live(3), &owners, &names(&chosen)), chosen, "nobody moves without need");
        assert!(of(&live(1), &[Some(0); 6], &nobody).iter().all(Vec::is_empty));
        let drains = [node(0, 1, NodeState::Live), node(1, 1, NodeState::Draining)];
        assert!(of(&drains, &[Some(0); 6], &nobody).iter().all(Vec::is_empty));
        let two = stand_by(&live(3), &free, &owners, &nobody, &[2; 6]);
        for (owner, chosen) in owners.iter().zip(two) {
            let mut all: Vec<usize> = chosen.into_iter().chain(*owner).collect();
            all.sort();
            assert_eq!(all, [0, 1, 2]);
        }
    }

    fn world() -> impl Strategy<Value = (Vec<AssignableNode>, Vec<AssignablePartition>)> {
        let nodes = vec((1u32..5, prop::bool::weighted(0.2)), 1..6).prop_map(|nodes| {
            let state = |drains| if drains { NodeState::Draining } else { NodeState::Live };
            let node = |(name, (weight, drains))| node(name, weight, state(drains));
            nodes.into_iter().enumerate().map(node).collect::<Vec<_>>()
        });
        let partition = (0u32..3, 1u32..6, prop::option::of(0usize..8));
        let partitions = vec(partition, 0..24).prop_map(|partitions| {
            let partition = |(stage, weight, owner): (u32, u32, Option<usize>)| {
                let owner = owner.map(|owner| format!("node-{owner}"));
                AssignablePartition { stage, weight, owner, barred: Vec::new(), warm: Vec::new() }
            };
            partitions.into_iter().map(partition).collect::<Vec<_>>()
        });
        (nodes, partitions)
    }

    proptest! {
        #[test]
        fn it_is_even_complete_and_stays_as_it_is((nodes, before) in world()) {
            let owners = assign(&nodes, &before);
            let takers: Vec<usize> =
                (0..nodes.len()).filter(|&n| nodes[n].state == NodeState::Live).collect();
            if takers.is_empty() {
                for (partition, owner) in before.iter().zip(&owners) {
                    let there = nodes.iter().position(|n| Some(&n.name) == partition.owner.as_ref());
                    prop_assert_eq!(there, *owner);
                }
                return Ok(());
            }
            let loads = loads(&nodes, &before, &owners);
            for (partition, owner) in before.iter().zip(&owners) {
                let owner = owner.expect("somebody takes it");
                prop_assert!(takers.contains(&owner));
                for &other in takers.iter().filter(|&&other| other != owner) {
                    let here = loads[owner] * u64::from(nodes[other].weight);
                    let there = (loads[other] + u64::from(partition.weight)) * u64::from(nodes[owner].weight);
                    prop_assert!(here <= there, "moving one from {} to {} makes it more even", owner, other);
                }
            }
            let again = assign(&nodes, &owned(&nodes, &before, &owners));
            prop_assert_eq!(again, owners);
        }

        #[test]
        fn the_order_of_nodes_does_not_matter((nodes, before) in world(), turn in 0usize..6) {
            let mut turned = nodes.clone();
            let by = turn % nodes.len();
            turned.rotate_left(by);
            let names = |nodes: &[AssignableNode], owners: Vec<Option<usize>>| -> Vec<Option<String>> {
                owners.into_iter().map(|owner| Some(nodes[owner?].name.clone())).collect()
            };
            prop_assert_eq!(
                names(&nodes, assign(&nodes, &before)),
                names(&turned, assign(&turned, &before))
            );
        }

        /// Against all assignments there are.
        #[test]
        fn no_even_assignment_of_equal_partitions_needs_fewer_moves(
            weights in vec((1u32..4, prop::bool::weighted(0.2)), 1..4),
            owners in vec(prop::option::of(0usize..4), 0..6),
        ) {
            let state = |drains| if drains { NodeState::Draining } else { NodeState::Live };
            let nodes: Vec<_> = weights.iter().enumerate()
                .map(|(name, &(weight, drains))| node(name, weight, state(drains))).collect();
            let takers: Vec<usize> =
                (0..nodes.len()).filter(|&n| nodes[n].state == NodeState::Live).collect();
            prop_assume!(!takers.is_empty());
            let before = partitions(&owners);
            let moves = |after: &[Option<usize>]| {
                let stays = |(p, o): &(&AssignablePartition, &Option<usize>)| {
                    o.is_some_and(|o| Some(&nodes[o].name) == p.owner.as_ref())
                };
                before.len() - before.iter().zip(after).filter(stays).count()
            };
            let is_even = |after: &[Option<usize>]| {
                let loads = loads(&nodes, &before, after);
                takers.iter().all(|&a| loads[a] == 0 || takers.iter().all(|&b| {
                    a == b || loads[a] * u64::from(nodes[b].weight) <= (loads[b] + 1) * u64::from(nodes[a].weight)
                }))
            };
            let made = assign(&nodes, &before);
            prop_assert!(is_even(&made));
            let all = takers.len().pow(before.len() as u32);
            let fewest = (0..all).filter_map(|mut number| {
                let candidate: Vec<_> = before.iter().map(|_| {
                    let taker = takers[number % takers.len()];
                    number /= takers.len();
                    Some(taker)
                }).collect();
                is_even(&candidate).then(|| moves(&candidate))
            }).min();
            prop_assert_eq!(Some(moves(&made)), fewest);
        }
    }
}
