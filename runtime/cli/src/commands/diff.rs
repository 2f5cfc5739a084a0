//! `millstream diff`: what an apply would change.

use std::path::PathBuf;

use clap::Args;
use millstream_control::api::pipelines::{Applied, Apply as Request, Outcome};

use crate::actor::actor;
use crate::cli::App;
use crate::connection::{Remote, block_on};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::manifest;
use crate::output::style::{Paint, Style};
use crate::output::table::printable;

/// Show what `apply` would change, field by field
#[derive(Args)]
pub struct Diff {
    /// The manifest; `-` is standard input; may be given several times
    #[arg(short, long = "file", required = true, value_name = "FILE")]
    files: Vec<PathBuf>,

    /// Exit with 8 if there is a difference
    #[arg(long)]
    exit_code: bool,
}

impl Diff {
    /// Compares all manifests with what is applied.
    pub fn run(self, app: &App) -> Result<Exit, Failure> {
        let loaded: Vec<_> =
            self.files.iter().map(|file| manifest::load(file)).collect::<Result<_, _>>()?;
        block_on(async {
            let remote = Remote::connect(app).await?;
            let mut differs = false;
            for one in &loaded {
                let manifest = one.upload(&remote).await?;
                let request =
                    Request { manifest, dry_run: true, by: actor(), ..Request::default() };
                let applied = one.ask(&remote, &request).await?;
                differs |= applied.outcome != Outcome::Unchanged;
                app.out.event(&applied, &applied.pipeline, |paint| lines(&applied, paint))?;
            }
            Ok(if differs && self.exit_code { Exit::Differs } else { Exit::Ok })
        })
    }
}

fn lines(applied: &Applied, paint: Paint) -> String {
    let name = &applied.pipeline;
    let mut text = match applied.outcome {
        Outcome::Created => {
            format!("{} pipeline {name} (does not exist yet)", paint.apply(Style::Good, "+"))
        }
        Outcome::Changed | Outcome::Proposed => {
            format!("pipeline {name} (revision {})", applied.revision)
        }
        Outcome::Unchanged => format!("pipeline {name}: no difference"),
    };
    for change in &applied.changes {
        text.push_str(&format!("\n  {}", change.field));
        let sides = [("-", Style::Error, &change.old), ("+", Style::Good, &change.new)];
        for (sign, style, value) in sides {
            if let Some(value) = value {
                text.push_str(&format!(
                    "\n    {}",
                    paint.apply(style, &format!("{sign} {}", printable(value)))
                ));
            }
        }
    }
    text
}
