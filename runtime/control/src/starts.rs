//! Where the sources of a new pipeline begin: what `start` says in the manifest, as a place in the stream.
//!
//! A pipeline without any commit begins where its manifest says; afterwards its log decides. But `new` and a time mean
//! another place at every moment. So the place is looked up once, before the pipeline's record is created, and is part of that
//! record: it exists together with the pipeline or not at all. Every partition on every node, and every one that takes over
//! from one that died before its first commit, reads the same record and begins at the same place. What was published after
//! the pipeline was created is read, however often nodes die before they commit anything.
//!
//! `beginning` is not looked up: what the stream still holds when it is first read is what was asked for. A record that
//! the stream's limits remove before that is not a gap.

use std::collections::BTreeMap;

use millstream_core::ids::Sequence;
use millstream_engine::spec::{self, PipelineSpec};
use millstream_log::connect::Connection;
use millstream_log::source::{
    ReadAhead, Source as _, SourceError, SourceOptions, SourceReader, StartAt, StreamFacts,
};
use serde::{Deserialize, Serialize};

use crate::errors;
use crate::manifest::{Document, OnGap, Source, Start, Timestamp};
use crate::problem::{Problem, Problems};

/// A place in a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartPoint {
    /// The first record that is wanted comes behind this sequence.
    pub behind: u64,
    /// When the stream was created, nanoseconds since 1970 UTC: in another one of the same name the sequence means nothing.
    pub stream_created_ns: i64,
}

/// The places of the sources that do not start at the beginning, by name.
pub type Starts = BTreeMap<String, StartPoint>;

/// Looks up where the sources of a manifest begin. `now_ms` is the time, milliseconds since 1970 UTC.
///
/// # Errors
/// MS1120 and MS1121, all of them, in the order of the sources' names; a broker that does not answer.
pub async fn look_up(
    connection: &Connection,
    document: &Document,
    now_ms: i64,
) -> Result<Starts, Problems> {
    let (mut starts, mut problems) = (Starts::new(), Vec::new());
    for (name, source) in &document.manifest.sources {
        if source.start == Start::Beginning {
            continue;
        }
        match look_up_source(connection, source, now_ms).await {
            Ok(point) => {
                starts.insert(name.clone(), point);
            }
            Err(Refused { field, problem }) => {
                problems.push(problem.at(document.at(&format!("sources.{name}.{field}"))));
            }
        }
    }
    Problems::refuse(problems)?;
    Ok(starts)
}

/// Whether they are there for all sources that need one.
pub fn are_known(starts: &Starts, document: &Document) -> bool {
    let mut sources = document.manifest.sources.iter();
    sources.all(|(name, source)| source.start == Start::Beginning || starts.contains_key(name))
}

/// Sets where the sources of a pipeline begin.
pub fn set(starts: &Starts, pipeline: &mut PipelineSpec) {
    for source in &mut pipeline.sources {
        if let Some(&StartPoint { behind, stream_created_ns }) = starts.get(&source.name) {
            source.start = spec::Start::Behind { sequence: Sequence(behind), stream_created_ns };
        }
    }
}

/// A problem with a field of a source.
struct Refused {
    field: &'static str,
    problem: Box<Problem>,
}

async fn look_up_source(
    connection: &Connection,
    source: &Source,
    now_ms: i64,
) -> Result<StartPoint, Refused> {
    let start = match source.start {
        Start::Time(time) if time.ms > now_ms => {
            return Err(in_the_future(time, Timestamp { ms: now_ms }));
        }
        Start::Time(time) => StartAt::Time(time.ms.saturating_mul(1_000_000)),
        Start::Beginning => StartAt::Beginning,
        Start::New | Start::Sequence(_) => StartAt::New,
    };
    let options = SourceOptions {
        stream: source.stream.clone(),
        filters: source.subject.iter().cloned().collect(),
        start,
        created_ns: None,
        ahead: ReadAhead::default(),
        consume: None,
    };
    let reader = SourceReader::open(connection, options).await.map_err(unreadable)?;
    let facts = reader.facts().await.map_err(unreadable)?;
    let behind = match source.start {
        Start::Sequence(sequence) => within(source, sequence, &facts)?,
        _ => reader.position().0,
    };
    Ok(StartPoint { behind, stream_created_ns: facts.created_ns })
}

/// The place before a sequence, if the stream holds that one or it will be the next.
fn within(source: &Source, sequence: u64, facts: &StreamFacts) -> Result<u64, Refused> {
    let (stream, first, last) = (&facts.stream, facts.first.0, facts.last.0);
    let refused = |message: String, help: String| Refused {
        field: "start.sequence",
        problem: Box::new(Problem::new(errors::START_NOT_IN_STREAM, message).help(help)),
    };
    if sequence > last + 1 {
        return Err(refused(
            format!(
                "sequence {sequence} is beyond the end of stream {stream}, whose last is {last}"
            ),
            format!(
                "write `start: new`, or `start: {{ sequence: {} }}` for the next record",
                last + 1
            ),
        ));
    }
    if sequence < first && source.on_gap == OnGap::Stop {
        return Err(refused(
            format!("stream {stream} no longer holds sequence {sequence}, its first is {first}"),
            format!(
                "write `start: beginning` or `start: {{ sequence: {first} }}`, or `on-gap: skip` to pass over what is gone"
            ),
        ));
    }
    Ok(sequence - 1)
}

#[cold]
fn in_the_future(time: Timestamp, now: Timestamp) -> Refused {
    let message = format!("{time} is in the future, it is {now}");
    let help = "write `start: new`, or apply the pipeline when that time has come";
    let problem = Problem::new(errors::START_NOT_IN_STREAM, message).help(help);
    Refused { field: "start.time", problem: Box::new(problem) }
}

#[cold]
fn unreadable(error: SourceError) -> Refused {
    let (field, help) = match error {
        SourceError::Missing { .. } => (
            "stream",
            "create the stream first, or correct its name; `nats stream ls` lists streams",
        ),
        _ => (
            "start",
            "`millstream doctor` checks what the node may do and whether JetStream answers",
        ),
    };
    let problem = Problem::new(errors::START_UNKNOWN, error.to_string()).help(help);
    Refused { field, problem: Box::new(problem) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(start: &str) -> Document {
        let text = format!(
            "name: p\nsources:\n  s: {{ stream: S, start: {start} }}\nstages:\n  a:\n    module: m@1.0.0\n    inputs: {{ s: {{ key: none }} }}\n"
        );
        Document::parse("p.yaml", &text).expect("a manifest")
    }

    fn place(sequence: u64, on_gap: &str) -> Result<u64, String> {
        let document = document(&format!("{{ sequence: {sequence} }}, on-gap: {on_gap}"));
        let facts = StreamFacts {
            stream: "S".into(),
            created_ns: 1,
            first: Sequence(11),
            last: Sequence(20),
            records: 10,
            bytes: 1_000,
            age_ns_max: None,
        };
        within(&document.manifest.sources["s"], sequence, &facts)
            .map_err(|refused| refused.problem.message)
    }

    #[test]
    fn a_sequence_must_be_there_or_be_the_next() {
        for sequence in [11, 15, 20, 21] {
            assert_eq!(place(sequence, "stop"), Ok(sequence - 1));
        }
        let beyond = "sequence 22 is beyond the end of stream S, whose last is 20";
        assert_eq!(place(22, "stop"), Err(beyond.to_owned()));
        let gone = "stream S no longer holds sequence 10, its first is 11";
        assert_eq!(place(10, "stop"), Err(gone.to_owned()));
        assert_eq!(place(10, "skip"), Ok(9));
    }

    #[test]
    fn a_record_reads_back() {
        let starts = Starts::from([("s".into(), StartPoint { behind: 7, stream_created_ns: -1 })]);
        let text = serde_json::to_string(&starts).unwrap();
        assert_eq!(text, r#"{"s":{"behind":7,"stream_created_ns":-1}}"#);
        assert_eq!(serde_json::from_str::<Starts>(&text).unwrap(), starts);
    }
}
