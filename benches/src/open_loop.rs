//! Records that are sent at set times, whatever becomes of those before, and when their outputs arrive.
//!
//! A closed loop waits when the system under test does, and so leaves out the very delays it should show. Here a record's delay
//! counts from the moment it was *due*.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use async_nats::Client;
use async_nats::jetstream::consumer::DeliverPolicy;
use async_nats::jetstream::{self, Context};
use bytes::Bytes;
use futures::StreamExt;
use futures::executor::block_on;
use serde::Deserialize;
use tokio::sync::watch;

use crate::broker;
use crate::transactions::{self, Plan};
use crate::worker::{SINK, SOURCE_SUBJECT};

/// Without any arrival for this long, a run has failed.
const STALLED_AFTER: Duration = Duration::from_secs(60);

/// Records and when each is due.
#[derive(Clone)]
pub struct Schedule {
    records: Arc<[Bytes]>,
    start: Instant,
    rate: u32,
}

impl Schedule {
    /// Seeded transactions, `rate` of them a second from now on.
    pub fn start_now(rate: u32, records: u64, accounts: u32, seed: u32) -> Result<Self> {
        let plan = Plan { records, accounts: accounts as usize, zipf: 1.0, seed };
        let mut text = Vec::new();
        transactions::write(plan, &mut text)?;
        let text = Bytes::from(text);
        let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let records = lines.map(|line| text.slice_ref(line)).collect();
        Ok(Schedule { records, start: Instant::now(), rate })
    }

    /// Records.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// When a record is due.
    pub fn due(&self, record: usize) -> Instant {
        self.start + Duration::from_secs(record as u64) / self.rate
    }

    /// The first record that is due at `time` or later.
    pub fn first_due(&self, time: Instant) -> usize {
        let passed = time.saturating_duration_since(self.start).as_secs_f64();
        ((passed * f64::from(self.rate)).ceil() as usize).min(self.len())
    }
}

/// A thread that sends the records of a schedule.
pub struct Sender {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<usize>>,
}

impl Sender {
    /// Starts sending over a connection of its own.
    pub async fn start(url: &str, schedule: &Schedule) -> Result<Self> {
        let client = async_nats::connect(url).await?;
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, schedule) = (Arc::clone(&stop), schedule.clone());
        let thread = thread::spawn(move || send(&client, &schedule, &stopped));
        Ok(Sender { stop, thread })
    }

    /// Ends it after the next record; returns how many were sent.
    pub async fn stop(self) -> Result<usize> {
        self.stop.store(true, Ordering::Relaxed);
        self.wait().await
    }

    /// Waits until all are sent; returns how many.
    pub async fn wait(self) -> Result<usize> {
        tokio::task::spawn_blocking(|| self.thread.join())
            .await?
            .map_err(|_| anyhow!("the sending thread panicked"))?
    }
}

/// A thread of its own: the runtime's timers are too coarse (1 ms).
fn send(client: &Client, schedule: &Schedule, stop: &AtomicBool) -> Result<usize> {
    let mut sent = 0;
    for record in schedule.records.iter() {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        #[expect(clippy::disallowed_methods, reason = "what is waited for is a time")]
        thread::sleep(schedule.due(sent).saturating_duration_since(Instant::now()));
        block_on(client.publish(SOURCE_SUBJECT, record.clone()))?;
        sent += 1;
    }
    block_on(client.flush())?;
    Ok(sent)
}

/// Notes when the outputs of a schedule arrive at the sink.
pub struct Receiver {
    arrivals: Arc<Mutex<Arrivals>>,
    changed: watch::Receiver<()>,
}

#[derive(Default)]
struct Arrivals {
    /// Per record of the schedule.
    at: Vec<Option<Instant>>,
    count: usize,
    failed: Option<String>,
}

/// What names the record of an output. Of a copied record and of a score; other outputs belong to no single record.
#[derive(Deserialize)]
struct Output<'a> {
    r#type: Option<&'a str>,
    txn_id: Option<&'a str>,
}

impl Receiver {
    /// Starts receiving what the sink stores from now on.
    pub async fn start(url: &str, records: usize) -> Result<Self> {
        let jetstream = jetstream::new(async_nats::connect(url).await?);
        let arrivals =
            Arc::new(Mutex::new(Arrivals { at: vec![None; records], ..Arrivals::default() }));
        let (change, changed) = watch::channel(());
        let noted = Arc::clone(&arrivals);
        let mut messages = open(&jetstream).await?;
        tokio::spawn(async move {
            while let Some(message) = messages.next().await {
                let at = Instant::now();
                let noting = match message {
                    Ok(message) => lock(&noted).note(&message.payload, at),
                    Err(error) => Err(error.into()),
                };
                if let Err(error) = noting {
                    lock(&noted).failed = Some(format!("{error:#}"));
                }
                if change.send(()).is_err() {
                    return;
                }
            }
        });
        Ok(Receiver { arrivals, changed })
    }

    /// Waits until `look` finds something in the arrivals, per record of the schedule.
    pub async fn until<T>(
        &mut self,
        mut look: impl FnMut(&[Option<Instant>], usize) -> Option<T>,
    ) -> Result<T> {
        loop {
            {
                let arrivals = lock(&self.arrivals);
                if let Some(failed) = &arrivals.failed {
                    bail!("{failed}");
                }
                if let Some(found) = look(&arrivals.at, arrivals.count) {
                    return Ok(found);
                }
            }
            tokio::time::timeout(STALLED_AFTER, self.changed.changed())
                .await
                .with_context(|| {
                    let count = lock(&self.arrivals).count;
                    format!("no output has come for a minute; {count} have")
                })?
                .context("receiving ended")?;
        }
    }

    /// When the first output arrived of a record that was due at `time` or later. Waits for it.
    pub async fn first_output(&mut self, schedule: &Schedule, time: Instant) -> Result<Instant> {
        let from = schedule.first_due(time);
        ensure!(from < schedule.len(), "the prepared records end before that time");
        // Partitions come back one by one: the first output is that of the fastest. What is not due yet has none.
        self.until(|at, _| {
            let to = schedule.first_due(Instant::now()).max(from);
            at[from..to].iter().flatten().min().copied()
        })
        .await
    }

    /// Waits until each of the first `records` has arrived; when.
    pub async fn all(&mut self, records: usize) -> Result<Vec<Instant>> {
        self.until(|at, count| {
            (count >= records)
                .then(|| at[..records].iter().copied().collect::<Option<_>>())
                .flatten()
        })
        .await
    }
}

async fn open(jetstream: &Context) -> Result<jetstream::consumer::pull::Stream> {
    broker::messages(jetstream, SINK, DeliverPolicy::New).await
}

fn lock(arrivals: &Mutex<Arrivals>) -> MutexGuard<'_, Arrivals> {
    arrivals.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Arrivals {
    fn note(&mut self, payload: &[u8], at: Instant) -> Result<()> {
        let output: Output<'_> = serde_json::from_slice(payload)?;
        if output.r#type.is_some_and(|kind| kind != "score") {
            return Ok(());
        }
        // Records that are not of the schedule have other ids.
        let Some(number) = output.txn_id.and_then(|id| id.strip_prefix('t')) else { return Ok(()) };
        let number: usize = number.parse()?;
        let place = self.at.get_mut(number).context("an output of a record that is not due")?;
        ensure!(place.is_none(), "two outputs of record {number}");
        *place = Some(at);
        self.count += 1;
        Ok(())
    }
}
