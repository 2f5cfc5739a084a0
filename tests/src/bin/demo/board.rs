//! The live table: rates, lag and the newest results. On a terminal it is drawn in place, elsewhere it is a line now and then.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Result;
use async_nats::jetstream::Context;
use comfy_table::{CellAlignment, Table, presets};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::streams::{Output, count, newest};

/// How often the table is brought up to date.
const TICK: Duration = Duration::from_millis(500);
/// Ticks between two lines where there is no terminal.
const TICKS_PER_LINE: u64 = 6;
/// The pipelines, with the output that every input has once.
const PIPELINES: [(&str, Output); 3] = [
    ("card-fraud", Output::FraudScores),
    ("credit-score", Output::CreditScores),
    ("recommender", Output::Recommendations),
];

/// Numbers at one moment.
#[derive(Clone, Copy)]
struct Sample {
    at: Instant,
    published: [u64; 3],
    answered: [u64; 3],
}

/// Watches the streams while the demonstration goes on.
pub struct Board {
    jetstream: Context,
    published: Arc<[AtomicU64; 3]>,
    bar: ProgressBar,
    start: Instant,
    last: Sample,
    ticks: u64,
    has_results: bool,
}

impl Board {
    /// `published` counts the inputs of each pipeline.
    pub fn new(jetstream: Context, published: Arc<[AtomicU64; 3]>) -> Result<Self> {
        let bar = ProgressBar::new_spinner().with_style(ProgressStyle::with_template("{msg}")?);
        let start = Instant::now();
        let last = Sample { at: start, published: [0; 3], answered: [0; 3] };
        Ok(Self { jetstream, published, bar, start, last, ticks: 0, has_results: false })
    }

    /// Says what happens, above the table.
    pub fn say(&self, what: &str) {
        let seconds = self.start.elapsed().as_secs_f64();
        self.bar.suspend(|| eprintln!("{seconds:6.1} s  {what}"));
    }

    /// Keeps the table up to date until the work is done.
    pub async fn during<T>(&mut self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let mut work = std::pin::pin!(work);
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                done = &mut work => return done,
                _ = ticks.tick() => self.refresh().await?,
            }
        }
    }

    /// Takes the table away.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }

    async fn refresh(&mut self) -> Result<()> {
        let mut answered = [0; 3];
        for (answered, (_, output)) in answered.iter_mut().zip(PIPELINES) {
            *answered = count(&self.jetstream, output).await?;
        }
        let published = [0, 1, 2].map(|kind| self.published[kind].load(Ordering::Relaxed));
        let sample = Sample { at: Instant::now(), published, answered };
        if !self.has_results && answered.iter().any(|answered| *answered > 0) {
            self.has_results = true;
            self.say("the first results are there");
        }
        self.ticks += 1;
        if !self.bar.is_hidden() {
            self.bar.set_message(self.table(sample).await?);
        } else if self.ticks.is_multiple_of(TICKS_PER_LINE) {
            let line = self.line(sample).await?;
            self.say(&line);
        } else {
            return Ok(());
        }
        self.last = sample;
        Ok(())
    }

    async fn table(&self, now: Sample) -> Result<String> {
        let mut table = Table::new();
        table.load_style(presets::UTF8_BORDERS_ONLY);
        table.set_header(["pipeline", "in/s", "out/s", "answered", "lag", "newest"]);
        for (kind, (name, _)) in PIPELINES.into_iter().enumerate() {
            table.add_row([
                name.to_owned(),
                format!("{:.0}", self.rate(now, kind, |sample| sample.published)),
                format!("{:.0}", self.rate(now, kind, |sample| sample.answered)),
                now.answered[kind].to_string(),
                now.lag(kind).to_string(),
                self.newest(kind).await?,
            ]);
        }
        for column in table.column_iter_mut().skip(1).take(4) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        Ok(table.to_string())
    }

    async fn line(&self, now: Sample) -> Result<String> {
        let mut line = String::new();
        for (kind, (name, _)) in PIPELINES.into_iter().enumerate() {
            let rate = self.rate(now, kind, |sample| sample.answered);
            let (answered, lag) = (now.answered[kind], now.lag(kind));
            line += &format!("{name}: {answered} answered, {rate:.0}/s, lag {lag}; ");
        }
        let alerts = count(&self.jetstream, Output::FraudAlerts).await?;
        Ok(line + &format!("{alerts} alerts"))
    }

    /// A second's worth of a number since the last sample.
    fn rate(&self, now: Sample, kind: usize, number: impl Fn(&Sample) -> [u64; 3]) -> f64 {
        let seconds = (now.at - self.last.at).as_secs_f64();
        let more = number(&now)[kind].saturating_sub(number(&self.last)[kind]);
        if seconds > 0.0 { more as f64 / seconds } else { 0.0 }
    }

    /// What a person wants to see of a pipeline.
    async fn newest(&self, kind: usize) -> Result<String> {
        let output = [Output::FraudAlerts, Output::CreditBands, Output::Recommendations][kind];
        let Some(newest) = newest(&self.jetstream, output).await? else {
            return Ok(String::new());
        };
        let many = count(&self.jetstream, output).await?;
        let text = |field: &str| newest[field].as_str().unwrap_or_default().to_owned();
        Ok(match output {
            Output::FraudAlerts => {
                format!("{many} alerts; {}: {}", text("account_id"), newest["amount"])
            }
            Output::CreditBands => format!(
                "{many} changes of band; {}: {} to {}",
                text("customer_id"),
                text("from"),
                text("to")
            ),
            _ => format!("{}: {}", text("customer_id"), products(&newest)),
        })
    }
}

impl Sample {
    /// Inputs without their output.
    fn lag(&self, kind: usize) -> u64 {
        self.published[kind].saturating_sub(self.answered[kind])
    }
}

/// The recommended products' names.
fn products(recommendation: &Value) -> String {
    let items = recommendation["items"].as_array().map(Vec::as_slice).unwrap_or_default();
    let names: Vec<&str> = items.iter().filter_map(|item| item["product_id"].as_str()).collect();
    names.join(", ")
}
