//! All pipelines of the bank together on a real server: they share streams, and some read what others write.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use futures::{StreamExt, stream};
use millstream_engine::spec::{InputFrom, PipelineSpec, StageSpec};
use millstream_sandbox::Sandbox;

use super::{Bank, Outcome};
use crate::broker::Broker;
use crate::manifest::as_written;
use crate::node::Node;
use crate::workspace;

/// The list that must be known before anything is paid: pipeline, source and stream.
const FIRST: (&str, &str, &str) = ("aml-monitor", "sanctions", "SANCTIONS");
/// The pipeline whose outputs others read, and the stream in which they do.
const CHECKED: (&str, &str) = ("data-integrity", "LEDGER");
/// Streams that are fed at the same time. Each has up to 1,000 publishes that wait, and the client lets no more than 5,000 do.
const FED_AT_ONCE: usize = 4;
/// Stream and first part of the subjects of dead letters.
const DEAD_LETTERS: (&str, &str) = ("MILLSTREAM_DLQ", "millstream.dlq");

/// Feeds a bank to its pipelines on one node, until they have processed everything. Panics if one fails.
pub async fn run(bank: &Bank, sandbox: &Sandbox) -> Outcome {
    let manifests = manifests();
    let pipelines: Vec<PipelineSpec> =
        manifests.iter().map(|manifest| as_written(sandbox, manifest)).collect();
    let names: Vec<String> = pipelines.iter().map(|pipeline| pipeline.name.clone()).collect();
    let broker = Broker::start().await;
    let subjects = make_streams(&broker, &pipelines).await;
    let (pipeline, source, first) = FIRST;
    let readers = readers(&pipelines, pipeline, source);
    let node = Node::start(&broker, 2, pipelines, &Arc::default()).await;

    let publish = async |stream: &str| {
        broker.publish_lines(&subjects[stream], &bank.feeds[stream]).await;
    };
    publish(first).await;
    node.until_read(pipeline, source, readers, bank.records(first) as u64).await;
    let others = bank.feeds.keys().filter(|stream| **stream != first);
    stream::iter(others).for_each_concurrent(FED_AT_ONCE, |stream| publish(stream)).await;
    node.finish(CHECKED.0).await;
    node.stop().await;
    outcome(&broker, &names).await
}

/// How many partitions of a pipeline read a source.
fn readers(pipelines: &[PipelineSpec], pipeline: &str, source: &str) -> usize {
    let spec = pipelines.iter().find(|spec| spec.name == pipeline).expect("there is the pipeline");
    let source = spec.sources.iter().position(|known| known.name == source);
    let source = InputFrom::Source(source.expect("it has the source"));
    let reads = |stage: &&StageSpec| stage.inputs.iter().any(|input| input.from == source);
    spec.stages.iter().filter(reads).map(|stage| usize::from(stage.partitions)).sum()
}

/// The manifests, in the order of their names.
fn manifests() -> Vec<PathBuf> {
    let folder = workspace().join("examples/bank/pipelines");
    let files = std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut files: Vec<PathBuf> = files.map(|file| file.expect("an entry").path()).collect();
    files.sort();
    files
}

/// Makes the streams that are read, and one for what each pipeline writes. Gives the subject of each stream that is fed.
async fn make_streams(broker: &Broker, pipelines: &[PipelineSpec]) -> BTreeMap<String, String> {
    let mut subjects = BTreeMap::new();
    for source in pipelines.iter().flat_map(|pipeline| &pipeline.sources) {
        let filter = source.subject.clone().expect("every source of the bank has a subject");
        let known = subjects.entry(source.stream.clone()).or_insert_with(|| filter.clone());
        assert_eq!(*known, filter, "all read the same of {}", source.stream);
    }
    for (stream, filter) in &subjects {
        broker.stream(stream, &[filter]).await;
    }
    for pipeline in pipelines {
        broker.stream(&results(&pipeline.name), &[&format!("{}.>", pipeline.name)]).await;
    }
    subjects.into_iter().map(|(stream, filter)| (stream, filter.replace('>', "all"))).collect()
}

fn results(pipeline: &str) -> String {
    format!("{pipeline}_RESULTS")
}

/// What has come out.
async fn outcome(broker: &Broker, pipelines: &[String]) -> Outcome {
    let mut outcome = Outcome::default();
    for name in pipelines {
        let mut streams = vec![results(name)];
        if name == CHECKED.0 {
            streams.push(CHECKED.1.to_owned());
        }
        for stream in streams {
            let count = broker.count(&stream).await as usize;
            for record in broker.read_records(&stream, count).await {
                outcome.output(name, &record.payload);
            }
        }
        let letters = format!("{}.{name}.>", DEAD_LETTERS.1);
        let count = broker.count_on(DEAD_LETTERS.0, &letters).await;
        for record in broker.read_on(DEAD_LETTERS.0, &letters, count).await {
            outcome.letter(name, &record.payload);
        }
    }
    outcome
}
