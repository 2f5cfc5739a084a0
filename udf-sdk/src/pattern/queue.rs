//! Partial matches in the order of their beginning.

use serde::{Deserialize, Serialize};

use super::graph::StateId;

/// A record that waits or was taken: its event time, and its number among the key's records. Records are
/// handled in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RecordId(pub i64, pub u32);

/// A sequence that may become a match, or (without a beginning) the place where sequences begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Partial {
    /// Where it stands.
    pub state: StateId,
    /// Its last step.
    pub step: Option<u32>,
    /// Its first record.
    pub start: Option<RecordId>,
}

impl Partial {
    /// What it is ordered by. Sequences that have not begun come last.
    #[inline]
    pub fn rank(&self) -> RecordId {
        self.start.unwrap_or(RecordId(i64::MAX, u32::MAX))
    }
}

/// Sequences of which the one that began first is at hand.
///
/// A binary heap. With a skip strategy it matters which of several that began with the same record is the
/// first one, and Flink leaves that to `java.util.PriorityQueue`; this one orders them likewise.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Queue(Vec<Partial>);

impl Queue {
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// All, in no particular order but always the same.
    pub fn iter(&self) -> impl Iterator<Item = &Partial> {
        self.0.iter()
    }

    /// As [`Self::iter`], with the steps to be renumbered.
    pub fn steps_mut(&mut self) -> impl Iterator<Item = &mut u32> {
        self.0.iter_mut().filter_map(|partial| partial.step.as_mut())
    }

    /// The one that began first.
    pub fn peek(&self) -> Option<&Partial> {
        self.0.first()
    }

    pub fn push(&mut self, partial: Partial) {
        let mut at = self.0.len();
        self.0.push(partial);
        while at > 0 {
            let parent = (at - 1) / 2;
            if partial.rank() >= self.0[parent].rank() {
                break;
            }
            self.0.swap(at, parent);
            at = parent;
        }
    }

    /// Takes the one that began first.
    pub fn pop(&mut self) -> Option<Partial> {
        let last = self.0.len().checked_sub(1)?;
        let first = self.0.swap_remove(0);
        if last > 0 {
            self.sift_down(0);
        }
        Some(first)
    }

    /// Drops those that `keeps` is false for.
    pub fn retain(&mut self, keeps: impl Fn(&Partial) -> bool) {
        let before = self.0.len();
        self.0.retain(keeps);
        if self.0.len() < before {
            for at in (0..self.0.len() / 2).rev() {
                self.sift_down(at);
            }
        }
    }

    fn sift_down(&mut self, mut at: usize) {
        let half = self.0.len() / 2;
        while at < half {
            let (left, right) = (2 * at + 1, 2 * at + 2);
            let is_right = right < self.0.len() && self.0[left].rank() > self.0[right].rank();
            let child = if is_right { right } else { left };
            if self.0[at].rank() <= self.0[child].rank() {
                break;
            }
            self.0.swap(at, child);
            at = child;
        }
    }
}

impl Extend<Partial> for Queue {
    fn extend<I: IntoIterator<Item = Partial>>(&mut self, partials: I) {
        for partial in partials {
            self.push(partial);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn partial(state: u16, start: u32) -> Partial {
        Partial { state, step: None, start: (start > 0).then_some(RecordId(0, start)) }
    }

    #[test]
    fn ties_come_out_as_from_the_queue_of_java() {
        // What `new PriorityQueue<>(comparingInt(start))` of Java 17 gives for the same calls.
        let mut queue = Queue::default();
        queue.extend(
            [3, 1, 1, 2, 1, 3].into_iter().zip(0..).map(|(start, state)| partial(state, start)),
        );
        let states: Vec<_> = queue.iter().map(|partial| partial.state).collect();
        assert_eq!(states, [1, 4, 2, 0, 3, 5]);
        let popped: Vec<_> =
            std::iter::from_fn(|| queue.pop()).map(|partial| partial.state).collect();
        assert_eq!(popped, [1, 4, 2, 3, 5, 0]);
    }

    proptest! {
        #[test]
        fn the_earliest_comes_first(starts: Vec<u8>, dropped: u8) {
            let mut queue = Queue::default();
            queue.extend(starts.iter().zip(0..).map(|(&start, state)| partial(state, start.into())));
            queue.retain(|partial| partial.rank().1 != u32::from(dropped));
            let mut expected: Vec<_> = starts.iter().filter(|&&start| start != dropped || start == 0).map(|&start| partial(0, start.into()).rank()).collect();
            expected.sort_unstable();
            let popped: Vec<_> = std::iter::from_fn(|| queue.pop()).map(|partial| partial.rank()).collect();
            prop_assert_eq!(popped, expected);
        }
    }
}
