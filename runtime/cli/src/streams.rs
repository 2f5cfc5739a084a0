//! The streams that `millstream dev` makes on its private server, so that a pipeline can be tried without another tool.
//! On a server of one's own, streams belong to their owners and nothing here touches them.

use std::time::Duration;

use async_nats::jetstream::Context;
use async_nats::jetstream::stream::Config;
use millstream_control::errors;
use millstream_control::manifest::Manifest;

use crate::failure::Failure;

/// How long sinks remember message ids.
const DUPLICATE_WINDOW: Duration = Duration::from_secs(120);

/// A stream that was made.
#[derive(Debug, PartialEq, Eq)]
pub struct Made {
    /// Its name.
    pub stream: String,
    /// What it captures.
    pub subjects: Vec<String>,
}

/// Makes the streams that the manifest reads and writes and that are not there yet.
pub async fn make_missing(jetstream: &Context, manifest: &Manifest) -> Result<Vec<Made>, Failure> {
    let mut made = Vec::new();
    for source in manifest.sources.values() {
        if jetstream.get_stream(&source.stream).await.is_err() {
            let subject = source
                .subject
                .clone()
                .unwrap_or_else(|| format!("{}.>", source.stream.to_lowercase()));
            made.push(make(jetstream, source.stream.clone(), vec![subject]).await?);
        }
    }
    let mut uncaptured = Vec::new();
    // The engine makes those of transactional sinks.
    let others = manifest.sinks.values().filter(|sink| sink.stream.is_none());
    for sink in others {
        let subject = sink.subject.replace("{key}", "*");
        if jetstream.stream_by_subject(&subject).await.is_err() && !uncaptured.contains(&subject) {
            uncaptured.push(subject);
        }
    }
    if !uncaptured.is_empty() {
        made.push(make(jetstream, sink_stream(&manifest.name), uncaptured).await?);
    }
    Ok(made)
}

/// Name of the stream that captures all sinks of a pipeline.
fn sink_stream(pipeline: &str) -> String {
    format!("{}_OUT", pipeline.to_uppercase().replace('-', "_"))
}

async fn make(jetstream: &Context, stream: String, subjects: Vec<String>) -> Result<Made, Failure> {
    let config = Config {
        name: stream.clone(),
        subjects: subjects.clone(),
        duplicate_window: DUPLICATE_WINDOW,
        ..Config::default()
    };
    jetstream.create_stream(config).await.map_err(|error| {
        Failure::coded(
            errors::STORAGE,
            format!("cannot make stream {stream} for {}", subjects.join(", ")),
        )
        .because(&error)
        .help("do two of the manifests' subjects overlap?")
    })?;
    Ok(Made { stream, subjects })
}
