//! What the judgement comes to: how much of what was planted was found, how much else was, and whether totals agree.

use std::collections::BTreeSet;
use std::fmt::{self, Debug, Display, Formatter};

/// Names of what was missed or found in vain that are shown.
const SHOWN: usize = 5;

/// How well something is found.
struct Score {
    what: &'static str,
    planted: usize,
    found: usize,
    in_vain: usize,
    /// Least recall and precision, in percent.
    bounds: (usize, usize),
    examples: String,
}

impl Score {
    /// In percent, rounded down; all of nothing is 100.
    fn percent(part: usize, whole: usize) -> usize {
        (part * 100).checked_div(whole).unwrap_or(100)
    }

    fn recall(&self) -> usize {
        Self::percent(self.found, self.planted)
    }

    fn precision(&self) -> usize {
        Self::percent(self.found, self.found + self.in_vain)
    }
}

/// All that was compared.
#[derive(Default)]
pub struct Verdict {
    scores: Vec<Score>,
    agree: Vec<String>,
    differ: Vec<String>,
}

impl Verdict {
    /// What was found against what was planted. `bounds` are the least recall and precision, in percent.
    pub(super) fn found(
        &mut self,
        what: &'static str,
        planted: &BTreeSet<String>,
        found: &BTreeSet<String>,
        bounds: (usize, usize),
    ) {
        let some = |what: &str, of: &mut dyn Iterator<Item = &String>| {
            let some: Vec<&str> = of.take(SHOWN).map(String::as_str).collect();
            if some.is_empty() { String::new() } else { format!("    {what}: {}", some.join(", ")) }
        };
        let missed = some("missed", &mut planted.difference(found));
        let in_vain = some("in vain", &mut found.difference(planted));
        self.scores.push(Score {
            what,
            planted: planted.len(),
            found: planted.intersection(found).count(),
            in_vain: found.difference(planted).count(),
            bounds,
            examples: format!("{missed}{in_vain}"),
        });
    }

    /// Two totals that must be equal.
    pub(super) fn equal<T: PartialEq + Debug>(&mut self, what: &str, found: &T, expected: &T) {
        match found == expected {
            true => self.agree.push(what.to_owned()),
            false => self.differ.push(format!("{what}: {found:?}, expected {expected:?}")),
        }
    }

    /// All that is not as it must be.
    pub fn complaints(&self) -> Vec<String> {
        let low = self
            .scores
            .iter()
            .filter(|score| score.recall() < score.bounds.0 || score.precision() < score.bounds.1);
        let low = low.map(|score| {
            let (recall, precision) = score.bounds;
            format!(
                "{}: recall {} %, at least {recall}; precision {} %, at least {precision};{}",
                score.what,
                score.recall(),
                score.precision(),
                score.examples,
            )
        });
        low.chain(self.differ.iter().cloned()).collect()
    }

    /// How many totals were compared.
    pub fn totals(&self) -> usize {
        self.agree.len() + self.differ.len()
    }
}

impl Display for Verdict {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<36} {:>7} {:>6} {:>8} {:>7} {:>10}",
            "", "planted", "found", "in vain", "recall", "precision"
        )?;
        for score in &self.scores {
            writeln!(
                f,
                "{:<36} {:>7} {:>6} {:>8} {:>5} % {:>8} %",
                score.what,
                score.planted,
                score.found,
                score.in_vain,
                score.recall(),
                score.precision(),
            )?;
            if !score.examples.is_empty() {
                writeln!(f, "{}", score.examples)?;
            }
        }
        writeln!(f, "{} of {} totals agree", self.agree.len(), self.totals())
    }
}
