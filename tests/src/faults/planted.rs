//! Proof of the harness: with each planted bug a short run, whose faults are those that the bug shows with, must not be clean.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use millstream_engine::crash::{CrashPoint, Step};
use millstream_engine::planted::Bug;

use super::damage::{How, What};
use super::fault::{Fault, Led};
use super::{Options, run};

/// Runs with other seeds before a bug counts as not seen.
const TRIES: u64 = 3;

/// How a bug was seen.
pub struct Caught {
    /// The bug.
    pub bug: Bug,
    /// Seed of the run that was not clean; none: all were.
    pub seed: Option<u64>,
    /// What was wrong first.
    pub how: String,
}

/// Plants a bug and runs until it is seen.
///
/// # Errors
/// If a run could not be begun.
pub async fn catch(bug: Bug, seed: u64, program: &Path) -> Result<Caught> {
    for seed in seed..seed + TRIES {
        let report = run(&options(bug, seed, program)).await?;
        if let Some(how) = report.complaints.first() {
            return Ok(Caught { bug, seed: Some(seed), how: how.clone() });
        }
    }
    Ok(Caught { bug, seed: None, how: "not seen".to_owned() })
}

fn options(bug: Bug, seed: u64, program: &Path) -> Options {
    let faults = faults(bug).into_iter().map(|fault| (fault, 0)).collect();
    Options {
        seed,
        program: program.to_owned(),
        servers: 1,
        nodes: nodes(bug),
        lasts: Duration::from_secs(120),
        faults: Some(faults),
        only: None,
        patience: Duration::from_secs(30),
        bug: Some(bug),
    }
}

fn nodes(bug: Bug) -> usize {
    match bug {
        // Another node takes over while the first one sleeps.
        Bug::NoExpectedSequence | Bug::RefusedOutputsPublished => 2,
        _ => 1,
    }
}

/// The faults that a bug shows with.
fn faults(bug: Bug) -> Vec<Fault> {
    let crash = |point, count| Fault::Crash { point, count };
    match bug {
        // What is passed over may be another partition's, or the first of two copies.
        Bug::SourceOneAhead => vec![Fault::Kill { back_after_ms: 500 }; 16],
        Bug::EgressBeforeCommit => {
            vec![crash(CrashPoint::Before(Step::AppendCommit), 20); 4]
        }
        Bug::NoExpectedSequence => vec![Fault::Pause; 2],
        // Whoever wakes up has a moment for it.
        Bug::RefusedOutputsPublished => vec![Fault::Pause; 4],
        Bug::UnansweredAcknowledged => vec![Fault::KillServer { leads: Led::Log }; 4],
        Bug::CursorAhead | Bug::CursorRecordIgnored => {
            vec![Fault::Kill { back_after_ms: 0 }; 6]
        }
        Bug::SealNotAppended | Bug::SeedOneAhead => {
            let numbers = [(4, 7), (2, 2), (5, 1)];
            numbers.map(|partitions| Fault::Rescale { partitions }).to_vec()
        }
        Bug::MessageIdChanges => vec![crash(CrashPoint::After(Step::PublishOutput), 40); 6],
        Bug::DocumentBeforeFiles => vec![crash(CrashPoint::After(Step::UploadManifest), 3); 2],
        Bug::RestoreSkipped => vec![Fault::Damage { what: What::Document, how: How::Cut }],
        Bug::SharedTablesForgotten => {
            vec![crash(CrashPoint::After(Step::ForgetCheckpoint), 4); 3]
        }
        Bug::TakeoverNotAppended | Bug::RedoOneLate | Bug::TrimAboveFloor => {
            vec![Fault::Kill { back_after_ms: 500 }; 4]
        }
    }
}
