//! `millstream delete`: remove a pipeline with all it has.

use std::io::{self, BufRead, IsTerminal};

use clap::Args;
use millstream_control::api::pipelines::Delete as Request;
use millstream_control::errors;

use super::lifecycle::{print, wait_until_gone};
use crate::actor::actor;
use crate::cli::App;
use crate::connection::{Remote, block_on};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::format::say;

/// Remove a pipeline with its log, state and checkpoints; its sources and sinks stay
#[derive(Args)]
pub struct Delete {
    /// The pipeline
    name: String,

    /// Do not ask; needed where there is no terminal to ask on
    #[arg(short, long)]
    yes: bool,

    /// Return when it is gone, at most after `--timeout`
    #[arg(long)]
    wait: bool,
}

impl Delete {
    /// Asks for it, after asking the person.
    pub fn run(self, app: &App) -> Result<Exit, Failure> {
        if !self.yes {
            confirm(&self.name)?;
        }
        block_on(async {
            let remote = Remote::connect(app).await?;
            let request = Request { pipeline: self.name.clone(), by: actor() };
            let info = remote.call(&request).await?;
            if self.wait {
                wait_until_gone(&remote, &self.name).await?;
            }
            print(app, &info, if self.wait { "deleted" } else { "deletion requested" })
        })
    }
}

/// What is deleted cannot be had back, so its name is typed once more.
fn confirm(name: &str) -> Result<(), Failure> {
    if !io::stdin().is_terminal() {
        return Err(Failure::coded(
            errors::USAGE,
            format!("deleting {name} is final, and there is no terminal to ask on"),
        )
        .help("add `--yes`"));
    }
    say(&format!(
        "This removes pipeline {name} with its log, state and checkpoints. Type its name to go on:"
    ));
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line).map_err(|error| {
        Failure::coded(errors::SYSTEM, "cannot read the answer").because(&error)
    })?;
    match line.trim() == name {
        true => Ok(()),
        false => Err(Failure::coded(
            errors::NOT_CONFIRMED,
            "not the pipeline's name: nothing was deleted",
        )),
    }
}
