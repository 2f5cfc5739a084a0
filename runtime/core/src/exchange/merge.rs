//! The merge of an upstream stage's partitions into one input.
//!
//! Every element of the merged input has a number. With [`Ordering::Sequence`] it is the cause's sequence
//! plus the number of outputs so far, so that it is the same after any restart (as long as nothing
//! came by arrival); otherwise it just ascends.

use std::collections::VecDeque;
use std::ops::Range;

use bytes::Bytes;

use super::{Cause, Exchange, Ordering, Place};
use crate::ids::{Sequence, WATERMARK_MIN};
use crate::outputs::Outputs;

/// One element of the merged input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Merged {
    /// The watermark moves.
    Advance {
        /// Its number.
        number: u64,
        /// The watermark, milliseconds.
        watermark: i64,
    },
    /// An output.
    Output {
        /// Its number.
        number: u64,
        /// The upstream partition.
        partition: u16,
        /// The place in front of it.
        place: Place,
        /// The order of its cause, or 0: the same for every replay.
        order: i64,
        /// Its event time, milliseconds.
        event_time: i64,
        /// The upstream key.
        key: Bytes,
        /// The payload.
        payload: Bytes,
    },
}

/// Where a merge stands between two elements, so that it can go on from there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anchor {
    /// Per upstream partition all outputs before this place are merged.
    pub places: Vec<Place>,
    /// All causes up to here are merged.
    pub order: i64,
    /// Number of the last element.
    pub number: u64,
}

impl Anchor {
    /// Nothing is merged yet.
    pub fn start(partitions: u16, ordering: Ordering) -> Self {
        let order = match ordering {
            Ordering::Sequence => 0,
            Ordering::Time => i64::MIN,
        };
        Self { places: vec![Place::default(); usize::from(partitions)], order, number: 0 }
    }

    /// Where a merge must begin that is to give all that lies behind this anchor and all that lies behind
    /// `other`. Numbers alone cannot tell which is further behind: those of causes without an order
    /// depend on when the commits were read.
    pub fn meet(&mut self, other: &Self) {
        for (place, other) in self.places.iter_mut().zip(&other.places) {
            *place = (*place).min(*other);
        }
        self.order = self.order.min(other.order);
        self.number = self.number.min(other.number);
    }
}

#[derive(Debug)]
struct Item {
    cause: Cause,
    event_time: i64,
    place: Place,
    outputs: Outputs,
    key: Range<usize>,
    payload: Range<usize>,
}

/// Order, and for a timer its time, key and index.
type Rank<'a> = (i64, Option<(i64, &'a [u8], u16)>);

impl Item {
    /// What decides among outputs with an order: first a record's, then those of timers as timers fire.
    fn rank(&self) -> Rank<'_> {
        match self.cause {
            Cause::Arrival => (i64::MIN, None),
            Cause::Record { order } => (order, None),
            Cause::Timer { order, timer } => {
                (order, Some((self.event_time, self.outputs.bytes(self.key.clone()), timer)))
            }
        }
    }
}

#[derive(Debug)]
struct Upstream {
    queue: VecDeque<Item>,
    frontier: i64,
    idle: bool,
    place: Place,
    /// Commits up to here were taken.
    taken: Sequence,
}

/// Merges one declared output of the partitions of a stage.
#[derive(Debug)]
pub struct Merge {
    output: u8,
    ordering: Ordering,
    upstreams: Vec<Upstream>,
    /// Advances that are not passed on yet: order, watermark, the commit that told them.
    advances: VecDeque<(i64, i64, Sequence)>,
    /// Causes up to here are merged.
    order: i64,
    /// Outputs so far, and with [`Ordering::Time`] also advances.
    count: u64,
    watermark: i64,
}

impl Merge {
    /// A merge of the declared output `output` that goes on behind `anchor`.
    pub fn new(output: u8, ordering: Ordering, anchor: &Anchor) -> Self {
        let upstream = |place: &Place| Upstream {
            queue: VecDeque::new(),
            frontier: anchor.order,
            idle: false,
            place: *place,
            taken: Sequence(0),
        };
        let count = match ordering {
            Ordering::Sequence => anchor.number.saturating_sub(anchor.order.max(0) as u64),
            Ordering::Time => anchor.number,
        };
        Self {
            output,
            ordering,
            upstreams: anchor.places.iter().map(upstream).collect(),
            advances: VecDeque::new(),
            order: anchor.order,
            count,
            watermark: WATERMARK_MIN,
        }
    }

    /// Takes the next commit of an upstream partition; commits come in the order of the log, from that of
    /// the anchor's place on. One that was taken already is ignored. `exchange` is none for a takeover.
    pub fn commit(
        &mut self,
        partition: u16,
        sequence: Sequence,
        outputs: &Outputs,
        exchange: Option<&Exchange>,
    ) {
        let upstream = &mut self.upstreams[usize::from(partition)];
        if sequence <= upstream.taken {
            return;
        }
        upstream.taken = sequence;
        let Some(exchange) = exchange else { return };
        for (item, cause) in outputs.iter().zip(&exchange.causes) {
            let place = Place { commit: sequence, outputs: item.index };
            if item.output == self.output && place >= upstream.place {
                upstream.queue.push_back(Item {
                    cause: *cause,
                    event_time: item.event_time,
                    place,
                    outputs: outputs.clone(),
                    key: item.key,
                    payload: item.payload,
                });
            }
        }
        upstream.frontier = upstream.frontier.max(exchange.frontier);
        upstream.idle = exchange.idle;
        // By time the frontier alone is the watermark.
        if self.ordering == Ordering::Sequence {
            self.advances.extend(
                exchange.advances.iter().map(|&(order, watermark)| (order, watermark, sequence)),
            );
        }
    }

    /// Outputs that wait for other partitions.
    pub fn waiting(&self) -> usize {
        self.upstreams.iter().map(|u| u.queue.len()).sum()
    }

    /// Whether everything is merged and no partition has anything to wait for.
    pub fn is_idle(&self) -> bool {
        self.upstreams.iter().all(|u| u.idle && u.queue.is_empty())
    }

    /// Whether what is merged waits for commits of this partition.
    pub fn holds_back(&self, partition: u16) -> bool {
        self.upstreams[usize::from(partition)].frontier <= self.frontier()
    }

    /// Where it stands.
    pub fn anchor(&self) -> Anchor {
        let place = |u: &Upstream| match u.queue.front() {
            Some(item) => item.place,
            // Everything that was taken is merged. The last commit is read again, for its frontier.
            None if u.taken.0 > 0 => Place { commit: u.taken, outputs: u32::MAX }.max(u.place),
            None => u.place,
        };
        let mut places: Vec<Place> = self.upstreams.iter().map(place).collect();
        // Only partition 0 tells of advances. Those that wait must be read again, the outputs beside them not.
        if let (Some(&(.., commit)), Some(first)) = (self.advances.front(), places.first_mut()) {
            *first = (*first).min(Place { commit, outputs: u32::MAX });
        }
        Anchor { places, order: self.order, number: self.number() }
    }

    fn number(&self) -> u64 {
        match self.ordering {
            Ordering::Sequence => self.order.max(0) as u64 + self.count,
            Ordering::Time => self.count,
        }
    }

    fn frontier(&self) -> i64 {
        self.upstreams.iter().map(|u| u.frontier).min().unwrap_or(i64::MIN)
    }

    /// The next element; `None` until more commits come.
    pub fn poll(&mut self) -> Option<Merged> {
        let frontier = self.frontier();
        if let Some(by_arrival) = self
            .upstreams
            .iter()
            .position(|u| u.queue.front().is_some_and(|item| item.cause == Cause::Arrival))
        {
            return Some(self.take(by_arrival));
        }
        let heads = self.upstreams.iter().enumerate();
        let next = heads
            .filter_map(|(i, u)| u.queue.front().map(|item| (item.rank(), i)))
            .filter(|((order, _), _)| *order <= frontier)
            .min();
        let Some(((order, _), partition)) = next else {
            let advance = self.advance_through(frontier);
            if advance.is_none() {
                self.order = self.order.max(frontier);
            }
            return advance;
        };
        if let Some(advance) = self.advance_through(order.saturating_sub(1)) {
            return Some(advance);
        }
        self.order = self.order.max(order.saturating_sub(1));
        Some(self.take(partition))
    }

    /// The next advance that all causes up to `order` made.
    fn advance_through(&mut self, order: i64) -> Option<Merged> {
        match self.ordering {
            Ordering::Sequence => {
                while let Some(&(at, watermark, _)) = self.advances.front()
                    && at <= order
                {
                    self.advances.pop_front();
                    self.order = self.order.max(at);
                    if watermark > self.watermark {
                        self.watermark = watermark;
                        return Some(Merged::Advance { number: self.number(), watermark });
                    }
                }
                None
            }
            Ordering::Time => (order > self.watermark).then(|| {
                self.watermark = order;
                self.count += 1;
                Merged::Advance { number: self.count, watermark: order }
            }),
        }
    }

    fn take(&mut self, partition: usize) -> Merged {
        self.count += 1;
        let number = self.number();
        let upstream = &mut self.upstreams[partition];
        let item =
            upstream.queue.pop_front().expect("only a partition with an output is taken from");
        Merged::Output {
            number,
            partition: partition as u16,
            place: item.place,
            order: item.cause.order().unwrap_or(0),
            event_time: item.event_time,
            key: item.outputs.slice(item.key),
            payload: item.outputs.slice(item.payload),
        }
    }
}

#[cfg(test)]
mod tests;
