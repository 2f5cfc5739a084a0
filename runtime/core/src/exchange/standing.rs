//! How far a downstream partition is in the outputs of one upstream stage, and what follows from
//! it: where its reader begins, what the reader leaves out, what the upstream logs must keep.
//!
//! A partition applies outputs out of stretches of the merged input. Its anchor is the end of the
//! last stretch that it has finished: the merge can only go on from there. What it has applied
//! beyond the anchor is told by a place per upstream partition, behind which it goes on.

use std::sync::Arc;

use super::merge::Anchor;
use super::{Ordering, Place, UpstreamPosition};
use crate::ids::{Sequence, SourceId};
use crate::slice::SourcePosition;

/// How far a partition has applied the outputs of another stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    anchor: Arc<Anchor>,
    /// Per upstream partition all outputs before this place are applied; at or behind the anchor's.
    done: Vec<Place>,
}

impl Standing {
    /// Nothing is applied yet. The anchor of the first stretch replaces this one, whatever the ordering.
    pub fn unread(partitions: u16) -> Self {
        Self {
            anchor: Arc::new(Anchor::start(partitions, Ordering::Sequence)),
            done: vec![Place::default(); usize::from(partitions)],
        }
    }

    /// What a commit says of the source `source`, a stage with so many partitions; none if nothing was read by then.
    pub fn recorded(
        source: SourceId,
        partitions: u16,
        positions: &[SourcePosition],
        upstream: &[UpstreamPosition],
    ) -> Option<Self> {
        let position = positions.iter().find(|p| p.source == source)?;
        let mut done = vec![Place::default(); usize::from(partitions)];
        let mut places = done.clone();
        for place in upstream.iter().filter(|p| p.source == source) {
            let partition = usize::from(place.partition);
            *places.get_mut(partition)? = place.anchor;
            done[partition] = place.done;
        }
        // Within the first stretch the anchor is where everything begins.
        let read = places.iter().chain(&done).any(|place| *place != Place::default());
        let (order, number) = (position.last_time_ns, position.last_sequence.0);
        read.then(|| Self { anchor: Arc::new(Anchor { places, order, number }), done })
    }

    /// Says the same in a commit.
    pub fn record(&self, position: &mut SourcePosition, upstream: &mut Vec<UpstreamPosition>) {
        position.last_sequence = Sequence(self.anchor.number);
        position.last_time_ns = self.anchor.order;
        let places = self.done.iter().zip(&self.anchor.places).enumerate();
        upstream.extend(places.map(|(partition, (done, anchor))| UpstreamPosition {
            source: position.source,
            partition: partition as u16,
            done: *done,
            anchor: *anchor,
        }));
    }

    /// The merged input may be read again from here.
    pub fn anchor(&self) -> &Arc<Anchor> {
        &self.anchor
    }

    /// Per upstream partition the place before which all outputs are applied.
    pub fn done(&self) -> &[Place] {
        &self.done
    }

    /// Whether the output behind `place` is applied.
    pub fn has_applied(&self, partition: u16, place: Place) -> bool {
        place < self.done[usize::from(partition)]
    }

    /// The next output was applied: it lies in a stretch that begins at `from`, and before `behind`.
    pub fn apply(&mut self, from: &Arc<Anchor>, partition: u16, behind: Place) {
        self.hold(from);
        self.done[usize::from(partition)] = behind;
    }

    /// The stretch that ends at `through` is finished.
    pub fn finish(&mut self, through: &Arc<Anchor>) {
        for (done, place) in self.done.iter_mut().zip(&through.places) {
            *done = (*done).max(*place);
        }
        self.hold(through);
    }

    /// Takes a newer anchor. A reader that serves other partitions, too, may have begun further behind and come by what this
    /// one has passed: the log may be trimmed up to its anchor by now, so that it never steps back.
    fn hold(&mut self, anchor: &Arc<Anchor>) {
        let places = anchor.places.iter().zip(&self.anchor.places);
        if !Arc::ptr_eq(&self.anchor, anchor) && places.into_iter().all(|(new, old)| new >= old) {
            self.anchor = Arc::clone(anchor);
        }
    }
}

/// Where a reader of a stage with so many partitions begins that serves all of these downstream partitions.
pub fn begin_at<'a>(
    standings: impl IntoIterator<Item = Option<&'a Standing>>,
    partitions: u16,
    ordering: Ordering,
) -> Anchor {
    let mut begin: Option<Anchor> = None;
    for standing in standings {
        let Some(standing) = standing else { return Anchor::start(partitions, ordering) };
        match &mut begin {
            Some(begin) => begin.meet(&standing.anchor),
            None => begin = Some(Anchor::clone(&standing.anchor)),
        }
    }
    begin.unwrap_or_else(|| Anchor::start(partitions, ordering))
}

/// The first record that a downstream partition, whose last commit says `upstream`, needs of partition `partition` of
/// its source `source`: 0, which is all, if it has read nothing yet.
pub fn needed_of(upstream: &[UpstreamPosition], source: SourceId, partition: u16) -> Sequence {
    let of = |p: &&UpstreamPosition| p.source == source && p.partition == partition;
    upstream.iter().find(of).map_or(Sequence(0), |p| p.anchor.commit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(commit: u64, outputs: u32) -> Place {
        Place { commit: Sequence(commit), outputs }
    }

    fn anchor(places: [Place; 2], order: i64, number: u64) -> Arc<Anchor> {
        Arc::new(Anchor { places: places.to_vec(), order, number })
    }

    fn recorded(standing: &Standing) -> (Vec<SourcePosition>, Vec<UpstreamPosition>) {
        let (mut position, mut upstream) = (SourcePosition::unread(SourceId(3)), Vec::new());
        standing.record(&mut position, &mut upstream);
        (vec![position], upstream)
    }

    #[test]
    fn a_commit_tells_a_standing() {
        let mut standing = Standing::unread(2);
        let (positions, upstream) = recorded(&standing);
        assert_eq!(Standing::recorded(SourceId(3), 2, &positions, &upstream), None);
        standing.finish(&anchor([place(4, 2), place(6, u32::MAX)], -7, 12));
        standing.apply(&anchor([place(4, 2), place(6, u32::MAX)], -7, 12), 0, place(4, 5));
        let (positions, upstream) = recorded(&standing);
        let found = Standing::recorded(SourceId(3), 2, &positions, &upstream).unwrap();
        assert_eq!(found, standing);
        assert!(found.has_applied(0, place(4, 4)) && !found.has_applied(0, place(4, 5)));
        assert_eq!(needed_of(&upstream, SourceId(3), 1), Sequence(6));
        assert_eq!(needed_of(&upstream, SourceId(0), 1), Sequence(0));
        assert_eq!(Standing::recorded(SourceId(0), 2, &positions, &upstream), None);
    }

    #[test]
    fn what_is_applied_of_the_first_stretch_is_told() {
        let mut standing = Standing::unread(2);
        standing.apply(&Arc::new(Anchor::start(2, Ordering::Time)), 1, place(3, 1));
        let (positions, upstream) = recorded(&standing);
        assert_eq!(Standing::recorded(SourceId(3), 2, &positions, &upstream), Some(standing));
    }

    /// What a partition has told is what its log was trimmed for.
    #[test]
    fn an_anchor_never_steps_back() {
        let (at_50, at_40) =
            (anchor([place(50, 0), place(50, 0)], 50, 90), anchor([place(40, 0); 2], 40, 80));
        let mut standing = Standing::unread(2);
        standing.finish(&at_50);
        standing.finish(&at_40);
        assert_eq!((standing.anchor(), standing.done()), (&at_50, &[place(50, 0); 2][..]));
        standing.apply(&at_40, 1, place(55, 2));
        assert_eq!(standing.anchor(), &at_50);
        assert_eq!(standing.done(), [place(50, 0), place(55, 2)]);
        let past_one = anchor([place(60, 0), place(45, 0)], 60, 95);
        standing.finish(&past_one);
        assert_eq!((standing.anchor(), standing.done()[0]), (&at_50, place(60, 0)));
        let past_both = anchor([place(60, 0), place(56, 0)], 70, 97);
        standing.finish(&past_both);
        assert_eq!(standing.anchor(), &past_both);
    }

    /// Numbers of different readings cannot be compared: with the least number, the outputs before
    /// (8, 0) of partition 1 would be lost to the first standing.
    #[test]
    fn a_reader_begins_before_the_place_of_everybody() {
        let mut standings = [Standing::unread(2), Standing::unread(2)];
        standings[0].finish(&anchor([place(9, 0), place(3, 0)], 50, 90));
        standings[1].finish(&anchor([place(7, 1), place(8, 0)], 60, 80));
        let begin = begin_at(standings.iter().map(Some), 2, Ordering::Time);
        assert_eq!(begin, *anchor([place(7, 1), place(3, 0)], 50, 80));
        let unread = begin_at([Some(&standings[0]), None], 2, Ordering::Time);
        assert_eq!(unread, Anchor::start(2, Ordering::Time));
    }
}
