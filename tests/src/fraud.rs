//! The fraud job of the goldens as the engine runs it, and other modules on its streams.

use std::sync::Arc;

use millstream_core::ids::Incarnation;
use millstream_engine::spec::{
    Delivery, InputFrom, OnError, OnGap, PipelineSpec, SinkSpec, SourceSpec, StageInput, StageSpec,
    Start, WatermarkSpec,
};
use millstream_sandbox::codec::{KeySource, TimeSource};
use millstream_sandbox::{Limits, Sandbox};

use crate::shipped_module;

/// The source of the job.
pub const SOURCE: &str = "transactions";

/// The pipeline `fraud`: stream `TRANSACTIONS` to subject `fraud`.
pub fn fraud(bound_ms: i64, partitions: u16) -> PipelineSpec {
    on_fraud_streams("fraud", "card-fraud", "{}", bound_ms, partitions)
}

/// The same with a transactional sink, whose stream `RESULTS` it makes.
pub fn transactional(bound_ms: i64, partitions: u16) -> PipelineSpec {
    let mut spec = fraud(bound_ms, partitions);
    spec.sinks[0].delivery = Delivery::Transactional { stream: "RESULTS".into() };
    spec
}

/// A pipeline of the fraud job's streams with another shipped module and its configuration (JSON).
pub fn on_fraud_streams(
    name: &str,
    module: &str,
    config: &str,
    bound_ms: i64,
    partitions: u16,
) -> PipelineSpec {
    let sandbox = Sandbox::new(Limits::default(), None).unwrap();
    let module = Arc::new(sandbox.compile(&shipped_module(module)).unwrap());
    PipelineSpec {
        name: name.into(),
        incarnation: Incarnation(1),
        log: None,
        recorded: 0,
        sources: vec![SourceSpec {
            name: SOURCE.into(),
            stream: "TRANSACTIONS".into(),
            subject: None,
            start: Start::Beginning,
            event_time: TimeSource::Pointer("/ts".into()),
            watermark: WatermarkSpec { bound_ms, ..WatermarkSpec::default() },
            on_gap: OnGap::Stop,
            consumed: false,
        }],
        stages: vec![StageSpec {
            name: name.into(),
            partitions,
            outputs: vec![vec![0]; module.description().outputs.len()],
            module: module.into(),
            config: config.into(),
            inputs: vec![StageInput {
                from: InputFrom::Source(0),
                input: 0,
                key: KeySource::Pointer("/account_id".into()),
            }],
            on_error: OnError::DeadLetter,
            chained: Vec::new(),
        }],
        sinks: vec![SinkSpec {
            name: "results".into(),
            subject: "fraud".into(),
            delivery: Delivery::Deduplicated,
        }],
        checkpoint_interval_ms: 10_000,
        checkpoint_store: None,
    }
}
