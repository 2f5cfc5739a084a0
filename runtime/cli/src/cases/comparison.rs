//! Expected lines against those that came.

use serde::Serialize;
use similar::{Algorithm, DiffOp, capture_diff_slices};

use super::fields::{FieldDifference, differences, distance, leaves};

/// Lines up to which a changed stretch is aligned line by line; longer ones are paired in order.
const ALIGNED_LINES_MAX: usize = 200;
/// What a line that stands alone costs in an alignment, against [`distance`]: two lines with less than a quarter in
/// common are not one line that changed.
const ALONE: usize = 375;

/// A file of a case: what it says and what came.
#[derive(Debug)]
pub struct Comparison {
    /// Name of the file.
    pub file: &'static str,
    /// The file must be there and is not.
    pub is_missing: bool,
    /// What is expected.
    pub expected: Vec<String>,
    /// What came.
    pub came: Vec<String>,
    /// How one leads to the other, in order.
    pub steps: Vec<Step>,
}

/// A stretch of a comparison. Indexes count from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// So many lines are equal, from these on.
    Equal { expected: usize, came: usize, lines: usize },
    /// A line that should be another.
    Changed { expected: usize, came: usize },
    /// A line that did not come.
    Missing { expected: usize },
    /// A line that is not expected.
    Extra { came: usize },
}

impl Step {
    /// The same step of lines that begin later.
    fn moved_by(self, old: usize, new: usize) -> Self {
        match self {
            Step::Equal { expected, came, lines } => {
                Step::Equal { expected: old + expected, came: new + came, lines }
            }
            Step::Changed { expected, came } => {
                Step::Changed { expected: old + expected, came: new + came }
            }
            Step::Missing { expected } => Step::Missing { expected: old + expected },
            Step::Extra { came } => Step::Extra { came: new + came },
        }
    }
}

/// A line that differs, for programs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The file of the case.
    pub file: &'static str,
    /// The expected line's number from 1; none if it is not expected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected_line: Option<usize>,
    /// The expected line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    /// The number from 1 of the line that came; none if it did not come.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub came_line: Option<usize>,
    /// The line that came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub came: Option<String>,
    /// Where both are JSON: the fields that differ.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<FieldDifference>,
}

impl Comparison {
    /// Compares line by line: lines are equal if they are written the same way.
    pub fn of(
        file: &'static str,
        expected: Vec<String>,
        came: Vec<String>,
        is_missing: bool,
    ) -> Self {
        let mut steps = Vec::new();
        for op in capture_diff_slices(Algorithm::Patience, &expected, &came) {
            match op {
                DiffOp::Equal { old_index, new_index, len } => {
                    steps.push(Step::Equal { expected: old_index, came: new_index, lines: len });
                }
                DiffOp::Delete { old_index, old_len, .. } => {
                    let lines = old_index..old_index + old_len;
                    steps.extend(lines.map(|expected| Step::Missing { expected }));
                }
                DiffOp::Insert { new_index, new_len, .. } => {
                    let lines = new_index..new_index + new_len;
                    steps.extend(lines.map(|came| Step::Extra { came }));
                }
                DiffOp::Replace { old_index, old_len, new_index, new_len } => {
                    let old = &expected[old_index..old_index + old_len];
                    let new = &came[new_index..new_index + new_len];
                    let aligned = align(old, new).into_iter();
                    steps.extend(aligned.map(|step| step.moved_by(old_index, new_index)));
                }
            }
        }
        Comparison { file, is_missing, expected, came, steps }
    }

    /// Whether what came is what is expected.
    pub fn agrees(&self) -> bool {
        !self.is_missing && self.steps.iter().all(|step| matches!(step, Step::Equal { .. }))
    }

    /// Whether the same lines came in another order.
    pub fn is_reordered(&self) -> bool {
        let sorted = |lines: &[String]| {
            let mut lines = lines.to_vec();
            lines.sort();
            lines
        };
        !self.agrees() && sorted(&self.expected) == sorted(&self.came)
    }

    /// The lines that differ.
    pub fn differences(&self) -> Vec<Difference> {
        let difference = |expected: Option<usize>, came: Option<usize>| Difference {
            file: self.file,
            expected_line: expected.map(|index| index + 1),
            expected: expected.map(|index| self.expected[index].clone()),
            came_line: came.map(|index| index + 1),
            came: came.map(|index| self.came[index].clone()),
            fields: match (expected, came) {
                (Some(expected), Some(came)) => self.fields(expected, came).unwrap_or_default(),
                _ => Vec::new(),
            },
        };
        self.steps
            .iter()
            .filter_map(|step| match *step {
                Step::Equal { .. } => None,
                Step::Changed { expected, came } => Some(difference(Some(expected), Some(came))),
                Step::Missing { expected } => Some(difference(Some(expected), None)),
                Step::Extra { came } => Some(difference(None, Some(came))),
            })
            .collect()
    }

    /// The fields in which two lines differ; none if they are no JSON, an empty list if they are written differently only.
    pub fn fields(&self, expected: usize, came: usize) -> Option<Vec<FieldDifference>> {
        Some(differences(&leaves(&self.expected[expected])?, &leaves(&self.came[came])?))
    }
}

/// Finds which of the new lines each of the old ones has become, so that as few fields as possible differ. Indexes are
/// those of the slices.
fn align(old: &[String], new: &[String]) -> Vec<Step> {
    if old.len().max(new.len()) > ALIGNED_LINES_MAX {
        let pairs = old.len().min(new.len());
        let changed = (0..pairs).map(|index| Step::Changed { expected: index, came: index });
        let missing = (pairs..old.len()).map(|expected| Step::Missing { expected });
        let extra = (pairs..new.len()).map(|came| Step::Extra { came });
        return changed.chain(missing).chain(extra).collect();
    }
    let parsed = |lines: &[String]| lines.iter().map(|line| leaves(line)).collect::<Vec<_>>();
    let (old_leaves, new_leaves) = (parsed(old), parsed(new));
    let changed = |i: usize, j: usize| match (&old_leaves[i], &new_leaves[j]) {
        (Some(a), Some(b)) => distance(a, b),
        // Lines that are no JSON are compared as a whole, and may well be one that changed.
        (None, None) => ALONE,
        _ => 1000,
    };
    // cost[i][j]: the least cost of aligning old[i..] with new[j..].
    let width = new.len() + 1;
    let mut cost = vec![0; (old.len() + 1) * width];
    for i in (0..=old.len()).rev() {
        for j in (0..=new.len()).rev() {
            let at = |i: usize, j: usize| cost[i * width + j];
            let mut least = usize::MAX;
            if i < old.len() && j < new.len() {
                least = least.min(at(i + 1, j + 1) + changed(i, j));
            }
            if i < old.len() {
                least = least.min(at(i + 1, j) + ALONE);
            }
            if j < new.len() {
                least = least.min(at(i, j + 1) + ALONE);
            }
            cost[i * width + j] = if least == usize::MAX { 0 } else { least };
        }
    }
    let at = |i: usize, j: usize| cost[i * width + j];
    let (mut i, mut j, mut steps) = (0, 0, Vec::new());
    while i < old.len() || j < new.len() {
        let both = i < old.len() && j < new.len();
        if both && at(i, j) == at(i + 1, j + 1) + changed(i, j) {
            steps.push(match old[i] == new[j] {
                true => Step::Equal { expected: i, came: j, lines: 1 },
                false => Step::Changed { expected: i, came: j },
            });
            (i, j) = (i + 1, j + 1);
        } else if i < old.len() && at(i, j) == at(i + 1, j) + ALONE {
            steps.push(Step::Missing { expected: i });
            i += 1;
        } else {
            steps.push(Step::Extra { came: j });
            j += 1;
        }
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compare(expected: &[&str], came: &[&str]) -> Comparison {
        let owned = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect();
        Comparison::of("expected.ndjson", owned(expected), owned(came), false)
    }

    #[test]
    fn equal_lines_agree() {
        let same = compare(&["1", "2"], &["1", "2"]);
        assert!(same.agrees() && same.differences().is_empty() && !same.is_reordered());
        assert!(compare(&[], &[]).agrees());
        assert!(!Comparison::of("x", vec![], vec![], true).agrees());
    }

    #[test]
    fn a_line_that_is_gone_does_not_shift_those_that_changed() {
        let line = |id: u32, total: u32| format!(r#"{{"id":{id},"account":"a","total":{total}}}"#);
        let expected = [line(1, 10), line(2, 20), line(3, 30), line(4, 40)];
        let came = [line(1, 11), line(3, 31), line(4, 41)];
        let comparison = Comparison::of("x", expected.to_vec(), came.to_vec(), false);
        assert_eq!(
            comparison.steps,
            [
                Step::Changed { expected: 0, came: 0 },
                Step::Missing { expected: 1 },
                Step::Changed { expected: 2, came: 1 },
                Step::Changed { expected: 3, came: 2 },
            ]
        );
        let fields: Vec<_> =
            comparison.differences().into_iter().map(|one| one.fields.len()).collect();
        assert_eq!(fields, [1, 0, 1, 1]);
    }

    #[test]
    fn lines_with_nothing_in_common_are_one_gone_and_one_new() {
        let comparison = compare(&[r#"{"a":1}"#, "same"], &[r#"{"b":2}"#, "same"]);
        let kinds: Vec<_> = comparison.differences();
        assert_eq!(kinds.len(), 2, "{kinds:?}");
        assert!(kinds.iter().all(|one| one.expected.is_none() || one.came.is_none()));
    }

    #[test]
    fn another_order_is_noticed() {
        assert!(compare(&["1", "2", "3"], &["3", "1", "2"]).is_reordered());
        assert!(!compare(&["1", "2"], &["2", "1", "1"]).is_reordered());
    }

    #[test]
    fn every_line_is_in_exactly_one_step() {
        // Small cases, all of them.
        let words = |mut n: usize| {
            let mut lines = Vec::new();
            while n > 0 {
                lines.push(format!(r#"{{"k":{}}}"#, n % 3));
                n /= 3;
            }
            lines
        };
        for (a, b) in (0..60).flat_map(|a| (0..60).map(move |b| (a, b))) {
            let (expected, came) = (words(a), words(b));
            let comparison = Comparison::of("x", expected.clone(), came.clone(), false);
            let (mut next_expected, mut next_came) = (0, 0);
            for step in &comparison.steps {
                match *step {
                    Step::Equal { expected: e, came: c, lines } => {
                        assert_eq!((e, c), (next_expected, next_came));
                        assert_eq!(expected[e..e + lines], came[c..c + lines]);
                        (next_expected, next_came) = (e + lines, c + lines);
                    }
                    Step::Changed { expected: e, came: c } => {
                        assert_eq!((e, c), (next_expected, next_came));
                        (next_expected, next_came) = (e + 1, c + 1);
                    }
                    Step::Missing { expected } => {
                        assert_eq!(expected, next_expected);
                        next_expected += 1;
                    }
                    Step::Extra { came } => {
                        assert_eq!(came, next_came);
                        next_came += 1;
                    }
                }
            }
            assert_eq!((next_expected, next_came), (expected.len(), came.len()));
            assert_eq!(comparison.agrees(), expected == came);
        }
    }
}
