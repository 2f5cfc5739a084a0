//! What a customer is interested in: points that fade, of a bounded number of things.

use finance::fading::{Passage, decay};
use millstream_udf::prelude::*;

/// Thousandths in a point.
pub const MILLI: i64 = 1_000;
/// The most points that one thing can have, so that sums stay far from overflow.
const POINTS_MAX: i64 = 1_000_000 * MILLI;

/// Something with points that fade.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interest {
    pub id: String,
    /// Thousandths of a point as of `at_ms`.
    pub milli: i64,
    pub at_ms: i64,
}

impl Interest {
    /// Thousandths of a point at a time; as of the last change, if that is later.
    pub fn at(&self, now_ms: i64, half_life_ms: i64) -> i64 {
        decay(self.milli, now_ms.saturating_sub(self.at_ms), half_life_ms)
    }
}

/// At most `LIMIT` interests; the weakest makes room for a new one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interests<const LIMIT: usize> {
    list: Vec<Interest>,
}

impl<const LIMIT: usize> Interests<LIMIT> {
    /// Adds points for something that happened at a time. What comes late has faded since.
    pub fn add(&mut self, id: &str, points: i64, at_ms: i64, half_life_ms: i64) {
        if let Some(known) = self.list.iter_mut().find(|interest| interest.id == id) {
            let passage = Passage::to(at_ms, Some(known.at_ms));
            let added = passage.added(points * MILLI, half_life_ms);
            known.milli = (passage.left(known.milli, half_life_ms) + added).min(POINTS_MAX);
            known.at_ms = passage.as_of_ms;
            return;
        }
        if self.list.len() >= LIMIT
            && let Some(weakest) = self.weakest(at_ms, half_life_ms)
        {
            self.list.swap_remove(weakest);
        }
        self.list.push(Interest { id: id.to_owned(), milli: points * MILLI, at_ms });
    }

    /// Index of the one with the fewest points; of equals the one whose name comes last.
    fn weakest(&self, now_ms: i64, half_life_ms: i64) -> Option<usize> {
        let points = |interest: &Interest| interest.at(now_ms, half_life_ms);
        let by_points = |(_, a): &(usize, &Interest), (_, b): &(usize, &Interest)| {
            points(a).cmp(&points(b)).then_with(|| b.id.cmp(&a.id))
        };
        self.list.iter().enumerate().min_by(by_points).map(|(index, _)| index)
    }

    /// Forgets something.
    pub fn remove(&mut self, id: &str) {
        self.list.retain(|interest| interest.id != id);
    }

    /// Thousandths of a point of something, 0 if it is unknown.
    pub fn of(&self, id: &str, now_ms: i64, half_life_ms: i64) -> i64 {
        self.list
            .iter()
            .find(|interest| interest.id == id)
            .map_or(0, |interest| interest.at(now_ms, half_life_ms))
    }

    /// All, in no particular but a repeatable order.
    pub fn iter(&self) -> impl Iterator<Item = &Interest> {
        self.list.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_weakest_makes_room() {
        let mut interests = Interests::<2>::default();
        interests.add("strong", 3, 0, 100);
        interests.add("weak", 1, 0, 100);
        interests.add("new", 1, 50, 100);
        let mut ids: Vec<_> = interests.iter().map(|interest| &interest.id[..]).collect();
        ids.sort_unstable();
        assert_eq!(ids, ["new", "strong"]);
    }

    #[test]
    fn late_points_have_faded() {
        let mut interests = Interests::<4>::default();
        interests.add("a", 1, 100, 100);
        interests.add("a", 1, 0, 100);
        assert_eq!(interests.of("a", 100, 100), 1_500);
        assert_eq!(interests.of("a", 200, 100), 750);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn bounded_and_distinct(adds in prop::collection::vec((0..40_u8, 1..10_i64, 0..10_000_i64), 0..200)) {
            let mut interests = Interests::<16>::default();
            for (id, points, at) in adds {
                interests.add(&format!("p{id}"), points, at, 500);
            }
            let mut ids: Vec<_> = interests.iter().map(|interest| interest.id.clone()).collect();
            prop_assert!(ids.len() <= 16);
            ids.sort_unstable();
            ids.dedup();
            prop_assert_eq!(ids.len(), interests.iter().count());
        }
    }
}
