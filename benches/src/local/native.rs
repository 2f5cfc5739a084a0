//! The baseline: the function of the UDF `card-fraud` as one would write it for this one job.
//!
//! One thread, `serde_json` with derived types that borrow, a hash map in memory, a heap of timers.
//! No sandbox, no state beyond memory, no batches. The watermark has bound 0, as in the pipeline.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// Bytes read or written at a time.
const BUFFER_BYTES: usize = 1 << 20;
const SMALL_BELOW: f64 = 1.00;
const LARGE_ABOVE: f64 = 500.00;
const SMALL_LIFE_MS: i64 = 60_000;

/// Arguments of the subcommand.
#[derive(clap::Args)]
pub struct Args {
    #[arg(long)]
    input: PathBuf,
    #[arg(long)]
    output: PathBuf,
}

#[derive(Deserialize)]
struct Transaction<'a> {
    txn_id: &'a str,
    account_id: &'a str,
    amount: f64,
    ts: i64,
}

/// An output line; fields in the order of their names.
#[derive(Serialize)]
struct Score<'a, S> {
    account_id: &'a str,
    dt: i64,
    n: i64,
    score: S,
    ts: i64,
    txn_id: &'a str,
    r#type: &'static str,
}

#[derive(Serialize)]
struct Alert<'a> {
    account_id: &'a str,
    amount: f64,
    small_ts: i64,
    small_txn_id: &'a str,
    ts: i64,
    txn_id: &'a str,
    r#type: &'static str,
}

#[derive(Serialize)]
struct Expired<'a> {
    account_id: &'a str,
    small_ts: i64,
    small_txn_id: &'a str,
    timer_ts: i64,
    r#type: &'static str,
}

/// What is kept of an account.
struct Account {
    id: String,
    count: i64,
    sum: f64,
    sum_of_squares: f64,
    last_ts: i64,
    small: Option<Small>,
}

/// The last transaction, if it was small.
struct Small {
    txn_id: String,
    ts: i64,
}

/// The job.
struct Job<W> {
    /// Places in `accounts`.
    places: HashMap<String, usize, foldhash::fast::FixedState>,
    accounts: Vec<Account>,
    /// Times and places of accounts. One whose small transaction is gone by then is passed over.
    timers: BinaryHeap<Reverse<(i64, usize)>>,
    max_ts: i64,
    /// Lines not written yet.
    lines: Vec<u8>,
    to: W,
}

/// The subcommand.
pub fn run(args: &Args) -> Result<()> {
    let open = |path: &Path| format!("failed to open {}", path.display());
    let input = File::open(&args.input).with_context(|| open(&args.input))?;
    let output = File::create(&args.output).with_context(|| open(&args.output))?;
    let mut input = BufReader::with_capacity(BUFFER_BYTES, input);
    let mut job = Job {
        places: HashMap::default(),
        accounts: Vec::new(),
        timers: BinaryHeap::new(),
        max_ts: i64::MIN,
        lines: Vec::with_capacity(2 * BUFFER_BYTES),
        to: output,
    };
    let mut line = Vec::new();
    while input.read_until(b'\n', &mut line)? > 0 {
        job.process(&serde_json::from_slice(&line)?)?;
        line.clear();
        if job.lines.len() >= BUFFER_BYTES {
            job.write()?;
        }
    }
    job.fire(i64::MAX)?;
    job.write()
}

impl<W: Write> Job<W> {
    fn process(&mut self, txn: &Transaction<'_>) -> Result<()> {
        let Transaction { txn_id, account_id, amount, ts } = *txn;
        let place = self.place(account_id);
        let account = &mut self.accounts[place];

        let score = account.score(amount);
        let dt = if account.count == 0 { -1 } else { ts - account.last_ts };
        account.count += 1;
        account.sum += amount;
        account.sum_of_squares += amount * amount;
        account.last_ts = ts;
        let n = account.count;
        let r#type = "score";
        if score == 0.0 || score.abs() >= 1e-4 {
            line(&mut self.lines, &Score { account_id, dt, n, score, ts, txn_id, r#type })?;
        } else {
            let score = &*small_number(score)?;
            line(&mut self.lines, &Score { account_id, dt, n, score, ts, txn_id, r#type })?;
        }

        if let Some(small) = account.small.take()
            && amount > LARGE_ABOVE
            && ts - small.ts <= SMALL_LIFE_MS
        {
            let Small { txn_id: small_txn_id, ts: small_ts } = &small;
            let (small_ts, r#type) = (*small_ts, "alert");
            let alert = Alert { account_id, amount, small_ts, small_txn_id, ts, txn_id, r#type };
            line(&mut self.lines, &alert)?;
        }
        if amount < SMALL_BELOW {
            account.small = Some(Small { txn_id: txn_id.to_owned(), ts });
            self.timers.push(Reverse((ts + SMALL_LIFE_MS, place)));
        }
        if ts > self.max_ts {
            self.max_ts = ts;
            self.fire(ts - 1)?;
        }
        Ok(())
    }

    /// Fires all timers up to a watermark.
    fn fire(&mut self, watermark: i64) -> Result<()> {
        while let Some(&Reverse((timer_ts, place))) = self.timers.peek()
            && timer_ts <= watermark
        {
            self.timers.pop();
            let account = &mut self.accounts[place];
            if let Some(small) = account.small.take_if(|small| small.ts + SMALL_LIFE_MS == timer_ts)
            {
                let expired = Expired {
                    account_id: &account.id,
                    small_ts: small.ts,
                    small_txn_id: &small.txn_id,
                    timer_ts,
                    r#type: "expired",
                };
                line(&mut self.lines, &expired)?;
            }
        }
        Ok(())
    }

    /// Writes the lines that wait for it.
    fn write(&mut self) -> Result<()> {
        self.to.write_all(&self.lines)?;
        self.lines.clear();
        Ok(())
    }

    fn place(&mut self, account_id: &str) -> usize {
        if let Some(place) = self.places.get(account_id) {
            return *place;
        }
        let place = self.accounts.len();
        self.places.insert(account_id.to_owned(), place);
        self.accounts.push(Account {
            id: account_id.to_owned(),
            count: 0,
            sum: 0.0,
            sum_of_squares: 0.0,
            last_ts: 0,
            small: None,
        });
        place
    }
}

impl Account {
    /// Distance of an amount from the mean so far, in standard deviations; 0 while unknown.
    fn score(&self, amount: f64) -> f64 {
        if self.count < 2 {
            return 0.0;
        }
        let n = self.count as f64;
        let mean = self.sum / n;
        let variance = self.sum_of_squares / n - mean * mean;
        if variance > 0.0 { (amount - mean) / variance.sqrt() } else { 0.0 }
    }
}

fn line(lines: &mut Vec<u8>, output: &impl Serialize) -> Result<()> {
    serde_json::to_writer(&mut *lines, output)?;
    lines.push(b'\n');
    Ok(())
}

/// A number below 0.0001 with an exponent of two digits, as Python, Flink's oracle and Millstream
/// write it.
#[cold]
fn small_number(number: f64) -> Result<Box<RawValue>> {
    let text = format!("{number:e}");
    let text = match text.split_once("e-") {
        Some((digits, exponent)) => format!("{digits}e-{exponent:0>2}"),
        None => text,
    };
    Ok(RawValue::from_string(text)?)
}
