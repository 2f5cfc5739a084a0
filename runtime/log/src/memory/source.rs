//! A source in memory.

use futures::future::BoxFuture;
use millstream_core::ids::Sequence;

use super::broker::MemoryBroker;
use super::stream::Stream;
use crate::source::{Delivery, Source, SourceError, SourceEvent, StartAt, StreamFacts};

/// Most deliveries of one event.
const BATCH_MAX: usize = 1_024;

/// A reader of a stream in memory.
pub struct MemorySource {
    broker: MemoryBroker,
    stream: String,
    filters: Vec<String>,
    created_ns: i64,
    position: Sequence,
    delivered: u64,
    reported_through: Option<Sequence>,
}

impl MemorySource {
    /// Reads records that match a filter; no filter: all. `created_ns`: creation time of the stream that the
    /// position belongs to, where one is known.
    pub fn open(
        broker: &MemoryBroker,
        stream: &str,
        filters: Vec<String>,
        start: StartAt,
        created_ns: Option<i64>,
    ) -> Result<MemorySource, SourceError> {
        let found = broker.with(stream, |stream| {
            let position = match start {
                StartAt::After(position) => position,
                StartAt::Beginning => Sequence(stream.first().0 - 1),
                StartAt::New => stream.last(),
                StartAt::Time(time_ns) => before(stream, time_ns),
            };
            (stream.created_ns(), position)
        });
        let Some((found_ns, position)) = found else {
            return Err(SourceError::Missing { stream: stream.to_owned() });
        };
        Ok(MemorySource {
            broker: broker.clone(),
            stream: stream.to_owned(),
            filters,
            created_ns: created_ns.unwrap_or(found_ns),
            position,
            delivered: 0,
            reported_through: None,
        })
    }

    /// The next event, `None` when there is none now.
    pub fn next_now(
        &mut self,
        batch: &mut Vec<Delivery>,
    ) -> Result<Option<SourceEvent>, SourceError> {
        let broker = self.broker.clone();
        let name = self.stream.clone();
        let event = broker.with(&name, |stream| self.look(stream, batch));
        event.unwrap_or(Err(SourceError::Missing { stream: name }))
    }

    fn look(
        &mut self,
        stream: &Stream,
        batch: &mut Vec<Delivery>,
    ) -> Result<Option<SourceEvent>, SourceError> {
        if stream.created_ns() != self.created_ns {
            return Err(SourceError::Recreated {
                stream: self.stream.clone(),
                expected_ns: self.created_ns,
                found_ns: stream.created_ns(),
            });
        }
        if stream.last() < self.position {
            return Err(SourceError::RolledBack {
                stream: self.stream.clone(),
                position: self.position.0,
                last: stream.last().0,
            });
        }
        let next = Sequence(self.position.0 + 1);
        if stream.first() > next {
            let through = Sequence(stream.first().0 - 1);
            self.position = through;
            return Ok(Some(SourceEvent::Gap { from: next, through }));
        }
        let before = batch.len();
        while batch.len() - before < BATCH_MAX {
            let Some(stored) = stream.next(self.position.0 + 1, &self.filters) else { break };
            self.position = stored.sequence;
            self.delivered += 1;
            batch.push(Delivery {
                sequence: stored.sequence,
                consumer_sequence: self.delivered,
                time_ns: stored.time_ns,
                subject: stored.subject.clone(),
                headers: stored.headers.clone(),
                payload: stored.payload.clone(),
            });
        }
        if batch.len() > before {
            let pending = stream.pending(self.position.0, &self.filters);
            return Ok(Some(SourceEvent::Records { pending }));
        }
        let through = stream.last().max(self.position);
        if self.reported_through >= Some(through) {
            return Ok(None);
        }
        self.reported_through = Some(through);
        Ok(Some(SourceEvent::CaughtUp { through }))
    }
}

/// The last sequence stored before a time.
fn before(stream: &Stream, time_ns: i64) -> Sequence {
    let mut position = Sequence(stream.first().0 - 1);
    while let Some(stored) =
        stream.next(position.0 + 1, &[]).filter(|stored| stored.time_ns < time_ns)
    {
        position = stored.sequence;
    }
    position
}

impl Source for MemorySource {
    fn next<'a>(
        &'a mut self,
        batch: &'a mut Vec<Delivery>,
    ) -> BoxFuture<'a, Result<SourceEvent, SourceError>> {
        Box::pin(async move {
            let broker = self.broker.clone();
            loop {
                let changed = broker.changed();
                if let Some(event) = self.next_now(batch)? {
                    return Ok(event);
                }
                changed.await;
            }
        })
    }

    fn facts(&self) -> BoxFuture<'_, Result<StreamFacts, SourceError>> {
        Box::pin(async move {
            let facts = self.broker.with(&self.stream, |stream| StreamFacts {
                stream: self.stream.clone(),
                created_ns: stream.created_ns(),
                first: stream.first(),
                last: stream.last(),
                records: stream.len(),
                bytes: stream.bytes(),
                age_ns_max: None,
            });
            facts.ok_or_else(|| SourceError::Missing { stream: self.stream.clone() })
        })
    }

    fn time_of(&self, sequence: Sequence) -> BoxFuture<'_, Result<Option<i64>, SourceError>> {
        Box::pin(async move {
            let time = self
                .broker
                .with(&self.stream, |stream| stream.get(sequence.0).map(|stored| stored.time_ns));
            time.ok_or_else(|| SourceError::Missing { stream: self.stream.clone() })
        })
    }

    fn restart(&mut self, position: Sequence) {
        self.position = position;
        self.delivered = 0;
        self.reported_through = None;
    }

    fn position(&self) -> Sequence {
        self.position
    }

    fn restarts(&self) -> u64 {
        0
    }
}
