//! `millstream dlq`: dead letters.

use clap::{Args, Subcommand};
use millstream_control::api::dead_letters::{
    DeadLetter, Drop, Handled, LETTERS_MAX, List, Redrive, Selection, Show,
};

use super::get::short;
use crate::cli::App;
use crate::connection::{Remote, block_on};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::format::{say, write_all};
use crate::output::{Cell, Listed, progress, units};

/// List, show, redrive or drop dead letters: records that a UDF refused or that could not be decoded
#[derive(Args)]
pub struct Dlq {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// List dead letters, oldest first
    Ls {
        /// The pipeline; without it: all
        name: Option<String>,
        /// Only this stage
        #[arg(long)]
        stage: Option<String>,
        /// At most so many
        #[arg(long, default_value_t = 100)]
        limit: usize,
    },
    /// Show one dead letter with its cause and payload
    Show {
        /// Its sequence, as `dlq ls` prints it
        sequence: u64,
        /// Write the payload's bytes to stdout and nothing else
        #[arg(long)]
        payload: bool,
    },
    /// Hand dead letters to their stage again
    Redrive(Chosen),
    /// Delete dead letters
    Drop(Chosen),
}

/// Which dead letters are meant. Everything must be asked for by name.
#[derive(Args)]
struct Chosen {
    /// The pipeline
    name: String,
    /// Sequences, as `dlq ls` prints them
    #[arg(required_unless_present = "all")]
    sequences: Vec<u64>,
    /// All of the pipeline (and stage)
    #[arg(long, conflicts_with = "sequences")]
    all: bool,
    /// Only this stage
    #[arg(long)]
    stage: Option<String>,
}

impl Dlq {
    /// Does it.
    pub fn run(self, app: &App) -> Result<Exit, Failure> {
        block_on(async {
            let remote = Remote::connect(app).await?;
            match self.what {
                What::Ls { name, stage, limit } => list(app, &remote, name, stage, limit).await?,
                What::Show { sequence, payload } => show(app, &remote, sequence, payload).await?,
                What::Redrive(chosen) => {
                    let limit = LETTERS_MAX;
                    let done = all_pages("redriving", async || {
                        remote.call(&Redrive { letters: chosen.selection(), limit }).await
                    });
                    let (redriven, left) = done.await?;
                    say(&format!("{} redriven", units::count(redriven)));
                    if left > 0 {
                        say(&format!(
                            "{} left: of timers, or of inputs that are not read any more",
                            units::count(left)
                        ));
                    }
                }
                What::Drop(chosen) => {
                    let limit = LETTERS_MAX;
                    let done = all_pages("dropping", async || {
                        remote.call(&Drop { letters: chosen.selection(), limit }).await
                    });
                    say(&format!("{} dropped", units::count(done.await?.0)));
                }
            }
            Ok(Exit::Ok)
        })
    }
}

impl Chosen {
    fn selection(&self) -> Selection {
        Selection {
            pipeline: self.name.clone(),
            stage: self.stage.clone(),
            sequences: self.sequences.clone(),
        }
    }
}

/// Repeats a request until its selection is done; how many letters were handled, and how many had to stay.
async fn all_pages(
    doing: &str,
    request: impl AsyncFn() -> Result<Handled, Failure>,
) -> Result<(u64, u64), Failure> {
    let bar = progress::spinner(doing);
    let mut total = 0;
    loop {
        let page = request().await.inspect_err(|_| bar.finish_and_clear())?;
        total += page.handled;
        bar.set_message(format!("{doing}: {}", units::count(total)));
        if !page.more || page.handled == 0 {
            bar.finish_and_clear();
            return Ok((total, page.left));
        }
    }
}

async fn list(
    app: &App,
    remote: &Remote,
    pipeline: Option<String>,
    stage: Option<String>,
    limit: usize,
) -> Result<(), Failure> {
    let mut request = List { pipeline, stage, after: 0, limit: 0 };
    let mut letters = Vec::new();
    loop {
        let left = u32::try_from(limit - letters.len()).unwrap_or(LETTERS_MAX);
        request.limit = left.min(LETTERS_MAX);
        let page = remote.call(&request).await?;
        letters.extend(page.letters);
        request.after = letters.last().map_or(0, |letter: &DeadLetter| letter.sequence);
        if !page.more || letters.len() >= limit {
            app.out.list(&letters, "no dead letters")?;
            if page.more {
                say("there are more dead letters: raise --limit");
            }
            return Ok(());
        }
    }
}

async fn show(app: &App, remote: &Remote, sequence: u64, payload: bool) -> Result<(), Failure> {
    let letter = remote.call(&Show { sequence }).await?;
    if payload {
        return write_all(letter.payload.as_ref().map_or(&[][..], |data| &data.0));
    }
    app.out.one(&letter, &letter.name(), || {
        let payload = letter.payload.as_ref().map(|data| data.display());
        vec![
            ("sequence".to_owned(), Cell::text(letter.sequence.to_string())),
            ("pipeline".to_owned(), Cell::text(&letter.pipeline)),
            ("stage".to_owned(), Cell::text(&letter.stage)),
            ("cause".to_owned(), Cell::text(&letter.cause)),
            ("attempts".to_owned(), Cell::text(letter.attempts.to_string())),
            ("module".to_owned(), Cell::text(format!("sha256:{}", letter.module))),
            ("input".to_owned(), Cell::text(&letter.input)),
            (
                "from".to_owned(),
                Cell::text(format!("{}:{}", letter.source, letter.source_sequence)),
            ),
            ("subject".to_owned(), Cell::text(&letter.subject)),
            ("time".to_owned(), Cell::text(units::time(letter.time_ms))),
            ("refused".to_owned(), Cell::text(units::time(letter.refused_at_ms))),
            ("payload".to_owned(), Cell::optional(payload)),
        ]
    })
}

impl Listed for DeadLetter {
    const COLUMNS: &'static [&'static str] =
        &["SEQUENCE", "PIPELINE", "STAGE", "FROM", "REFUSED", "CAUSE"];
    const WIDE: &'static [&'static str] = &["ATTEMPTS", "MODULE", "SUBJECT", "SIZE"];

    fn name(&self) -> String {
        self.sequence.to_string()
    }

    fn cells(&self) -> Vec<Cell> {
        vec![
            Cell::number(self.sequence.to_string()),
            Cell::text(&self.pipeline),
            Cell::text(&self.stage),
            Cell::text(format!("{}:{}", self.source, self.source_sequence)),
            Cell::text(units::time(self.refused_at_ms)),
            Cell::text(self.cause.lines().next().unwrap_or_default()),
            Cell::number(self.attempts.to_string()),
            Cell::text(short(&self.module)),
            Cell::text(&self.subject),
            Cell::number(units::bytes(self.size)),
        ]
    }
}
