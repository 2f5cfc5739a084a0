//! An ensemble of decision trees as XGBoost exports it (`get_dump(dump_format="json", with_stats=True)`), evaluated as XGBoost does: features,
//! bounds and sums are 32-bit floats, a feature goes to `yes` if it is below the bound, and one that is missing goes to `missing`.

use std::collections::BTreeMap;

use millstream_udf::prelude::*;

use crate::config::FEATURES_MAX;
use crate::explain::Explained;
use crate::shapley::{Path, add_shares};

/// Nodes of an ensemble, at most.
const NODES_MAX: usize = 100_000;
/// Depth of a tree, at most.
const DEPTH_MAX: usize = 32;

/// A node as it is exported. What else is in the export is of no consequence here.
#[derive(Clone, Debug, Deserialize)]
pub struct WrittenNode {
    nodeid: u32,
    leaf: Option<f64>,
    split: Option<String>,
    split_condition: Option<f64>,
    yes: Option<u32>,
    no: Option<u32>,
    missing: Option<u32>,
    cover: Option<f64>,
    #[serde(default)]
    children: Vec<WrittenNode>,
}

/// A node of a tree.
#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    /// A leaf and its value.
    Leaf(f32),
    /// A split.
    Split {
        /// Place of the feature.
        feature: usize,
        /// Values below go to `yes`.
        bound: f32,
        /// Places of the children.
        yes: usize,
        no: usize,
        /// Where a missing value goes: `yes` or `no`.
        missing: usize,
    },
}

/// A tree: the root is node 0.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tree {
    pub nodes: Vec<Node>,
    /// Weight of the training records that came through each node.
    pub cover: Vec<f64>,
}

/// An ensemble.
#[derive(Clone, Debug, Default)]
pub struct Ensemble {
    /// The sum before the first tree.
    base: f32,
    /// What the trees give on average, with the base.
    expected: f64,
    features: Vec<String>,
    trees: Vec<Tree>,
}

impl Ensemble {
    /// The ensemble of exported trees.
    pub fn new(base: f64, written: Vec<WrittenNode>) -> Result<Self> {
        ensure!(!written.is_empty(), "`trees` is empty");
        let mut ensemble = Self { base: base as f32, ..Self::default() };
        let mut nodes = 0;
        for (i, root) in written.iter().enumerate() {
            let mut tree = Tree::default();
            ensemble
                .add(root, 0, &mut tree)
                .map_err(|error| error.context(format_args!("tree {i}")))?;
            nodes += tree.nodes.len();
            ensure!(nodes <= NODES_MAX, "the trees have more than {NODES_MAX} nodes");
            ensemble.trees.push(tree);
        }
        ensemble.expected = ensemble.trees.iter().fold(base, |sum, tree| sum + tree.expected());
        Ok(ensemble)
    }

    /// Adds a node and those below it; gives its place.
    fn add(&mut self, written: &WrittenNode, depth: usize, tree: &mut Tree) -> Result<usize> {
        let id = written.nodeid;
        ensure!(depth <= DEPTH_MAX, "node {id} is deeper than {DEPTH_MAX}");
        let Some(cover) = written.cover.filter(|cover| *cover > 0.0) else {
            bail!("node {id} has no `cover`: export with `with_stats=True`")
        };
        let place = tree.nodes.len();
        tree.cover.push(cover);
        if let Some(leaf) = written.leaf {
            tree.nodes.push(Node::Leaf(leaf as f32));
            return Ok(place);
        }
        let (Some(split), Some(bound), Some(yes), Some(no), Some(missing)) =
            (&written.split, written.split_condition, written.yes, written.no, written.missing)
        else {
            bail!("node {id} is neither a leaf nor a numeric split")
        };
        ensure!(missing == yes || missing == no, "node {id}: `missing` is none of its children");
        let feature = self.feature(split)?;
        tree.nodes.push(Node::Leaf(0.0));
        let mut child = |child: u32| {
            let Some(node) = written.children.iter().find(|node| node.nodeid == child) else {
                bail!("node {id} has no child {child}")
            };
            self.add(node, depth + 1, tree)
        };
        let (yes_place, no_place) = (child(yes)?, child(no)?);
        let missing = if missing == yes { yes_place } else { no_place };
        tree.nodes[place] =
            Node::Split { feature, bound: bound as f32, yes: yes_place, no: no_place, missing };
        Ok(place)
    }

    fn feature(&mut self, name: &str) -> Result<usize> {
        if let Some(place) = self.features.iter().position(|feature| feature == name) {
            return Ok(place);
        }
        ensure!(self.features.len() < FEATURES_MAX, "a model of more than {FEATURES_MAX} features");
        self.features.push(name.to_owned());
        Ok(self.features.len() - 1)
    }

    /// The sum of a record and the features' shares of it.
    pub fn explain(&self, features: &BTreeMap<String, Option<f64>>) -> Explained<'_> {
        let values: Vec<Option<f32>> = self
            .features
            .iter()
            .map(|feature| features.get(feature).copied().flatten().map(|value| value as f32))
            .collect();
        let mut shares = vec![0.0; self.features.len()];
        let mut sum = 0.0_f32;
        for tree in &self.trees {
            sum += tree.leaf(&values);
            add_shares(tree, &values, 0, Path::root(), &mut shares);
        }
        let shares = self.features.iter().map(String::as_str).zip(shares).collect();
        Explained { sum: f64::from(sum + self.base), expected: self.expected, shares }
    }
}

impl Tree {
    /// The child that a record goes to from a split.
    pub fn next(feature: Option<f32>, bound: f32, yes: usize, no: usize, missing: usize) -> usize {
        match feature {
            Some(value) if value < bound => yes,
            Some(_) => no,
            None => missing,
        }
    }

    /// The leaf that a record comes to.
    fn leaf(&self, values: &[Option<f32>]) -> f32 {
        let mut place = 0;
        loop {
            match self.nodes[place] {
                Node::Leaf(value) => return value,
                Node::Split { feature, bound, yes, no, missing } => {
                    place = Self::next(values[feature], bound, yes, no, missing);
                }
            }
        }
    }

    /// The leaves' mean, weighted by their cover.
    fn expected(&self) -> f64 {
        let leaves = self.nodes.iter().zip(&self.cover);
        leaves.fold(0.0, |sum, (node, cover)| match node {
            Node::Leaf(value) => sum + f64::from(*value) * (cover / self.leaves_cover()),
            Node::Split { .. } => sum,
        })
    }

    /// The cover of all leaves.
    fn leaves_cover(&self) -> f64 {
        let leaves = self.nodes.iter().zip(&self.cover);
        leaves.filter(|(node, _)| matches!(node, Node::Leaf(_))).map(|(_, cover)| cover).sum()
    }
}
