//! Shapley values of the features in one tree: algorithm 2 of S. M. Lundberg, G. G. Erion, S.-I. Lee, *Consistent Individualized Feature
//! Attribution for Tree Ensembles* (arXiv:1802.03888). What is not known of a record goes to both children in proportion to their cover.

use crate::trees::{Node, Tree};

/// A feature on the way to a node.
#[derive(Clone, Copy, Debug)]
struct Step {
    feature: Option<usize>,
    /// The share of the records that come through when the feature is unknown, and known.
    zero: f64,
    one: f64,
    /// The weight of the subsets of as many features as stand before it.
    weight: f64,
}

/// The features on the way to a node, each once.
#[derive(Clone, Debug)]
pub struct Path(Vec<Step>);

impl Path {
    /// The way to the root.
    pub fn root() -> Self {
        let mut path = Self(Vec::new());
        path.extend(1.0, 1.0, None);
        path
    }

    /// Adds a feature: every subset may have it or not.
    fn extend(&mut self, zero: f64, one: f64, feature: Option<usize>) {
        let length = self.0.len();
        let weight = if length == 0 { 1.0 } else { 0.0 };
        self.0.push(Step { feature, zero, one, weight });
        let all = (length + 1) as f64;
        for i in (0..length).rev() {
            self.0[i + 1].weight += one * self.0[i].weight * (i + 1) as f64 / all;
            self.0[i].weight = zero * self.0[i].weight * (length - i) as f64 / all;
        }
    }

    /// The weights as they would be without a step.
    fn weights_without(&self, place: usize) -> Vec<f64> {
        let last = self.0.len() - 1;
        let Step { zero, one, .. } = self.0[place];
        let all = (last + 1) as f64;
        let mut weights: Vec<f64> = self.0.iter().map(|step| step.weight).collect();
        let mut next = weights[last];
        for i in (0..last).rev() {
            if one == 0.0 {
                weights[i] = weights[i] * all / (zero * (last - i) as f64);
            } else {
                let before = weights[i];
                weights[i] = next * all / ((i + 1) as f64 * one);
                next = before - weights[i] * zero * (last - i) as f64 / all;
            }
        }
        weights.truncate(last);
        weights
    }

    /// Takes a step back.
    fn unwind(&mut self, place: usize) {
        let weights = self.weights_without(place);
        self.0.remove(place);
        for (step, weight) in self.0.iter_mut().zip(weights) {
            step.weight = weight;
        }
    }
}

/// Adds to `shares` what each feature has in the leaves below a node that is reached on `path`.
pub fn add_shares(
    tree: &Tree,
    values: &[Option<f32>],
    node: usize,
    path: Path,
    shares: &mut [f64],
) {
    match tree.nodes[node] {
        Node::Leaf(value) => {
            for (place, step) in path.0.iter().enumerate() {
                if let Some(feature) = step.feature {
                    let weight: f64 = path.weights_without(place).iter().sum();
                    shares[feature] += weight * (step.one - step.zero) * f64::from(value);
                }
            }
        }
        Node::Split { feature, bound, yes, no, missing } => {
            let hot = Tree::next(values[feature], bound, yes, no, missing);
            let cold = if hot == yes { no } else { yes };
            let mut path = path;
            let (mut zero, mut one) = (1.0, 1.0);
            if let Some(place) = path.0.iter().position(|step| step.feature == Some(feature)) {
                (zero, one) = (path.0[place].zero, path.0[place].one);
                path.unwind(place);
            }
            let all = tree.cover[yes] + tree.cover[no];
            for (child, one) in [(hot, one), (cold, 0.0)] {
                let mut path = path.clone();
                path.extend(zero * tree.cover[child] / all, one, Some(feature));
                add_shares(tree, values, child, path, shares);
            }
        }
    }
}
