//! Reading a source without loss: a pure checker of what a pull delivers.
//!
//! A pull whose connection dies loses its messages silently, and the next one goes
//! on behind them. What gives that away is the *consumer* sequence: it counts
//! deliveries, so every delivery must have the previous one plus one. On any
//! mismatch the consumer is deleted and made anew behind the last position.
//!
//! A stream may also lose records before they are read (limits, a purge), be
//! re-created, or be rolled back to an older copy, all under the same name. Those are
//! incidents, found when the source is attached and while it is read.
//!
//! With a subject filter, sequences do not follow one another, so a purge under a reader
//! shows only in the stream's first sequence: ask for it with every pull
//! ([`Continuity::first_is`]). A record that was deleted alone cannot be told from one
//! that the filter excludes.

use crate::ids::{Sequence, SourceId, WATERMARK_MIN};
use crate::incident::Incident;
use crate::slice::SourcePosition;

/// What a delivery says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Counts the deliveries of the consumer, from 1.
    pub consumer_sequence: u64,
    /// The record's place in the stream.
    pub stream_sequence: Sequence,
    /// The broker's time of the record, nanoseconds since 1970 UTC.
    pub time_ns: i64,
}

/// What to do with a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is the next record.
    Take,
    /// It was taken before.
    Drop,
    /// Deliveries are missing: delete the consumer and make a new one that starts here.
    Recreate {
        /// First sequence to deliver.
        from: Sequence,
    },
    /// Records are missing from the stream.
    Incident(Incident),
}

/// What the stream says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamFacts {
    /// When it was created, nanoseconds since 1970 UTC.
    pub created_ns: i64,
    /// Sequence of its first record; above the last one when it is empty.
    pub first: Sequence,
    /// Sequence of its last record.
    pub last: Sequence,
    /// The broker's time of the record at the position's `last_sequence`; `None` when it is not there
    /// any more. Nanoseconds since 1970 UTC.
    pub time_at_last_ns: Option<i64>,
}

/// What the manifest says of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourcePolicy {
    /// The consumer has a subject filter.
    pub filtered: bool,
    /// Lost records are passed over.
    pub skip_gaps: bool,
}

/// Follows one source for one reader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Continuity {
    policy: SourcePolicy,
    position: SourcePosition,
    consumer_sequence: u64,
}

impl Continuity {
    /// Compares a stream with how far it was read, before a consumer is made. Where the source was
    /// never read, the position says from where on it is wanted.
    pub fn attach(
        policy: SourcePolicy,
        position: SourcePosition,
        facts: &StreamFacts,
    ) -> Result<Self, Incident> {
        let source_id = position.source;
        if position.stream_created_ns != 0 && position.stream_created_ns != facts.created_ns {
            return Err(Incident::SourceRecreated {
                source_id,
                read_ns: position.stream_created_ns,
                found_ns: facts.created_ns,
            });
        }
        let rolled_back = facts.last < position.sequence
            || facts
                .time_at_last_ns
                .is_some_and(|time| position.last_sequence.0 > 0 && time != position.last_time_ns);
        if rolled_back {
            return Err(Incident::SourceRolledBack { source_id, sequence: position.sequence });
        }
        let position = SourcePosition { stream_created_ns: facts.created_ns, ..position };
        let mut continuity = Self { policy, position, consumer_sequence: 0 };
        continuity.first_is(facts.first)?;
        Ok(continuity)
    }

    /// How far the source was read.
    pub fn position(&self) -> &SourcePosition {
        &self.position
    }

    /// First sequence that a new consumer must deliver.
    pub fn next(&self) -> Sequence {
        Sequence(self.position.sequence.0 + 1)
    }

    /// A new consumer was made that starts at [`Continuity::next`].
    pub fn consumer_made(&mut self) {
        self.consumer_sequence = 0;
    }

    /// The stream's first record is now this one. To be told with every pull of a source that has a
    /// filter, as read behind the pull and before its records are taken: the consumer passes over
    /// records that were purged before it came to them, and nothing in its deliveries shows that.
    pub fn first_is(&mut self, first: Sequence) -> Result<(), Incident> {
        if first <= self.next() {
            return Ok(());
        }
        let to = Sequence(first.0 - 1);
        if !self.policy.skip_gaps {
            let source_id = self.position.source;
            return Err(Incident::SourceGap { source_id, from: self.next(), to });
        }
        self.position.sequence = to;
        Ok(())
    }

    /// Judges a delivery and goes on to it when it is to be taken.
    pub fn deliver(&mut self, delivery: &Delivery) -> Verdict {
        if delivery.consumer_sequence != self.consumer_sequence + 1 {
            return Verdict::Recreate { from: self.next() };
        }
        self.consumer_sequence = delivery.consumer_sequence;
        if delivery.stream_sequence <= self.position.sequence {
            return Verdict::Drop;
        }
        // Without a filter every record of the stream is delivered, so sequences follow one another.
        if !self.policy.filtered
            && let Err(incident) = self.first_is(delivery.stream_sequence)
        {
            return Verdict::Incident(incident);
        }
        self.position.sequence = delivery.stream_sequence;
        self.position.last_sequence = delivery.stream_sequence;
        self.position.last_time_ns = delivery.time_ns;
        Verdict::Take
    }

    /// The consumer says that it made `delivered` deliveries and has nothing more, after the stream had
    /// reached `last` (to be read before the consumer is asked). To be told when a pull ends empty:
    /// if the last deliveries were lost, nothing else would show it. Otherwise the source is scanned
    /// up to there, though the filter excluded the end of it.
    pub fn caught_up(&mut self, delivered: u64, last: Sequence) -> Verdict {
        if delivered != self.consumer_sequence {
            return Verdict::Recreate { from: self.next() };
        }
        self.position.sequence = self.position.sequence.max(last);
        Verdict::Take
    }
}

/// A position from which a source has never been read: records above `behind` are wanted.
pub fn never_read(source: SourceId, behind: Sequence) -> SourcePosition {
    SourcePosition {
        source,
        sequence: behind,
        last_sequence: Sequence(0),
        last_time_ns: 0,
        stream_created_ns: 0,
        max_event_time: WATERMARK_MIN,
        idle: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: SourcePolicy = SourcePolicy { filtered: false, skip_gaps: false };
    const FACTS: StreamFacts = StreamFacts {
        created_ns: 7,
        first: Sequence(1),
        last: Sequence(100),
        time_at_last_ns: None,
    };

    fn at(sequence: u64) -> SourcePosition {
        SourcePosition {
            sequence: Sequence(sequence),
            last_sequence: Sequence(sequence),
            last_time_ns: sequence as i64 * 10,
            stream_created_ns: 7,
            ..never_read(SourceId(3), Sequence(0))
        }
    }

    fn delivery(consumer_sequence: u64, stream_sequence: u64) -> Delivery {
        Delivery {
            consumer_sequence,
            stream_sequence: Sequence(stream_sequence),
            time_ns: stream_sequence as i64 * 10,
        }
    }

    #[test]
    fn deliveries_are_taken_in_order_and_once() {
        let mut source = Continuity::attach(PLAIN, at(4), &FACTS).unwrap();
        assert_eq!(source.deliver(&delivery(1, 5)), Verdict::Take);
        assert_eq!(source.deliver(&delivery(2, 5)), Verdict::Drop);
        assert_eq!(source.deliver(&delivery(3, 6)), Verdict::Take);
        // The delivery 4 was lost with its connection.
        assert_eq!(source.deliver(&delivery(5, 8)), Verdict::Recreate { from: Sequence(7) });
        source.consumer_made();
        assert_eq!(source.deliver(&delivery(1, 7)), Verdict::Take);
        assert_eq!(source.position(), &at(7));
    }

    #[test]
    fn gaps_stop_or_are_skipped() {
        let gap =
            Incident::SourceGap { source_id: SourceId(3), from: Sequence(5), to: Sequence(8) };
        let mut source = Continuity::attach(PLAIN, at(4), &FACTS).unwrap();
        assert_eq!(source.deliver(&delivery(1, 9)), Verdict::Incident(gap.clone()));
        let trimmed = StreamFacts { first: Sequence(9), ..FACTS };
        assert_eq!(Continuity::attach(PLAIN, at(4), &trimmed), Err(gap.clone()));

        let skip = SourcePolicy { skip_gaps: true, ..PLAIN };
        let mut source = Continuity::attach(skip, at(4), &trimmed).unwrap();
        assert_eq!(source.next(), Sequence(9));
        assert_eq!(source.deliver(&delivery(1, 11)), Verdict::Take);

        let filtered = SourcePolicy { filtered: true, ..PLAIN };
        let mut source = Continuity::attach(filtered, at(4), &FACTS).unwrap();
        assert_eq!(source.deliver(&delivery(1, 9)), Verdict::Take);
        assert_eq!(source.caught_up(2, Sequence(20)), Verdict::Recreate { from: Sequence(10) });
        assert_eq!(source.caught_up(1, Sequence(20)), Verdict::Take);
        assert_eq!(source.position().last_sequence, Sequence(9));
        assert_eq!(source.first_is(Sequence(21)), Ok(()));
        assert!(source.first_is(Sequence(22)).is_err());
    }

    #[test]
    fn another_stream_of_the_same_name_is_found_out() {
        let source_id = SourceId(3);
        let recreated = StreamFacts { created_ns: 8, ..FACTS };
        assert_eq!(
            Continuity::attach(PLAIN, at(4), &recreated),
            Err(Incident::SourceRecreated { source_id, read_ns: 7, found_ns: 8 })
        );
        let rolled_back = Err(Incident::SourceRolledBack { source_id, sequence: Sequence(4) });
        let shorter = StreamFacts { last: Sequence(3), ..FACTS };
        assert_eq!(Continuity::attach(PLAIN, at(4), &shorter), rolled_back);
        let other_time = StreamFacts { time_at_last_ns: Some(41), ..FACTS };
        assert_eq!(Continuity::attach(PLAIN, at(4), &other_time), rolled_back);
        let same_time = StreamFacts { time_at_last_ns: Some(40), ..FACTS };
        assert!(Continuity::attach(PLAIN, at(4), &same_time).is_ok());
        assert!(Continuity::attach(PLAIN, never_read(source_id, Sequence(0)), &recreated).is_ok());
    }
}
