//! The exchange: how the outputs of a stage's partitions become the input of another stage.
//!
//! A downstream partition must see the same records in the same order, with the same
//! watermark between them, whatever the number of upstream partitions, however their
//! commits were cut, and after any restart. So every commit of a stage that others
//! read says of each output what caused it ([`Cause`]), and up to which cause the
//! partition has emitted everything ([`Exchange::frontier`]). A reader merges the
//! partitions' outputs in the order of their causes, up to the least frontier
//! ([`merge::Merge`]): that is the order in which one single upstream partition
//! would have emitted them.
//!
//! What an *order* is depends on the upstream stage:
//! - It has one timed input ([`Ordering::Sequence`]): the input's sequence. An output of a
//!   record has that record's sequence, an output of an event-time timer that of the record
//!   whose advance of the watermark fired it.
//! - It has several ([`Ordering::Time`]): records of different inputs have no common order
//!   but that of their arrival; only outputs of event-time timers are ordered, by the timer's time.
//!
//! Outputs of processing-time timers, of redriven records and (with several inputs) of records are
//! [`Cause::Arrival`]: they stand where they came, behind what their partition emitted before.

pub mod merge;
mod reading;
mod recent;
mod standing;

pub use reading::{Gone, Reading};
pub use recent::{Committed, Following, Recent};
pub use standing::{Standing, begin_at, needed_of};

use crate::ids::{Sequence, SourceId};
use crate::wire::{Reader, WireError, put_signed, put_varint};

/// What the orders of a stage's causes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ordering {
    /// Sequences of the stage's one timed input.
    Sequence,
    /// Event times, milliseconds.
    Time,
}

impl Ordering {
    /// The cause of an output of an event-time timer that fires for `time` when the partition has come to `order`.
    pub fn of_timer(self, order: i64, time: i64, timer: u16) -> Cause {
        match self {
            Self::Sequence => Cause::Timer { order, timer },
            Self::Time => Cause::Timer { order: time, timer },
        }
    }

    /// The frontier of a partition that has come to `order` and has fired all timers up to `watermark`. `settled`: none
    /// is left that the watermark of its positions makes due.
    pub fn frontier(self, order: i64, settled: bool, watermark: i64) -> i64 {
        match self {
            Self::Sequence => order - i64::from(!settled),
            Self::Time => watermark,
        }
    }
}

/// What caused an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Something without a place in the order.
    Arrival,
    /// A record.
    Record {
        /// Its order.
        order: i64,
    },
    /// An event-time timer.
    Timer {
        /// Its order.
        order: i64,
        /// Index of the declared timer.
        timer: u16,
    },
}

impl Cause {
    /// Its order, if it has one.
    pub fn order(self) -> Option<i64> {
        match self {
            Self::Arrival => None,
            Self::Record { order } | Self::Timer { order, .. } => Some(order),
        }
    }
}

/// Encoded size of a [`Cause`], at most.
pub const CAUSE_BYTES_MAX: usize = 3 + 10;
/// Encoded size of an advance, at most.
pub const ADVANCE_BYTES_MAX: usize = 10 + 10;

/// What a commit says to the stages that read it, besides its outputs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exchange {
    /// One per output of the commit, in their order.
    pub causes: Vec<Cause>,
    /// With [`Ordering::Sequence`], in the commits of partition 0: where the watermark advanced, as (order of the
    /// record that caused it, the watermark behind it in milliseconds); both ascend.
    pub advances: Vec<(i64, i64)>,
    /// All outputs with an order up to here are in this commit or before it.
    pub frontier: i64,
    /// Whether all timed inputs were idle: who reads the stage does not wait for it.
    pub idle: bool,
}

impl Exchange {
    /// What a record without outputs says of a partition behind one that said this: how far it has come, and
    /// whether it waits for anything.
    pub fn repeated(&self) -> Self {
        Self { frontier: self.frontier, idle: self.idle, ..Self::default() }
    }

    /// Adds the cause of output number `index`, which is the newest; outputs before it without one came by arrival.
    pub fn caused(&mut self, index: u32, cause: Cause) {
        self.fit(index);
        self.causes.push(cause);
    }

    /// Makes it fit `outputs` outputs: some may have been taken back, some are of no cause.
    pub fn fit(&mut self, outputs: u32) {
        self.causes.resize(outputs as usize, Cause::Arrival);
    }

    /// An upper bound of the encoded size, bytes.
    pub fn encoded_bytes_max(&self) -> usize {
        30 + self.causes.len() * CAUSE_BYTES_MAX + self.advances.len() * ADVANCE_BYTES_MAX
    }

    /// Appends the encoded section.
    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        put_signed(out, self.frontier);
        out.push(u8::from(self.idle));
        put_varint(out, self.causes.len() as u64);
        let mut last = 0i64;
        for cause in &self.causes {
            match *cause {
                Cause::Arrival => put_varint(out, 0),
                Cause::Record { .. } => put_varint(out, 1),
                Cause::Timer { timer, .. } => put_varint(out, 2 + u64::from(timer)),
            }
            if let Some(order) = cause.order() {
                put_signed(out, order.wrapping_sub(last));
                last = order;
            }
        }
        put_varint(out, self.advances.len() as u64);
        let mut last = (0i64, 0i64);
        for &(order, watermark) in &self.advances {
            put_signed(out, order.wrapping_sub(last.0));
            put_signed(out, watermark.wrapping_sub(last.1));
            last = (order, watermark);
        }
    }

    /// Reads the section.
    pub(crate) fn read(content: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(content);
        let frontier = reader.signed()?;
        let idle = reader.varint_max(1)? == 1;
        let count = reader.count(1)?;
        let mut causes = Vec::with_capacity(count);
        let mut last = 0i64;
        for _ in 0..count {
            let kind = reader.varint_max(2 + u64::from(u16::MAX))?;
            if kind > 0 {
                last = last.wrapping_add(reader.signed()?);
            }
            causes.push(match kind {
                0 => Cause::Arrival,
                1 => Cause::Record { order: last },
                timer => Cause::Timer { order: last, timer: (timer - 2) as u16 },
            });
        }
        let count = reader.count(2)?;
        let mut advances = Vec::with_capacity(count);
        let mut last = (0i64, 0i64);
        for _ in 0..count {
            last = (last.0.wrapping_add(reader.signed()?), last.1.wrapping_add(reader.signed()?));
            advances.push(last);
        }
        reader.finish()?;
        Ok(Self { causes, advances, frontier, idle })
    }
}

/// A place in an upstream partition's outputs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Sequence of the commit in the log; 0: before the first.
    pub commit: Sequence,
    /// How many of its outputs, counted over all of them, lie before the place.
    pub outputs: u32,
}

/// How far a downstream partition has applied the outputs of one upstream partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UpstreamPosition {
    /// Which source of the stage the upstream stage is.
    pub source: SourceId,
    /// Which upstream partition.
    pub partition: u16,
    /// All outputs before it are applied.
    pub done: Place,
    /// The merged input may be read again from here, together with the anchors of the other
    /// upstream partitions; at or before `done`.
    pub anchor: Place,
}

/// Encoded size of an [`UpstreamPosition`], at most.
pub const UPSTREAM_BYTES_MAX: usize = 3 + 3 + 2 * (10 + 5);

pub(crate) fn put_upstream(out: &mut Vec<u8>, position: &UpstreamPosition) {
    put_varint(out, u64::from(position.source.0));
    put_varint(out, u64::from(position.partition));
    for place in [position.done, position.anchor] {
        put_varint(out, place.commit.0);
        put_varint(out, u64::from(place.outputs));
    }
}

pub(crate) fn upstream(reader: &mut Reader<'_>) -> Result<UpstreamPosition, WireError> {
    let place = |reader: &mut Reader<'_>| {
        Ok(Place { commit: Sequence(reader.varint()?), outputs: reader.varint_u32()? })
    };
    Ok(UpstreamPosition {
        source: SourceId(reader.varint_u16()?),
        partition: reader.varint_u16()?,
        done: place(reader)?,
        anchor: place(reader)?,
    })
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn cause() -> impl Strategy<Value = Cause> {
        prop_oneof![
            Just(Cause::Arrival),
            any::<i64>().prop_map(|order| Cause::Record { order }),
            any::<(i64, u16)>().prop_map(|(order, timer)| Cause::Timer { order, timer }),
        ]
    }

    proptest! {
        #[test]
        fn a_section_round_trips_within_its_bound(
            causes in vec(cause(), 0..20), advances in vec(any::<(i64, i64)>(), 0..10),
            frontier in any::<i64>(), idle in any::<bool>(),
        ) {
            let exchange = Exchange { causes, advances, frontier, idle };
            let mut bytes = Vec::new();
            exchange.put(&mut bytes);
            prop_assert!(bytes.len() <= exchange.encoded_bytes_max());
            prop_assert_eq!(Exchange::read(&bytes).unwrap(), exchange);
        }

        #[test]
        fn damaged_sections_never_panic(bytes in vec(any::<u8>(), 0..60)) {
            let _ = Exchange::read(&bytes);
        }
    }
}
