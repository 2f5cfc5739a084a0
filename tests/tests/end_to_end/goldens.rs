//! The goldens that a real Apache Flink computed, over files.

use std::io::{Cursor, Write};
use std::sync::{Arc, Mutex};

use millstream_core::ids::Incarnation;
use millstream_engine::local::{LocalOptions, run};
use millstream_engine::spec::{
    OnError, OnGap, PipelineSpec, SinkSpec, SourceSpec, StageInput, StageSpec, Start,
};
use millstream_sandbox::codec::{KeySource, TimeSource};
use millstream_sandbox::{Limits, Sandbox};
use millstream_state::{Budgets, Shared};
use millstream_tests::{golden, shipped_module, sorted_lines};

/// A writer that a test looks into afterwards.
#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

pub fn fraud(bound_ms: i64, partitions: u16) -> PipelineSpec {
    let sandbox = Sandbox::new(Limits::default(), None).unwrap();
    let module = Arc::new(sandbox.compile(&shipped_module("card-fraud")).unwrap());
    PipelineSpec {
        name: "fraud".into(),
        incarnation: Incarnation(1),
        sources: vec![SourceSpec {
            name: "transactions".into(),
            stream: "TRANSACTIONS".into(),
            subject: None,
            start: Start::Beginning,
            event_time: TimeSource::Pointer("/ts".into()),
            watermark_bound_ms: bound_ms,
            on_gap: OnGap::Stop,
        }],
        stages: vec![StageSpec {
            name: "fraud".into(),
            partitions,
            outputs: vec![Some(0); module.description().outputs.len()],
            module,
            config: "{}".into(),
            inputs: vec![StageInput { source: 0, key: KeySource::Pointer("/account_id".into()) }],
            on_error: OnError::DeadLetter,
        }],
        sinks: vec![SinkSpec { name: "results".into(), subject: "fraud".into() }],
        checkpoint_interval_ms: 10_000,
    }
}

fn check(input: &str, expected: &str, bound_ms: i64, partitions: u16, cache_bytes: usize) {
    let folder = tempfile::tempdir().unwrap();
    let output = Sink::default();
    let options = LocalOptions {
        data: folder.path().to_owned(),
        shared: Shared::new(Budgets { cache_bytes, ..Budgets::default() }),
        threads: 2,
        dead_letters: None,
    };
    let stats = run(
        &fraud(bound_ms, partitions),
        Box::new(Cursor::new(golden(input))),
        Box::new(output.clone()),
        options,
    )
    .unwrap();
    assert_eq!(stats.records, 20_000);
    assert_eq!(stats.dead_letters, 0, "{:?}", stats.first_dead_letter);
    let found = output.0.lock().unwrap().clone();
    let expected = golden(expected);
    let (found, expected) = (sorted_lines(&found), sorted_lines(&expected));
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(&expected) {
        assert_eq!(found, expected);
    }
}

#[test]
fn fraud_in_order_equals_flink_at_1_and_8_partitions() {
    check("input_inorder", "fraud", 0, 1, 64 << 20);
    check("input_inorder", "fraud", 0, 8, 64 << 20);
}

#[test]
fn fraud_out_of_order_equals_flink_at_1_and_8_partitions() {
    check("input_disorder", "fraud_disorder", 5_000, 1, 64 << 20);
    check("input_disorder", "fraud_disorder", 5_000, 8, 64 << 20);
}

#[test]
fn fraud_equals_flink_when_state_does_not_fit_the_cache() {
    check("input_disorder", "fraud_disorder", 5_000, 4, 64 << 10);
}
