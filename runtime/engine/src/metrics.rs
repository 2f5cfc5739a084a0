//! Figures of all pipelines of a process as Prometheus text.
//!
//! | metric | labels | what |
//! |---|---|---|
//! | `millstream_records_total`, `_outputs_total`, `_dead_letters_total`, `_timers_total`, `_calls_total`, `_fuel_total` | pipeline, stage, partition | since the partition was opened here |
//! | `millstream_commit_number`, `millstream_watermark_ms`, `millstream_partition_running`, `millstream_checkpoint_bytes` | pipeline, stage, partition | as of the last commit |
//! | `millstream_lag` | pipeline, stage, partition, source | sequences still to be scanned |
//! | `millstream_state_cache_bytes`, `_state_memtable_bytes`, `_state_block_cache_bytes` | | memory of keyed state, of the process |
//! | `millstream_udf_counter_total` | pipeline, stage, name | what guests add to their counters |
//! | `millstream_udf_histogram` | pipeline, stage, name | what guests record in their histograms |

use std::collections::BTreeSet;
use std::sync::Arc;

use millstream_state::Shared;
use parking_lot::Mutex;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::status::{Phase, PipelineStatus};

/// A counter of a guest.
pub type GuestCounter = Counter;
/// A histogram of a guest.
pub type GuestHistogram = Histogram;

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct PartitionLabels {
    pipeline: String,
    stage: String,
    partition: u16,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct SourceLabels {
    pipeline: String,
    stage: String,
    partition: u16,
    source: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, PartialOrd, Ord, EncodeLabelSet)]
struct GuestLabels {
    pipeline: String,
    stage: String,
    name: String,
}

type Counters = Family<PartitionLabels, Counter>;
type Gauges = Family<PartitionLabels, Gauge>;

/// What the guests of a process count and measure. Cheap to clone. The name that a guest chooses is a label, so that
/// no choice of it can break the format or another guest's metric.
#[derive(Clone)]
pub struct GuestMetrics {
    counters: Family<GuestLabels, Counter>,
    histograms: Family<GuestLabels, Histogram, fn() -> Histogram>,
    known: Arc<Mutex<BTreeSet<GuestLabels>>>,
}

impl Default for GuestMetrics {
    fn default() -> Self {
        Self {
            counters: Family::default(),
            histograms: Family::new_with_constructor(histogram),
            known: Arc::default(),
        }
    }
}

/// Bounds 1, 2.5 and 5 times each power of ten from 0.001 to 1,000,000: what is measured is the guest's choice.
fn histogram() -> Histogram {
    let powers = (-3..=6).map(|exponent| 10f64.powi(exponent));
    Histogram::new(powers.flat_map(|power| [power, 2.5 * power, 5.0 * power]))
}

impl GuestMetrics {
    /// The counter of this name.
    pub fn counter(&self, pipeline: &str, stage: &str, name: &str) -> GuestCounter {
        self.counters.get_or_create_owned(&self.labels(pipeline, stage, name))
    }

    /// The histogram of this name.
    pub fn histogram(&self, pipeline: &str, stage: &str, name: &str) -> GuestHistogram {
        self.histograms.get_or_create_owned(&self.labels(pipeline, stage, name))
    }

    fn labels(&self, pipeline: &str, stage: &str, name: &str) -> GuestLabels {
        let labels = GuestLabels {
            pipeline: pipeline.to_owned(),
            stage: stage.to_owned(),
            name: name.to_owned(),
        };
        self.known.lock().insert(labels.clone());
        labels
    }

    /// Forgets the metrics of a pipeline that is gone.
    pub fn forget(&self, pipeline: &str) {
        self.known.lock().retain(|labels| {
            let stays = labels.pipeline != pipeline;
            if !stays {
                self.counters.remove(labels);
                self.histograms.remove(labels);
            }
            stays
        });
    }
}

/// The text for these pipelines. Counters begin again when a partition is opened, as Prometheus expects.
pub fn text(
    pipelines: &[(String, PipelineStatus)],
    guests: &GuestMetrics,
    shared: &Shared,
) -> String {
    let mut registry = Registry::with_prefix("millstream");
    partitions(&mut registry, pipelines);
    let memory = [
        ("state_cache_bytes", "Keyed state in the write-back cache", shared.cached_bytes()),
        ("state_memtable_bytes", "Keyed state in memtables", shared.memtable_bytes()),
        ("state_block_cache_bytes", "Blocks of tables in memory", shared.block_cache_bytes()),
    ];
    for (name, help, bytes) in memory {
        let gauge: Gauge = Gauge::default();
        gauge.set(gauged(bytes as u64));
        registry.register(name, help, gauge);
    }
    registry.register("udf_counter", "Counters of the functions", guests.counters.clone());
    registry.register("udf_histogram", "Histograms of the functions", guests.histograms.clone());
    let mut out = String::new();
    // Writing into a String does not fail.
    let _ = encode(&mut out, &registry);
    out
}

fn partitions(registry: &mut Registry, pipelines: &[(String, PipelineStatus)]) {
    let mut counter = |name: &str, help: &str| {
        let family = Counters::default();
        registry.register(name, help, family.clone());
        family
    };
    let records = counter("records", "Records taken from the sources");
    let outputs = counter("outputs", "Outputs emitted");
    let dead_letters = counter("dead_letters", "Records and timers that failed");
    let timers = counter("timers", "Timers fired");
    let calls = counter("calls", "Calls of the function");
    let fuel = counter("fuel", "Fuel that calls used, about one per instruction");
    let mut gauge = |name: &str, help: &str| {
        let family = Gauges::default();
        registry.register(name, help, family.clone());
        family
    };
    let commit = gauge("commit_number", "Number of the last acknowledged commit");
    let watermark = gauge("watermark_ms", "Watermark, milliseconds since 1970 UTC");
    let running = gauge("partition_running", "1 while the partition runs");
    let checkpoint = gauge("checkpoint_bytes", "State in the newest stored checkpoint");
    let lag = Family::<SourceLabels, Gauge>::default();
    registry.register("lag", "Sequences of the source that are still to be scanned", lag.clone());
    for (pipeline, status) in pipelines {
        for stage in &status.stages {
            for p in &stage.partitions {
                let labels = PartitionLabels {
                    pipeline: pipeline.clone(),
                    stage: stage.name.clone(),
                    partition: p.partition,
                };
                records.get_or_create(&labels).inc_by(p.records);
                outputs.get_or_create(&labels).inc_by(p.outputs);
                dead_letters.get_or_create(&labels).inc_by(p.dead_letters);
                timers.get_or_create(&labels).inc_by(p.timers);
                calls.get_or_create(&labels).inc_by(p.calls);
                fuel.get_or_create(&labels).inc_by(p.fuel);
                commit.get_or_create(&labels).set(gauged(p.commit));
                if let Some(at) = p.watermark {
                    watermark.get_or_create(&labels).set(at);
                }
                running.get_or_create(&labels).set(i64::from(p.phase == Phase::Running));
                if let Some(stored) = &p.checkpoint {
                    checkpoint.get_or_create(&labels).set(gauged(stored.size));
                }
                for position in &p.positions {
                    let labels = SourceLabels {
                        pipeline: pipeline.clone(),
                        stage: stage.name.clone(),
                        partition: p.partition,
                        source: position.source.clone(),
                    };
                    lag.get_or_create(&labels).set(gauged(position.lag));
                }
            }
        }
    }
}

fn gauged(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use millstream_state::Budgets;

    use super::*;
    use crate::status::{PartitionStatus, PositionStatus, StageStatus};

    #[test]
    fn the_text_has_counters_gauges_and_the_guests_own_metrics() {
        let position = PositionStatus {
            source: "orders".into(),
            position: 5,
            last: 9,
            lag: 4,
            ..PositionStatus::default()
        };
        let partition = PartitionStatus {
            partition: 3,
            phase: Phase::Running,
            records: 7,
            calls: 2,
            fuel: 90,
            watermark: Some(-5),
            positions: vec![position],
            ..PartitionStatus::default()
        };
        let stage =
            StageStatus { name: "s".into(), partitions: vec![partition], ..Default::default() };
        let status = PipelineStatus { stages: vec![stage], ..PipelineStatus::default() };
        let guests = GuestMetrics::default();
        guests.counter("p", "s", "alerts").inc_by(2);
        guests.counter("p", "s", "alerts").inc_by(3);
        guests.histogram("p", "s", "amount").observe(0.3);
        let shared = Shared::new(Budgets::default());
        let text = text(&[("p".to_owned(), status)], &guests, &shared);
        let place = "pipeline=\"p\",stage=\"s\"";
        for line in [
            format!("millstream_records_total{{{place},partition=\"3\"}} 7"),
            format!("millstream_calls_total{{{place},partition=\"3\"}} 2"),
            format!("millstream_fuel_total{{{place},partition=\"3\"}} 90"),
            format!("millstream_watermark_ms{{{place},partition=\"3\"}} -5"),
            format!("millstream_partition_running{{{place},partition=\"3\"}} 1"),
            format!("millstream_lag{{{place},partition=\"3\",source=\"orders\"}} 4"),
            format!("millstream_udf_counter_total{{{place},name=\"alerts\"}} 5"),
            format!("millstream_udf_histogram_count{{{place},name=\"amount\"}} 1"),
            format!("millstream_udf_histogram_bucket{{le=\"0.25\",{place},name=\"amount\"}} 0"),
            format!("millstream_udf_histogram_bucket{{le=\"0.5\",{place},name=\"amount\"}} 1"),
            "# TYPE millstream_records counter".to_owned(),
            "# TYPE millstream_lag gauge".to_owned(),
            "millstream_state_cache_bytes 0".to_owned(),
        ] {
            assert!(text.lines().any(|found| found == line), "no `{line}` in:\n{text}");
        }
        assert!(text.ends_with("# EOF\n"));
        guests.forget("p");
        assert!(!super::text(&[], &guests, &shared).contains("pipeline="));
    }
}
