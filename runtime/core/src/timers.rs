//! The timers of a partition, in the order in which they fire: (time, key, timer).
//!
//! One queue serves one time domain. Keys of up to 22 bytes lie in the entries
//! themselves, so that a million timers take some 60 MB and no allocation each.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::fmt;

/// Longest key that needs no allocation.
const INLINE_KEY_BYTES: usize = 22;

#[derive(Clone)]
enum Key {
    Inline { length: u8, bytes: [u8; INLINE_KEY_BYTES] },
    Boxed(Box<[u8]>),
}

impl Key {
    fn new(key: &[u8]) -> Self {
        if key.len() <= INLINE_KEY_BYTES {
            let mut bytes = [0; INLINE_KEY_BYTES];
            bytes[..key.len()].copy_from_slice(key);
            Self::Inline { length: key.len() as u8, bytes }
        } else {
            Self::Boxed(key.into())
        }
    }

    fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Inline { length, bytes } => &bytes[..usize::from(*length)],
            Self::Boxed(bytes) => bytes,
        }
    }
}

/// A timer that is set.
#[derive(Clone)]
pub struct Timer {
    /// When it fires, milliseconds.
    pub time: i64,
    key: Key,
    /// Index of the declared timer.
    pub timer: u16,
}

impl Timer {
    /// The record key.
    pub fn key(&self) -> &[u8] {
        self.key.as_bytes()
    }
}

impl fmt::Debug for Timer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timer")
            .field("time", &self.time)
            .field("key", &self.key())
            .field("timer", &self.timer)
            .finish()
    }
}

/// The order in which timers fire, for a timer that is stored and one that is looked up alike.
trait Place {
    fn place(&self) -> (i64, &[u8], u16);
}

impl Place for Timer {
    fn place(&self) -> (i64, &[u8], u16) {
        (self.time, self.key(), self.timer)
    }
}

impl Place for (i64, &[u8], u16) {
    fn place(&self) -> (i64, &[u8], u16) {
        *self
    }
}

impl PartialEq for dyn Place + '_ {
    fn eq(&self, other: &Self) -> bool {
        self.place() == other.place()
    }
}
impl Eq for dyn Place + '_ {}
impl PartialOrd for dyn Place + '_ {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for dyn Place + '_ {
    fn cmp(&self, other: &Self) -> Ordering {
        self.place().cmp(&other.place())
    }
}
impl PartialEq for Timer {
    fn eq(&self, other: &Self) -> bool {
        self.place() == other.place()
    }
}
impl Eq for Timer {}
impl PartialOrd for Timer {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Timer {
    fn cmp(&self, other: &Self) -> Ordering {
        self.place().cmp(&other.place())
    }
}
impl<'a> Borrow<dyn Place + 'a> for Timer {
    fn borrow(&self) -> &(dyn Place + 'a) {
        self
    }
}

/// The timers of one partition and time domain.
#[derive(Clone, Debug, Default)]
pub struct TimerQueue {
    timers: BTreeSet<Timer>,
}

impl TimerQueue {
    /// Sets a timer; whether it was not set before.
    pub fn set(&mut self, time: i64, key: &[u8], timer: u16) -> bool {
        self.timers.insert(Timer { time, key: Key::new(key), timer })
    }

    /// Removes a timer; whether it was set.
    pub fn delete(&mut self, time: i64, key: &[u8], timer: u16) -> bool {
        self.timers.remove(&(time, key, timer) as &dyn Place)
    }

    /// The next timer to fire.
    pub fn first(&self) -> Option<&Timer> {
        self.timers.first()
    }

    /// The next timer to fire, if `now` (the watermark, or processing time) has reached it.
    pub fn next_due(&self, now: i64) -> Option<&Timer> {
        self.first().filter(|timer| timer.time <= now)
    }

    /// Removes and returns what [`TimerQueue::next_due`] shows.
    pub fn pop_due(&mut self, now: i64) -> Option<Timer> {
        self.next_due(now)?;
        self.timers.pop_first()
    }

    /// Number of timers.
    pub fn len(&self) -> usize {
        self.timers.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.timers.is_empty()
    }

    /// All timers in the order in which they fire.
    pub fn iter(&self) -> impl Iterator<Item = &Timer> {
        self.timers.iter()
    }

    /// Removes all timers.
    pub fn clear(&mut self) {
        self.timers.clear();
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn behaves_as_a_sorted_set(ops in vec((any::<bool>(), -3i64..3, vec(0u8..2, 0..40), 0u16..2), 0..80), now in -4i64..4) {
            let mut queue = TimerQueue::default();
            let mut model = BTreeSet::new();
            for (set, time, key, timer) in ops {
                if set {
                    prop_assert_eq!(queue.set(time, &key, timer), model.insert((time, key, timer)));
                } else {
                    prop_assert_eq!(queue.delete(time, &key, timer), model.remove(&(time, key, timer)));
                }
            }
            let all: Vec<_> = queue.iter().map(|t| (t.time, t.key().to_vec(), t.timer)).collect();
            prop_assert_eq!(&all, &model.iter().cloned().collect::<Vec<_>>());
            let due = std::iter::from_fn(|| queue.pop_due(now)).map(|t| (t.time, t.key().to_vec(), t.timer));
            prop_assert_eq!(due.collect::<Vec<_>>(), all.into_iter().filter(|t| t.0 <= now).collect::<Vec<_>>());
        }
    }

    #[test]
    fn an_entry_is_small() {
        assert!(size_of::<Timer>() <= 40, "{}", size_of::<Timer>());
    }
}
