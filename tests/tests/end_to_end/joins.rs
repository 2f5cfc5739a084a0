//! Joins over files: the examples with two sources, one of them with a broadcast input, at several numbers of partitions.

use std::io::{Cursor, Read};
use std::sync::Arc;

use millstream_core::ids::Incarnation;
use millstream_engine::local::{LocalOptions, run};
use millstream_engine::spec::{
    Delivery, InputFrom, OnError, OnGap, PipelineSpec, SinkSpec, SourceSpec, StageInput, StageSpec,
    Start, WatermarkSpec,
};
use millstream_sandbox::codec::{KeySource, TimeSource};
use millstream_sandbox::{Limits, Sandbox};
use millstream_state::{Budgets, Shared};
use millstream_tests::files::Written;
use millstream_tests::{shipped_module, sorted_lines, workspace};

/// A file of an example.
fn example(name: &str, file: &str) -> Vec<u8> {
    std::fs::read(workspace().join("examples").join(name).join(file)).unwrap()
}

/// A pipeline of one stage with two sources, as the example's manifest has it.
fn pipeline(
    module: &str,
    config: &str,
    partitions: u16,
    bound_ms: i64,
    inputs: [(&str, KeySource); 2],
) -> PipelineSpec {
    let sandbox = Sandbox::new(Limits::default(), None).unwrap();
    let module = Arc::new(sandbox.compile(&shipped_module(module)).unwrap());
    let source = |name: &str| SourceSpec {
        name: name.into(),
        stream: name.to_uppercase(),
        subject: None,
        start: Start::Beginning,
        event_time: TimeSource::Pointer("/ts".into()),
        watermark: WatermarkSpec { bound_ms, ..WatermarkSpec::default() },
        on_gap: OnGap::Stop,
        consumed: false,
    };
    let input =
        |input: usize, key: KeySource| StageInput { from: InputFrom::Source(input), input, key };
    let declared: Vec<&str> =
        module.description().inputs.iter().map(|input| &input.name[..]).collect();
    assert_eq!(declared, [inputs[0].0, inputs[1].0]);
    PipelineSpec {
        name: "joins".into(),
        incarnation: Incarnation(1),
        log: None,
        recorded: 0,
        sources: inputs.iter().map(|(name, _)| source(name)).collect(),
        stages: vec![StageSpec {
            name: "join".into(),
            partitions,
            outputs: vec![vec![0]; module.description().outputs.len()],
            module: module.into(),
            config: config.into(),
            inputs: inputs.into_iter().enumerate().map(|(i, (_, key))| input(i, key)).collect(),
            on_error: OnError::DeadLetter,
            chained: Vec::new(),
        }],
        sinks: vec![SinkSpec {
            name: "results".into(),
            subject: "joined".into(),
            delivery: Delivery::Deduplicated,
        }],
        checkpoint_interval_ms: 10_000,
        checkpoint_store: None,
    }
}

/// Runs the pipeline: sorted outputs, and how many dead letters there are.
fn over_files(spec: &PipelineSpec, inputs: [Vec<u8>; 2], cache_bytes: usize) -> (Vec<String>, u64) {
    let folder = tempfile::tempdir().unwrap();
    let output = Written::default();
    let options = LocalOptions {
        data: folder.path().to_owned(),
        shared: Shared::new(Budgets { cache_bytes, ..Budgets::default() }),
        threads: 2,
        dead_letters: Some(Box::new(std::io::sink())),
    };
    let inputs = inputs.map(|input| Box::new(Cursor::new(input)) as Box<dyn Read + Send>);
    let stats = run(spec, inputs.into(), Box::new(output.clone()), options).unwrap();
    (
        sorted_lines(output.text().as_bytes()).into_iter().map(Into::into).collect(),
        stats.dead_letters,
    )
}

fn expected(name: &str) -> Vec<String> {
    sorted_lines(&example(name, "expected.ndjson")).into_iter().map(Into::into).collect()
}

#[test]
fn payments_are_settled_at_any_number_of_partitions() {
    let config = r#"{"within":"30m","before":"2s"}"#;
    let key = || KeySource::Pointer("/payment_id".into());
    for (partitions, cache_bytes) in [(1, 64 << 20), (3, 16 << 10), (8, 64 << 20)] {
        let inputs = [("payments", key()), ("settlements", key())];
        let spec = pipeline("payment-settlement", config, partitions, 5_000, inputs);
        let files = ["payments.ndjson", "settlements.ndjson"]
            .map(|file| example("payment-settlement", file));
        assert_eq!(over_files(&spec, files, cache_bytes), (expected("payment-settlement"), 0));
    }
}

/// The pipeline of the example `live-rules`.
fn live_rules(partitions: u16) -> PipelineSpec {
    let inputs =
        [("payments", KeySource::Pointer("/account_id".into())), ("rules", KeySource::Every)];
    pipeline("live-rules", "{}", partitions, 2_000, inputs)
}

#[test]
fn rules_reach_every_partition_and_count_once() {
    for (partitions, cache_bytes) in [(1, 64 << 20), (3, 16 << 10), (8, 64 << 20)] {
        let files = ["payments.ndjson", "rules.ndjson"].map(|file| example("live-rules", file));
        let found = over_files(&live_rules(partitions), files, cache_bytes);
        assert_eq!(found, (expected("live-rules"), 0), "{partitions} partitions");
    }
}

#[test]
fn a_broadcast_record_that_fails_is_one_dead_letter() {
    for partitions in [1, 5] {
        let [payments, mut rules] =
            ["payments.ndjson", "rules.ndjson"].map(|file| example("live-rules", file));
        // One that the function refuses, and one that has not the declared fields.
        rules.extend(br#"{"rule_id":"r","ts":1700000001000,"rule":{"count":1000}}"#);
        rules.extend(b"\n{\"ts\":1700000001000}\n");
        let found = over_files(&live_rules(partitions), [payments, rules], 64 << 20);
        assert_eq!(found, (expected("live-rules"), 2), "{partitions} partitions");
    }
}

#[test]
fn a_sanctions_list_changes_between_the_transactions() {
    let config = r#"{"currency":"USD","sanctions":{"list":[{"id":"EX-003","name":"Banco Comercial del Istmo"}]}}"#;
    let key = || KeySource::Pointer("/account_id".into());
    for partitions in [1, 3, 8] {
        let inputs = [("sanctions", KeySource::Every), ("transactions", key())];
        let spec = pipeline("aml-monitor", config, partitions, 60_000, inputs);
        let files =
            ["sanctions.ndjson", "transactions.ndjson"].map(|file| example("aml-monitor", file));
        // One transaction is in another currency.
        let found = over_files(&spec, files, 64 << 20);
        assert_eq!(found, (expected("aml-monitor"), 1), "{partitions} partitions");
    }
}
