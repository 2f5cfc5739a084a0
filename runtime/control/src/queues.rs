//! Sources on streams that only one consumer may read (retention `workqueue` and `interest`): found when a pipeline is
//! created, and part of its record, because they are read through a stage of their own ([`ingest`]), which has a log.

use std::collections::BTreeMap;

use millstream_core::ids::Incarnation;
use millstream_engine::ingest;
use millstream_engine::spec::PipelineSpec;
use millstream_log::connect::Connection;
use millstream_log::source::{SourceError, do_overlap, forget_consumers, is_consumed, takers};

use crate::errors;
use crate::manifest::{Document, Source, Start};
use crate::problem::{Problem, Problems};

/// The streams of these sources, by the sources' names.
pub type Queues = BTreeMap<String, String>;

/// Looks up which sources of a manifest are on such streams. A stream that does not exist yet is taken for an ordinary one.
///
/// # Errors
/// MS1121 if a broker does not answer, MS1122, MS1123: all of them, in the order of the sources' names.
pub async fn look_up(connection: &Connection, document: &Document) -> Result<Queues, Problems> {
    let (mut queues, mut problems) = (Queues::new(), Vec::new());
    for (name, source) in &document.manifest.sources {
        let field = format!("sources.{name}");
        match is_consumed(connection, &source.stream).await {
            Ok(false) | Err(SourceError::Missing { .. }) => continue,
            Ok(true) => {}
            Err(error) => {
                problems.push(unknown(&error).at(document.at(&format!("{field}.stream"))));
                continue;
            }
        }
        if source.start != Start::Beginning {
            let message = format!(
                "stream {} is a queue: what it holds is what is left to read",
                source.stream
            );
            let problem = Problem::new(errors::START_OF_QUEUE, message)
                .help("leave `start` out, or write `start: beginning`");
            problems.push(problem.at(document.at(&format!("{field}.start"))));
        }
        let others = document.manifest.sources.iter().take_while(|(other, _)| *other != name);
        let same = |(_, other): &(&String, &Source)| {
            other.stream == source.stream
                && do_overlap(other.subject.as_deref(), source.subject.as_deref())
        };
        let mut taken: Vec<String> =
            others.filter(same).map(|(other, _)| format!("the source `{other}`")).collect();
        match takers(connection, &source.stream, source.subject.as_deref()).await {
            Ok(consumers) => taken.extend(consumers.iter().map(|c| format!("the consumer {c}"))),
            Err(error) => {
                problems.push(unknown(&error).at(document.at(&format!("{field}.stream"))))
            }
        }
        if !taken.is_empty() {
            let message = format!(
                "stream {} is a work queue, and {} takes the same records",
                source.stream,
                taken.join(", ")
            );
            let problem = Problem::new(errors::SOURCE_TAKEN, message)
                .help("give each its own `subject`, remove the other one, or have one source read by several stages");
            problems.push(problem.at(document.at(&format!("{field}.stream"))));
        }
        queues.insert(name.clone(), source.stream.clone());
    }
    Problems::refuse(problems)?;
    Ok(queues)
}

#[cold]
fn unknown(error: &SourceError) -> Problem {
    Problem::new(errors::START_UNKNOWN, error.to_string())
        .help("`millstream doctor` checks what the node may do and whether JetStream answers")
}

/// The stages that take these sources into the log, of one partition each.
pub fn stages(queues: &Queues) -> impl Iterator<Item = String> {
    queues.keys().map(|source| ingest::stage_of(source))
}

/// Has these sources of a pipeline read through stages of their own.
pub fn set(queues: &Queues, pipeline: &mut PipelineSpec) {
    ingest::insert(queues.keys().map(String::as_str), pipeline);
}

/// Removes the consumers of a pipeline that is deleted.
pub async fn forget(
    connection: &Connection,
    queues: &Queues,
    pipeline: &str,
    incarnation: Incarnation,
) -> Result<(), SourceError> {
    for (source, stream) in queues {
        let prefix = ingest::consumers_of(pipeline, incarnation, source);
        forget_consumers(connection, stream, &prefix).await?;
    }
    Ok(())
}
