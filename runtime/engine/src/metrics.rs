//! Figures of all pipelines as Prometheus text.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::status::{Phase, PipelineStatus};

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Labels {
    pipeline: String,
    stage: String,
    partition: u16,
}

type Figures = Family<Labels, Gauge>;

/// The text for these pipelines. Totals restart with the process, as Prometheus expects.
pub fn text(pipelines: &[(String, PipelineStatus)]) -> String {
    let mut registry = Registry::with_prefix("millstream");
    let mut figure = |name: &str, help: &str| {
        let family = Figures::default();
        registry.register(name, help, family.clone());
        family
    };
    let records = figure("records", "Records taken from the sources");
    let outputs = figure("outputs", "Outputs emitted");
    let dead_letters = figure("dead_letters", "Records and timers that failed");
    let commit = figure("commit_number", "Number of the last acknowledged commit");
    let watermark = figure("watermark_ms", "Watermark, milliseconds since 1970 UTC");
    let running = figure("partition_running", "1 while the partition runs");
    for (pipeline, status) in pipelines {
        for stage in &status.stages {
            for p in &stage.partitions {
                let labels = Labels {
                    pipeline: pipeline.clone(),
                    stage: stage.name.clone(),
                    partition: p.partition,
                };
                records.get_or_create(&labels).set(p.records as i64);
                outputs.get_or_create(&labels).set(p.outputs as i64);
                dead_letters.get_or_create(&labels).set(p.dead_letters as i64);
                commit.get_or_create(&labels).set(p.commit as i64);
                if let Some(at) = p.watermark {
                    watermark.get_or_create(&labels).set(at);
                }
                running.get_or_create(&labels).set(i64::from(p.phase == Phase::Running));
            }
        }
    }
    let mut out = String::new();
    // Writing into a String does not fail.
    let _ = encode(&mut out, &registry);
    out
}
