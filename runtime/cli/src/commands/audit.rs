//! `millstream audit`: the trail of what was done.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use millstream_control::access::PublicKey;
use millstream_control::api::audit::{Head, List};
use millstream_control::audit::entry::Asked;
use millstream_control::audit::export::{self, Verified};
use millstream_control::audit::trail::ENTRIES_MAX;
use millstream_control::audit::{Entry, What};
use millstream_control::errors;

use crate::cli::App;
use crate::connection::{Remote, block_on};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::format::say;
use crate::output::table::printable;
use crate::output::{Cell, Listed, Tone, progress, units};

/// List, export and verify the trail of what was done
#[derive(Args)]
pub struct Audit {
    #[command(subcommand)]
    what: Kind,
}

#[derive(Subcommand)]
enum Kind {
    /// List entries: the newest, or those behind a number
    Ls {
        /// Behind the entry with this number
        #[arg(long, value_name = "N")]
        after: Option<u64>,

        /// At most so many
        #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=i64::from(ENTRIES_MAX)))]
        limit: u32,
    },
    /// Write the trail into a file, with a head signed by the node that answers
    Export {
        /// The file, which must not exist; `-` is standard output
        file: PathBuf,

        /// Only what is behind the entry with this number
        #[arg(long, value_name = "N", default_value_t = 0)]
        after: u64,
    },
    /// Say whether an exported trail was changed; needs no network
    ///
    /// Finds every change, deletion, insertion, reordering and truncation, and says at which entry. Exits with 8 if there is
    /// one.
    Verify {
        /// The exported file; `-` is standard input
        file: PathBuf,

        /// Public key of a node (N...) that may have signed the head; may be repeated. Without one, the file itself says which
        /// nodes there are
        #[arg(long = "key", value_name = "KEY")]
        keys: Vec<PublicKey>,
    },
}

impl Audit {
    /// Does it.
    pub fn run(self, app: &App) -> Result<Exit, Failure> {
        match self.what {
            Kind::Ls { after, limit } => block_on(list(app, List { after, limit })),
            Kind::Export { file, after } => block_on(export(app, &file, after)),
            Kind::Verify { file, keys } => verify(app, &file, keys.into_iter().collect()),
        }
    }
}

async fn list(app: &App, request: List) -> Result<Exit, Failure> {
    let listing = Remote::connect(app).await?.call(&request).await?;
    let rows: Vec<Row> = listing.entries.iter().map(|text| Row::read(text)).collect();
    app.out.list(&rows, "the audit trail has no entries there")?;
    Ok(Exit::Ok)
}

/// An entry as it is shown.
#[derive(serde::Serialize)]
#[serde(untagged)]
enum Row {
    Entry(Box<Entry>),
    /// What this version does not know.
    Other(serde_json::Value),
}

impl Row {
    fn read(text: &str) -> Row {
        match serde_json::from_str(text) {
            Ok(entry) => Row::Entry(Box::new(entry)),
            Err(_) => Row::Other(serde_json::from_str(text).unwrap_or(text.into())),
        }
    }
}

impl Listed for Row {
    const COLUMNS: &'static [&'static str] = &["ENTRY", "TIME", "WHO", "WHAT", "ABOUT"];
    const WIDE: &'static [&'static str] = &["NODE", "DIGEST"];

    fn name(&self) -> String {
        match self {
            Row::Entry(entry) => entry.number.to_string(),
            Row::Other(value) => value["number"].to_string(),
        }
    }

    fn cells(&self) -> Vec<Cell> {
        let Row::Entry(entry) = self else {
            let dash = || Cell::text("-");
            return vec![
                Cell::text(self.name()),
                dash(),
                dash(),
                Cell::text("not known here"),
                dash(),
                dash(),
                dash(),
            ];
        };
        let (who, what, about) = said(&entry.what);
        let digest = match &entry.what {
            What::Request(asked) | What::Denied(asked) => Some(asked.digest),
            _ => None,
        };
        vec![
            Cell::number(entry.number.to_string()),
            Cell::text(units::time(entry.time_ms)),
            Cell::text(who),
            what,
            Cell::text(about),
            Cell::text(&entry.node),
            Cell::optional(digest),
        ]
    }
}

/// Who, what, and about what.
fn said(what: &What) -> (String, Cell, String) {
    let dash = || "-".to_owned();
    let asked = |asked: &Asked| {
        let user = asked.user.clone().or_else(|| asked.key.as_ref().map(ToString::to_string));
        let claims = || asked.claims.as_ref().map(|claims| format!("{claims} (unsigned)"));
        let about = [&asked.pipeline, &asked.about].into_iter().flatten().cloned();
        let about: Vec<String> = about.collect();
        let about = if about.is_empty() { dash() } else { about.join(", ") };
        (user.or_else(claims).unwrap_or_else(|| "(unsigned)".to_owned()), about)
    };
    match what {
        What::Writer { key, .. } => ("node".to_owned(), Cell::text("writes"), key.to_string()),
        What::Request(request) => {
            let (who, about) = asked(request);
            (who, Cell::text(&request.operation), about)
        }
        What::Denied(request) => {
            let (who, about) = asked(request);
            (who, Cell::toned(format!("{} denied", request.operation), Tone::Bad), about)
        }
        What::Outcome { of, done: true, .. } => {
            (dash(), Cell::toned("done", Tone::Good), format!("entry {of}"))
        }
        What::Outcome { of, code, .. } => {
            let why = code.map_or_else(|| "refused".to_owned(), |code| format!("refused: {code}"));
            (dash(), Cell::toned(why, Tone::Warn), format!("entry {of}"))
        }
        What::Commits { points } => {
            let count = format!("commits of {} partitions", points.len());
            ("node".to_owned(), Cell::text("pins"), count)
        }
    }
}

async fn export(app: &App, path: &Path, after: u64) -> Result<Exit, Failure> {
    let remote = Remote::connect(app).await?;
    let written = |error: io::Error| Failure::file("write", path, &error);
    let mut file: Box<dyn Write> = match path == Path::new("-") {
        true => Box::new(io::stdout().lock()),
        false => Box::new(BufWriter::new(File::create_new(path).map_err(written)?)),
    };
    // What the head vouches for is all there before it is signed.
    let head = remote.call(&Head { after }).await?;
    let bar = progress::spinner("reading the trail");
    let mut last = after;
    while last < head.head.last {
        let left = u32::try_from(head.head.last - last).unwrap_or(ENTRIES_MAX);
        let request = List { after: Some(last), limit: left.min(ENTRIES_MAX) };
        let entries = remote.call(&request).await?.entries;
        if entries.is_empty() {
            let message =
                format!("the trail ends at entry {last}, its head says {}", head.head.last);
            return Err(Failure::coded(errors::TRAIL_UNAVAILABLE, message));
        }
        for entry in &entries {
            writeln!(file, "{entry}").map_err(written)?;
        }
        last += entries.len() as u64;
        bar.set_message(format!("{last} of {} entries", head.head.last));
    }
    writeln!(file, "{}", export::head_line(&head)).and_then(|()| file.flush()).map_err(written)?;
    bar.finish_and_clear();
    say(&format!(
        "entries {} to {}, signed by {}; SHA-256 of the last one: {}",
        head.head.first, head.head.last, head.key, head.head.hash
    ));
    Ok(Exit::Ok)
}

fn verify(app: &App, path: &Path, keys: BTreeSet<PublicKey>) -> Result<Exit, Failure> {
    let failed = |error: io::Error| Failure::file("read", path, &error);
    let verified = match path == Path::new("-") {
        true => export::verify(io::stdin().lock(), &keys),
        false => export::verify(BufReader::new(File::open(path).map_err(failed)?), &keys),
    };
    let verified = verified.map_err(failed)?;
    let is_whole = verified.findings.is_empty();
    let word = if is_whole { "whole" } else { "changed" };
    if app.out.is_for_people() {
        report(app, &verified)?;
    } else {
        app.out.one(&verified, word, Vec::new)?;
    }
    Ok(if is_whole { Exit::Ok } else { Exit::Differs })
}

fn report(app: &App, verified: &Verified) -> Result<(), Failure> {
    for finding in &verified.findings {
        let line = finding.line.map(|line| format!("line {line}: ")).unwrap_or_default();
        app.out.line(&printable(&format!("{line}{}", finding.fact)))?;
    }
    let Some(head) = &verified.head else { return Ok(()) };
    if verified.findings.is_empty() {
        let part = format!("entries {} to {}", head.head.first, head.head.last);
        app.out.line(&format!("{part}: nothing was changed; signed by {}", head.key))?;
        if !verified.key_is_known {
            say(
                "that this key is a node's of yours is only what the file says: name the key that you know with --key",
            );
        }
    }
    Ok(())
}
