//! `millstream logs`: what the functions of a pipeline say while they run.

use std::collections::HashSet;

use clap::Args;
use clap::builder::RangedU64ValueParser;
use futures::StreamExt;
use millstream_control::api::logs::{LINES_MAX, Last, LogLine, subject};
use millstream_control::errors;

use crate::cli::App;
use crate::connection::{Remote, block_on};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::format::say;
use crate::output::style::{Paint, Style};
use crate::output::table::printable;
use crate::output::units;

/// Show what the functions of a pipeline logged last; `-f` goes on until ctrl-c
///
/// The runtime keeps the last 1000 lines and 256 KiB of each stage in memory: a restart forgets them.
#[derive(Args)]
pub struct Logs {
    /// The pipeline
    name: String,

    /// Follow: show lines as they are logged
    #[arg(short, long)]
    follow: bool,

    /// Only this stage
    #[arg(long)]
    stage: Option<String>,

    /// How many past lines to show, at most 1000
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = RangedU64ValueParser::<u32>::new().range(0..=LINES_MAX as u64))]
    tail: u32,

    /// End after so many lines
    #[arg(long, value_name = "N")]
    count: Option<usize>,
}

impl Logs {
    /// Shows the past lines, and then follows if that was asked for.
    pub fn run(self, app: &App) -> Result<Exit, Failure> {
        block_on(self.show(app))
    }

    async fn show(self, app: &App) -> Result<Exit, Failure> {
        let remote = Remote::connect(app).await?;
        let subject = subject(&self.name);
        let lost = |error: &dyn std::error::Error| {
            Failure::coded(errors::NO_NATS, format!("cannot listen on {subject}: {error}"))
        };
        let client = remote.connection().client();
        // Listening begins before the past is asked for, so that no line falls between the two.
        let mut lines = match self.follow {
            true => {
                let lines =
                    client.subscribe(subject.clone()).await.map_err(|error| lost(&error))?;
                client.flush().await.map_err(|error| lost(&error))?;
                Some(lines)
            }
            false => None,
        };
        let mut left = self.count.unwrap_or(usize::MAX);
        // Past lines are asked for even if none are to be shown: a name that is mistyped would be silent for ever.
        let request =
            Last { pipeline: self.name.clone(), stage: self.stage.clone(), limit: self.tail };
        let past = remote.call(&request).await?.lines;
        let known: HashSet<u64> = past.iter().map(|line| line.number).collect();
        for line in past.into_iter().take(left) {
            print(app, &line)?;
            left = left.saturating_sub(1);
        }
        let Some(lines) = &mut lines else { return Ok(Exit::Ok) };
        say(&format!("following {}", self.name));
        while left > 0 {
            let Some(message) = lines.next().await else {
                break;
            };
            // Anybody may publish there; what is no log line is not ours to show.
            let Ok(line) = serde_json::from_slice::<LogLine>(&message.payload) else {
                continue;
            };
            let is_known = line.number > 0 && known.contains(&line.number);
            if is_known || self.stage.as_ref().is_some_and(|stage| *stage != line.stage) {
                continue;
            }
            print(app, &line)?;
            left -= 1;
        }
        Ok(Exit::Ok)
    }
}

fn print(app: &App, line: &LogLine) -> Result<(), Failure> {
    app.out.event(line, &line.stage, |paint| text(line, paint))
}

fn text(line: &LogLine, paint: Paint) -> String {
    let level = format!("{:<5}", printable(&line.level));
    let level = match line.level.as_str() {
        "error" => paint.apply(Style::Error, &level),
        "debug" => paint.apply(Style::Label, &level),
        _ => level,
    };
    let time = paint.apply(Style::Label, &units::time(line.at_ms));
    format!("{time} {level} {}: {}", printable(&line.stage), printable(&line.message))
}
