//! From a manifest and its compiled modules to what the engine runs.

use std::collections::BTreeMap;
use std::sync::Arc;

use millstream_core::description::Description;
use millstream_core::ids::Incarnation;
use millstream_engine::spec::{
    self, InputFrom, PipelineSpec, SinkSpec, SourceSpec, StageInput, StageSpec, WatermarkSpec,
};
use millstream_sandbox::Module;
use millstream_sandbox::codec::{KeySource, TimeSource};

use super::document::Document;
use super::model::{EventTime, Key, OnError, OnGap, Source, Start};
use super::units::Duration;
use super::wiring::{Wiring, wire};
use crate::problem::Problems;

/// Checks the manifest against its modules (one per stage) and puts both together.
/// Sources, stages and sinks come out in the order of their names.
///
/// # Errors
/// All mismatches, in the order of the text.
pub fn resolve(
    document: &Document,
    modules: &BTreeMap<String, Arc<Module>>,
    incarnation: Incarnation,
) -> Result<PipelineSpec, Problems> {
    let descriptions: BTreeMap<String, &Description> =
        modules.iter().map(|(stage, module)| (stage.clone(), module.description())).collect();
    let mut wirings = wire(document, &descriptions)?;
    let manifest = &document.manifest;
    let stages = manifest.stages.iter().filter_map(|(name, stage)| {
        // `wire` has refused a stage without a module.
        let (wiring, module) = (wirings.remove(name)?, Arc::clone(modules.get(name)?));
        let Wiring { inputs, outputs } = wiring;
        let declared = &module.description().inputs;
        let broadcast: Vec<bool> = declared.iter().map(|input| input.broadcast).collect();
        Some(StageSpec {
            name: name.clone(),
            partitions: stage.partitions,
            module,
            config: stage.config.to_string(),
            inputs: inputs
                .into_iter()
                .filter_map(|feed| {
                    let from = match feed.from.split_once('.') {
                        None => InputFrom::Source(index_of(&manifest.sources, &feed.from)?),
                        Some((stage, output)) => InputFrom::Stage {
                            stage: index_of(&manifest.stages, stage)?,
                            output: output_of(descriptions.get(stage)?, output)?,
                        },
                    };
                    let every = broadcast.get(feed.input).is_some_and(|broadcast| *broadcast);
                    let key = if every { KeySource::Every } else { key_source(feed.key) };
                    Some(StageInput { from, input: feed.input, key })
                })
                .collect(),
            outputs: outputs
                .into_iter()
                .map(|sinks| {
                    sinks.iter().filter_map(|sink| index_of(&manifest.sinks, sink)).collect()
                })
                .collect(),
            on_error: match stage.on_error {
                OnError::DeadLetter => spec::OnError::DeadLetter,
                OnError::Stop => spec::OnError::Stop,
            },
        })
    });
    Ok(PipelineSpec {
        name: manifest.name.clone(),
        incarnation,
        stages: stages.collect(),
        sources: manifest.sources.iter().map(|(name, source)| source_spec(name, source)).collect(),
        sinks: manifest
            .sinks
            .iter()
            .map(|(name, sink)| SinkSpec { name: name.clone(), subject: sink.subject.clone() })
            .collect(),
        checkpoint_interval_ms: manifest.checkpoint_interval.ms,
        checkpoint_store: manifest.checkpoints.store.clone(),
    })
}

fn index_of<T>(section: &BTreeMap<String, T>, name: &str) -> Option<usize> {
    section.keys().position(|key| key == name)
}

fn output_of(description: &Description, name: &str) -> Option<u8> {
    let index = description.outputs.iter().position(|output| output.name == name)?;
    u8::try_from(index).ok()
}

fn source_spec(name: &str, source: &Source) -> SourceSpec {
    SourceSpec {
        name: name.to_owned(),
        stream: source.stream.clone(),
        subject: source.subject.clone(),
        start: match source.start {
            Start::Beginning => spec::Start::Beginning,
            Start::New => spec::Start::New,
            Start::Sequence(sequence) => spec::Start::Sequence(sequence),
            Start::Time(time) => spec::Start::Time(time.ms),
        },
        event_time: match &source.event_time {
            EventTime::Broker => TimeSource::Broker,
            EventTime::Pointer(pointer) => TimeSource::Pointer(pointer.clone()),
            EventTime::Header(name) => TimeSource::Header(name.clone()),
        },
        watermark: WatermarkSpec {
            bound_ms: signed(source.watermark.bound),
            idle_after: source.watermark.idle_after.map(|d| std::time::Duration::from_millis(d.ms)),
            align_within_ms: source.watermark.align_within.map(signed),
        },
        on_gap: match source.on_gap {
            OnGap::Stop => spec::OnGap::Stop,
            OnGap::Skip => spec::OnGap::Skip,
        },
    }
}

/// Milliseconds; the manifest's limit is far below.
fn signed(duration: Duration) -> i64 {
    i64::try_from(duration.ms).unwrap_or(i64::MAX)
}

fn key_source(key: Key) -> KeySource {
    match key {
        Key::Pointer(pointer) => KeySource::Pointer(pointer),
        Key::Header(name) => KeySource::Header(name),
        // Users count from 1 as the server's subject mappings do.
        Key::SubjectToken(number) => KeySource::SubjectToken(usize::from(number) - 1),
        Key::None => KeySource::None,
    }
}
