//! `millstream logs`: what the functions of a pipeline say while they run.

use clap::Args;
use futures::StreamExt;
use millstream_control::api::pipelines::Get;
use millstream_control::errors;
use serde::{Deserialize, Serialize};

use crate::cli::App;
use crate::connection::{Remote, block_on};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::format::say;
use crate::output::style::{Paint, Style};
use crate::output::table::printable;
use crate::output::units;

/// First part of the subjects that the worker sends log lines to; the pipeline follows.
const SUBJECT_PREFIX: &str = "millstream.logs";

/// Follow what the functions of a pipeline log; ends with ctrl-c
///
/// Log lines are not kept: those of before are in the runtime's own log, if at all.
#[derive(Args)]
pub struct Logs {
    /// The pipeline
    name: String,

    /// Follow; there are no past lines to show, so this is what happens anyway
    #[arg(short, long)]
    follow: bool,

    /// Only this stage
    #[arg(long)]
    stage: Option<String>,

    /// End after so many lines
    #[arg(long, value_name = "N")]
    count: Option<usize>,
}

/// A line as the worker sends it.
#[derive(Serialize, Deserialize)]
struct Line {
    at_ms: i64,
    stage: String,
    level: String,
    message: String,
}

impl Logs {
    /// Follows.
    pub fn run(self, app: &App) -> Result<Exit, Failure> {
        block_on(self.follow(app))
    }

    async fn follow(self, app: &App) -> Result<Exit, Failure> {
        let remote = Remote::connect(app).await?;
        // A name that is mistyped would be silent for ever.
        remote.call(&Get { pipeline: self.name.clone() }).await?;
        let subject = format!("{SUBJECT_PREFIX}.{}", self.name);
        let lost = |error: &dyn std::error::Error| {
            Failure::coded(errors::NO_NATS, format!("cannot listen on {subject}: {error}"))
        };
        let client = remote.connection().client();
        let mut lines = client.subscribe(subject.clone()).await.map_err(|error| lost(&error))?;
        client.flush().await.map_err(|error| lost(&error))?;
        say(&format!("following {}", self.name));
        let mut left = self.count.unwrap_or(usize::MAX);
        while left > 0 {
            let Some(message) = lines.next().await else {
                break;
            };
            // Anybody may publish there; what is no log line is not ours to show.
            let Ok(line) = serde_json::from_slice::<Line>(&message.payload) else {
                continue;
            };
            if self.stage.as_ref().is_some_and(|stage| *stage != line.stage) {
                continue;
            }
            app.out.event(&line, &line.stage, |paint| text(&line, paint))?;
            left -= 1;
        }
        Ok(Exit::Ok)
    }
}

fn text(line: &Line, paint: Paint) -> String {
    let level = format!("{:<5}", printable(&line.level));
    let level = match line.level.as_str() {
        "error" => paint.apply(Style::Error, &level),
        "debug" => paint.apply(Style::Label, &level),
        _ => level,
    };
    let time = paint.apply(Style::Label, &units::time(line.at_ms));
    format!("{time} {level} {}: {}", printable(&line.stage), printable(&line.message))
}
