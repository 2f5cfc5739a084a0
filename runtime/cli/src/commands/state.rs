//! `millstream state`: keyed state, read from the running partitions.

use std::io::Write as _;

use clap::{Args, Subcommand};
use millstream_control::api::Data;
use millstream_control::api::state::{Content, Get, KEYS_MAX, KeyState, List};
use millstream_control::errors;
use serde::Serialize;

use crate::cli::App;
use crate::connection::{Remote, block_on};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::table::printable;
use crate::output::{Cell, Listed, units};

/// Read keyed state as of the last acknowledged commit
#[derive(Args)]
pub struct State {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// All states and timers of one key
    Get {
        /// The pipeline
        name: String,
        /// The key
        key: String,
        /// The stage; may be left out when there is one
        #[arg(long)]
        stage: Option<String>,
        /// The key is written in hexadecimal digits
        #[arg(long)]
        hex: bool,
    },
    /// Keys that have state
    Ls {
        /// The pipeline
        name: String,
        /// The stage; may be left out when there is one
        #[arg(long)]
        stage: Option<String>,
        /// Only keys that start with this
        #[arg(long, default_value = "", hide_default_value = true)]
        prefix: String,
        /// At most so many keys
        #[arg(long, default_value_t = 100)]
        limit: u64,
    },
}

/// A key as a line.
#[derive(Serialize)]
#[serde(transparent)]
struct Key(Data);

impl State {
    /// Prints what was asked for.
    pub fn run(self, app: &App) -> Result<Exit, Failure> {
        match self.what {
            What::Get { name, key, stage, hex } => {
                let key = match hex {
                    true => unhex(&key)?,
                    false => Data(key.into_bytes()),
                };
                let request = Get { pipeline: name, stage, key };
                let state = block_on(async { Remote::connect(app).await?.call(&request).await })?;
                app.out.one(&state, &state.key.display(), || pairs(&state))?;
            }
            What::Ls { name, stage, prefix, limit } => {
                let prefix = Data(prefix.into_bytes());
                let request = List { pipeline: name, stage, prefix, after: None, limit: 0 };
                block_on(list(app, request, limit))?;
            }
        }
        Ok(Exit::Ok)
    }
}

/// Asks page by page, and prints each page in the formats that can be continued.
async fn list(app: &App, mut request: List, limit: u64) -> Result<(), Failure> {
    let remote = Remote::connect(app).await?;
    let mut keys = Vec::new();
    loop {
        let left = limit - keys.len() as u64;
        request.limit = u32::try_from(left).unwrap_or(KEYS_MAX).min(KEYS_MAX);
        let page = remote.call(&request).await?;
        keys.extend(page.keys.into_iter().map(Key));
        request.after = keys.last().map(|Key(key)| key.clone());
        if !page.more || keys.len() as u64 >= limit {
            app.out.list(&keys, "no key has state")?;
            if page.more {
                let _ = writeln!(
                    std::io::stderr(),
                    "there are more keys: raise --limit, or narrow --prefix"
                );
            }
            return Ok(());
        }
    }
}

fn pairs(state: &KeyState) -> Vec<(String, Cell)> {
    let mut pairs = vec![
        ("key".to_owned(), Cell::text(state.key.display())),
        ("partition".to_owned(), Cell::text(state.partition.to_string())),
    ];
    for content in &state.states {
        let more = if content.truncated { "\n..." } else { "" };
        let line = |index: usize, text: String| match content.expires_at_ms.get(index) {
            Some(Some(at)) => format!("{text} (until {})", units::time(*at)),
            _ => text,
        };
        let lines: Vec<String> = match &content.content {
            Content::Value(value) => vec![line(0, value.display())],
            Content::List(items) => {
                items.iter().enumerate().map(|(i, item)| line(i, item.display())).collect()
            }
            Content::Map(entries) => {
                let shown = |entry: &Data, value: &Data| {
                    format!("{}: {}", entry.display(), value.display())
                };
                let lines = entries.iter().enumerate();
                lines.map(|(i, (entry, value))| line(i, shown(entry, value))).collect()
            }
        };
        pairs.push((content.name.clone(), Cell::text(format!("{}{more}", lines.join("\n")))));
    }
    for timer in &state.timers {
        pairs.push((format!("timer {}", timer.name), Cell::text(units::time(timer.at_ms))));
    }
    if state.states.is_empty() && state.timers.is_empty() {
        pairs.push(("state".to_owned(), Cell::text("none")));
    }
    pairs
}

fn unhex(text: &str) -> Result<Data, Failure> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    hex::decode(digits).map(Data).map_err(|error| {
        Failure::coded(errors::USAGE, format!("`{text}` is no key in hexadecimal digits"))
            .because(&error)
            .help("`millstream state ls` prints keys that are not text as 0x and their digits")
    })
}

impl Listed for Key {
    const COLUMNS: &'static [&'static str] = &["KEY"];

    fn name(&self) -> String {
        printable(&self.0.display())
    }

    fn cells(&self) -> Vec<Cell> {
        vec![Cell::text(self.0.display())]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_in_hexadecimal_are_read() {
        assert_eq!(unhex("0xff00").expect("digits").0, [0xff, 0]);
        assert!(unhex("").expect("no digits").0.is_empty());
        for wrong in ["f", "0xzz", "é0", "+1"] {
            assert_eq!(unhex(wrong).expect_err("no digits").exit, Exit::Usage, "{wrong}");
        }
    }
}
