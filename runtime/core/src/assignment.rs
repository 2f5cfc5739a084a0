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
}

/// Decides where each partition runs: the index of a node, one per partition.
///
/// Nobody takes partitions (no node, or all drain): what is owned by a node that is there stays, the rest is `None`.
/// Otherwise each is on a live node, and no single move makes two nodes more even: for any partition of weight `p` on
/// node `a` and any live node `b`, `load(a) / weight(a) <= (load(b) + p) / weight(b)`. If all partitions weigh the
/// same, no assignment of that kind needs fewer moves.
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
            Some(node) if nodes[*node].state == NodeState::Live => board.add(*node, partition),
            _ => *owner = None,
        }
    }
    // The heaviest first: the light ones even out what they leave.
    let mut homeless: Vec<usize> = (0..owners.len()).filter(|&p| owners[p].is_none()).collect();
    homeless.sort_by_key(|&partition| (std::cmp::Reverse(board.weight(partition)), partition));
    for partition in homeless {
        let node = board.best_for(partition);
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

    /// The live node that is least loaded with the partition added; of equals the one with fewest of its stage.
    fn best_for(&self, partition: usize) -> usize {
        let plus = self.weight(partition);
        let better = |&a: &usize, &b: &usize| {
            self.compare((a, plus), (b, plus))
                .then_with(|| self.of_stage(a, partition).cmp(&self.of_stage(b, partition)))
        };
        // The first of equals: by name.
        self.takers.iter().copied().min_by(better).unwrap_or_default()
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
        let moves = held.map(|partition| (partition, self.best_for(partition)));
        let helps = |&(partition, to): &(usize, usize)| {
            to != from && self.compare((to, self.weight(partition)), (from, 0)).is_lt()
        };
        let spread = |partition: usize, to: usize| {
            i64::from(self.of_stage(to, partition)) - i64::from(self.of_stage(from, partition))
        };
        moves.filter(helps).min_by(|&(a, to_a), &(b, to_b)| {
            self.compare((to_a, self.weight(a)), (to_b, self.weight(b)))
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
        let stage = |stage| AssignablePartition { stage, weight: 1, owner: None };
        let both = [stage(0), stage(0), stage(1), stage(1)];
        let owners = assign(&live(2), &both);
        assert_ne!(owners[0], owners[1]);
        assert_ne!(owners[2], owners[3]);
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
                AssignablePartition { stage, weight, owner }
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
