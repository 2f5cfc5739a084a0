//! The fault harness: nodes and servers under load, with faults in the order of a seed; outputs, state and log are compared with a
//! reference model. With `--planted`, bugs of the engine that it must see.
//!
//! `cargo xtask faults` builds what is needed and starts it.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use clap::Parser;
use comfy_table::Table;
use comfy_table::presets::UTF8_BORDERS_ONLY;
use millstream_engine::planted::Bug;
use millstream_tests::faults::fault::Schedule;
use millstream_tests::faults::{Options, planted, run};
use serde_json::json;

/// Among so many faults of a schedule every kind comes.
const KINDS_BEFORE_ALL: usize = 400;
/// The program of the nodes, beside this one.
const NODE: &str = "fault-node";

/// Kills, pauses, parts and damages real nodes and servers under load, and compares what comes out with a model.
#[derive(Parser)]
struct Args {
    /// Seed of records and faults; each further run takes the next one
    #[arg(long, default_value_t = 1)]
    seed: u64,

    /// How long faults go on in all
    #[arg(long, default_value_t = 5.0)]
    minutes: f64,

    /// Runs among which the time is divided
    #[arg(long, default_value_t = 1)]
    runs: u32,

    /// Servers: 1, or 3 that keep three copies of every stream
    #[arg(long, default_value_t = 1)]
    servers: usize,

    /// Nodes
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=5))]
    nodes: u8,

    /// Only faults whose name in the table contains this text
    #[arg(long, value_name = "KIND")]
    only: Option<String>,

    /// Print a JSON document per run instead of tables
    #[arg(long)]
    json: bool,

    /// Show that planted bugs are seen, instead: all, or those named
    #[arg(long, value_name = "BUG", num_args = 0..)]
    planted: Option<Vec<Bug>>,
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let args = Args::parse();
    let program = std::env::current_exe().context("this program")?.with_file_name(NODE);
    if let Some(bugs) = &args.planted {
        return prove(&args, bugs, program).await;
    }
    if let Some(only) = &args.only {
        ensure!(is_kind(only), "no fault's name contains `{only}`");
    }
    let mut clean = 0;
    for number in 0..args.runs {
        let options = Options {
            seed: args.seed + u64::from(number),
            program: program.clone(),
            servers: args.servers,
            nodes: args.nodes.into(),
            lasts: Duration::from_secs_f64(args.minutes * 60.0 / f64::from(args.runs)),
            faults: None,
            only: args.only.clone(),
            patience: Duration::from_secs(90),
            bug: None,
        };
        eprintln!("seed {}", options.seed);
        let report = run(&options).await?;
        match args.json {
            true => println!("{}", report.json()),
            false => print!("{report}"),
        }
        clean += u32::from(report.is_clean());
    }
    if clean < args.runs {
        eprintln!("{clean} of {} runs were clean", args.runs);
        return Ok(ExitCode::FAILURE);
    }
    eprintln!(
        "{clean} clean runs: fewer than {:.3} of such runs fail, with 95 % confidence",
        (3.0 / f64::from(clean)).min(1.0)
    );
    Ok(ExitCode::SUCCESS)
}

/// Whether a text is part of the name of some fault.
fn is_kind(text: &str) -> bool {
    Schedule::new(0).take(KINDS_BEFORE_ALL).any(|fault| fault.to_string().contains(text))
}

/// Plants one bug after the other.
async fn prove(args: &Args, bugs: &[Bug], program: PathBuf) -> Result<ExitCode> {
    let bugs = if bugs.is_empty() { &Bug::ALL } else { bugs };
    let mut table = Table::new();
    table.load_style(UTF8_BORDERS_ONLY).set_header(["bug", "seed", "seen by"]);
    let mut missed = 0;
    for bug in bugs {
        eprintln!("bug {bug}");
        let caught = planted::catch(*bug, args.seed, &program).await?;
        missed += usize::from(caught.seed.is_none());
        if args.json {
            let bug = bug.to_string();
            println!("{}", json!({"bug": bug, "seed": caught.seed, "seen_by": caught.how}));
        }
        let seed = caught.seed.map_or("-".to_owned(), |seed| seed.to_string());
        table.add_row([bug.to_string(), seed, caught.how]);
    }
    if !args.json {
        println!("{table}");
    }
    eprintln!("{} of {} planted bugs were seen", bugs.len() - missed, bugs.len());
    Ok(if missed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
