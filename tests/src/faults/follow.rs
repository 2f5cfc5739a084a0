//! Reads a stream while it is written, whatever happens to its servers.

use std::time::Duration;

use async_nats::jetstream::Context;
use async_nats::jetstream::consumer::{DeliverPolicy, pull};
use bytes::Bytes;
use futures::StreamExt;
use tokio_util::task::AbortOnDropHandle;

/// Wait before a stream that could not be read is tried again.
const AGAIN_AFTER: Duration = Duration::from_millis(200);

/// Without a record for so long, the consumer is made anew: it may be gone with its server.
const SILENT_FOR: Duration = Duration::from_secs(1);

/// A record of a stream.
pub struct Seen {
    /// Its sequence.
    pub sequence: u64,
    /// Its subject.
    pub subject: String,
    /// Its payload.
    pub payload: Bytes,
}

/// Hands over every record of a stream from the first on, in order, until the handle is dropped. Records that are removed before they
/// are read are left out.
pub fn follow(
    jetstream: Context,
    stream: impl Into<String>,
    mut see: impl FnMut(Seen) + Send + 'static,
) -> AbortOnDropHandle<()> {
    let stream = stream.into();
    AbortOnDropHandle::new(tokio::spawn(async move {
        let mut next = 1;
        loop {
            let _ = read(&jetstream, &stream, &mut next, &mut see).await;
            tokio::time::sleep(AGAIN_AFTER).await;
        }
    }))
}

async fn read(
    jetstream: &Context,
    stream: &str,
    next: &mut u64,
    see: &mut impl FnMut(Seen),
) -> anyhow::Result<()> {
    let config = pull::OrderedConfig {
        deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: *next },
        ..Default::default()
    };
    let consumer = jetstream.get_stream(stream).await?.create_consumer(config).await?;
    let mut messages = consumer.messages().await?;
    while let Ok(Some(message)) = tokio::time::timeout(SILENT_FOR, messages.next()).await {
        let message = message?;
        let sequence = message.info().map_err(anyhow::Error::from_boxed)?.stream_sequence;
        if sequence < *next {
            continue;
        }
        *next = sequence + 1;
        let (subject, payload) = (message.subject.to_string(), message.payload.clone());
        see(Seen { sequence, subject, payload });
    }
    Ok(())
}
