//! Starts the operator of a stage's partition.

use std::sync::Arc;

use millstream_core::description::Description;
use millstream_core::exchange::Ordering;
use millstream_core::udf::{Fault, Udf};
use millstream_sandbox::codec::{Decoder, TimeSource};
use millstream_sandbox::{GuestObserver, Instance};

use crate::chain::Chain;
use crate::error::EngineError;
use crate::executor::{ExecutorOptions, Feeding, OperatorSource};
use crate::ingest::PassOn;
use crate::input::BOUND_OF_WATERMARKS_MS;
use crate::spec::{InputFrom, PipelineSpec, StageInput, StageModule, StageSpec};

/// Who hears what the UDF of a stage of this name says.
pub type Observers<'a> = &'a dyn Fn(&str) -> Box<dyn GuestObserver>;

/// Running instances of the stage's modules as one UDF.
fn start_udf(
    stage: &StageSpec,
    observers: Observers<'_>,
) -> Result<Box<dyn Udf + Send>, EngineError> {
    let own = [(&stage.name, &stage.module, &stage.config)];
    let links = stage.chained.iter().map(|link| (&link.name, &link.module, &link.config));
    let start = |(name, module, config): (&String, &StageModule, &String)| {
        let module = match module {
            StageModule::Guest(module) => module,
            StageModule::Ingest(_) => return Ok(Box::new(PassOn) as Box<dyn Udf + Send>),
        };
        let mut instance = Instance::new(module, config, observers(name));
        instance.start().map_err(|fault| {
            let (Fault::Trapped { message }
            | Fault::Host { message }
            | Fault::Failed { message, .. }) = fault;
            EngineError::Start { stage: name.clone(), cause: message }
        })?;
        Ok(Box::new(instance) as Box<dyn Udf + Send>)
    };
    let mut udfs =
        own.into_iter().chain(links).map(start).collect::<Result<Vec<_>, EngineError>>()?;
    if udfs.len() == 1 {
        return Ok(udfs.remove(0));
    }
    let chain = Chain::new(stage, udfs).map_err(|error| EngineError::Pointer {
        input: stage.name.clone(),
        cause: error.to_string(),
    })?;
    Ok(Box::new(chain))
}

/// SHA-256 of the stage's module, hexadecimal.
pub fn digest_hex(stage: &StageSpec) -> String {
    stage.module.digest().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The stage's description, shared.
pub fn description(stage: &StageSpec) -> Arc<Description> {
    Arc::new(stage.description())
}

/// What the operator of a partition is made from: a new instance of the UDF, the stage's inputs as sources.
pub fn executor_options(
    spec: &PipelineSpec,
    stage_index: usize,
    partition: u16,
    observers: Observers<'_>,
) -> Result<ExecutorOptions, EngineError> {
    let stage = &spec.stages[stage_index];
    let wanted = |output: usize| {
        !stage.outputs[output].is_empty() || spec.is_read(stage_index, output as u8)
    };
    Ok(ExecutorOptions {
        udf: start_udf(stage, observers)?,
        description: description(stage),
        module: digest_hex(stage),
        wanted: (0..stage.outputs.len()).map(wanted).collect(),
        on_error: stage.on_error,
        sources: stage.inputs.iter().map(|input| operator_source(spec, input)).collect(),
        keep_delta: true,
        first: partition == 0,
        feeding: spec.feeds_stages(stage_index).then(|| Feeding {
            ordering: spec.ordering(stage_index),
            tells_advances: partition == 0 && spec.ordering(stage_index) == Ordering::Sequence,
        }),
    })
}

fn operator_source(spec: &PipelineSpec, input: &StageInput) -> OperatorSource {
    let (bound_ms, upstream) = match input.from {
        InputFrom::Source(source) => (spec.sources[source].watermark.bound_ms, None),
        InputFrom::Stage { stage, .. } => {
            (BOUND_OF_WATERMARKS_MS, Some(spec.stages[stage].partitions))
        }
    };
    OperatorSource { name: spec.input_name(input), bound_ms, timed: true, upstream }
}

/// What decodes the records of a stage's input.
pub fn decoder(
    spec: &PipelineSpec,
    stage: &StageSpec,
    input: &StageInput,
) -> Result<Decoder, EngineError> {
    let fields = &stage.module.description().inputs[input.input].fields;
    let event_time = match input.from {
        InputFrom::Source(source) => spec.sources[source].event_time.clone(),
        // Another stage's outputs have the time of what caused them, and the router passes it so.
        InputFrom::Stage { .. } => TimeSource::Broker,
    };
    Decoder::new(fields, input.key.clone(), event_time).map_err(|error| EngineError::Pointer {
        input: spec.input_name(input),
        cause: error.to_string(),
    })
}
