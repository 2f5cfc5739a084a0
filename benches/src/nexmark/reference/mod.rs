//! The reference: each query as plain Rust over all events at once, in a process of its own. What it writes is what the pipelines must
//! write, in any order.
//!
//! It has no watermark, no timers and no state that grows record by record: events are read into memory, grouped, sorted and looked at.

mod closing;
mod joins;
mod single;
mod windows;

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, str};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::query::{Query, Source};

/// Bytes written at a time.
const WRITE_BYTES: usize = 1 << 20;

/// Arguments of the subcommand.
#[derive(clap::Args)]
pub struct Args {
    /// The query
    #[arg(long, value_enum)]
    query: Query,
    /// The folder of events
    #[arg(long)]
    events: PathBuf,
    #[arg(long)]
    output: PathBuf,
}

/// The command that runs a query so.
pub fn command(query: Query, events: &Path, output: &Path) -> Result<Command> {
    let mut command = Command::new(env::current_exe()?);
    command.args(["nexmark-reference", "--query", &query.name()]);
    command.arg("--events").arg(events).arg("--output").arg(output);
    Ok(command)
}

/// The subcommand.
pub fn run(args: &Args) -> Result<()> {
    let files = |source: Source| Text::read(&source.file(&args.events));
    let output = File::create(&args.output)
        .with_context(|| format!("failed to write {}", args.output.display()))?;
    let mut out = Out(BufWriter::with_capacity(WRITE_BYTES, output));
    match args.query {
        Query::Q0 => single::q0(&files(Source::Bids)?, &mut out)?,
        Query::Q1 => single::q1(&files(Source::Bids)?, &mut out)?,
        Query::Q2 => single::q2(&files(Source::Bids)?, &mut out)?,
        Query::Q3 => joins::q3(&files(Source::Persons)?, &files(Source::Auctions)?, &mut out)?,
        Query::Q4 => closing::q4(&files(Source::Auctions)?, &files(Source::Bids)?, &mut out)?,
        Query::Q5 => windows::q5(&files(Source::Bids)?, &mut out)?,
        Query::Q6 => closing::q6(&files(Source::Auctions)?, &files(Source::Bids)?, &mut out)?,
        Query::Q7 => windows::q7(&files(Source::Bids)?, &mut out)?,
        Query::Q8 => joins::q8(&files(Source::Persons)?, &files(Source::Auctions)?, &mut out)?,
        Query::Q11 => windows::q11(&files(Source::Bids)?, &mut out)?,
    }
    Ok(out.0.flush()?)
}

/// The events of a source, one JSON object a line.
struct Text(String);

impl Text {
    fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path);
        Ok(Text(text.with_context(|| format!("failed to read {}", path.display()))?))
    }

    fn lines(&self) -> str::Lines<'_> {
        self.0.lines()
    }

    /// The events, with the fields of `T` only.
    fn events<'t, T: Deserialize<'t>>(&'t self) -> impl Iterator<Item = Result<T>> {
        self.lines().map(|line| Ok(serde_json::from_str(line)?))
    }
}

/// The output, one JSON object a line.
struct Out(BufWriter<File>);

impl Out {
    /// Writes an item, whose fields are in the order of their names.
    fn item(&mut self, item: &impl Serialize) -> Result<()> {
        serde_json::to_writer(&mut self.0, item)?;
        Ok(self.0.write_all(b"\n")?)
    }

    /// Writes a line as it is.
    fn line(&mut self, line: &str) -> Result<()> {
        self.0.write_all(line.as_bytes())?;
        Ok(self.0.write_all(b"\n")?)
    }
}

/// The quotient of prices by their number, halves rounded up.
fn average(cents: i64, by: i64) -> i64 {
    (cents + cents + by) / (by + by)
}
