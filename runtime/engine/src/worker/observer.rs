//! Where what the guests of a stage say goes: log lines to those who listen and into the ring of the last ones,
//! counters and histograms into the metrics.

use std::collections::HashMap;
use std::sync::Arc;

use millstream_sandbox::{GuestObserver, LogLevel};
use tokio::sync::mpsc;

use crate::logs::GuestLogs;
use crate::metrics::{GuestCounter, GuestHistogram, GuestMetrics};

/// First part of the subjects of log lines; the pipeline follows.
const SUBJECT_PREFIX: &str = "millstream.logs";
/// Lines that wait to be sent; further ones are only kept in the ring.
const WAITING_MAX: usize = 1_024;

/// Where all guests of a process speak to. Cheap to clone.
#[derive(Clone)]
pub struct Guests {
    pub logs: Arc<GuestLogs>,
    pub metrics: GuestMetrics,
    /// Subject and JSON of a line.
    lines: mpsc::Sender<(String, String)>,
}

impl Guests {
    /// Sends lines over `client` from now on, in their order.
    pub fn start(client: async_nats::Client) -> Self {
        let (lines, mut waiting) = mpsc::channel::<(String, String)>(WAITING_MAX);
        tokio::spawn(async move {
            while let Some((subject, line)) = waiting.recv().await {
                // Logs are not part of the result.
                let _ = client.publish(subject, line.into()).await;
            }
        });
        Self { logs: Arc::default(), metrics: GuestMetrics::default(), lines }
    }

    /// For an instance of a stage's module.
    pub fn observer(&self, pipeline: &str, stage: &str) -> Box<dyn GuestObserver> {
        Box::new(StageObserver {
            guests: self.clone(),
            pipeline: pipeline.to_owned(),
            stage: stage.to_owned(),
            counters: HashMap::new(),
            histograms: HashMap::new(),
        })
    }

    /// Forgets a pipeline that is gone.
    pub fn forget(&self, pipeline: &str) {
        self.logs.forget(pipeline);
        self.metrics.forget(pipeline);
    }
}

struct StageObserver {
    guests: Guests,
    pipeline: String,
    stage: String,
    /// Those that this instance has used: found without the lock that all instances share.
    counters: HashMap<Box<str>, GuestCounter>,
    histograms: HashMap<Box<str>, GuestHistogram>,
}

impl GuestObserver for StageObserver {
    fn log(&mut self, level: LogLevel, message: &str) {
        let level = match level {
            LogLevel::Debug => "debug",
            LogLevel::Info => "info",
            LogLevel::Warn => "warn",
            LogLevel::Error => "error",
        };
        let line = self.guests.logs.push(&self.pipeline, &self.stage, level, message);
        // Plain texts and numbers serialise.
        let Ok(json) = serde_json::to_string(&line) else { return };
        // The ring has it in any case.
        let _ = self.guests.lines.try_send((format!("{SUBJECT_PREFIX}.{}", self.pipeline), json));
    }

    fn log_dropped(&mut self, messages: u64) {
        tracing::warn!(pipeline = %self.pipeline, stage = %self.stage, messages, "guest log lines over the limit were dropped");
    }

    fn counter_add(&mut self, name: &str, delta: u64) {
        if let Some(counter) = self.counters.get(name) {
            counter.inc_by(delta);
            return;
        }
        let counter = self.guests.metrics.counter(&self.pipeline, &self.stage, name);
        counter.inc_by(delta);
        self.counters.insert(name.into(), counter);
    }

    fn histogram_record(&mut self, name: &str, value: f64) {
        if let Some(histogram) = self.histograms.get(name) {
            histogram.observe(value);
            return;
        }
        let histogram = self.guests.metrics.histogram(&self.pipeline, &self.stage, name);
        histogram.observe(value);
        self.histograms.insert(name.into(), histogram);
    }
}
