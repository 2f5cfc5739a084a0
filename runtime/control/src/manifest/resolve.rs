//! From a manifest and its compiled modules to what the engine runs.

use std::collections::BTreeMap;
use std::sync::Arc;

use millstream_core::description::Description;
use millstream_core::ids::{Incarnation, Sequence};
use millstream_engine::spec::{
    self, ChainedSpec, InputFrom, PipelineSpec, SinkSpec, SourceSpec, StageInput, StageSpec,
    WatermarkSpec,
};
use millstream_sandbox::Module;
use millstream_sandbox::codec::{KeySource, TimeSource};

use super::document::Document;
use super::model::{Delivery, EventTime, Key, Manifest, OnError, OnGap, Sink, Source, Start};
use super::units::Duration;
use super::wiring::{Wiring, wire};
use crate::errors;
use crate::problem::Problems;

/// Declared outputs of a stage and those chained behind it: a commit numbers them with a byte.
const CHAIN_OUTPUTS_MAX: usize = 250;

/// Checks the manifest against its modules (one per stage) and puts both together.
/// Sources, stages and sinks come out in the order of their names. Where sources begin that start with `new` or at a time is
/// still to be set ([`crate::starts::set`]): only the stream knows.
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
    let heads: Vec<&str> = manifest
        .stages
        .keys()
        .map(String::as_str)
        .filter(|name| manifest.chained_behind(name).is_none())
        .collect();
    // An output of a stage by its place among those of the stages that run in the same partitions.
    let output_of = |stage: &str, output: &str| {
        let head = manifest.head_of(stage);
        let chain = chain(manifest, head);
        let before = chain.iter().take_while(|name| **name != stage);
        let declared = |name: &&str| descriptions.get(*name).map_or(0, |d| d.outputs.len());
        let place = before.map(declared).sum::<usize>()
            + usize::from(index_of_output(descriptions.get(stage)?, output)?);
        let stage = heads.iter().position(|name| *name == head)?;
        Some(InputFrom::Stage { stage, output: u8::try_from(place).ok()? })
    };
    let stages = heads.iter().filter_map(|name| {
        let stage = manifest.stages.get(*name)?;
        // `wire` has refused a stage without a module.
        let (wiring, module) = (wirings.remove(*name)?, Arc::clone(modules.get(*name)?));
        let Wiring { inputs, mut outputs } = wiring;
        let chain = chain(manifest, name);
        let mut chained = Vec::new();
        for link in chain.iter().skip(1) {
            let (before, output) = manifest.chained_behind(link)?;
            outputs.extend(wirings.remove(*link)?.outputs);
            chained.push(ChainedSpec {
                name: (*link).to_owned(),
                module: Arc::clone(modules.get(*link)?).into(),
                config: manifest.stages.get(*link)?.config.to_string(),
                from: (
                    chain.iter().position(|name| *name == before)?,
                    index_of_output(descriptions.get(before)?, output)?,
                ),
            });
        }
        let declared = &module.description().inputs;
        let broadcast: Vec<bool> = declared.iter().map(|input| input.broadcast).collect();
        Some(StageSpec {
            name: (*name).to_owned(),
            partitions: stage.partitions,
            module: module.into(),
            config: stage.config.to_string(),
            inputs: inputs
                .into_iter()
                .filter_map(|feed| {
                    let from = match feed.from.split_once('.') {
                        None => InputFrom::Source(index_of(&manifest.sources, &feed.from)?),
                        Some((stage, output)) => output_of(stage, output)?,
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
            chained,
        })
    });
    let stages: Vec<StageSpec> = stages.collect();
    if let Some(stage) = stages.iter().find(|stage| stage.outputs.len() > CHAIN_OUTPUTS_MAX) {
        let message = format!(
            "it and the stages chained behind it declare {} outputs, at most {CHAIN_OUTPUTS_MAX} are possible",
            stage.outputs.len()
        );
        let help = "give one of them another key than `same`".to_owned();
        let field = format!("stages.{}", stage.name);
        Problems::refuse(vec![document.problem(errors::NOT_CHAINED, &field, message, help)])?;
    }
    Ok(PipelineSpec {
        name: manifest.name.clone(),
        incarnation,
        stages,
        log: None,
        recorded: 0,
        sources: manifest.sources.iter().map(|(name, source)| source_spec(name, source)).collect(),
        sinks: manifest.sinks.iter().map(|(name, sink)| sink_spec(name, sink)).collect(),
        checkpoint_interval_ms: manifest.checkpoint_interval.ms,
        checkpoint_store: manifest.checkpoints.store.clone(),
    })
}

fn sink_spec(name: &str, sink: &Sink) -> SinkSpec {
    // Parsing has seen to it that one comes with the other.
    let delivery = match (&sink.delivery, &sink.stream) {
        (Delivery::Transactional, Some(stream)) => {
            spec::Delivery::Transactional { stream: stream.clone() }
        }
        _ => spec::Delivery::Deduplicated,
    };
    SinkSpec { name: name.to_owned(), subject: sink.subject.clone(), delivery }
}

fn index_of<T>(section: &BTreeMap<String, T>, name: &str) -> Option<usize> {
    section.keys().position(|key| key == name)
}

/// The stages that run in the partitions of `head`: itself, then those chained behind it, each after the one that feeds it,
/// otherwise in the order of their names.
pub(super) fn chain<'a>(manifest: &'a Manifest, head: &'a str) -> Vec<&'a str> {
    let mut chain = vec![head];
    loop {
        let next = manifest.stages.keys().map(String::as_str).find(|name| {
            let behind = manifest.chained_behind(name);
            !chain.contains(name) && behind.is_some_and(|(before, _)| chain.contains(&before))
        });
        match next {
            Some(name) => chain.push(name),
            None => return chain,
        }
    }
}

fn index_of_output(description: &Description, name: &str) -> Option<u8> {
    let index = description.outputs.iter().position(|output| output.name == name)?;
    u8::try_from(index).ok()
}

fn source_spec(name: &str, source: &Source) -> SourceSpec {
    SourceSpec {
        name: name.to_owned(),
        stream: source.stream.clone(),
        subject: source.subject.clone(),
        start: match source.start {
            Start::Sequence(sequence) => spec::Start::Behind {
                sequence: Sequence(sequence.saturating_sub(1)),
                stream_created_ns: 0,
            },
            Start::Beginning | Start::New | Start::Time(_) => spec::Start::Beginning,
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
        consumed: false,
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
        // A stage with the same keys is chained: its records are not routed.
        Key::None | Key::Same => KeySource::None,
    }
}
