//! Golden jobs through a real JetStream: the streams, the worker, the closing record, and checks of what comes out.

use std::path::Path;

use millstream_engine::spec::PipelineSpec;
use millstream_engine::status::Phase;
use millstream_engine::worker::Worker;
use millstream_state::{Budgets, Shared};

use crate::broker::Broker;
use crate::{golden, sorted_lines};

/// A record far behind all others, so that everything pending fires as at the end of a file.
pub const CLOSER: &str = r#"{"txn_id":"closer","account_id":"closer","customer_id":"c","amount":10.00,"currency":"EUR","merchant_category":"x","country":"DE","ts":1800000000000}"#;

/// What the closer itself gives in the fraud job.
pub const CLOSER_SCORE: &str = r#"{"account_id":"closer","dt":-1,"n":1,"score":0.0,"ts":1800000000000,"txn_id":"closer","type":"score"}"#;

/// The input of a job and all that it has to give.
pub struct GoldenJob {
    /// Records, one a line, the closer last.
    pub records: Vec<u8>,
    /// Outputs, one a line, in any order.
    pub expected: Vec<u8>,
}

impl GoldenJob {
    /// A job in which the closer itself gives nothing, because nothing comes behind it.
    pub fn new(input: &str, expected: &str) -> Self {
        let mut records = golden(input);
        records.extend_from_slice(CLOSER.as_bytes());
        Self { records, expected: golden(expected) }
    }

    /// A fraud job.
    pub fn fraud(input: &str, expected: &str) -> Self {
        let mut job = Self::new(input, expected);
        job.expected.extend_from_slice(CLOSER_SCORE.as_bytes());
        job
    }

    /// The records in two halves, cut between lines.
    pub fn halves(&self) -> (&[u8], &[u8]) {
        let middle = self.records.len() / 2;
        let end = self.records[middle..].iter().position(|b| *b == b'\n').expect("many lines");
        self.records.split_at(middle + end + 1)
    }

    /// The records in as many parts, cut between lines.
    pub fn parts(&self, count: usize) -> Vec<Vec<u8>> {
        let lines: Vec<&[u8]> = self.records.split_inclusive(|b| *b == b'\n').collect();
        lines.chunks(lines.len().div_ceil(count)).map(<[&[u8]]>::concat).collect()
    }

    /// Outputs in all.
    pub fn outputs(&self) -> usize {
        sorted_lines(&self.expected).len()
    }

    /// Waits for all outputs and checks that each is there once.
    pub async fn is_exact(&self, broker: &Broker) {
        let expected = sorted_lines(&self.expected);
        let found = broker.read("RESULTS", expected.len()).await;
        assert_eq!(sorted_lines(&found), expected);
        let count = broker.count("RESULTS").await;
        assert_eq!(count, expected.len() as u64, "each output is there once");
    }

    /// Runs the whole job in one worker.
    pub async fn check(&self, spec: PipelineSpec) {
        let broker = broker().await;
        broker.publish_lines("tx", &self.records).await;
        let data = tempfile::tempdir().unwrap();
        let worker = worker(&broker, data.path()).await;
        let name = spec.name.clone();
        worker.apply(spec).await.unwrap();
        broker.read("RESULTS", self.outputs()).await;
        assert_eq!(worker.status(&name).await.unwrap().phase, Phase::Running);
        worker.stop(&name, true).await.unwrap();
        self.is_exact(&broker).await;
    }

    /// Runs the first half in one worker, which ends after so many outputs, and the rest in another with an empty folder.
    /// What is open comes out of a checkpoint, or with `checkpoint: false` out of the log alone.
    pub async fn check_restored(&self, spec: PipelineSpec, outputs: usize, checkpoint: bool) {
        let broker = broker().await;
        let (first_half, rest) = self.halves();
        let name = spec.name.clone();
        broker.publish_lines("tx", first_half).await;
        let first = tempfile::tempdir().unwrap();
        let one = worker(&broker, first.path()).await;
        one.apply(spec.clone()).await.unwrap();
        broker.read("RESULTS", outputs).await;
        if checkpoint {
            let stored = one.checkpoint(&name).await.unwrap();
            let partitions = usize::from(spec.stages[0].partitions);
            assert_eq!(stored.len(), partitions, "each partition stored a checkpoint");
        }
        one.stop(&name, true).await.unwrap();
        drop((one, first));

        broker.publish_lines("tx", rest).await;
        let second = tempfile::tempdir().unwrap();
        let two = worker(&broker, second.path()).await;
        two.apply(spec).await.unwrap();
        broker.read("RESULTS", self.outputs()).await;
        two.stop(&name, true).await.unwrap();
        self.is_exact(&broker).await;
    }
}

/// A server with the streams of the fraud job: `TRANSACTIONS` (`tx`) and `RESULTS` (`fraud`).
pub async fn broker() -> Broker {
    let broker = Broker::start().await;
    make_streams(&broker).await;
    broker
}

/// The streams of the fraud job.
pub async fn make_streams(broker: &Broker) {
    broker.stream("TRANSACTIONS", &["tx"]).await;
    broker.stream("RESULTS", &["fraud"]).await;
}

/// A worker on the server that keeps its state in `data`.
pub async fn worker(broker: &Broker, data: &Path) -> Worker {
    let shared = Shared::new(Budgets::default());
    Worker::start(broker.connection().await, data, shared, 1).await.unwrap()
}
