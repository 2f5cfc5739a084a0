//! A made-up bank: all its pipelines on a private nats-server, and what they found of what was planted. With `--write` only its streams
//! are written to a folder, one file each.
//!
//! `cargo xtask bank` builds what is needed and starts it.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::Parser;
use millstream_tests::bank::{Bank, run};
use millstream_tests::manifest::sandbox;

/// Makes up a bank, feeds it to the pipelines of examples/bank, and compares what they found with what was planted.
#[derive(Parser)]
struct Args {
    /// Seed of the records
    #[arg(long, default_value_t = 1)]
    seed: u64,

    /// Only write the streams into this folder, one file of lines each
    #[arg(long, value_name = "FOLDER")]
    write: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let args = Args::parse();
    let bank = Bank::new(args.seed);
    println!("seed {}", bank.seed);
    if let Some(folder) = args.write {
        std::fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?;
        for (stream, lines) in &bank.feeds {
            let path = folder.join(stream).with_extension("ndjson");
            std::fs::write(&path, lines).with_context(|| format!("write {}", path.display()))?;
            println!("{}: {} records", path.display(), bank.records(stream));
        }
        return Ok(ExitCode::SUCCESS);
    }
    let compiled = tempfile::tempdir().context("a folder for compiled modules")?;
    let verdict = bank.judge(&run(&bank, &sandbox(compiled.path())).await);
    print!("{verdict}");
    let complaints = verdict.complaints();
    complaints.iter().for_each(|complaint| println!("{complaint}"));
    Ok(if complaints.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
