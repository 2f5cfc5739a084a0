//! The numbers that a source gives its records: which were seen, and which are missing since when.

use millstream_udf::prelude::*;

/// Ranges of missing numbers kept, at most; a record that would make one more is refused.
pub const GAPS_MAX: usize = 1_000;

/// Numbers that have not come although later ones have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    pub from: u64,
    /// The last one.
    pub to: u64,
    /// Event time of the record that showed it.
    pub since_ms: i64,
    /// Whether it was reported.
    pub reported: bool,
}

/// What a number is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// The next one.
    Next,
    /// One further on: those in between are missing.
    Beyond,
    /// It was missing; and whether that was reported.
    Missing { reported: bool },
    /// It has come before.
    Before,
}

/// The numbers of a source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sequence {
    /// One above the highest seen.
    next: u64,
    /// In the order of numbers, apart from each other.
    gaps: Vec<Gap>,
}

impl Sequence {
    /// A source whose first number is this.
    pub fn new(first: u64) -> Self {
        Self { next: first, gaps: Vec::new() }
    }

    /// Takes a number in.
    pub fn take(&mut self, number: u64, at_ms: i64) -> Result<Seen> {
        if number == self.next {
            self.next = number + 1;
            return Ok(Seen::Next);
        }
        if number > self.next {
            self.room_for(1)?;
            let (from, to) = (self.next, number - 1);
            self.gaps.push(Gap { from, to, since_ms: at_ms, reported: false });
            self.next = number + 1;
            return Ok(Seen::Beyond);
        }
        let behind = self.gaps.partition_point(|gap| gap.to < number);
        match self.gaps.get(behind) {
            Some(gap) if gap.from <= number => {
                let gap = gap.clone();
                let left = Gap { to: number.wrapping_sub(1), ..gap.clone() };
                let right = Gap { from: number + 1, ..gap.clone() };
                let parts: Vec<Gap> =
                    [(gap.from < number).then_some(left), (number < gap.to).then_some(right)]
                        .into_iter()
                        .flatten()
                        .collect();
                self.room_for(parts.len().saturating_sub(1))?;
                self.gaps.splice(behind..=behind, parts);
                Ok(Seen::Missing { reported: gap.reported })
            }
            _ => Ok(Seen::Before),
        }
    }

    fn room_for(&self, more: usize) -> Result<()> {
        let gaps = self.gaps.len() + more;
        ensure!(gaps <= GAPS_MAX, "{gaps} ranges of numbers are missing; {GAPS_MAX} are allowed");
        Ok(())
    }

    /// Marks and gives the gaps that have been open since this time or before, and were not reported.
    pub fn overdue(&mut self, since_ms: i64) -> Vec<Gap> {
        let overdue = self.gaps.iter_mut().filter(|gap| !gap.reported && gap.since_ms <= since_ms);
        overdue
            .map(|gap| {
                gap.reported = true;
                gap.clone()
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use proptest::prelude::*;

    #[test]
    fn gaps_open_split_and_close() {
        let mut sequence = Sequence::new(1);
        assert_eq!(sequence.take(1, 0).unwrap(), Seen::Next);
        assert_eq!(sequence.take(6, 10).unwrap(), Seen::Beyond);
        assert_eq!(sequence.take(4, 11).unwrap(), Seen::Missing { reported: false });
        assert_eq!(sequence.take(4, 12).unwrap(), Seen::Before);
        let ranges = |gaps: Vec<Gap>| gaps.iter().map(|gap| (gap.from, gap.to)).collect::<Vec<_>>();
        assert_eq!(ranges(sequence.overdue(9)), []);
        assert_eq!(ranges(sequence.overdue(10)), [(2, 3), (5, 5)]);
        assert_eq!(ranges(sequence.overdue(10)), []);
        assert_eq!(sequence.take(5, 13).unwrap(), Seen::Missing { reported: true });
        assert_eq!(sequence.take(0, 13).unwrap(), Seen::Before);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// What is missing is what has not come, in any order of arrival.
        #[test]
        fn equals_a_set(numbers in prop::collection::vec(1..200_u64, 1..200)) {
            let (mut sequence, mut set) = (Sequence::new(1), BTreeSet::new());
            for &number in &numbers {
                let seen = sequence.take(number, 0).expect("there is room");
                prop_assert_eq!(seen == Seen::Before, !set.insert(number));
            }
            let highest = *set.last().expect("there are numbers");
            let missing: Vec<u64> = sequence.overdue(0).into_iter().flat_map(|gap| gap.from..=gap.to).collect();
            prop_assert_eq!(missing, (1..=highest).filter(|number| !set.contains(number)).collect::<Vec<_>>());
        }
    }
}
