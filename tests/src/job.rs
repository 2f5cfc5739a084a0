//! A pipeline with its input and all that it has to give: over files, and through JetStream.

use std::collections::BTreeMap;
use std::io::{Cursor, Read};
use std::ops::Range;
use std::path::PathBuf;

use futures::future::join_all;
use millstream_engine::local::{LocalOptions, run};
use millstream_engine::spec::{InputFrom, PipelineSpec};
use millstream_sandbox::Sandbox;
use millstream_sandbox::codec::{KeySource, TimeSource};
use millstream_state::{Budgets, Shared};
use serde_json::{Map, Value, json};

use crate::broker::Broker;
use crate::files::Written;
use crate::manifest::pipeline;
use crate::progress::{Progress, position_of};

/// Event time of the records that end the sources of a job, in the year 9999: all that waits for event time fires.
const CLOSING_MS: i64 = 253_370_764_800_000;

/// Stream and first part of the subjects of dead letters.
const DEAD_LETTERS: (&str, &str) = ("MILLSTREAM_DLQ", "millstream.dlq");

/// Lines of a difference that are shown.
const SHOWN: usize = 5;

/// A dead letter, as far as it must be the same everywhere.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Letter {
    input: String,
    sequence: String,
    cause: String,
    payload: String,
}

/// A source of a job.
struct Source {
    name: String,
    stream: String,
    /// Subjects that the stream captures for it.
    filter: String,
    /// Where its records are published.
    subject: String,
}

/// A pipeline with its input and what it must give.
pub struct Job {
    /// The pipeline's name.
    pub name: String,
    /// Its manifest.
    pub manifest: PathBuf,
    /// Partitions of every stage, whatever else is asked for.
    partitions: Option<u16>,
    sources: Vec<Source>,
    /// Source and payload of each record. Of one source they are in their order; among sources in that of event time.
    records: Vec<(usize, Vec<u8>)>,
    outputs: Vec<String>,
    letters: Vec<Letter>,
}

impl Job {
    /// A job of a manifest. `inputs` holds the lines of each source by its name, or of the only one by any. Each source
    /// that has event times in its records gets one more record: far behind all others, so that everything pending fires
    /// as at the end of a file, and with its key and its time only, so that it becomes a dead letter.
    ///
    /// What the job gives is what comes out over files, at one partition. Panics if that is not `expected`.
    pub fn new(
        sandbox: &Sandbox,
        manifest: PathBuf,
        inputs: &BTreeMap<String, Vec<u8>>,
        expected: Option<&[u8]>,
    ) -> Self {
        let spec = pipeline(sandbox, &manifest, None);
        let inputs: Vec<Vec<u8>> = spec
            .sources
            .iter()
            .enumerate()
            .map(|(number, source)| {
                let lines = match spec.sources.len() {
                    1 => inputs.values().next(),
                    _ => inputs.get(&source.name),
                };
                let mut lines = lines
                    .unwrap_or_else(|| panic!("{}: no input for `{}`", spec.name, source.name))
                    .clone();
                if lines.last().is_some_and(|last| *last != b'\n') {
                    lines.push(b'\n');
                }
                lines.extend(closer(&spec, number));
                lines
            })
            .collect();
        let (outputs, letters) = over_files(&pipeline(sandbox, &manifest, Some(1)), &inputs);
        if let Some(expected) = expected {
            let expected = sorted(String::from_utf8_lossy(expected).lines().map(str::to_owned));
            assert_same(&spec.name, "outputs over files", &outputs, &expected);
        }
        let sources = spec.sources.iter().map(|source| {
            let filter = source.subject.clone().unwrap_or_else(|| format!("in.{}", source.stream));
            Source {
                name: source.name.clone(),
                stream: source.stream.clone(),
                subject: filter.replace(['>', '*'], "x"),
                filter,
            }
        });
        let sources = sources.collect();
        let records = in_order_of_event_time(&spec, &inputs);
        Self { name: spec.name, manifest, partitions: None, sources, records, outputs, letters }
    }

    /// The job for a pipeline whose results depend on the order among its sources: it is fed in that of event time, and
    /// since only a single partition says when it has seen all records of another source, it has one.
    #[must_use]
    pub fn in_order_of_arrival(self) -> Self {
        Self { partitions: Some(1), ..self }
    }

    /// Panics unless there are outputs with each of these values of `type`.
    pub fn assert_gives(&self, types: &[&str]) {
        for wanted in types {
            let wanted = format!("\"type\":\"{wanted}\"");
            let is_there = self.outputs.iter().any(|output| output.contains(&wanted));
            assert!(is_there, "{}: no output has {wanted}", self.name);
        }
    }

    /// How many records there are.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// The records of part number `part` of `parts`.
    pub fn part(&self, part: usize, parts: usize) -> Range<usize> {
        self.len() * part / parts..self.len() * (part + 1) / parts
    }

    /// The pipeline, with as many partitions as asked for or as it must have.
    pub fn pipeline(&self, sandbox: &Sandbox, partitions: Option<u16>) -> PipelineSpec {
        pipeline(sandbox, &self.manifest, self.partitions.or(partitions))
    }

    /// Partitions of every stage that the pipeline is to have; none: as its manifest says.
    pub fn partitions(&self, wanted: Option<u16>) -> Option<u16> {
        self.partitions.or(wanted)
    }

    /// The name of the progress, and the position, at which the record number `record` is committed.
    pub fn position(&self, record: usize) -> (String, u64) {
        let source = self.records[record].0;
        let before = self.records[..=record].iter().filter(|(of, _)| *of == source).count();
        (position_of(&self.name, &self.sources[source].name), before as u64)
    }

    /// Waits until all records before number `end` are committed.
    pub async fn until_committed(&self, end: usize, progress: &Progress) {
        for source in 0..self.sources.len() {
            if let Some(last) = self.records[..end].iter().rposition(|(of, _)| *of == source) {
                let (name, position) = self.position(last);
                progress.until(&name, position).await;
            }
        }
    }

    /// Makes the streams.
    pub async fn make_streams(&self, broker: &Broker) {
        let mut streams: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for source in &self.sources {
            let subjects = streams.entry(&source.stream).or_default();
            if !subjects.contains(&source.filter.as_str()) {
                subjects.push(&source.filter);
            }
        }
        for (stream, subjects) in streams {
            broker.stream(stream, &subjects).await;
        }
        broker.stream(&self.results(), &[&format!("out.{}.>", self.name)]).await;
    }

    fn results(&self) -> String {
        format!("{}_RESULTS", self.name)
    }

    fn letters(&self) -> String {
        format!("{}.{}.>", DEAD_LETTERS.1, self.name)
    }

    /// Publishes records. Sources are fed at the same time; if the order among them counts, one waits for the other.
    pub async fn feed(&self, broker: &Broker, records: Range<usize>, progress: &Progress) {
        let publish = async |source: usize, records: &[(usize, Vec<u8>)]| {
            let own = records.iter().filter(|(of, _)| *of == source);
            let lines: Vec<&[u8]> = own.map(|(_, line)| &line[..]).collect();
            broker.publish_lines(&self.sources[source].subject, &lines.join(&b'\n')).await;
        };
        if self.partitions.is_none() {
            let records = &self.records[records];
            join_all((0..self.sources.len()).map(|source| publish(source, records))).await;
            return;
        }
        let mut end = records.start;
        for run in self.records[records].chunk_by(|one, next| one.0 == next.0) {
            self.until_committed(end, progress).await;
            publish(run[0].0, run).await;
            end += run.len();
        }
    }

    /// Whether as much has come out as must.
    pub async fn is_complete(&self, broker: &Broker) -> bool {
        broker.count(&self.results()).await >= self.outputs.len() as u64
            && broker.count_on(DEAD_LETTERS.0, &self.letters()).await >= self.letters.len()
    }

    /// Panics unless what has come out is what must, each output and each dead letter once.
    pub async fn assert_exact(&self, broker: &Broker, how: &str) {
        let count = broker.count(&self.results()).await as usize;
        let found = broker.read_records(&self.results(), count).await;
        let found = sorted(found.iter().map(|r| String::from_utf8_lossy(&r.payload).into_owned()));
        assert_same(&self.name, &format!("outputs {how}"), &found, &self.outputs);
        let count = broker.count_on(DEAD_LETTERS.0, &self.letters()).await;
        let found = broker.read_on(DEAD_LETTERS.0, &self.letters(), count).await;
        let found = sorted(found.iter().map(|record| {
            let header = |name: &str| record.headers.get(name).cloned().unwrap_or_default();
            Letter {
                input: header("Millstream-Input"),
                sequence: header("Millstream-Sequence"),
                cause: header("Millstream-Cause"),
                payload: String::from_utf8_lossy(&record.payload).into_owned(),
            }
        }));
        assert_same(&self.name, &format!("dead letters {how}"), &found, &self.letters);
    }
}

/// The last record of a source with event times: its time and its keys.
fn closer(spec: &PipelineSpec, source: usize) -> Vec<u8> {
    let TimeSource::Pointer(time) = &spec.sources[source].event_time else { return Vec::new() };
    let mut record = Value::Object(Map::new());
    set(&mut record, time, json!(CLOSING_MS));
    for input in spec.stages.iter().flat_map(|stage| &stage.inputs) {
        if let (true, KeySource::Pointer(key)) =
            (input.from == InputFrom::Source(source), &input.key)
        {
            set(&mut record, key, json!("closer"));
        }
    }
    format!("{record}\n").into_bytes()
}

/// Sets what a JSON pointer points to, in objects.
fn set(record: &mut Value, pointer: &str, value: Value) {
    let place = pointer.split('/').skip(1).fold(record, |place, name| {
        if !place.is_object() {
            *place = Value::Object(Map::new());
        }
        &mut place[name]
    });
    *place = value;
}

/// The records of all sources, always of the one whose event time is least.
fn in_order_of_event_time(spec: &PipelineSpec, inputs: &[Vec<u8>]) -> Vec<(usize, Vec<u8>)> {
    let mut queues: Vec<_> = inputs
        .iter()
        .map(|lines| lines.split(|b| *b == b'\n').filter(|line| !line.is_empty()).peekable())
        .collect();
    let mut reached = vec![i64::MIN; queues.len()];
    let mut records = Vec::new();
    loop {
        let left = (0..queues.len()).filter(|&source| queues[source].peek().is_some());
        let time = |line: &[u8], pointer: &str| {
            let record: Value = serde_json::from_slice(line).ok()?;
            record.pointer(pointer)?.as_i64()
        };
        let next = left.collect::<Vec<_>>().into_iter().min_by_key(|&source| {
            let line = queues[source].peek().expect("there is one");
            match &spec.sources[source].event_time {
                TimeSource::Pointer(pointer) if spec.sources.len() > 1 => {
                    time(line, pointer).unwrap_or(i64::MIN).max(reached[source])
                }
                _ => i64::MIN,
            }
        });
        let Some(source) = next else { return records };
        let line = queues[source].next().expect("there is one");
        if let TimeSource::Pointer(pointer) = &spec.sources[source].event_time
            && spec.sources.len() > 1
        {
            reached[source] = reached[source].max(time(line, pointer).unwrap_or(i64::MIN));
        }
        records.push((source, line.to_vec()));
    }
}

/// What a pipeline gives over files.
fn over_files(spec: &PipelineSpec, inputs: &[Vec<u8>]) -> (Vec<String>, Vec<Letter>) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (outputs, letters) = (Written::default(), Written::default());
    let options = LocalOptions {
        data: folder.path().to_owned(),
        shared: Shared::new(Budgets::default()),
        threads: 2,
        dead_letters: Some(Box::new(letters.clone())),
    };
    let readers =
        inputs.iter().map(|lines| Box::new(Cursor::new(lines.clone())) as Box<dyn Read + Send>);
    run(spec, readers.collect(), Box::new(outputs.clone()), options)
        .unwrap_or_else(|e| panic!("{}: {e}", spec.name));
    let letters = letters.text();
    let letters = letters.lines().map(|line| {
        let line: Value = serde_json::from_str(line).expect("a dead letter is JSON");
        let letter = &line["letter"];
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        let cause = format!("{}: {}", text(&letter["kind"]), text(&letter["cause"]));
        Letter {
            input: text(&letter["source"]),
            sequence: letter["sequence"].to_string(),
            // As in a header: one line of ASCII.
            cause: cause.escape_default().to_string().replace("\\\"", "\"").replace("\\'", "'"),
            payload: text(&line["payload"]),
        }
    });
    let letters = sorted(letters);
    (sorted(outputs.text().lines().map(str::to_owned)), letters)
}

fn sorted<T: Ord>(items: impl Iterator<Item = T>) -> Vec<T> {
    let mut items: Vec<T> = items.collect();
    items.sort_unstable();
    items
}

/// Panics unless two sorted multisets are equal.
fn assert_same<T: Ord + Clone + std::fmt::Debug>(
    job: &str,
    what: &str,
    found: &[T],
    expected: &[T],
) {
    if found == expected {
        return;
    }
    let without = |these: &[T], those: &[T]| {
        let mut left = BTreeMap::<T, usize>::new();
        those.iter().for_each(|item| *left.entry(item.clone()).or_default() += 1);
        let mut more = these.to_vec();
        more.retain(|item| match left.get_mut(item) {
            Some(count) if *count > 0 => {
                *count -= 1;
                false
            }
            _ => true,
        });
        more
    };
    let (missing, unexpected) = (without(expected, found), without(found, expected));
    panic!(
        "{job}, {what}: {} found, {} expected\n{} missing, such as {:#?}\n{} that should not be there, such as {:#?}",
        found.len(),
        expected.len(),
        missing.len(),
        &missing[..missing.len().min(SHOWN)],
        unexpected.len(),
        &unexpected[..unexpected.len().min(SHOWN)],
    );
}
