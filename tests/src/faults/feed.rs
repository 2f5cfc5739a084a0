//! Publishes the records of a run at a pace, each until it is stored, and notes when; and notes when outputs come.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_nats::HeaderMap;
use async_nats::jetstream::Context;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::follow::Seen;
use super::workload::{Record, SINKS, keys};

/// Pause between two records.
const PACE: Duration = Duration::from_millis(4);
/// Wait before a record that was not acknowledged is published again, under the same message id.
const AGAIN_AFTER: Duration = Duration::from_millis(100);
/// How long an acknowledgement may take.
const ACKNOWLEDGED_WITHIN: Duration = Duration::from_secs(2);

/// The load of a run.
pub struct Feed {
    stop: watch::Sender<bool>,
    task: JoinHandle<u64>,
}

impl Feed {
    /// Begins to publish on `records`.
    pub fn start(jetstream: Context, seed: u64, times: Arc<Times>) -> Self {
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(async move {
            let mut pace = tokio::time::interval(PACE);
            let mut number = 0;
            while !*stopped.borrow() {
                pace.tick().await;
                let record = Record::new(seed, number);
                for copy in 0..record.copies {
                    publish(&jetstream, &format!("{number}-{copy}"), &record.line()).await;
                }
                times.published();
                number += 1;
            }
            number
        });
        Self { stop, task }
    }

    /// Ends it; how many records there are.
    pub async fn end(self) -> anyhow::Result<u64> {
        self.stop.send_replace(true);
        Ok(self.task.await?)
    }
}

async fn publish(jetstream: &Context, id: &str, line: &str) {
    loop {
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Msg-Id", id);
        let stored = async {
            let sent = jetstream.publish_with_headers("records", headers, line.to_owned().into());
            sent.await.ok()?.await.ok()
        };
        if let Ok(Some(_)) = tokio::time::timeout(ACKNOWLEDGED_WITHIN, stored).await {
            return;
        }
        tokio::time::sleep(AGAIN_AFTER).await;
    }
}

/// When records were stored and outputs came.
#[derive(Default)]
pub struct Times(Mutex<Known>);

#[derive(Default)]
struct Known {
    published: Vec<Instant>,
    /// Per sink, and by key, the numbers of the outputs' records, and when they came.
    outputs: [BTreeMap<String, Vec<(u64, Instant)>>; SINKS.len()],
    counts: [u64; SINKS.len()],
}

impl Times {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn published(&self) {
        self.known().published.push(Instant::now());
    }

    /// Outputs seen so far in the sink that has fewer.
    pub fn outputs(&self) -> u64 {
        self.known().counts.into_iter().min().unwrap_or_default()
    }

    /// Notes what was seen in a sink.
    pub fn output(&self, sink: usize, seen: &Seen) {
        let Some(key) = SINKS[sink].key(&seen.subject) else { return };
        let text = String::from_utf8_lossy(&seen.payload);
        let number =
            text.rsplit_once("\"t").and_then(|(_, rest)| rest.split('"').next()?.parse().ok());
        let mut known = self.known();
        known.counts[sink] += 1;
        if let Some(number) = number {
            let outputs = known.outputs[sink].entry(key.to_owned()).or_default();
            outputs.push((number, Instant::now()));
        }
    }

    /// When every key had an output of a record that was published after this moment in every sink; else what has none.
    pub fn recovered(&self, since: Instant) -> Result<Instant, Vec<String>> {
        let known = self.known();
        let first = known.published.partition_point(|at| *at <= since) as u64;
        let mut recovered = since;
        let mut waiting = Vec::new();
        for (sink, known) in SINKS.iter().zip(&known.outputs) {
            for key in keys() {
                let outputs = known.get(&key).map_or(&[][..], Vec::as_slice);
                // What comes again after a fault may be older: the first one that is new counts.
                match outputs.iter().rev().take_while(|(number, _)| *number >= first).last() {
                    Some((_, at)) => recovered = recovered.max(*at),
                    None => waiting.push(format!("{}.{key}", sink.name)),
                }
            }
        }
        if waiting.is_empty() { Ok(recovered) } else { Err(waiting) }
    }
}
