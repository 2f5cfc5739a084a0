//! The lives of the pipeline: each rescaling begins another one, with a log of its own. All logs are read while they are written,
//! also those of lives that were never recorded.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use async_nats::jetstream::Context;
use futures::TryStreamExt;
use millstream_control::manifest::Document;
use millstream_control::registry::{PIPELINES_BUCKET, Pipelines, Recorded};
use millstream_core::ids::Incarnation;
use millstream_log::Name;
use millstream_log::connect::Connection;
use millstream_log::kv::{BucketOptions, JetStreamKv};
use tokio_util::task::AbortOnDropHandle;

use super::chain::Chain;
use super::follow::follow;
use super::workload::{LOG, ONCE, PIPELINE, TOTALS};

/// How often is looked for a new log and a new record.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// A life of the pipeline, as it is recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Life {
    /// Which.
    pub incarnation: Incarnation,
    /// Stream of its log.
    pub log: String,
    /// Partitions of the two stages.
    pub partitions: (u16, u16),
}

impl Life {
    fn of(recorded: &Recorded) -> Result<Self> {
        let record = &recorded.record;
        let document = Document::parse(&record.file, &record.manifest);
        let manifest = document.map_err(|problems| anyhow::anyhow!("{problems}"))?.manifest;
        let of = |stage: &str| manifest.stages.get(stage).map(|stage| stage.partitions);
        let partitions = of(ONCE).zip(of(TOTALS)).context("the stages")?;
        let log = match &record.log {
            Some(own) => LOG.replace(PIPELINE, own),
            None => LOG.to_owned(),
        };
        Ok(Self { incarnation: record.incarnation(), log, partitions })
    }
}

/// All that is known of them. Cheap to clone.
#[derive(Clone)]
pub struct Lives {
    known: Arc<Mutex<Known>>,
    pipelines: Pipelines,
    jetstream: Context,
}

#[derive(Default)]
struct Known {
    /// Those that were recorded, in order, and the last revision of the record that was read.
    recorded: Vec<Life>,
    revision: u64,
    /// By stream.
    logs: BTreeMap<String, Log>,
}

struct Log {
    chain: Arc<Mutex<Chain>>,
    /// None: the log is gone.
    reading: Option<AbortOnDropHandle<()>>,
}

impl Lives {
    /// Begins to look, at a pipeline that is recorded.
    pub async fn watch(connection: &Connection, replicas: usize) -> Result<Self> {
        let options = BucketOptions { replicas, ..BucketOptions::default() };
        let bucket = JetStreamKv::open(connection, &Name::new(PIPELINES_BUCKET)?, &options).await?;
        let pipelines = Pipelines::new(Arc::new(bucket));
        let jetstream = connection.jetstream().clone();
        Ok(Self { known: Arc::default(), pipelines, jetstream })
    }

    /// Looks until the handle is dropped.
    pub fn keep_looking(&self) -> AbortOnDropHandle<()> {
        let lives = self.clone();
        AbortOnDropHandle::new(tokio::spawn(async move {
            loop {
                // Servers that are killed answer later.
                let _ = lives.look().await;
                tokio::time::sleep(LOOK_EVERY).await;
            }
        }))
    }

    /// Looks what there is now.
    ///
    /// # Errors
    /// If the servers do not answer.
    pub async fn look(&self) -> Result<()> {
        let found: Vec<String> = self.jetstream.stream_names().try_collect().await?;
        let found: Vec<String> = found.into_iter().filter(|name| name.starts_with(LOG)).collect();
        for (_, log) in self.known().logs.iter_mut().filter(|(name, _)| !found.contains(name)) {
            log.reading = None;
        }
        for stream in found {
            self.known().logs.entry(stream.clone()).or_insert_with(|| {
                let chain = Arc::<Mutex<Chain>>::default();
                let seen = Arc::clone(&chain);
                let see = move |record| lock(&seen).see(&record);
                Log { chain, reading: Some(follow(self.jetstream.clone(), stream, see)) }
            });
        }
        let recorded = self.pipelines.get(PIPELINE).await;
        let recorded = recorded.map_err(|problem| anyhow::anyhow!("{problem}"))?;
        if let Some(recorded) = recorded {
            let life = Life::of(&recorded)?;
            let mut known = self.known();
            // A replica that is behind answers with what was.
            if recorded.at.0 > known.revision {
                known.revision = recorded.at.0;
                if known.recorded.last().is_none_or(|last| last.incarnation != life.incarnation) {
                    known.recorded.push(life);
                }
            }
        }
        Ok(())
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        lock(&self.known)
    }

    /// The one that is recorded.
    pub fn current(&self) -> Option<Life> {
        self.known().recorded.last().cloned()
    }

    /// How many have been recorded.
    pub fn count(&self) -> usize {
        self.known().recorded.len()
    }

    /// What was found in the logs that are still there, by stream.
    pub fn chains(&self) -> BTreeMap<String, Chain> {
        let known = self.known();
        let there = known.logs.iter().filter(|(_, log)| log.reading.is_some());
        there.map(|(stream, log)| (stream.clone(), lock(&log.chain).clone())).collect()
    }

    /// Records, takeovers, and records that were removed before they were seen, of all logs.
    pub fn counts(&self) -> (u64, u64, u64) {
        let known = self.known();
        known.logs.values().fold((0, 0, 0), |(records, takeovers, unseen), log| {
            let chain = lock(&log.chain);
            (records + chain.records, takeovers + chain.takeovers, unseen + chain.unseen)
        })
    }

    /// How often records of the source were applied, in all lives; and whether that is all, because no end of a log was missed.
    pub fn applied(&self) -> (u64, bool) {
        let known = self.known();
        let chains = known.logs.values().map(|log| lock(&log.chain).applied);
        let is_all = known.recorded.len() == 1
            && known.logs.values().all(|log| lock(&log.chain).unseen == 0);
        (chains.sum(), is_all)
    }

    /// What must not be in the logs, in all that was read.
    pub fn violations(&self) -> Vec<String> {
        let known = self.known();
        let mut found = Vec::new();
        for log in known.logs.values() {
            found.extend(lock(&log.chain).violations.iter().cloned());
        }
        let (mut ends, mut sealed) = (0, 0);
        for pair in known.recorded.windows(2) {
            let [life, next] = pair else { continue };
            let Some(log) = known.logs.get(&life.log) else { continue };
            let chain = lock(&log.chain);
            found.extend(chain.behind_seal(next.incarnation));
            let unsealed: Vec<_> = chain.unsealed(next.incarnation).collect();
            ends += chain.partitions();
            sealed += chain.partitions() - unsealed.len();
            if log.reading.is_some() {
                let what =
                    |subject: &&String| format!("{subject}: not sealed, and another life runs");
                found.extend(unsealed.iter().map(what));
            }
        }
        // The end of a log that was removed may not have been seen; of all of them it was.
        if ends > 0 && sealed == 0 {
            found
                .push(format!("none of {ends} ends of logs that another life followed was sealed"));
        }
        found
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
