//! Reading the message ids that a sink stream holds.

use async_nats::header;
use bytes::Bytes;
use futures::future::BoxFuture;
use millstream_core::ids::Sequence;

use super::{SinkError, SinkIds, SinkReader};
use crate::connect::Connection;
use crate::source::{
    ReadAhead, Source, SourceError, SourceEvent, SourceOptions, SourceReader, StartAt,
};

/// Reads a sink stream on JetStream.
pub struct JetStreamSinkReader {
    connection: Connection,
    stream: String,
    filters: Vec<String>,
}

impl JetStreamSinkReader {
    /// Reads the stream's records of these subjects; no filter: all.
    pub fn new(connection: &Connection, stream: &str, filters: Vec<String>) -> JetStreamSinkReader {
        JetStreamSinkReader { connection: connection.clone(), stream: stream.to_owned(), filters }
    }

    async fn read(&self, after: Sequence) -> Result<SinkIds, SinkError> {
        let options = SourceOptions {
            stream: self.stream.clone(),
            filters: self.filters.clone(),
            start: StartAt::After(after),
            created_ns: None,
            ahead: ReadAhead::default(),
            consume: None,
        };
        let mut reader = SourceReader::open(&self.connection, options)
            .await
            .map_err(|error| self.error(error))?;
        let end = reader.facts().await.map_err(|error| self.error(error))?.last;
        let mut found = SinkIds { through: after, ..SinkIds::default() };
        let mut batch = Vec::new();
        while found.through < end {
            match reader.next(&mut batch).await.map_err(|error| self.error(error))? {
                SourceEvent::Records { .. } => {
                    for delivery in batch.drain(..) {
                        found.through = delivery.sequence;
                        let id = delivery
                            .headers
                            .as_ref()
                            .and_then(|headers| headers.get(header::NATS_MESSAGE_ID));
                        if let Some(id) = id {
                            found.ids.push((
                                delivery.sequence,
                                Bytes::copy_from_slice(id.as_str().as_bytes()),
                            ));
                        }
                    }
                }
                SourceEvent::CaughtUp { through } => found.through = found.through.max(through),
                SourceEvent::Gap { from, through } => {
                    let from = found.gap.map_or(from, |(first, _)| first);
                    found.gap = Some((from, through));
                    found.through = found.through.max(through);
                }
            }
        }
        reader.close().await;
        Ok(found)
    }

    fn error(&self, error: SourceError) -> SinkError {
        match error {
            SourceError::Missing { stream } => SinkError::NoStream { subject: stream },
            SourceError::Retention { stream, retention } => {
                SinkError::Retention { stream, retention }
            }
            SourceError::Unreachable { description, .. } => SinkError::Unreachable { description },
            error => SinkError::Broker {
                sink: self.stream.clone(),
                request: "read message ids",
                code: 0,
                description: error.to_string(),
            },
        }
    }
}

impl SinkReader for JetStreamSinkReader {
    fn ids_after(&self, after: Sequence) -> BoxFuture<'_, Result<SinkIds, SinkError>> {
        Box::pin(self.read(after))
    }
}
