//! What the database does not hold yet: dirty marks, their order, and the commits they stand for.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use millstream_core::ids::LogPoint;

/// Which commits touched something since it was last written to the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Dirt {
    /// Number of the newest commit that wrote it.
    pub newest: u64,
    /// Number of the oldest commit whose write is not in the database; 0 when clean.
    pub oldest: u64,
}

impl Dirt {
    /// Memory and database agree.
    pub const CLEAN: Self = Self { newest: 0, oldest: 0 };

    /// First written by `commit`.
    pub fn new(commit: u64) -> Self {
        Self { newest: commit, oldest: commit }
    }

    #[inline]
    pub fn is_dirty(self) -> bool {
        self.oldest != 0
    }
}

/// Something that is written to the database as one row (or one range deletion).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Unit {
    /// The value states of a key, by slot.
    Slot(u32),
    /// A list item, map entry or timer, by its place among the elements.
    Element(u32),
    /// The clear of a list or map, by group.
    Clear(u32),
}

/// Dirty units by their oldest unpersisted commit. Holds stale entries, which are recognised
/// because the unit's own mark no longer agrees: a unit is re-queued when its mark changes, never searched for.
#[derive(Default)]
pub(crate) struct DirtyQueue {
    heap: BinaryHeap<Reverse<(u64, Unit)>>,
}

impl DirtyQueue {
    #[inline]
    pub fn push(&mut self, oldest: u64, unit: Unit) {
        self.heap.push(Reverse((oldest, unit)));
    }

    pub fn peek(&self) -> Option<(u64, Unit)> {
        self.heap.peek().map(|Reverse(entry)| *entry)
    }

    pub fn pop(&mut self) -> Option<(u64, Unit)> {
        self.heap.pop().map(|Reverse(entry)| entry)
    }

    pub fn len(&self) -> usize {
        self.heap.len()
    }
}

/// How many acknowledged commits are remembered exactly; beyond it every second one is forgotten.
const ANCHORS_MAX: usize = 4096;

/// Acknowledged commits, from which `redo_from` is chosen. Forgetting one only makes a redo start earlier.
pub(crate) struct Anchors {
    points: VecDeque<LogPoint>,
}

impl Anchors {
    pub fn new(start: LogPoint) -> Self {
        Self { points: VecDeque::from([start]) }
    }

    /// Adds the newest acknowledged commit.
    pub fn push(&mut self, point: LogPoint) {
        if self.points.len() >= ANCHORS_MAX {
            let mut i = 0;
            // The first stays: something may still have to be redone from there.
            self.points.retain(|_| {
                i += 1;
                i % 2 == 1
            });
        }
        self.points.push_back(point);
    }

    /// The newest acknowledged commit.
    pub fn newest(&self) -> LogPoint {
        *self.points.back().expect("there is always the start")
    }

    /// The newest remembered commit older than `commit`; forgets what lies before it.
    pub fn before(&mut self, commit: u64) -> LogPoint {
        while self.points.len() > 1 && self.points[1].number.0 < commit {
            self.points.pop_front();
        }
        self.points[0]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use millstream_core::ids::{CommitNumber, Sequence};

    fn point(number: u64) -> LogPoint {
        LogPoint {
            number: CommitNumber(number),
            sequence: Sequence(number * 3),
            ..LogPoint::default()
        }
    }

    #[test]
    fn anchors_are_thinned_but_never_too_new() {
        let mut anchors = Anchors::new(point(0));
        for n in 1..=100_000 {
            anchors.push(point(n));
        }
        assert!(anchors.points.len() <= ANCHORS_MAX);
        assert_eq!(anchors.newest(), point(100_000));
        for wanted in [1, 2, 500, 77_777, 100_000, 100_001] {
            assert!(anchors.before(wanted).number.0 < wanted);
        }
        assert_eq!(anchors.before(100_001), point(100_000));
    }

    #[test]
    fn the_oldest_comes_first() {
        let mut queue = DirtyQueue::default();
        queue.push(5, Unit::Slot(1));
        queue.push(3, Unit::Element(1));
        queue.push(9, Unit::Clear(1));
        assert_eq!(queue.pop(), Some((3, Unit::Element(1))));
        assert_eq!(queue.peek(), Some((5, Unit::Slot(1))));
        assert_eq!(queue.len(), 2);
    }
}
