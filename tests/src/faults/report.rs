//! What a run tells: which faults fired how often, how long it took until outputs came again, what was wrong.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use anyhow::Result;
use comfy_table::presets::UTF8_BORDERS_ONLY;
use comfy_table::{CellAlignment, Table};
use serde_json::{Value, json};

use super::Options;
use super::fault::Fault;
use super::lives::Lives;

/// A run as it went.
#[derive(Clone, Debug)]
pub struct Report {
    /// Its seed.
    pub seed: u64,
    /// Servers and nodes.
    size: (usize, usize),
    /// Per kind: how often it fired, and from the fault to the first new output of the last key.
    kinds: BTreeMap<String, Vec<Duration>>,
    fired: BTreeMap<String, u64>,
    /// Per kind: how often it did not happen because of another fault, and why the last time.
    refused: BTreeMap<String, (u64, String)>,
    /// What must not be; empty: the run is clean.
    pub complaints: Vec<String>,
    /// Faults that were chosen and did not happen.
    misfires: Vec<String>,
    records: u64,
    commits: u64,
    takeovers: u64,
    unseen: u64,
    lives: usize,
    damaged: bool,
}

impl Report {
    /// The report of a run that has not begun.
    pub fn new(options: &Options) -> Self {
        Self {
            seed: options.seed,
            size: (options.servers, options.nodes),
            kinds: BTreeMap::new(),
            fired: BTreeMap::new(),
            refused: BTreeMap::new(),
            complaints: Vec::new(),
            misfires: Vec::new(),
            records: 0,
            commits: 0,
            takeovers: 0,
            unseen: 0,
            lives: 0,
            damaged: false,
        }
    }

    /// Notes whether outputs came at all.
    pub fn started(&mut self, outcome: Result<()>) {
        if let Err(error) = outcome {
            self.complaints.push(format!("at the start: {error:#}"));
        }
    }

    /// Notes that a fault is about to happen.
    pub fn begun(&mut self, fault: Fault) {
        self.damaged |= matches!(fault, Fault::Damage { .. });
    }

    /// Notes whether outputs came again behind a fault.
    pub fn recovered(&mut self, kind: &str, outcome: Result<()>) {
        if let Err(error) = outcome {
            self.complaints.push(format!("behind {kind}: {error:#}"));
        }
    }

    /// Notes a fault: whether it fired, and how long it took until outputs came again.
    pub fn fired(&mut self, fault: Fault, fired: Result<()>, recovery: Option<Duration>) {
        let kind = fault.to_string();
        match fired {
            Ok(()) => self.happened(kind, recovery),
            Err(error) => self.misfires.push(format!("{kind} did not fire: {error:#}")),
        }
    }

    /// The same of one that need not fire, because another one happens meanwhile.
    pub fn tried(&mut self, kind: String, fired: Result<()>, recovery: Option<Duration>) {
        match fired {
            Ok(()) => self.happened(kind, recovery),
            Err(error) => {
                let (count, last) = self.refused.entry(kind).or_default();
                *count += 1;
                *last = format!("{error:#}");
            }
        }
    }

    fn happened(&mut self, kind: String, recovery: Option<Duration>) {
        *self.fired.entry(kind.clone()).or_default() += 1;
        self.kinds.entry(kind).or_default().extend(recovery);
    }

    /// Whether files were damaged on purpose.
    pub fn has_damaged(&self) -> bool {
        self.damaged
    }

    /// Notes what is wrong.
    pub fn complain(&mut self, complaints: impl IntoIterator<Item = String>) {
        self.complaints.extend(complaints);
    }

    /// Notes what the run was made of.
    pub fn finished(&mut self, records: u64, lives: &Lives) {
        self.records = records;
        (self.commits, self.takeovers, self.unseen) = lives.counts();
        self.lives = lives.count();
    }

    /// Lives of the pipeline: one more than it was rescaled.
    pub fn lives(&self) -> usize {
        self.lives
    }

    /// Whether nothing was wrong.
    pub fn is_clean(&self) -> bool {
        self.complaints.is_empty() && self.misfires.is_empty()
    }

    /// Faults that fired.
    pub fn faults(&self) -> u64 {
        self.fired.values().sum()
    }

    /// Median and maximum of the recoveries of a kind.
    fn recovery(&self, kind: &str) -> Option<(Duration, Duration)> {
        let mut all = self.kinds.get(kind)?.clone();
        all.sort();
        Some((*all.get(all.len() / 2)?, *all.last()?))
    }

    /// The report for programs.
    pub fn json(&self) -> Value {
        let faults: BTreeMap<&String, Value> = self
            .fired
            .iter()
            .map(|(kind, fired)| {
                let ms = self.recovery(kind).map(|(m, x)| (m.as_millis(), x.as_millis()));
                let value = json!({
                    "fired": fired,
                    "recovery_ms_median": ms.map(|ms| ms.0 as u64),
                    "recovery_ms_max": ms.map(|ms| ms.1 as u64),
                });
                (kind, value)
            })
            .collect();
        json!({
            "seed": self.seed,
            "servers": self.size.0,
            "nodes": self.size.1,
            "records": self.records,
            "commits": self.commits,
            "takeovers": self.takeovers,
            "commits_trimmed_unseen": self.unseen,
            "lives": self.lives,
            "faults": faults,
            "refused": self.refused,
            "complaints": self.complaints,
            "misfires": self.misfires,
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new();
        table.load_style(UTF8_BORDERS_ONLY);
        table.set_header(["fault", "fired", "recovery, median s", "max s"]);
        for (kind, fired) in &self.fired {
            let seconds = |of: Option<Duration>| {
                of.map_or("-".to_owned(), |of| format!("{:.1}", of.as_secs_f64()))
            };
            let recovery = self.recovery(kind);
            table.add_row([
                kind.clone(),
                fired.to_string(),
                seconds(recovery.map(|(median, _)| median)),
                seconds(recovery.map(|(_, max)| max)),
            ]);
        }
        for (kind, (count, _)) in &self.refused {
            let kind = format!("{kind}: refused");
            table.add_row([kind, count.to_string(), "-".to_owned(), "-".to_owned()]);
        }
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        writeln!(f, "{table}")?;
        let Self { seed, size, records, commits, takeovers, unseen, lives, .. } = self;
        writeln!(
            f,
            "seed {seed}, {} servers, {} nodes: {records} records, {} faults, {commits} commits read ({unseen} trimmed before), {takeovers} takeovers, {lives} lives",
            size.0,
            size.1,
            self.faults()
        )?;
        for (kind, (_, last)) in &self.refused {
            writeln!(f, "{kind} was refused, the last time: {last}")?;
        }
        for complaint in self.complaints.iter().chain(&self.misfires) {
            writeln!(f, "WRONG: {complaint}")?;
        }
        if self.is_clean() {
            writeln!(f, "clean: outputs, state and log are what the model says")?;
        }
        Ok(())
    }
}
