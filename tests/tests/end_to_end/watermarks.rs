//! Stages with several inputs of which one is silent or slow: idle sources, also behind another stage, and alignment.

use std::sync::Arc;
use std::time::Duration;

use millstream_core::ids::Incarnation;
use millstream_engine::spec::{
    Delivery, InputFrom, OnError, OnGap, PipelineSpec, SinkSpec, SourceSpec, StageInput, StageSpec,
    Start, WatermarkSpec,
};
use millstream_engine::status::{PartitionStatus, PositionStatus};
use millstream_engine::worker::Worker;
use millstream_sandbox::codec::{KeySource, TimeSource};
use millstream_sandbox::{Limits, Sandbox};
use millstream_state::{Budgets, Shared};
use millstream_tests::broker::Broker;
use millstream_tests::shipped_module;

/// Payments, and how far apart in event time they are, milliseconds.
const PAYMENTS: usize = 20_000;
const APART_MS: usize = 1_000;

/// Payments are joined with settlements, which come directly or through a stage that lets all pass.
fn settled(watermarks: [WatermarkSpec; 2], through_a_stage: bool) -> PipelineSpec {
    let sandbox = Sandbox::new(Limits::default(), None).unwrap();
    let compile = |name: &str| Arc::new(sandbox.compile(&shipped_module(name)).unwrap());
    let source = |name: &str, watermark| SourceSpec {
        name: name.into(),
        stream: name.to_uppercase(),
        subject: None,
        start: Start::Beginning,
        event_time: TimeSource::Pointer("/ts".into()),
        watermark,
        on_gap: OnGap::Stop,
        consumed: false,
    };
    let stage = |name: &str, module: &str, config: &str, partitions, inputs: Vec<InputFrom>| {
        let module = compile(module);
        let input = |(input, from)| StageInput {
            from,
            input,
            key: KeySource::Pointer("/payment_id".into()),
        };
        StageSpec {
            name: name.into(),
            partitions,
            outputs: vec![Vec::new(); module.description().outputs.len()],
            module: module.into(),
            config: config.into(),
            inputs: inputs.into_iter().enumerate().map(input).collect(),
            on_error: OnError::DeadLetter,
            chained: Vec::new(),
        }
    };
    let mut stages = Vec::new();
    let mut settlements = InputFrom::Source(1);
    if through_a_stage {
        stages.push(stage("pass", "filter", r#"{"where":"true"}"#, 2, vec![settlements]));
        settlements = InputFrom::Stage { stage: 0, output: 0 };
    }
    let config = r#"{"within":"30m","before":"2s"}"#;
    let inputs = vec![InputFrom::Source(0), settlements];
    let mut join = stage("join", "payment-settlement", config, 3, inputs);
    join.outputs = vec![vec![0]; join.outputs.len()];
    stages.push(join);
    let [payments, settlements] = watermarks;
    PipelineSpec {
        name: "settled".into(),
        incarnation: Incarnation(1),
        log: None,
        recorded: 0,
        sources: vec![source("payments", payments), source("settlements", settlements)],
        stages,
        sinks: vec![SinkSpec {
            name: "results".into(),
            subject: "results".into(),
            delivery: Delivery::Deduplicated,
        }],
        checkpoint_interval_ms: 10_000,
        checkpoint_store: None,
    }
}

async fn streams() -> Broker {
    let broker = Broker::start().await;
    for stream in ["payments", "settlements", "results"] {
        broker.stream(&stream.to_uppercase(), &[stream]).await;
    }
    broker
}

/// Payments with 5 hours and a half of event time.
fn payments() -> String {
    let payment = |i: usize| {
        format!(
            "{{\"amount\":{i}.25,\"debtor\":\"acme\",\"payment_id\":\"p{i}\",\"ts\":{}}}\n",
            1_700_000_000_000 + i * APART_MS
        )
    };
    (0..PAYMENTS).map(payment).collect()
}

/// Payments whose 30 minutes are over once the last one has come.
fn overdue() -> usize {
    PAYMENTS - 30 * 60 * 1_000 / APART_MS - 1
}

/// The first partition of the stage `join`.
async fn first_of_join(worker: &Worker) -> PartitionStatus {
    let status = worker.status("settled").await.unwrap();
    let join = status.stages.iter().find(|stage| stage.name == "join").unwrap();
    join.partitions[0].clone()
}

fn position<'a>(partition: &'a PartitionStatus, source: &str) -> Option<&'a PositionStatus> {
    partition.positions.iter().find(|position| position.source == source)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_waits_for_an_idle_source_nor_for_a_stage_that_reads_only_such() {
    for through_a_stage in [false, true] {
        let broker = streams().await;
        let idle_after = Some(Duration::from_millis(300));
        let watermarks =
            [WatermarkSpec::default(), WatermarkSpec { idle_after, ..WatermarkSpec::default() }];
        let data = tempfile::tempdir().unwrap();
        let shared = Shared::new(Budgets::default());
        let worker =
            Worker::start(broker.connection().await, data.path(), shared, 1).await.unwrap();
        worker.apply(settled(watermarks, through_a_stage)).await.unwrap();
        broker.publish_lines("payments", payments().as_bytes()).await;
        let found = broker.read("RESULTS", overdue()).await;
        let found = String::from_utf8(found).unwrap();
        assert!(found.lines().all(|line| line.contains(r#""type":"overdue""#)), "{found}");

        // The last commit says so, and who holds the watermark back.
        let silent = if through_a_stage { "pass.output" } else { "settlements" };
        let partition = broker
            .until(async || {
                let partition = first_of_join(&worker).await;
                position(&partition, silent).is_some_and(|p| p.idle).then_some(partition)
            })
            .await;
        assert_eq!(partition.held_back_by.as_deref(), Some("payments"));
        worker.stop("settled", true).await.unwrap();
        assert_eq!(broker.count("RESULTS").await, overdue() as u64);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_aligned_source_waits_for_the_others_and_then_goes_on() {
    for through_a_stage in [false, true] {
        let broker = streams().await;
        broker.publish_lines("payments", payments().as_bytes()).await;
        let aligned = WatermarkSpec { align_within_ms: Some(60_000), ..WatermarkSpec::default() };
        let data = tempfile::tempdir().unwrap();
        let shared = Shared::new(Budgets::default());
        let worker =
            Worker::start(broker.connection().await, data.path(), shared, 1).await.unwrap();
        worker.apply(settled([aligned, WatermarkSpec::default()], through_a_stage)).await.unwrap();
        let ahead = |partition: &PartitionStatus| {
            position(partition, "payments").map_or(0, |payments| payments.position)
        };
        let begun = broker
            .until(async || Some(ahead(&first_of_join(&worker).await)).filter(|p| *p > 0))
            .await;
        assert!(begun < PAYMENTS as u64, "all {begun} were read");
        // Settlements that come to the end of the payments let them go on to it.
        let last = 1_700_000_000_000 + (PAYMENTS - 1) * APART_MS;
        let settlement = |ts: usize| {
            format!(
                "{{\"amount\":1.00,\"payment_id\":\"other\",\"settlement_id\":\"s\",\"ts\":{ts}}}\n"
            )
        };
        broker.publish_lines("settlements", settlement(last - 60_000).as_bytes()).await;
        broker
            .until(async || (ahead(&first_of_join(&worker).await) == PAYMENTS as u64).then_some(()))
            .await;
        let partition = first_of_join(&worker).await;
        let silent = if through_a_stage { "pass.output" } else { "settlements" };
        assert_eq!(partition.held_back_by.as_deref(), Some(silent));
        worker.stop("settled", true).await.unwrap();
    }
}
